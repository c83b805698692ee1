//! `qsync export --format tar.zst`: the stored frames as an archive, which is the same for everybody.

use std::{fs, path::Path};

use qsync::types::Hash;
use serde_json::json;

use crate::support::{CHANNEL, World, command::Qsync, forge::Forge, tree};

fn export(world: &World, pin: &str, store: &Path, format: &str) -> Qsync {
    world.operator().args(["export", CHANNEL, "--format", format, "--trust", pin, "--from"]).arg(store)
}

#[track_caller]
fn exported(world: &World, pin: &str, store: &Path, format: &str) -> Vec<u8> {
    let output = export(world, pin, store, format).output();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A store with the same snapshot, whose chunks are as they are.
fn raw_copy(world: &World, pin: &str) -> std::path::PathBuf {
    let raw = world.path("raw-store");
    let to = format!("file://{}?forms=raw", raw.display());
    world.operator().args(["mirror", "--trust", pin, "--to", &to, "--from"]).arg(world.store()).summary();
    assert!(raw.join("raw").is_dir() && !raw.join("chunks").exists());
    raw
}

fn contains(archive: &[u8], frame: &[u8]) -> bool {
    archive.windows(frame.len()).any(|window| window == frame)
}

#[test]
fn the_frames_of_an_archive_are_those_of_the_store_and_unpack_to_the_plain_tar() {
    let (world, pin) = World::published();
    let tar = exported(&world, &pin, &world.store(), "tar");
    let archive = exported(&world, &pin, &world.store(), "tar.zst");
    assert!(zstd::decode_all(&archive[..]).unwrap() == tar);
    // The names of the objects are not looked for, only their bytes; the longest would take long to find.
    let frames = world.chunks().into_iter().map(|chunk| fs::read(chunk).unwrap()).filter(|frame| frame.len() < 100_000);
    let mut looked_for = 0;
    for frame in frames {
        assert!(contains(&archive, &frame));
        looked_for += 1;
    }
    assert!(looked_for > 3, "{looked_for}");
    assert!(archive.len() < tar.len() / 3, "{} of {}", archive.len(), tar.len());
}

#[test]
fn a_store_of_raw_chunks_gives_the_same_archive() {
    let (world, pin) = World::published();
    let raw = raw_copy(&world, &pin);
    assert!(exported(&world, &pin, &raw, "tar.zst") == exported(&world, &pin, &world.store(), "tar.zst"));
}

#[test]
fn frames_that_cannot_be_made_again_are_asked_for() {
    let forge = Forge::new();
    let mut manifest = forge.manifest();
    manifest["encoder"] = json!("zstd 1.5.7/19");
    forge.publish(&manifest);
    let raw = raw_copy(&forge.world, forge.pin());
    let text = export(&forge.world, forge.pin(), &raw, "tar.zst").fails_with(2);
    assert!(text.contains("no source has frames") && text.contains("add a source with frames (chunks/) with --from"), "{text}");
    // They are in the other store, and a plain tar needs none.
    let plain = exported(&forge.world, forge.pin(), &raw, "tar");
    let both = export(&forge.world, forge.pin(), &raw, "tar.zst").arg("--from").arg(forge.world.store()).output();
    assert!(both.status.success(), "{}", String::from_utf8_lossy(&both.stderr));
    assert!(zstd::decode_all(&both.stdout[..]).unwrap() == plain);
}

// HM-01
#[test]
fn a_damaged_frame_is_not_passed_on() {
    let (world, pin) = World::published();
    for chunk in world.chunks() {
        tree::flip(&chunk, 5);
    }
    let text = export(&world, &pin, &world.store(), "tar.zst").fails_with(13);
    assert!(text.contains("the sources do not deliver"), "{text}");
}

#[test]
fn a_frame_of_another_chunk_than_its_row_says_is_not_passed_on() {
    let forge = Forge::new();
    forge.publish_frame(Hash::of(b"what the row says"), 17, &zstd::bulk::compress(b"what the frame is", 1).unwrap());
    let text = export(&forge.world, forge.pin(), &forge.world.store(), "tar.zst").fails_with(13);
    assert!(text.contains("a chunk of file is not what its row says in its other form"), "{text}");
}
