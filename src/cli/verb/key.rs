//! `qsync key`: keys in the state directory.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::{context::Context, exit::Failure};

const EXAMPLES: &str = "\
Examples:
  qsync key generate
  qsync key generate --state-dir /mnt/offline/qsync
";

/// Make signing keys
#[derive(Debug, Subcommand)]
pub(crate) enum KeyVerb {
    Generate(GenerateArgs),
}

/// Make an Ed25519 key in the state directory, in a file that only you can read
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct GenerateArgs {}

/// A key that was made. Field names are a promise (docs/scripting.md).
#[derive(Debug, Serialize)]
struct Made {
    /// Where it lies.
    file: PathBuf,
    /// Id of the key.
    key_id: String,
    /// The public key, PEM.
    public_key: String,
}

/// Makes the key.
pub(super) fn run(verb: KeyVerb, context: &Context) -> Result<(), Failure> {
    let KeyVerb::Generate(GenerateArgs {}) = verb;
    let state = context.open_state()?;
    let key = state.generate_key()?;
    let made = Made { file: state.key_path(&key.id()), key_id: key.id().to_string(), public_key: key.public().to_pem() };
    context.output.summary("key generate", &made, |made| format!("key {}\nin  {}\n{}", made.key_id, made.file.display(), made.public_key));
    Ok(())
}
