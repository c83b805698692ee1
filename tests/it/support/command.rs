//! The qsync command as a person or a script runs it.

use std::{
    ffi::OsStr,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;

/// One call of the real binary, in an environment of its own.
pub(crate) struct Qsync {
    command: Command,
}

impl Qsync {
    /// A call on a machine whose state lies in `state_dir`.
    pub(crate) fn with_state(state_dir: PathBuf) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qsync"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("QSYNC_")) {
            command.env_remove(name);
        }
        command.env("QSYNC_STATE_DIR", state_dir).env("QSYNC_CONFIG", "/dev/null").env("HOME", "/nonexistent").env_remove("RUST_LOG");
        command.stdin(Stdio::null());
        Self { command }
    }

    /// A call by a user whose home and working directory is `home`: no variables, and the configuration that lies there.
    pub(crate) fn at_home(home: &Path, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qsync"));
        command.env_clear().env("HOME", home).env("PATH", "/usr/bin:/bin").current_dir(home).args(args);
        command.stdin(Stdio::null());
        Self { command }
    }

    /// The same call, run by another program: its arguments come first.
    pub(crate) fn below(self, program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).arg(self.command.get_program()).args(self.command.get_args()).stdin(Stdio::null());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Self { command }
    }

    /// Runs it on a terminal of its own, at which somebody types `typed`. Gives the exit code and all that the terminal shows.
    /// Arguments must not need quoting.
    pub(crate) fn on_a_terminal(self, typed: &str) -> (Option<i32>, String) {
        let words: Vec<_> =
            std::iter::once(self.command.get_program()).chain(self.command.get_args()).map(OsStr::to_string_lossy).collect();
        let line = words.join(" ");
        let terminal = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .envs(self.variables())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut terminal = terminal.unwrap();
        terminal.stdin.as_mut().unwrap().write_all(typed.as_bytes()).unwrap();
        let output = terminal.wait_with_output().unwrap();
        (output.status.code(), text(&output.stdout))
    }

    fn variables(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.command.get_envs().filter_map(|(name, value)| Some((name, value?)))
    }

    /// Adds an argument.
    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    pub(crate) fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets a variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Gives it a file as standard input.
    pub(crate) fn reading(mut self, file: std::fs::File) -> Self {
        self.command.stdin(file);
        self
    }

    /// The same call as the last arguments of another program, `strace` or `unshare`.
    pub(crate) fn inside(&self, mut program: Command) -> Command {
        program.arg(self.command.get_program()).args(self.command.get_args()).stdin(Stdio::null());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => program.env(name, value),
                None => program.env_remove(name),
            };
        }
        program
    }

    /// Starts it and leaves it running; its output is read by the caller.
    pub(crate) fn spawn(mut self) -> Child {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Starts it with its output thrown away.
    pub(crate) fn spawn_quietly(mut self) -> Child {
        self.command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Runs it to its end.
    pub(crate) fn output(mut self) -> Output {
        self.command.output().unwrap()
    }

    /// Runs it to its end. Gives the most memory it held, as seen every few milliseconds, bytes.
    pub(crate) fn output_and_peak(self) -> (Output, u64) {
        let child = self.spawn();
        let status = format!("/proc/{}/status", child.id());
        let waiter = std::thread::spawn(move || child.wait_with_output().unwrap());
        let mut peak = 0;
        while !waiter.is_finished() {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let kib = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
            peak = peak.max(kib.unwrap_or(0) << 10);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert!(peak > 0, "its memory was never seen");
        (waiter.join().unwrap(), peak)
    }

    /// Runs it with `--json`; it must succeed. Gives every line it printed.
    pub(crate) fn json_lines(self) -> Vec<Value> {
        let output = self.arg("--json").output();
        assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
    }

    /// Runs it with `--json`; it must succeed. Gives its summary, the last line.
    pub(crate) fn summary(self) -> Value {
        let summary = self.json_lines().pop().expect("at least one line");
        assert_eq!(summary["type"], "summary", "{summary}");
        summary
    }

    /// Runs it; it must succeed. Gives what it printed on stdout.
    pub(crate) fn stdout(self) -> String {
        let output = self.output();
        assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs it; it must fail with this exit code. Gives what it printed on stderr.
    #[track_caller]
    pub(crate) fn fails_with(self, exit: i32) -> String {
        let output = self.output();
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(exit), "{}\n{stderr}", text(&output.stdout));
        assert!(stderr.contains("error: "), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        stderr
    }

    /// Runs it with `--json`; it must fail with this exit code. Gives the last line, the error.
    #[track_caller]
    pub(crate) fn json_error(self, exit: i32) -> Value {
        let output = self.arg("--json").output();
        assert_eq!(output.status.code(), Some(exit), "{}\n{}", text(&output.stdout), text(&output.stderr));
        let error: Value = serde_json::from_str(text(&output.stdout).lines().last().unwrap()).unwrap();
        assert_eq!((&error["type"], &error["exit"]), (&"error".into(), &exit.into()), "{error}");
        error
    }
}

/// The command in a user and mount namespace after `prepare`; `None`, in words, where there are none.
pub(crate) fn in_namespace(prepare: &str, command: &Qsync) -> Option<Command> {
    let unshare = |script: &str| {
        let mut unshare = Command::new("unshare");
        unshare.args(["-Urm", "sh", "-c", script, "sh"]);
        unshare
    };
    if !unshare("true").status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: no user namespaces here");
        return None;
    }
    Some(command.inside(unshare(&format!("{prepare} && exec \"$@\""))))
}

/// Output as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
