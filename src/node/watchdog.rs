//! A process that outlives the run and brings its node back if the run dies.
//!
//! It is started before the node is stopped and reads a pipe of which the run has the other end. The run says `done` when the node is back; a
//! pipe that closes before that means that the run is dead, however it died.

use std::{
    ffi::OsString,
    io::{self, Read, Write},
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, Command, Stdio},
};

use super::Error;

const READY: &[u8] = b"ready\n";
const DONE: &[u8] = b"done\n";
/// This program, also after its file was replaced by a new release.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// The watchdog of a run. Dropped without [`Watchdog::done`], it starts the node.
#[derive(Debug)]
pub struct Watchdog {
    child: Child,
    pipe: ChildStdin,
}

impl Watchdog {
    /// Starts it, and returns when it watches. `argv` begins with a name for it; the program is this one.
    ///
    /// # Errors
    /// [`Error::Watchdog`]; then the node may not be stopped.
    pub fn start(argv: &[OsString]) -> Result<Self, Error> {
        Self::spawn(argv).map_err(Error::Watchdog)
    }

    fn spawn(argv: &[OsString]) -> io::Result<Self> {
        let (name, arguments) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(OWN_PROGRAM);
        command.arg0(name).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn()?;
        let (pipe, mut answer) =
            (child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?, child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?);
        let mut said = vec![0; READY.len()];
        if let Err(error) = answer.read_exact(&mut said) {
            drop(pipe);
            let ended = child.wait()?;
            return Err(io::Error::new(error.kind(), format!("it ended at once: {ended}")));
        }
        Ok(Self { child, pipe })
    }

    /// Says that the node is back, and waits until the watchdog has ended.
    pub fn done(mut self) {
        // One that is dead already needs no message.
        let _nobody_listens = self.pipe.write_all(DONE);
        drop(self.pipe);
        let _ended = self.child.wait();
    }
}

/// How a watched run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// Its node is back.
    Done,
    /// It died.
    Died,
}

/// The watchdog's own side: leaves the terminal and the session of the run, says that it watches, and waits for the run's end.
///
/// # Errors
/// When it cannot say so: then the run does not begin.
pub fn watch() -> io::Result<Run> {
    // Already so where it leads a session.
    let _own_session = rustix::process::setsid();
    let mut out = io::stdout().lock();
    out.write_all(READY).and_then(|()| out.flush())?;
    Ok(listen(io::stdin().lock()))
}

fn listen(mut pipe: impl Read) -> Run {
    let mut said = Vec::new();
    let _what_was_said_counts = pipe.read_to_end(&mut said);
    if said == DONE { Run::Done } else { Run::Died }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_word_means_that_the_node_is_back() {
        assert_eq!(listen(DONE), Run::Done);
        for said in [&b""[..], b"don", b"done", b"done\ndone\n"] {
            assert_eq!(listen(said), Run::Died);
        }
    }
}
