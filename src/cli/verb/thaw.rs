//! `qsync thaw`: starts a node that an interrupted run left stopped.

use std::{sync::Arc, time::Duration};

use clap::Args;

use crate::{
    cli::{Code, Exit, context::Context, exit::Failure},
    node::{
        thaw::{Outcome, Thawed},
        watchdog::{self, Run},
    },
    ops::thaw::{self, Tried, Which},
    types::ChannelName,
};

const EXAMPLES: &str = "\
Examples:
  qsync thaw                       every node that a dead run left stopped
  qsync thaw kusama/pruned         the node of one channel
";

/// How long the watchdog waits for the last threads of a run that dies.
const DYING: Duration = Duration::from_secs(30);

/// Start a node that an interrupted run left stopped
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct ThawArgs {
    /// The channel [default: all]
    channel: Option<ChannelName>,
    /// Every channel that has a stopped node
    #[arg(long, conflicts_with = "channel")]
    all: bool,
    /// Wait for the end of the run that writes to standard input, and thaw only if it dies
    #[arg(long, hide = true, requires = "channel")]
    watchdog: bool,
}

impl ThawArgs {
    /// Whether it must outlive every signal that ends a run.
    pub(crate) fn is_watchdog(&self) -> bool {
        self.watchdog
    }
}

/// Thaws, and shows what became of each node.
pub(super) async fn run(args: ThawArgs, context: &Context) -> Result<(), Failure> {
    if args.watchdog && blocking(watchdog::watch).await?.map_err(|e| Failure::from_error(Code::Io, &e))? == Run::Done {
        return Ok(());
    }
    let patience = if args.watchdog { DYING } else { Duration::ZERO };
    let which = args.channel.map_or(Which::All, Which::One);
    let (fs, state_dir) = (Arc::clone(&context.fs), context.state_dir()?);
    let tried = blocking(move || thaw::thaw(&fs, &state_dir, &which, patience)).await??;
    show(tried, context)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Failure::new(Code::Error, "a worker died"))
}

/// Every node has its line; the first that is not back is the failure, one that is down before all others.
fn show(tried: Vec<Tried>, context: &Context) -> Result<(), Failure> {
    let mut failed: Option<Failure> = None;
    for one in tried {
        match one.result {
            Ok(thawed) => context.output.item("thawed", &thawed, line),
            Err(error) => {
                let next = Failure::from(error);
                failed = Some(match failed {
                    None => next,
                    // A node that is down outranks every other reason.
                    Some(first) if first.exit() != Exit::NodeStopped && next.exit() == Exit::NodeStopped => with_detail(next, &first),
                    Some(first) => with_detail(first, &next),
                });
            }
        }
    }
    match failed {
        Some(failure) => Err(failure),
        None => {
            context.output.summary("thaw", &Nothing {}, |_| String::new());
            Ok(())
        }
    }
}

fn with_detail(mut failure: Failure, other: &Failure) -> Failure {
    failure.details.push(other.messages.join(": "));
    failure
}

/// All that is told stands in the lines before.
#[derive(serde::Serialize)]
struct Nothing {}

fn line(thawed: &Thawed) -> String {
    let what = match thawed.outcome {
        Outcome::NotFrozen => "nothing to do: no run has left its node stopped",
        Outcome::Busy => "nothing done: a run is at work, and starts its node itself",
        Outcome::Started => "started, and it answers",
        Outcome::Cleaned => "the node is as it was; what an interrupted run had left is removed",
    };
    format!("{}: {what}\n", thawed.channel)
}
