//! Holds `docs/faults.md` and `docs/promises.md` against the sources: what they name is there, and what is there is named.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::layering::rust_files;

const FAULTS: &str = include_str!("../../docs/faults.md");
const PROMISES: &str = include_str!("../../docs/promises.md");

/// Each group of cases, and how many it has.
const GROUPS: [(&str, usize); 10] =
    [("HM", 21), ("MF", 18), ("NW", 16), ("ST", 16), ("CR", 10), ("PU", 10), ("GC", 16), ("OP", 13), ("AW", 14), ("SC", 5)];

/// A row of a table of faults.
struct Case {
    id: &'static str,
    state: &'static str,
    tests: Vec<&'static str>,
    remarks: &'static str,
}

fn cells(row: &'static str) -> impl Iterator<Item = &'static str> {
    row.trim_matches('|').split('|').map(str::trim)
}

/// What stands between backticks in a cell.
fn quoted(cell: &'static str) -> Vec<&'static str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn cases() -> Vec<Case> {
    let rows =
        FAULTS.lines().filter(|line| line.strip_prefix("| ").is_some_and(|rest| ids(rest).first().is_some_and(|id| rest.starts_with(id))));
    rows.map(|row| match cells(row).collect::<Vec<_>>()[..] {
        [id, _, state, tests, remarks] => Case { id, state, tests: quoted(tests), remarks },
        _ => panic!("not five cells: {row}"),
    })
    .collect()
}

/// The ids of cases in a text.
fn ids(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words.filter(|word| is_id(word)).collect()
}

fn is_id(word: &str) -> bool {
    let number = |rest: &str| rest.len() == 2 && rest.bytes().all(|b| b.is_ascii_digit());
    word.split_once('-').is_some_and(|(group, rest)| GROUPS.iter().any(|(name, _)| *name == group) && number(rest))
}

/// Every source file that is compiled: all of `src`, and those of the two test programs whose module is declared.
fn sources() -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let programs = [("tests/it", include_str!("main.rs")), ("tests/live", include_str!("../live/main.rs"))];
    let declared = |file: &Path| {
        programs.iter().all(|(folder, main)| {
            let first = file.strip_prefix(root.join(folder)).ok().and_then(|below| below.iter().next()?.to_str());
            first.is_none_or(|name| main.contains(&format!("\nmod {};", name.trim_end_matches(".rs"))))
        })
    };
    let folders = ["src", "tests/it", "tests/live"].into_iter();
    let files = folders.flat_map(|folder| rust_files(&root.join(folder))).filter(|file| declared(file));
    files.map(|file| (file.clone(), fs::read_to_string(&file).expect("a source file can be read"))).collect()
}

/// The names of the test functions of a file.
fn test_names(text: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    let mut marked = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            marked = true;
        } else if let Some((_, after)) = line.split_once("fn ").filter(|(before, _)| matches!(*before, "" | "async ")) {
            if marked {
                names.extend(after.split('(').next());
            }
            marked = false;
        }
    }
    names
}

/// Those of `named` that are no test.
fn missing<'a>(named: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let sources = sources();
    let there: BTreeSet<&str> = sources.values().flat_map(|text| test_names(text)).collect();
    assert!(there.len() > 100, "only {} tests found", there.len());
    named.into_iter().filter(|name| !there.contains(name)).collect()
}

#[test]
fn every_test_that_the_table_of_faults_names_exists() {
    let cases = cases();
    let missing = missing(cases.iter().flat_map(|case| case.tests.iter().copied()));
    assert!(missing.is_empty(), "docs/faults.md names what is no test: {missing:#?}");
}

#[test]
fn every_test_that_the_promises_name_exists() {
    let (_, tests) = PROMISES.split_once("## Tests").expect("the page has a section of tests");
    let named: Vec<&str> = tests.lines().filter(|line| line.starts_with("| P")).flat_map(quoted).collect();
    assert!(named.len() > 20, "only {} tests are named", named.len());
    let missing = missing(named);
    assert!(missing.is_empty(), "docs/promises.md names what is no test: {missing:#?}");
}

#[test]
fn every_case_is_in_the_table_once() {
    let found: Vec<&str> = cases().iter().map(|case| case.id).collect();
    let all = GROUPS.iter().flat_map(|(group, count)| (1..=*count).map(move |number| format!("{group}-{number:02}")));
    assert_eq!(found, all.collect::<Vec<_>>());
}

#[test]
fn every_case_that_the_sources_cite_is_in_the_table() {
    let known: BTreeSet<&str> = cases().iter().map(|case| case.id).collect();
    for (file, text) in sources() {
        let unknown: Vec<_> = ids(&text).into_iter().filter(|id| !known.contains(id)).collect();
        assert!(unknown.is_empty(), "{} cites {unknown:?}", file.display());
    }
}

#[test]
fn a_state_is_one_of_four_and_has_what_it_needs() {
    for Case { id, state, tests, remarks } in cases() {
        let complete = match state {
            "covered" => !tests.is_empty(),
            "partly" | "does not apply" => !remarks.is_empty(),
            "not yet" => tests.is_empty(),
            other => panic!("{id}: {other:?} is no state"),
        };
        assert!(complete, "{id} is {state}: {} tests, remarks {remarks:?}", tests.len());
    }
}
