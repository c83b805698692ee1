//! `qsync usage show`: what was counted, month by month, as the last tick left it.

use bytesize::ByteSize;
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::open;
use crate::{
    cli::{
        Code,
        context::Context,
        exit::Failure,
        output::{self, Format},
    },
    ops::usage::{
        EventId, Month, StoreName,
        state::{self, State},
    },
    types::Timestamp,
};

const EXAMPLES: &str = "\
Examples:
  qsync usage show
  qsync usage show --json | jq 'select(.type == \"month\")'
";

/// Show what was counted, month by month; nothing is asked but the store that has it
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct ShowArgs {}

/// A month of a store. Field names are a promise (docs/scripting.md).
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Row {
    store: StoreName,
    month: Month,
    bytes: Option<u64>,
    tb_bytes: u64,
    terabytes: u64,
    told: u64,
    closed: bool,
}

/// What there is beside that.
#[derive(Debug, Serialize)]
struct Shown {
    months: usize,
    last_tick: Option<Timestamp>,
    pending: Vec<EventId>,
}

/// Shows.
pub(super) async fn run(_: ShowArgs, context: &Context) -> Result<(), Failure> {
    let store = open::store(context).await?;
    let (state, tag) = context.until_stopped(async { Ok(state::load(&store).await?) }).await?;
    if tag.is_none() {
        let failure = Failure::new(Code::NotFound, format!("{} has no usage/state.json: nothing was counted yet", store.name()));
        return Err(failure.hint("qsync usage tick counts"));
    }
    let rows = rows(&state);
    match context.output.format() {
        Format::Json => rows.iter().for_each(|row| context.output.item("month", row, |_| String::new())),
        Format::Text => output::stdout(format!("{}\n", table(&rows)).as_bytes()),
    }
    let pending = state.outbox.into_iter().map(|pending| pending.id).collect();
    context.output.summary("usage show", &Shown { months: rows.len(), last_tick: state.last_tick, pending }, text);
    Ok(())
}

fn rows(state: &State) -> Vec<Row> {
    let of = |(name, store): (&StoreName, &state::Store)| {
        let counts = store.data_until.is_some();
        let row = |(month, tally): (&Month, &state::Tally)| Row {
            store: name.clone(),
            month: *month,
            bytes: counts.then_some(tally.bytes),
            tb_bytes: tally.tb_bytes.get(),
            terabytes: tally.terabytes(),
            told: tally.told_tb,
            closed: tally.closed,
        };
        store.months.iter().map(row).collect::<Vec<_>>()
    };
    state.stores.iter().flat_map(of).collect()
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["STORE", "MONTH", "DOWNLOADED", "TB", "TOLD", "STATE"]);
    for row in rows {
        table.add_row([
            row.store.to_string(),
            row.month.to_string(),
            row.bytes.map_or_else(|| "unknown".to_owned(), |bytes| ByteSize(bytes).to_string()),
            row.terabytes.to_string(),
            row.told.to_string(),
            if row.closed { "closed" } else { "open" }.to_owned(),
        ]);
    }
    for column in table.column_iter_mut().skip(2).take(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn text(shown: &Shown) -> String {
    let last = shown.last_tick.map_or_else(|| "never".to_owned(), |time| time.to_string());
    let pending: String = shown.pending.iter().map(|id| format!("not told to everybody: {id}\n")).collect();
    format!("last counted {last}\n{pending}")
}
