//! What is read of a store without a restore: list, show, head, root, export, serve.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{CHANNEL, World, command::Qsync, server::Server, tree};

fn published() -> (World, String) {
    let world = World::new();
    tree::make_awkward(&world.path("data"));
    let pin = world.init();
    world.publish(&world.path("data"), 10);
    fs::write(world.path("data/new"), "new").unwrap();
    world.publish(&world.path("data"), 20);
    (world, pin)
}

fn read(world: &World, pin: &str, words: &[&str]) -> Qsync {
    world.operator().args(words).args(["--trust", pin, "--from"]).arg(world.store())
}

#[test]
fn list_show_head_and_root_agree() {
    let (world, pin) = published();
    let lines = read(&world, &pin, &["list"]).json_lines();
    let snapshots: Vec<&Value> = lines.iter().filter(|line| line["type"] == "snapshot").collect();
    assert_eq!(
        snapshots.iter().map(|s| (&s["height"], &s["latest"])).collect::<Vec<_>>(),
        [(&20.into(), &true.into()), (&10.into(), &false.into())]
    );
    let shown = read(&world, &pin, &["show", CHANNEL, "--files", "--chunks"]).json_lines();
    let count = |kind: &str| shown.iter().filter(|line| line["type"] == kind).count() as u64;
    let summary = shown.last().unwrap();
    assert_eq!((Some(count("file")), Some(count("chunk"))), (summary["files"].as_u64(), summary["chunks"].as_u64()));
    assert_eq!((&summary["snapshot"], &summary["height"]), (&snapshots[0]["snapshot"], &20.into()));
    let older = read(&world, &pin, &["show", &format!("{CHANNEL}@10")]).summary();
    assert_eq!(older["snapshot"], snapshots[1]["snapshot"]);
    let head = read(&world, &pin, &["head", "show", CHANNEL]).summary();
    assert_eq!((&head["snapshot"], &head["seq"]), (&summary["snapshot"], &2.into()));
    let root = read(&world, &pin, &["root", "show"]).summary();
    assert_eq!((format!("b3:{}", root["repo"].as_str().unwrap()), &root["version"]), (pin, &1.into()));
}

#[test]
fn a_refreshed_head_names_the_same_snapshots_and_expires_later() {
    let (world, pin) = published();
    let before = read(&world, &pin, &["head", "show", CHANNEL]).summary();
    world.provider().args(["head", "refresh", CHANNEL, "--head-lifetime", "30d", "--to"]).arg(world.store()).summary();
    let after = read(&world, &pin, &["head", "show", CHANNEL]).summary();
    assert_eq!((&after["seq"], &after["snapshot"]), (&3.into(), &before["snapshot"]));
    assert!(after["expires"].as_str() > before["expires"].as_str());
    assert_eq!(read(&world, &pin, &["list"]).summary()["snapshots"], 2);
}

#[test]
fn an_export_is_a_tar_that_unpacks_to_the_directory() {
    let (world, pin) = published();
    let mut export = read(&world, &pin, &["export", CHANNEL]).spawn();
    fs::create_dir(world.path("unpacked")).unwrap();
    let tar = export.stdout.take().unwrap();
    assert!(Command::new("tar").arg("x").current_dir(world.path("unpacked")).stdin(tar).status().unwrap().success());
    assert!(export.wait().unwrap().success());
    tree::assert_same(&world.path("data"), &world.path("unpacked"));
}

// CR-06
#[test]
fn an_export_that_nobody_reads_to_its_end_fails() {
    let (world, pin) = published();
    let mut export = read(&world, &pin, &["export", CHANNEL]).spawn();
    let mut begin = [0; 1000];
    export.stdout.as_mut().unwrap().read_exact(&mut begin).unwrap();
    drop(export.stdout.take());
    let ended = export.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{text}");
    assert!(text.contains("the archive is not complete"), "{text}");
}

