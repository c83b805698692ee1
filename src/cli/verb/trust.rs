//! `qsync trust`: what this machine trusts.

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::{
    catalog::StateDir,
    cli::{Code, ask, context::Context, exit::Failure, values::Pin},
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
    root_version: Option<usize>,
    /// Channels of which a head was seen.
    channels: Vec<ChannelName>,
    /// The newest signed time that was seen.
    last_time: Option<Timestamp>,
}

/// How many repositories a command was about.
#[derive(Debug, Serialize)]
struct Listed {
    repos: usize,
}

/// Shows or changes.
pub(super) fn run(verb: TrustVerb, context: &Context) -> Result<(), Failure> {
    let state = context.open_state()?;
    let trusted = match verb {
        TrustVerb::Add(args) => {
            state.pin(args.repo.0)?;
            vec![known(&state, args.repo)?]
        }
        TrustVerb::List(ListArgs {}) => state.repos()?.into_iter().map(|repo| known(&state, Pin(repo))).collect::<Result<_, _>>()?,
        TrustVerb::Show(args) => vec![known(&state, args.repo)?],
        TrustVerb::Reset(args) => vec![reset(&args, &state)?],
    };
    for repo in &trusted {
        context.output.item("trusted", repo, text);
    }
    context.output.summary("trust", &Listed { repos: trusted.len() }, |_| String::new());
    Ok(())
}

fn known(state: &StateDir, repo: Pin) -> Result<Trusted, Failure> {
    let seen = state.repo(repo.0)?.ok_or_else(|| not_trusted(repo))?;
    Ok(Trusted {
        repo: repo.0,
        root_version: Some(seen.roots.len()).filter(|version| *version > 0),
        channels: seen.heads.into_keys().collect(),
        last_time: seen.last_time,
    })
}

fn not_trusted(repo: Pin) -> Failure {
    Failure::new(Code::NotFound, format!("this machine does not trust {repo}")).hint("qsync trust list shows what it trusts")
}

// OP-07
fn reset(args: &ResetArgs, state: &StateDir) -> Result<Trusted, Failure> {
    let question = format!(
        "forget {}? A source can then offer snapshots older than those this machine has seen, and the next restore asks again whom to trust.",
        args.repo
    );
    ask::confirm(&question, args.yes)?;
    let forgotten = state.forget(args.repo.0)?.ok_or_else(|| not_trusted(args.repo))?;
    let channels = forgotten.channels().cloned().collect();
    Ok(Trusted { repo: args.repo.0, root_version: forgotten.root_version(), channels, last_time: forgotten.last_time() })
}

fn text(repo: &Trusted) -> String {
    let root = repo.root_version.map(|version| format!(", root {version}")).unwrap_or_default();
    let last = repo.last_time.map(|time| format!(", last head of {time}")).unwrap_or_default();
    let channels = repo.channels.iter().map(|channel| format!("  {channel}\n"));
    std::iter::once(format!("{}{root}{last}\n", Pin(repo.repo))).chain(channels).collect()
}
