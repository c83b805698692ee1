//! `qsync thaw`: brings back the nodes that runs which are dead left stopped, and removes their clones.
//!
//! It needs no room on any disk and no configuration: a full disk may be why a node is down.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::{
    catalog::{StateDir, StateError},
    disk,
    fs::Fs,
    node::{
        self, btrfs,
        marker::Markers,
        thaw::{Outcome, Thawed},
    },
    progress::in_one_line,
    types::ChannelName,
};

const POLL: Duration = Duration::from_millis(100);

/// Which nodes are brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// That of one channel.
    One(ChannelName),
    /// All that have a marker.
    All,
}

/// What became of one node.
#[derive(Debug)]
pub struct Tried {
    /// Its channel.
    pub channel: ChannelName,
    /// What was done, or why it is not back.
    pub result: Result<Thawed, node::Error>,
}

/// Brings back nodes, all at the same time: one that does not come back keeps no other down. A run that is still at work is waited for as long
/// as `patience`, then left alone. Blocks.
///
/// # Errors
/// [`node::Error`] when the markers cannot be listed. What goes wrong with one node keeps nobody from the others.
pub fn thaw(fs: &Arc<dyn Fs>, state_dir: &Path, which: &Which, patience: Duration) -> Result<Vec<Tried>, node::Error> {
    let thaw = Thaw { fs, state_dir: state_dir.to_owned(), markers: Markers::of(Arc::clone(fs), state_dir) };
    let channels = match which {
        Which::One(channel) => vec![channel.clone()],
        Which::All => thaw.markers.channels()?,
    };
    let until = Instant::now() + patience;
    Ok(thread::scope(|scope| {
        let thaw = &thaw;
        let try_one = |channel: ChannelName| {
            let thread = scope.spawn({
                let channel = channel.clone();
                move || thaw.until_free(&channel, until)
            });
            (channel, thread)
        };
        let tries: Vec<_> = channels.into_iter().map(try_one).collect();
        let ended = |(channel, thread): (ChannelName, thread::ScopedJoinHandle<'_, Result<Thawed, node::Error>>)| {
            let result = thread.join().unwrap_or_else(|_| Err(node::Error::nobody_knows(&channel)));
            Tried { channel, result }
        };
        tries.into_iter().map(ended).collect()
    }))
}

struct Thaw<'a> {
    fs: &'a Arc<dyn Fs>,
    state_dir: PathBuf,
    markers: Markers,
}

impl Thaw<'_> {
    fn until_free(&self, channel: &ChannelName, until: Instant) -> Result<Thawed, node::Error> {
        loop {
            let tried = self.one(channel)?;
            if tried.outcome != Outcome::Busy || Instant::now() >= until {
                return Ok(tried);
            }
            thread::sleep(POLL);
        }
    }

    fn one(&self, channel: &ChannelName) -> Result<Thawed, node::Error> {
        let nothing = |outcome| Ok(Thawed { channel: channel.clone(), outcome, attempts: 0 });
        if self.markers.read(channel)?.is_none() {
            return nothing(Outcome::NotFrozen);
        }
        // Held until the node is back, so that no run and no other thaw begins meanwhile.
        let _channel = match StateDir::at(Arc::clone(self.fs), &self.state_dir).lock_channel(channel) {
            Ok(lock) => lock,
            Err(StateError::ChannelLocked { .. }) => return nothing(Outcome::Busy),
            Err(error) => return Err(node::Error::StateUnknown { why: in_one_line(&error) }),
        };
        // What was read before the lock may be of a run that has ended since.
        let Some(marker) = self.markers.read(channel)? else { return nothing(Outcome::NotFrozen) };
        let delete = |snapshot: &Path| btrfs::delete(snapshot).map_err(|e| in_one_line(&e));
        let remove = |clone: &Path| disk::clone::remove(&**self.fs, clone, channel, &delete).map_err(|e| in_one_line(&e));
        node::thaw::thaw(&self.markers, marker, &remove)
    }
}
