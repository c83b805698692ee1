//! How a node is frozen: the settings, and the guard that knows how far it is.

pub mod plan;
#[cfg(test)]
pub(super) mod testing;

use std::{
    ffi::OsString,
    fs::File,
    path::PathBuf,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{
    Error,
    answers::{Answers, HttpServer},
    manager::{Manager, State, Stop},
    marker::{Marker, Markers, Phase},
    owner::Owner,
    script,
};
use crate::types::{ChannelName, Timestamp};

/// Part of a file system that stays free while a clone lives, in hundredths, unless told otherwise.
pub const RESERVE_PERCENT: u8 = 10;
/// How often a start is tried in one go, and the pause between.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);
/// How long a node must go on running where nothing answers for it.
const SETTLED: Duration = Duration::from_millis(500);
const POLL: Duration = Duration::from_millis(100);

/// How files that do not change are got from a node that runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The node is stopped already; nothing is done to it.
    #[default]
    Stopped,
    /// Stop, clone, start.
    StopClone,
    /// Stop, snapshot of the subvolume, start.
    Btrfs,
    /// The operator's script.
    Command,
}

impl Method {
    /// Its name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::StopClone => "stop-clone",
            Self::Btrfs => "btrfs",
            Self::Command => "command",
        }
    }
}

/// How the node of a channel is frozen.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How.
    pub method: Method,
    /// What stops and starts it.
    pub manager: Option<Manager>,
    /// The script of the method `command`.
    pub script: Vec<String>,
    /// Where the clone goes; beside the data directory where nothing is said.
    pub clone_dir: Option<PathBuf>,
    /// How long the copy may keep the node down.
    pub max_downtime: Duration,
    /// How long the node may take to stop.
    pub stop_timeout: Duration,
    /// How long it may take from its start to its answer.
    pub start_timeout: Duration,
    /// Part of the file system that stays free while a clone lives, in hundredths.
    pub reserve_percent: u8,
    /// Where the node answers, `HOST:PORT`.
    pub answers_at: Option<String>,
    /// Program and arguments of the watchdog; empty for none.
    pub watchdog: Vec<OsString>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            method: Method::Stopped,
            manager: None,
            script: Vec::new(),
            clone_dir: None,
            max_downtime: Duration::from_secs(60),
            stop_timeout: Duration::from_secs(15 * 60),
            start_timeout: Duration::from_secs(10 * 60),
            reserve_percent: RESERVE_PERCENT,
            answers_at: None,
            watchdog: Vec::new(),
        }
    }
}

/// A node that this process is responsible for, from before its stop until it answers again. What it says is durable before it is done.
#[derive(Debug)]
pub struct Down {
    markers: Markers,
    marker: Marker,
}

impl Down {
    /// Writes down, durably, that the node is about to be stopped.
    ///
    /// # Errors
    /// [`Error::Io`]; then nothing may be done to the node.
    pub fn begin(
        markers: Markers,
        channel: &ChannelName,
        settings: &Settings,
        was_running: bool,
        clone: Option<PathBuf>,
    ) -> Result<Self, Error> {
        let marker = Marker {
            v: Marker::VERSION,
            channel: channel.clone(),
            owner: Owner::current(),
            method: settings.method,
            manager: settings.manager.clone(),
            script: settings.script.clone(),
            was_running,
            clone,
            phase: Phase::Stopping,
            since: Timestamp::now(),
            attempts: 0,
            answers_at: settings.answers_at.clone(),
            stop_timeout_secs: settings.stop_timeout.as_secs(),
            start_timeout_secs: settings.start_timeout.as_secs(),
        };
        if let Err(error) = markers.write(&marker) {
            // It may be there in part or in whole, and would have an untouched node stopped by whoever finds it.
            let _best_effort = markers.remove(channel);
            return Err(error);
        }
        Ok(Self { markers, marker })
    }

    /// Takes over a node from a run that is dead.
    pub(super) fn inherit(markers: Markers, marker: Marker) -> Self {
        Self { markers, marker }
    }

    /// What is written down.
    #[must_use]
    pub fn marker(&self) -> &Marker {
        &self.marker
    }

    /// Writes down how far it is.
    ///
    /// # Errors
    /// [`Error::Io`]; the marker still says enough to bring the node back.
    pub fn advance(&mut self, phase: Phase) -> Result<(), Error> {
        self.marker.phase = phase;
        self.markers.write(&self.marker)
    }

    /// Asks the node to stop and waits until it has.
    ///
    /// # Errors
    /// [`Error::NotClean`] also where it takes too long; the node must be started again whatever comes of it.
    pub fn stop(&mut self) -> Result<(), Error> {
        let limit = Duration::from_secs(self.marker.stop_timeout_secs);
        let held = self.held().ok().flatten();
        let stopped = self.marker.manager.as_ref().map_or(Ok(Stop::Clean), |manager| manager.stop(limit, held));
        match stopped {
            Ok(Stop::Clean) => self.advance(Phase::Stopped),
            Ok(Stop::Unclean(why)) => self.advance(Phase::Stopped).and(Err(Error::NotClean { why })),
            Err(late @ Error::Late { .. }) => Err(Error::NotClean { why: late.to_string() }),
            Err(error) => Err(error),
        }
    }

