//! The machine's file system, on system calls.
use std::{io, path::Path, sync::Arc};

use super::{DirEntry, File, Fs, Lock, Open, Rename, Space, Stat};
use crate::types::RelPath;

/// The machine's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFs;

impl Fs for RealFs {
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
