//! `qsync head`: the signed statement of what a channel's newest snapshot is.

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::{
    catalog,
    cli::{
        Code, ask,
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
    store,
    trust::Standing,
    types::{ChannelName, Hash, Timestamp, When},
};

const SHOW_EXAMPLES: &str = "\
Examples:
  qsync head show kusama/pruned --from https://a.example/snap
";

const REFRESH_EXAMPLES: &str = "\
Examples:
  qsync head refresh kusama/pruned --to /srv/store
";

const WITHDRAW_EXAMPLES: &str = "\
Examples:
  qsync head withdraw kusama/pruned --to /srv/store
  qsync head withdraw kusama/pruned --to /srv/store --back-to b3:5b1e0c2f77aa
";

/// Show, renew or take back the head of a channel
#[derive(Debug, Subcommand)]
pub(crate) enum HeadVerb {
    Show(ShowArgs),
    Refresh(RefreshArgs),
    Withdraw(WithdrawArgs),
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
    /// How old the snapshot may be [default: gate.refresh_max_age of the channel, else 14d]
    #[arg(long, value_name = "TIME")]
    refresh_max_age: Option<Span>,
}

/// Go back to an older snapshot, when the newest must not be used
///
/// The new head names the older snapshot as the newest, and no longer those that are newer. Nothing is deleted.
#[derive(Debug, Args)]
#[command(before_help = WITHDRAW_EXAMPLES)]
pub(crate) struct WithdrawArgs {
    /// The channel
    channel: ChannelName,
    /// Store that has the channel; repeat for several, the first decides races
    #[arg(long, value_name = "STORE")]
    to: Vec<String>,
    /// The snapshot to go back to: its height, or b3: and digits of its id [default: the one before the newest]
    #[arg(long, value_name = "WHEN")]
    back_to: Option<When>,
    /// How long the new head is valid [default: 7d]
    #[arg(long, value_name = "TIME")]
    head_lifetime: Option<Span>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
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
        HeadVerb::Withdraw(args) => return withdraw(args, context).await,
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
    let max_age = args.refresh_max_age.or(configured.gate.refresh_max_age).unwrap_or(Span::hours(14 * 24)).0;
    let terms = catalog::Terms { lifetime_secs: lifetime.as_secs(), max_age };
    let refreshed = catalog::refresh(&stores, &args.channel, &state, context.now, terms).await?;
    refreshed.warnings.into_iter().for_each(|text| context.progress().event(Event::Warning { text }));
    let shown = shown(&refreshed.head, refreshed.stores);
    let hint = "qsync publish to all of them brings those that lack the snapshot up to date; a refresh does for the others";
    match partial(refreshed.failures.iter().chain(&unopened), &shown, hint) {
        None => Ok(shown),
        Some(failure) => {
            context.output.item("result", &shown, text);
            Err(failure)
        }
    }
}

/// The failure that it is when some stores do not have the new head.
fn partial<'a>(failures: impl Iterator<Item = &'a store::Error>, shown: &Shown, hint: &str) -> Option<Failure> {
    let failures: Vec<_> = failures.map(|e| format!("{}: {}", e.store, e.one_line())).collect();
    let all = failures.len() + shown.stores.len();
    let message = format!("{} of {all} stores failed: {}", failures.len(), failures.join("; "));
    (!failures.is_empty()).then(|| Failure::new(Code::Partial, message).hint(hint))
}

/// The head after a withdrawal. Field names are a promise (docs/scripting.md).
#[derive(Debug, Serialize)]
struct ShownWithdrawal {
    #[serde(flatten)]
    head: Shown,
    /// Snapshots that cannot be chosen any more, newest first.
    withdrawn: Vec<Hash>,
}

async fn withdraw(args: WithdrawArgs, context: &Context) -> Result<(), Failure> {
    let configured = context.config.channel(&args.channel);
    let to = args.back_to.as_ref().map_or_else(|| "the one before it".to_owned(), ToString::to_string);
    ask::confirm(&format!("Withdraw the newest snapshot of {} and go back to {to}?", args.channel), args.yes)?;
    let (stores, unopened) = nodes::stores_with_heads(env::list(args.to, "QSYNC_TO", &configured.to), context).await?;
    let lifetime = args.head_lifetime.or(configured.head_lifetime).unwrap_or(Span::hours(7 * 24)).0;
    let state = context.open_state()?;
    let done = catalog::withdraw(&stores, &args.channel, args.back_to.as_ref(), &state, context.now, lifetime.as_secs()).await?;
    done.warnings.into_iter().for_each(|text| context.progress().event(Event::Warning { text }));
    let shown = ShownWithdrawal { head: shown(&done.head, done.stores), withdrawn: done.snapshots };
    let hint =
        "these stores still offer what was withdrawn, as far as they have it: run the same command again with --back-to when they answer";
    match partial(done.failures.iter().chain(&unopened), &shown.head, hint) {
        None => context.output.summary("head withdraw", &shown, withdrawal_text),
        Some(failure) => {
            context.output.item("result", &shown, withdrawal_text);
            return Err(failure);
        }
    }
    Ok(())
}

fn withdrawal_text(shown: &ShownWithdrawal) -> String {
    let withdrawn = shown.withdrawn.iter().map(|id| format!("withdrawn  {id}\n")).collect::<String>();
    text(&shown.head) + &withdrawn
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
