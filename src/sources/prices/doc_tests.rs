//! The figures of docs/costs.md are those of the table: every row is made here, and the page has it, and no other.

use super::*;
use crate::sources::usd;

const PAGE: &str = include_str!("../../../docs/costs.md");
const MIB: u64 = 1 << 20;

/// The rows of the table below a heading.
fn documented(heading: &str) -> Vec<&'static str> {
    let section = PAGE.split(&format!("\n## {heading}\n")).nth(1).unwrap_or_else(|| panic!("no section {heading:?}"));
    let section = section.split("\n## ").next().unwrap();
    section.lines().skip_while(|line| !line.starts_with("|--")).skip(1).take_while(|line| line.starts_with('|')).collect()
}

#[track_caller]
fn same(heading: &str, rows: Vec<Vec<String>>) {
    let rows: Vec<_> = rows.into_iter().map(|cells| format!("| {} |", cells.join(" | "))).collect();
    assert_eq!(documented(heading), rows, "\n{}\n", rows.join("\n"));
}

/// Money in cents, rounded up as everything that is paid.
fn money(micro_usd: u64) -> String {
    let cents = micro_usd.div_ceil(10_000);
    format!("${}.{:02}", grouped(cents / 100), cents % 100)
}

fn range(cost: CostRange) -> String {
    let (least, most) = (money(cost.least_micro_usd), money(cost.most_micro_usd));
    if least == most { least } else { format!("{least} to {most}") }
}

/// A number with commas.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

/// A price as it stands in a list: without zeros that say nothing, cents at least.
fn price(micro_usd: u64) -> String {
    let text = format!("{}.{:06}", micro_usd / 1_000_000, micro_usd % 1_000_000);
    let zeros = text.len() - text.trim_end_matches('0').len();
    format!("${}", &text[..text.len() - zeros.min(4)])
}

fn table() -> &'static PriceTable {
    PriceTable::builtin()
}

#[test]
fn the_prices_of_buckets() {
    let row = |name: String, prices: &RegionPrices| {
        let per_gb = [&prices.out, &prices.storage].map(|tiers| price(tiers.first_micro_usd_per_gb()));
        let per_1000 = [prices.get_micro_usd(1_000), prices.put_micro_usd(1_000)].map(price);
        vec![name, per_gb[0].clone(), per_1000[0].clone(), per_1000[1].clone(), per_gb[1].clone(), prices.checked.clone()]
    };
    let regions = ["us-east-1", "eu-central-1"];
    assert!(table().regions.keys().all(|region| regions.contains(&region.as_str())));
    let known = regions.map(|region| row(format!("`{region}`"), table().of_region(region)));
    same("The prices", known.into_iter().chain([row("any other".into(), &table().otherwise)]).collect());
}

#[test]
fn what_readers_cost_in_a_month() {
    let s3 = table().of_region("us-east-1");
    let row = |tb: u64| {
        let (bytes, requests) = (tb * TB_BYTES, tb * TB_BYTES / MIB);
        let plans = &table().cdn.plans;
        let plan = plans.iter().find(|plan| plan.bytes() >= bytes && plan.requests >= requests).unwrap();
        let paid_by_owner = s3.out.micro_usd(bytes) + s3.get_micro_usd(requests);
        vec![
            tb.to_string(),
            money(paid_by_owner),
            range(table().cdn.month(PriceClass::Class100, bytes, requests)),
            range(table().cdn.month(PriceClass::All, bytes, requests)),
            format!("{} (`{}`)", money(plan.micro_usd_per_month), plan.name),
            money(ServerPrice { micro_usd_per_month: 50_000_000, micro_usd_per_tb: 1_000_000 }.month_micro_usd(bytes)),
        ]
    };
    same("What readers cost a provider in a month", [1, 2, 5, 10, 20, 50, 100].map(row).into());
}

#[test]
fn what_holding_a_store_costs() {
    let row = |region: &str| {
        let prices = table().of_region(region);
        let [one, ten] = [1, 10].map(|tb| money(prices.storage.micro_usd(tb * TB_BYTES)));
        vec![format!("`{region}`"), one, ten, money(prices.put_micro_usd(TB_BYTES / MIB))]
    };
    same("What a store costs in a month", ["us-east-1", "eu-central-1"].map(row).into());
}

#[test]
fn what_the_plans_allow() {
    let row = |plan: &Plan| {
        let even = table().cdn.break_even_bytes(plan, PriceClass::Class100, MIB);
        let tb = |bytes: u64| format!("{:.1} TB", bytes as f64 / TB_BYTES as f64);
        let bytes = if plan.bytes() < TB_BYTES { format!("{} GB", plan.bytes() / GB_BYTES) } else { tb(plan.bytes()) };
        let most = plan.most_bytes(MIB);
        let through = if most == plan.bytes() { "all of it".to_owned() } else { tb(most) };
        vec![
            format!("`{}`", plan.name),
            money(plan.micro_usd_per_month),
            bytes,
            grouped(plan.requests),
            through,
            format!("{} KiB", grouped(plan.balanced_object_bytes() / 1024)),
            even.map_or_else(|| "never".to_owned(), tb),
        ]
    };
    same("Flat rates of CloudFront", table().cdn.plans.iter().map(row).collect());
}

#[test]
fn what_one_restore_costs() {
    let row = |(name, gib): (&str, u64)| {
        let (bytes, requests) = (gib << 30, gib << 10);
        let read = |from| money(table().of_region("us-east-1").to_read(from).micro_usd(bytes, requests));
        let cdn = |class| money(table().cdn.restore_micro_usd(class, bytes, requests));
        vec![
            name.to_owned(),
            grouped(requests),
            read(ReadFrom::Internet),
            read(ReadFrom::SameRegion),
            cdn(PriceClass::Class100),
            cdn(PriceClass::All),
            money(ServerPrice { micro_usd_per_month: 0, micro_usd_per_tb: 1_000_000 }.month_micro_usd(bytes)),
        ]
    };
    same("What one restore costs", [("pruned, 100 GiB", 100), ("archive, 10 TiB", 10 << 10)].map(row).into());
}

#[test]
fn the_examples_in_sentences() {
    let s3 = table().of_region("us-east-1");
    let nearest = |micro_usd: u64| format!("${:.2}", micro_usd as f64 / 1e6);
    let (writes, month) = (nearest(s3.put_micro_usd(102_400)), nearest(s3.month_micro_usd(100 << 30)));
    for example in [
        format!("about 102,400 objects: {writes} for the writes, and {month} a month."),
        format!("up to {} to the internet, {} within us-east-1 (prices of {})", usd(174_785), usd(768), s3.checked),
    ] {
        assert!(PAGE.contains(&example), "no {example:?}");
    }
    let (bytes, requests) = (1_933_501_235, 1918);
    let read = |from| s3.to_read(from).micro_usd(bytes, requests);
    assert_eq!((usd(read(ReadFrom::Internet)), usd(read(ReadFrom::SameRegion))), (usd(174_785), usd(768)));
}
