//! Snapshots that leave the sources before their restore is complete.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::Once,
};

use serde_json::Value;

use crate::support::{
    CHANNEL, World,
    command::Qsync,
    database,
    evil::{Answer, EvilMirror},
    tree::{self, CHUNK},
};

/// Two snapshots of a channel, 40 chunks each, that differ in 5 of them. `first` has only the one, `next` only the other; `live` is a
/// link to the first.
struct Retired {
    world: World,
    pin: String,
}

impl Retired {
    fn new() -> Self {
        let world = World::new();
        fs::create_dir(world.path("data")).unwrap();
        tree::write(&world.path("data/000001.sst"), 30 * CHUNK);
        tree::write(&world.path("data/000002.sst"), 10 * CHUNK);
        let pin = world.init();
        world.publish(&world.path("data"), 1);
        database::copy_tree(&world.store(), &world.path("first"));
        for chunk in 2..7 {
            tree::flip(&world.path("data/000002.sst"), chunk * CHUNK + 9);
        }
        world.publish(&world.path("data"), 2);
        database::copy_tree(&world.store(), &world.path("next"));
        // A store of its own for the second snapshot alone tells what only the first one needs. The head that names both is the one before.
        world.publish_command(&world.path("data"), 2).arg("--to").arg(world.path("second")).summary();
        remove_all_but(&world.path("next"), &world.path("second"));
        symlink(world.path("first"), world.path("live")).unwrap();
        Self { world, pin }
    }

    fn restore(&self, source: &str) -> Qsync {
        self.world.restore_from(source, &self.pin).args(["--max-wait", "1s"])
    }

    fn live(&self) -> PathBuf {
        self.world.path("live")
    }

    /// The chunks that the second snapshot no longer has.
    fn dropped_chunks(&self) -> Vec<PathBuf> {
        let chunks = tree::files(&self.world.path("first/chunks"));
        chunks.into_iter().filter(|chunk| !self.world.path("next").join(below(chunk)).exists()).collect()
    }

    #[track_caller]
    fn assert_is_second(&self, summary: &Value) {
        assert_eq!(summary["height"], 2, "{summary}");
        tree::assert_same(&self.world.path("data"), &self.world.target());
    }
}

/// Removes the objects of a store that another one does not have.
fn remove_all_but(store: &Path, kept: &Path) {
    for object in ["chunks", "lists", "manifests"].into_iter().flat_map(|folder| tree::files(&store.join(folder))) {
        if !kept.join(object.strip_prefix(store).unwrap()).exists() {
            fs::remove_file(object).unwrap();
        }
    }
}

/// The key of a chunk's file.
fn below(chunk: &Path) -> PathBuf {
    let parts: Vec<_> = chunk.components().rev().take(3).collect();
    parts.into_iter().rev().collect()
}

/// From now on `live` has the second snapshot and nothing else.
fn retire(live: &Path) {
    let new = live.with_extension("new");
    symlink(live.with_file_name("next"), &new).unwrap();
    fs::rename(new, live).unwrap();
}

// NW-06, NW-11
#[test]
fn a_restore_outlives_its_snapshot_and_fetches_only_what_changed() {
    let retired = Retired::new();
    let dropped: Vec<String> = retired.dropped_chunks().iter().map(|chunk| below(chunk).to_str().unwrap().to_owned()).collect();
    assert_eq!(dropped.len(), 5);
    let (live, once) = (retired.live(), Once::new());
    let mirror = EvilMirror::start(retired.live(), move |key| {
        // The provider deletes the first snapshot a moment before one of its chunks is asked for.
        if dropped.iter().any(|chunk| chunk == key) {
            once.call_once(|| retire(&live));
        }
        Answer::Whole
    });
    let lines = retired.restore(&mirror.url).json_lines();
    let summary = lines.last().unwrap();
    retired.assert_is_second(summary);
    let told = |line: &Value| line["type"] == "warning" && line["text"].as_str().unwrap().contains("no longer have all of snapshot");
    assert_eq!(lines.iter().filter(|line| told(line)).count(), 1, "{lines:?}");
    // Of 40 chunks 5 were asked for in vain, twice because a cache might have been wrong, and then in their new form.
    assert_eq!(mirror.chunks_asked().len(), 35 + 2 * 5 + 5, "{summary}");
    assert_eq!(summary["sources"][0]["objects"], 40 + 3, "chunks, the list of each file, and the one that is new: {summary}");
}

