//! `qsync key`: keys on disk.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::unwired::unwired;
use crate::cli::{context::Context, exit::Failure};

const EXAMPLES: &str = "\
Examples:
  qsync key generate --out /etc/qsync/publish.key
";

/// Make signing keys
#[derive(Debug, Subcommand)]
pub(crate) enum KeyVerb {
    Generate(GenerateArgs),
}

/// Make an Ed25519 key in a new file that only you can read
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct GenerateArgs {
    /// The file; it must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// A key that was made. Field names are a promise (docs/scripting.md).
#[derive(Debug, Serialize)]
struct Made {
    /// Where it lies.
    file: PathBuf,
    /// Id of the key.
    key_id: String,
    /// The public key, hex digits.
    public_key: String,
}

/// Makes the key.
pub(super) fn run(verb: KeyVerb, context: &Context) -> Result<(), Failure> {
    let KeyVerb::Generate(args) = verb;
    // wired when catalog writes key files
    let made: Made = unwired(&format!("catalog::keys::generate({})", args.out.display()))?;
    context.output.summary("key generate", &made, |made| {
        format!("key {}\npublic key {}\nin {}\n", made.key_id, made.public_key, made.file.display())
    });
    Ok(())
}
