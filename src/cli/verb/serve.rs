//! `qsync serve`: a store over HTTP, for restores and mirrors.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

use super::unwired::unwired;
use crate::cli::{context::Context, exit::Failure};

const EXAMPLES: &str = "\
Examples:
  qsync serve /srv/store
  qsync serve /srv/store --listen 0.0.0.0:8080
";

/// Serve a store over HTTP until interrupted
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct ServeArgs {
    /// Directory of the store
    dir: PathBuf,
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

/// Serves. Being asked to stop is how it ends well.
pub(super) async fn run(args: ServeArgs, context: &Context) -> Result<(), Failure> {
    // wired when ops serves: ops::serve::run(&args.dir, args.listen, &context.stop), which reports the bound address
    unwired(&format!("ops::serve({}, {}, {:?})", args.dir.display(), args.listen, context.stop))
}
