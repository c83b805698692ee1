//! A file system in memory that knows what would survive a power cut.
//!
//! It is as forgetful as a real one may be: content is durable after the file was synced, names after their directory was.
//! Every operation that changes something is counted, and can be made to fail or to call a hook, so that a test can stop the
//! world at each of them.
//!
//! Unlike a real one it follows no link anywhere in a path, asks for no permissions, and keeps no access times.

mod content;
mod crash;
mod file;
mod names;
mod node;
mod operations;

use std::{
    collections::BTreeSet,
    fmt, io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
};

use rustix::io::Errno;

pub use self::crash::Unsynced;
use self::{
    content::PAGE,
    names::NameChange,
    node::{Body, Ino, Tree},
};
use super::{Lock, Space, Watch};

/// A file system in memory. Clones are the same file system; [`MemoryFs::power_cut`] makes another one.
/// It starts with an empty root directory `/`; relative paths are taken from there.
#[derive(Clone, Debug)]
pub struct MemoryFs(Arc<Mutex<State>>);

type Hook = Arc<dyn Fn(u64, &MemoryFs) + Send + Sync>;

struct State {
    tree: Tree,
    locked: BTreeSet<Ino>,
    operations: u64,
    /// How many writes to the disk have failed behind everybody's back.
    lost_writes: u64,
    failure: Option<Failure>,
    hook: Option<Hook>,
    limit_bytes: Option<u64>,
    longest_write: usize,
    clones: bool,
    watches: bool,
}

#[derive(Clone, Copy)]
struct Failure {
    from_operation: u64,
    errno: i32,
    lasting: bool,
}

impl MemoryFs {
    /// An empty file system without limits.
    #[must_use]
    pub fn new() -> Self {
        Self::holding(Tree::new())
    }

    fn holding(tree: Tree) -> Self {
        let locked = BTreeSet::new();
        Self(Arc::new(Mutex::new(State {
            tree,
            locked,
            operations: 0,
            lost_writes: 0,
            failure: None,
            hook: None,
            limit_bytes: None,
            longest_write: usize::MAX,
            clones: true,
            watches: true,
        })))
    }

    /// The file system as it may be found after the power went now: everything synced is there; of every write and every change of a
    /// name that was not, chance (fixed by `seed`) decides whether it is there, is missing, or, for writes, is torn. A rename happened
    /// or did not, never half. Locks are free, limits, hooks and injected failures are gone.
    #[must_use]
    pub fn power_cut(&self, seed: u64) -> Self {
        self.power_cut_with(Unsynced::ByChance(seed))
    }

    /// As [`MemoryFs::power_cut`], with what becomes of everything that was not synced.
    #[must_use]
    pub fn power_cut_with(&self, unsynced: Unsynced) -> Self {
        let tree = self.state().tree.clone();
        Self::holding(tree.after_power_cut(unsynced))
    }

    /// How many mutating operations (writes, changes of names, syncs) have begun so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Lets `operations` more mutating operations pass; from then on every operation, reads too, fails with `errno`
    /// (5 is EIO, 28 ENOSPC) and changes nothing, as for a process that was killed there.
    pub fn fail_after(&self, operations: u64, errno: i32) {
        self.inject(operations, errno, true);
    }

    /// Lets `operations` more mutating operations pass; then exactly one fails with `errno`, and all later ones work.
    pub fn fail_once_after(&self, operations: u64, errno: i32) {
        self.inject(operations, errno, false);
    }

    fn inject(&self, operations: u64, errno: i32, lasting: bool) {
        let mut state = self.state();
        let from_operation = state.operations.saturating_add(operations);
        state.failure = Some(Failure { from_operation, errno, lasting });
    }

    /// Ends what [`MemoryFs::fail_after`] and [`MemoryFs::fail_once_after`] began.
    pub fn heal(&self) {
        self.state().failure = None;
    }

    /// Calls `hook` before every mutating operation with the operation's number, counted from 0. The hook may look at the
    /// file system and cut its power; it must not change it.
    pub fn on_operation(&self, hook: impl Fn(u64, &Self) + Send + Sync + 'static) {
        self.state().hook = Some(Arc::new(hook));
    }

    /// From now on only `bytes` may be taken up in all; more is ENOSPC. `None` takes the limit away.
    pub fn limit_space(&self, bytes: Option<u64>) {
        self.state().limit_bytes = bytes;
    }

    /// Makes a directory a file system of its own, as far as [`super::Fs::sync_fs`] goes: syncing either leaves the other as it is.
    /// Everything else is as before.
    ///
    /// # Errors
    /// When there is no such directory.
    pub fn separate(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        let ino = state.tree.find(dir)?;
        state.tree.names(ino)?;
        state.tree.separate.insert(ino);
        Ok(())
    }

    /// From now on one call writes at most `bytes`, as system calls may.
    pub fn shorten_writes(&self, bytes: usize) {
        self.state().longest_write = bytes.max(1);
    }

