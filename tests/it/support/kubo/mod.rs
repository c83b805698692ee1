//! Nodes of IPFS: what is relied on, and a node in memory that keeps it and fails as it is told to.
//!
//! It speaks the RPC of Kubo as far as qsync uses it. Blocks are checked, pins and files keep them from being cleaned away, and an online
//! node looks for a block that it lacks for as long as it may.

pub(crate) mod contract;
mod rpc;
mod state;

use std::{
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::Duration,
};

use qsync::types::Cid;
use state::State;

/// What the node does instead of what it should.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Says so with a status of 500, and does nothing.
    Says(&'static str),
    /// Says so with a status of 200, and does nothing.
    SaysWithStatus200(&'static str),
    /// Does it, and says so in the trailer of its answer.
    SaysInTrailer(&'static str),
    /// Answers with this status, kind of content and body.
    Answers(u16, &'static str, &'static str),
    /// Does it, and says something else.
    Instead(&'static str),
    /// Never answers.
    Hangs,
    /// Answers this late.
    After(Duration),
    /// Closes the connection; of an import it keeps so many blocks.
    BreaksOff(usize),
    /// Of an import it keeps so many blocks, and says that the disk is full.
    IsFull(usize),
}

/// What it does when it is given a command for the nth time, from 0.
type Script = Arc<dyn Fn(&str, usize) -> Option<Fault> + Send + Sync>;

/// The node. Its thread ends with the process.
#[derive(Clone)]
pub(crate) struct FakeKubo {
    address: String,
    state: Arc<Mutex<State>>,
}

impl FakeKubo {
    /// A node that talks to no other.
    pub(crate) fn start() -> Self {
        Self::scripted(|_, _| None)
    }

    /// The same; for each command, such as `pin/add`, `script` says what goes wrong.
    pub(crate) fn scripted(script: impl Fn(&str, usize) -> Option<Fault> + Send + Sync + 'static) -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State::default()));
        let router = rpc::router(Arc::clone(&state), Arc::new(script));
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), router).await.unwrap() });
        });
        Self { address, state }
    }

    /// It has other nodes to ask, none of which has anything: it looks for a block that it lacks until its time is over.
    pub(crate) fn online(self) -> Self {
        self.state().online = true;
        self
    }

    /// Its release is this.
    pub(crate) fn of_version(self, version: &str) -> Self {
        self.state().version = version.to_owned();
        self
    }

    /// Its RPC, as `--to` takes it.
    pub(crate) fn rpc(&self) -> String {
        format!("ipfs+http://{}", self.address)
    }

    /// Every command that it was given, in order.
    pub(crate) fn commands(&self) -> Vec<String> {
        self.state().commands.clone()
    }

    /// A block that it has.
    pub(crate) fn block(&self, cid: &Cid) -> Option<Vec<u8>> {
        self.state().blocks.get(cid).cloned()
    }

    /// How many blocks it has.
    pub(crate) fn blocks(&self) -> usize {
        self.state().blocks.len()
    }

    /// What it keeps, and under which name.
    pub(crate) fn pins(&self) -> Vec<(Cid, String)> {
        self.state().pins.clone().into_iter().collect()
    }

    /// The paths in its directory of files.
    pub(crate) fn files(&self) -> Vec<String> {
        self.state().files.keys().cloned().collect()
    }

    /// Loses a block, as a broken disk does.
    pub(crate) fn lose(&self, cid: &Cid) {
        self.state().blocks.remove(cid).unwrap();
    }

    /// Removes what neither a pin nor a file keeps, as `ipfs repo gc` does.
    pub(crate) fn collect_garbage(&self) {
        self.state().collect_garbage();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}
