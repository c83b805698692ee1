//! `qsync man`: the manual pages.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Args, Command};
use clap_mangen::Man;

use crate::cli::{Code, args, exit::Failure, output};

const EXAMPLES: &str = "\
Examples:
  qsync man | man -l -                 read the page of the whole command
  qsync man /usr/local/share/man/man1  write one page for each command
";

/// Print the manual page, or write one for each command into a directory
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct ManArgs {
    /// Directory to write the pages to; made where it is missing [default: one page on standard output]
    dir: Option<PathBuf>,
}

/// Prints or writes.
pub(super) fn run(args: &ManArgs) -> Result<(), Failure> {
    // "help" would be a page that says to read the others.
    let mut command = args::command().disable_help_subcommand(true);
    command.build();
    match &args.dir {
        Some(dir) => {
            let failed = |e| Failure::from_error(Code::Io, &e).context(format!("cannot write manual pages to {}", dir.display()));
            fs::create_dir_all(dir).and_then(|()| write_all(dir, &command)).map_err(failed)
        }
        None => {
            output::stdout(&page(&command).map_err(|e| Failure::from_error(Code::Io, &e))?);
            Ok(())
        }
    }
}

fn write_all(dir: &Path, command: &Command) -> io::Result<()> {
    command.get_subcommands().try_for_each(|below| write_all(dir, below))?;
    fs::write(dir.join(Man::new(command.clone()).get_filename()), page(command)?)
}

/// The page of one command. Its examples come last: clap_mangen leaves out what help shows first.
fn page(command: &Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page)?;
    if let Some(examples) = command.get_before_help() {
        page.extend(section_of(&examples.to_string()).bytes());
    }
    Ok(page)
}

/// Examples as roff, line by line as they are.
fn section_of(examples: &str) -> String {
    let line = |line: &str| format!("{}\n", line.replace('\\', "\\e").replace('-', "\\-"));
    let lines: String = examples.lines().skip(1).map(line).collect();
    format!(".SH EXAMPLES\n.nf\n{lines}.fi\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_keep_their_lines_and_their_signs() {
        let section = section_of("Examples:\n  qsync man | man -l -\n  echo '\\n'\n");
        assert_eq!(section, ".SH EXAMPLES\n.nf\n  qsync man | man \\-l \\-\n  echo '\\en'\n.fi\n");
    }
}
