//! The marker of a frozen node: `STATE/freeze/<chain>+<profile>.json`.
//!
//! It is there, durably, from before the node is asked to stop until it answers again and the clone is gone. Whoever reads it can bring the node
//! back without any configuration. A marker that cannot be read is an error, never "none".

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{Error, freeze::Method, manager::Manager, owner::Owner};
use crate::{
    fs::{Fs, Kind, Lock, Open},
    types::{ChannelName, Timestamp},
};

const FOLDER: &str = "freeze";
const VERSION: u32 = 1;
const MAX_BYTES: u64 = 64 << 10;

/// How far a run is with the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It is being asked to stop, or about to be.
    Stopping,
    /// It has stopped; the copy is being made.
    Stopped,
    /// The copy is made.
    Cloned,
    /// It is being started.
    Starting,
    /// It answers again. What is left is the clone.
    Running,
}

/// What must be known to bring a node back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marker {
    /// Version of this form.
    pub v: u32,
    /// Its channel.
    pub channel: ChannelName,
    /// The run that froze it.
    pub owner: Owner,
    /// How.
    pub method: Method,
    /// What stops and starts it; `None` for the method `command`.
    pub manager: Option<Manager>,
    /// The operator's script of the method `command`.
    pub script: Vec<String>,
    /// Whether it ran before: a node that its operator stopped is never started.
    pub was_running: bool,
    /// Where the clone lies, or will.
    pub clone: Option<PathBuf>,
    /// How far it is.
    pub phase: Phase,
    /// Since when.
    pub since: Timestamp,
    /// How often it was tried to start it.
    pub attempts: u32,
    /// `HOST:PORT` at which it answers; `None` where the manager's word counts.
    pub answers_at: Option<String>,
    /// How long a stop may take, seconds.
    pub stop_timeout_secs: u64,
    /// How long a start may take until the node answers, seconds.
    pub start_timeout_secs: u64,
}

impl Marker {
    /// The version that this release writes and reads.
    pub const VERSION: u32 = VERSION;
}

/// The markers of a state directory.
#[derive(Clone, Debug)]
pub struct Markers {
    fs: Arc<dyn Fs>,
    state_dir: PathBuf,
}

impl Markers {
    /// Those of this state directory.
    #[must_use]
    pub fn of(fs: Arc<dyn Fs>, state_dir: &Path) -> Self {
        Self { fs, state_dir: state_dir.to_owned() }
    }

    /// The marker of a channel; `None` when there is none.
    ///
    /// # Errors
    /// [`Error::Marker`] when it is torn, of another version or of another channel; [`Error::Io`].
    pub fn read(&self, channel: &ChannelName) -> Result<Option<Marker>, Error> {
        let path = self.path(channel);
        let bytes = match self.fs.read(&path, MAX_BYTES) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes.map_err(Error::io("read", &path))?,
        };
        parse(&bytes, channel).map(Some).map_err(|why| Error::Marker { path, why })
    }

    /// Keeps a marker durably instead of the one before.
    ///
    /// # Errors
    /// [`Error::Io`]; then what was there before may still be.
    pub fn write(&self, marker: &Marker) -> Result<(), Error> {
        let (folder, path) = (self.folder(), self.path(&marker.channel));
        let bytes = serde_json::to_vec_pretty(marker).expect("a marker has text keys only");
        let written = || {
            self.fs.create_dir_all(&folder, 0o700)?;
            self.fs.sync_dir(&self.state_dir)?;
            self.fs.write_durable(&path, &bytes, 0o600)
        };
        written().map_err(Error::io("write", &path))
    }

    /// Removes the marker of a channel, durably. No error when there is none.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn remove(&self, channel: &ChannelName) -> Result<(), Error> {
        let path = self.path(channel);
        match self.fs.remove_file(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| self.fs.sync_dir(&self.folder())).map_err(Error::io("remove", path)),
        }
    }

    /// The channels that have a marker, readable or not.
    ///
    /// # Errors
    /// [`Error::Io`]. A file that is named after no channel is no marker of ours, and keeps no node from being brought back.
    pub fn channels(&self) -> Result<Vec<ChannelName>, Error> {
        let folder = self.folder();
        let entries = match self.fs.read_dir(&folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(Error::io("read", &folder))?,
        };
        let names = entries.iter().filter(|entry| entry.kind == Kind::File).map(|entry| entry.name.to_string_lossy());
        let markers = names.filter(|name| name.ends_with(".json") && !name.starts_with('.'));
        Ok(markers.filter_map(|name| ChannelName::from_file_stem(name.strip_suffix(".json")?)).collect())
    }

    /// A file with a lock that a program holds as its standard input while it stops the node, however long this process lives.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn stop_lock(&self, channel: &ChannelName) -> Result<Option<File>, Error> {
        let path = self.lock_path(channel);
        self.fs.create_dir_all(&self.folder(), 0o700).map_err(Error::io("write", self.folder()))?;
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path).map_err(Error::io("open", &path))?;
        let taken = rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive);
        Ok(taken.is_ok().then_some(file))
    }

    /// Whether a program that a dead run started is still stopping the node.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn is_stopping(&self, channel: &ChannelName) -> Result<bool, Error> {
        let path = self.lock_path(channel);
        let taken: io::Result<Option<Box<dyn Lock>>> = self.fs.open(&path, Open::Create(0o600)).and_then(|_| self.fs.try_lock(&path));
        Ok(taken.map_err(Error::io("lock", path))?.is_none())
    }

    fn folder(&self) -> PathBuf {
        self.state_dir.join(FOLDER)
    }

    fn path(&self, channel: &ChannelName) -> PathBuf {
        self.folder().join(format!("{}.json", channel.file_stem()))
    }

    fn lock_path(&self, channel: &ChannelName) -> PathBuf {
        self.folder().join(format!("{}.stop", channel.file_stem()))
    }
}

