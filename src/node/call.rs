//! One call of a program: bounded in time and in what is read of it.
//!
//! A program runs in a process group of its own, so that a Ctrl-C at qsync's terminal does not reach it: a stop that is cut in the middle
//! leaves nobody knows what.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::Error;

/// The most that is kept of what a program prints on each of its two streams.
const MAX_OUTPUT: u64 = 64 << 10;
/// How often a program is asked whether it has ended, at first and at most.
const POLL: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));
/// How long what an ended program printed may take to arrive: a process that it left behind may hold its streams for good.
const DRAIN: Duration = Duration::from_millis(200);

/// What becomes of a program that takes longer than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    /// It is ended: it only asks.
    End,
    /// It goes on: half of what it does may be worse than all of it.
    Leave,
}

/// What is read of what a program prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listen {
    /// Both streams.
    Yes,
    /// Nothing: a node that it leaves behind would die of a pipe that nobody reads any more.
    No,
}

/// How a program ended, and what it printed.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) stdout: String,
    stderr: String,
}

/// One call.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) argv: &'a [String],
    pub(super) limit: Duration,
    pub(super) late: Late,
    pub(super) listen: Listen,
    /// What becomes the program's standard input: a file whose lock it holds as long as it lives.
    pub(super) stdin: Option<File>,
}

impl<'a> Call<'a> {
    /// A question, of which the answer is read, and which may take so long.
    pub(super) fn ask(argv: &'a [String], limit: Duration) -> Self {
        Self { argv, limit, late: Late::End, listen: Listen::Yes, stdin: None }
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// [`Error::Call`] when it cannot be started, [`Error::Late`] when it takes longer than it may. How it ends is the caller's business.
    pub(super) fn run(self) -> Result<Ended, Error> {
        let mut child = self.spawn()?;
        let (stdout, stderr) = (collect(child.stdout.take()), collect(child.stderr.take()));
        let Some(status) = self.wait(&mut child)? else {
            self.give_up(child);
            return Err(Error::Late { what: self.text(), limit: self.limit });
        };
        let until = Instant::now() + DRAIN;
        Ok(Ended { status, stdout: stdout.take(until), stderr: stderr.take(until) })
    }

    /// Runs it to its end, which must be a good one.
    ///
    /// # Errors
    /// As [`Call::run`], and [`Error::Failed`] with what it said.
    pub(super) fn succeed(self) -> Result<String, Error> {
        let what = self.text();
        let ended = self.run()?;
        if ended.status.success() { Ok(ended.stdout) } else { Err(Error::Failed { what, how: ended.how() }) }
    }

    fn spawn(&self) -> Result<Child, Error> {
        let (program, arguments) = self.argv.split_first().ok_or_else(|| self.cannot(io::ErrorKind::InvalidInput.into()))?;
        let stream = || if self.listen == Listen::Yes { Stdio::piped() } else { Stdio::null() };
        let stdin = match &self.stdin {
            Some(file) => Stdio::from(file.try_clone().map_err(|e| self.cannot(e))?),
            None => Stdio::null(),
        };
        let mut command = Command::new(program);
        command.args(arguments).stdin(stdin).stdout(stream()).stderr(stream()).process_group(0);
        command.spawn().map_err(|e| self.cannot(e))
    }

    fn cannot(&self, source: io::Error) -> Error {
        Error::Call { what: self.text(), source }
    }

    fn wait(&self, child: &mut Child) -> Result<Option<ExitStatus>, Error> {
        let (until, mut pause) = (Instant::now() + self.limit, POLL.0);
        loop {
            if let Some(status) = child.try_wait().map_err(|e| self.cannot(e))? {
                return Ok(Some(status));
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            thread::sleep(pause);
            pause = (pause * 2).min(POLL.1);
        }
    }

    /// Somebody must wait for a child, or it stays as a zombie as long as this process lives.
    fn give_up(&self, mut child: Child) {
        if self.late == Late::End {
            let _gone_already = child.kill();
        }
        thread::spawn(move || child.wait());
    }

    fn text(&self) -> String {
        self.argv.join(" ")
    }
}

impl Ended {
    /// How it ended, and the last line that it complained with.
    pub(super) fn how(&self) -> String {
        let said = [&self.stderr, &self.stdout].into_iter().find_map(|text| text.trim().lines().last().map(str::to_owned));
        match said {
            Some(line) => format!("{}: {line}", self.status),
            None => self.status.to_string(),
        }
    }
}

/// What arrives from a stream, read by a thread that may outlive the call.
#[derive(Debug, Default)]
struct Collected(Option<Reader>);

#[derive(Debug)]
struct Reader {
    thread: thread::JoinHandle<()>,
    bytes: Arc<Mutex<Vec<u8>>>,
}

fn collect(stream: Option<impl Read + Send + 'static>) -> Collected {
    let Some(stream) = stream else { return Collected::default() };
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&bytes);
    Collected(Some(Reader { thread: thread::spawn(move || read_all(stream, &into)), bytes }))
}

/// Reads to the end, so that no writer ever waits, and keeps the beginning.
fn read_all(mut stream: impl Read, into: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        let mut kept = into.lock().unwrap_or_else(PoisonError::into_inner);
        let room = usize::try_from(MAX_OUTPUT).unwrap_or(usize::MAX).saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..count.min(room)]);
    }
}

impl Collected {
    fn take(self, until: Instant) -> String {
        let Some(Reader { thread: reader, bytes }) = self.0 else { return String::new() };
        while !reader.is_finished() && Instant::now() < until {
            thread::sleep(POLL.0);
        }
        String::from_utf8_lossy(&bytes.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Vec<String> {
        ["sh", "-c", script].map(str::to_owned).to_vec()
    }

    fn ask(script: &str, limit_ms: u64) -> Result<String, Error> {
        Call::ask(&sh(script), Duration::from_millis(limit_ms)).succeed()
    }

    #[test]
    fn what_a_program_says_is_its_answer_or_why_it_failed() {
        assert_eq!(ask("echo yes; echo no >&2", 5_000).unwrap(), "yes\n");
        let failed = ask("echo first >&2; echo last >&2; exit 4", 5_000).unwrap_err();
        assert_eq!(failed.to_string(), "sh -c echo first >&2; echo last >&2; exit 4: exit status: 4: last");
        let absent = Call::ask(&["/no/such/program".to_owned()], DRAIN).succeed().unwrap_err();
        assert!(matches!(absent, Error::Call { .. }), "{absent}");
    }

    #[test]
    fn a_program_that_takes_too_long_or_leaves_a_process_behind_holds_nobody_up() {
        let began = Instant::now();
        assert!(matches!(ask("sleep 30", 30).unwrap_err(), Error::Late { .. }));
        assert_eq!(ask("echo started; sleep 30 & exit 0", 5_000).unwrap(), "started\n");
        assert!(began.elapsed() < Duration::from_secs(5));
        assert_eq!(ask("yes | head -c 1000000", 5_000).unwrap().len() as u64, MAX_OUTPUT);
    }
}
