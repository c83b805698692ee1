//! `qsync usage projection`: what this month is going to be at its end, what it costs, and which limits it passes.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use bytesize::ByteSize;
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::open;
use crate::{
    cli::{
        Code,
        config::{By, Source, Usage, nearest},
        context::Context,
        exit::Failure,
        output::{self, Format},
    },
    ops::usage::{
        self, Metered, Month, StoreName, plan,
        projection::{Basis, Billing, Breach, Limit, Projected, Projection, Tariff, project},
        state,
    },
    sources::{CostRange, PriceClass, PriceTable, usd},
    store::StoreUrl,
    types::Timestamp,
};

const EXAMPLES: &str = "\
Examples:
  qsync usage projection                  all stores of [usage] in the configuration
  qsync usage projection --exit-code      the same, and exit 20 when a limit is going to be passed
  qsync usage projection --report /srv/reports/limits.txt
";

/// Tell what this month is going to be at its end and what it costs, from what `usage tick` has counted
///
/// Limits are quota_tb_month in [usage] and in [usage.billing.STORE], and those of a flat rate. A month goes on as it went; in its first three
/// days the rate of the month before fills what is missing.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct ProjectionArgs {
    /// Exit with 20 when a limit is passed, or going to be before the month ends
    #[arg(long)]
    exit_code: bool,
    /// File to write a report to when a limit is passed, or going to be; nothing is written otherwise
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// All stores together. Field names are a promise (docs/scripting.md).
#[derive(Debug, Serialize)]
struct Summary {
    month: Month,
    counted_at: Option<Timestamp>,
    bytes: u64,
    month_end_bytes: Option<u64>,
    month_end_cost: Option<CostRange>,
    breaches: usize,
    prices_of: String,
}

/// Projects; the stores and the limits that are passed come before the summary.
pub(super) async fn run(args: ProjectionArgs, context: &Context) -> Result<(), Failure> {
    let usage = context.config.usage();
    let billing = billing(usage, context)?;
    let store = open::store(context).await?;
    let (state, tag) = context.until_stopped(async { Ok(state::load(&store).await?) }).await?;
    if tag.is_none() {
        let failure = Failure::new(Code::NotFound, format!("{} has no usage/state.json: nothing was counted yet", store.name()));
        return Err(failure.hint("qsync usage tick counts"));
    }
    // A clock that is far behind would show an old month as the one that is now.
    let now = plan::no_earlier(context.now, state.last_tick).map_err(usage::Error::from)?;
    let quota_bytes = usage.quota_tb_month.map(|quota| quota.bytes(usage.tb_bytes.0));
    let found = project(&state, &billing, quota_bytes, now, PriceTable::builtin());
    let summary = summary(&found, now, state.last_tick);
    context.finish_progress();
    if let Some(file) = args.report.filter(|_| !found.breaches.is_empty()) {
        write_report(&file, &(full_text(&found) + &text(&summary)), context)?;
    }
    match context.output.format() {
        Format::Json => {
            found.stores.iter().for_each(|store| context.output.item("projected", store, |_| String::new()));
            found.breaches.iter().for_each(|breach| context.output.item("limit-passed", breach, |_| String::new()));
        }
        Format::Text => output::stdout(full_text(&found).as_bytes()),
    }
    match failure(&found.breaches).filter(|_| args.exit_code) {
        Some(failure) => {
            context.output.item("result", &summary, text);
            Err(failure)
        }
        None => {
            context.output.summary("usage projection", &summary, text);
            Ok(())
        }
    }
}

fn summary(found: &Projection, now: Timestamp, counted_at: Option<Timestamp>) -> Summary {
    Summary {
        month: Month::of(now),
        counted_at,
        bytes: found.all.bytes,
        month_end_bytes: found.all.month_end_bytes,
        month_end_cost: found.all.month_end_cost,
        breaches: found.breaches.len(),
        prices_of: PriceTable::builtin().oldest_checked().to_owned(),
    }
}

/// Whole or not at all, so that whoever looks for it never reads half of it.
fn write_report(file: &Path, text: &str, context: &Context) -> Result<(), Failure> {
    let wrong = |e: std::io::Error| {
        Failure::from_error(Code::Io, &e)
            .context(format!("the report cannot be written to {}", file.display()))
            .hint("name another file with --report")
    };
    context.fs.write_durable(file, text.as_bytes(), 0o644).map_err(wrong)
}

