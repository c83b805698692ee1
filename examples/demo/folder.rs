//! The folder of the demo. It goes when the demo ends: well, with an error, or by Ctrl-C.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use bytesize::ByteSize;
use tokio::signal::unix::{SignalKind, signal};

use crate::Outcome;

/// What the demo needs at its peak, with some room: the database, its store, two restored copies.
const NEEDED_BYTES: u64 = 1_300 << 20;
/// How often removing is tried while the commands of the demo, which got the signal too, come to their end.
const ATTEMPTS: u32 = 50;

/// A new folder in the directory for temporary files.
pub(crate) struct Folder {
    /// Where it lies.
    pub(crate) path: PathBuf,
}

impl Folder {
    /// Makes it, if there is room.
    pub(crate) fn make() -> Outcome<Self> {
        let parent = std::env::temp_dir();
        check_room(&parent)?;
        let path = parent.join(format!("qsync-demo-{}", std::process::id()));
        fs::create_dir(&path).map_err(|e| format!("cannot make {}: {e}", path.display()))?;
        remove_on_signal(path.clone())?;
        Ok(Self { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("{} could not be removed: {error}", self.path.display());
        }
    }
}

fn check_room(dir: &Path) -> Outcome {
    let stat = rustix::fs::statvfs(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    if free < NEEDED_BYTES {
        let (dir, free, needed) = (dir.display(), ByteSize(free), ByteSize(NEEDED_BYTES));
        return Err(format!("{dir} has {free} free and the demo needs {needed}: name another directory with TMPDIR=…").into());
    }
    Ok(())
}

/// On SIGINT or SIGTERM, removes the folder and ends the process as the shell expects.
fn remove_on_signal(path: PathBuf) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    thread::spawn(move || {
        let exit = runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => 130,
                _ = terminate.recv() => 143,
            }
        });
        remove_patiently(&path);
        std::process::exit(exit);
    });
    Ok(())
}

fn remove_patiently(path: &Path) {
    for _ in 0..ATTEMPTS {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => thread::sleep(Duration::from_millis(100)),
            Err(error) => return eprintln!("{} could not be removed: {error}", path.display()),
            Ok(()) => return,
        }
    }
    eprintln!("{} could not be removed: something still writes there", path.display());
}
