//! `qsync usage show`: what was counted, month by month.

use clap::Args;

use crate::cli::{Code, context::Context, exit::Failure};

const EXAMPLES: &str = "\
Examples:
  qsync usage show
";

/// Show what was counted, month by month
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct ShowArgs {}

/// Shows.
pub(super) async fn run(_args: ShowArgs, _context: &Context) -> Result<(), Failure> {
    Err(Failure::new(Code::Config, "nothing is counted yet"))
}
