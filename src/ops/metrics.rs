//! Numbers for Prometheus: of the last runs, of nodes that are stopped, and of whatever else a command adds.
//!
//! Every number of a node has the label `channel`, those of downloads have `store`. Times are seconds since 1970.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use prometheus::{GaugeVec, Opts, Registry, TextEncoder};

use super::{runs::Run, usage::Numbers};
use crate::{catalog::StateDir, fs::Fs, types::ChannelName};

/// Folder of the state directory with the markers of nodes that a run has stopped.
const MARKERS: &str = "freeze";
const MAX_MARKER_BYTES: u64 = 1 << 20;

/// Numbers, each with its name and labels.
#[derive(Debug, Default)]
pub struct Metrics {
    registry: Registry,
    gauges: BTreeMap<&'static str, GaugeVec>,
}

impl Metrics {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says a number. All of one name have the same labels in the same order.
    pub fn set(&mut self, name: &'static str, help: &'static str, labels: &[(&str, &str)], value: f64) {
        let names: Vec<&str> = labels.iter().map(|(name, _)| *name).collect();
        let values: Vec<&str> = labels.iter().map(|(_, value)| *value).collect();
        let gauge = self.gauges.entry(name).or_insert_with(|| {
            let gauge = GaugeVec::new(Opts::new(name, help), &names).expect("names of metrics and labels are constants that a test tries");
            self.registry.register(Box::new(gauge.clone())).expect("each name is registered once");
            gauge
        });
        gauge.with_label_values(&values).set(value);
    }

    /// How the last publish of a channel went, and what it published.
    pub fn add_run(&mut self, run: &Run) {
        let (name, seconds) = (run.channel.to_string(), |time: crate::types::Timestamp| time.as_millisecond() as f64 / 1000.0);
        let channel = [("channel", name.as_str())];
        self.set("qsync_publish_last_exit_code", "Exit code of the last publish", &channel, f64::from(run.exit));
        self.set("qsync_publish_last_duration_seconds", "How long the last publish took", &channel, run.seconds);
        if let Some(time) = run.last_success {
            self.set("qsync_publish_last_success_timestamp_seconds", "When a publish last ended with 0", &channel, seconds(time));
        }
        if let Some(downtime) = run.downtime_seconds {
            self.set("qsync_freeze_downtime_seconds", "How long the node was stopped for the last copy", &channel, downtime);
        }
        let Some(snapshot) = &run.snapshot else { return };
        if let Some(height) = snapshot.height {
            self.set("qsync_snapshot_height", "Block height of the newest snapshot", &channel, height as f64);
        }
        self.set(
            "qsync_snapshot_timestamp_seconds",
            "When the copy of the newest snapshot was taken",
            &channel,
            seconds(snapshot.taken_at),
        );
        self.set("qsync_head_expires_timestamp_seconds", "Until when the head is valid", &channel, seconds(snapshot.head_expires));
        for (form, bytes) in [("raw", snapshot.bytes), ("zstd", snapshot.frame_bytes)] {
            let labels = [("channel", name.as_str()), ("form", form)];
            self.set("qsync_snapshot_bytes", "Length of the newest snapshot", &labels, bytes as f64);
        }
    }

    /// Whether a run has stopped the channel's node and not started it again, and since when.
    pub fn add_stopped_node(&mut self, channel: &ChannelName, since: Option<f64>) {
        let name = channel.to_string();
        let labels = [("channel", name.as_str())];
        self.set("qsync_thaw_pending", "Whether a node waits to be started again", &labels, if since.is_some() { 1.0 } else { 0.0 });
        if let Some(since) = since {
            self.set("qsync_node_stopped_since_seconds", "When the node was stopped", &labels, since);
        }
    }

    /// The last runs of all channels, their nodes, and what was downloaded.
    ///
    /// # Errors
    /// When the state directory cannot be read.
    pub fn add_state(&mut self, fs: &dyn Fs, state: &StateDir) -> io::Result<()> {
        let runs = Run::all(fs, state)?;
        runs.iter().for_each(|run| self.add_run(run));
        // A first publish that was killed has a marker and no run.
        let channels: BTreeSet<ChannelName> = runs.into_iter().map(|run| run.channel).chain(marked(fs, state)).collect();
        for channel in &channels {
            self.add_stopped_node(channel, stopped_since(fs, state, channel));
        }
        if let Some(numbers) = Numbers::load(fs, state) {
            numbers.add_to(self);
        }
        Ok(())
    }

    /// The text format of Prometheus, version 0.0.4.
    #[must_use]
    pub fn to_text(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).expect("gauges can be written as text")
    }

    /// Writes the text to a file, which is whole at any moment: a collector reads it when it likes.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, fs: &dyn Fs, path: &Path) -> io::Result<()> {
        fs.write_durable(path, self.to_text().as_bytes(), 0o644)
    }
}