/// What is agreed for each store that is counted.
fn billing(usage: &Usage, context: &Context) -> Result<BTreeMap<StoreName, Billing>, Failure> {
    let names: Vec<_> = usage.sources.iter().map(|source| source.store.as_str()).collect();
    if names.is_empty() {
        let failure = Failure::new(Code::Config, "nothing to count: the configuration has no usage.sources");
        return Err(failure.hint("docs/usage.md shows a configuration"));
    }
    if let Some(stranger) = usage.billing.keys().find(|name| !names.contains(&name.as_str())) {
        let meant = nearest(stranger.as_str(), &names).map(|name| format!("; did you mean {name}?")).unwrap_or_default();
        let failure = Failure::new(Code::Config, format!("usage.billing.{stranger} is of a store that no source counts"));
        return Err(failure.hint(format!("usage.sources has {}{meant}", names.join(", "))));
    }
    let of = |source: &Source| {
        let said = usage.billing.get(&source.store).cloned().unwrap_or_default();
        let tariff = said.tariff.or_else(|| usual(&source.by, context.config.store_url(source.store.as_str())));
        (source.store.clone(), Billing { tariff, quota_bytes: said.quota.map(|quota| quota.bytes(usage.tb_bytes.0)) })
    };
    Ok(usage.sources.iter().map(of).collect())
}

/// What a store costs of which the configuration does not say it: the dearest that it can be, and nothing where its URL says that readers
/// pay. Nobody knows what a server costs.
fn usual(by: &By, url: Option<&str>) -> Option<Tariff> {
    let location = url.and_then(|url| url.parse::<StoreUrl>().ok());
    let readers_pay = matches!(&location, Some(StoreUrl::S3(location)) if location.readers_pay());
    match by {
        By::CloudWatch(Metered::Distribution { .. }) => Some(Tariff::Delivered(PriceClass::All)),
        By::CloudWatch(Metered::Bucket { .. }) if readers_pay => Some(Tariff::ReadersPay),
        By::CloudWatch(Metered::Bucket { region, .. }) => Some(Tariff::Bucket(region.clone())),
        By::Kubo(_) => None,
    }
}

fn full_text(found: &Projection) -> String {
    let breaches: String = found.breaches.iter().map(breach_line).collect();
    format!("{}\n{breaches}", table(&found.stores))
}

fn table(stores: &[Projected]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["STORE", "MONTH", "SO FAR", "MONTH END", "COST", "QUOTA", "FROM"]);
    for store in stores {
        table.add_row([
            store.store.to_string(),
            store.month.to_string(),
            store.data_until.map_or_else(|| "unknown".to_owned(), |_| ByteSize(store.bytes).to_string()),
            store.month_end_bytes.map_or_else(|| "-".to_owned(), |bytes| ByteSize(bytes).to_string()),
            store.month_end_cost.map_or_else(|| "-".to_owned(), range),
            store.quota_bytes.map_or_else(|| "-".to_owned(), |bytes| ByteSize(bytes).to_string()),
            basis(store.basis).to_owned(),
        ]);
    }
    for column in table.column_iter_mut().skip(2).take(4) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn basis(basis: Basis) -> &'static str {
    match basis {
        Basis::ThisMonth => "this month",
        Basis::LastMonth => "this month and the last",
        Basis::TooEarly => "too early to tell",
    }
}

fn range(cost: CostRange) -> String {
    let (least, most) = (usd(cost.least_micro_usd), usd(cost.most_micro_usd));
    if least == most { least } else { format!("{least} to {most}") }
}

fn breach_line(breach: &Breach) -> String {
    let who = breach.store.as_ref().map_or("all stores together", StoreName::as_str);
    let what = match breach.limit {
        Limit::Quota => "quota",
        Limit::PlanBytes => "the bytes of its flat rate",
        Limit::PlanRequests => "the requests of its flat rate, at 1 MiB each",
    };
    let so_far = ByteSize(breach.bytes);
    let end = breach.month_end_bytes.map_or_else(|| "too early to tell".to_owned(), |bytes| ByteSize(bytes).to_string());
    let when = breach.passes_at.map_or_else(|| "passed already".to_owned(), |time| format!("passed about {time}"));
    format!("LIMIT {who}: {what}, {} in {}: {when}; {so_far} so far, {end} at the end\n", ByteSize(breach.limit_bytes), breach.month)
}

