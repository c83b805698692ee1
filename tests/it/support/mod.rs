//! What the tests of the whole program share: the command, databases, trees, servers.

pub(crate) mod command;
pub(crate) mod database;
pub(crate) mod evil;
pub(crate) mod forge;
pub(crate) mod gateway;
pub(crate) mod kubo;
pub(crate) mod node;
pub(crate) mod receiver;
pub(crate) mod server;
pub(crate) mod tls;
pub(crate) mod trace;
pub(crate) mod tree;

use std::path::{Path, PathBuf};

use command::Qsync;
use serde_json::Value;

/// The channel of every test.
pub(crate) const CHANNEL: &str = "demo/generic";

/// A provider and an operator on one machine, each with a state directory, and a store between them.
pub(crate) struct World {
    folder: tempfile::TempDir,
}

impl World {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// The folder that holds everything.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// One with every awkward shape of file published at height 1, and its pin.
    pub(crate) fn published() -> (Self, String) {
        let world = Self::new();
        tree::make_awkward(&world.path("data"));
        let pin = world.init();
        world.publish(&world.path("data"), 1);
        (world, pin)
    }

    /// A path in its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The provider's command.
    pub(crate) fn provider(&self) -> Qsync {
        Qsync::with_state(self.path("provider-state"))
    }

    /// The operator's command.
    pub(crate) fn operator(&self) -> Qsync {
        Qsync::with_state(self.path("operator-state"))
    }

    /// The store's directory.
    pub(crate) fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// Where the operator restores to.
    pub(crate) fn target(&self) -> PathBuf {
        self.path("restored")
    }

    /// `init`, and the pin that operators need.
    pub(crate) fn init(&self) -> String {
        let summary = self.provider().args(["init", "--name", "test", "--to"]).arg(self.store()).summary();
        format!("b3:{}", summary["repo"].as_str().unwrap())
    }

    /// Publishes `data` at `height`.
    pub(crate) fn publish(&self, data: &Path, height: u64) -> Value {
        self.publish_command(data, height).summary()
    }

    /// The command that publishes `data` at `height`.
    pub(crate) fn publish_command(&self, data: &Path, height: u64) -> Qsync {
        self.provider().args(["publish", CHANNEL]).arg(data).arg("--to").arg(self.store()).args(["--height", &height.to_string()])
    }

    /// The command that restores the newest snapshot from the store's directory.
    pub(crate) fn restore_command(&self, pin: &str) -> Qsync {
        self.restore_from(self.store().to_str().unwrap(), pin)
    }

    /// The command that restores the newest snapshot from `source`.
    pub(crate) fn restore_from(&self, source: &str, pin: &str) -> Qsync {
        self.operator().args(["restore", CHANNEL, "--from", source, "--trust", pin, "--to"]).arg(self.target())
    }

    /// Where the operator's partial restore lies.
    pub(crate) fn staging(&self) -> PathBuf {
        self.path(".restored.qsync-partial")
    }

    /// Every chunk in the store.
    pub(crate) fn chunks(&self) -> Vec<PathBuf> {
        let mut chunks = tree::files(&self.store().join("chunks"));
        chunks.sort();
        chunks
    }
}
