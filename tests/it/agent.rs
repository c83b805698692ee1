//! The agent: what is due is done, once; it answers how it is, and ends well when it is asked to.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, ChildStdout},
};

use serde_json::Value;

use crate::support::{CHANNEL, World, command::Qsync, tree};

/// An agent that runs until the test ends.
struct Agent {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended well before.
        let _ended = self.child.kill();
        self.child.wait().unwrap();
    }
}

impl Agent {
    fn start(world: &World) -> Self {
        let mut child = agent(world).arg("--json").spawn();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next line of that type.
    fn line(&mut self, kind: &str) -> Value {
        let lines = self.lines.by_ref().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
        lines.into_iter().find(|line| line["type"] == kind).expect("the agent ended before it said so")
    }

    /// The next end of such a task.
    fn task(&mut self, name: &str) -> Value {
        loop {
            let line = self.line("task");
            if line["task"] == name {
                return line;
            }
        }
    }

    /// Asks it to end, and gives its exit code.
    fn stop(mut self) -> i32 {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code().unwrap()
    }
}

fn agent(world: &World) -> Qsync {
    world.provider().arg("--config").arg(world.path("config.toml")).args(["agent", "--listen", "127.0.0.1:0"])
}

/// A channel whose schedule came many times since the agent last ran.
fn overdue() -> World {
    let world = World::new();
    tree::make_awkward(&world.path("data"));
    world.init();
    let (store, data, metrics) = (world.store(), world.path("data"), world.path("qsync.prom"));
    let config = format!(
        "metrics_file = {metrics:?}\n[channels.\"{CHANNEL}\"]\nto = [{store:?}]\ndata_dir = {data:?}\nschedule = \"0 3 * * *\"\ntime_zone = \"Europe/Sofia\"\n"
    );
    fs::write(world.path("config.toml"), config).unwrap();
    fs::create_dir_all(world.path("provider-state/agent")).unwrap();
    let past = r#"{"format":"qsync-agent/1","known_since":"2026-01-01T00:00:00Z"}"#;
    fs::write(world.path("provider-state/agent/demo+generic.json"), past).unwrap();
    world
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn missed_runs_are_one_run_and_the_agent_tells_how_it_went() {
    let world = overdue();
    let mut agent = Agent::start(&world);
    let address = agent.line("listening")["address"].as_str().unwrap().to_owned();
    let done = agent.task("publish");
    assert_eq!((&done["exit"], &done["channel"]), (&Value::from(0), &Value::from(CHANNEL)), "{done}");
    let metrics = get(&address, "/metrics");
    for line in ["qsync_publish_last_exit_code{channel=\"demo/generic\"} 0", "qsync_thaw_pending{channel=\"demo/generic\"} 0"] {
        assert!(metrics.contains(line) && fs::read_to_string(world.path("qsync.prom")).unwrap().contains(line), "{metrics}");
    }
    assert!(metrics.contains("qsync_agent_next_publish_timestamp_seconds"), "{metrics}");
    assert!(get(&address, "/healthz").starts_with("HTTP/1.1 200"));
    let second = self::agent(&world).json_error(11);
    assert!(second["message"].as_str().unwrap().contains("another agent"), "{second}");
    assert_eq!(agent.stop(), 0);
    // The one that comes after it knows what was done.
    let remembered: Value = serde_json::from_slice(&fs::read(world.path("provider-state/agent/demo+generic.json")).unwrap()).unwrap();
    assert!(remembered["published"].is_string() && remembered["signed"].is_string(), "{remembered}");
    let head = world.provider().args(["head", "show", CHANNEL, "--from"]).arg(world.store()).summary();
    assert_eq!(head["seq"], 1);
}

#[test]
fn a_head_that_nobody_signed_for_long_is_signed_again_and_its_absence_shows() {
    let world = overdue();
    world.publish(&world.path("data"), 1);
    let now = jiff::Timestamp::now();
    let past =
        format!(r#"{{"format":"qsync-agent/1","known_since":"2026-01-01T00:00:00Z","published":"{now}","signed":"2026-11-01T00:00:00Z"}}"#);
    fs::write(world.path("provider-state/agent/demo+generic.json"), past).unwrap();
    fs::rename(world.store(), world.path("away")).unwrap();
    let mut agent = Agent::start(&world);
    let address = agent.line("listening")["address"].as_str().unwrap().to_owned();
    assert_ne!(agent.task("head refresh")["exit"], 0);
    let health = get(&address, "/healthz");
    assert!(health.starts_with("HTTP/1.1 503") && health.contains("no head was signed since 2026-11-01"), "{health}");
    assert_eq!(agent.stop(), 0);
    fs::rename(world.path("away"), world.store()).unwrap();
    // The next try is an hour later: as if it had gone by.
    let file = world.path("provider-state/agent/demo+generic.json");
    let mut past: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    past["tried_to_sign"] = Value::Null;
    fs::write(&file, past.to_string()).unwrap();
    let mut agent = Agent::start(&world);
    assert_eq!(agent.task("head refresh")["exit"], 0);
    let head = world.provider().args(["head", "show", CHANNEL, "--from"]).arg(world.store()).summary();
    assert_eq!(head["seq"], 2);
}

#[test]
fn schedules_that_are_none_are_refused_with_the_file() {
    let world = overdue();
    for (bad, why) in [("schedule = \"0 3 * *\"", "five fields"), ("schedule = \"0 3 * * *\"\ntime_zone = \"Sofia\"", "Sofia")] {
        fs::write(world.path("config.toml"), format!("[channels.\"{CHANNEL}\"]\n{bad}\n")).unwrap();
        let refused = agent(&world).json_error(2);
        assert!(refused["message"].as_str().unwrap().contains(why), "{refused}");
    }
    fs::write(world.path("config.toml"), "").unwrap();
    assert!(agent(&world).json_error(2)["hints"][0].as_str().unwrap().contains("schedule = "));
}

#[test]
fn a_monitor_is_told_when_a_publish_begins_and_how_it_ends_and_can_be_down() {
    let world = overdue();
    let monitor = Monitor::start();
    fs::write(world.path("ping-url"), format!("{}secret\n", monitor.url)).unwrap();
    let publish = || world.publish_command(&world.path("data"), 5).arg("--ping-file").arg(world.path("ping-url"));
    publish().summary();
    fs::write(world.path("data/wallet.dat"), "key").unwrap();
    assert_eq!(publish().json_error(18)["code"], "source-secrets");
    let told = monitor.stop();
    let lines: Vec<_> = told.iter().map(|(line, _)| line.as_str()).collect();
    assert_eq!(lines, ["POST /secret/start", "POST /secret", "POST /secret/start", "POST /secret/18"]);
    assert!(told[1].1.contains("\"snapshot\"") && told[3].1.contains("wallet.dat"), "{told:?}");
    fs::remove_file(world.path("data/wallet.dat")).unwrap();
    let output = publish().output();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("the monitor at http://127.0.0.1 could not be told"), "{said}");
    assert!(!said.contains("secret"), "{said}");
}

/// A server that notes what it is told.
struct Monitor {
    url: String,
    server: std::thread::JoinHandle<Vec<(String, String)>>,
    ended: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Monitor {
    fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let ended = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let seen = std::sync::Arc::clone(&ended);
        let server = std::thread::spawn(move || {
            let mut told = Vec::new();
            for stream in listener.incoming() {
                if seen.load(std::sync::atomic::Ordering::SeqCst) {
                    break;
                }
                told.push(answer(stream.unwrap()));
            }
            told
        });
        Self { url, server, ended }
    }

    fn stop(self) -> Vec<(String, String)> {
        self.ended.store(true, std::sync::atomic::Ordering::SeqCst);
        drop(TcpStream::connect(self.url.trim_start_matches("http://").trim_end_matches('/')).unwrap());
        self.server.join().unwrap()
    }
}

/// Reads one request: its line without the version, and its body.
fn answer(stream: TcpStream) -> (String, String) {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    reader.into_inner().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    (first.trim_end_matches(" HTTP/1.1\r\n").to_owned(), String::from_utf8(body).unwrap())
}
