//! Hostile manifests, and honest ones that must come back as they were.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{
    format::{
        json::JsonError,
        row::{RowError, Stored},
        shape::FileShape,
    },
    types::ChunkSize,
};

const C: u64 = ChunkSize::MIN_BYTES as u64;

fn about() -> About {
    About {
        channel: "kusama/rocksdb-pruned".parse().unwrap(),
        height: Some(24_187_312),
        block_hash: Some("0x12".to_owned()),
        genesis: None,
        finalized: Some(Block { height: 24_187_309, hash: "0x11".to_owned() }),
        labels: BTreeMap::from([("mode".to_owned(), "full".to_owned())]),
        encoder: "zstd 1.5.7/1".to_owned(),
        taken_at: "2026-11-20T03:00:12Z".parse().unwrap(),
        client: Some(Client { name: "polkadot".to_owned(), version: Some("1.18.0".to_owned()) }),
        engine: Some(Engine { name: "rocksdb".to_owned(), format: None }),
        chunk_size: ChunkSize::try_from(C).unwrap(),
        subtrees: None,
    }
}

fn row(seed: u64) -> Row {
    let hash = Hash::of(&seed.to_le_bytes());
    Row { raw: hash, stored: Stored::Frame { hash, bytes: 10 } }
}

/// A file of `bytes` with made-up rows, none of them a hole.
fn file(path: &str, bytes: u64) -> FileEntry {
    let shape = FileShape::new(bytes, ChunkSize::try_from(C).unwrap());
    let layout = if shape.has_lists() {
        Layout::Lists((0..shape.segments()).map(|i| Hash::of(&i.to_le_bytes())).collect())
    } else {
        Layout::Rows((0..shape.chunks()).map(row).collect())
    };
    FileEntry { path: path.parse().unwrap(), bytes, b3: Hash::of(path.as_bytes()), layout }
}

fn dirs(paths: &[&str]) -> Vec<RelPath> {
    paths.iter().map(|path| path.parse().unwrap()).collect()
}

fn sums(frame_bytes: u64, hole_bytes: u64) -> RowSums {
    RowSums { frame_bytes, hole_bytes }
}

/// Ten bytes for each row in the manifest, as [`row`] makes them.
fn sums_of(files: &[FileEntry]) -> RowSums {
    let rows = |file: &FileEntry| if let Layout::Rows(rows) = &file.layout { rows.len() as u64 } else { 0 };
    sums(files.iter().map(rows).sum::<u64>() * 10, 0)
}

fn small() -> Manifest {
    let files = vec![file("db/full/000012.sst", 5 * C), file("db/full/CURRENT", 16), file("empty", 0)];
    Manifest::new(about(), dirs(&["db", "db/full", "db/none"]), files, sums(1010, C)).unwrap()
}

