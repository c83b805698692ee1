//! Whether a process has a directory's database open.
//!
//! Four looks: `fcntl` locks (RocksDB, LevelDB), `flock` locks (ParityDB, Pebble, Bitcoin Core), files that other processes have open or
//! mapped, and leases, of which the kernel gives none on a file that somebody writes. Engines without a lock, or with a lock in shared
//! memory, are found by the third; a process of another user, or one that sees the directory under another path, as in a container, by
//! the fourth.
//!
//! `/proc` and the locks are the kernel's live state, not storage: they are read directly, not through [`Fs`](crate::fs::Fs).

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::process::{Flock, FlockType};

use super::{Error, plan};
use crate::fs::lease;

/// Names of lock files. All others are found by who has them open.
const LOCK_FILES: [&str; 8] = ["LOCK", "lock", "FLOCK", ".lock", "mdbx.lck", "db.lck", "exclusive.lock", "lock.mdb"];
/// How deep below the data directory databases lie.
const MAX_DEPTH: usize = 8;

/// Whether a process has a directory's database open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Use {
    /// No process has.
    Free,
    /// A process has.
    InUse {
        /// The process, where it can be told.
        pid: Option<u32>,
        /// What it holds.
        what: String,
    },
    /// It cannot be told.
    Unknown {
        /// Why not, as a clause.
        why: String,
    },
}

/// Looks for locks on known lock files below `dir`, and for processes other than this one with open or mapped files below it. A process
/// that comes or goes meanwhile may be missed.
#[must_use]
pub fn probe(dir: &Path) -> Use {
    let dir = match fs::canonicalize(dir) {
        Ok(dir) => dir,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Use::Free,
        Err(e) => return Use::Unknown { why: format!("{} cannot be opened: {e}", dir.display()) },
    };
    match probe_locks(&dir) {
        Use::Free => probe_processes(&dir),
        // A process that is found decides, whatever could not be seen of the locks.
        Use::Unknown { why } => match probe_processes(&dir) {
            Use::InUse { pid, what } => Use::InUse { pid, what },
            Use::Free | Use::Unknown { .. } => Use::Unknown { why },
        },
        held @ Use::InUse { .. } => held,
    }
}

/// What an operator's word is worth where the system does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// What cannot be told is refused.
    Refuse,
    /// The operator says that the node is stopped.
    AssumeStopped,
}

/// Refuses to publish a directory that a process has open, and, unless the operator vouches for it, one of which that cannot be told.
///
/// # Errors
/// [`Error::SourceInUse`], [`Error::SourceUseUnknown`].
pub fn check_source(dir: &Path, unseen: Unseen) -> Result<(), Error> {
    let path = dir.to_owned();
    match probe(dir) {
        Use::InUse { pid, what } => Err(Error::SourceInUse { path, pid, what }),
        Use::Unknown { why } if unseen == Unseen::Refuse => Err(Error::SourceUseUnknown { path, why }),
        Use::Free | Use::Unknown { .. } => Ok(()),
    }
}

/// Refuses to restore to a directory that a process has open. What cannot be told comes back as a warning: other users' processes are
/// hidden from every user but root, so refusing would refuse nearly everybody.
///
/// # Errors
/// [`Error::TargetInUse`].
pub fn check_target(dir: &Path) -> Result<Option<String>, Error> {
    match probe(dir) {
        Use::InUse { pid, what } => Err(Error::TargetInUse { path: dir.to_owned(), pid, what }),
        Use::Unknown { why } => Ok(Some(format!("cannot tell whether {} is in use: {why}", dir.display()))),
        Use::Free => Ok(None),
    }
}

/// The process that holds a `flock` on the file or directory with this inode number, if the system tells.
pub(super) fn flock_holder(inode: u64) -> Option<u32> {
    holders("FLOCK", inode).into_iter().find_map(|pid| pid)
}

