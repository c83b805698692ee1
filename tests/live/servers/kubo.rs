//! Kubo: a real node of IPFS.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use tempfile::TempDir;

use super::{Companion, cache};
use crate::{programs::succeed, support::command::text};

/// A node of one test. It can be killed and started again on what it had; it is gone when this is dropped.
pub(crate) struct Kubo {
    // It ends the node when it ends.
    script: Option<Companion>,
    options: Vec<(&'static str, String)>,
    repository: PathBuf,
    // Removed with it, where the script does not do that.
    folder: Option<TempDir>,
    rpc: String,
    gateway: String,
}

impl Kubo {
    /// A node that talks to no other.
    pub(crate) fn start() -> Self {
        Self::with(vec![])
    }

    /// A node that talks to others that it is connected to, on this machine only.
    pub(crate) fn start_online() -> Self {
        Self::with(vec![("QSYNC_KUBO_ONLINE", "1".to_owned())])
    }

    /// A node whose RPC wants a secret (`basic:USER:PASSWORD` or `bearer:TOKEN`).
    pub(crate) fn start_with_secret(secret: &str) -> Self {
        Self::with(vec![("QSYNC_KUBO_AUTH", secret.to_owned())])
    }

    /// The node that all tests share that do no more than add to it and take that away again; the first to ask starts it.
    pub(crate) fn shared() -> &'static Self {
        static KUBO: LazyLock<Kubo> = LazyLock::new(|| Kubo::start_in(None, vec![]));
        &KUBO
    }

    /// A node with options of `servers/kubo.sh`.
    pub(crate) fn with(options: Vec<(&'static str, String)>) -> Self {
        Self::start_in(Some(tempfile::tempdir().unwrap()), options)
    }

    fn start_in(folder: Option<TempDir>, options: Vec<(&'static str, String)>) -> Self {
        let (repository, rpc, gateway) = Default::default();
        let mut kubo = Self { script: None, options, repository, folder, rpc, gateway };
        kubo.start_again();
        kubo
    }

    /// The address of its RPC, as `--to` takes it.
    pub(crate) fn rpc(&self) -> String {
        format!("ipfs+{}", self.rpc)
    }

    /// The address of its gateway.
    pub(crate) fn gateway(&self) -> &str {
        &self.gateway
    }

    /// Its repository.
    pub(crate) fn repository(&self) -> &Path {
        &self.repository
    }

    /// Runs `ipfs`, which asks this node; it must succeed.
    #[track_caller]
    pub(crate) fn ipfs<A: AsRef<std::ffi::OsStr>>(&self, arguments: &[A]) -> String {
        text(&succeed(self.command(arguments)).stdout).trim_end().to_owned()
    }

    /// The command `ipfs` with arguments, to be run beside this node.
    pub(crate) fn command<A: AsRef<std::ffi::OsStr>>(&self, arguments: &[A]) -> Command {
        let mut ipfs = Command::new(program());
        ipfs.env("IPFS_PATH", self.repository());
        if let Some((_, secret)) = self.options.iter().find(|(name, _)| *name == "QSYNC_KUBO_AUTH") {
            ipfs.args(["--api-auth", secret]);
        }
        ipfs.args(arguments);
        ipfs
    }

    /// Kills it (`SIGKILL`), with every connection.
    pub(crate) fn kill(&mut self) {
        if let Some(script) = self.script.take() {
            script.end();
        }
    }

    /// Starts it again after [`Self::kill`], with the same addresses and blocks.
    pub(crate) fn start_again(&mut self) {
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/servers/kubo.sh"));
        command.args(self.folder.as_ref().map(TempDir::path)).envs(self.options.iter().cloned());
        let script = Companion::start(command);
        let said: Vec<_> = script.line.split(' ').map(str::to_owned).collect();
        (self.rpc, self.gateway, self.repository) = (said[0].clone(), said[1].clone(), said[2].clone().into());
        self.script = Some(script);
    }

    /// Connects it to another; both must be online.
    #[track_caller]
    pub(crate) fn connect(&self, other: &Self) {
        let addresses = other.ipfs(&["id", "-f", "<addrs>"]);
        self.ipfs(&["swarm", "connect", addresses.lines().next().unwrap()]);
    }
}

impl Drop for Kubo {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What `tests/run` builds, or what is on the PATH.
fn program() -> PathBuf {
    let built = cache().join("ipfs");
    if built.exists() { built } else { "ipfs".into() }
}
