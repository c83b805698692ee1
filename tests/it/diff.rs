//! `qsync diff`: what it names is what a publish had to add, and nothing that both snapshots share is fetched.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    os::unix::fs::FileExt,
};

use serde_json::Value;

use crate::support::{
    CHANNEL, World,
    command::Qsync,
    evil::{Answer, EvilMirror},
    tree::{self, CHUNK},
};

/// A world with two snapshots, and the lengths of the chunks that the second one added to the store.
fn changed() -> (World, String, Vec<u64>) {
    let (world, pin) = World::published();
    let before: BTreeSet<_> = world.chunks().into_iter().collect();
    let data = world.path("data");
    File::options().write(true).open(data.join("a/four-chunks-five")).unwrap().write_all_at(b"changed", 2 * CHUNK + 9).unwrap();
    File::options().append(true).open(data.join("one-chunk-exactly")).unwrap().set_len(CHUNK + 5).unwrap();
    fs::remove_file(data.join("a.b")).unwrap();
    tree::write(&data.join("nested/new-file"), 3 * CHUNK);
    world.publish(&data, 2);
    let added = world.chunks().into_iter().filter(|chunk| !before.contains(chunk)).map(|chunk| fs::metadata(chunk).unwrap().len());
    (world, pin, added.collect())
}

fn diff(world: &World, pin: &str, source: &str, snapshots: &[&str]) -> Qsync {
    world.operator().arg("diff").args(snapshots).args(["--trust", pin, "--from", source])
}

#[test]
fn an_update_would_fetch_what_the_second_publish_added() {
    let (world, pin, added) = changed();
    let store = world.store();
    let ask = |old: &str| diff(&world, &pin, store.to_str().unwrap(), &[&format!("{CHANNEL}@{old}")]).arg("--files");
    let lines = ask("1").json_lines();
    let (summary, files) = lines.split_last().unwrap();
    // One chunk changed, three are new, and the five zero bytes at the end of the file that grew are a hole.
    assert_eq!((&summary["chunks"], &summary["frame_bytes"]), (&added.len().into(), &added.iter().sum::<u64>().into()));
    assert_eq!((added.len(), &summary["bytes"]), (4, &(4 * CHUNK).into()));
    let named: BTreeMap<_, _> = files.iter().map(|file| (file["path"].as_str().unwrap(), file)).collect();
    let told = |path: &str| (named[path]["change"].as_str().unwrap(), named[path]["chunks"].as_u64().unwrap());
    assert_eq!(told("a/four-chunks-five"), ("changed", 1));
    assert_eq!(told("one-chunk-exactly"), ("changed", 0));
    assert_eq!(told("a.b"), ("removed", 0));
    assert_eq!(told("nested/new-file"), ("added", 3));
    assert_eq!(named.len(), 4);
    assert_eq!(named["one-chunk-exactly"]["old_bytes"], CHUNK);
    assert_eq!((&named["a.b"]["new_bytes"], &named["nested/new-file"]["old_bytes"]), (&Value::Null, &Value::Null));
    let counts = ["added_files", "removed_files", "changed_files"].map(|field| summary[field].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 2]);
    assert_eq!(summary["unchanged_files"].as_u64().unwrap() + 3, tree::files(&world.path("data")).len() as u64);
    assert_eq!((&summary["old_height"], &summary["new_height"]), (&1.into(), &2.into()));

    let nothing = ask("latest").summary();
    assert_eq!((&nothing["chunks"], &nothing["changed_files"], &nothing["added_files"]), (&0.into(), &0.into(), &0.into()));
}

#[test]
fn the_way_back_fetches_what_was_removed() {
    let (world, pin, _) = changed();
    let (old, new) = (format!("{CHANNEL}@2"), format!("{CHANNEL}@1"));
    let text = diff(&world, &pin, world.store().to_str().unwrap(), &[&old, &new]).arg("--files").stdout();
    assert!(text.contains("+       1 chunks") && text.contains("  a.b\n") && text.contains("-       0 chunks"), "{text}");
    assert!(text.contains("1 files added, 1 removed, 2 changed"), "{text}");
}

#[test]
fn no_chunk_and_no_list_that_both_share_is_asked_for() {
    let (world, pin, _) = changed();
    let web = EvilMirror::start(world.store(), |_| Answer::Whole);
    diff(&world, &pin, &web.url, &[&format!("{CHANNEL}@1")]).summary();
    let lists = web.asked_below("lists/");
    assert_eq!((web.chunks_asked().len(), lists.len()), (0, 2), "{lists:?}");
    assert!(fs::read_dir(world.store().join("lists")).unwrap().count() > 2);
}

#[test]
fn snapshots_that_are_cut_differently_share_whole_files_only() {
    let (world, pin) = World::published();
    let data = world.path("data");
    fs::write(data.join("text"), "another line\n".repeat(100_000)).unwrap();
    world.publish_command(&data, 2).args(["--chunk-size", "64KiB"]).summary();
    let summary = diff(&world, &pin, world.store().to_str().unwrap(), &[&format!("{CHANNEL}@1")]).summary();
    let bytes = fs::metadata(data.join("text")).unwrap().len();
    assert_eq!((&summary["changed_files"], &summary["bytes"]), (&1.into(), &bytes.into()));
    assert_eq!(summary["chunks"], bytes.div_ceil(64 << 10));
}

#[test]
fn what_is_no_update_is_refused() {
    let (world, pin) = World::published();
    let store = world.store();
    let refused = |snapshots: &[&str], exit| diff(&world, &pin, store.to_str().unwrap(), snapshots).json_error(exit)["code"].clone();
    assert_eq!(refused(&[CHANNEL], 2), "usage");
    assert_eq!(refused(&[&format!("{CHANNEL}@1"), "demo/other@1"], 2), "usage");
    assert_eq!(refused(&[&format!("{CHANNEL}@7")], 10), "no-such-snapshot");
    assert_eq!(refused(&[&format!("{CHANNEL}@1"), &format!("{CHANNEL}@7")], 10), "no-such-snapshot");
}