    /// Lets the operator's script freeze the node.
    ///
    /// # Errors
    /// When it fails or says something else than it should; it must then be undone all the same.
    pub fn by_script(&mut self) -> Result<script::Frozen, Error> {
        let frozen = script::freeze(&self.marker, self.held().ok().flatten())?;
        self.advance(Phase::Cloned)?;
        Ok(frozen)
    }

    /// Lets the script undo what it did, once it has ended doing it.
    ///
    /// # Errors
    /// [`Error::Down`].
    pub fn undo_script(&self) -> Result<(), Error> {
        // A script that has ended well may have left the node itself with its standard input.
        if self.marker.phase == Phase::Stopping {
            self.await_end_of_stop();
        }
        script::undo(&self.marker)
    }

    /// Waits until no program of this run, or of a dead one, is stopping the node any more, or the node has stopped: a stop command may have
    /// more to do. No longer than the node may take to stop.
    pub(super) fn await_end_of_stop(&self) {
        let until = Instant::now() + Duration::from_secs(self.marker.stop_timeout_secs);
        while self.is_being_stopped() && Instant::now() < until {
            std::thread::sleep(POLL);
        }
    }

    fn is_being_stopped(&self) -> bool {
        let has_stopped = || self.marker.manager.as_ref().is_some_and(|manager| matches!(manager.state(), Ok(State::Stopped)));
        self.markers.is_stopping(&self.marker.channel).unwrap_or(false) && !has_stopped()
    }

    fn held(&self) -> Result<Option<File>, Error> {
        self.markers.stop_lock(&self.marker.channel)
    }

    /// Starts the node, once.
    ///
    /// # Errors
    /// Why it could not be started.
    pub fn start(&mut self) -> Result<(), Error> {
        if plan::stop_may_go_on(&self.marker, plan::Boot::of(&self.marker.owner)) {
            // A start while it stops would do nothing, and be taken for a good one. But whatever comes of that, the node is started.
            self.finish_stop();
        }
        self.marker.attempts = self.marker.attempts.saturating_add(1);
        let again = self.marker.attempts > 1;
        // The disk may be full, and that is no reason to leave the node stopped.
        let _the_phase_before_says_enough = self.advance(Phase::Starting);
        let limit = Duration::from_secs(self.marker.start_timeout_secs);
        self.marker.manager.as_ref().map_or(Ok(()), |manager| manager.start(limit, again))
    }

    /// Waits until the node answers, or its manager says that it runs where nothing answers for it.
    ///
    /// # Errors
    /// Why it is not back.
    pub fn await_answer(&self) -> Result<(), Error> {
        let until = Instant::now() + Duration::from_secs(self.marker.start_timeout_secs);
        let server = self.marker.answers_at.as_ref().map(|address| HttpServer { address: address.clone() });
        let mut runs_since = None;
        loop {
            let state = self.marker.manager.as_ref().map_or(Ok(State::Unknown), Manager::state)?;
            match (&server, state) {
                (_, State::Stopped) => return Err(self.down("it ended again after its start")),
                (Some(server), _) if server.answers() => return Ok(()),
                (None, State::Unknown) => return Ok(()),
                (None, State::Running) if runs_since.get_or_insert_with(Instant::now).elapsed() >= SETTLED => return Ok(()),
                _ if Instant::now() >= until => return Err(self.down("it does not answer")),
                _ => std::thread::sleep(POLL),
            }
        }
    }

    /// Starts the node and waits until it answers, a few times.
    ///
    /// # Errors
    /// [`Error::Down`], and the marker stays.
    pub fn bring_back(&mut self) -> Result<(), Error> {
        let first = self.start();
        self.see_it_back(first)
    }

    /// Goes on after a first start: waits for the answer, and starts it again where that failed.
    ///
    /// # Errors
    /// [`Error::Down`], and the marker stays.
    pub fn see_it_back(&mut self, first: Result<(), Error>) -> Result<(), Error> {
        let mut tried = first.and_then(|()| self.await_answer());
        for _ in 1..TRIES {
            if tried.is_ok() || self.is_up() {
                break;
            }
            std::thread::sleep(PAUSE);
            tried = self.start().and_then(|()| self.await_answer());
        }
        let is_down = matches!(&tried, Err(Error::Down { .. }));
        tried.map_err(|error| if is_down { error } else { self.down(&crate::progress::in_one_line(&error)) })
    }

    /// Whether the manager says that it runs: then another start changes nothing.
    fn is_up(&self) -> bool {
        self.marker.manager.as_ref().is_some_and(|manager| matches!(manager.state(), Ok(State::Running)))
    }

    fn down(&self, why: &str) -> Error {
        Error::Down { channel: self.marker.channel.clone(), attempts: self.marker.attempts, why: why.to_owned() }
    }

    /// Sees a stop that was asked for to its end. An engine whose command line was killed goes on by itself, and is asked once more; a stop
    /// command is not, for somebody may have started the node since.
    fn finish_stop(&mut self) {
        self.await_end_of_stop();
        let Some(manager @ Manager::Container { .. }) = &self.marker.manager else { return };
        if !matches!(manager.state(), Ok(State::Stopped)) {
            let _the_start_says_whether_it_runs = self.stop();
        }
    }

    /// Removes the marker: the node is back, and the clone is gone.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn end(self) -> Result<(), Error> {
        self.markers.remove(&self.marker.channel)
    }
}
