//! The time in which the node is down. Everything that can be known before it is asked before it.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{Frozen, KnownBy, markers, remove_clone};
use crate::{
    disk::{
        self,
        clone::{
            self, Content,
            plan::{Abilities, estimate},
        },
        in_use::{self, Use},
    },
    fs::Stat,
    node::{
        self,
        answers::{Answers, HttpServer},
        btrfs,
        freeze::{Down, Method, plan},
        manager::{Manager, State, Stop},
        marker::Phase,
        watchdog::Watchdog,
    },
    publish::{Error, Options},
    types::{RelPath, Timestamp},
};

/// How long files may stay open after a manager has said that the node has ended.
const LINGER: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(50);

/// What is left to be undone.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) method: Method,
    pub(super) down: Option<Down>,
    pub(super) clone: Option<PathBuf>,
    pub(super) watchdog: Option<Watchdog>,
    pub(super) downtime_seconds: Option<f64>,
    pub(super) copied_bytes: u64,
    pub(super) failed: Option<node::Error>,
}

type Send = oneshot::Sender<Result<Frozen, Error>>;

/// Stops, clones and starts; hands the clone over as soon as the start was asked for, and goes on until the node is back.
pub(super) fn run(options: &Arc<Options>, send: Send) -> Ended {
    let method = options.node.freeze.method;
    let mut ended = Ended { method, down: None, clone: None, watchdog: None, downtime_seconds: None, copied_bytes: 0, failed: None };
    let frozen = if method == Method::Command { by_script(options, &mut ended) } else { by_manager(options, &mut ended) };
    let asked = ended.down.as_mut().filter(|down| down.marker().was_running).map(|down| (down.marker().since, down.start()));
    // Nobody waits for it any more where the run was dropped; the clone is removed then as well.
    let _nobody_waits = send.send(frozen);
    if let (Some((since, asked)), Some(down)) = (asked, &mut ended.down) {
        match down.see_it_back(asked) {
            Ok(()) => {
                ended.downtime_seconds = Some(Timestamp::now().duration_since(since).as_secs_f64());
                let _said_enough_before = down.advance(Phase::Running);
            }
            Err(error) => ended.failed = Some(error),
        }
    }
    ended
}

/// The questions alone, for a dry run.
pub(super) fn check_only(options: &Options) -> Result<(), Error> {
    if options.node.freeze.method == Method::Command {
        return Ok(());
    }
    let manager = manager(options)?;
    Ok(plan::check_kill(manager, manager.kills_after()?, options.node.freeze.stop_timeout)?)
}

fn manager(options: &Options) -> Result<&Manager, Error> {
    options.node.freeze.manager.as_ref().ok_or(Error::NoManager)
}

fn by_script(options: &Options, ended: &mut Ended) -> Result<Frozen, Error> {
    let settings = &options.node.freeze;
    ended.watchdog = start_watchdog(options)?;
    if options.stop.requested() {
        return Err(Error::Interrupted);
    }
    let down = ended.down.insert(Down::begin(markers(options), &options.channel, settings, false, None)?);
    let frozen = down.by_script()?;
    let block = frozen.height.map(|height| (height, frozen.block_hash));
    Ok(Frozen { dir: frozen.dir, known_by: KnownBy::Themselves, block })
}

fn by_manager(options: &Options, ended: &mut Ended) -> Result<Frozen, Error> {
    let settings = &options.node.freeze;
    let manager = manager(options)?;
    // Before the stop: whatever can be known.
    plan::check_kill(manager, manager.kills_after()?, settings.stop_timeout)?;
    let was_running = was_running(options, manager)?;
    let place = clone::place(&*options.fs, &options.data_dir, settings.clone_dir.as_deref())?;
    ended.clone = Some(place.clone());
    let abilities = prepare(options, &place)?;
    ended.watchdog = start_watchdog(options)?;
    if options.stop.requested() {
        return Err(Error::Interrupted);
    }
    let down = ended.down.insert(Down::begin(markers(options), &options.channel, settings, was_running, Some(place.clone()))?);
    // A panic in here must not leave the node stopped.
    let made = catch_unwind(AssertUnwindSafe(|| stop_and_clone(options, down, manager, &place, abilities)));
    let (frozen, copied_bytes) = made.unwrap_or(Err(Error::WorkerDied))?;
    ended.copied_bytes = copied_bytes;
    Ok(frozen)
}

