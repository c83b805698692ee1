//! The command line: arguments, configuration, output, signals, exit codes. The only part that knows of them.
//!
//! A verb is a file in `verb` with its arguments and its `run`, which calls the library and shows what came of it.

mod agent;
mod args;
mod ask;
mod classify;
mod code;
mod config;
mod context;
mod engine;
mod env;
mod exit;
mod first_contact;
mod freeze;
mod gateways;
mod jitter;
mod logging;
mod node_profiles;
mod nodes;
mod output;
mod owner;
mod progress;
mod reports;
mod rpc;
mod signals;
mod sources;
mod starter;
mod stores;
mod syslog;
mod values;
mod verb;

use std::{ffi::OsString, process::ExitCode, time::Duration};

pub use code::{Code, Exit};

use self::{
    args::Cli,
    context::Context,
    exit::Failure,
    output::{Lines, Output},
    signals::Signals,
};
use crate::progress::Stop;

/// Runs a command line, whose first word is the name of the program, and says how it ended.
pub fn main(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let exit = match args::parse(words) {
        Ok(cli) => run(cli),
        Err(error) => refuse_arguments(&error),
    };
    ExitCode::from(if exit == Exit::Ok && output::lost() { Exit::Error } else { exit } as u8)
}

/// Reads the text of a configuration file as every command does, and gives back what it sets, one line a setting.
///
/// # Errors
/// What a command says of a file with this text.
pub fn read_config(text: &str) -> Result<String, String> {
    config::Config::from_text(text).map(|config| config.to_lines()).map_err(|failure| failure.to_text())
}

/// How long threads that are still at work when a command has ended may go on.
const PATIENCE: Duration = Duration::from_secs(1);

fn run(cli: Cli) -> Exit {
    logging::start(cli.global.verbose);
    if cli.global.syslog
        && let Err(why) = syslog::start()
    {
        output::stderr(&format!("warning: there is no system log to write to: {why}\n"));
    }
    let output = output_of(&cli);
    let ended = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let ended = runtime.block_on(run_verb(cli, output));
            // A thread may hang on a disk, or on a pipe that nobody reads; whatever it does survives a process that ends.
            runtime.shutdown_timeout(PATIENCE);
            ended
        }
        Err(e) => Err(Failure::from_error(Code::Error, &e).context("cannot start")),
    };
    match ended {
        Ok(()) => Exit::Ok,
        Err(failure) => {
            output.failure(&failure);
            failure.exit()
        }
    }
}

fn output_of(cli: &Cli) -> Output {
    let output = Output::new(context::format(cli.global.json));
    if cli.verb.prints_data() { output.beside_data() } else { output }
}

async fn run_verb(cli: Cli, output: Output) -> Result<(), Failure> {
    let stop = Stop::new();
    let signals = if cli.verb.outlives_signals() { Signals::ignore() } else { Signals::listen(stop.clone()) };
    let signals = signals.map_err(|e| Failure::from_error(Code::Error, &e).context("cannot listen for signals"))?;
    if let Some(jitter) = cli.global.jitter {
        jitter::wait(jitter.0, &stop).await.map_err(|failure| by_signal(failure, &signals, false))?;
    }
    let context = Context::new(&cli.global, output, stop)?;
    let resumable = cli.verb.is_resumable();
    let ended = cli.verb.run(&context).await;
    context.finish_progress();
    ended.map_err(|failure| by_signal(failure, &signals, resumable))
}

fn by_signal(failure: Failure, signals: &Signals, resumable: bool) -> Failure {
    match signals.received() {
        // A node that is down outranks every other reason.
        Some(_) if failure.exit() == Exit::NodeStopped => failure,
        Some(code) => interrupted(failure, code, resumable),
        None => failure,
    }
}

/// A run that a signal ended: that is why it failed, whatever it says itself.
fn interrupted(failure: Failure, code: Code, resumable: bool) -> Failure {
    let failure = Failure { code, hints: Vec::new(), ..failure }.context(format!("interrupted by {}", signals::name(code)));
    if resumable { failure.hint("resume with the same command") } else { failure }
}

/// Shows what is wrong with the arguments; also `--help` and `--version`, which are no failures.
fn refuse_arguments(error: &clap::Error) -> Exit {
    let text = error.render().to_string();
    if !error.use_stderr() {
        output::stdout(text.as_bytes());
        return Exit::Ok;
    }
    output::stderr(&text);
    if std::env::args_os().any(|arg| arg == "--json") {
        let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        output::json_line(Lines::Stdout, &Failure::usage(message).hint("qsync --help lists the commands and their options").to_json());
    }
    Exit::Usage
}
