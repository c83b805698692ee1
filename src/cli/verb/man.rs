//! `qsync man`: the manual pages.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::Args;
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
    let failed = |error: &io::Error| Failure::from_error(Code::Io, error);
    match &args.dir {
        Some(dir) => write_all(dir).map_err(|e| failed(&e).context(format!("cannot write manual pages to {}", dir.display()))),
        None => {
            let mut page = Vec::new();
            Man::new(args::command()).render(&mut page).map_err(|e| failed(&e))?;
            output::stdout(&page);
            Ok(())
        }
    }
}

fn write_all(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    clap_mangen::generate_to(args::command(), dir)
}
