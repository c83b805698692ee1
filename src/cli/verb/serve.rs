//! `qsync serve`: a store over HTTP, for restores and mirrors.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use clap::Args;
use serde::Serialize;

use crate::{
    cli::{context::Context, exit::Failure},
    ops::serve,
};

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
    let listening = |address| context.output.item("listening", &Listening { address }, text);
    serve::serve(Arc::clone(&context.fs), &args.dir, args.listen, context.stop.clone(), listening).await?;
    Ok(())
}

/// Said once, when connections are accepted. Field names are a promise (docs/scripting.md).
#[derive(Debug, Serialize)]
struct Listening {
    address: SocketAddr,
}

fn text(listening: &Listening) -> String {
    format!("http://{}/\n", listening.address)
}
