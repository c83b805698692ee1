//! The operations of a file system in memory, with the errors that Linux gives.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::io::Errno;

use super::{
    MemoryFs,
    file::MemoryFile,
    names::{NameChange, Place},
    node::{Body, FileBody, Ino, ROOT, Tree, empty_dir},
};
use crate::{
    fs::{DirEntry, File, Fs, Kind, Lock, Open, Rename, Space, Stat, Watch},
    types::RelPath,
};

/// What every process here has as its umask.
const UMASK: u32 = 0o022;

impl Fs for MemoryFs {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        let existing = match self.look(|tree| tree.find(path)) {
            Ok(ino) => Some(ino),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(e),
        };
        let ino = match (how, existing) {
            (Open::CreateNew(_), Some(_)) => return Err(Errno::EXIST.into()),
            (Open::Read | Open::ReadWrite, None) => return Err(Errno::NOENT.into()),
            (Open::Read | Open::ReadWrite | Open::Create(_), Some(ino)) => self.look(|tree| tree.file(ino).map(|_| ino))?,
            (Open::Create(mode) | Open::CreateNew(mode), None) => {
                self.mutate(|state| state.tree.create(path, Body::File(FileBody::default()), mode))?
            }
        };
        Ok(Arc::new(MemoryFile { fs: self.clone(), ino, how }))
    }

    fn open_beneath(&self, root: &Path, rel: &RelPath, how: Open) -> io::Result<Arc<dyn File>> {
        // No path here follows a link, and a RelPath has no `..`.
        self.open(&root.join(rel), how)
    }

    fn create_dir(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.mutate(|state| state.tree.create(path, empty_dir(), mode).map(drop))
    }

    fn create_dir_all(&self, path: &Path, mode: u32) -> io::Result<()> {
        match self.look(|tree| tree.find(path).map(|ino| tree.node(ino).kind())) {
            Ok(Kind::Dir) => return Ok(()),
            Ok(Kind::File | Kind::Symlink | Kind::Special) => return Err(Errno::EXIST.into()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        if let Some(parent) = path.parent() {
            self.create_dir_all(parent, mode)?;
        }
        match self.create_dir(path, mode) {
            // Somebody else was faster.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.look(|tree| {
            let names = tree.names(tree.find(path)?)?;
            Ok(names.iter().map(|(name, ino)| DirEntry { name: name.clone(), kind: tree.node(*ino).kind() }).collect())
        })
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.look(|tree| Ok(tree.stat(tree.find(path)?)))
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        self.stat(path).map(|_| Path::new("/").join(path))
    }

    fn rename(&self, from: &Path, to: &Path, mode: Rename) -> io::Result<()> {
        self.mutate(|state| match state.tree.plan_rename(from, to, mode)? {
            Some(change) => {
                state.tree.change_names(change);
                Ok(())
            }
            None => Ok(()),
        })
    }

    fn hard_link(&self, file: &Path, new_name: &Path) -> io::Result<()> {
        self.mutate(|state| {
            let ino = state.tree.find(file)?;
            if state.tree.node(ino).kind() == Kind::Dir {
                return Err(Errno::PERM.into());
            }
            let place = state.tree.free_place(new_name)?;
            state.tree.change_names(NameChange::put(place, ino));
            Ok(())
        })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.mutate(|state| {
            let (place, ino) = state.tree.occupied_place(path)?;
            if state.tree.node(ino).kind() == Kind::Dir {
                return Err(Errno::ISDIR.into());
            }
            state.tree.change_names(NameChange::take(place, ino));
            Ok(())
        })
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.mutate(|state| {
            let (place, ino) = state.tree.occupied_place(path)?;
            if !state.tree.names(ino)?.is_empty() {
                return Err(Errno::NOTEMPTY.into());
            }
            state.tree.change_names(NameChange::take(place, ino));
            Ok(())
        })
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.mutate(|state| {
            let dir = state.tree.find(path)?;
            state.tree.names(dir)?;
            state.tree.sync_names(dir);
            Ok(())
        })
    }

    fn sync_fs(&self, path: &Path) -> io::Result<()> {
        self.mutate(|state| {
            state.tree.find(path)?;
            let top = state.tree.file_system_of(path);
            state.tree.sync_file_system(top);
            Ok(())
        })
    }

    fn watch(&self, path: &Path) -> io::Result<Option<Box<dyn Watch>>> {
        let top = self.look(|tree| tree.find(path).map(|_| tree.file_system_of(path)))?;
        let watches = self.state().watches;
        Ok(watches.then(|| Box::new(self.begin_watch(top)) as Box<dyn Watch>))
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.look(|tree| tree.find(path).map(drop))?;
        Ok(self.room())
    }

    fn chown(&self, path: &Path, uid: u32, gid: u32) -> io::Result<()> {
        self.mutate(|state| {
            let ino = state.tree.find(path)?;
            let now = state.tree.tick();
            let node = state.tree.node_mut(ino);
            (node.uid, node.gid, node.ctime_ns) = (uid, gid, now);
            Ok(())
        })
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let ino = self.look(|tree| {
            let ino = tree.find(path)?;
            if tree.node(ino).kind() == Kind::Symlink { Err(Errno::LOOP.into()) } else { Ok(ino) }
        })?;
        Ok(self.lock(ino))
    }
}

