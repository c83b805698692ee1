//! What goes out comes back: real databases and awkward directories, through a directory and over HTTP.

use std::{fs, os::unix::fs::MetadataExt};

use crate::support::{World, database, server::Server, tree};

#[test]
fn a_parity_db_comes_back_and_every_key_reads() {
    let world = World::new();
    database::make_parity_db(&world.path("db"), 20_000);
    let pin = world.init();
    let published = world.publish(&world.path("db"), 7);
    assert_eq!((&published["height"], &published["unchanged"]), (&7.into(), &false.into()));
    let server = Server::start(world.provider(), &world.store());
    let restored = world.restore_from(&server.url, &pin).summary();
    assert_eq!((&restored["outcome"], &restored["height"]), (&"restored".into(), &7.into()));
    assert_eq!(restored["snapshot"], published["snapshot"]);
    tree::assert_same(&world.path("db"), &world.target());
    database::assert_parity_db_reads(&world.target(), 20_000, |_| 0);
    assert!(!world.staging().exists());
}

#[test]
fn every_awkward_shape_comes_back() {
    let world = World::new();
    tree::make_awkward(&world.path("data"));
    let pin = world.init();
    world.publish(&world.path("data"), 1);
    world.restore_command(&pin).summary();
    tree::assert_same(&world.path("data"), &world.target());
    let verified = world.operator().arg("verify").arg(world.target()).arg("--b3").summary();
    assert_eq!(verified["defects"], 0);
}

// ST-12
#[test]
fn a_sparse_file_of_20_gib_comes_back_sparse() {
    let world = World::new();
    fs::create_dir(world.path("data")).unwrap();
    let big = 20 << 30;
    tree::make_sparse(&world.path("data/mdbx.dat"), big, &[0, big / 2, big - 1_000]);
    let pin = world.init();
    let published = world.publish(&world.path("data"), 1);
    assert!(published["stores"][0]["uploaded_bytes"].as_u64().unwrap() < 4 << 20, "{published}");
    world.restore_command(&pin).summary();
    let restored = fs::metadata(world.target().join("mdbx.dat")).unwrap();
    assert_eq!(restored.len(), big);
    assert!(restored.blocks() * 512 < 8 << 20, "{} bytes are allocated", restored.blocks() * 512);
    let verified = world.operator().arg("verify").arg(world.target()).summary();
    assert_eq!(verified["defects"], 0);
}

#[test]
fn publishing_an_unchanged_directory_writes_a_head_and_nothing_else() {
    let world = World::new();
    tree::make_awkward(&world.path("data"));
    world.init();
    let first = world.publish(&world.path("data"), 5);
    let before = tree::snapshot(&world.store());
    let second = world.publish(&world.path("data"), 5);
    let after = tree::snapshot(&world.store());
    assert_eq!((&second["unchanged"], &second["snapshot"]), (&true.into(), &first["snapshot"]));
    assert_eq!(second["seq"].as_u64(), first["seq"].as_u64().map(|seq| seq + 1));
    assert_eq!(second["stores"][0]["objects"], 0);
    let changed: Vec<_> = after.iter().filter(|(path, hash)| before.get(*path) != Some(hash)).map(|(path, _)| path.clone()).collect();
    assert_eq!(changed, [std::path::PathBuf::from("heads/demo/generic.json")]);
}

#[test]
fn a_changed_database_uploads_its_new_chunks_only_and_replaces_the_old_one() {
    let world = World::new();
    let data = world.path("db");
    database::make_parity_db(&data, 20_000);
    let pin = world.init();
    let first = world.publish(&data, 1);
    world.restore_command(&pin).summary();
    database::write_parity_db(&data, 19_900..20_000, 1);
    let second = world.publish(&data, 2);
    let uploaded = |summary: &serde_json::Value| summary["stores"][0]["uploaded_bytes"].as_u64().unwrap();
    assert!(uploaded(&second) * 4 < uploaded(&first), "{first} {second}");
    let updated = world.restore_command(&pin).arg("--replace").summary();
    assert_eq!(updated["height"], 2);
    tree::assert_same(&data, &world.target());
    database::assert_parity_db_reads(&world.target(), 20_000, |key| u64::from(key >= 19_900));
}

#[test]
fn two_stores_get_the_same_snapshot_and_either_alone_restores_it() {
    let world = World::new();
    tree::make_awkward(&world.path("data"));
    let pin = world.init();
    let second = world.path("second-store");
    let published = world.publish_command(&world.path("data"), 3).arg("--to").arg(&second).summary();
    assert_eq!(published["stores"].as_array().unwrap().len(), 2);
    let head = |store: &std::path::Path| fs::read(store.join("heads/demo/generic.json")).unwrap();
    assert_eq!(head(&world.store()), head(&second));
    world.restore_from(second.to_str().unwrap(), &pin).summary();
    tree::assert_same(&world.path("data"), &world.target());
}

#[test]
fn an_older_snapshot_is_restored_by_height_and_by_id() {
    let world = World::new();
    tree::make_awkward(&world.path("data"));
    let pin = world.init();
    let first = world.publish(&world.path("data"), 10);
    let before = tree::snapshot(&world.path("data"));
    fs::write(world.path("data/new"), "new").unwrap();
    world.publish(&world.path("data"), 20);
    for when in ["10".to_owned(), format!("b3:{}", &first["snapshot"].as_str().unwrap()[..12])] {
        let target = world.path(&format!("at-{}", when.replace(':', "-")));
        let source = world.store();
        world
            .operator()
            .args(["restore", &format!("demo/generic@{when}"), "--trust", &pin, "--from"])
            .arg(source)
            .arg("--to")
            .arg(&target)
            .summary();
        assert_eq!(tree::snapshot(&target), before);
    }
}

#[test]
fn a_restored_directory_is_not_restored_again() {
    let world = World::new();
    tree::make_awkward(&world.path("data"));
    let pin = world.init();
    world.publish(&world.path("data"), 1);
    world.restore_command(&pin).summary();
    let again = world.restore_command(&pin).summary();
    assert_eq!((&again["outcome"], &again["fetched_bytes"]), (&"already-restored".into(), &0.into()));
}

#[test]
fn a_dry_run_tells_and_writes_nothing() {
    let world = World::new();
    tree::make_awkward(&world.path("data"));
    let pin = world.init();
    let before = tree::snapshot(&world.store());
    let would = world.publish_command(&world.path("data"), 1).arg("--dry-run").summary();
    assert_eq!((&would["dry_run"], &would["seq"]), (&true.into(), &serde_json::Value::Null));
    assert_eq!(tree::snapshot(&world.store()), before);
    let did = world.publish(&world.path("data"), 1);
    assert_eq!(would["stores"][0]["uploaded_bytes"].as_u64().map(|bytes| bytes > 1 << 20), Some(true));
    assert_eq!(did["bytes"], would["bytes"]);
    let would = world.restore_command(&pin).arg("--dry-run").summary();
    assert_eq!(would["outcome"], "dry-run");
    assert!(!world.target().exists() && !world.staging().exists());
}
