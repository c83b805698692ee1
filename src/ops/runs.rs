//! How the last publish of each channel went, for monitoring: `STATE/runs/<chain>+<profile>.json`.
//!
//! Metrics are made from it, so that one file of metrics can tell of all channels, and so that the last success is known after a failure.

use std::{io, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    catalog::StateDir,
    fs::Fs,
    types::{ChannelName, Hash, Timestamp},
};

const FOLDER: &str = "runs";
const FORMAT: &str = "qsync-run/1";
const MAX_BYTES: u64 = 1 << 16;

/// The last run of a channel, and what is known from those before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    format: String,
    /// The channel.
    pub channel: ChannelName,
    /// When it began.
    pub started: Timestamp,
    /// How long it took.
    pub seconds: f64,
    /// Its exit code.
    pub exit: u8,
    /// When a run last ended with 0.
    pub last_success: Option<Timestamp>,
    /// How long the node was stopped for it.
    pub downtime_seconds: Option<f64>,
    /// The newest snapshot that was published.
    pub snapshot: Option<Published>,
}

/// A snapshot that was published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Its id.
    pub id: Hash,
    /// Block height, if known.
    pub height: Option<u64>,
    /// When the copy was taken.
    pub taken_at: Timestamp,
    /// Length of all files, bytes.
    pub bytes: u64,
    /// Length of all frames, bytes.
    pub frame_bytes: u64,
    /// Until when its head is valid.
    pub head_expires: Timestamp,
}

impl Run {
    /// A run that ended at `started` + `seconds`, after `before`.
    #[must_use]
    pub fn after(
        before: Option<&Self>,
        channel: ChannelName,
        started: Timestamp,
        seconds: f64,
        exit: u8,
        snapshot: Option<Published>,
    ) -> Self {
        let ended = started.checked_add(jiff::SignedDuration::try_from_secs_f64(seconds).unwrap_or_default()).unwrap_or(started);
        let kept = |known: fn(&Self) -> Option<Timestamp>| before.and_then(known);
        Self {
            format: FORMAT.to_owned(),
            channel,
            started,
            seconds,
            exit,
            last_success: if exit == 0 { Some(ended) } else { kept(|run| run.last_success) },
            downtime_seconds: None,
            snapshot: snapshot.or_else(|| before.and_then(|run| run.snapshot.clone())),
        }
    }

    /// Keeps it durably.
    ///
    /// # Errors
    /// When the state directory cannot be written.
    pub fn save(&self, fs: &dyn Fs, state: &StateDir) -> io::Result<()> {
        fs.create_dir_all(&state.path().join(FOLDER), 0o700)?;
        fs.write_durable(&path(state, &self.channel), &serde_json::to_vec(self).map_err(io::Error::other)?, 0o600)
    }

    /// The last run of a channel; `None` when there was none, or what was kept of it is damaged or of another version.
    #[must_use]
    pub fn load(fs: &dyn Fs, state: &StateDir, channel: &ChannelName) -> Option<Self> {
        parse(&fs.read(&path(state, channel), MAX_BYTES).ok()?).filter(|run| run.channel == *channel)
    }

    /// The last runs of all channels, by their names.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn all(fs: &dyn Fs, state: &StateDir) -> io::Result<Vec<Self>> {
        let folder = state.path().join(FOLDER);
        let entries = match fs.read_dir(&folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut runs: Vec<Self> = entries.iter().filter_map(|entry| parse(&fs.read(&folder.join(&entry.name), MAX_BYTES).ok()?)).collect();
        runs.sort_by(|a, b| a.channel.cmp(&b.channel));
        Ok(runs)
    }
}

fn parse(bytes: &[u8]) -> Option<Run> {
    serde_json::from_slice(bytes).ok().filter(|run: &Run| run.format == FORMAT)
}

fn path(state: &StateDir, channel: &ChannelName) -> PathBuf {
    state.path().join(FOLDER).join(format!("{}.json", channel.file_stem()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::fs::MemoryFs;

    #[test]
    fn a_failure_keeps_what_is_known_of_the_last_success() {
        let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
        let state = StateDir::open(Arc::clone(&fs), "/state").unwrap();
        let (a, b): (ChannelName, ChannelName) = ("a/x".parse().unwrap(), "b/x".parse().unwrap());
        let (then, later) = (Timestamp::from_second(1_800_000_000).unwrap(), Timestamp::from_second(1_800_086_400).unwrap());
        let published = Published { id: Hash::of(b"s"), height: Some(7), taken_at: then, bytes: 5, frame_bytes: 4, head_expires: later };
        assert_eq!(Run::load(&*fs, &state, &a), None);
        Run::after(None, a.clone(), then, 60.0, 0, Some(published.clone())).save(&*fs, &state).unwrap();
        let good = Run::load(&*fs, &state, &a).unwrap();
        assert_eq!(good.last_success, Some(Timestamp::from_second(1_800_000_060).unwrap()));
        Run::after(Some(&good), a.clone(), later, 1.5, 18, None).save(&*fs, &state).unwrap();
        let bad = Run::load(&*fs, &state, &a).unwrap();
        assert_eq!((bad.exit, bad.started, bad.last_success, bad.snapshot.as_ref()), (18, later, good.last_success, Some(&published)));
        Run::after(None, b, then, 1.0, 0, None).save(&*fs, &state).unwrap();
        fs.write_durable(&state.path().join("runs/c+x.json"), b"{}", 0o600).unwrap();
        let all: Vec<_> = Run::all(&*fs, &state).unwrap().into_iter().map(|run| run.channel.to_string()).collect();
        assert_eq!(all, ["a/x", "b/x"]);
    }
}
