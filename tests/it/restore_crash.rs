//! A restore that is killed, or whose disk fails, at chosen system calls; and one that is told to stop.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{
    CHANNEL, World,
    command::{Qsync, text},
    evil::{Answer, EvilMirror},
    trace::{CALLS, can_trace, injected},
    tree,
};

/// A published snapshot with a list, a hole, an empty directory and some small files; and its pin.
fn small() -> (World, String) {
    let world = World::new();
    let data = world.path("data");
    fs::create_dir_all(data.join("db/empty")).unwrap();
    tree::write(&data.join("db/000001.sst"), 5 * tree::CHUNK + 7);
    tree::make_sparse(&data.join("db/sparse"), 6 * tree::CHUNK, &[tree::CHUNK + 5]);
    for file in ["CURRENT", "LOCK", "db/MANIFEST"] {
        tree::write(&data.join(file), 40);
    }
    let pin = world.init();
    world.publish(&data, 1);
    (world, pin)
}

/// Memory for 16 bodies and their chunks.
const SIXTEEN_LANES: [&str; 2] = ["--memory", "32MiB"];

/// A snapshot of `chunks` chunks behind a server that sends each after a pause.
fn slow(chunks: u64, pause: Duration) -> (World, String, EvilMirror) {
    let world = World::new();
    fs::create_dir_all(world.path("data")).unwrap();
    tree::write(&world.path("data/000001.sst"), chunks * tree::CHUNK);
    let pin = world.init();
    world.publish(&world.path("data"), 1);
    let answer = move |key: &str| if key.starts_with("chunks/") { Answer::After(pause) } else { Answer::Whole };
    let web = EvilMirror::start(world.store(), answer);
    (world, pin, web)
}

/// Numbers of calls at which something happens: the first ones, then ever fewer.
fn moments() -> impl Iterator<Item = usize> {
    (1..5).chain([6, 9, 14, 22, 40])
}

/// Runs `command` with a SIGKILL at the n-th of some calls, for many n; gives those runs to `check` that were killed. Says how many.
fn kill_at_calls(command: impl Fn() -> Qsync, prepare: impl Fn(), check: impl Fn(&str)) -> usize {
    let mut killed = 0;
    for calls in CALLS {
        for moment in moments() {
            prepare();
            if injected(command(), calls, &format!("signal=KILL:when={moment}")).output().status.success() {
                break;
            }
            killed += 1;
            check(&format!("{calls} {moment}"));
        }
    }
    killed
}

// CR-01
#[test]
fn a_restore_killed_at_any_call_that_writes_is_finished_by_the_next() {
    if !can_trace() {
        return;
    }
    let (world, pin) = small();
    let forget = || {
        let _absent = fs::remove_dir_all(world.target());
        let _absent = fs::remove_dir_all(world.path("operator-state"));
    };
    let killed = kill_at_calls(
        || world.restore_command(&pin),
        forget,
        |moment| {
            if world.target().exists() {
                tree::assert_same(&world.path("data"), &world.target());
            }
            let finished = world.restore_command(&pin).summary();
            assert!(finished["outcome"] == "restored" || finished["outcome"] == "already-restored", "{moment}: {finished}");
            tree::assert_same(&world.path("data"), &world.target());
            assert!(!world.staging().exists(), "{moment}");
            assert_eq!(world.operator().arg("verify").arg(world.target()).summary()["defects"], 0, "{moment}");
        },
    );
    assert!(killed > 25, "only {killed} runs were killed");
}

// CR-01, CR-04
#[test]
fn a_replacement_killed_at_any_call_that_writes_loses_neither_database() {
    if !can_trace() {
        return;
    }
    let (world, pin) = small();
    world.restore_command(&pin).summary();
    fs::rename(world.target(), world.path("old")).unwrap();
    tree::write(&world.path("data/db/000002.sst"), 2 * tree::CHUNK);
    world.publish(&world.path("data"), 2);
    let (old, new) = (tree::snapshot(&world.path("old")), tree::snapshot(&world.path("data")));
    let put_old = || {
        let _absent = fs::remove_dir_all(world.target());
        crate::support::database::copy_tree(&world.path("old"), &world.target());
    };
    let killed = kill_at_calls(
        || world.restore_command(&pin).arg("--replace"),
        put_old,
        |moment| {
            let found = tree::snapshot(&world.target());
            assert!(found == old || found == new, "{moment}: neither the old nor the new");
            world.restore_command(&pin).arg("--replace").summary();
            tree::assert_same(&world.path("data"), &world.target());
            assert!(!world.staging().exists(), "{moment}");
        },
    );
    assert!(killed > 25, "only {killed} runs were killed");
}

/// Fails some calls from the n-th on, once or for ever; each run must end with the exit code or not notice, and the next one finishes.
fn fail_calls(error: &str, calls: &[&str], exit: i32, words: &str) {
    let (world, pin) = small();
    let mut failed = 0;
    for calls in calls {
        for moment in [1, 2, 3, 5, 8, 12] {
            let _absent = fs::remove_dir_all(world.target());
            let output = injected(world.restore_command(&pin), calls, &format!("error={error}:when={moment}+")).output();
            let stderr = text(&output.stderr);
            if output.status.success() {
                break;
            }
            failed += 1;
            assert!(output.status.code() == Some(exit), "{calls} {moment}: {:?} {stderr}", output.status);
            assert!(stderr.contains(words) && !stderr.contains("panicked"), "{calls} {moment}: {stderr}");
            world.restore_command(&pin).summary();
            tree::assert_same(&world.path("data"), &world.target());
            assert!(!world.staging().exists());
        }
    }
    assert!(failed >= calls.len() * 2, "only {failed} runs failed");
}

