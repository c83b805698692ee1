//! `qsync completions`: what a shell needs to complete the commands.

use clap::Args;
use clap_complete::Shell;

use crate::cli::{args, exit::Failure, output};

const EXAMPLES: &str = "\
Examples:
  qsync completions bash > /etc/bash_completion.d/qsync
  qsync completions zsh > ~/.zfunc/_qsync
";

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub(super) fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::command(), "qsync", &mut script);
    output::stdout(&script);
    Ok(())
}