    /// From now on files share no blocks, as on ext4.
    pub fn refuse_clones(&self) {
        self.state().clones = false;
    }

    /// From now on nobody is told of writes that fail in the background, as on a network file system.
    pub fn refuse_watches(&self) {
        self.state().watches = false;
    }

    /// Whether the two are clones of one another.
    fn is_same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Changes one bit of a file behind everybody's back, as a bad disk does. Not counted, and durable.
    ///
    /// # Errors
    /// When there is no such file or the bit lies behind its end.
    pub fn flip_bit(&self, path: &Path, byte: u64, bit: u8) -> io::Result<()> {
        let mut state = self.state();
        let ino = state.tree.find(path)?;
        let file = state.tree.file_mut(ino)?;
        file.durable.flip_bit(byte, bit);
        if file.now.flip_bit(byte, bit) { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Fails to write what is unsynced of a file to the disk, as the kernel may at any time in the background: what was written can still be
    /// read, is not on the disk, and no later sync brings it there. The next sync of the file fails, and the next of each [`Watch`].
    ///
    /// # Errors
    /// When there is no such file.
    pub fn lose_writes(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let ino = state.tree.find(path)?;
        state.tree.file_mut(ino)?.lose_writes();
        state.lost_writes += 1;
        Ok(())
    }

    /// Makes a symbolic link, which [`super::Fs`] has no operation for; it leads nowhere.
    ///
    /// # Errors
    /// As [`super::Fs::create_dir`].
    pub fn symlink(&self, path: &Path) -> io::Result<()> {
        self.mutate(|state| {
            let place = state.tree.free_place(path)?;
            let ino = state.tree.add(Body::Symlink, 0o777);
            state.tree.change_names(NameChange::put(place, ino));
            Ok(())
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no operation panics while it holds the lock")
    }

    /// Runs an operation that changes nothing.
    fn look<T>(&self, operation: impl FnOnce(&Tree) -> io::Result<T>) -> io::Result<T> {
        let state = self.state();
        match state.failure {
            // The world ended with the failed operation.
            Some(failure) if failure.lasting && state.operations > failure.from_operation => {
                Err(io::Error::from_raw_os_error(failure.errno))
            }
            _ => operation(&state.tree),
        }
    }

    /// Runs an operation that changes something: counts it, calls the hook, fails if it is to fail.
    fn mutate<T>(&self, operation: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let (number, hook) = {
            let mut state = self.state();
            state.operations += 1;
            (state.operations - 1, state.hook.clone())
        };
        if let Some(hook) = hook {
            hook(number, self);
        }
        let mut state = self.state();
        if let Some(failure) = state.failure.filter(|failure| number >= failure.from_operation) {
            if !failure.lasting {
                state.failure = None;
            }
            return Err(io::Error::from_raw_os_error(failure.errno));
        }
        operation(&mut state)
    }

    fn room(&self) -> Space {
        let state = self.state();
        let total_bytes = state.limit_bytes.unwrap_or(1 << 50);
        Space { free_bytes: total_bytes.saturating_sub(state.tree.used_bytes()), total_bytes, free_inodes: None }
    }

    fn begin_watch(&self, top: Ino) -> MemoryWatch {
        MemoryWatch { told: Mutex::new(self.state().lost_writes), fs: self.clone(), top }
    }

    fn lock(&self, ino: Ino) -> Option<Box<dyn Lock>> {
        let taken = self.state().locked.insert(ino);
        taken.then(|| Box::new(MemoryLock { fs: self.clone(), ino }) as Box<dyn Lock>)
    }
}

impl State {
    /// ENOSPC unless so many more pages fit.
    fn take_room(&self, pages: u64) -> io::Result<()> {
        match self.limit_bytes {
            Some(limit) if pages > 0 && self.tree.used_bytes() + pages * PAGE > limit => Err(Errno::NOSPC.into()),
            _ => Ok(()),
        }
    }
}

impl Default for MemoryFs {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("nodes", &self.tree.nodes.len()).field("operations", &self.operations).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct MemoryLock {
    fs: MemoryFs,
    ino: Ino,
}

impl Lock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.fs.state().locked.remove(&self.ino);
    }
}

#[derive(Debug)]
struct MemoryWatch {
    fs: MemoryFs,
    /// The top of its file system.
    top: Ino,
    told: Mutex<u64>,
}

impl Watch for MemoryWatch {
    fn sync(&self) -> io::Result<()> {
        self.fs.mutate(|state| {
            state.tree.sync_file_system(self.top);
            let mut told = self.told.lock().expect("no holder of this lock panics");
            let before = std::mem::replace(&mut *told, state.lost_writes);
            if before < state.lost_writes { Err(Errno::IO.into()) } else { Ok(()) }
        })
    }
}

#[cfg(test)]
mod tests;