fn probe_locks(dir: &Path) -> Use {
    let mut files = Vec::new();
    if let Err(e) = lock_files_below(dir, MAX_DEPTH, &mut files) {
        return Use::Unknown { why: format!("{} cannot be searched for lock files: {e}", dir.display()) };
    }
    for path in files {
        match lock_on(&path) {
            Ok(Some(pid)) => return Use::InUse { pid, what: format!("{} is locked", path.display()) },
            Ok(None) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Use::Unknown { why: format!("the lock on {} cannot be asked for: {e}", path.display()) },
        }
    }
    Use::Free
}

fn lock_files_below(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        // The lock in there is qsync's own, and says nothing of a node.
        if entry.file_name() == plan::INSIDE_NAME {
            continue;
        }
        if kind.is_dir() && depth > 0 {
            lock_files_below(&entry.path(), depth - 1, found)?;
        } else if kind.is_file() && LOCK_FILES.iter().any(|name| entry.file_name() == *name) {
            found.push(entry.path());
        }
    }
    Ok(())
}

/// `Some(pid)` when a lock is held. Closing the file drops any `fcntl` lock that *this* process has on it: qsync takes none. The
/// `flock` that is tried is given back at once; a node that starts in that instant would be refused its lock, and start again.
fn lock_on(path: &Path) -> io::Result<Option<Option<u32>>> {
    let file = fs::File::open(path)?;
    // Locks of an open file description have no pid: F_GETLK says -1, which has no place in a Pid, so the table is asked first.
    if let Some(holder) = holders("OFDLCK", file.metadata()?.ino()).first() {
        return Ok(Some(*holder));
    }
    if let Some(lock) = rustix::process::fcntl_getlk(&file, &Flock::from(FlockType::WriteLock))? {
        return Ok(Some(lock.pid.and_then(|pid| u32::try_from(pid.as_raw_pid()).ok())));
    }
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(None),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(Some(flock_holder(file.metadata()?.ino()))),
        Err(e) => Err(e.into()),
    }
}

/// Holders of locks of one kind in the kernel's table, by inode number; the table's device numbers are not those of `stat` on every
/// file system, so they are not compared.
fn holders(kind: &str, inode: u64) -> Vec<Option<u32>> {
    let table = fs::read_to_string("/proc/locks").unwrap_or_default();
    table.lines().filter_map(|line| holder_in(line, kind, inode)).collect()
}

/// `1: FLOCK  ADVISORY  WRITE 708 00:17:693 0 EOF`; the pid is -1 or 0 where there is none to tell.
fn holder_in(line: &str, kind: &str, inode: u64) -> Option<Option<u32>> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, found, _, _, pid, file, ..] = fields[..] else { return None };
    let matches = found == kind && file.rsplit(':').next()?.parse() == Ok(inode);
    matches.then(|| pid.parse().ok().filter(|pid| *pid != 0))
}

fn probe_processes(dir: &Path) -> Use {
    match probe_open_files(dir) {
        Use::InUse { pid, what } => Use::InUse { pid, what },
        seen @ (Use::Free | Use::Unknown { .. }) => match lease::written_below(dir) {
            Ok(None) => Use::Free,
            Ok(Some(path)) => Use::InUse { pid: None, what: format!("{} is open for writing", path.display()) },
            Err(_) => seen,
        },
    }
}

fn probe_open_files(dir: &Path) -> Use {
    let own = std::process::id();
    let mut hidden = None;
    let entries = match fs::read_dir("/proc") {
        Ok(entries) => entries,
        Err(e) => return Use::Unknown { why: format!("/proc cannot be read: {e}") },
    };
    for pid in entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).filter(|pid| *pid != own) {
        match open_below(pid, dir) {
            Ok(Some(path)) => return Use::InUse { pid: Some(pid), what: format!("{} is open", path.display()) },
            Ok(None) => {}
            Err(e) if is_gone(&e) => {}
            Err(_) => hidden = hidden.or(Some(pid)),
        }
    }
    match hidden {
        Some(pid) => Use::Unknown { why: format!("process {pid} belongs to another user, and its files cannot be seen") },
        None => Use::Free,
    }
}

