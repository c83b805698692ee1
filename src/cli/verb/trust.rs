//! `qsync trust`: what this machine trusts.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::unwired::unwired;
use crate::{
    cli::{ask, context::Context, exit::Failure, values::Pin},
    types::{ChannelName, Hash, Timestamp},
};

const ADD_EXAMPLES: &str = "\
Examples:
  qsync trust add b3:0d197521d9a4…
";
const LIST_EXAMPLES: &str = "\
Examples:
  qsync trust list
";
const SHOW_EXAMPLES: &str = "\
Examples:
  qsync trust show b3:0d197521d9a4…
";
const RESET_EXAMPLES: &str = "\
Examples:
  qsync trust reset b3:0d197521d9a4… --yes
";

/// Show or change which repositories this machine trusts
#[derive(Debug, Subcommand)]
pub(crate) enum TrustVerb {
    Add(AddArgs),
    List(ListArgs),
    Show(ShowArgs),
    Reset(ResetArgs),
}

/// Trust a repository
#[derive(Debug, Args)]
#[command(before_help = ADD_EXAMPLES)]
pub(crate) struct AddArgs {
    /// The repository: b3: and 64 hex digits
    repo: Pin,
}

/// List the repositories that this machine trusts
#[derive(Debug, Args)]
#[command(before_help = LIST_EXAMPLES)]
pub(crate) struct ListArgs {}

/// Show what this machine remembers of a repository
#[derive(Debug, Args)]
#[command(before_help = SHOW_EXAMPLES)]
pub(crate) struct ShowArgs {
    /// The repository: b3: and 64 hex digits
    repo: Pin,
}

/// Forget a repository: its pin, its roots, and the newest head seen of each channel
#[derive(Debug, Args)]
#[command(before_help = RESET_EXAMPLES)]
pub(crate) struct ResetArgs {
    /// The repository: b3: and 64 hex digits
    repo: Pin,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
}

/// A trusted repository. Field names are a promise (docs/scripting.md).
#[derive(Debug, Serialize)]
struct Trusted {
    repo: Hash,
    name: Option<String>,
    root_version: Option<u64>,
    heads: Vec<Seen>,
}

/// How many repositories a command was about.
#[derive(Debug, Serialize)]
struct Listed {
    repos: usize,
}

/// The newest head seen of a channel.
#[derive(Debug, Serialize)]
struct Seen {
    channel: ChannelName,
    seq: u64,
    issued: Timestamp,
}

/// Shows or changes.
pub(super) fn run(verb: TrustVerb, context: &Context) -> Result<(), Failure> {
    let state_dir = context.state_dir()?;
    // wired when catalog keeps pins and last-seen state in the state directory: four calls
    let trusted: Vec<Trusted> = match &verb {
        TrustVerb::Add(args) => unwired(&format!("catalog::state::pin({}, {})", state_dir.display(), args.repo))?,
        TrustVerb::List(ListArgs {}) => unwired(&format!("catalog::state::list({})", state_dir.display()))?,
        TrustVerb::Show(args) => unwired(&format!("catalog::state::show({}, {})", state_dir.display(), args.repo))?,
        TrustVerb::Reset(args) => {
            confirm_reset(args)?;
            unwired(&format!("catalog::state::forget({}, {})", state_dir.display(), args.repo))?
        }
    };
    for repo in &trusted {
        context.output.item("trusted", repo, text);
    }
    context.output.summary("trust", &Listed { repos: trusted.len() }, |_| String::new());
    Ok(())
}

// OP-07
fn confirm_reset(args: &ResetArgs) -> Result<(), Failure> {
    let question = format!(
        "forget {}? A source can then offer snapshots older than those this machine has seen, and the next restore asks again whom to trust.",
        args.repo
    );
    ask::confirm(&question, args.yes)
}

fn text(repo: &Trusted) -> String {
    let name = repo.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    let root = repo.root_version.map(|version| format!(", root {version}")).unwrap_or_default();
    let heads = repo.heads.iter().map(|seen| format!("  {} head {} of {}\n", seen.channel, seen.seq, seen.issued));
    std::iter::once(format!("{}{name}{root}\n", Pin(repo.repo))).chain(heads).collect()
}
