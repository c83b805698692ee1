//! What lies in a file system in memory: files, directories, links, and the two states of each, now and durable.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    io,
    ops::Range,
    path::{Component, Path},
};

use rustix::io::Errno;

use super::{
    content::{Content, PAGE, pages_of},
    names::{NameChange, Place},
};
use crate::fs::{Kind, Stat};

pub(super) type Ino = u64;

/// The inode of `/`.
pub(super) const ROOT: Ino = 1;

/// A change of content that was not synced.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    SetLen(u64),
}

/// What became of writes that did not reach the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// Nobody was told yet.
    Untold,
    /// A sync has failed for it.
    Told,
}

#[derive(Clone, Debug, Default)]
pub(super) struct FileBody {
    pub(super) now: Content,
    pub(super) durable: Content,
    pub(super) unsynced: Vec<Change>,
    /// Set when writes were lost: the page cache takes its pages for written, so no sync writes them again.
    pub(super) lost: Option<Loss>,
    /// Pages reserved by `allocate`.
    pub(super) reserved: BTreeSet<u64>,
}

impl FileBody {
    /// A file with this content, all of it durable.
    pub(super) fn durable(content: Content) -> Self {
        Self { now: content.clone(), durable: content, ..Self::default() }
    }

    pub(super) fn sync(&mut self) {
        if self.lost.is_none() {
            self.durable = self.now.clone();
        }
        self.unsynced.clear();
    }

    pub(super) fn lose_writes(&mut self) {
        self.unsynced.clear();
        self.lost = Some(Loss::Untold);
    }

    /// Whether a sync of this file has to fail; says so once.
    pub(super) fn tell_loss(&mut self) -> bool {
        let untold = self.lost == Some(Loss::Untold);
        self.lost = self.lost.map(|_| Loss::Told);
        untold
    }

    pub(super) fn page_count(&self) -> u64 {
        let own = self.now.page_numbers().count();
        let extra = self.reserved.iter().filter(|page| !self.now.has_page(**page)).count();
        (own + extra) as u64
    }

    /// How many pages more are needed to hold this range.
    pub(super) fn pages_missing(&self, range: Range<u64>) -> u64 {
        pages_of(range).filter(|page| !self.now.has_page(*page) && !self.reserved.contains(page)).count() as u64
    }
}

pub(super) type Names = BTreeMap<OsString, Ino>;

#[derive(Clone, Debug)]
pub(super) enum Body {
    File(FileBody),
    Dir { now: Names, durable: Names },
    Symlink,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) body: Body,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) nlink: u64,
    pub(super) mtime_ns: i128,
    pub(super) ctime_ns: i128,
}

impl Node {
    pub(super) fn kind(&self) -> Kind {
        match self.body {
            Body::File(_) => Kind::File,
            Body::Dir { .. } => Kind::Dir,
            Body::Symlink => Kind::Symlink,
        }
    }
}

/// All nodes. None is ever forgotten: a name that was removed may come back when the power goes.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    pub(super) nodes: BTreeMap<Ino, Node>,
    pub(super) unsynced: Vec<NameChange>,
    /// Directories that are file systems of their own, as far as syncs go.
    pub(super) separate: BTreeSet<Ino>,
    clock_ns: i128,
}

impl Tree {
    pub(super) fn new() -> Self {
        let mut tree =
            Self { nodes: BTreeMap::new(), unsynced: Vec::new(), separate: BTreeSet::new(), clock_ns: 1_000_000_000_000_000_000 };
        tree.add(empty_dir(), 0o755);
        tree
    }

    /// A time that is later at every call.
    pub(super) fn tick(&mut self) -> i128 {
        self.clock_ns += 1_000;
        self.clock_ns
    }

    /// A new node that has no name yet.
    pub(super) fn add(&mut self, body: Body, mode: u32) -> Ino {
        let ino = self.nodes.len() as Ino + ROOT;
        let now = self.tick();
        self.nodes.insert(ino, Node { body, mode, uid: 0, gid: 0, nlink: 0, mtime_ns: now, ctime_ns: now });
        ino
    }

    pub(super) fn node(&self, ino: Ino) -> &Node {
        &self.nodes[&ino]
    }

    pub(super) fn node_mut(&mut self, ino: Ino) -> &mut Node {
        self.nodes.get_mut(&ino).expect("nodes are never removed")
    }

    pub(super) fn file(&self, ino: Ino) -> io::Result<&FileBody> {
        match &self.node(ino).body {
            Body::File(file) => Ok(file),
            Body::Dir { .. } => Err(Errno::ISDIR.into()),
            Body::Symlink => Err(Errno::LOOP.into()),
        }
    }

    pub(super) fn file_mut(&mut self, ino: Ino) -> io::Result<&mut FileBody> {
        match &mut self.node_mut(ino).body {
            Body::File(file) => Ok(file),
            Body::Dir { .. } => Err(Errno::ISDIR.into()),
            Body::Symlink => Err(Errno::LOOP.into()),
        }
    }

    /// The names in a directory.
    pub(super) fn names(&self, dir: Ino) -> io::Result<&Names> {
        match &self.node(dir).body {
            Body::Dir { now, .. } => Ok(now),
            Body::File(_) | Body::Symlink => Err(Errno::NOTDIR.into()),
        }
    }

    /// The node that a path names. No link is followed, not in the middle either.
    pub(super) fn find(&self, path: &Path) -> io::Result<Ino> {
        let mut trail = vec![ROOT];
        for component in path.components() {
            match component {
                Component::Normal(name) => {
                    let here = *trail.last().unwrap_or(&ROOT);
                    trail.push(*self.names(here)?.get(name).ok_or(Errno::NOENT)?);
                }
                Component::ParentDir => trail.truncate((trail.len() - 1).max(1)),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
        Ok(*trail.last().unwrap_or(&ROOT))
    }

    /// Where a path's last component is or would be.
    pub(super) fn place(&self, path: &Path) -> io::Result<Place> {
        let name = path.file_name().ok_or(Errno::INVAL)?.to_owned();
        let dir = self.find(path.parent().unwrap_or(Path::new("")))?;
        self.names(dir)?;
        Ok(Place { dir, name })
    }

    pub(super) fn at(&self, place: &Place) -> Option<Ino> {
        self.names(place.dir).ok()?.get(&place.name).copied()
    }

    pub(super) fn stat(&self, ino: Ino) -> Stat {
        let node = self.node(ino);
        let (len, pages) = match &node.body {
            Body::File(file) => (file.now.len(), file.page_count()),
            Body::Dir { .. } => (PAGE, 1),
            Body::Symlink => (0, 0),
        };
        Stat {
            kind: node.kind(),
            len,
            allocated_bytes: pages * PAGE,
            mtime_ns: node.mtime_ns,
            ctime_ns: node.ctime_ns,
            dev: 1,
            ino,
            nlink: node.nlink,
            mode: node.mode,
            uid: node.uid,
            gid: node.gid,
        }
    }

    /// Bytes that all files with a name take up.
    pub(super) fn used_bytes(&self) -> u64 {
        let pages = |node: &Node| match &node.body {
            Body::File(file) if node.nlink > 0 => file.page_count(),
            Body::File(_) | Body::Dir { .. } | Body::Symlink => 0,
        };
        self.nodes.values().map(pages).sum::<u64>() * PAGE
    }
}

/// A directory without names.
pub(super) fn empty_dir() -> Body {
    Body::Dir { now: Names::new(), durable: Names::new() }
}
