//! A provider's node on the file systems that can share blocks: while it is down nothing is copied.

use std::{fs, io::Write as _, path::Path, process::Command};

use serde_json::Value;

use crate::{
    disk_image::{Disk, FOR_A_NODE},
    geth_node::Scene,
    programs::{program, succeed},
    servers::geth::Geth,
    support::{World, command::text},
};

/// Runs `test` with a node on a disk of that kind; says so where images cannot be mounted.
fn on_disk(kind: &str, prepare: impl FnOnce(&Path), test: impl FnOnce(&Scene, &Path)) {
    // In this order, so that the node ends before its disk is unmounted, and that before its image is removed.
    let folder = tempfile::tempdir().unwrap();
    let disk = match Disk::make(folder.path(), kind, FOR_A_NODE) {
        Ok(disk) => disk,
        Err(why) => {
            // Past the test harness, which shows nothing of a test that passes.
            std::io::stderr().write_all(format!("a node on {kind}: NOT run: {why}\n").as_bytes()).unwrap();
            return;
        }
    };
    let node = disk.path().join("node");
    fs::create_dir(&node).unwrap();
    prepare(&node);
    let scene = Scene::beside(World::new(), &node);
    test(&scene, &node);
    drop(scene);
}

/// What lies beside the data directory besides what the node's script has there.
fn leftovers(node: &Path) -> Vec<String> {
    let names = fs::read_dir(node).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains("qsync")).collect()
}

/// Another node goes on from what was published.
fn assert_another_goes_on(scene: &Scene, summary: &Value) {
    let height = summary["height"].as_u64().unwrap();
    let folder = scene.world.path(&format!("from-{height}"));
    fs::create_dir_all(folder.join("data")).unwrap();
    scene.restore(&height.to_string(), &folder.join("data")).summary();
    let node = Geth::start(&folder);
    assert!(node.height().unwrap() >= height, "it begins before the snapshot");
    assert_eq!(node.block_hash(height), scene.node.block_hash(height), "another block at {height}");
}

fn subvolumes(node: &Path) -> String {
    let output = program("btrfs").args(["subvolume", "list"]).arg(node).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn on_xfs_a_clone_shares_all_blocks_and_the_next_run_reads_what_changed() {
    on_disk(
        "xfs",
        |_| {},
        |scene, node| {
            // Nothing may be copied at all.
            scene.configure("", "max_downtime = \"0s\"");
            let first = scene.publish();
            assert_eq!(first["freeze"]["copied_bytes"], 0, "{first}");
            assert!(leftovers(node).is_empty() && !scene.is_marked());
            assert_another_goes_on(scene, &first);
            scene.node.wait_for_height(first["height"].as_u64().unwrap() + 3);
            let second = scene.publish();
            assert_eq!(second["freeze"]["copied_bytes"], 0, "{second}");
            let of = |field: &str| second[field].as_u64().unwrap();
            assert!(of("skipped_bytes") > 0 && of("read_bytes") < of("bytes"), "{second}");
            assert_another_goes_on(scene, &second);
        },
    );
}

#[test]
fn on_btrfs_a_snapshot_of_the_subvolume_is_published_and_deleted() {
    let subvolume = |node: &Path| {
        let mut make = Command::new("btrfs");
        make.args(["subvolume", "create"]).arg(node.join("data"));
        succeed(make);
    };
    on_disk("btrfs", subvolume, |scene, node| {
        scene.configure("", "method = \"btrfs\"");
        let before = subvolumes(node);
        let first = scene.publish();
        assert_eq!((&first["freeze"]["method"], &first["freeze"]["copied_bytes"]), (&"btrfs".into(), &0.into()), "{first}");
        assert!(leftovers(node).is_empty() && !scene.is_marked());
        assert_eq!(subvolumes(node).lines().count(), before.lines().count());
        assert_another_goes_on(scene, &first);
        scene.node.wait_for_height(first["height"].as_u64().unwrap() + 3);
        let second = scene.publish();
        let of = |field: &str| second[field].as_u64().unwrap();
        assert!(of("skipped_bytes") > 0 && of("read_bytes") < of("bytes"), "{second}");
    });
}

#[test]
fn a_directory_that_is_no_subvolume_is_refused_before_the_node_is_stopped() {
    on_disk(
        "btrfs",
        |_| {},
        |scene, node| {
            scene.configure("", "method = \"btrfs\"");
            let before = scene.node.pid();
            let refused = scene.qsync(&["publish", crate::geth_node::CHANNEL]).output();
            assert_eq!(refused.status.code(), Some(18), "{}", text(&refused.stderr));
            assert!(text(&refused.stderr).contains("subvolume"), "{}", text(&refused.stderr));
            assert_eq!(scene.node.pid(), before, "it was stopped");
            assert!(leftovers(node).is_empty() && !scene.is_marked());
        },
    );
}
