//! What processes and directories take up.

use std::{fs, os::unix::fs::MetadataExt, path::Path, process::Child, thread, time::Duration};

use crate::support::command::Qsync;

/// The most that a process took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Peak {
    /// Memory, KiB.
    pub(crate) memory_kib: u64,
    /// Open files.
    pub(crate) files: u64,
}

/// What a process takes now, of memory what it took at most so far; `None` when it is gone.
pub(crate) fn of_process(pid: u32) -> Option<Peak> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let memory_kib = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(Peak { memory_kib, files: fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64 })
}

/// Runs a command, which must succeed, and says what it took at most.
pub(crate) fn at_most(command: Qsync) -> Peak {
    let mut child: Child = command.spawn_quietly();
    let mut peak = Peak::default();
    loop {
        if let Some(now) = of_process(child.id()) {
            peak = Peak { memory_kib: peak.memory_kib.max(now.memory_kib), files: peak.files.max(now.files) };
        }
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return peak;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Bytes on disk of a file or of everything in a directory; 0 when it is absent.
pub(crate) fn disk_bytes(path: &Path) -> u64 {
    let Ok(about) = fs::symlink_metadata(path) else { return 0 };
    let own = about.blocks() * 512;
    if !about.is_dir() {
        return own;
    }
    // A file may go meanwhile: nothing here needs to be exact.
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    own + entries.map(|entry| disk_bytes(&entry.path())).sum::<u64>()
}
