//! What qsync makes can be read, checked and proved without qsync.

use std::{fs, process::Stdio};

use crate::{
    programs::{assert_diff_finds_nothing, program, shell, succeed},
    servers::{kubo::Kubo, nginx::Nginx},
    support::{CHANNEL, World, command::text, tree},
};

const TRUST: &str = include_str!("../../docs/trust.md");

#[test]
fn tar_unpacks_an_export() {
    let (world, pin) = World::published();
    let nginx = Nginx::start(&world.store());
    fs::create_dir(world.target()).unwrap();
    let mut export = world.operator().args(["export", CHANNEL, "--trust", &pin, "--from", &nginx.url()]).spawn();
    let mut tar = program("tar");
    tar.arg("-x").arg("-C").arg(world.target()).stdin(Stdio::from(export.stdout.take().unwrap()));
    assert_eq!(text(&succeed(tar).stderr), "");
    assert!(export.wait().unwrap().success());
    assert_diff_finds_nothing(&world.path("data"), &world.target());
}

#[test]
fn zstd_and_tar_unpack_an_export_of_frames() {
    let (world, pin) = World::published();
    let nginx = Nginx::start(&world.store());
    fs::create_dir(world.target()).unwrap();
    let export = world.operator().args(["export", CHANNEL, "--format", "tar.zst", "--trust", &pin, "--from", &nginx.url()]).output();
    assert!(export.status.success(), "{}", text(&export.stderr));
    fs::write(world.path("db.tar.zst"), &export.stdout).unwrap();
    // Each frame ends by itself, so that zstd has nothing to say.
    shell("zstd --test --quiet db.tar.zst && zstd -d -c db.tar.zst | tar x -C restored", world.folder());
    assert_diff_finds_nothing(&world.path("data"), &world.target());
}

#[test]
fn the_archive_on_ipfs_is_the_export_of_frames() {
    let (world, pin) = World::published();
    let kubo = Kubo::start();
    let published = world.publish_command(&world.path("data"), 1).args(["--to", &kubo.rpc()]).summary();
    let archive = format!("{}/archive.tar.zst", published["ipfs"]["root"].as_str().unwrap());
    let of_node = succeed(kubo.command(&["cat", &archive])).stdout;
    let export = world.operator().args(["export", CHANNEL, "--format", "tar.zst", "--trust", &pin, "--from"]).arg(world.store()).output();
    assert!(export.status.success(), "{}", text(&export.stderr));
    assert!(export.stdout == of_node, "{} and {} bytes", export.stdout.len(), of_node.len());
}

#[test]
fn b3sum_checks_what_verify_prints() {
    let (world, pin) = World::published();
    world.restore_command(&pin).summary();
    let sums = world.operator().arg("verify").arg(world.target()).arg("--b3sums").stdout();
    assert_eq!(sums.lines().count(), tree::files(&world.target()).len());
    fs::write(world.path("sums"), &sums).unwrap();
    let check = format!("b3sum --check {}", world.path("sums").display());
    shell(&check, &world.store());
    let file = tree::files(&world.target()).into_iter().find(|file| fs::metadata(file).unwrap().len() > 0).unwrap();
    tree::flip(&file, 0);
    assert!(!program("bash").args(["-c", &check]).current_dir(world.store()).output().unwrap().status.success());
}

#[test]
fn the_commands_of_the_trust_page_prove_a_head() {
    let (world, pin) = World::published();
    let script = shell_blocks("### Checking a head by hand").replace("kusama/rocksdb-pruned", CHANNEL);
    assert!(script.contains(CHANNEL) && script.contains("openssl pkeyutl -verify"), "{script}");
    let said = shell(&script, &world.store());
    let (id, _) = said.split_once(' ').unwrap();
    assert_eq!(format!("b3:{id}"), pin);
    assert!(said.contains("Signature Verified Successfully"), "{said}");
    let named = shell("b3sum manifests/$(jq -r .snapshot.manifest payload)", &world.store());
    let (sum, path) = named.trim().split_once("  ").unwrap();
    assert_eq!(path, format!("manifests/{sum}"));
}

#[test]
fn the_commands_of_the_trust_page_refuse_a_forged_head() {
    let (world, _) = World::published();
    let head = world.store().join(format!("heads/{CHANNEL}.json"));
    let mut envelope: serde_json::Value = serde_json::from_slice(&fs::read(&head).unwrap()).unwrap();
    let first_byte_changed = format!("f{}", &envelope["payload"].as_str().unwrap()[1..]);
    envelope["payload"] = first_byte_changed.into();
    fs::write(&head, envelope.to_string()).unwrap();
    let script = shell_blocks("### Checking a head by hand").replace("kusama/rocksdb-pruned", CHANNEL);
    let output = program("bash").args(["-euo", "pipefail", "-c", &script]).current_dir(world.store()).output().unwrap();
    assert!(!output.status.success());
    assert!(text(&output.stdout).contains("Signature Verification Failure"), "{output:?}");
}

#[test]
fn curl_and_zstd_read_a_chunk() {
    let (world, pin) = World::published();
    let nginx = Nginx::start(&world.store());
    let lines = world.operator().args(["show", CHANNEL, "--chunks", "--trust", &pin, "--from"]).arg(world.store()).json_lines();
    let chunks = lines.iter().filter(|line| line["type"] == "chunk" && !line["frame"].is_null());
    let mut compared = 0;
    for chunk in chunks.take(5) {
        let (frame, raw) = (chunk["frame"].as_str().unwrap(), chunk["raw"].as_str().unwrap());
        let fetch = format!("curl -fsS {}chunks/{}/{frame} | zstd -d | b3sum --no-names", nginx.url(), &frame[..2]);
        assert_eq!(shell(&fetch, &world.store()).trim(), raw);
        compared += 1;
    }
    assert_eq!(compared, 5);
}

/// The shell commands in a section of the trust page.
fn shell_blocks(heading: &str) -> String {
    let section = TRUST.split(heading).nth(1).unwrap().split("\n#").next().unwrap();
    section.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}
