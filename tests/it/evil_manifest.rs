//! What a stolen publish key can do: nothing but publish another snapshot. Every manifest, list and frame here is properly signed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use qsync::types::Hash;
use serde_json::{Value, json};

use crate::support::{
    forge::Forge,
    tree::{self, CHUNK},
};

/// Publishes the honest manifest with a change; it must be refused as the publisher's mistake, in these words.
#[track_caller]
fn refuses(forge: &Forge, words: &str, change: impl FnOnce(&mut Value)) {
    let mut manifest = forge.manifest();
    change(&mut manifest);
    forge.publish(&manifest);
    is_invalid(forge, words);
}

/// The manifest that was published must be refused as the publisher's mistake, in these words.
#[track_caller]
fn is_invalid(forge: &Forge, words: &str) {
    let error = forge.is_refused(13);
    assert_eq!(error["code"], "manifest-invalid", "{error}");
    assert!(error["message"].as_str().unwrap().contains(words), "{words:?} is not in {error}");
    assert!(!forge.world.staging().exists(), "{error}");
}

#[test]
fn what_the_forge_makes_of_an_honest_manifest_is_restored() {
    let forge = Forge::new();
    forge.publish(&forge.manifest());
    forge.is_restored();
    tree::assert_same(&forge.world.path("data"), &forge.world.target());
}

// MF-01
#[test]
fn no_path_leads_out_of_the_target() {
    let forge = Forge::new();
    let (long, deep) = ("x".repeat(256), "d/".repeat(16) + "x");
    let paths = [
        "../x",
        "..",
        ".",
        "",
        "/etc/x",
        "a//b",
        "a/./b",
        "a/../../x",
        "a/",
        "a\u{0}b",
        "a\u{7}b",
        "a\\b",
        "C:\\x",
        "C:x",
        "a b",
        "é",
        &long,
        &deep,
    ];
    for path in paths {
        refuses(&forge, "path", |manifest| manifest["files"][0]["path"] = json!(path));
        refuses(&forge, "path", |manifest| manifest["dirs"] = json!([path, "db"]));
    }
    refuses(&forge, "path", |manifest| manifest["subtrees"] = json!(["../x"]));
}

// MF-01, MF-18
#[test]
fn no_snapshot_has_an_entry_that_a_restore_would_take_for_its_own() {
    let forge = Forge::new();
    for name in [".qsync-partial", ".restored.qsync-partial", ".QSYNC-PARTIAL", "CURRENT.qsync-old-0d197521d9a4"] {
        refuses(&forge, "reserved", |manifest| manifest["files"][0]["path"] = json!(name));
    }
    for name in ["db/.qsync-partial", "lost+found", "db/lost+found"] {
        refuses(&forge, "reserved", |manifest| manifest["dirs"] = json!(["db", name]));
    }
    refuses(&forge, "reserved", |manifest| manifest["subtrees"] = json!([".qsync-partial"]));
}

// MF-02
#[test]
fn no_two_entries_have_one_name() {
    let forge = Forge::new();
    let twice = |manifest: &mut Value, path: &str| {
        let mut again = manifest["files"][0].clone();
        again["path"] = json!(path);
        manifest["files"].as_array_mut().unwrap().insert(1, again);
    };
    refuses(&forge, "CURRENT", |manifest| twice(manifest, "CURRENT"));
    refuses(&forge, "current", |manifest| {
        twice(manifest, "current");
        manifest["files"].as_array_mut().unwrap().sort_by_key(|file| file["path"].as_str().unwrap().to_owned());
    });
    refuses(&forge, "LOCK", |manifest| manifest["dirs"] = json!(["LOCK", "db"]));
    refuses(&forge, "CURRENT/below", |manifest| twice(manifest, "CURRENT/below"));
    refuses(&forge, "nowhere/file", |manifest| manifest["files"][3]["path"] = json!("nowhere/file"));
}