/// The version is looked at first: another one may have other fields.
fn parse(bytes: &[u8], channel: &ChannelName) -> Result<Marker, String> {
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    match value.get("v").and_then(serde_json::Value::as_u64) {
        Some(v) if v == u64::from(VERSION) => {}
        Some(other) => return Err(format!("its version is {other}, not {VERSION}: use the release of qsync that wrote it")),
        None => return Err("it has no version".to_owned()),
    }
    let marker: Marker = serde_json::from_value(value).map_err(|e| e.to_string())?;
    if &marker.channel == channel { Ok(marker) } else { Err(format!("it is of the channel {}", marker.channel)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fs::MemoryFs, node::freeze::testing::marker};

    fn markers() -> (MemoryFs, Markers) {
        let fs = MemoryFs::new();
        fs.create_dir(Path::new("/state"), 0o700).unwrap();
        (fs.clone(), Markers::of(Arc::new(fs), Path::new("/state")))
    }

    #[test]
    fn a_marker_is_read_as_it_was_written_until_it_is_removed() {
        let (_, markers) = markers();
        let one = marker(Phase::Stopping);
        assert_eq!(markers.read(&one.channel).unwrap(), None);
        markers.write(&one).unwrap();
        assert_eq!(markers.read(&one.channel).unwrap().as_ref(), Some(&one));
        assert_eq!(markers.channels().unwrap(), std::slice::from_ref(&one.channel));
        markers.remove(&one.channel).unwrap();
        markers.remove(&one.channel).unwrap();
        assert_eq!((markers.read(&one.channel).unwrap(), markers.channels().unwrap().len()), (None, 0));
    }

    #[test]
    fn a_torn_or_strange_marker_is_an_error_and_never_none() {
        let (fs, markers) = markers();
        let one = marker(Phase::Cloned);
        markers.write(&one).unwrap();
        let path = Path::new("/state/freeze/demo+generic.json");
        let whole = fs.read(path, MAX_BYTES).unwrap();
        let why = |bytes: &[u8]| {
            fs.write_durable(path, bytes, 0o600).unwrap();
            match markers.read(&one.channel) {
                Err(Error::Marker { why, .. }) => why,
                other => panic!("{other:?}"),
            }
        };
        for cut in [0, 1, whole.len() / 2, whole.len() - 1] {
            why(&whole[..cut]);
        }
        let text = String::from_utf8(whole).unwrap();
        assert!(why(text.replace("\"v\": 1", "\"v\": 2").as_bytes()).contains("version is 2"));
        assert!(why(text.replace("demo/generic", "demo/other").as_bytes()).contains("demo/other"));
        assert!(why(text.replace("\"attempts\"", "\"tries\"").as_bytes()).contains("tries"));
        assert!(why(b"{}").contains("no version"));
        fs.write_durable(Path::new("/state/freeze/x.json"), b"{}", 0o600).unwrap();
        // What is named after no channel is nobody's marker.
        assert_eq!(markers.channels().unwrap(), ["demo/generic".parse().unwrap()]);
    }

    #[test]
    fn a_marker_survives_a_power_cut_right_after_it_was_written() {
        let (fs, markers) = markers();
        fs.sync_dir(Path::new("/")).unwrap();
        let one = marker(Phase::Stopping);
        markers.write(&one).unwrap();
        let after = fs.power_cut(7);
        assert_eq!(Markers::of(Arc::new(after), Path::new("/state")).read(&one.channel).unwrap(), Some(one));
    }

    #[test]
    fn who_stops_a_node_holds_a_lock_as_long_as_that_takes() {
        let dir = tempfile::tempdir().unwrap();
        let markers = Markers::of(Arc::new(crate::fs::RealFs), dir.path());
        let channel = "demo/generic".parse().unwrap();
        let held = markers.stop_lock(&channel).unwrap().unwrap();
        let mut child = std::process::Command::new("sleep").arg("30").stdin(held).spawn().unwrap();
        assert!(markers.is_stopping(&channel).unwrap());
        assert!(markers.stop_lock(&channel).unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!markers.is_stopping(&channel).unwrap());
    }
}
