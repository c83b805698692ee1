//! Mirrors that send something else than they should: beside an honest one they cost time, alone they are refused.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{
    CHANNEL, World,
    command::Qsync,
    evil::{Answer, EvilMirror},
    tree::{self, CHUNK},
};

/// A published snapshot of some chunks and a list, and restores of it into ever other directories.
struct Site {
    world: World,
    pin: String,
    count: AtomicU32,
}

/// One restore: where it goes, and the command.
struct Restore {
    folder: PathBuf,
    command: Qsync,
}

impl Site {
    fn new() -> Self {
        let world = World::new();
        fs::create_dir_all(world.path("data/db")).unwrap();
        fs::write(world.path("data/CURRENT"), "MANIFEST-000001\n").unwrap();
        tree::write(&world.path("data/db/000001.sst"), 5 * CHUNK + 1);
        tree::write(&world.path("data/db/000002.sst"), 70_000);
        let pin = world.init();
        world.publish(&world.path("data"), 1);
        Self { world, pin, count: AtomicU32::new(0) }
    }

    /// A mirror that does this with the objects whose keys begin so.
    fn mirror(&self, prefix: &'static str, answer: Answer) -> EvilMirror {
        EvilMirror::start(self.world.store(), move |key| if key.starts_with(prefix) { answer.clone() } else { Answer::Whole })
    }

    fn honest(&self) -> EvilMirror {
        self.mirror("", Answer::Whole)
    }

    /// A restore on a machine that has seen nothing yet.
    fn restore(&self, sources: &[&EvilMirror]) -> Restore {
        let folder = self.world.path(&format!("machine-{}", self.count.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir(&folder).unwrap();
        let mut command = Qsync::with_state(self.world.path(&format!("{}-state", folder.display())));
        command = command.args(["restore", CHANNEL, "--trust", &self.pin, "--max-wait", "1s", "--to"]).arg(folder.join("db"));
        for source in sources {
            command = command.args(["--from", &source.url]);
        }
        Restore { folder, command }
    }

    #[track_caller]
    fn succeeds(&self, sources: &[&EvilMirror]) -> Value {
        let Restore { folder, command } = self.restore(sources);
        let summary = command.summary();
        tree::assert_same(&self.world.path("data"), &folder.join("db"));
        summary
    }

    /// The restore is refused with this exit code and one of these codes, and leaves nothing but its staging directory.
    #[track_caller]
    fn is_refused(&self, sources: &[&EvilMirror], exit: i32, codes: &[&str], what: &str) -> Value {
        let Restore { folder, command } = self.restore(sources);
        let output = command.arg("--json").output();
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        let error: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
        assert_eq!(output.status.code(), Some(exit), "{what}: {error}");
        assert!(codes.contains(&error["code"].as_str().unwrap()), "{what}: {error}");
        let left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| name == ".db.qsync-partial"), "{what}: {left:?}");
        error
    }
}

/// What a server can send instead of an object so that its bytes are wrong.
fn wrong_bytes() -> Vec<(&'static str, Answer)> {
    vec![
        ("HM-01 flipped", Answer::Flip),
        ("HM-01 garbage", Answer::Garbage),
        ("HM-02 shortened", Answer::Shortened(5)),
        ("HM-03 longer", Answer::Longer(1)),
        ("HM-03 much longer", Answer::Longer(5 << 20)),
        ("HM-03 endless", Answer::Endless),
        ("HM-04 a huge length", Answer::Headers("content-length: 9223372036854775808")),
        ("HM-11 a page", Answer::Page),
    ]
}

/// What a server can do so that there is no object in its answer.
fn no_object() -> Vec<(&'static str, Answer)> {
    vec![
        ("HM-02 broken off", Answer::BreakOff(9)),
        ("HM-04 a negative length", Answer::Headers("content-length: -1")),
        ("HM-04 two lengths", Answer::Headers("content-length: 5\r\ncontent-length: 6")),
        ("HM-12 in a circle", Answer::Redirect("again".to_owned())),
        ("HM-12 a file", Answer::Redirect("file:///etc/passwd".to_owned())),
        ("HM-12 metadata of a cloud", Answer::Redirect("http://169.254.169.254/latest/meta-data/".to_owned())),
        ("HM-13 gzip", Answer::Headers("content-encoding: gzip")),
        ("HM-14 nothing", Answer::Status("200 OK")),
        ("HM-14 204", Answer::Status("204 No Content")),
        ("HM-14 206", Answer::Status("206 Partial Content")),
        ("HM-14 304", Answer::Status("304 Not Modified")),
        ("HM-14 an empty object", Answer::Instead(Vec::new())),
    ]
}

// P6, HM-01, HM-02, HM-03, HM-04, HM-11, HM-12, HM-13, HM-14
#[test]
fn one_honest_source_beside_an_evil_one_is_enough() {
    let site = Site::new();
    let honest = site.honest();
    for (what, answer) in wrong_bytes().into_iter().chain(no_object()) {
        let evil = EvilMirror::start(site.world.store(), move |key| match key {
            key if key.starts_with("chunks/") || key.starts_with("lists/") => answer.clone(),
            _ => Answer::Whole,
        });
        let summary = site.succeeds(&[&evil, &honest]);
        let evil = &summary["sources"][0];
        assert!(evil["errors"].as_u64().unwrap() + evil["strikes"].as_u64().unwrap() > 0, "{what}: {summary}");
        assert!(evil["objects"].as_u64() <= evil["strikes"].as_u64(), "{what}: nothing it sent was good: {summary}");
    }
}