// MF-03, MF-04, MF-16, MF-18
#[test]
fn what_the_format_has_no_words_for_is_not_made() {
    let forge = Forge::new();
    let mut manifest = forge.manifest();
    let odd = [
        ("type", json!("symlink")),
        ("target", json!("/etc/passwd")),
        ("mode", json!("6777")),
        ("uid", json!(0)),
        ("xattrs", json!({"a": "b"})),
    ];
    for (field, value) in odd {
        manifest["files"][0][field] = value;
    }
    manifest["links"] = json!([{ "path": "link", "target": "/" }]);
    manifest["extras"] = json!(["extra"]);
    fs::write(forge.world.store().join("extra"), "not declared").unwrap();
    forge.publish(&manifest);
    forge.is_restored();
    let mode = fs::symlink_metadata(forge.world.target().join("CURRENT")).unwrap().permissions().mode();
    assert_eq!(mode & !0o640, 0o100_000, "a plain file, for its owner and group: {mode:o}");
    let declared: BTreeSet<String> = manifest["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["path"].as_str().unwrap().to_owned())
        .chain(["db".to_owned()])
        .collect();
    let found: BTreeSet<String> = tree::snapshot(&forge.world.target()).into_keys().map(|path| path.to_str().unwrap().to_owned()).collect();
    assert_eq!(declared, found);
    fs::remove_dir_all(forge.world.target()).unwrap();
    refuses(&forge, "not exactly one of rows and lists", |manifest| {
        manifest["files"][0] = json!({"path": "CURRENT", "type": "symlink", "bytes": 16, "b3": "0".repeat(64)})
    });
}

// MF-06
#[test]
fn rows_and_lists_cover_each_file_exactly_once() {
    let forge = Forge::new();
    let rows = |manifest: &Value| BASE64_STANDARD.decode(manifest["files"][2]["rows"].as_str().unwrap()).unwrap();
    let with = |change: fn(&mut Vec<u8>)| {
        move |manifest: &mut Value| {
            let mut bytes = rows(manifest);
            change(&mut bytes);
            manifest["files"][2]["rows"] = json!(BASE64_STANDARD.encode(bytes));
        }
    };
    refuses(&forge, "db/000001.sst", with(|rows| rows.truncate(68)));
    refuses(&forge, "db/000001.sst", with(|rows| rows.extend_from_within(..68)));
    refuses(&forge, "db/000001.sst", with(|rows| rows.truncate(67)));
    // The length of a frame: none, and beyond what a chunk can need.
    refuses(&forge, "db/000001.sst", with(|rows| rows[64..68].fill(0)));
    refuses(&forge, "db/000001.sst", with(|rows| rows[64..68].fill(0xff)));
    // A hole whose bytes are not zeros.
    refuses(&forge, "db/000001.sst", with(|rows| rows[32..68].fill(0)));
    refuses(&forge, "db/000001.sst", |manifest| manifest["files"][2]["rows"] = json!("not base64!"));
    refuses(&forge, "", |manifest| manifest["files"][2]["bytes"] = json!(CHUNK));
    refuses(&forge, "", |manifest| manifest["files"][2]["bytes"] = json!(u64::MAX));
    refuses(&forge, "", |manifest| manifest["files"][3]["bytes"] = json!(4 * CHUNK));
    refuses(&forge, "db/000002.sst", |manifest| manifest["files"][3]["lists"].as_array_mut().unwrap().push(json!("0".repeat(64))));
}

// MF-06: what the lists say is known only when they are read
#[test]
fn a_signed_list_that_does_not_fit_its_file_is_refused() {
    let forge = Forge::new();
    let honest = forge.manifest()["files"][3]["lists"][0].as_str().unwrap().to_owned();
    let list = fs::read(forge.world.store().join(format!("lists/{}/{honest}", &honest[..2]))).unwrap();
    let forged =
        [list[..68 * 4].to_vec(), [&list[..], &list[..68]].concat(), list[..100].to_vec(), vec![0xff; list.len()], vec![0; list.len()]];
    for bytes in forged {
        let mut manifest = forge.manifest();
        manifest["files"][3]["lists"][0] = json!(forge.put_list(&bytes).to_string());
        forge.publish(&manifest);
        let error = forge.is_refused(13);
        assert_eq!(error["code"], "defect", "{error}");
        assert!(error["message"].as_str().unwrap().contains("db/000002.sst"), "{error}");
    }
}

// MF-07, MF-15
#[test]
fn sums_that_do_not_add_up_are_refused_before_the_first_chunk() {
    let forge = Forge::new();
    for total in ["files", "bytes", "chunks", "frame_bytes", "hole_bytes"] {
        for wrong in [json!(0), json!(1u64 << 60)] {
            if forge.manifest()["totals"][total] != wrong {
                refuses(&forge, "", |manifest| manifest["totals"][total] = wrong);
            }
        }
    }
    refuses(&forge, "chunk", |manifest| manifest["chunk_bytes"] = json!(1 << 30));
    refuses(&forge, "chunk", |manifest| manifest["chunk_bytes"] = json!(1_000_000));
    refuses(&forge, "at most 100000000", |manifest| manifest["files"][3]["bytes"] = json!(100_000_000_000_000_000u64));
    // The head promises less than the manifest says.
    let json = forge.manifest().to_string();
    forge.publish_stored(&zstd::encode_all(json.as_bytes(), 1).unwrap(), json.len() as u64, |head| head.snapshot.bytes = 7);
    is_invalid(&forge, "contradicts its head in bytes");
}

// MF-15
#[test]
fn what_no_disk_holds_is_refused_with_what_is_needed_and_what_is_there() {
    let forge = Forge::new();
    let bytes = 1u64 << 50;
    let segments = bytes / (16 << 20) / 15_360 + 1;
    let mut manifest = forge.manifest();
    manifest["chunk_bytes"] = json!(16 << 20);
    manifest["dirs"] = json!([]);
    manifest["files"] = json!([{ "path": "file", "bytes": bytes, "b3": "0".repeat(64), "lists": vec!["1".repeat(64); segments as usize] }]);
    manifest["totals"] = json!({ "files": 1, "chunks": bytes / (16 << 20), "hole_bytes": 0 });
    forge.publish_agreeing(manifest, bytes, bytes);
    let error = forge.is_refused(14);
    assert_eq!(error["code"], "not-enough-space");
    assert!(error["message"].as_str().unwrap().contains("1.0 PiB"), "{error}");
}

/// A zstd frame of blocks that each repeat one byte, by hand: what no encoder would make.
fn rle_frame(window: Option<u8>, announced: u32, blocks: &[u32]) -> Vec<u8> {
    // The magic number, then the descriptor: four bytes of content size, and no window when there is a single segment.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0b1000_0000 | if window.is_none() { 0b10_0000 } else { 0 }];
    frame.extend(window);
    frame.extend(announced.to_le_bytes());
    for (index, bytes) in blocks.iter().enumerate() {
        let last = u32::from(index + 1 == blocks.len());
        frame.extend(&((bytes << 3) | 0b10 | last).to_le_bytes()[..3]);
        frame.push(b'x');
    }
    frame
}

// MF-08, MF-09
#[test]
fn a_signed_frame_that_is_no_honest_frame_is_not_decoded() {
    let forge = Forge::new();
    let xs = [b'x'; 100];
    let honest = rle_frame(None, 100, &[100]);
    assert_eq!(zstd::decode_all(&honest[..]).unwrap(), xs);
    forge.publish_frame(Hash::of(&xs), 100, &honest);
    forge.is_restored();
    assert_eq!(fs::read(forge.world.target().join("file")).unwrap(), xs);
    fs::remove_dir_all(forge.world.target()).unwrap();

    let window_of_2_to_the_31 = 21 << 3;
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4], &honest[..]].concat();
    for (name, frame) in [
        ("window", rle_frame(Some(window_of_2_to_the_31), 100, &[100])),
        ("more than announced", rle_frame(None, 100, &[100, 100])),
        ("less than announced", rle_frame(None, 100, &[99])),
        ("announced as another length", rle_frame(None, 101, &[101])),
        ("something after it", [&honest[..], b"garbage"].concat()),
        ("two frames", [&honest[..], &honest[..]].concat()),
        ("something before it", skippable),
        ("cut", honest[..honest.len() - 1].to_vec()),
        ("no frame", b"just a few bytes".to_vec()),
    ] {
        forge.publish_frame(Hash::of(&xs), 100, &frame);
        let error = forge.is_refused(13);
        assert_eq!(error["code"], "object-wrong", "{name}: {error}");
        assert!(error["message"].as_str().unwrap().contains("chunk 0 of file"), "{name}: {error}");
    }
}

