//! Replays what the fuzzers found worth keeping, with the same checks. SC-05

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

#[path = "../fuzz/targets.rs"]
mod targets;

/// The most bytes of all corpora together: they are part of every checkout.
const MAX_BYTES: usize = 300 << 10;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

/// The inputs of a corpus.
fn inputs(name: &str) -> Vec<Vec<u8>> {
    let folder = fuzz().join("corpus").join(name);
    let files = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
}

// SC-05, MF-11
#[test]
fn every_input_of_every_corpus_keeps_what_is_checked_of_it() {
    for (name, check) in targets::ALL {
        let read = inputs(name).iter().filter(|input| check(input)).count();
        assert!(read > 0, "not one input of {name} is read");
    }
}

#[test]
fn the_corpora_stay_small() {
    let bytes: usize = targets::ALL.iter().flat_map(|(name, _)| inputs(name)).map(|input| input.len()).sum();
    assert!(bytes < MAX_BYTES, "{bytes} bytes: cargo fuzz cmin makes them smaller");
}

#[test]
fn every_check_has_a_fuzzer_and_a_corpus_and_there_are_no_others() {
    let checks: BTreeSet<String> = targets::ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    let names = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(fuzz().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("fuzz_targets"), checks);
    assert_eq!(names("corpus"), checks);
    let package = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for name in &checks {
        let fuzzer = fs::read_to_string(fuzz().join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(fuzzer.contains(&format!("targets::run(\"{name}\", input)")), "{fuzzer}");
        assert!(package.contains(&format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"")), "{name} is not built");
        // `run` finds every check that a fuzzer names.
        targets::run(name, &[]);
    }
}
