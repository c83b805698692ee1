//! The command line as a whole: global options, the verbs, and what holds for every option.

use std::{ffi::OsString, path::PathBuf};

use clap::{Arg, ArgAction, Args, Command, CommandFactory, FromArgMatches, Parser, builder::FalseyValueParser};

use super::{progress::Mode, values::Span, verb::Verb};

const EXAMPLES: &str = "\
Examples:
  qsync init --to ./store --name example              make keys and an empty store
  qsync publish kusama/pruned /srv/node/db --to ./store
  qsync serve ./store
  qsync list --from http://127.0.0.1:8080
  qsync restore kusama/pruned --from http://127.0.0.1:8080 --to ./db
  qsync verify ./db
";

const TEMPLATE: &str = "{before-help}{about-with-newline}\n{usage-heading} {usage}\n\n{all-args}{after-help}";

/// Publish and restore blockchain node databases: chunked, signed, verified, resumable
#[derive(Debug, Parser)]
#[command(name = "qsync", version, before_help = EXAMPLES, after_help = "Exit codes and JSON output: docs/scripting.md", arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Options that every command takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// Read this configuration file and no other
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where qsync keeps what it must remember [default: /var/lib/qsync for root, else ~/.local/state/qsync]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// How progress is shown
    #[arg(long, global = true, value_enum, default_value_t, value_name = "MODE", hide_possible_values = false)]
    pub(crate) progress: Mode,
    /// Print JSON Lines; the last line is the summary or the error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print errors and warnings only
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Write metrics for Prometheus to this file after each publish, check and usage tick [default: metrics_file of the configuration]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) metrics_file: Option<PathBuf>,
    /// Write to the system's log what would be written to the terminal: for cron
    #[arg(long, global = true)]
    pub(crate) syslog: bool,
    /// Begin after a time of chance, less than this: for many machines with one schedule
    #[arg(long, global = true, value_name = "TIME")]
    pub(crate) jitter: Option<Span>,
    /// Log what is done; -vv logs every request
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

impl GlobalArgs {
    /// The words that give another command of this program the same configuration, state directory and output.
    pub(crate) fn to_words(&self) -> Vec<OsString> {
        let path = |flag: &str, path: &Option<PathBuf>| path.iter().flat_map(|path| [flag.into(), path.clone().into()]).collect::<Vec<_>>();
        let flag = |flag: &str, given: bool| given.then(|| OsString::from(flag)).into_iter().collect::<Vec<_>>();
        let verbose = (0..self.verbose).map(|_| OsString::from("-v")).collect();
        [
            path("--config", &self.config),
            path("--state-dir", &self.state_dir),
            path("--metrics-file", &self.metrics_file),
            flag("--json", self.json),
            flag("--quiet", self.quiet),
            flag("--syslog", self.syslog),
            verbose,
        ]
        .concat()
    }
}

/// The whole command with what holds for every option of every verb.
pub(crate) fn command() -> Command {
    decorate(Cli::command())
}

/// Parses a command line.
///
/// # Errors
/// clap's own, which also stand for `--help` and `--version`.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    Cli::from_arg_matches(&command().try_get_matches_from(args)?)
}

/// Examples before everything else, and for each option its variable.
fn decorate(command: Command) -> Command {
    command.help_template(TEMPLATE).mut_args(with_variable).mut_subcommands(decorate)
}

/// Lets an option be set by `QSYNC_<FLAG>`. Lists are split at white space by `env::list`, since clap would split flags too.
fn with_variable(arg: Arg) -> Arg {
    let Some(long) = arg.get_long() else { return arg };
    if is_place(&arg) {
        return arg;
    }
    let variable = format!("QSYNC_{}", long.to_uppercase().replace('-', "_"));
    let action = arg.get_action();
    if matches!(action, ArgAction::Append) {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        return arg.help(format!("{help} [env: {variable}, separated by white space]"));
    }
    let flag = matches!(action, ArgAction::SetTrue);
    let arg = arg.env(variable).hide_env_values(true);
    if flag { arg.value_parser(FalseyValueParser::new()) } else { arg }
}

/// Whether the option says where a database goes. `QSYNC_TO` names stores, for other commands, and a restore must not go there.
fn is_place(arg: &Arg) -> bool {
    arg.get_long() == Some("to") && arg.get_value_names().is_some_and(|names| names.iter().any(|name| name == "DIR"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_restore_goes_is_said_on_the_command_line_only() {
        let command = command();
        let to = |verb: &str| {
            let verb = command.find_subcommand(verb).unwrap();
            verb.get_arguments().find(|arg| arg.get_long() == Some("to")).unwrap().get_env().is_some()
        };
        assert_eq!((to("restore"), to("mirror"), to("init")), (false, true, true));
    }

    #[test]
    fn the_command_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn every_command_that_does_something_shows_an_example() {
        fn check(command: &Command) {
            let leaf = !command.has_subcommands();
            let example = command.get_before_help().is_some_and(|help| help.to_string().contains("qsync "));
            assert!(!leaf || example, "{} has no example", command.get_name());
            command.get_subcommands().for_each(check);
        }
        check(&command());
    }
}