fn failure(breaches: &[Breach]) -> Option<Failure> {
    let details: Vec<_> = breaches.iter().map(|breach| breach_line(breach).trim_end().to_owned()).collect();
    let failure = Failure::new(Code::LimitPassed, format!("{} limits are passed, or going to be before the month ends", details.len()));
    (!details.is_empty())
        .then(|| Failure { details, ..failure }.hint("raise quota_tb_month, change the plan, or serve less: docs/costs.md"))
}

fn text(summary: &Summary) -> String {
    let end = summary.month_end_bytes.map_or_else(|| "too early to tell".to_owned(), |bytes| ByteSize(bytes).to_string());
    let cost = summary.month_end_cost.map(|cost| format!(", {} for what is read (prices of {})", range(cost), summary.prices_of));
    format!("{}: {} so far, {end} at the end{}\n", summary.month, ByteSize(summary.bytes), cost.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(name: &str) -> Projected {
        Projected {
            store: name.parse().unwrap(),
            month: "2026-11".parse().unwrap(),
            bytes: 10 << 40,
            data_until: Some("2026-11-16T00:00:00Z".parse().unwrap()),
            basis: Basis::ThisMonth,
            month_end_bytes: Some(20 << 40),
            cost: None,
            month_end_cost: Some(CostRange { least_micro_usd: 1_618_651_520, most_micro_usd: 1_666_925_824 }),
            quota_bytes: Some(15 << 40),
        }
    }

    fn breach() -> Breach {
        Breach {
            store: Some("cdn".parse().unwrap()),
            month: "2026-11".parse().unwrap(),
            limit: Limit::Quota,
            limit_bytes: 15 << 40,
            bytes: 10 << 40,
            month_end_bytes: Some(20 << 40),
            passes_at: Some("2026-11-23T12:00:00Z".parse().unwrap()),
        }
    }

    #[test]
    fn stores_and_limits_are_shown_one_line_each() {
        let early = Projected {
            data_until: None,
            bytes: 0,
            basis: Basis::TooEarly,
            month_end_bytes: None,
            month_end_cost: None,
            quota_bytes: None,
            ..store("ipfs")
        };
        let together = Breach { store: None, limit: Limit::PlanRequests, passes_at: None, month_end_bytes: None, ..breach() };
        let found =
            Projection { stores: vec![store("cdn"), early], breaches: vec![breach(), together], all: usage::projection::Sum::default() };
        let text: String = full_text(&found).lines().map(|line| format!("{}\n", line.trim())).collect();
        insta::assert_snapshot!(text, @r"
        STORE  MONTH      SO FAR  MONTH END                      COST     QUOTA  FROM
        cdn    2026-11  10.0 TiB   20.0 TiB  $1618.6516 to $1666.9259  15.0 TiB  this month
        ipfs   2026-11   unknown          -                         -         -  too early to tell
        LIMIT cdn: quota, 15.0 TiB in 2026-11: passed about 2026-11-23T12:00:00Z; 10.0 TiB so far, 20.0 TiB at the end
        LIMIT all stores together: the requests of its flat rate, at 1 MiB each, 15.0 TiB in 2026-11: passed already; 10.0 TiB so far, too early to tell at the end
        ");
    }

    #[test]
    fn a_limit_that_is_passed_is_a_failure_for_who_asked() {
        assert_eq!(failure(&[]), None);
        let failure = failure(&[breach()]).unwrap();
        assert_eq!((failure.code, failure.details.len()), (Code::LimitPassed, 1));
    }

    #[test]
    fn what_nobody_says_costs_what_it_can_at_most_and_readers_who_pay_are_known_by_the_url() {
        let bucket = By::CloudWatch(Metered::Bucket { name: "b".into(), region: "eu-central-1".into(), filter_id: "all".into() });
        assert_eq!(usual(&bucket, None), Some(Tariff::Bucket("eu-central-1".into())));
        assert_eq!(usual(&bucket, Some("s3://b/v1?requester_pays=true")), Some(Tariff::ReadersPay));
        assert_eq!(usual(&bucket, Some("s3://b/v1")), Some(Tariff::Bucket("eu-central-1".into())));
        let distribution = By::CloudWatch(Metered::Distribution { id: "E1".into() });
        assert_eq!(usual(&distribution, Some("s3://b?requester_pays=true")), Some(Tariff::Delivered(PriceClass::All)));
    }
}
