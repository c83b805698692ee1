//! `qsync init`: keys, the first root, an empty store, and this machine's trust in it.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::unwired::unwired;
use crate::{
    cli::{context::Context, env, exit::Failure},
    store::Create,
    types::Hash,
};

const EXAMPLES: &str = "\
Examples:
  qsync init --to /srv/store --name example
  qsync init --to ./a --to ./b --name example
";

/// Make a root key, a publish key and the first root, and pin it on this machine
///
/// One person with one machine holds both keys: whoever takes that machine can publish in your name.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct InitArgs {
    /// Store to set up: a path, file://… or a store's name; repeat for several
    #[arg(long, value_name = "STORE")]
    to: Vec<String>,
    /// Name of the repository, shown to those who first meet it
    #[arg(long, value_name = "NAME", default_value = "qsync")]
    name: String,
}

/// What was made. Field names are a promise (docs/scripting.md).
#[derive(Debug, Serialize)]
struct Made {
    /// Id of the repository, to be pinned by users.
    repo: Hash,
    /// Its name.
    name: String,
    /// File with the root key.
    root_key: PathBuf,
    /// File with the publish key.
    publish_key: PathBuf,
    /// The stores, by name.
    stores: Vec<String>,
}

/// Makes keys and root and puts them in place.
pub(super) async fn run(args: InitArgs, context: &Context) -> Result<(), Failure> {
    let stores = context.targets(&env::list(args.to, "QSYNC_TO", &[]), Create::Yes).await?;
    let state_dir = context.state_dir()?;
    // wired when catalog makes keys and roots
    let made: Made = unwired(&format!("catalog::init({stores:?}, {:?}, {})", args.name, state_dir.display()))?;
    context.output.summary("init", &made, text);
    Ok(())
}

fn text(made: &Made) -> String {
    format!(
        "repository {} ({})\nroot key    {}\npublish key {}\nstores      {}\n\nUsers pin it with: qsync trust add b3:{}\n\
         Both keys lie on this machine, unencrypted: whoever takes it can publish in your name. Keep a copy of the root key elsewhere.\n",
        made.name,
        made.repo.short(),
        made.root_key.display(),
        made.publish_key.display(),
        made.stores.join(", "),
        made.repo
    )
}
