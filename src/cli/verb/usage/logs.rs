//! `qsync usage logs`: what access logs say of the reads of a store.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::Path,
};

use bytesize::ByteSize;
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use jiff::civil::Date;
use serde::Serialize;

use crate::{
    cli::{
        Code,
        context::Context,
        exit::Failure,
        output::{self, Format},
    },
    ops::usage::{
        StoreName,
        logs::{BadLine, BytesRow, Found, ObjectClass, RequesterRow, RestoresRow},
    },
};

const EXAMPLES: &str = "\
Examples:
  qsync usage logs E2EXAMPLE.2026-11-20-03.*.gz        logs of CloudFront as they are delivered
  aws s3 cp s3://example-logs/raw/2026-11-20 - | qsync usage logs --json -
  qsync usage logs --store cdn logs/*                  under a name of your own
";

/// Count what access logs of CloudFront and S3 say was read: bytes by store, kind of object and day, and restores by snapshot
///
/// For those who have the logs and not the metrics. Of each line only the day, the store, the object, the answer and its length are taken, and
/// of S3's the account that asked: never an address.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct LogsArgs {
    /// Access log, plain or gz: CloudFront's standard logs as w3c or json, or S3's server access logs; - for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Count everything under this name [default: the bucket, or the host of the distribution, as the log has it]
    #[arg(long, value_name = "NAME")]
    store: Option<StoreName>,
}

/// All together. Field names are a promise (docs/scripting.md).
#[derive(Debug, Serialize)]
struct Summary {
    files: u64,
    lines: u64,
    reads: u64,
    bytes: u64,
    failed_reads: u64,
    other_requests: u64,
    malformed_lines: u64,
    first_day: Option<Date>,
    last_day: Option<Date>,
}

/// Reads the logs; the rows come before the summary.
pub(super) async fn run(args: LogsArgs, context: &Context) -> Result<(), Failure> {
    let work = tokio::task::spawn_blocking(move || read_all(&args));
    let found = context.until_stopped(async { work.await.map_err(|_| Failure::new(Code::Error, "a worker died")) }).await?;
    context.finish_progress();
    match context.output.format() {
        Format::Json => show_rows(&found, context),
        Format::Text => {
            found.named.iter().for_each(|bad| output::stderr(&format!("warning: {}\n", bad_line(bad))));
            output::stdout(tables(&found).as_bytes());
        }
    }
    match failure(&found) {
        Some(failure) => {
            context.output.item("result", &summary(&found), text);
            Err(failure)
        }
        None => {
            context.output.summary("usage logs", &summary(&found), text);
            Ok(())
        }
    }
}

fn read_all(args: &LogsArgs) -> Found {
    let mut found = Found::default();
    for file in &args.files {
        let log: io::Result<Box<dyn Read>> = match file.as_str() {
            "-" => Ok(Box::new(io::stdin().lock())),
            path => File::open(Path::new(path)).map(|file| Box::new(file) as Box<dyn Read>),
        };
        let name = if file == "-" { "standard input" } else { file };
        found.add(name, log, args.store.as_ref().map(StoreName::as_str));
    }
    found
}

fn show_rows(found: &Found, context: &Context) {
    found.named.iter().for_each(|bad| context.output.item("bad-line", bad, |_| String::new()));
    found.broken.iter().for_each(|broken| context.output.item("broken-log", broken, |_| String::new()));
    found.totals.bytes().for_each(|row| context.output.item("read-bytes", &row, |_| String::new()));
    found.totals.restores().for_each(|row| context.output.item("restores", &row, |_| String::new()));
    found.totals.requesters().for_each(|row| context.output.item("requester", &row, |_| String::new()));
}

fn summary(found: &Found) -> Summary {
    let (first_day, last_day) = found.totals.days().unzip();
    Summary {
        files: found.files,
        lines: found.lines,
        reads: found.totals.all().reads,
        bytes: found.totals.all().bytes,
        failed_reads: found.totals.failed_reads(),
        other_requests: found.totals.other_requests(),
        malformed_lines: found.malformed,
        first_day,
        last_day,
    }
}

/// What keeps the figures from being all there is to say.
fn failure(found: &Found) -> Option<Failure> {
    let details: Vec<_> =
        found.broken.iter().map(|broken| format!("{}, after {} lines: {}", broken.file, broken.lines, broken.reason)).collect();
    if !details.is_empty() {
        let code = if details.len() as u64 == found.files { Code::Io } else { Code::Partial };
        let message = format!("{} of {} logs could not be read to their end", details.len(), found.files);
        return Some(
            Failure { details, ..Failure::new(code, message) }
                .hint("check that the files are there and whole; what was read of them is counted"),
        );
    }
    let says_nothing = found.malformed > 0 && found.totals.requests() == 0;
    says_nothing.then(|| {
        let first = found.named.first().map(bad_line).unwrap_or_default();
        Failure::new(Code::Error, format!("not one line is of an access log: {first}"))
            .hint("CloudFront: standard logs, delivered as w3c or json; S3: server access logs (docs/access-logs.md)")
    })
}

fn bad_line(bad: &BadLine) -> String {
    format!("{}, line {}: {}", bad.file, bad.line, bad.reason)
}

fn text(summary: &Summary) -> String {
    let Summary { files, lines, reads, bytes, failed_reads, other_requests, malformed_lines, .. } = summary;
    let malformed = if *malformed_lines == 0 { String::new() } else { format!("; {malformed_lines} lines say nothing and are skipped") };
    format!(
        "{reads} reads of {} in {lines} lines of {files} logs; {failed_reads} reads that failed, {other_requests} requests of other kinds{malformed}\n",
        ByteSize(*bytes)
    )
}

fn tables(found: &Found) -> String {
    let tables = [bytes_table(found.totals.bytes()), restores_table(found.totals.restores()), requesters_table(found.totals.requesters())];
    tables.into_iter().flatten().map(|table| format!("{table}\n\n")).collect()
}

/// One line for each store and day, one column for each kind of object that was read at all.
fn bytes_table(rows: impl Iterator<Item = BytesRow>) -> Option<Table> {
    let mut days: BTreeMap<(String, Option<Date>), BTreeMap<ObjectClass, u64>> = BTreeMap::new();
    for row in rows {
        days.entry((row.store, row.day)).or_default().insert(row.class, row.bytes);
    }
    let classes: Vec<_> = ObjectClass::ALL.into_iter().filter(|class| days.values().any(|day| day.contains_key(class))).collect();
    let mut table = Table::new();
    let heads = classes.iter().map(|class| class.name().to_uppercase());
    table
        .load_style(presets::NOTHING)
        .set_header(["STORE".to_owned(), "DAY".to_owned()].into_iter().chain(heads).chain(["ALL".to_owned()]));
    for ((store, day), of_classes) in &days {
        let bytes = |class| of_classes.get(class).map_or_else(|| "-".to_owned(), |bytes| ByteSize(*bytes).to_string());
        let all = of_classes.values().fold(0, |sum: u64, bytes| sum.saturating_add(*bytes));
        let day = day.map_or_else(|| "-".to_owned(), |day| day.to_string());
        table.add_row([store.clone(), day].into_iter().chain(classes.iter().map(bytes)).chain([ByteSize(all).to_string()]));
    }
    aligned(table, 2)
}

fn restores_table(rows: impl Iterator<Item = RestoresRow>) -> Option<Table> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["STORE", "SNAPSHOT", "FIRST", "LAST", "RESTORES"]);
    for row in rows {
        let snapshot = row.snapshot.map_or_else(|| "-".to_owned(), |id| id.short());
        table.add_row([row.store, snapshot, row.first_day.to_string(), row.last_day.to_string(), row.restores.to_string()]);
    }
    aligned(table, 4)
}

fn requesters_table(rows: impl Iterator<Item = RequesterRow>) -> Option<Table> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["STORE", "REQUESTER", "READS", "BYTES"]);
    for row in rows {
        table.add_row([row.store, row.requester, row.reads.to_string(), ByteSize(row.bytes).to_string()]);
    }
    aligned(table, 2)
}

/// The table with its numbers, from column `first` on, to the right; `None` when it has no rows.
fn aligned(mut table: Table, first: usize) -> Option<Table> {
    table.column_iter_mut().skip(first).for_each(|column| {
        column.set_cell_alignment(CellAlignment::Right);
    });
    (table.row_count() > 0).then_some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = concat!(
        "#Fields: date sc-bytes cs-method cs(Host) cs-uri-stem sc-status\n",
        "2026-11-20\t1049000\tGET\td111.cloudfront.net\t/v1/chunks/0d/0d197521d9a4f5d4a4aa2d6b4c9a4b6a1f1f1e1d1c1b1a191817161514131211\t200\n",
        "2026-11-20\t2000\tGET\td111.cloudfront.net\t/v1/manifests/0d197521d9a4f5d4a4aa2d6b4c9a4b6a1f1f1e1d1c1b1a191817161514131211\t200\n",
        "2026-11-21\t300\tGET\td111.cloudfront.net\t/v1/index.json\t200\n",
        "2026-11-21\t400\tGET\td111.cloudfront.net\t/v1/index.json\t404\n",
    );

    fn found(logs: &[&str]) -> Found {
        let mut found = Found::default();
        logs.iter().for_each(|log| found.add("a.log", Ok(log.as_bytes()), None));
        found
    }

    #[test]
    fn the_tables_show_days_restores_and_who_paid() {
        let found = found(&[LOG]);
        let trimmed: String = tables(&found).lines().map(|line| format!("{}\n", line.trim())).collect();
        insta::assert_snapshot!(trimmed + &text(&summary(&found)), @r"
        STORE                DAY          CHUNKS  MANIFESTS  INDEX      ALL
        d111.cloudfront.net  2026-11-20  1.0 MiB    2.0 KiB      -  1.0 MiB
        d111.cloudfront.net  2026-11-21        -          -  300 B    300 B

        STORE                SNAPSHOT      FIRST       LAST        RESTORES
        d111.cloudfront.net  0d197521d9a4  2026-11-20  2026-11-20         1

        3 reads of 1.0 MiB in 5 lines of 1 logs; 1 reads that failed, 0 requests of other kinds
        ");
    }

    #[test]
    fn logs_that_say_nothing_or_break_off_are_failures() {
        assert_eq!(failure(&found(&[LOG, "x\n"])), None, "one line that says nothing is passed over");
        assert_eq!(failure(&found(&[""])), None, "an hour in which nobody read anything");
        let nothing = failure(&found(&["x\n"])).unwrap();
        assert_eq!(nothing.code, Code::Error);
        assert_eq!(nothing.messages, ["not one line is of an access log: a.log, line 1: no line of an access log of CloudFront or S3"]);
        assert_eq!(failure(&found(&["PAR1"])).unwrap().code, Code::Io);
        assert_eq!(failure(&found(&["PAR1", LOG])).unwrap().code, Code::Partial);
    }
}
