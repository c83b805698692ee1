//! Replays what the fuzzers found worth keeping, with the same checks. SC-05

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use rand::{Rng, RngExt as _, SeedableRng as _, rngs::StdRng};

#[path = "../fuzz/targets.rs"]
mod targets;

/// The most bytes of all corpora together: they are part of every checkout.
const MAX_BYTES: usize = 300 << 10;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

/// How often each input is changed.
const CHANGES: usize = 1_000;

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

// SC-05, MF-11
#[test]
fn no_change_of_any_input_breaks_what_is_checked_of_it() {
    let mut rng = StdRng::seed_from_u64(1);
    for (name, check) in targets::ALL {
        for input in inputs(name) {
            for _ in 0..CHANGES {
                check(&changed(input.clone(), &mut rng));
            }
        }
    }
}

/// An input with up to four bytes changed, taken out, doubled or put in, or cut off.
fn changed(mut input: Vec<u8>, rng: &mut impl Rng) -> Vec<u8> {
    for _ in 0..rng.random_range(1..5) {
        let at = rng.random_range(0..input.len().max(1));
        match rng.random_range(0..6) {
            0 if at < input.len() => drop(input.remove(at)),
            1 => input.truncate(at),
            2 if at < input.len() => input[at] ^= 1 << rng.random_range(0..8),
            3 if at < input.len() => input.insert(at, input[at]),
            4 if at < input.len() => input[at] = *[0, 1, 0x7f, 0x80, 0xff].get(rng.random_range(0..5_usize)).unwrap(),
            _ => input.insert(at.min(input.len()), rng.random_range(0..=255)),
        }
    }
    input
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
