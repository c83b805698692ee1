//! Real servers on loopback. Each ends with the test, or with the run of tests, that started it.

pub(crate) mod cable;
pub(crate) mod cdn;
pub(crate) mod ceph;
pub(crate) mod geth;
pub(crate) mod kubo;
pub(crate) mod moto;
pub(crate) mod nginx;
pub(crate) mod s3;
pub(crate) mod systemd;

use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long it may take until a server accepts connections.
const START: Duration = Duration::from_secs(20);

/// A server of one test; it is killed when this is dropped.
pub(crate) struct Running(Child);

impl Running {
    /// Starts it, and waits until it accepts connections on `port`; what it writes to `log` is shown when it does not.
    pub(crate) fn start(mut command: Command, port: u16, log: &Path) -> Self {
        let spawned = command.stdin(Stdio::null()).spawn();
        let mut running = Self(spawned.unwrap_or_else(|e| panic!("{command:?}: {e}; tests/run installs what is needed")));
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = running.0.try_wait().unwrap();
            assert!(ended.is_none() && began.elapsed() < START, "{command:?} does not serve: {}", read(log));
            thread::sleep(Duration::from_millis(10));
        }
        running
    }

    /// Kills it, with every connection.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A program that prints one line when it serves, and ends when its standard input does: at the latest when the tests end, in whatever way.
pub(crate) struct Companion {
    /// What it printed.
    pub(crate) line: String,
    child: Child,
}

impl Companion {
    /// Starts it, and waits for its line. Once more where it does not come: a port that was free may be taken by then.
    pub(crate) fn start(mut command: Command) -> Self {
        Self::try_start(&mut command)
            .or_else(|| Self::try_start(&mut command))
            .unwrap_or_else(|| panic!("{command:?} does not serve; tests/run installs what is needed"))
    }

    fn try_start(command: &mut Command) -> Option<Self> {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|e| panic!("{command:?}: {e}; tests/run installs what is needed"));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line.ends_with('\n') {
            return Some(Self { line: line.trim_end().to_owned(), child });
        }
        child.wait().unwrap();
        None
    }

    /// Ends it, and waits until it has ended what it started.
    pub(crate) fn end(mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

/// Where `tests/run` keeps what it builds and installs.
pub(crate) fn cache() -> PathBuf {
    let caches = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    caches.unwrap_or_else(|| PathBuf::from(env::var_os("HOME").unwrap()).join(".cache")).join("qsync-live")
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

fn read(log: &Path) -> String {
    fs::read_to_string(log).unwrap_or_default()
}
