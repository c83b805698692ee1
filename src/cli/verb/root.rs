//! `qsync root show`: who may publish.

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::{
    catalog,
    cli::{context::Context, env, exit::Failure, gateways::GatewayArgs, values::Pin},
    sources::Allowance,
    trust::RootChain,
    types::{Hash, Timestamp},
};

const EXAMPLES: &str = "\
Examples:
  qsync root show --from https://a.example/snap
";

/// Show who may publish
#[derive(Debug, Subcommand)]
pub(crate) enum RootVerb {
    Show(ShowArgs),
}

/// Show the newest root of a repository: its keys, thresholds and expiry
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct ShowArgs {
    /// Source: a path, file://…, http(s)://…, s3://…, ipfs://CID or a store's name; repeat for several
    #[arg(long, value_name = "SOURCE")]
    from: Vec<String>,
    #[command(flatten)]
    gateways: GatewayArgs,
    /// The repository to trust: b3: and 64 hex digits [default: what this machine trusts]
    #[arg(long, value_name = "b3:ID")]
    trust: Option<Pin>,
}

/// A root. Field names are a promise (docs/scripting.md).
#[derive(Debug, Serialize)]
struct Shown {
    repo: Hash,
    name: String,
    version: u32,
    issued: Timestamp,
    expires: Timestamp,
    root_keys: Vec<String>,
    root_threshold: u32,
    publish_keys: Vec<String>,
    publish_threshold: u32,
    channels: Vec<String>,
}

/// Shows the root.
pub(super) async fn run(args: ShowArgs, context: &Context) -> Result<(), Failure> {
    let sources =
        context.sources(&env::list(args.from, "QSYNC_FROM", &context.config.all_sources()), &args.gateways, &Allowance::default()).await?;
    let (state, pin) = (context.open_state()?, args.trust.map(|pin| pin.0));
    let chain = context.until_stopped(async { Ok(catalog::open_roots(&sources, &state, pin).await?) }).await?;
    context.output.summary("root show", &shown(&chain), text);
    Ok(())
}

fn shown(chain: &RootChain) -> Shown {
    let root = chain.newest();
    Shown {
        repo: chain.repo(),
        name: root.name.clone(),
        version: root.version,
        issued: root.issued,
        expires: root.expires,
        root_keys: root.root.keys.clone(),
        root_threshold: root.root.threshold,
        publish_keys: root.publish.keys.clone(),
        publish_threshold: root.publish.threshold,
        channels: root.channels.iter().map(ToString::to_string).collect(),
    }
}

fn text(root: &Shown) -> String {
    format!(
        "repository   {}\nname         {}\nversion      {}\nissued       {}\nexpires      {}\n\
         root keys    {} of: {}\npublish keys {} of: {}\nchannels     {}\n",
        Pin(root.repo),
        root.name,
        root.version,
        root.issued,
        root.expires,
        root.root_threshold,
        root.root_keys.join(", "),
        root.publish_threshold,
        root.publish_keys.join(", "),
        root.channels.join(", ")
    )
}
