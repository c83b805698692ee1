//! A file system in memory that knows what would survive a power cut.
use std::{io, path::Path, sync::Arc};

use super::{DirEntry, File, Fs, Lock, Open, Rename, Space, Stat};
use crate::types::RelPath;

/// A file system in memory. Clones are the same file system; [`MemoryFs::power_cut`] makes another one.
/// It starts with an empty root directory `/`; relative paths are taken from there.
#[derive(Clone, Debug, Default)]
pub struct MemoryFs;

impl MemoryFs {
    /// An empty file system without limits.
    #[must_use]
    pub fn new() -> Self {
        todo!()
    }

    /// The file system as it may be found after the power went now: everything synced is there; of every write and every change of a
    /// name that was not, chance (fixed by `seed`) decides whether it is there, is missing, or, for writes, is torn. Locks are free,
    /// limits and injected failures are gone.
    #[must_use]
    pub fn power_cut(&self, _seed: u64) -> Self {
        todo!()
    }

    /// How many mutating operations (writes, changes of names, syncs) have begun so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        todo!()
    }

    /// Lets `operations` more mutating operations pass; from then on every operation, reads too, fails with `errno`
    /// (5 is EIO, 28 ENOSPC) and changes nothing, as for a process that was killed there.
    pub fn fail_after(&self, _operations: u64, _errno: i32) {
        todo!()
    }

    /// Lets `operations` more mutating operations pass; then exactly one fails with `errno`, and all later ones work.
    pub fn fail_once_after(&self, _operations: u64, _errno: i32) {
        todo!()
    }

    /// Ends what [`MemoryFs::fail_after`] and [`MemoryFs::fail_once_after`] began.
    pub fn heal(&self) {
        todo!()
    }

    /// Calls `hook` before every mutating operation with the operation's number, counted from 0. The hook may look at the
    /// file system and cut its power.
    pub fn on_operation(&self, _hook: impl Fn(u64, &Self) + Send + Sync + 'static) {
        todo!()
    }

    /// From now on only `bytes` may be allocated in all; more is ENOSPC. `None` takes the limit away.
    pub fn limit_space(&self, _bytes: Option<u64>) {
        todo!()
    }

    /// Changes one bit of a file behind everybody's back, as a bad disk does.
    ///
    /// # Errors
    /// When there is no such file or the bit lies behind its end.
    pub fn flip_bit(&self, _path: &Path, _byte: u64, _bit: u8) -> io::Result<()> {
        todo!()
    }

    /// Makes a symbolic link, which [`Fs`] has no operation for; `target` is never followed.
    ///
    /// # Errors
    /// As [`Fs::create_dir`].
    pub fn symlink(&self, _target: &Path, _path: &Path) -> io::Result<()> {
        todo!()
    }
}

impl Fs for MemoryFs {
    fn open(&self, _path: &Path, _how: Open) -> io::Result<Arc<dyn File>> {
        todo!()
    }
    fn open_beneath(&self, _root: &Path, _rel: &RelPath, _how: Open) -> io::Result<Arc<dyn File>> {
        todo!()
    }
    fn create_dir(&self, _path: &Path, _mode: u32) -> io::Result<()> {
        todo!()
    }
    fn create_dir_all(&self, _path: &Path, _mode: u32) -> io::Result<()> {
        todo!()
    }
    fn read_dir(&self, _path: &Path) -> io::Result<Vec<DirEntry>> {
        todo!()
    }
    fn stat(&self, _path: &Path) -> io::Result<Stat> {
        todo!()
    }
    fn rename(&self, _from: &Path, _to: &Path, _mode: Rename) -> io::Result<()> {
        todo!()
    }
    fn hard_link(&self, _file: &Path, _new_name: &Path) -> io::Result<()> {
        todo!()
    }
    fn remove_file(&self, _path: &Path) -> io::Result<()> {
        todo!()
    }
    fn remove_dir(&self, _path: &Path) -> io::Result<()> {
        todo!()
    }
    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        todo!()
    }
    fn sync_fs(&self, _path: &Path) -> io::Result<()> {
        todo!()
    }
    fn space(&self, _path: &Path) -> io::Result<Space> {
        todo!()
    }
    fn chown(&self, _path: &Path, _uid: u32, _gid: u32) -> io::Result<()> {
        todo!()
    }
    fn try_lock(&self, _path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        todo!()
    }
}
