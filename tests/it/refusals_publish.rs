//! Bad input to `publish`: a clear error, a stable exit code, and nothing written.

use std::{
    fs,
    io::Write,
    os::unix::{fs::symlink, net::UnixListener},
    path::Path,
    process::Command,
};

use crate::support::{World, tree};

fn prepared() -> (World, std::path::PathBuf) {
    let world = World::new();
    let data = world.path("data");
    tree::make_awkward(&data);
    world.init();
    (world, data)
}

#[track_caller]
fn refuses(world: &World, data: &Path, exit: i32, words: &[&str]) {
    let before = tree::snapshot(&world.store());
    let stderr = world.publish_command(data, 1).fails_with(exit);
    for word in words {
        assert!(stderr.contains(word), "{word:?} is not in: {stderr}");
    }
    assert_eq!(tree::snapshot(&world.store()), before, "nothing is written");
}

#[test]
fn refuses_links_and_special_files() {
    let (world, data) = prepared();
    symlink("text", data.join("link")).unwrap();
    refuses(&world, &data, 18, &["link", "symbolic link"]);
    fs::remove_file(data.join("link")).unwrap();

    assert!(Command::new("mkfifo").arg(data.join("fifo")).status().unwrap().success());
    refuses(&world, &data, 18, &["fifo"]);
    fs::remove_file(data.join("fifo")).unwrap();

    let socket = UnixListener::bind(data.join("socket")).unwrap();
    refuses(&world, &data, 18, &["socket"]);
    drop(socket);
}

// PU-07
#[test]
fn refuses_key_material_by_name_and_by_content() {
    let (world, data) = prepared();
    let secrets: [(&str, &str); 5] = [
        ("nodekey", "not even a key"),
        ("keystore/UTC--2026", "{}"),
        ("priv_validator_key.json", "{}"),
        ("innocent.txt", "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----\n"),
        ("token", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"),
    ];
    for (name, content) in secrets {
        let path = data.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        refuses(&world, &data, 18, &[name, "--allow-secret"]);
        fs::remove_file(&path).unwrap();
        let _ = fs::remove_dir(data.join("keystore"));
    }
    fs::write(data.join("nodekey"), "a test's own").unwrap();
    let summary = world.publish_command(&data, 1).args(["--allow-secret", "nodekey"]).summary();
    assert_eq!(summary["allowed_secrets"], serde_json::json!(["nodekey"]));
}

#[test]
fn refuses_names_outside_the_grammar() {
    let (world, data) = prepared();
    fs::write(data.join("with space"), "").unwrap();
    refuses(&world, &data, 18, &["with space"]);
    fs::remove_file(data.join("with space")).unwrap();
    // MF-02
    fs::write(data.join("TEXT"), "").unwrap();
    refuses(&world, &data, 18, &["TEXT", "text"]);
}

#[test]
fn refuses_a_database_that_a_process_has_open() {
    let (world, data) = prepared();
    let held = fs::File::open(data.join("text")).unwrap();
    refuses(&world, &data, 18, &["in use", &std::process::id().to_string()]);
    drop(held);
    world.publish(&data, 1);
}

// PU-01
#[test]
fn refuses_a_file_that_changes_while_it_is_read() {
    let (world, data) = prepared();
    tree::write(&data.join("large"), 400 << 20);
    let changing = data.join("large");
    // Written by a process that opens it for a moment at a time: no open file is seen at the start.
    let writer = std::thread::spawn(move || {
        for _ in 0..400 {
            std::thread::sleep(std::time::Duration::from_millis(5));
            if let Ok(mut file) = fs::File::options().append(true).open(&changing) {
                file.write_all(b"x").unwrap();
            }
        }
    });
    let output = world.publish_command(&data, 1).output();
    writer.join().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(18), "{stderr}");
    assert!(stderr.contains("large") || stderr.contains("in use"), "{stderr}");
    assert!(!world.store().join("heads/demo/generic.json").exists());
}

#[test]
fn refuses_a_height_below_the_heads() {
    let (world, data) = prepared();
    world.publish(&data, 10);
    let stderr = world.publish_command(&data, 9).fails_with(18);
    assert!(stderr.contains("10") && stderr.contains('9'), "{stderr}");
}

#[test]
fn refuses_a_store_of_another_repository() {
    let (world, data) = prepared();
    let stranger = World::new();
    let command = stranger.provider().args(["publish", "demo/generic"]).arg(&data).arg("--to").arg(world.store());
    let stderr = command.fails_with(17);
    assert!(stderr.contains("hint: "), "{stderr}");
}

#[test]
fn refuses_a_data_directory_that_is_not_there() {
    let (world, _) = prepared();
    let stderr = world.publish_command(&world.path("absent"), 1).fails_with(18);
    assert!(stderr.contains("absent"), "{stderr}");
}

#[test]
fn a_store_that_fails_leaves_the_others_published_and_exits_3() {
    let (world, data) = prepared();
    fs::write(world.path("not-a-directory"), "").unwrap();
    let broken = world.path("not-a-directory/store");
    let output = world.publish_command(&data, 1).arg("--to").arg(&broken).arg("--json").output();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(world.store().join("heads/demo/generic.json").exists());
}

#[test]
fn two_publishers_of_one_data_directory_do_not_run_at_once() {
    let (world, data) = prepared();
    let held = fs::File::open(&data).unwrap();
    held.lock().unwrap();
    refuses(&world, &data, 11, &["another qsync", "hint: "]);
}