fn json(manifest: &Manifest) -> String {
    let mut text = Vec::new();
    manifest.write_json(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// The small manifest with one piece of its JSON replaced.
fn parse_with(from: &str, to: &str) -> Result<Manifest, ManifestError> {
    let text = json(&small());
    assert!(text.contains(from), "{from} is not in {text}");
    Manifest::parse(text.replacen(from, to, 1).as_bytes())
}

fn refuse(paths: &[&str], files: &[&str]) -> ManifestError {
    let files: Vec<_> = files.iter().map(|path| file(path, 0)).collect();
    Manifest::new(about(), dirs(paths), files, RowSums::default()).unwrap_err()
}

#[test]
fn the_json_has_the_published_names_in_the_published_order() {
    let hash = |text: &[u8]| Hash::of(text).to_string();
    let rows = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, row(0).encode());
    let text = json(&small());
    let expected = [
        r#"{"format":"qsync-manifest/1","chain":"kusama","profile":"rocksdb-pruned","height":24187312,"block_hash":"0x12","genesis":null,"#,
        r#""finalized":{"height":24187309,"hash":"0x11"},"labels":{"mode":"full"},"encoder":"zstd 1.5.7/1","#,
        r#""taken_at":"2026-11-20T03:00:12Z","client":{"name":"polkadot","version":"1.18.0"},"engine":{"name":"rocksdb","format":null},"#,
        r#""chunk_bytes":65536,"subtrees":[""],"totals":{"files":3,"bytes":327696,"chunks":6,"frame_bytes":1010,"hole_bytes":65536},"#,
        r#""dirs":["db","db/full","db/none"],"files":["#,
        &format!(r#"{{"path":"db/full/000012.sst","bytes":327680,"b3":"{}","#, hash(b"db/full/000012.sst")),
        &format!(r#""lists":["{}"]}},"#, hash(&[0; 8])),
        &format!(r#"{{"path":"db/full/CURRENT","bytes":16,"b3":"{}","rows":"{rows}"}},"#, hash(b"db/full/CURRENT")),
    ]
    .concat();
    let last = format!(r#"{{"path":"empty","bytes":0,"b3":"{}","rows":""}}]}}"#, hash(b"empty"));
    assert_eq!(text, expected + &last);
}

#[test]
fn what_is_stored_is_parsed() {
    let stored = small().to_stored(3).unwrap();
    assert_eq!(stored.id, Hash::of(&stored.bytes));
    assert_eq!(stored.json_bytes, json(&small()).len() as u64);
    assert_eq!(Manifest::parse_stored(&stored.bytes, stored.json_bytes).unwrap(), small());
    assert_eq!(small().find("db/full/CURRENT").unwrap().0, 1);
}

// MF-04
#[test]
fn unknown_fields_are_ignored_and_absent_facts_are_unknown() {
    let manifest = parse_with(r#""path":"empty","#, r#""mode":"4755","uid":0,"path":"empty","xattrs":{"a":[1]},"#).unwrap();
    assert_eq!(manifest, small());
    let generic = parse_with(r#""height":24187312,"#, "").unwrap();
    assert_eq!(generic.about().height, None);
}

// MF-01
#[test]
fn refuses_every_path_trick() {
    for bad in ["../x", "/etc/x", "a//b", "a/./b", "", "a/", "a\\u0000b", "a\\nb", "a\\\\b", "C:x", "\u{e4}"] {
        for from in [r#""path":"empty""#, r#""db/none""#] {
            let to = from.replace("empty", bad).replace("db/none", bad);
            assert!(matches!(parse_with(from, &to), Err(ManifestError::Json { .. })), "{to}");
        }
    }
}

// MF-02
#[test]
fn refuses_paths_that_cannot_all_exist() {
    assert!(matches!(refuse(&[], &["a", "a"]), ManifestError::SamePath { .. }));
    assert!(matches!(refuse(&["a", "a"], &[]), ManifestError::SamePath { .. }));
    assert!(matches!(refuse(&[], &["A", "a"]), ManifestError::SamePath { .. }));
    assert!(matches!(refuse(&["A", "a"], &["A/x", "a/y"]), ManifestError::SamePath { .. }));
    assert!(matches!(refuse(&["d"], &["d/Aa", "d/B", "d/aA"]), ManifestError::SamePath { .. }));
    assert!(matches!(refuse(&["a"], &["a"]), ManifestError::SamePath { .. }));
    assert!(matches!(refuse(&["a"], &["A"]), ManifestError::SamePath { .. }));
    // The file and what lies below it do not sort side by side.
    assert!(matches!(refuse(&[], &["a", "a-b", "a/c"]), ManifestError::BelowFile { file, .. } if file == "a"));
    assert!(matches!(refuse(&["a/b"], &["a", "a/b/c"]), ManifestError::BelowFile { file, .. } if file == "a"));
}

#[test]
fn refuses_directories_that_are_not_named_and_lists_that_are_not_sorted() {
    assert!(matches!(refuse(&["a"], &["a/b/c"]), ManifestError::MissingDir { dir, .. } if dir == "a/b"));
    assert!(matches!(refuse(&["a/b"], &["a/b/c"]), ManifestError::MissingDir { dir, .. } if dir == "a"));
    assert!(matches!(refuse(&[], &["b", "a"]), ManifestError::Unsorted { .. }));
    assert!(matches!(refuse(&["b", "a"], &[]), ManifestError::Unsorted { .. }));
}

#[test]
fn every_path_lies_in_a_subtree_or_leads_to_one() {
    let with = |subtrees: &[&str], paths: &[&str], files: &[&str]| {
        let about = About { subtrees: Some(dirs(subtrees)), ..about() };
        let files: Vec<_> = files.iter().map(|path| file(path, 0)).collect();
        Manifest::new(about, dirs(paths), files, RowSums::default())
    };
    assert!(with(&["x/db", "static"], &["static", "x", "x/db", "x/db/y"], &["static/a", "x/db/y/b"]).is_ok());
    assert!(with(&["d", "one"], &["d"], &["one"]).is_ok(), "a subtree may be a file");
    for (paths, files) in [(&["x"][..], &["x/db2"][..]), (&["x", "x/other"], &[]), (&["x"], &["x/a"]), (&[], &["a"])] {
        assert!(matches!(with(&["x/db"], paths, files), Err(ManifestError::OutsideSubtrees { .. })), "{paths:?} {files:?}");
    }
    for subtrees in [&[][..], &["a", "a"], &["a", "a-b", "a/b/c"]] {
        assert!(matches!(with(subtrees, &[], &[]), Err(ManifestError::Subtrees { .. })), "{subtrees:?}");
    }
    assert!(matches!(parse_with(r#""subtrees":[""]"#, r#""subtrees":["","db"]"#), Err(ManifestError::Json { .. })));
    let owned = with(&["a"], &[], &[]).unwrap();
    assert_eq!(Manifest::parse(json(&owned).as_bytes()).unwrap(), owned);
}

// MF-06
#[test]
fn refuses_rows_and_lists_that_do_not_fit_the_length() {
    let new = |file: FileEntry| Manifest::new(about(), vec![], vec![file], sums(0, 0)).unwrap_err();
    let mut bad = file("f", 2 * C);
    bad.bytes = C;
    assert!(matches!(new(bad.clone()), ManifestError::Count { what: "rows", expected: 1, found: 2, .. }));
    bad.bytes = 5 * C;
    assert!(matches!(new(bad), ManifestError::Layout { expected: "lists", .. }));
    let mut bad = file("f", 15_360 * C);
    bad.bytes += 1;
    assert!(matches!(new(bad.clone()), ManifestError::Count { what: "lists", expected: 2, found: 1, .. }));
    bad.bytes = 4 * C;
    assert!(matches!(new(bad), ManifestError::Layout { expected: "rows", .. }));
    let mut bad = file("f", 7);
    bad.layout = Layout::Rows(Box::new([Row { raw: row(0).raw, stored: Stored::Frame { hash: row(0).raw, bytes: 72 } }]));
    assert!(matches!(new(bad.clone()), ManifestError::Row { index: 0, source: RowError::FrameLength { max_bytes: 71, .. }, .. }));
    bad.layout = Layout::Rows(Box::new([Row { raw: row(0).raw, stored: Stored::Hole }]));
    assert!(matches!(new(bad), ManifestError::Row { index: 0, source: RowError::NotZero { .. }, .. }));
}

// MF-06
#[test]
fn refuses_rows_that_are_not_rows() {
    let zeros = |bytes: usize| "A".repeat(bytes / 3 * 4);
    for bad in ["\"rows\":\"?\"".to_owned(), "\"rows\":\"AA\"".to_owned(), format!("\"rows\":\"{}\"", zeros(66))] {
        assert!(matches!(parse_with("\"rows\":\"\"", &bad), Err(ManifestError::Json { .. })), "{bad}");
    }
    // 204 bytes are three rows, and the file is empty.
    let three = format!("\"rows\":\"{}\"", zeros(204));
    assert!(matches!(parse_with("\"rows\":\"\"", &three), Err(ManifestError::Count { expected: 0, found: 3, .. })));
    assert!(matches!(parse_with("\"rows\":\"\"", "\"rows\":\"\",\"lists\":[]"), Err(ManifestError::Json { .. })));
    assert!(matches!(parse_with(",\"rows\":\"\"", ""), Err(ManifestError::Json { .. })));
    assert!(matches!(parse_with("\"rows\":\"\"", "\"lists\":[]"), Err(ManifestError::Layout { expected: "rows", .. })));
}

// MF-07
#[test]
fn refuses_totals_that_do_not_add_up() {
    for (from, what) in [("\"files\":3", "files"), ("\"bytes\":327696", "bytes"), ("\"chunks\":6", "chunks")] {
        let error = parse_with(from, &format!("{from}0")).unwrap_err();
        assert!(matches!(error, ManifestError::Total { what: found, .. } if found == what), "{error}");
    }
    // The list of five chunks may hold at most so much; the row of the small file holds ten bytes and no hole.
    let most_frames = 10 + 5 * C + 5 * C / 1024 + 5 * 64;
    let with = |sums| Manifest::new(about(), vec![], vec![file("a", 5 * C), file("b", 16)], sums);
    assert!(with(sums(10, 5 * C)).is_ok() && with(sums(most_frames, 0)).is_ok());
    for bad in [sums(9, 0), sums(most_frames + 1, 0), sums(u64::MAX, 0)] {
        assert!(matches!(with(bad), Err(ManifestError::Total { what: "frame_bytes", .. })), "{bad:?}");
    }
    assert!(matches!(with(sums(10, 5 * C + 1)), Err(ManifestError::Total { what: "hole_bytes", .. })));
}

// MF-07, MF-15
#[test]
fn refuses_more_than_the_caps_and_says_which() {
    for bytes in [100_000_001 * C, 100 << 50, u64::MAX] {
        let entry = FileEntry { bytes, ..file("f", 0) };
        let error = Manifest::new(about(), vec![], vec![entry.clone(), entry], sums(0, 0));
        assert!(matches!(error, Err(ManifestError::SamePath { .. })));
        let entries = ["f", "g"].map(|path| FileEntry { bytes, ..file(path, 0) });
        let error = Manifest::new(about(), vec![], entries.to_vec(), sums(0, 0)).unwrap_err();
        assert!(matches!(error, ManifestError::TooMany { what: "chunks", max: 100_000_000, .. }), "{error}");
    }
    assert!(matches!(parse_with("\"bytes\":16", "\"bytes\":18446744073709551616"), Err(ManifestError::Json { .. })));
}

// MF-15
#[test]
fn a_snapshot_of_nothing_is_one() {
    let nothing = Manifest::new(about(), vec![], vec![], RowSums::default()).unwrap();
    assert_eq!(nothing.totals(), Totals::default());
    assert_eq!(Manifest::parse(json(&nothing).as_bytes()).unwrap(), nothing);
}

// MF-10
#[test]
fn a_stored_manifest_is_not_decompressed_beyond_the_signed_length() {
    let StoredManifest { bytes, json_bytes, .. } = small().to_stored(3).unwrap();
    for lie in [0, json_bytes - 1, json_bytes + 1, 1 << 30] {
        assert!(matches!(Manifest::parse_stored(&bytes, lie), Err(ManifestError::JsonLength { .. })), "{lie}");
    }
    assert!(matches!(Manifest::parse_stored(&bytes, (1 << 30) + 1), Err(ManifestError::TooLong { form: "as JSON", .. })));
    let bomb = zstd::bulk::compress(&vec![b' '; 64 << 20], 19).unwrap();
    assert!(matches!(Manifest::parse_stored(&bomb, json_bytes), Err(ManifestError::JsonLength { .. })));
}

// MF-10
#[test]
fn a_stored_manifest_is_one_whole_frame_with_a_bounded_window() {
    let StoredManifest { bytes, json_bytes, .. } = small().to_stored(3).unwrap();
    let parse = |bytes: &[u8]| Manifest::parse_stored(bytes, json_bytes).unwrap_err();
    assert!(matches!(parse(&[&bytes[..], b"xyz"].concat()), ManifestError::Trailing { extra_bytes: 3 }));
    for length in 0..bytes.len() {
        assert!(matches!(parse(&bytes[..length]), ManifestError::Decompress { .. } | ManifestError::JsonLength { .. }), "{length}");
    }
    let mut wide = zstd::Encoder::new(Vec::new(), 1).unwrap();
    wide.window_log(27).unwrap();
    std::io::Write::write_all(&mut wide, json(&small()).as_bytes()).unwrap();
    assert!(matches!(parse(&wide.finish().unwrap()), ManifestError::Decompress { .. }));
}

// MF-11
#[test]
fn refuses_json_that_can_be_read_two_ways() {
    for (from, to) in [
        ("\"height\":", "\"height\":1,\"height\":"),
        ("\"mode\":\"full\"", "\"mode\":\"full\",\"mode\":\"archive\""),
        ("\"height\":", "\"extra\":[{\"a\":1,\"a\":2}],\"height\":"),
    ] {
        let error = parse_with(from, to).unwrap_err();
        assert!(matches!(error, ManifestError::Json { source: JsonError::DuplicateKey { .. } }), "{error:?}");
    }
    for to in ["NaN", "1e400", "-1", "1.5", "\"1\"", &"[".repeat(5000)] {
        assert!(matches!(parse_with("24187312", to), Err(ManifestError::Json { .. })), "{to}");
    }
    let text = json(&small());
    assert!(Manifest::parse(format!("\u{feff}{text}").as_bytes()).is_err());
    assert!(Manifest::parse(format!("{text}{text}").as_bytes()).is_err());
}

// MF-12
#[test]
fn another_format_asks_for_a_newer_release_whatever_else_it_says() {
    for text in [r#"{"format":"qsync-manifest/2"}"#, r#"{"files":7,"format":"qsync-manifest/2"}"#] {
        let error = Manifest::parse(text.as_bytes()).unwrap_err();
        assert!(matches!(&error, ManifestError::NewerFormat { found, .. } if found == "qsync-manifest/2"), "{error:?}");
        assert!(error.to_string().ends_with("a newer qsync is needed"), "{error}");
    }
    assert!(matches!(Manifest::parse(b"{}"), Err(ManifestError::Json { .. })));
}

#[test]
fn refuses_names_and_sizes_outside_the_vocabulary() {
    for (from, to) in [
        ("\"chain\":\"kusama\"", "\"chain\":\"a/b\""),
        ("\"profile\":\"rocksdb-pruned\"", "\"profile\":\"..\""),
        ("\"chunk_bytes\":65536", "\"chunk_bytes\":33554432"),
        ("\"chunk_bytes\":65536", "\"chunk_bytes\":0"),
        ("2026-11-20T03:00:12Z", "yesterday"),
    ] {
        assert!(matches!(parse_with(from, to), Err(ManifestError::Json { .. })), "{to}");
    }
}

/// Manifests of any shape: a tree of a few names, files of 0 to 7 chunks.
fn any_manifest() -> impl Strategy<Value = Manifest> {
    let path = proptest::collection::vec("[a-c]|[0-9._+-]x", 1..4).prop_map(|parts| parts.join("/"));
    proptest::collection::btree_map(path, 0..7 * C, 0..12).prop_map(|wanted| {
        let ancestors = |path: &str| path.match_indices('/').map(|(at, _)| path[..at].to_owned()).collect::<Vec<_>>();
        let dirs: BTreeSet<String> = wanted.keys().flat_map(|path| ancestors(path)).collect();
        let files: Vec<_> = wanted.iter().filter(|(path, _)| !dirs.contains(*path)).map(|(path, bytes)| file(path, *bytes)).collect();
        let sums = sums_of(&files);
        Manifest::new(about(), dirs.iter().map(|dir| dir.parse().unwrap()).collect(), files, sums).unwrap()
    })
}

proptest! {
    #[test]
    fn any_manifest_comes_back_as_it_was(manifest in any_manifest(), level in 1..6) {
        let stored = manifest.to_stored(level).unwrap();
        prop_assert_eq!(Manifest::parse_stored(&stored.bytes, stored.json_bytes).unwrap(), manifest);
    }

    #[test]
    fn changed_json_is_refused_or_a_manifest_that_keeps_the_rules(
        at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in 0_usize..3,
    ) {
        let mut text = json(&small()).into_bytes();
        let at = at.index(text.len() - cut);
        text.splice(at..at + cut, [byte]);
        if let Ok(manifest) = Manifest::parse(&text) {
            prop_assert_eq!(Manifest::parse(json(&manifest).as_bytes()).unwrap(), manifest);
        }
    }

    #[test]
    fn changed_stored_bytes_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut stored = small().to_stored(1).unwrap();
        let at = at.index(stored.bytes.len());
        stored.bytes[at] = byte;
        let _ = Manifest::parse_stored(&stored.bytes, stored.json_bytes);
    }

    #[test]
    fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Manifest::parse(&bytes).is_err());
        prop_assert!(Manifest::parse_stored(&bytes, bytes.len() as u64).is_err());
    }
}