/// ESRCH is what `/proc` says of a process that ends while it is looked at.
fn is_gone(e: &io::Error) -> bool {
    e.kind() == io::ErrorKind::NotFound || e.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

/// A file below `dir` that the process has open or mapped. Kernel threads have neither.
fn open_below(pid: u32, dir: &Path) -> io::Result<Option<PathBuf>> {
    let process = PathBuf::from(format!("/proc/{pid}"));
    for entry in fs::read_dir(process.join("fd"))? {
        match fs::read_link(entry?.path()) {
            Ok(path) if path != dir && path.starts_with(dir) => return Ok(Some(path)),
            Err(e) if !is_gone(&e) => return Err(e),
            _ => {}
        }
    }
    Ok(mapped_below(&String::from_utf8_lossy(&fs::read(process.join("maps"))?), dir))
}

/// `7f0c…-7f0d… rw-s 00000000 fd:00 131 /path with spaces`.
fn mapped_below(maps: &str, dir: &Path) -> Option<PathBuf> {
    let paths = maps.lines().filter_map(|line| line.find('/').map(|at| Path::new(&line[at..])));
    paths.filter(|path| path.starts_with(dir)).map(Path::to_owned).next()
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A process of its own that ends with the test.
    struct Other(Child);

    impl Drop for Other {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    fn other(command: &str, dir: &Path) -> Other {
        let mut child = Command::new("sh").arg("-c").arg(command).current_dir(dir).stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = [0; 1];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
        Other(child)
    }

    // OP-02
    #[test]
    fn finds_the_process_that_has_a_file_open() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("db")).unwrap();
        let process = other("exec 3>db/000001.log; echo; exec sleep 60", dir.path());
        let Use::InUse { pid, what } = probe(dir.path()) else { panic!("not noticed") };
        assert_eq!(pid, Some(process.0.id()));
        assert!(what.contains("000001.log"), "{what}");
    }

    // OP-02
    #[test]
    fn finds_a_writer_that_knows_the_directory_under_another_path() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("db")).unwrap();
        fs::create_dir(dir.path().join("elsewhere")).unwrap();
        let bind = "mount --bind db elsewhere && exec 3>elsewhere/data.mdb && umount -l elsewhere; echo; exec sleep 60";
        let process = other(&format!("exec unshare -Urm sh -c '{bind}'"), dir.path());
        if !dir.path().join("db/data.mdb").exists() {
            eprintln!("skipped: no mount namespaces here");
            return;
        }
        assert!(matches!(probe(&dir.path().join("db")), Use::InUse { what, .. } if what.contains("data.mdb")));
        drop(process);
    }

    // OP-02
    #[test]
    fn finds_a_flock_even_when_this_process_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("lock"), "").unwrap();
        let file = fs::File::open(dir.path().join("lock")).unwrap();
        assert!(!matches!(probe(dir.path()), Use::InUse { .. }));
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
        assert!(matches!(probe(dir.path()), Use::InUse { pid, .. } if pid == Some(std::process::id())));
    }

    #[test]
    fn an_absent_directory_is_free() {
        assert_eq!(probe(Path::new("/not/there")), Use::Free);
    }

    #[test]
    fn reads_the_tables_of_the_kernel() {
        let line = "1: FLOCK  ADVISORY  WRITE 708 00:17:693 0 EOF";
        assert_eq!(holder_in(line, "FLOCK", 693), Some(Some(708)));
        assert_eq!(holder_in(line, "POSIX", 693), None);
        assert_eq!(holder_in("2: OFDLCK ADVISORY  WRITE -1 fd:00:42 0 EOF", "OFDLCK", 42), Some(None));
        assert_eq!(holder_in("2: -> FLOCK", "FLOCK", 42), None);
        let maps = "7f00-7f01 rw-s 00000000 fd:00 131 /data/node/db/mdbx.dat\n7f02-7f03 r-xp 0 00:00 0 [vdso]\n";
        assert_eq!(mapped_below(maps, Path::new("/data/node")), Some("/data/node/db/mdbx.dat".into()));
        assert_eq!(mapped_below(maps, Path::new("/data/no")), None);
    }
}
