//! `qsync usage tick`: counts what was downloaded since the last time, and tells each terabyte that was crossed.

use clap::Args;

use crate::cli::{Code, context::Context, exit::Failure};

const EXAMPLES: &str = "\
Examples:
  qsync usage tick                 every hour, with [usage] from the configuration
  qsync usage tick --exit-code     exit 20 when a terabyte was crossed
";

/// Count what was downloaded, and tell each terabyte that was crossed
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct TickArgs {
    /// Exit with 20 when a terabyte was crossed
    #[arg(long)]
    exit_code: bool,
}

/// Counts and tells.
pub(super) async fn run(args: TickArgs, _context: &Context) -> Result<(), Failure> {
    let _ = args.exit_code;
    Err(Failure::new(Code::Config, "nothing is counted yet"))
}
