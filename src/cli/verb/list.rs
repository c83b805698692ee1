//! `qsync list`: the channels and snapshots that sources have.

use bytesize::ByteSize;
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::{
    cli::{context::Context, env, exit::Failure, first_contact::introduced, gateways::GatewayArgs, output::Format, values::Pin},
    ops::list::{self, ListedSnapshot},
    sources::Allowance,
    types::Timestamp,
};

const EXAMPLES: &str = "\
Examples:
  qsync list --from https://a.example/snap
  qsync list                         all sources of the configuration
";

/// List channels and snapshots: height, age, sizes, and who has them
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct ListArgs {
    /// Source: a path, file://…, http(s)://…, s3://…, ipfs://CID or a store's name; repeat for several
    #[arg(long, value_name = "SOURCE")]
    from: Vec<String>,
    #[command(flatten)]
    gateways: GatewayArgs,
    /// The repository to trust: b3: and 64 hex digits [default: what this machine trusts]
    #[arg(long, value_name = "b3:ID")]
    trust: Option<Pin>,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Found {
    snapshots: usize,
}

/// Lists.
pub(super) async fn run(args: ListArgs, context: &Context) -> Result<(), Failure> {
    let sources =
        context.sources(&env::list(args.from, "QSYNC_FROM", &context.config.all_sources()), &args.gateways, &Allowance::default()).await?;
    let (state, progress, pin) = (context.open_state()?, context.progress(), args.trust.map(|pin| pin.0));
    let listed = introduced(context, pin, async |pin| list::list(&sources, &state, pin, context.now, &*progress).await);
    let rows = context.until_stopped(listed).await?;
    context.finish_progress();
    match context.output.format() {
        Format::Json => rows.iter().for_each(|row| context.output.item("snapshot", row, |_| String::new())),
        Format::Text => crate::cli::output::stdout(format!("{}\n", table(&rows, context.now)).as_bytes()),
    }
    context.output.summary("list", &Found { snapshots: rows.len() }, |_| String::new());
    Ok(())
}

fn table(rows: &[ListedSnapshot], now: Timestamp) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["CHANNEL", "SNAPSHOT", "HEIGHT", "AGE", "SIZE", "STORED", "ENGINE", "SOURCES"]);
    for row in rows {
        table.add_row([
            row.channel.to_string(),
            format!("{}{}", row.snapshot.short(), if row.latest { " *" } else { "" }),
            row.height.map_or_else(|| "-".to_owned(), |height| height.to_string()),
            age(row.taken_at, now),
            ByteSize(row.bytes).to_string(),
            row.frame_bytes.map_or_else(|| "-".to_owned(), |bytes| ByteSize(bytes).to_string()),
            row.engine.clone().unwrap_or_else(|| "-".to_owned()),
            row.sources.iter().cloned().chain(row.ipfs.iter().map(|root| format!("ipfs://{root}"))).collect::<Vec<_>>().join(" "),
        ]);
    }
    for column in table.column_iter_mut().skip(2).take(4) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// How long ago, in its one or two largest units.
fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = u64::try_from(now.as_second().saturating_sub(then.as_second())).unwrap_or(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}m"),
        (0, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Hash;

    #[test]
    fn the_table_shows_one_line_for_each_snapshot() {
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let row = |latest, height, taken_at: &str| ListedSnapshot {
            channel: "kusama/pruned".parse().unwrap(),
            snapshot: Hash::of(b"manifest"),
            latest,
            height,
            taken_at: taken_at.parse().unwrap(),
            bytes: 5 << 30,
            frame_bytes: latest.then_some(2 << 30),
            client: None,
            engine: latest.then(|| "rocksdb".into()),
            until: now,
            sources: vec!["cdn".into(), "raw".into()],
            ipfs: latest.then(|| "bafyb4i".into()),
        };
        let rows = [row(true, Some(24_187_312), "2026-11-20T03:00:12Z"), row(false, None, "2026-11-18T03:00:12Z")];
        let text: String = table(&rows, now).to_string().lines().map(|line| format!("{}\n", line.trim())).collect();
        insta::assert_snapshot!(text, @r"
        CHANNEL        SNAPSHOT          HEIGHT     AGE     SIZE   STORED  ENGINE   SOURCES
        kusama/pruned  0d197521d9a4 *  24187312  8h 59m  5.0 GiB  2.0 GiB  rocksdb  cdn raw ipfs://bafyb4i
        kusama/pruned  0d197521d9a4           -   2d 8h  5.0 GiB        -  -        cdn raw
        ");
    }
}