// HM-11, HM-18
#[test]
fn one_honest_source_beside_one_with_evil_heads_roots_and_manifests_is_enough() {
    let site = Site::new();
    let honest = site.honest();
    let evil = [Answer::Flip, Answer::Page, Answer::Endless, Answer::Status("404 Not Found"), Answer::Headers("content-encoding: gzip")];
    thread::scope(|scope| {
        for answer in evil {
            let (site, honest) = (&site, &honest);
            scope.spawn(move || {
                for prefix in ["root/", "heads/", "manifests/", "store.json"] {
                    let evil = site.mirror(prefix, answer.clone());
                    site.succeeds(&[&evil, honest]);
                }
            });
        }
    });
}

// HM-01, HM-02, HM-03, HM-04, HM-11, HM-18
#[test]
fn wrong_bytes_from_the_only_source_are_refused() {
    let site = Site::new();
    for (what, answer) in wrong_bytes() {
        for prefix in ["chunks/", "lists/", "manifests/"] {
            site.is_refused(&[&site.mirror(prefix, answer.clone())], 13, &["object-wrong"], what);
        }
    }
}

// HM-02, HM-04, HM-12, HM-13, HM-14
#[test]
fn answers_without_an_object_from_the_only_source_end_after_the_longest_wait() {
    let site = Site::new();
    let started = Instant::now();
    thread::scope(|scope| {
        for (what, answer) in no_object() {
            let site = &site;
            scope.spawn(move || site.is_refused(&[&site.mirror("chunks/", answer)], 16, &["network"], what));
        }
    });
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

// HM-11, HM-12, HM-13, HM-14
#[test]
fn what_is_no_head_is_refused_as_that() {
    let site = Site::new();
    for answer in [
        Answer::Page,
        Answer::Endless,
        Answer::Garbage,
        Answer::Redirect("file:///etc/passwd".to_owned()),
        Answer::Status("204 No Content"),
    ] {
        site.is_refused(&[&site.mirror("heads/", answer.clone())], 16, &["not-a-head"], "a head");
        site.is_refused(&[&site.mirror("", answer)], 16, &["not-a-head", "not-a-root"], "everything");
    }
}

// HM-05, NW-02
#[test]
fn sources_that_fall_silent_in_the_middle_cost_seconds() {
    let site = Site::new();
    let silent =
        [Answer::Silence, Answer::StallAfter(0), Answer::StallAfter(12), Answer::StallAfter(500), Answer::Drip(Duration::from_millis(300))];
    let silent = silent.map(|answer| site.mirror("chunks/", answer));
    let honest = site.honest();
    let started = Instant::now();
    site.succeeds(&silent.iter().chain([&honest]).collect::<Vec<_>>());
    // Less than the 15 s in which a request without an answer is given up.
    assert!(started.elapsed() < Duration::from_secs(14), "{:?}", started.elapsed());
}

// HM-15
#[test]
fn a_root_that_is_kept_back_changes_nothing() {
    let site = Site::new();
    for status in ["404 Not Found", "403 Forbidden", "503 Service Unavailable"] {
        site.succeeds(&[&site.mirror("root/2", Answer::Status(status))]);
    }
}

// HM-08, HM-06, NW-09
#[test]
fn an_old_or_expired_head_at_one_source_yields_to_the_other() {
    let site = Site::new();
    let head = site.world.store().join("heads/demo/generic.json");
    let lags = site.mirror("heads/", Answer::Instead(fs::read(&head).unwrap()));
    site.world.publish_command(&site.world.path("data"), 2).args(["--head-lifetime", "1s"]).summary();
    let expired = site.mirror("heads/", Answer::Instead(fs::read(&head).unwrap()));
    thread::sleep(Duration::from_millis(1_300));
    site.world.publish(&site.world.path("data"), 3);
    let honest = site.honest();
    assert_eq!(site.succeeds(&[&lags, &expired, &honest])["height"], 3);
    let error = site.is_refused(&[&expired], 17, &["expired"], "a cache without its origin");
    assert!(error["message"].as_str().unwrap().contains("expired"), "{error}");
}

// HM-19
#[test]
fn when_all_sources_are_dead_each_is_named_with_its_reason() {
    let site = Site::new();
    let evil = [site.mirror("", Answer::HangUp), site.mirror("", Answer::Status("503 Slow Down")), site.mirror("", Answer::Page)];
    let error = site.is_refused(&evil.iter().collect::<Vec<_>>(), 16, &["network", "not-a-head", "not-a-root"], "all dead");
    let details = error["details"].as_array().unwrap();
    assert_eq!(details.len(), 3, "{error}");
    for (line, mirror) in details.iter().zip(&evil) {
        assert!(line.as_str().unwrap().starts_with(mirror.url.as_str()), "{error}");
    }
    assert!(error.to_string().contains("503 Slow Down") || error.to_string().contains("503 Service Unavailable"), "{error}");
}

/// Memory that no restore of so small a snapshot needs, bytes.
const PEAK: u64 = 128 << 20;

// P7, HM-03, HM-04
#[test]
fn no_answer_takes_more_memory_than_the_object_it_stands_for() {
    let site = Site::new();
    let huge = Answer::Headers("content-length: 9223372036854775808");
    for (prefix, answer) in [("chunks/", Answer::Endless), ("chunks/", huge), ("lists/", Answer::Endless), ("", Answer::Endless)] {
        let (output, peak) = site.restore(&[&site.mirror(prefix, answer)]).command.output_and_peak();
        assert!(!output.status.success());
        assert!(peak < PEAK, "{prefix}: {peak} bytes");
    }
}