// ST-02
#[test]
fn a_disk_that_fills_up_is_named_and_the_next_run_finishes() {
    if can_trace() {
        fail_calls("ENOSPC", &["pwrite64", "ftruncate", "?mkdir,mkdirat", "fsync,fdatasync"], 14, "No space left on device");
    }
}

// ST-03
#[test]
fn a_disk_that_fails_is_named_and_the_next_run_finishes() {
    if can_trace() {
        fail_calls("EIO", &["pwrite64", "fsync,fdatasync", "syncfs", "?rename,?renameat,renameat2"], 1, "Input/output error");
    }
}

/// Waits until the journal of the partial restore has a record.
fn wait_for_a_record(world: &World) {
    let started = Instant::now();
    let journal = world.staging().join("journal");
    while fs::metadata(&journal).map_or(0, |journal| journal.len()) <= 48 {
        assert!(started.elapsed() < Duration::from_secs(20), "nothing is journaled");
        thread::sleep(Duration::from_millis(20));
    }
}

// CR-03, P3
#[test]
fn a_restore_told_to_stop_ends_soon_and_what_it_has_is_not_fetched_again() {
    for (signal, exit, name) in [(Signal::INT, 130, "SIGINT"), (Signal::TERM, 143, "SIGTERM")] {
        let (world, pin, web) = slow(150, Duration::from_millis(400));
        let child = world.restore_from(&web.url, &pin).args(SIXTEEN_LANES).spawn();
        wait_for_a_record(&world);
        let asked = Instant::now();
        kill_process(Pid::from_child(&child), signal).unwrap();
        let ended = child.wait_with_output().unwrap();
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        let stderr = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(exit), "{stderr}");
        assert!(stderr.contains(name) && stderr.contains("hint: resume with the same command"), "{stderr}");
        assert!(!world.target().exists());

        let finished = world.restore_command(&pin).summary();
        tree::assert_same(&world.path("data"), &world.target());
        // Everything that had arrived was journaled; the last bodies under way, at most one for each lane, were not.
        let (before, after) = (web.chunks_asked().len() as u64, finished["sources"][0]["objects"].as_u64().unwrap());
        assert!(before < 150 && before + after <= 150 + 16, "{before} + {after}");
        assert!(finished["reused_bytes"].as_u64().unwrap() > 0, "{finished}");
    }
}

// P3, CR-01
#[test]
fn a_slow_restore_that_is_killed_has_journaled_all_but_the_last_seconds() {
    let pause = Duration::from_millis(400);
    let (world, pin, web) = slow(260, pause);
    let mut child = world.restore_from(&web.url, &pin).args(SIXTEEN_LANES).spawn_quietly();
    thread::sleep(Duration::from_secs(5));
    child.kill().unwrap();
    child.wait().unwrap();
    let before = web.chunks_asked().len() as u64;
    let finished = world.restore_command(&pin).summary();
    let after = finished["sources"][0]["objects"].as_u64().unwrap();
    // A batch ends after two seconds and is looked for every quarter: 16 lanes bring 40 chunks a second at most.
    assert!(before > 100 && before + after <= 260 + 16 + 40 * 5 / 2, "{before} + {after}");
    tree::assert_same(&world.path("data"), &world.target());
}

// CR-02
#[test]
fn of_two_restores_into_one_target_the_second_names_the_first() {
    let (world, pin, web) = slow(40, Duration::from_secs(600));
    let mut first = world.restore_from(&web.url, &pin).spawn_quietly();
    let started = Instant::now();
    while web.chunks_asked().is_empty() {
        assert!(started.elapsed() < Duration::from_secs(20), "the first one fetches nothing");
        thread::sleep(Duration::from_millis(20));
    }
    let error = world.restore_command(&pin).json_error(11);
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(error["message"].as_str().unwrap().contains(&first.id().to_string()), "{error}");
    world.restore_command(&pin).summary();
    tree::assert_same(&world.path("data"), &world.target());
}

// The staging directory that an interrupted clean-up leaves is no partial restore.
#[test]
fn what_an_interrupted_clean_up_left_is_removed() {
    let (world, pin) = small();
    for left in [&["lock"][..], &["lock", "format"], &["lock", "format", "done"], &["lock", "format", "done", "data", "pin"]] {
        world.restore_command(&pin).summary();
        fs::create_dir(world.staging()).unwrap();
        fs::set_permissions(world.staging(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        for name in left {
            let content = if *name == "format" { "qsync-staging/1\n" } else { "" };
            fs::write(world.staging().join(name), content).unwrap();
        }
        let again = world.restore_command(&pin).summary();
        assert_eq!(again["outcome"], "already-restored", "{left:?}");
        assert!(!world.staging().exists(), "{left:?}");
        tree::assert_same(&world.path("data"), &world.target());
    }
    let listed = world.operator().args(["list", "--from"]).arg(world.store()).stdout();
    assert!(listed.contains(CHANNEL), "{listed}");
}
