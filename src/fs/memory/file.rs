//! An open file in memory.

use std::{any::Any, io, ops::Range};

use rustix::io::Errno;

use super::{
    MemoryFs,
    content::{PAGE, pages_of},
    node::{Change, Ino},
};
use crate::fs::{File, Open, Stat};

/// Stays usable after its last name is gone.
#[derive(Debug)]
pub(super) struct MemoryFile {
    pub(super) fs: MemoryFs,
    pub(super) ino: Ino,
    pub(super) how: Open,
}

impl MemoryFile {
    fn sync(&self) -> io::Result<()> {
        self.fs.mutate(|state| {
            let file = state.tree.file_mut(self.ino)?;
            file.sync();
            if file.tell_loss() { Err(Errno::IO.into()) } else { Ok(()) }
        })
    }

    fn refuse_unless_writable(&self) -> io::Result<()> {
        if self.how == Open::Read { Err(Errno::BADF.into()) } else { Ok(()) }
    }
}

impl File for MemoryFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.fs.look(|tree| Ok(tree.file(self.ino)?.now.read_at(buf, offset)))
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.refuse_unless_writable()?;
        let end = offset.checked_add(buf.len() as u64).filter(|end| i64::try_from(*end).is_ok()).ok_or(Errno::FBIG)?;
        self.fs.mutate(|state| {
            let buf = &buf[..buf.len().min(state.longest_write)];
            let missing = state.tree.file(self.ino)?.pages_missing(offset..end);
            state.take_room(missing)?;
            let now = state.tree.tick();
            let file = state.tree.file_mut(self.ino)?;
            file.now.write_at(buf, offset);
            file.unsynced.push(Change::Write { offset, bytes: buf.to_vec() });
            state.tree.touch(self.ino, now);
            Ok(buf.len())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.refuse_unless_writable()?;
        self.fs.mutate(|state| {
            let now = state.tree.tick();
            let file = state.tree.file_mut(self.ino)?;
            file.reserved.retain(|page| page * PAGE < len);
            file.now.set_len(len);
            file.unsynced.push(Change::SetLen(len));
            state.tree.touch(self.ino, now);
            Ok(())
        })
    }

    fn allocate(&self, range: Range<u64>) -> io::Result<()> {
        self.refuse_unless_writable()?;
        if range.is_empty() {
            return Ok(());
        }
        self.fs.mutate(|state| {
            let missing = state.tree.file(self.ino)?.pages_missing(range.clone());
            state.take_room(missing)?;
            state.tree.file_mut(self.ino)?.reserved.extend(pages_of(range.clone()));
            Ok(())
        })
    }

    fn clone_from_file(&self, source: &dyn File) -> io::Result<()> {
        self.refuse_unless_writable()?;
        let source = (source as &dyn Any).downcast_ref::<Self>().filter(|source| source.fs.is_same_as(&self.fs));
        let Some(source) = source else { return Err(io::ErrorKind::Unsupported.into()) };
        self.fs.mutate(|state| {
            if !state.clones {
                return Err(io::ErrorKind::Unsupported.into());
            }
            let (content, now) = (state.tree.file(source.ino)?.now.clone(), state.tree.tick());
            let file = state.tree.file_mut(self.ino)?;
            // A power cut may leave any part of it, as of writes.
            file.unsynced.push(Change::SetLen(0));
            file.unsynced.extend(content.pages().map(|(offset, bytes)| Change::Write { offset, bytes }));
            file.unsynced.push(Change::SetLen(content.len()));
            file.reserved.clear();
            file.now = content;
            state.tree.touch(self.ino, now);
            Ok(())
        })
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        self.fs.look(|tree| Ok(tree.file(self.ino)?.now.next_data(offset)))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }

    fn stat(&self) -> io::Result<Stat> {
        self.fs.look(|tree| Ok(tree.stat(self.ino)))
    }
}
