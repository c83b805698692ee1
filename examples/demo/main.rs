//! The whole story on one machine: a real database is published, served, restored, killed in the middle, resumed,
//! verified, opened, changed, and updated. No server, no account, no network beyond loopback.
//!
//! `cargo run --release --example demo`

#![expect(clippy::print_stdout, reason = "telling a story is what it is for")]

mod database;
mod folder;
mod qsync_command;
mod slow_link;

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use bytesize::ByteSize;
use folder::Folder;
use qsync_command::{Qsync, Server};
use slow_link::SlowLink;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const CHANNEL: &str = "demo/paritydb";
/// As fast as a good home connection: 200 Mbit/s. Slow enough that the kill comes some seconds after the first batch of chunks: a
/// batch is kept once it is two seconds old and synced.
const LINK_BYTES_PER_SECOND: u64 = 25_000_000;
/// 2 % of the keys.
const UPDATED_KEYS: u64 = database::KEYS / 50;

fn main() -> ExitCode {
    // Started again by itself, the demo is the qsync command.
    if std::env::args().nth(1).as_deref() == Some(qsync_command::AS_QSYNC) {
        return qsync_command::run_as_qsync();
    }
    match Folder::make().and_then(|folder| story(&folder.path)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn story(folder: &Path) -> Outcome {
    let at = Places::below(folder);
    println!("Everything happens below {}, which is removed at the end.\n", folder.display());
    let provider = Qsync::with_state(folder.join("provider"));
    let operator = Qsync::with_state(folder.join("operator"));
    make_database(&at)?;
    let pin = publish_first(&provider, &at)?;
    let server = provider.serve(&at.store)?;
    let url = format!("http://{}/", SlowLink::open(server.address, LINK_BYTES_PER_SECOND)?.address());
    restore_with_a_kill(&operator, &at, &url, &pin)?;
    check_restored(4, &operator, &at, 0)?;
    publish_change(&provider, &at)?;
    update(&operator, &at, &server)?;
    check_restored(7, &operator, &at, UPDATED_KEYS)?;
    Ok(())
}

fn make_database(at: &Places) -> Outcome {
    let started = Instant::now();
    database::create(&at.database)?;
    println!("1. A node's database: ParityDB, {} keys, {} in {}.", database::KEYS, size_of(&at.database)?, seconds(started));
    Ok(())
}

fn publish_first(provider: &Qsync, at: &Places) -> Outcome<String> {
    let init = provider.run(&["init", "--to", text(&at.store)?, "--name", "demo"])?;
    let repo = init["repo"].as_str().ok_or("init names no repo")?.to_owned();
    let summary = provider.run(&["publish", CHANNEL, text(&at.database)?, "--to", text(&at.store)?, "--height", "1"])?;
    println!(
        "2. Published, signed and read back: {} objects, {} in {:.1} s.\n   Whoever restores pins the repository: b3:{repo}",
        summary["stores"][0]["objects"],
        bytes(&summary["stores"][0]["uploaded_bytes"]),
        number(&summary["seconds"])
    );
    Ok(repo)
}

fn restore_with_a_kill(operator: &Qsync, at: &Places, url: &str, pin: &str) -> Outcome {
    let pin = format!("b3:{pin}");
    let arguments = ["restore", CHANNEL, "--from", url, "--to", text(&at.restored)?, "--trust", &pin];
    let late = size_of(&at.database)?.as_u64() / 10 * 6;
    let done = operator.run_and_kill(&arguments, late)?;
    if at.restored.exists() {
        return Err("a promise is broken: the target exists although the restore was killed".into());
    }
    println!(
        "3. Restoring over a link of {}/s, killed with SIGKILL after {}: the target does not exist yet.",
        ByteSize(LINK_BYTES_PER_SECOND),
        ByteSize(done)
    );
    let summary = operator.run(&arguments)?;
    if summary["reused_bytes"] == 0 {
        return Err("a promise is broken: nothing that was verified before the kill was kept".into());
    }
    println!(
        "   The same command again: {} were there and verified, {} fetched, in place after {:.1} s.",
        bytes(&summary["reused_bytes"]),
        bytes(&summary["fetched_bytes"]),
        number(&summary["seconds"])
    );
    Ok(())
}

fn check_restored(step: u32, operator: &Qsync, at: &Places, updated: u64) -> Outcome {
    let verified = operator.run(&["verify", text(&at.restored)?])?;
    let started = Instant::now();
    // The copy is opened, not the restored directory: an engine changes its files when it opens them.
    copy_dir(&at.restored, &at.opened)?;
    let keys = database::check(&at.opened, updated, 1)?;
    fs::remove_dir_all(&at.opened)?;
    let bytes = bytes(&verified["bytes"]);
    println!("{step}. Verified on disk once more ({bytes}), then opened: all {keys} keys read back ({}).", seconds(started));
    Ok(())
}

fn publish_change(provider: &Qsync, at: &Places) -> Outcome {
    database::update_newest(&at.database, UPDATED_KEYS, 1)?;
    let summary = provider.run(&["publish", CHANNEL, text(&at.database)?, "--to", text(&at.store)?, "--height", "2"])?;
    println!(
        "5. The node writes 2 % of its keys again. The next snapshot: {} new objects, {}; {} published already; {:.1} s.",
        summary["stores"][0]["objects"],
        bytes(&summary["stores"][0]["uploaded_bytes"]),
        bytes(&summary["reused_bytes"]),
        number(&summary["seconds"])
    );
    Ok(())
}

fn update(operator: &Qsync, at: &Places, server: &Server) -> Outcome {
    let url = format!("http://{}/", server.address);
    let summary = operator.run(&["restore", CHANNEL, "--from", &url, "--to", text(&at.restored)?, "--replace"])?;
    println!(
        "6. Updated: the new tree was built beside the old one and swapped in; {} fetched without the slow link, {:.1} s.",
        bytes(&summary["fetched_bytes"]),
        number(&summary["seconds"])
    );
    Ok(())
}

struct Places {
    database: PathBuf,
    store: PathBuf,
    restored: PathBuf,
    opened: PathBuf,
}

impl Places {
    fn below(folder: &Path) -> Self {
        let at = |name: &str| folder.join(name);
        Self { database: at("node-database"), store: at("store"), restored: at("restored"), opened: at("opened") }
    }
}

fn copy_dir(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() { copy_dir(&entry.path(), &target)? } else { fs::copy(entry.path(), target).map(drop)? }
    }
    Ok(())
}

fn size_of(dir: &Path) -> std::io::Result<ByteSize> {
    let mut total = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        total += if entry.file_type()?.is_dir() { size_of(&entry.path())?.as_u64() } else { entry.metadata()?.len() };
    }
    Ok(ByteSize(total))
}

fn text(path: &Path) -> Outcome<&str> {
    path.to_str().ok_or_else(|| format!("{} is not UTF-8", path.display()).into())
}

fn bytes(value: &serde_json::Value) -> ByteSize {
    ByteSize(value.as_u64().unwrap_or_default())
}

fn number(value: &serde_json::Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

fn seconds(since: Instant) -> String {
    format!("{:.1} s", since.elapsed().as_secs_f64())
}
