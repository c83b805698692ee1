//! System calls fail, or the process is killed at them: each that changes the disk, one run for each.
//!
//! Whatever happens, the run ends by itself, with a code that says what it was or with success, and what is in place is a whole database
//! or a whole snapshot; the same command without the fault then finishes.

use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Output,
};

use crate::support::{
    World,
    command::{Qsync, text},
    database::copy_tree,
    trace::can_trace,
    tree,
};

/// No run here takes a second.
const HANGS_AFTER_SECS: &str = "60";
/// More calls of one kind than any run makes.
const MOST_CALLS: usize = 400;

/// Calls that change what is on disk. A question mark lets strace pass over those that a machine lacks.
const CALLS: [&str; 9] = [
    "pwrite64",
    "ftruncate",
    "fallocate",
    "?rename,?renameat,renameat2",
    "?link,linkat",
    "?mkdir,mkdirat",
    "?unlink,?rmdir,unlinkat",
    "fsync,fdatasync",
    "syncfs",
];

/// What happens at a call.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// SIGKILL.
    Kill,
    /// ENOSPC, from then on.
    Full,
    /// EIO, from then on.
    Broken,
    /// EIO, once.
    BrokenOnce,
    /// Nothing is written, and no reason is given.
    NothingWritten,
}

impl Fault {
    fn injection(self, call: usize) -> String {
        match self {
            Self::Kill => format!("signal=KILL:when={call}"),
            Self::Full => format!("error=ENOSPC:when={call}+"),
            Self::Broken => format!("error=EIO:when={call}+"),
            Self::BrokenOnce => format!("error=EIO:when={call}"),
            Self::NothingWritten => format!("retval=0:when={call}+"),
        }
    }

    fn is_expected(self, output: &Output) -> bool {
        match self {
            Self::Kill => output.status.signal() == Some(9),
            Self::Full => matches!(output.status.code(), Some(0 | 14)),
            Self::Broken | Self::BrokenOnce | Self::NothingWritten => matches!(output.status.code(), Some(0 | 1)),
        }
    }
}

/// Something to run, and what must hold around it.
struct Sweep<'a> {
    command: &'a dyn Fn() -> Qsync,
    /// Before each run.
    prepare: &'a dyn Fn(),
    /// After each run that met a fault; the text says which.
    check: &'a dyn Fn(&str),
}

impl Sweep<'_> {
    /// Injects `fault` into each of `calls`, one run each, until a run makes fewer of them. Says how many runs met it.
    fn run(&self, calls: &str, fault: Fault, log: &Path) -> usize {
        let mut unexpected = Vec::new();
        for call in 1..MOST_CALLS {
            (self.prepare)();
            let output = traced((self.command)(), calls, &fault.injection(call), log).output();
            let met =
                fs::read_to_string(log).unwrap().lines().any(|line| line.contains("(INJECTED)") || line.contains("killed by SIGKILL"));
            if !met {
                assert!(output.status.success(), "{calls}: {}", text(&output.stderr));
                assert!(unexpected.is_empty(), "{}", unexpected.join("\n"));
                return call - 1;
            }
            let what = format!("{fault:?} at {calls} {call}: {:?} {}", output.status, text(&output.stderr));
            if !fault.is_expected(&output) || what.contains("panicked") {
                unexpected.push(what.clone());
            }
            (self.check)(&what);
        }
        panic!("more than {MOST_CALLS} {calls}");
    }

    /// All faults at all calls.
    fn run_all(&self, world: &World) -> usize {
        let log = world.path("strace-log");
        let every = |fault: Fault| CALLS.iter().map(|calls| self.run(calls, fault, &log)).sum::<usize>();
        let met: usize = [Fault::Kill, Fault::Full, Fault::Broken, Fault::BrokenOnce].into_iter().map(every).sum();
        met + self.run("pwrite64", Fault::NothingWritten, &log)
    }
}

/// The command under strace, with few threads, so that calls have the same numbers in most runs: each thread counts for itself.
fn traced(qsync: Qsync, calls: &str, injection: &str, log: &Path) -> Qsync {
    File::create(log).unwrap();
    let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:{injection}"));
    let strace = ["-s", "KILL", HANGS_AFTER_SECS, "strace", "-f", "-qq", "-o", log.to_str().unwrap(), "-e", &trace, "-e", &inject];
    qsync.env("TOKIO_WORKER_THREADS", "1").args(["--threads", "1"]).below("timeout", &strace)
}