fn start_watchdog(options: &Options) -> Result<Option<Watchdog>, Error> {
    let argv = &options.node.freeze.watchdog;
    if argv.is_empty() { Ok(None) } else { Ok(Some(Watchdog::start(argv)?)) }
}

fn was_running(options: &Options, manager: &Manager) -> Result<bool, Error> {
    let server = options.node.freeze.answers_at.clone().map(|address| HttpServer { address });
    let state = manager.state()?;
    let open = if state == State::Unknown { has_files_open(&options.data_dir) } else { None };
    Ok(plan::was_running(state, state == State::Unknown && server.is_some_and(|server| server.answers()), open)?)
}

fn has_files_open(dir: &Path) -> Option<bool> {
    match in_use::probe(dir) {
        Use::InUse { .. } => Some(true),
        Use::Free => Some(false),
        Use::Unknown { .. } => None,
    }
}

/// Makes the folder of the clone, and says what a copy costs: time and room, while the node still runs.
fn prepare(options: &Options, place: &Path) -> Result<Option<Abilities>, Error> {
    let (fs, settings) = (&*options.fs, &options.node.freeze);
    // What a run left that died before it stopped anything.
    remove_clone(options, place)?;
    if settings.method == Method::Btrfs {
        btrfs::check(&options.data_dir)?;
        check_one_subvolume(options)?;
        if fs.canonicalize(&options.data_dir).is_ok_and(|dir| place.starts_with(dir)) {
            return Err(disk::Error::CloneForeign { path: place.to_owned(), why: "it would lie in its own snapshot" }.into());
        }
        clone::create(fs, place, &options.channel, Content::Subvolume)?;
        check_space(options, place, 0)?;
        // What would fail while the node is down fails now: no program, no right, a full file system.
        let content = clone::content(place);
        btrfs::snapshot(&options.data_dir, &content)?;
        btrfs::delete(&content)?;
        return Ok(None);
    }
    clone::create(fs, place, &options.channel, Content::Files)?;
    let (scan, immutable) = (clone::select(fs, &options.data_dir, &options.selection())?, &options.node.profile.immutable);
    let abilities = clone::probe(fs, &scan, immutable, place)?;
    let cost = estimate(&scan, immutable, abilities);
    check_space(options, place, cost.copy_bytes)?;
    plan::check_downtime(cost.copy_bytes, cost.time, settings.max_downtime)?;
    Ok(Some(abilities))
}

/// A snapshot shows a subvolume below its own as an empty directory: half a database.
fn check_one_subvolume(options: &Options) -> Result<(), Error> {
    let scan = clone::select(&*options.fs, &options.data_dir, &options.selection())?;
    let own = options.fs.stat(&scan.root).map_err(|source| disk::Error::Io { action: "look at", path: scan.root.clone(), source })?;
    match scan.files.iter().find(|file| file.stat.dev != own.dev) {
        Some(file) => {
            let why = "lies in a subvolume of its own, which a snapshot of the data directory leaves out".to_owned();
            Err(disk::Error::SourcePart { path: scan.root.join(&file.path), why }.into())
        }
        None => Ok(()),
    }
}

fn check_space(options: &Options, place: &Path, copy_bytes: u64) -> Result<(), Error> {
    let space =
        options.fs.space(place).map_err(|source| disk::Error::Io { action: "measure the room at", path: place.to_owned(), source })?;
    let reserve = plan::reserve_bytes(space.total_bytes, options.node.freeze.reserve_percent);
    let need_bytes = copy_bytes.saturating_add(reserve);
    if space.free_bytes < need_bytes {
        return Err(disk::Error::TooSmall { path: place.to_owned(), need_bytes, have_bytes: space.free_bytes }.into());
    }
    Ok(())
}

