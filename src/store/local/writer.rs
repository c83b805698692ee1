//! Many threads that put: objects are written side by side, and one batch fills while the one before is made durable.

use std::{
    collections::BTreeSet,
    io,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard},
};

use super::batch::{Batch, Failed, Found, Place, Staged};
use crate::{fs::Fs, types::ObjectKey};

/// The writing half of a store.
#[derive(Debug)]
pub(super) struct Writer {
    place: Place,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// Keys whose bytes are being written.
    writing: BTreeSet<ObjectKey>,
    /// Objects that are written.
    filling: Batch,
    /// The batch that is being made durable: one at a time, so that no more than two wait for the disk.
    flushing: Option<Arc<Batch>>,
    /// Whether a batch was lost since the last sync.
    lost: bool,
    /// How often everything staged was lost at once.
    losses: u64,
}

/// The right to write one object, while everybody else who puts it waits.
struct Turn<'a> {
    writer: &'a Writer,
    key: &'a ObjectKey,
    losses: u64,
}

/// A batch that is being made durable. It is lost unless somebody says that it was made.
struct Flushing<'a> {
    writer: &'a Writer,
    asked_by: Asker,
    made: bool,
}

/// Who hears of it when a batch is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asker {
    /// One put of many: the others hear of it at the next sync.
    Put,
    /// The sync itself.
    Sync,
}

impl Writer {
    pub(super) fn create(fs: &Arc<dyn Fs>, root: &Path) -> io::Result<Self> {
        let state = State { writing: BTreeSet::new(), filling: Batch::default(), flushing: None, lost: false, losses: 0 };
        Ok(Self { place: Place::create(fs, root)?, state: Mutex::new(state), changed: Condvar::new() })
    }

    /// Stages an object unless it is there. Makes the batch durable where that is due; meanwhile others can put.
    pub(super) fn put(&self, key: &ObjectKey, bytes: &[u8]) -> Result<Found, Failed> {
        let found = self.stage(key, bytes)?;
        self.flush_if_due()?;
        Ok(found)
    }

    fn stage(&self, key: &ObjectKey, bytes: &[u8]) -> Result<Found, Failed> {
        let turn = match self.take_turn(key) {
            Ok(turn) => turn,
            Err(staged_bytes) => return Ok(Found::Object(staged_bytes)),
        };
        let (found, staged) = self.place.stage(key, bytes).map_err(|error| Failed::Io(key.clone(), error))?;
        if staged == Staged::Yes {
            turn.add(bytes.len() as u64)?;
        }
        Ok(found)
    }

    /// The right to write an object; its length when it is staged already.
    fn take_turn<'a>(&'a self, key: &'a ObjectKey) -> Result<Turn<'a>, u64> {
        let mut state = self.wait_while(|state| state.writing.contains(key));
        if let Some(staged_bytes) = state.staged_len(key) {
            return Err(staged_bytes);
        }
        state.writing.insert(key.clone());
        Ok(Turn { writer: self, key, losses: state.losses })
    }

    fn flush_if_due(&self) -> Result<(), Failed> {
        let state = self.wait_while(|state| state.filling.is_due() && state.flushing.is_some());
        if state.filling.is_due() { self.flush(state, Asker::Put) } else { Ok(()) }
    }

    /// Makes the batch durable, then visible; for a sync the names too. `state` says that no other one is under way.
    fn flush(&self, mut state: MutexGuard<'_, State>, asked_by: Asker) -> Result<(), Failed> {
        let batch = Arc::new(std::mem::take(&mut state.filling));
        state.flushing = Some(Arc::clone(&batch));
        drop(state);
        let mut flushing = Flushing { writer: self, asked_by, made: false };
        let result = self.lose_what_was_not_written(self.make(&batch, asked_by));
        flushing.made = result.is_ok();
        result
    }

    /// One at a time: what the disk tells one sync it does not tell the next.
    fn make(&self, batch: &Batch, asked_by: Asker) -> Result<(), Failed> {
        self.place.make_objects(batch)?;
        if asked_by == Asker::Sync { self.place.sync_folders() } else { Ok(()) }
    }

    /// Makes everything that was put durable and visible. Fails too if any batch since the last sync was lost.
    pub(super) fn sync(&self) -> Result<(), Failed> {
        let mut state = self.wait_while(|state| state.flushing.is_some());
        let lost = std::mem::take(&mut state.lost);
        self.flush(state, Asker::Sync)?;
        if lost { Err(Failed::EarlierBatch) } else { Ok(()) }
    }

    /// A put during whose writing something happens.
    #[cfg(test)]
    pub(super) fn write_slowly(&self, key: &ObjectKey, bytes: &[u8], meanwhile: impl FnOnce()) -> Result<(), Failed> {
        let turn = self.take_turn(key).expect("nobody has staged it");
        self.place.stage(key, bytes).map_err(|error| Failed::Io(key.clone(), error))?;
        meanwhile();
        turn.add(bytes.len() as u64)
    }

    /// Replaces an object durably if `decide`, called while everybody else waits, says so.
    pub(super) fn replace<E: From<io::Error>>(
        &self,
        key: &ObjectKey,
        bytes: &[u8],
        decide: impl FnOnce() -> Result<bool, E>,
    ) -> Result<bool, E> {
        self.place.replace(key, bytes, decide)
    }

    /// The disk says once that it did not take something, and not what: it may be of the batch that was synced, of the one that is being
    /// filled, or of an object that is being written.
    pub(super) fn lose_what_was_not_written(&self, result: Result<(), Failed>) -> Result<(), Failed> {
        if let Err(Failed::Unwritten(..)) = &result {
            let mut state = self.state();
            let filling = std::mem::take(&mut state.filling);
            (state.losses, state.lost) = (state.losses + 1, state.lost || !filling.is_empty());
            // While everybody waits: nobody may stage the same object meanwhile.
            self.place.discard(&filling);
        }
        result
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    fn wait_while(&self, condition: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        self.changed.wait_while(self.state(), |state| condition(state)).expect("no holder of this lock panics")
    }
}

impl State {
    fn staged_len(&self, key: &ObjectKey) -> Option<u64> {
        self.filling.len_of(key).or_else(|| self.flushing.as_ref()?.len_of(key))
    }
}

impl Turn<'_> {
    /// Adds the object, which is written, to the batch; unless what was written so far is lost.
    fn add(self, len: u64) -> Result<(), Failed> {
        let mut state = self.writer.state();
        if state.losses == self.losses {
            state.filling.add(self.key, len);
            return Ok(());
        }
        drop(state);
        self.writer.place.unstage(self.key);
        Err(Failed::EarlierBatch)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.writer.state().writing.remove(self.key);
        self.writer.changed.notify_all();
    }
}

impl Drop for Flushing<'_> {
    fn drop(&mut self) {
        let mut state = self.writer.state();
        state.flushing = None;
        state.lost |= !self.made && self.asked_by == Asker::Put;
        self.writer.changed.notify_all();
    }
}