/// Memory that no restore of small snapshots needs, bytes.
const PEAK: u64 = 128 << 20;

// MF-08
#[test]
fn a_bomb_of_a_gibibyte_takes_no_memory() {
    let forge = Forge::new();
    let gibibyte = vec![128 << 10; 8 << 10];
    for announced in [1 << 30, CHUNK as u32] {
        let bomb = rle_frame(if announced == 1 << 30 { Some(13 << 3) } else { None }, announced, &gibibyte);
        assert!(bomb.len() < 34_000);
        forge.publish_frame(Hash::of(&vec![b'x'; CHUNK as usize]), CHUNK, &bomb);
        let (output, peak) = forge.restore().output_and_peak();
        assert_eq!(output.status.code(), Some(13), "{output:?}");
        assert!(peak < PEAK, "{peak} bytes");
    }
}

// MF-10
#[test]
fn a_manifest_that_decompresses_beyond_what_was_signed_is_left_there() {
    let forge = Forge::new();
    let bomb = rle_frame(Some(13 << 3), 1 << 30, &vec![128 << 10; 8 << 10]);
    for (signed, words) in [(1_000, "does not decompress to the signed 1000 bytes"), (64 << 20, "does not decompress to the signed")] {
        forge.publish_stored(&bomb, signed, |_| {});
        let (output, peak) = forge.restore().output_and_peak();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(13), "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
        assert!(peak < PEAK, "{peak} bytes");
    }
    let json = forge.manifest().to_string();
    let stored = [zstd::encode_all(json.as_bytes(), 1).unwrap(), b"more".to_vec()].concat();
    forge.publish_stored(&stored, json.len() as u64, |_| {});
    is_invalid(&forge, "goes on for 4 bytes after its frame");
}