// NW-06
#[test]
fn the_lists_of_a_snapshot_may_be_gone_too() {
    let retired = Retired::new();
    fs::remove_file(&retired.dropped_chunks()[0]).unwrap();
    let live = retired.live().to_str().unwrap().to_owned();
    assert_eq!(retired.restore(&live).json_error(13)["code"], "snapshot-gone");
    fs::remove_dir_all(retired.world.staging().join("lists")).unwrap();
    retire(&retired.live());
    retired.assert_is_second(&retired.restore(&live).summary());
}

// NW-06
#[test]
fn a_snapshot_with_a_hole_and_no_successor_is_refused_by_its_own_code() {
    let retired = Retired::new();
    let chunk = retired.dropped_chunks().remove(0);
    let whole = fs::read(&chunk).unwrap();
    fs::remove_file(&chunk).unwrap();
    let live = retired.live().to_str().unwrap().to_owned();
    let error = retired.restore(&live).json_error(13);
    assert_eq!(error["code"], "snapshot-gone");
    let message = error["message"].as_str().unwrap();
    for words in
        ["retired or broken", "the channel offers no other", "1 chunks", "chunk ", " of 000002.sst", "no source has chunks/", &live]
    {
        assert!(message.contains(words), "{words:?} is not in {message}");
    }
    assert!(!retired.world.target().exists() && retired.world.staging().exists());
    fs::write(&chunk, &whole).unwrap();
    let summary = retired.restore(&live).summary();
    assert_eq!((&summary["height"], &summary["fetched_bytes"]), (&1.into(), &(whole.len() as u64).into()));
}

// NW-06
#[test]
fn who_asked_for_a_snapshot_by_name_gets_no_other_but_is_told_how() {
    let retired = Retired::new();
    fs::remove_file(&retired.dropped_chunks()[0]).unwrap();
    let world = &retired.world;
    let named = world.operator().args(["restore", &format!("{CHANNEL}@1"), "--trust", &retired.pin, "--to"]).arg(world.target());
    // The second source has the newer head, which still names the first snapshot.
    let error = named.arg("--from").arg(world.path("first")).arg("--from").arg(world.path("next")).json_error(13);
    assert_eq!(error["code"], "snapshot-gone");
    assert!(error["message"].as_str().unwrap().contains("asked for by name"), "{error}");
    assert!(error["hints"][0].as_str().unwrap().contains("--latest"), "{error}");
    let summary = retired.restore(world.path("next").to_str().unwrap()).arg("--latest").summary();
    retired.assert_is_second(&summary);
    assert!(summary["reused_bytes"].as_u64().unwrap() >= 34 * CHUNK, "{summary}");
}

// NW-06, NW-07
#[test]
fn a_head_that_cannot_be_read_again_is_part_of_the_refusal() {
    let world = World::new();
    fs::create_dir(world.path("data")).unwrap();
    tree::write(&world.path("data/CURRENT"), 16);
    let pin = world.init();
    world.publish(&world.path("data"), 1);
    // 403 is what S3 answers for objects that are not there.
    let mirror = EvilMirror::scripted(world.store(), |key, before| match key {
        key if key.starts_with("chunks/") => Answer::Status("403 Forbidden"),
        key if key.starts_with("heads/") && before > 0 => Answer::Status("403 Forbidden"),
        _ => Answer::Whole,
    });
    let error = world.restore_from(&mirror.url, &pin).args(["--max-wait", "1s"]).json_error(13);
    assert_eq!(error["code"], "snapshot-gone");
    let message = error["message"].as_str().unwrap();
    for words in ["its channel cannot be opened now", "chunk 0 of CURRENT", "has no such object, or does not show it to us"] {
        assert!(message.contains(words), "{words:?} is not in {message}");
    }
    assert_eq!(mirror.chunks_asked().len(), 2, "a cache might have been wrong the first time");
}

// NW-06
#[test]
fn a_snapshot_that_has_left_altogether_is_not_asked_for_to_its_end() {
    let world = World::new();
    fs::create_dir(world.path("data")).unwrap();
    tree::make_small_files(&world.path("data"), 400);
    let pin = world.init();
    world.publish(&world.path("data"), 1);
    fs::remove_dir_all(world.store().join("chunks")).unwrap();
    // Memory for 16 bodies and their chunks.
    let error = world.restore_command(&pin).args(["--memory", "32MiB"]).json_error(13);
    assert_eq!(error["code"], "snapshot-gone");
    let words = error["message"].as_str().unwrap().split(' ');
    let missing = words.zip(error["message"].as_str().unwrap().split(' ').skip(1)).find(|(_, next)| *next == "chunks").unwrap().0;
    assert!((64..64 + 3 * 16).contains(&missing.parse::<u32>().unwrap()), "{error}");
}
