//! What each module may import, and words that belong to some modules only.

use super::source::{code_only, crate_imports, without_tests};

/// The most lines a file may have.
const MAX_LINES: usize = 500;

/// Each module and the modules that it may import; itself and `types` are open to all.
pub(super) const MODULES: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("fs", &[]),
    ("format", &[]),
    ("store", &["fs"]),
    ("kubo", &[]),
    ("profile", &[]),
    ("progress", &[]),
    ("trust", &["format"]),
    ("catalog", &["format", "trust", "store", "progress", "fs"]),
    ("sources", &["format", "trust", "store", "progress"]),
    ("disk", &["format", "trust", "profile", "progress", "fs"]),
    ("node", &["profile", "progress", "fs"]),
    ("publish", &["catalog", "disk", "node", "sources", "trust", "format", "store", "kubo", "profile", "progress", "fs"]),
    ("restore", &["catalog", "disk", "node", "sources", "trust", "format", "store", "profile", "progress", "fs"]),
    ("ops", &["catalog", "disk", "node", "sources", "trust", "format", "store", "kubo", "profile", "progress", "fs"]),
    (
        "cli",
        &[
            "publish", "restore", "ops", "catalog", "disk", "node", "sources", "trust", "format", "store", "kubo", "profile", "progress",
            "fs",
        ],
    ),
];

/// Modules without files, network, clock or runtime.
const PURE: &[&str] = &["types", "format", "trust", "profile"];

/// What pure code may not name.
const IMPURE: &[&str] = &["tokio", "std::fs", "std::net", "std::{fs", "SystemTime::now", "Instant::now", "Timestamp::now"];

/// What belongs to the command line.
const TERMINAL: &[&str] = &["clap", "indicatif", "println!", "eprintln!", "print!"];

/// Each library of a cloud's service, and where alone it is named.
const SDKS: &[(&str, &str)] = &[
    ("aws_sdk_s3", "store/s3/"),
    ("aws_sdk_cloudfront", "store/s3/"),
    ("aws_sdk_cloudwatch", "ops/usage/cloudwatch.rs"),
    ("aws_sdk_sns", "ops/usage/sinks/sns.rs"),
];

/// Every rule that the file at `path` (below `src`) breaks.
pub(super) fn violations(path: &str, text: &str) -> Vec<String> {
    let code = code_only(text);
    let lines = text.lines().count();
    let too_long = (lines > MAX_LINES).then(|| format!("{lines} lines, at most {MAX_LINES}"));
    [bad_imports(path, &code), bad_words(path, &without_tests(&code)), bad_makers(path, &code)]
        .concat()
        .into_iter()
        .chain(too_long)
        .collect()
}

/// The module that a file belongs to; `None` for the crate's own `lib.rs` and `main.rs`.
fn module_of(path: &str) -> Option<&str> {
    match path.split_once('/') {
        Some((module, _)) => Some(module),
        None => path.strip_suffix(".rs").filter(|name| !["lib", "main"].contains(name)),
    }
}

/// Imports that are not in the table. Tests may build on siblings (a fake store, a recorder); layers above stay out of reach.
fn bad_imports(path: &str, code: &str) -> Vec<String> {
    let Some(module) = module_of(path) else { return Vec::new() };
    let Some(rank) = MODULES.iter().position(|(name, _)| *name == module) else {
        return vec![format!("module {module} is not in the table of layers")];
    };
    let allowed = MODULES[rank].1;
    let fits = |import: &String| import == module || import == "types" || allowed.contains(&import.as_str());
    let is_module = |import: &String| MODULES.iter().any(|(name, _)| name == import);
    let untested = if is_test_file(path) { String::new() } else { without_tests(code) };
    let used = crate_imports(&untested).into_iter().filter(|i| is_module(i) && !fits(i));
    let above = |import: &String| level(import) > level(module);
    let tested = crate_imports(code).into_iter().filter(|i| is_module(i) && above(i));
    let mut bad: Vec<_> = used.chain(tested).map(|import| format!("{module} may not import {import}")).collect();
    bad.sort();
    bad.dedup();
    bad
}

/// Whether a whole file is the test module of what lies beside it.
fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.ends_with("_tests.rs")
}

/// The row of the table in docs/architecture.md, counted from below.
fn level(module: &str) -> u32 {
    match module {
        "types" | "fs" => 0,
        "format" | "store" | "kubo" | "profile" | "progress" => 1,
        "trust" => 2,
        "catalog" | "sources" | "disk" | "node" => 3,
        "publish" | "restore" | "ops" => 4,
        _ => 5,
    }
}

