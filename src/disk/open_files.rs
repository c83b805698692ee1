//! A bounded number of files that stay open between writes.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use super::{Error, layout};
use crate::{
    fs::{File, Fs},
    types::RelPath,
};

/// Files of one directory, opened when they are first written to; the one not used for longest is closed first.
#[derive(Debug)]
pub(super) struct OpenFiles {
    fs: Arc<dyn Fs>,
    root: PathBuf,
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    clock: u64,
    files: HashMap<usize, (u64, Arc<dyn File>)>,
}

impl OpenFiles {
    pub(super) fn new(fs: Arc<dyn Fs>, root: PathBuf, limit: usize) -> Self {
        Self { fs, root, limit: limit.max(1), state: Mutex::default() }
    }

    /// The file with this index and path. The lock is not held while it is opened: two threads may both open it, and one handle wins.
    pub(super) fn get(&self, index: usize, path: &RelPath) -> Result<Arc<dyn File>, Error> {
        if let Some(file) = self.touch(index) {
            return Ok(file);
        }
        let file = layout::open_own(&*self.fs, &self.root, path)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let now = state.clock;
        let (_, kept) = state.files.entry(index).or_insert((now, file));
        let kept = Arc::clone(kept);
        if state.files.len() > self.limit {
            state.close_oldest();
        }
        Ok(kept)
    }

    fn touch(&self, index: usize) -> Option<Arc<dyn File>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let now = state.clock;
        let (used, file) = state.files.get_mut(&index)?;
        *used = now;
        Some(Arc::clone(file))
    }
}

impl State {
    fn close_oldest(&mut self) {
        let oldest = self.files.iter().min_by_key(|(_, (used, _))| *used).map(|(index, _)| *index);
        if let Some(oldest) = oldest {
            self.files.remove(&oldest);
        }
    }
}