/// A small published database, with every kind of file that takes calls of its own.
fn small() -> (World, String) {
    let world = World::new();
    let data = world.path("data");
    fs::create_dir_all(data.join("db/empty")).unwrap();
    fs::write(data.join("db/000001.sst"), vec![1; 5 * tree::CHUNK as usize + 7]).unwrap();
    tree::make_sparse(&data.join("db/sparse"), 6 * tree::CHUNK, &[tree::CHUNK + 5]);
    tree::write(&data.join("CURRENT"), 40);
    let pin = world.init();
    world.publish(&data, 1);
    (world, pin)
}

fn remove(dir: PathBuf) {
    if dir.exists() {
        fs::remove_dir_all(dir).unwrap();
    }
}

// CR-01, ST-02, ST-03
#[test]
fn a_restore_survives_every_fault_at_every_call() {
    if !can_trace() {
        return;
    }
    let (world, pin) = small();
    let prepare = || {
        remove(world.target());
        remove(world.path("operator-state"));
    };
    let check = |what: &str| {
        if world.target().exists() {
            assert!(tree::snapshot(&world.target()) == tree::snapshot(&world.path("data")), "{what}");
        }
        world.restore_command(&pin).summary();
        tree::assert_same(&world.path("data"), &world.target());
        assert!(!world.staging().exists(), "{what}");
        assert_eq!(world.operator().arg("verify").arg(world.target()).summary()["defects"], 0, "{what}");
    };
    let command = || world.restore_command(&pin);
    let met = Sweep { command: &command, prepare: &prepare, check: &check }.run_all(&world);
    assert!(met > 150, "only {met} runs met a fault");
}

// CR-01, CR-04, ST-02, ST-03
#[test]
fn a_replacement_survives_every_fault_at_every_call() {
    if !can_trace() {
        return;
    }
    let (world, pin) = small();
    world.restore_command(&pin).summary();
    fs::rename(world.target(), world.path("old")).unwrap();
    fs::write(world.path("data/db/000002.sst"), vec![2; tree::CHUNK as usize]).unwrap();
    world.publish(&world.path("data"), 2);
    let (old, new) = (tree::snapshot(&world.path("old")), tree::snapshot(&world.path("data")));
    let prepare = || {
        remove(world.target());
        copy_tree(&world.path("old"), &world.target());
    };
    let check = |what: &str| {
        let found = tree::snapshot(&world.target());
        assert!(found == old || found == new, "neither the old nor the new: {what}");
        world.restore_command(&pin).arg("--replace").summary();
        assert!(tree::snapshot(&world.target()) == new && !world.staging().exists(), "{what}");
    };
    let command = || world.restore_command(&pin).arg("--replace");
    let met = Sweep { command: &command, prepare: &prepare, check: &check }.run_all(&world);
    assert!(met > 150, "only {met} runs met a fault");
}

// PU-04, ST-02, ST-03
#[test]
fn a_publish_survives_every_fault_at_every_call() {
    if !can_trace() {
        return;
    }
    let (world, pin) = small();
    let (before, before_state) = (world.path("store-before"), world.path("state-before"));
    copy_tree(&world.store(), &before);
    fs::rename(world.path("provider-state"), &before_state).unwrap();
    let old = tree::snapshot(&world.path("data"));
    fs::write(world.path("data/db/000002.sst"), vec![2; 2 * tree::CHUNK as usize]).unwrap();
    tree::write(&world.path("data/CURRENT"), 41);
    let new = tree::snapshot(&world.path("data"));
    let prepare = || {
        remove(world.store());
        remove(world.path("provider-state"));
        copy_tree(&before, &world.store());
        copy_tree(&before_state, &world.path("provider-state"));
    };
    let shown = || {
        remove(world.target());
        remove(world.path("operator-state"));
        world.restore_command(&pin).summary();
        tree::snapshot(&world.target())
    };
    let check = |what: &str| {
        let found = shown();
        assert!(found == old || found == new, "neither the old nor the new: {what}");
        world.publish(&world.path("data"), 2);
        assert!(shown() == new, "{what}");
        assert_eq!(world.operator().args(["list", "--trust", &pin, "--from"]).arg(world.store()).summary()["snapshots"], 2, "{what}");
    };
    let command = || world.publish_command(&world.path("data"), 2);
    let met = Sweep { command: &command, prepare: &prepare, check: &check }.run_all(&world);
    assert!(met > 70, "only {met} runs met a fault");
}
