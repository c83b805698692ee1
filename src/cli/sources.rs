//! The table of what came from each source, at the end of a command.

use bytesize::ByteSize;

use crate::sources::{Report, usd};

/// One aligned line for each source.
pub(crate) fn source_lines(reports: &[Report]) -> String {
    let rows: Vec<[String; 4]> = reports.iter().map(columns).collect();
    let widths = [0, 1, 2, 3].map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let line = |(report, [name, objects, bytes, rate]): (&Report, &[String; 4])| {
        let [a, b, c, d] = widths;
        format!("  {name:<a$}  {objects:>b$}  {bytes:>c$}  {rate:>d$}{}\n", rest(report))
    };
    reports.iter().zip(&rows).map(line).collect()
}

fn columns(report: &Report) -> [String; 4] {
    let rate = report.bytes_per_second.map_or_else(|| "-".to_owned(), |rate| format!("{}/s", ByteSize(rate)));
    [report.source.clone(), format!("{} objects", report.objects), ByteSize(report.bytes).to_string(), rate]
}

/// What only some sources have: a price, and failures by what failed.
fn rest(report: &Report) -> String {
    let cost = report.cost_micro_usd.map(|cost| format!("; cost {}", usd(cost)));
    let metadata = report.metadata_micro_usd.map(|cost| format!(", and {} for heads and manifests", usd(cost)));
    let kinds: Vec<String> = report.failures.named().iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    let errors = (report.errors > 0).then(|| format!("; {} errors ({})", report.errors, kinds.join(", ")));
    let strikes = (report.strikes > 0).then(|| format!("; {} wrong answers", report.strikes));
    let last = report.last_error.as_ref().map(|last| format!("; the last: {last}"));
    [cost, metadata, errors, strikes, last].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::Failures;

    #[test]
    fn each_source_has_an_aligned_line_with_rate_failures_and_cost() {
        let fine = Report { source: "/a".into(), objects: 1200, bytes: 2 << 30, bytes_per_second: Some(300 << 20), ..Report::default() };
        let dear = Report {
            source: "s3://b/c".into(),
            objects: 3,
            bytes: 2 << 20,
            cost_micro_usd: Some(270),
            metadata_micro_usd: Some(1),
            ..fine.clone()
        };
        let failures = Failures { network: 2, slow: 1, ..Failures::default() };
        let broken = Report {
            source: "https://c.example/".into(),
            errors: 3,
            failures,
            strikes: 1,
            last_error: Some("reset".into()),
            ..Report::default()
        };
        insta::assert_snapshot!(source_lines(&[fine, dear, broken]), @r"
          /a                  1200 objects  2.0 GiB  300.0 MiB/s
          s3://b/c               3 objects  2.0 MiB  300.0 MiB/s; cost $0.0003, and $0.0001 for heads and manifests
          https://c.example/     0 objects      0 B            -; 3 errors (network 2, slow 1); 1 wrong answers; the last: reset
        ");
    }
}