/// The channels that have a marker.
fn marked(fs: &dyn Fs, state: &StateDir) -> Vec<ChannelName> {
    let entries = fs.read_dir(&state.path().join(MARKERS)).unwrap_or_default();
    let names = entries.iter().map(|entry| entry.name.to_string_lossy().into_owned());
    names.filter_map(|name| ChannelName::from_file_stem(name.strip_suffix(".json")?)).collect()
}

/// When the node of a channel was stopped by a run that has not started it again, seconds since 1970.
#[must_use]
pub fn stopped_since(fs: &dyn Fs, state: &StateDir, channel: &ChannelName) -> Option<f64> {
    let marker = state.path().join(MARKERS).join(format!("{}.json", channel.file_stem()));
    let bytes = match fs.read(&marker, MAX_MARKER_BYTES) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return None,
        read => read.unwrap_or_default(),
    };
    // Whatever is wrong with the marker, a node waits.
    let marker = serde_json::from_slice::<serde_json::Value>(&bytes).ok();
    let says = |key: &str, what: serde_json::Value| marker.as_ref().and_then(|marker| marker.get(key)) == Some(&what);
    let by_script = says("method", "command".into());
    if says("phase", "running".into()) || (says("was_running", false.into()) && !by_script) {
        // Only its clone is left, or it did not run before; of a script nobody knows.
        return None;
    }
    let since = marker.as_ref().and_then(|marker| marker.get("since")?.as_str()?.parse().ok());
    Some(since.map_or(0.0, |since: crate::types::Timestamp| since.as_second() as f64))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        fs::MemoryFs,
        ops::runs::Published,
        types::{Hash, Timestamp},
    };

    #[test]
    fn the_last_runs_and_stopped_nodes_are_told_in_the_format_of_prometheus() {
        let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
        let state = StateDir::open(Arc::clone(&fs), "/state").unwrap();
        let (then, later) = (Timestamp::from_second(1_800_000_000).unwrap(), Timestamp::from_second(1_800_600_000).unwrap());
        let published = Published { id: Hash::of(b"s"), height: Some(7), taken_at: then, bytes: 5, frame_bytes: 4, head_expires: later };
        let (a, b): (ChannelName, ChannelName) = ("a/x".parse().unwrap(), "b/x".parse().unwrap());
        Run::after(None, a, then, 60.5, 0, Some(published)).save(&*fs, &state).unwrap();
        Run::after(None, b, then, 1.0, 19, None).save(&*fs, &state).unwrap();
        fs.create_dir_all(&state.path().join(MARKERS), 0o700).unwrap();
        fs.write_durable(&state.path().join("freeze/b+x.json"), br#"{"since":"2027-01-15T08:00:00Z"}"#, 0o600).unwrap();
        let mut metrics = Metrics::new();
        metrics.add_state(&*fs, &state).unwrap();
        insta::assert_snapshot!(metrics.to_text(), @r#"
        # HELP qsync_head_expires_timestamp_seconds Until when the head is valid
        # TYPE qsync_head_expires_timestamp_seconds gauge
        qsync_head_expires_timestamp_seconds{channel="a/x"} 1800600000
        # HELP qsync_node_stopped_since_seconds When the node was stopped
        # TYPE qsync_node_stopped_since_seconds gauge
        qsync_node_stopped_since_seconds{channel="b/x"} 1800000000
        # HELP qsync_publish_last_duration_seconds How long the last publish took
        # TYPE qsync_publish_last_duration_seconds gauge
        qsync_publish_last_duration_seconds{channel="a/x"} 60.5
        qsync_publish_last_duration_seconds{channel="b/x"} 1
        # HELP qsync_publish_last_exit_code Exit code of the last publish
        # TYPE qsync_publish_last_exit_code gauge
        qsync_publish_last_exit_code{channel="a/x"} 0
        qsync_publish_last_exit_code{channel="b/x"} 19
        # HELP qsync_publish_last_success_timestamp_seconds When a publish last ended with 0
        # TYPE qsync_publish_last_success_timestamp_seconds gauge
        qsync_publish_last_success_timestamp_seconds{channel="a/x"} 1800000060.5
        # HELP qsync_snapshot_bytes Length of the newest snapshot
        # TYPE qsync_snapshot_bytes gauge
        qsync_snapshot_bytes{channel="a/x",form="raw"} 5
        qsync_snapshot_bytes{channel="a/x",form="zstd"} 4
        # HELP qsync_snapshot_height Block height of the newest snapshot
        # TYPE qsync_snapshot_height gauge
        qsync_snapshot_height{channel="a/x"} 7
        # HELP qsync_snapshot_timestamp_seconds When the copy of the newest snapshot was taken
        # TYPE qsync_snapshot_timestamp_seconds gauge
        qsync_snapshot_timestamp_seconds{channel="a/x"} 1800000000
        # HELP qsync_thaw_pending Whether a node waits to be started again
        # TYPE qsync_thaw_pending gauge
        qsync_thaw_pending{channel="a/x"} 0
        qsync_thaw_pending{channel="b/x"} 1
        "#);
    }
}
