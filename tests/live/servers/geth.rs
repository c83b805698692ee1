//! geth: a real node with a chain of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{Companion, cache};
use crate::{programs::succeed, support::command::text};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/servers/geth.sh");
/// How long a node that was started may take to do what is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node of one test. Whatever runs in its folder ends with the test, whoever has started it.
pub(crate) struct Geth {
    folder: PathBuf,
    url: String,
    // It ends what runs in the folder when this is dropped.
    script: Option<Companion>,
}

impl Geth {
    /// Starts a node on `folder/data`, which may hold a database already.
    pub(crate) fn start(folder: &Path) -> Self {
        let mut command = Command::new(SCRIPT);
        command.arg("serve").arg(folder);
        let script = Companion::start(command);
        Self { folder: folder.to_owned(), url: script.line.clone(), script: Some(script) }
    }

    /// Where its JSON-RPC answers.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Its data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The command that stops it, and the one that starts it again, as TOML has them.
    pub(crate) fn commands(&self) -> [String; 2] {
        // qsync runs without a home here.
        let cache = format!("XDG_CACHE_HOME={}", cache().parent().unwrap().display());
        ["down", "up"].map(|verb| json!(["env", cache, SCRIPT, verb, self.folder]).to_string())
    }

    /// The process that runs, as it is written down.
    pub(crate) fn pid(&self) -> u32 {
        fs::read_to_string(self.folder.join("pid")).unwrap().trim().parse().unwrap()
    }

    /// Kills the process that runs.
    pub(crate) fn kill(&self) {
        let pid = rustix::process::Pid::from_raw(self.pid().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }

    /// Starts it again after it was killed.
    pub(crate) fn start_again(&self) {
        let mut command = Command::new(SCRIPT);
        command.arg("up").arg(&self.folder);
        succeed(command);
    }

    /// Asks it; `None` when it does not answer.
    pub(crate) fn ask(&self, method: &str, parameters: Value) -> Option<Value> {
        let question = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}).to_string();
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--noproxy", "*", "--max-time", "5", "-H", "Content-Type: application/json", "--data", &question, &self.url]);
        let output = curl.output().unwrap();
        let answer: Value = serde_json::from_str(&text(&output.stdout)).ok()?;
        Some(answer["result"].clone())
    }

    /// The height of its newest block; `None` when it does not answer.
    pub(crate) fn height(&self) -> Option<u64> {
        let height = self.ask("eth_blockNumber", json!([]))?;
        u64::from_str_radix(height.as_str()?.trim_start_matches("0x"), 16).ok()
    }

    /// The hash of the block at `height`.
    pub(crate) fn block_hash(&self, height: u64) -> Option<String> {
        let block = self.ask("eth_getBlockByNumber", json!([format!("{height:#x}"), false]))?;
        block["hash"].as_str().map(str::to_owned)
    }

    /// Waits until it has made so many blocks.
    #[track_caller]
    pub(crate) fn wait_for_height(&self, height: u64) {
        let began = Instant::now();
        while self.height().is_none_or(|now| now < height) {
            assert!(began.elapsed() < PATIENCE, "no block {height}: {:?}", self.height());
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until it answers.
    #[track_caller]
    pub(crate) fn wait_until_it_answers(&self) {
        self.wait_for_height(0);
    }
}

impl Drop for Geth {
    fn drop(&mut self) {
        // Before the folder goes, which says what runs.
        if let Some(script) = self.script.take() {
            script.end();
        }
    }
}
