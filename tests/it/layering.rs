//! The layers of `docs/architecture.md` as data, and a check of the sources against it.

mod rules;
mod source;

use std::{
    fs,
    path::{Path, PathBuf},
};

use rules::violations;

/// Every Rust file below `dir`.
pub(crate) fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files
}

#[test]
fn imports_go_down_and_pure_modules_stay_pure() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = rust_files(&src);
    assert!(files.len() > 30, "only {} files found below {}", files.len(), src.display());
    let mut found = Vec::new();
    for file in files {
        let path = file.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&file).unwrap();
        found.extend(violations(&path, &text).into_iter().map(|rule| format!("src/{path}: {rule}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_documentation_shows_the_same_table() {
    let page = include_str!("../../docs/architecture.md");
    for (module, imports) in rules::MODULES {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{module}` |"))).unwrap_or_else(|| panic!("no row for {module}"));
        let last = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let documented: Vec<_> = last.split('`').skip(1).step_by(2).collect();
        assert_eq!(&documented, imports, "the row of {module}");
    }
}
