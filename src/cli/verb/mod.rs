//! The verbs: one file each, with its arguments and its `run`.

mod agent;
mod check;
mod cid;
mod completions;
mod config;
mod diff;
mod doctor;
mod export;
mod head;
mod init;
mod key;
mod list;
mod man;
mod mirror;
mod node;
mod publish;
mod restore;
mod root;
mod serve;
mod show;
mod snapshot;
mod thaw;
mod trust;
mod usage;
mod verify;

use clap::Subcommand;

use super::{context::Context, exit::Failure};

/// What qsync is asked to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Init(init::InitArgs),
    Publish(publish::PublishArgs),
    Restore(restore::RestoreArgs),
    Verify(verify::VerifyArgs),
    List(list::ListArgs),
    Show(show::ShowArgs),
    Diff(diff::DiffArgs),
    Export(export::ExportArgs),
    Cid(cid::CidArgs),
    Check(check::CheckArgs),
    Mirror(mirror::MirrorArgs),
    Serve(serve::ServeArgs),
    Thaw(thaw::ThawArgs),
    #[command(subcommand)]
    Key(key::KeyVerb),
    #[command(subcommand)]
    Root(root::RootVerb),
    #[command(subcommand)]
    Head(head::HeadVerb),
    #[command(subcommand)]
    Trust(trust::TrustVerb),
    #[command(subcommand)]
    Node(node::NodeVerb),
    #[command(subcommand)]
    Config(config::ConfigVerb),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
    Agent(agent::AgentArgs),
    Doctor(doctor::DoctorArgs),
    #[command(subcommand)]
    Usage(usage::UsageVerb),
}

impl Verb {
    /// Whether the same command goes on where an interrupted one ended.
    pub(crate) fn is_resumable(&self) -> bool {
        matches!(self, Self::Publish(_) | Self::Restore(_) | Self::Mirror(_)) || matches!(self, Self::Verify(args) if args.repairs())
    }

    /// Whether it must outlive every signal that ends a run.
    pub(crate) fn outlives_signals(&self) -> bool {
        matches!(self, Self::Thaw(args) if args.is_watchdog())
    }

    /// Whether standard output is data, in a format of its own.
    pub(crate) fn prints_data(&self) -> bool {
        match self {
            Self::Export(_) | Self::Completions(_) | Self::Man(_) => true,
            Self::Verify(args) => args.prints_data(),
            Self::Init(_)
            | Self::Publish(_)
            | Self::Restore(_)
            | Self::List(_)
            | Self::Show(_)
            | Self::Diff(_)
            | Self::Cid(_)
            | Self::Check(_)
            | Self::Mirror(_)
            | Self::Serve(_)
            | Self::Thaw(_)
            | Self::Key(_)
            | Self::Root(_)
            | Self::Head(_)
            | Self::Trust(_)
            | Self::Node(_)
            | Self::Config(_)
            | Self::Agent(_)
            | Self::Doctor(_)
            | Self::Usage(_) => false,
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// Whatever keeps the verb from being done.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Init(args) => init::run(args, context).await,
            Self::Publish(args) => publish::run(args, context).await,
            Self::Restore(args) => restore::run(args, context).await,
            Self::Verify(args) => verify::run(args, context).await,
            Self::List(args) => list::run(args, context).await,
            Self::Show(args) => show::run(args, context).await,
            Self::Diff(args) => diff::run(args, context).await,
            Self::Export(args) => export::run(args, context).await,
            Self::Cid(args) => cid::run(args, context).await,
            Self::Check(args) => check::run(args, context).await,
            Self::Mirror(args) => mirror::run(args, context).await,
            Self::Serve(args) => serve::run(args, context).await,
            Self::Thaw(args) => thaw::run(args, context).await,
            Self::Key(verb) => key::run(verb, context),
            Self::Root(root::RootVerb::Show(args)) => root::run(args, context).await,
            Self::Head(verb) => head::run(verb, context).await,
            Self::Trust(verb) => trust::run(verb, context),
            Self::Node(verb) => node::run(verb, context).await,
            Self::Config(verb) => config::run(verb, context),
            Self::Completions(args) => completions::run(&args),
            Self::Man(args) => man::run(&args),
            Self::Agent(args) => agent::run(args, context).await,
            Self::Doctor(args) => doctor::run(args, context).await,
            Self::Usage(verb) => usage::run(verb, context).await,
        }
    }
}