fn stop_and_clone(
    options: &Options,
    down: &mut Down,
    manager: &Manager,
    place: &Path,
    abilities: Option<Abilities>,
) -> Result<(Frozen, u64), Error> {
    if down.marker().was_running {
        let requested = Timestamp::now();
        down.stop()?;
        check_written(options, requested)?;
    } else if let Stop::Unclean(why) = manager.last_stop()? {
        return Err(node::Error::NotClean { why }.into());
    }
    let was_running = down.marker().was_running;
    check_released(options, manager, was_running)?;
    let made = make_clone(options, place, abilities)?;
    check_still_at_rest(options, manager, was_running, &made.0)?;
    down.advance(Phase::Cloned)?;
    Ok(made)
}

fn check_written(options: &Options, requested: Timestamp) -> Result<(), Error> {
    let time = |path: &RelPath| options.fs.stat(&options.data_dir.join(path)).ok().map(|stat| stat.mtime_ns);
    // A node that has not even the directory has no such file: geth that keeps its state by hash, for one.
    let has_place = |path: &&RelPath| path.parent().is_none_or(|dir| options.fs.stat(&options.data_dir.join(dir)).is_ok());
    let expected = options.node.profile.stop.newer.iter().filter(has_place);
    let found: Vec<_> = expected.map(|path| (path.to_string(), time(path))).collect();
    Ok(plan::check_written(&found, requested.as_nanosecond())?)
}

/// Somebody may have started the node meanwhile: a cron job, another tool, the operator. Then the copy is of no moment.
fn check_still_at_rest(options: &Options, manager: &Manager, was_running: bool, frozen: &Frozen) -> Result<(), Error> {
    if let KnownBy::Originals(originals) = &frozen.known_by {
        let scan = clone::select(&*options.fs, &options.data_dir, &options.selection())?;
        let now: BTreeMap<&RelPath, &Stat> = scan.files.iter().map(|file| (&file.path, &file.stat)).collect();
        // A link changes the ctime of the original, and nothing else that counts.
        let key = |stat: &Stat| (stat.dev, stat.ino, stat.len, stat.mtime_ns);
        let differs = |path: &&RelPath| originals.get(*path).map(key) != now.get(*path).map(|stat| key(stat));
        if let Some(path) = originals.keys().chain(now.keys().copied()).find(differs) {
            return Err(disk::Error::SourceChanged { path: path.clone(), what: "changed" }.into());
        }
    }
    if manager.state()? == State::Running {
        return Err(node::Error::NotClean { why: "somebody started it while it was copied".to_owned() }.into());
    }
    check_released(options, manager, was_running)
}

/// A node that is gone has no file open. What cannot be seen is the manager's word where it has just stopped the node; of one that was stopped
/// before, it may run under another name.
fn check_released(options: &Options, manager: &Manager, was_running: bool) -> Result<(), Error> {
    let until = Instant::now() + LINGER;
    let by_command = matches!(manager, Manager::Command { .. });
    loop {
        let why = match in_use::probe(&options.data_dir) {
            Use::Free => return Ok(()),
            Use::Unknown { .. } if (!by_command && was_running) || options.assume_stopped => return Ok(()),
            Use::Unknown { why } => return Err(disk::Error::SourceUseUnknown { path: options.data_dir.clone(), why }.into()),
            Use::InUse { what, pid } => pid.map_or_else(|| what.clone(), |pid| format!("{what} (process {pid})")),
        };
        if Instant::now() >= until {
            return Err(node::Error::NotClean { why }.into());
        }
        thread::sleep(POLL);
    }
}

fn make_clone(options: &Options, place: &Path, abilities: Option<Abilities>) -> Result<(Frozen, u64), Error> {
    let (fs, content) = (&*options.fs, clone::content(place));
    let Some(abilities) = abilities else {
        btrfs::snapshot(&options.data_dir, &content)?;
        return Ok((Frozen { dir: content, known_by: KnownBy::Subvolume, block: None }, 0));
    };
    let scan = clone::select(fs, &options.data_dir, &options.selection())?;
    let bounds = clone::Bounds { stop: &options.stop, allowed: options.node.freeze.max_downtime };
    let cloned = clone::copy(fs, &scan, &content, &options.node.profile.immutable, abilities, bounds)?;
    Ok((Frozen { dir: content, known_by: KnownBy::Originals(cloned.originals), block: None }, cloned.copied_bytes))
}
