//! `qsync head`: the signed statement of what a channel's newest snapshot is.

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::{
    catalog,
    cli::{
        Code,
        context::Context,
        env,
        exit::Failure,
        gateways::GatewayArgs,
        nodes,
        values::{Pin, Span},
    },
    format::head::Head,
    progress::Event,
    sources::Allowance,
    trust::Standing,
    types::{ChannelName, Hash, Timestamp},
};

const SHOW_EXAMPLES: &str = "\
Examples:
  qsync head show kusama/pruned --from https://a.example/snap
";

const REFRESH_EXAMPLES: &str = "\
Examples:
  qsync head refresh kusama/pruned --to /srv/store
";

/// Show or renew the head of a channel
#[derive(Debug, Subcommand)]
pub(crate) enum HeadVerb {
    Show(ShowArgs),
    Refresh(RefreshArgs),
}

/// Show the head of a channel as each source has it
#[derive(Debug, Args)]
#[command(before_help = SHOW_EXAMPLES)]
pub(crate) struct ShowArgs {
    /// The channel
    channel: ChannelName,
    /// Source: a path, file://…, http(s)://…, s3://…, ipfs://CID or a store's name; repeat for several
    #[arg(long, value_name = "SOURCE")]
    from: Vec<String>,
    #[command(flatten)]
    gateways: GatewayArgs,
    /// The repository to trust: b3: and 64 hex digits [default: what this machine trusts]
    #[arg(long, value_name = "b3:ID")]
    trust: Option<Pin>,
}

/// Sign the same snapshot again, so that its head does not expire
#[derive(Debug, Args)]
#[command(before_help = REFRESH_EXAMPLES)]
pub(crate) struct RefreshArgs {
    /// The channel
    channel: ChannelName,
    /// Store that has the channel; repeat for several, the first decides races
    #[arg(long, value_name = "STORE")]
    to: Vec<String>,
    /// How long the new head is valid [default: 7d]
    #[arg(long, value_name = "TIME")]
    head_lifetime: Option<Span>,
}

/// A head. Field names are a promise (docs/scripting.md).
#[derive(Debug, Serialize)]
struct Shown {
    channel: ChannelName,
    repo: Hash,
    seq: u64,
    root_version: u32,
    issued: Timestamp,
    expires: Timestamp,
    snapshot: Hash,
    height: Option<u64>,
    taken_at: Timestamp,
    stores: Vec<String>,
}

/// Shows or renews.
pub(super) async fn run(verb: HeadVerb, context: &Context) -> Result<(), Failure> {
    let (command, shown) = match verb {
        HeadVerb::Show(args) => ("head show", show(args, context).await?),
        HeadVerb::Refresh(args) => ("head refresh", refresh(args, context).await?),
    };
    context.output.summary(command, &shown, text);
    Ok(())
}

async fn show(args: ShowArgs, context: &Context) -> Result<Shown, Failure> {
    let configured = context.config.channel(&args.channel);
    let sources = context.sources(&env::list(args.from, "QSYNC_FROM", &configured.from), &args.gateways, &Allowance::default()).await?;
    let pin = args.trust.or(configured.trust);
    let state = context.open_state()?;
    let open = catalog::open_channel(&sources, &args.channel, &state, pin.map(|pin| pin.0), context.now);
    let open = context.until_stopped(async { Ok(open.await?) }).await?;
    let current = open.standings.iter().filter(|(_, standing)| *standing == Standing::Current).map(|(name, _)| name.clone());
    Ok(shown(&open.head, current.collect()))
}

fn shown(head: &Head, stores: Vec<String>) -> Shown {
    Shown {
        channel: head.channel.clone(),
        repo: head.repo,
        seq: head.seq,
        root_version: head.root_version,
        issued: head.issued,
        expires: head.expires,
        snapshot: head.snapshot.manifest,
        height: head.snapshot.height,
        taken_at: head.snapshot.taken_at,
        stores,
    }
}

async fn refresh(args: RefreshArgs, context: &Context) -> Result<Shown, Failure> {
    let configured = context.config.channel(&args.channel);
    let (stores, unopened) = nodes::stores_with_heads(env::list(args.to, "QSYNC_TO", &configured.to), context).await?;
    let lifetime = args.head_lifetime.or(configured.head_lifetime).unwrap_or(Span::hours(7 * 24)).0;
    let state = context.open_state()?;
    let refreshed = catalog::refresh(&stores, &args.channel, &state, context.now, lifetime.as_secs()).await?;
    refreshed.warnings.into_iter().for_each(|text| context.progress().event(Event::Warning { text }));
    let shown = shown(&refreshed.head, refreshed.stores);
    let failures: Vec<_> = refreshed.failures.iter().chain(&unopened).map(|e| format!("{}: {}", e.store, e.one_line())).collect();
    if failures.is_empty() {
        return Ok(shown);
    }
    context.output.item("result", &shown, text);
    let message = format!("{} of {} stores failed: {}", failures.len(), failures.len() + shown.stores.len(), failures.join("; "));
    Err(Failure::new(Code::Partial, message)
        .hint("qsync publish to all of them brings those that lack the snapshot up to date; a refresh does for the others"))
}

fn text(head: &Shown) -> String {
    let height = head.height.map(|height| format!(", height {height}")).unwrap_or_default();
    format!(
        "{} head {} (root {})\nsnapshot   {}{height}, taken {}\nissued     {}\nexpires    {}\nrepository {}\nin         {}\n",
        head.channel,
        head.seq,
        head.root_version,
        head.snapshot,
        head.taken_at,
        head.issued,
        head.expires,
        Pin(head.repo),
        head.stores.join(", ")
    )
}
