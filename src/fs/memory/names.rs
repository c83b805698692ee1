//! Changes of names: made at once, durable when the directory is synced.

use std::{collections::BTreeSet, ffi::OsString};

use super::node::{Body, Ino, Names, Tree};

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) dir: Ino,
    pub(super) name: OsString,
}

/// One atomic change of names: a create, link, remove, rename or exchange.
#[derive(Clone, Debug)]
pub(super) struct NameChange {
    takes: Vec<(Place, Ino)>,
    puts: Vec<(Place, Ino)>,
    /// Directories that must still be synced before the change is durable. A rename into another directory waits for the new one only:
    /// the change is one transaction of the file system's journal.
    awaits: BTreeSet<Ino>,
}

impl NameChange {
    pub(super) fn new(takes: Vec<(Place, Ino)>, puts: Vec<(Place, Ino)>) -> Self {
        let deciding = if puts.is_empty() { &takes } else { &puts };
        let awaits = deciding.iter().map(|(place, _)| place.dir).collect();
        Self { takes, puts, awaits }
    }

    pub(super) fn put(place: Place, ino: Ino) -> Self {
        Self::new(Vec::new(), vec![(place, ino)])
    }

    pub(super) fn take(place: Place, ino: Ino) -> Self {
        Self::new(vec![(place, ino)], Vec::new())
    }

    fn touched(&self) -> impl Iterator<Item = &(Place, Ino)> {
        self.takes.iter().chain(&self.puts)
    }

    /// Whether `self` builds on `earlier`, so that a journal could not keep `self` alone.
    fn depends_on(&self, earlier: &Self) -> bool {
        self.touched().any(|(place, ino)| earlier.touched().any(|(other, other_ino)| place == other || ino == other_ino))
    }
}

impl Tree {
    /// Makes a change of names, durable only later.
    pub(super) fn change_names(&mut self, change: NameChange) {
        let now = self.tick();
        for (place, ino) in &change.takes {
            self.names_mut(place.dir).0.remove(&place.name);
            self.unlink(*ino, now);
        }
        for (place, ino) in &change.puts {
            if let Some(replaced) = self.names_mut(place.dir).0.insert(place.name.clone(), *ino) {
                self.unlink(replaced, now);
            }
            let node = self.node_mut(*ino);
            node.nlink += 1;
            node.ctime_ns = now;
        }
        for (place, _) in change.touched() {
            let dir = self.node_mut(place.dir);
            (dir.mtime_ns, dir.ctime_ns) = (now, now);
        }
        self.unsynced.push(change);
    }

    fn unlink(&mut self, ino: Ino, now: i128) {
        let node = self.node_mut(ino);
        node.nlink = node.nlink.saturating_sub(1);
        node.ctime_ns = now;
    }

    /// Makes the names in `dir` durable, and what they depend on.
    pub(super) fn sync_names(&mut self, dir: Ino) {
        for change in &mut self.unsynced {
            change.awaits.remove(&dir);
        }
        let decided = self.unsynced.iter().map(|change| change.awaits.is_empty()).collect();
        self.settle(decided, Rest::StaysOpen);
    }

    /// Makes the chosen changes durable, and what they depend on.
    pub(super) fn settle(&mut self, mut keep: Vec<bool>, rest: Rest) {
        let changes = std::mem::take(&mut self.unsynced);
        for later in (0..changes.len()).rev() {
            if keep[later] {
                for earlier in 0..later {
                    keep[earlier] |= changes[later].depends_on(&changes[earlier]);
                }
            }
        }
        for (change, keep) in changes.into_iter().zip(keep) {
            if keep {
                self.make_durable(&change);
            } else if rest == Rest::StaysOpen {
                self.unsynced.push(change);
            }
        }
    }

    fn make_durable(&mut self, change: &NameChange) {
        for (place, _) in &change.takes {
            self.names_mut(place.dir).1.remove(&place.name);
        }
        for (place, ino) in &change.puts {
            self.names_mut(place.dir).1.insert(place.name.clone(), *ino);
        }
    }

    /// The names of a directory now, and the durable ones.
    fn names_mut(&mut self, dir: Ino) -> (&mut Names, &mut Names) {
        match &mut self.node_mut(dir).body {
            Body::Dir { now, durable } => (now, durable),
            Body::File(_) | Body::Symlink => unreachable!("a place is in a directory"),
        }
    }
}

/// What becomes of the changes that were not chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// They may still be synced later.
    StaysOpen,
    /// They are lost.
    IsLost,
}