// MF-11
#[test]
fn json_that_can_be_read_two_ways_or_not_at_all_is_refused() {
    let forge = Forge::new();
    let honest = forge.manifest().to_string();
    let begin = |before: &str| honest.replacen('{', &format!("{{{before},"), 1).into_bytes();
    let texts: BTreeMap<&str, Vec<u8>> = BTreeMap::from([
        ("nested", begin(&format!("\"x\":{}{}", "[".repeat(100_000), "]".repeat(100_000)))),
        ("twice", begin("\"chain\":\"other\"")),
        ("twice below", begin("\"x\":{\"a\":1,\"a\":2}")),
        ("twice, escaped", begin("\"ch\\u0061in\":\"demo\"")),
        ("no number", begin("\"x\":NaN")),
        ("a mark of byte order", [&b"\xef\xbb\xbf"[..], honest.as_bytes()].concat()),
        ("no UTF-8", honest.replacen("zstd", "z?td", 1).into_bytes().into_iter().map(|b| if b == b'?' { 0xff } else { b }).collect()),
        ("more", [honest.as_bytes(), b"{}"].concat()),
        ("cut", honest.as_bytes()[..honest.len() - 1].to_vec()),
        ("null", b"null".to_vec()),
        ("a list", b"[]".to_vec()),
        ("no JSON", b"<!doctype html>".to_vec()),
    ]);
    for (name, text) in texts {
        assert_ne!(text, honest.as_bytes(), "{name}");
        forge.publish_json(&text);
        is_invalid(&forge, "not valid JSON");
    }
    for number in ["-1", "1e30", "1.5", "18446744073709551616", "\"16\""] {
        forge.publish_json(honest.replacen("\"bytes\":16,", &format!("\"bytes\":{number},"), 1).as_bytes());
        is_invalid(&forge, "not valid JSON");
    }
}

// MF-12
#[test]
fn a_newer_format_is_no_mistake_but_needs_a_newer_release() {
    let forge = Forge::new();
    let mut manifest = forge.manifest();
    manifest["format"] = json!("qsync-manifest/2");
    forge.publish(&manifest);
    let error = forge.is_refused(1);
    assert_eq!(error["code"], "needs-newer-qsync", "{error}");
    assert!(error["hints"][0].as_str().unwrap().contains("newer qsync"), "{error}");
}

// MF-13
#[test]
fn a_hash_of_a_whole_file_that_is_wrong_is_found_by_who_asks() {
    let forge = Forge::new();
    let mut manifest = forge.manifest();
    manifest["files"][2]["b3"] = json!("5".repeat(64));
    forge.publish(&manifest);
    forge.is_restored();
    let verify = || forge.world.operator().arg("verify").arg(forge.world.target());
    verify().summary();
    let output = verify().args(["--b3", "--json"]).output();
    assert_eq!(output.status.code(), Some(13));
    let lines = String::from_utf8(output.stdout).unwrap();
    let defects: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).filter(|line: &Value| line["type"] == "defect").collect();
    assert_eq!(defects.len(), 1, "{lines}");
    assert_eq!((&defects[0]["defect"], &defects[0]["path"]), (&json!("whole-file"), &json!("db/000001.sst")));
}

// MF-14
#[test]
fn a_manifest_of_another_chain_than_its_head_is_refused() {
    let forge = Forge::new();
    refuses(&forge, "contradicts its head in channel", |manifest| manifest["chain"] = json!("other"));
    refuses(&forge, "contradicts its head in genesis", |manifest| manifest["genesis"] = json!("0x1234"));
    refuses(&forge, "contradicts its head in height", |manifest| manifest["height"] = json!(2));
    refuses(&forge, "not valid JSON", |manifest| manifest["chain"] = json!("../demo"));
}

// MF-17
#[test]
fn a_snapshot_cannot_replace_the_keys_of_a_node() {
    let forge = Forge::new();
    let mut manifest = forge.manifest();
    (manifest["dirs"], manifest["files"][2]["path"]) = (json!(["db", "keystore"]), json!("keystore/000001.sst"));
    manifest["files"].as_array_mut().unwrap().sort_by_key(|file| file["path"].as_str().unwrap().to_owned());
    forge.publish(&manifest);
    fs::create_dir_all(forge.world.target().join("keystore")).unwrap();
    fs::write(forge.world.target().join("keystore/mine"), "my only key").unwrap();
    let error = forge.restore().args(["--replace", "--yes"]).json_error(15);
    assert!(["target-identity", "target-refused"].contains(&error["code"].as_str().unwrap()), "{error}");
    assert_eq!(fs::read_to_string(forge.world.target().join("keystore/mine")).unwrap(), "my only key");
    assert_eq!(tree::files(&forge.world.target()).len(), 1);
}
