//! nginx, as a provider would put it before a store.

use std::{fs, path::Path};

use super::{Running, free_port};
use crate::programs::program;

/// A running nginx; it is killed when this is dropped.
pub(crate) struct Nginx {
    // First, so that it is gone before its folder.
    server: Running,
    port: u16,
    folder: tempfile::TempDir,
}

impl Nginx {
    /// Serves a store on a free port of loopback.
    pub(crate) fn start(store: &Path) -> Self {
        Self::start_with("access_log off;", &format!("root \"{}\";", store.display()))
    }

    /// The same, with each response limited to `bytes_per_second`.
    pub(crate) fn start_slow(store: &Path, bytes_per_second: u64) -> Self {
        Self::start_with("access_log off;", &format!("root \"{}\";\nlimit_rate {bytes_per_second};", store.display()))
    }

    /// Serves whatever directives say, on a free port of loopback. Relative paths are in its own folder.
    pub(crate) fn start_with(of_http: &str, of_server: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        fs::write(folder.path().join("nginx.conf"), configuration(port, of_http, of_server)).unwrap();
        Self { server: run(folder.path(), port), port, folder }
    }

    /// Its address, as a source.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Kills it, with every connection.
    pub(crate) fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts it again on the same port after [`Self::kill`].
    pub(crate) fn start_again(&mut self) {
        self.server = run(self.folder.path(), self.port);
    }
}

fn run(folder: &Path, port: u16) -> Running {
    let mut nginx = program("setpriv");
    // Gone with the test, even when that is killed.
    nginx.args(["--pdeathsig", "KILL", "nginx", "-p"]).arg(folder).args(["-c", "nginx.conf", "-e", "error.log"]);
    Running::start(nginx, port, &folder.join("error.log"))
}

/// Everything that nginx writes goes to its own folder, so that it needs no root. One process only: killing it ends everything.
fn configuration(port: u16, of_http: &str, of_server: &str) -> String {
    let temp_paths: String =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {kind};\n")).concat();
    format!(
        "daemon off;\nmaster_process off;\npid nginx.pid;\nevents {{}}\n\
         http {{\n{temp_paths}{of_http}\n\
         server {{\nlisten 127.0.0.1:{port};\n{of_server}\n}}\n}}\n"
    )
}
