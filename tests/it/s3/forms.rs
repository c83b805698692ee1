//! The forms of chunks: raw where readers pay, frames elsewhere, both in one run, and mirrors from one to the other.

use std::fs;

use super::{
    Bucket, published,
    server::{OWNER, READER, S3Server},
    signed_by,
};
use crate::support::{CHANNEL, World, command::Qsync, tree};

fn stores(bucket: &Bucket, folders: [&str; 2]) -> [usize; 2] {
    folders.map(|folder| bucket.names(folder).len())
}

#[test]
fn one_run_publishes_frames_here_and_raw_chunks_there_and_each_restores() {
    let paid = Bucket::new(S3Server::with_requester_pays);
    let (world, pin) = published(&paid, "requester_pays=true");
    assert!(stores(&paid, ["chunks/", "raw/"])[0] == 0 && stores(&paid, ["chunks/", "raw/"])[1] > 0);
    // Whoever has a raw object can check it with any tool: its name is its hash.
    for name in paid.names("raw/") {
        let bytes = &paid.server.objects()[&format!("store/{name}")].bytes;
        assert!(name.ends_with(&blake3::hash(bytes).to_hex().to_string()), "{name}");
    }
    assert!(!world.chunks().is_empty() && !world.store().join("raw").exists());

    let restore = world.restore_from(&paid.url("requester_pays=true"), &pin).arg("--accept-cost");
    signed_by(READER, restore).summary();
    tree::assert_same(&world.path("data"), &world.target());
}

#[test]
fn a_second_run_puts_only_what_is_new_in_either_form() {
    let bucket = Bucket::new(|server| server);
    let (world, _) = published(&bucket, "forms=zstd,raw");
    let [frames, raws] = stores(&bucket, ["chunks/", "raw/"]);
    assert_eq!(frames, raws);
    fs::write(world.path("data/new"), "a new file").unwrap();
    let again = world.publish_command(&world.path("data"), 2).args(["--to", &bucket.url("")]);
    let summary = signed_by(OWNER, again).summary();
    assert_eq!(stores(&bucket, ["chunks/", "raw/"]), [frames + 1, raws + 1]);
    // The chunk in both forms and the manifest.
    assert_eq!(summary["stores"][1]["objects"], 3, "{summary}");
}

#[test]
fn a_store_keeps_the_forms_that_it_began_with() {
    let bucket = Bucket::new(|server| server);
    let (world, _) = published(&bucket, "forms=raw");
    let other = |forms: &str| {
        let publish = world.publish_command(&world.path("data"), 2).args(["--to", &bucket.url(forms)]);
        signed_by(OWNER, publish)
    };
    let error = other("forms=zstd").json_error(2);
    assert_eq!(error["code"], "other-forms");
    other("").summary();
    assert!(bucket.names("chunks/").is_empty());
}

fn mirror(world: &World, pin: &str, from: &str, to: &str) -> Qsync {
    let command = Qsync::with_state(world.path("mirror-state")).args(["mirror", CHANNEL, "--trust", pin, "--from", from, "--to", to]);
    signed_by(OWNER, command)
}

#[test]
fn a_mirror_may_hold_other_forms_than_its_source() {
    let raw = Bucket::new(|server| server);
    let (world, pin) = published(&raw, "forms=raw");
    let local = world.store();
    let from_frames = world.path("raw-of-frames");
    let both = world.path("both");
    let frames_again = world.path("frames-of-raw");
    let file_url = |path: &std::path::Path, forms: &str| format!("file://{}?forms={forms}", path.display());
    mirror(&world, &pin, local.to_str().unwrap(), &file_url(&from_frames, "raw")).summary();
    mirror(&world, &pin, local.to_str().unwrap(), &file_url(&both, "zstd,raw")).summary();
    // The frames are made again, by the encoder that the manifest names.
    mirror(&world, &pin, &raw.url(""), &file_url(&frames_again, "zstd")).summary();

    let content = |dir: &std::path::Path, folder: &str| {
        if dir.join(folder).exists() { tree::snapshot(&dir.join(folder)) } else { Default::default() }
    };
    assert_eq!(content(&frames_again, "chunks"), content(&local, "chunks"));
    assert_eq!(content(&both, "chunks"), content(&local, "chunks"));
    assert_eq!(content(&both, "raw"), content(&from_frames, "raw"));
    assert!(content(&from_frames, "chunks").is_empty() && !content(&both, "raw").is_empty());
    for source in [&from_frames, &both, &frames_again] {
        world.restore_from(source.to_str().unwrap(), &pin).summary();
        tree::assert_same(&world.path("data"), &world.target());
        fs::remove_dir_all(world.target()).unwrap();
    }
}

#[test]
fn frames_that_cannot_be_made_again_are_not_made_up() {
    let raw = Bucket::new(|server| server);
    let world = World::new();
    fs::create_dir(world.path("data")).unwrap();
    let words: String = (0..40_000_u64).map(|n| format!("{} ", n * n % 9_973)).collect();
    fs::write(world.path("data/old"), words).unwrap();
    let pin = world.init();
    // Another level than the manifest of the second snapshot names makes the frames of what has not changed.
    let publish = |height, level| {
        let to = raw.url("forms=raw");
        signed_by(OWNER, world.publish_command(&world.path("data"), height).args(["--to", &to, "--level", level]))
    };
    publish(1, "19").summary();
    fs::write(world.path("data/new"), "new").unwrap();
    publish(2, "1").summary();
    let to = world.path("frames");
    let error = mirror(&world, &pin, &raw.url(""), to.to_str().unwrap()).json_error(2);
    assert!(error["message"].as_str().unwrap().contains("another frame"), "{error}");
    assert!(error["hints"][0].as_str().unwrap().contains("source with frames"), "{error}");
    assert!(!to.join("heads").exists());
}