#[test]
fn an_export_whose_reader_hangs_can_be_interrupted() {
    let (world, pin) = published();
    let mut export = read(&world, &pin, &["export", CHANNEL]).spawn();
    // The pipe is full by now, and stays so.
    export.stdout.as_mut().unwrap().read_exact(&mut [0; 1000]).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let asked = Instant::now();
    kill_process(Pid::from_child(&export), Signal::INT).unwrap();
    let exit = loop {
        if let Some(status) = export.try_wait().unwrap() {
            break status.code();
        }
        assert!(asked.elapsed() < Duration::from_secs(5), "it hangs");
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(exit, Some(130));
}

// HM-01
#[test]
fn an_export_of_a_damaged_store_is_refused() {
    let (world, pin) = published();
    for chunk in world.chunks() {
        tree::flip(&chunk, 5);
    }
    let text = read(&world, &pin, &["export", CHANNEL]).fails_with(13);
    assert!(text.contains("hint: "), "{text}");
}

/// Sends raw bytes to the server and gives what it answers until it closes.
fn raw(server: &Server, request: &str) -> String {
    let address = server.url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn ask(server: &Server, method: &str, path: &str, headers: &str) -> String {
    raw(server, &format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"))
}

#[test]
fn a_server_answers_objects_and_parts_of_them() {
    let (world, _) = published();
    let server = Server::start(world.provider(), &world.store());
    let path = "/heads/demo/generic.json";
    let content = fs::read_to_string(world.store().join(&path[1..])).unwrap();
    let whole = ask(&server, "GET", path, "");
    assert!(whole.starts_with("HTTP/1.1 200") && whole.ends_with(&content), "{whole}");
    let head = ask(&server, "HEAD", path, "");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains(&format!("content-length: {}\r\n", content.len())), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
    let part = ask(&server, "GET", path, "Range: bytes=5-9\r\n");
    assert!(part.starts_with("HTTP/1.1 206") && part.ends_with(&content[5..10]), "{part}");
    assert!(ask(&server, "GET", path, "Range: bytes=999999-\r\n").starts_with("HTTP/1.1 416"));
    for method in ["POST", "PUT", "DELETE"] {
        assert!(ask(&server, method, path, "Content-Length: 0\r\n").starts_with("HTTP/1.1 405"), "{method}");
    }
}

#[test]
fn a_server_gives_out_nothing_but_objects() {
    let (world, _) = published();
    fs::write(world.path("secret"), "SECRET").unwrap();
    symlink(world.path("secret"), world.store().join("link")).unwrap();
    symlink(world.folder(), world.store().join("out")).unwrap();
    fs::write(world.store().join(".hidden"), "SECRET").unwrap();
    let server = Server::start(world.provider(), &world.store());
    for path in [
        "/../secret",
        "/chunks/../../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/%2e%2e%2fsecret",
        "//../secret",
        "/../../../../../../etc/passwd",
        "/.hidden",
        "/.qsync-staging/lock",
        "/link",
        "/out/secret",
        "/chunks",
        "/chunks/",
        "/\\..\\secret",
        "http://x/../secret",
    ] {
        let answer = ask(&server, "GET", path, "");
        assert!(answer.starts_with("HTTP/1.1 404") || answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
        assert!(!answer.contains("SECRET") && !answer.contains("root:"), "{path}: {answer}");
    }
}

#[test]
fn a_server_ends_well_although_a_download_hangs() {
    let (world, _) = published();
    let large = "/chunks/large";
    tree::write(&world.store().join(&large[1..]), 64 << 20);
    let mut server = Server::start(world.provider(), &world.store());
    let mut stuck = TcpStream::connect(server.url.trim_start_matches("http://").trim_end_matches('/')).unwrap();
    write!(stuck, "GET {large} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    stuck.read_exact(&mut [0; 1000]).unwrap();
    let asked = Instant::now();
    assert!(server.end(Signal::TERM).success());
    assert!(asked.elapsed() < Duration::from_secs(9), "{:?}", asked.elapsed());
}

#[test]
fn a_store_that_is_no_directory_is_not_served() {
    let world = World::new();
    fs::write(world.path("file"), "").unwrap();
    for path in ["file", "absent"] {
        world.provider().arg("serve").arg(world.path(path)).args(["--listen", "127.0.0.1:0"]).fails_with(10);
    }
}

// AW-08, AW-11
#[test]
fn keys_are_for_their_owner_and_are_never_shown() {
    let (world, _) = published();
    let keys = tree::files(&world.path("provider-state/keys"));
    assert_eq!(keys.len(), 2);
    let seeds: Vec<String> = keys
        .iter()
        .map(|key| serde_json::from_slice::<Value>(&fs::read(key).unwrap()).unwrap()["seed"].as_str().unwrap().to_owned())
        .collect();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&keys[0], fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(&keys[1], fs::Permissions::from_mode(0o644)).unwrap();
    let output = world.publish_command(&world.path("data"), 20).args(["-vv", "--json"]).output();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("chmod 600"), "{text}");
    assert!(seeds.iter().all(|seed| !text.contains(seed)));
}

#[test]
fn keys_that_lie_in_the_data_directory_are_not_published() {
    let world = World::new();
    let data = world.path("data");
    tree::make_awkward(&data);
    let state = data.join("state");
    let qsync = || Qsync::with_state(state.clone());
    qsync().args(["init", "--to"]).arg(world.store()).summary();
    let refused = qsync().args(["publish", CHANNEL]).arg(&data).arg("--to").arg(world.store()).json_error(18);
    assert_eq!(refused["code"], "source-secrets");
    assert!(!Path::new(&world.store()).join("heads").exists());
}

/// Real databases hold nothing that looks like a secret.
#[test]
fn a_rocksdb_is_published_as_it_is() {
    let world = World::new();
    let db = world.path("db");
    let mut load = match Command::new("ldb")
        .arg(format!("--db={}", db.display()))
        .args(["--create_if_missing", "load"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
    {
        Ok(load) => load,
        Err(error) => {
            eprintln!("skipped: no ldb here: {error}");
            return;
        }
    };
    let pairs: String = (0..20_000).map(|n| format!("key{n:06} ==> -----BEGIN PRIVATE KEY----- {n}\n")).collect();
    load.stdin.take().unwrap().write_all(pairs.as_bytes()).unwrap();
    assert!(load.wait().unwrap().success());
    assert!(db.join("IDENTITY").exists());
    let pin = world.init();
    world.publish(&db, 1);
    world.restore_command(&pin).summary();
    tree::assert_same(&db, &world.target());
    let get = Command::new("ldb").arg(format!("--db={}", world.target().display())).args(["get", "key000007"]).output().unwrap();
    assert!(String::from_utf8_lossy(&get.stdout).contains("PRIVATE KEY----- 7"), "{get:?}");
}
