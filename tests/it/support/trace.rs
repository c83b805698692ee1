//! The command under strace, which kills it or fails its system calls at a chosen moment.

use std::process::Command;

use super::command::Qsync;

/// System calls that change what is on disk, by what they do. A question mark lets strace pass over those that a machine lacks.
pub(crate) const CALLS: [&str; 7] =
    ["pwrite64", "ftruncate", "?rename,?renameat,renameat2", "?mkdir,mkdirat", "?unlink,?rmdir,unlinkat", "fsync,fdatasync", "syncfs"];

/// Whether strace is there and may trace; says so in words where not.
pub(crate) fn can_trace() -> bool {
    let works = Command::new("strace").args(["-qq", "-e", "trace=none", "true"]).output().is_ok_and(|output| output.status.success());
    if !works {
        eprintln!("strace is missing or may not trace here: NOT tested");
    }
    works
}

/// The command with `fault` injected into `calls`, for example `signal=KILL:when=3`. Each thread counts for itself.
pub(crate) fn injected(qsync: Qsync, calls: &str, fault: &str) -> Qsync {
    let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:{fault}"));
    qsync.below("strace", &["-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject])
}