impl Tree {
    fn create(&mut self, path: &Path, body: Body, mode: u32) -> io::Result<Ino> {
        let place = self.free_place(path)?;
        let ino = self.add(body, mode & !UMASK);
        self.change_names(NameChange::put(place, ino));
        Ok(ino)
    }

    /// Sets the times of a file whose content has changed.
    pub(super) fn touch(&mut self, ino: Ino, now: i128) {
        let node = self.node_mut(ino);
        (node.mtime_ns, node.ctime_ns) = (now, now);
    }

    pub(super) fn free_place(&self, path: &Path) -> io::Result<Place> {
        let place = self.place(path)?;
        if self.at(&place).is_some() { Err(Errno::EXIST.into()) } else { Ok(place) }
    }

    fn occupied_place(&self, path: &Path) -> io::Result<(Place, Ino)> {
        let place = self.place(path)?;
        let ino = self.at(&place).ok_or(Errno::NOENT)?;
        Ok((place, ino))
    }

    /// The change that a rename makes; `None` when both names are the same file already.
    fn plan_rename(&self, from: &Path, to: &Path, mode: Rename) -> io::Result<Option<NameChange>> {
        let (from_place, ino) = self.occupied_place(from)?;
        let to_place = self.place(to)?;
        let there = self.at(&to_place);
        match (mode, there) {
            (Rename::NoReplace, Some(_)) => return Err(Errno::EXIST.into()),
            (Rename::Exchange, None) => return Err(Errno::NOENT.into()),
            (Rename::Replace, _) if self.node(ino).kind() == Kind::Dir => return Err(Errno::ISDIR.into()),
            (Rename::Replace, Some(there)) if self.node(there).kind() == Kind::Dir => return Err(Errno::ISDIR.into()),
            _ => {}
        }
        if there == Some(ino) {
            return Ok(None);
        }
        if to.starts_with(from) || (mode == Rename::Exchange && from.starts_with(to)) {
            return Err(Errno::INVAL.into());
        }
        Ok(Some(match (mode, there) {
            (Rename::Exchange, Some(there)) => NameChange::new(Vec::new(), vec![(from_place, there), (to_place, ino)]),
            _ => NameChange::new(vec![(from_place, ino)], vec![(to_place, ino)]),
        }))
    }

    /// The directory that is the top of the file system that holds `path`.
    fn file_system_of(&self, path: &Path) -> Ino {
        path.ancestors().filter_map(|path| self.find(path).ok()).find(|ino| self.separate.contains(ino)).unwrap_or(ROOT)
    }

    pub(super) fn sync_file_system(&mut self, top: Ino) {
        let inside = self.on_file_system(top);
        for ino in inside {
            match &mut self.node_mut(ino).body {
                Body::File(file) => file.sync(),
                Body::Dir { .. } => self.sync_names(ino),
                Body::Symlink => {}
            }
        }
    }

    /// All nodes of a file system. Those that have no name any more are counted to the whole.
    fn on_file_system(&self, top: Ino) -> BTreeSet<Ino> {
        if top != ROOT {
            return self.reachable(top);
        }
        let elsewhere: BTreeSet<Ino> = self.separate.iter().flat_map(|top| self.reachable(*top)).collect();
        self.nodes.keys().copied().filter(|ino| !elsewhere.contains(ino)).collect()
    }

    fn reachable(&self, top: Ino) -> BTreeSet<Ino> {
        let (mut found, mut todo) = (BTreeSet::new(), vec![top]);
        while let Some(ino) = todo.pop() {
            if (ino == top || !self.separate.contains(&ino)) && found.insert(ino) {
                todo.extend(self.names(ino).into_iter().flat_map(|names| names.values().copied()));
            }
        }
        found
    }
}
