//! nginx, as a provider would put it before a store.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::programs::program;

/// How long it may take until it accepts connections.
const START: Duration = Duration::from_secs(20);

/// A running nginx; it is killed when this is dropped.
pub(crate) struct Nginx {
    // First, so that it is gone before its folder.
    server: Running,
    port: u16,
    folder: tempfile::TempDir,
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Nginx {
    /// Serves a store on a free port of loopback.
    pub(crate) fn start(store: &Path) -> Self {
        Self::start_with(store, "")
    }

    /// The same, with each response limited to `bytes_per_second`.
    pub(crate) fn start_slow(store: &Path, bytes_per_second: u64) -> Self {
        Self::start_with(store, &format!("limit_rate {bytes_per_second};"))
    }

    fn start_with(store: &Path, directives: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        fs::write(folder.path().join("nginx.conf"), configuration(store, port, directives)).unwrap();
        Self { server: run(folder.path(), port), port, folder }
    }

    /// Its address, as a source.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Kills it, with every connection.
    pub(crate) fn kill(&mut self) {
        self.server.0.kill().unwrap();
        self.server.0.wait().unwrap();
    }

    /// Starts it again on the same port after [`Self::kill`].
    pub(crate) fn start_again(&mut self) {
        self.server = run(self.folder.path(), self.port);
    }
}

fn run(folder: &Path, port: u16) -> Running {
    let mut nginx = program("nginx");
    nginx.arg("-p").arg(folder).args(["-c", "nginx.conf", "-e", "error.log"]).stdin(Stdio::null());
    let mut running = Running(nginx.spawn().expect("nginx is installed: tests/run does it"));
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        let ended = running.0.try_wait().unwrap();
        assert!(ended.is_none() && began.elapsed() < START, "nginx does not serve: {}", log(folder));
        thread::sleep(Duration::from_millis(10));
    }
    running
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("error.log")).unwrap_or_default()
}

/// Everything that nginx writes goes to its own folder, so that it needs no root. One process only: killing it ends everything.
fn configuration(store: &Path, port: u16, directives: &str) -> String {
    let temp_paths: String =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {kind};\n")).concat();
    format!(
        "daemon off;\nmaster_process off;\npid nginx.pid;\nevents {{}}\n\
         http {{\naccess_log off;\n{temp_paths}\
         server {{\nlisten 127.0.0.1:{port};\nroot \"{}\";\n{directives}\n}}\n}}\n",
        store.display()
    )
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}