/// Words that this file may not use outside its tests.
fn bad_words(path: &str, code: &str) -> Vec<String> {
    let module = module_of(path).unwrap_or_default();
    let pure = PURE.contains(&module) || path.ends_with("plan.rs") || path.contains("/plan/");
    let mut banned: Vec<&str> = Vec::new();
    banned.extend(IMPURE.iter().filter(|_| pure));
    banned.extend(TERMINAL.iter().filter(|_| module != "cli"));
    banned.extend(SDKS.iter().filter(|(_, home)| !path.starts_with(home)).map(|(sdk, _)| *sdk));
    banned.into_iter().filter(|word| names(code, word)).map(|word| format!("{word} has no place here")).collect()
}

/// Whether `code` has `word`, not as the tail of a longer one.
fn names(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// "Verified" is a type: only the module that checks can make one.
fn bad_makers(path: &str, code: &str) -> Vec<String> {
    let made = |name: &str, home: &str| {
        let literal = [format!("{name} {{"), format!("{name}{{"), format!("{name}(")];
        let declared = [format!("struct {name}"), format!("impl {name}"), format!("-> {name}"), format!("for {name}")];
        let here = code.lines().any(|line| literal.iter().any(|l| names(line, l)) && !declared.iter().any(|d| line.contains(d)));
        (module_of(path) != Some(home) && here).then(|| format!("{name} is made in {home} only"))
    };
    [made("Verified", "trust"), made("VerifiedChunk", "format")].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_upwards_is_found() {
        assert_eq!(violations("disk/mod.rs", "use crate::{publish::Options, format::row::Row};"), ["disk may not import publish"]);
        assert_eq!(violations("store/http.rs", "fn f() { crate::sources::open() }"), ["store may not import sources"]);
    }

    #[test]
    fn a_sibling_may_be_used_in_tests_but_nothing_above() {
        let sibling = "#[cfg(test)]\nmod tests {\n    use crate::store::MemoryStore;\n}";
        assert!(violations("disk/mod.rs", sibling).is_empty());
        assert_eq!(violations("disk/mod.rs", "use crate::store::MemoryStore;"), ["disk may not import store"]);
        assert_eq!(violations("format/mod.rs", &sibling.replace("store", "catalog")), ["format may not import catalog"]);
        for file in ["disk/tests.rs", "disk/crash_tests.rs"] {
            assert!(violations(file, "use crate::store::MemoryStore;").is_empty());
            assert_eq!(violations(file, "use crate::publish::Options;"), ["disk may not import publish"]);
        }
    }

    #[test]
    fn a_module_outside_the_table_is_found() {
        assert_eq!(violations("utils/mod.rs", ""), ["module utils is not in the table of layers"]);
    }

    #[test]
    fn impure_words_are_found_in_pure_modules_and_plans_only() {
        for word in ["use tokio::sync::mpsc;", "use std::fs;", "use std::{fs, io};", "let now = Timestamp::now();"] {
            for path in ["types/hash.rs", "format/row.rs", "trust/policy.rs", "restore/plan.rs"] {
                assert_eq!(violations(path, word).len(), 1, "{path}: {word}");
            }
            assert!(violations("restore/mod.rs", word).is_empty(), "{word}");
        }
        assert!(violations("types/hash.rs", "// tokio\nlet text = \"std::fs\";").is_empty());
    }

    #[test]
    fn the_terminal_belongs_to_the_command_line() {
        assert_eq!(violations("disk/scan.rs", "fn f() { println!() }"), ["println! has no place here"]);
        assert_eq!(violations("ops/list.rs", "use clap::Args;"), ["clap has no place here"]);
        assert!(violations("cli/output.rs", "use clap::Args;").is_empty());
    }

    #[test]
    fn the_sdk_of_one_store_stays_in_its_file() {
        assert_eq!(violations("store/mod.rs", "use aws_sdk_s3::Client;"), ["aws_sdk_s3 has no place here"]);
        assert_eq!(violations("ops/usage/mod.rs", "use aws_sdk_sns::Client;"), ["aws_sdk_sns has no place here"]);
        assert_eq!(violations("ops/usage/cloudwatch.rs", "use aws_sdk_s3::Client;"), ["aws_sdk_s3 has no place here"]);
        assert!(violations("store/s3/client.rs", "use aws_sdk_s3::Client;").is_empty());
        assert!(violations("ops/usage/cloudwatch.rs", "use aws_sdk_cloudwatch::Client;").is_empty());
    }

    #[test]
    fn only_the_module_that_checks_makes_what_is_verified() {
        assert_eq!(violations("catalog/open.rs", "let head = Verified { inner };"), ["Verified is made in trust only"]);
        assert_eq!(violations("disk/read.rs", "write(&VerifiedChunk(bytes))"), ["VerifiedChunk is made in format only"]);
        assert!(violations("trust/mod.rs", "Verified { inner }").is_empty());
        assert!(violations("catalog/open.rs", "fn f(head: &Verified<Head>) -> Verified<Root> {").is_empty());
    }

    #[test]
    fn a_file_that_grew_too_long_is_found() {
        let long = "fn f() {}\n".repeat(MAX_LINES + 1);
        assert_eq!(violations("disk/mod.rs", &long), ["501 lines, at most 500"]);
    }
}
