//! `qsync usage`: what was downloaded from each store, and an alarm at each terabyte.

mod logs;
mod open;
mod projection;
mod refusal;
mod remarks;
mod show;
mod tick;

use clap::Subcommand;

use crate::cli::{context::Context, exit::Failure};

/// Count what is downloaded, and raise an alarm at each terabyte
#[derive(Debug, Subcommand)]
pub(crate) enum UsageVerb {
    Tick(tick::TickArgs),
    Show(show::ShowArgs),
    Projection(projection::ProjectionArgs),
    Logs(logs::LogsArgs),
}

/// Counts or shows.
pub(super) async fn run(verb: UsageVerb, context: &Context) -> Result<(), Failure> {
    match verb {
        UsageVerb::Tick(args) => tick::run(args, context).await,
        UsageVerb::Show(args) => show::run(args, context).await,
        UsageVerb::Projection(args) => projection::run(args, context).await,
        UsageVerb::Logs(args) => logs::run(args, context).await,
    }
}
