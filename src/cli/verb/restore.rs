//! `qsync restore`: fetches a snapshot from all sources, verifies every byte, and puts it in place.

use std::{path::PathBuf, sync::Arc};

use bytesize::ByteSize;
use clap::Args;

use super::snapshot;
use crate::{
    catalog::{self, OpenSnapshot},
    cli::{
        ask,
        context::Context,
        engine::EngineArgs,
        env,
        exit::Failure,
        first_contact::introduced,
        gateways::GatewayArgs,
        node_profiles, output,
        owner::OwnerArg,
        rpc,
        sources::source_lines,
        stores::OpenSources,
        values::{FamilyArg, Pin, SnapshotRef},
    },
    node::probe::Probe,
    progress::Event,
    restore::{self, BlockCheck, Existing, Expected, Options, Outcome, Partial, Summary},
    sources::{Allowance, Settings, cap_of, usd},
    store::DynReadStore,
    store::RetryPolicy,
    types::{ChannelName, When},
};

const EXAMPLES: &str = "\
Examples:
  qsync restore kusama/pruned --from https://a.example/snap --to /srv/node/db
  qsync restore kusama/pruned@24187312 --from https://a.example/snap --from /mnt/usb/store --to /srv/node/db
  qsync restore kusama/pruned --to /srv/node/db --replace --chown polkadot:polkadot
  qsync restore kusama/pruned --to /srv/node/db --in-place --yes
  qsync restore kusama/pruned --to /srv/node/db --check-rpc https://node.example
  qsync restore kusama/pruned --to /srv/node/db --dry-run
  qsync restore bitshares/full --from https://a.example/snap --to /srv/witness_node_data_dir --label history=full
  qsync restore --from ipfs://bafyb4i… --gateway http://127.0.0.1:8080 --to /srv/node/db
";

/// Restore a snapshot into a directory; the same command goes on after any interruption
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct RestoreArgs {
    /// Channel, and which of its snapshots: @latest, @HEIGHT or @b3:PREFIX. Not needed with --from ipfs://CID, which names one for ever
    #[arg(value_name = "CHANNEL[@WHEN]")]
    snapshot: Option<SnapshotRef>,
    /// Source: a path, file://…, http(s)://…, s3://…, ipfs://CID or a store's name; repeat for several, all are used at once
    #[arg(long, value_name = "SOURCE")]
    from: Vec<String>,
    #[command(flatten)]
    gateways: GatewayArgs,
    /// Directory that the database goes to
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Refuse a snapshot without this label, for example mode=archive; repeat for several [default: labels of the channel]
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<String>,
    /// The database engine that the node takes, for example paritydb: refuse a snapshot of another, and take it in place of one of another
    #[arg(long = "engine", value_name = "NAME", id = "database-engine")]
    database_engine: Option<String>,
    /// Put the new database in place of the one that is there, when it is complete, and delete the old one; what it shares with it is not fetched
    #[arg(long)]
    replace: bool,
    /// With --replace: keep the old database beside the new one
    #[arg(long, requires = "replace")]
    keep_old: bool,
    /// Overwrite the database that is there, for disks without room for two: until it is complete there is neither the old one nor
    /// the new one. Needs --yes where nobody can be asked
    #[arg(long, conflicts_with_all = ["replace", "keep_old", "seed"])]
    in_place: bool,
    /// Use the bytes of this directory where they are right, instead of fetching them; repeat for several
    #[arg(long, value_name = "DIR")]
    seed: Vec<PathBuf>,
    /// Read the old database and the seeds through, instead of believing what was recorded when qsync restored them
    #[arg(long)]
    rehash: bool,
    /// Go on with the newest snapshot instead of the one that an earlier run began, keeping what is verified
    #[arg(long)]
    latest: bool,
    /// Delete what an earlier run has fetched and start over
    #[arg(long, conflicts_with = "latest")]
    discard: bool,
    /// Owner of the restored files: USER:GROUP, names or numbers
    #[arg(long, value_name = "USER:GROUP")]
    chown: Option<OwnerArg>,
    /// Pay for what the free sources do not deliver, up to the estimate that is shown and a tenth more
    #[arg(long)]
    accept_cost: bool,
    /// Say what would be fetched, and what it could cost, and stop
    #[arg(long)]
    dry_run: bool,
    /// The repository to trust: b3: and 64 hex digits [default: what this machine trusts]
    #[arg(long, value_name = "b3:ID")]
    trust: Option<Pin>,
    /// RPC of a node that you trust: restore only if it knows the snapshot's block
    #[arg(long, value_name = "URL")]
    check_rpc: Option<String>,
    /// How that node is asked [default: it is tried out]
    #[arg(long, value_name = "FAMILY", requires = "check_rpc")]
    check_rpc_family: Option<FamilyArg>,
    /// Memory for chunks in flight
    #[arg(long, value_name = "SIZE", default_value = "192MiB")]
    memory: ByteSize,
    /// Threads that hash, decode and write [default: all cores]
    #[arg(long, value_name = "COUNT")]
    threads: Option<usize>,
    #[command(flatten)]
    engine: EngineArgs,
    /// Answer every question with yes
    #[arg(long)]
    yes: bool,
}

/// Restores, and shows what it took.
pub(super) async fn run(args: RestoreArgs, context: &Context) -> Result<(), Failure> {
    confirm_replacement(&args)?;
    let payer = args.engine.settings_of_payer();
    let allowance = args.engine.allowance(args.accept_cost);
    let options = options(args, &allowance, context).await?;
    let restored =
        introduced(context, options.pin, async |pin| run_or_ask(context, &payer, &allowance, Options { pin, ..options.clone() }).await);
    let summary = restored.await?;
    context.finish_progress();
    context.output.summary("restore", &summary, text);
    Ok(())
}

/// Restores. Where that costs money that nobody agreed to, and somebody is there to be asked, asks once.
async fn run_or_ask(context: &Context, payer: &Settings, allowance: &Allowance, options: Options) -> Result<Summary, restore::Error> {
    match restore::run(options.clone()).await {
        Err(restore::Error::CostNotAccepted { estimates }) if output::can_ask() => {
            context.finish_progress();
            let most = usd(cap_of(&estimates, options.read_from));
            let question =
                format!("only sources that cost money are there: shall the account of your AWS credentials be charged up to {most}?");
            match ask::confirm(&question, false) {
                Ok(()) => {
                    allowance.lift();
                    restore::run(Options { accept_cost: true, engine: payer.clone(), ..options }).await
                }
                Err(_) => Err(restore::Error::CostNotAccepted { estimates }),
            }
        }
        done => done,
    }
}

/// Deleting a database that exists is confirmed first, on a terminal; elsewhere `--replace` says it all. Overwriting it needs a yes.
fn confirm_replacement(args: &RestoreArgs) -> Result<(), Failure> {
    if args.in_place && !args.dry_run && args.to.exists() {
        let question =
            format!("overwrite {} in place? Until that is complete it holds neither the old database nor the new one", args.to.display());
        return ask::confirm(&question, args.yes);
    }
    if !args.replace || args.keep_old || args.dry_run || !args.to.exists() {
        return Ok(());
    }
    let question = format!("replace {} and delete what is there once the new database is complete?", args.to.display());
    ask::confirm_if_asked(&question, args.yes)
}

/// Tells whoever reads through a node on this machine how that can be connected to the publisher's.
async fn tell_addresses(context: &Context, sources: &[DynReadStore], channel: &ChannelName) {
    let is_own_node = |source: &DynReadStore| source.name().starts_with("ipfs://") && source.name().contains("http://127.0.0.1:");
    if !sources.iter().any(is_own_node) {
        return;
    }
    for address in catalog::addresses_on_ipfs(sources, channel).await {
        let text = format!("a node that has the snapshots of {channel}: ipfs swarm peering add {address}");
        context.progress().event(Event::Note { text });
    }
}

/// The library's options: flags and variables over the configuration over the defaults.
async fn options(args: RestoreArgs, allowance: &Allowance, context: &Context) -> Result<Options, Failure> {
    let configured = args.snapshot.as_ref().map(|snapshot| context.config.channel(&snapshot.channel)).unwrap_or_default();
    let words = env::list(args.from.clone(), "QSYNC_FROM", &configured.from);
    let sources = context.sources_and_cids(&words, &args.gateways, allowance).await?;
    let Named { channel, when, by_cid } = named(&args, &sources, context).await?;
    if by_cid.is_none() {
        tell_addresses(context, &sources.all, &channel).await;
    }
    let expected = Expected { labels: node_profiles::labels(&args.label, &configured.labels)?, engine: args.database_engine.clone() };
    let check_rpc = check_rpc(&args)?;
    Ok(Options {
        expected,
        check_rpc,
        existing: existing(&args),
        partial: partial(&args),
        sources: sources.all,
        channel,
        when,
        by_cid,
        target: args.to,
        owner: args.chown.map(|owner| owner.0),
        seeds: args.seed,
        rehash: args.rehash,
        dry_run: args.dry_run,
        accept_cost: args.accept_cost,
        read_from: args.engine.read_from(),
        memory_bytes: args.memory.as_u64(),
        threads: context.threads(args.threads),
        engine: if args.accept_cost { args.engine.settings_of_payer() } else { args.engine.settings() },
        pin: args.trust.or(configured.trust).map(|pin| pin.0),
        home: env::home(),
        state_dir: context.state_dir()?,
        now: context.now,
        fs: Arc::clone(&context.fs),
        stop: context.stop.clone(),
        progress: context.progress(),
    })
}

/// The node that confirms the snapshot's block.
fn check_rpc(args: &RestoreArgs) -> Result<Option<Arc<Probe>>, Failure> {
    let Some(text) = &args.check_rpc else { return Ok(None) };
    let family = args.check_rpc_family.map(|family| family.0);
    rpc::probe(rpc::url("--check-rpc", text)?, family).map(|probe| Some(Arc::new(probe)))
}

/// Which snapshot is meant.
struct Named {
    channel: ChannelName,
    when: Option<When>,
    by_cid: Option<Arc<OpenSnapshot>>,
}

/// The snapshot of the channel that the user names, or the only one whose CID is among the sources.
async fn named(args: &RestoreArgs, sources: &OpenSources, context: &Context) -> Result<Named, Failure> {
    if let Some(SnapshotRef { channel, when }) = args.snapshot.clone() {
        return Ok(Named { channel, when, by_cid: None });
    }
    let policy = RetryPolicy::default().within(args.engine.settings().max_wait);
    let open = snapshot::by_cid(context, sources, args.trust, policy).await?;
    let (channel, when) = (open.channel.head.channel.clone(), Some(When::Id(open.id().to_string())));
    Ok(Named { channel, when, by_cid: Some(Arc::new(open)) })
}

fn existing(args: &RestoreArgs) -> Existing {
    if args.in_place {
        return Existing::InPlace;
    }
    match (args.replace, args.keep_old) {
        (false, _) => Existing::Refuse,
        (true, false) => Existing::Replace,
        (true, true) => Existing::ReplaceKeepingOld,
    }
}

fn partial(args: &RestoreArgs) -> Partial {
    match (args.latest, args.discard) {
        (_, true) => Partial::Discard,
        (true, false) => Partial::Latest,
        (false, false) => Partial::Continue,
    }
}

fn text(summary: &Summary) -> String {
    let verb = match summary.outcome {
        Outcome::Restored => "restored",
        Outcome::AlreadyRestored => "already restored",
        Outcome::DryRun => "would restore",
    };
    let height = summary.height.map(|height| format!(", height {height}")).unwrap_or_default();
    let mut text = format!("{verb}: {} {}{height} in {}\n", summary.channel, summary.snapshot.short(), summary.target.display());
    text += &format!(
        "{} files, {}; fetched {}, reused {}, written {}, holes {}; {} retries; {:.1} s, {}/s\n",
        summary.files,
        ByteSize(summary.bytes),
        ByteSize(summary.fetched_bytes),
        ByteSize(summary.reused_bytes),
        ByteSize(summary.written_bytes),
        ByteSize(summary.hole_bytes),
        summary.retries,
        summary.seconds,
        ByteSize((summary.written_bytes as f64 / summary.seconds.max(0.001)) as u64)
    );
    text += match summary.block_check {
        Some(BlockCheck::Same) => "its block is the one that the node of --check-rpc knows\n",
        Some(BlockCheck::Unknown) => "unknown whether its block is right: the node of --check-rpc does not know that height\n",
        None => "",
    };
    if let Some(most) = summary.most_to_fetch_bytes {
        text += &format!("would fetch {} at most\n", ByteSize(most));
    }
    text.extend(summary.costs.iter().map(|estimate| format!("would cost: {estimate}\n")));
    text + &source_lines(&summary.sources)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        sources::{Failures, Report},
        types::Hash,
    };

    fn source(name: &str, last_error: Option<&str>) -> Report {
        let errors = last_error.iter().len() as u64;
        let (last_error, failures) = (last_error.map(str::to_owned), Failures { network: errors, ..Failures::default() });
        Report {
            source: name.into(),
            objects: 3,
            bytes: 2 << 20,
            bytes_per_second: Some(1 << 20),
            errors,
            failures,
            last_error,
            ..Report::default()
        }
    }

    #[test]
    fn the_summary_tells_what_it_took() {
        let summary = Summary {
            channel: "kusama/pruned".parse().unwrap(),
            snapshot: Hash::of(b"manifest"),
            height: None,
            block_check: None,
            target: "/srv/db".into(),
            outcome: Outcome::Restored,
            files: 4,
            bytes: 5 << 20,
            most_to_fetch_bytes: None,
            costs: Vec::new(),
            fetched_bytes: 4 << 20,
            reused_bytes: 0,
            written_bytes: 5 << 20,
            hole_bytes: 0,
            retries: 1,
            sources: vec![source("/a", None), source("https://b", Some("reset"))],
            seconds: 2.0,
        };
        insta::assert_snapshot!(text(&summary), @r"
        restored: kusama/pruned 0d197521d9a4 in /srv/db
        4 files, 5.0 MiB; fetched 4.0 MiB, reused 0 B, written 5.0 MiB, holes 0 B; 1 retries; 2.0 s, 2.5 MiB/s
          /a         3 objects  2.0 MiB  1.0 MiB/s
          https://b  3 objects  2.0 MiB  1.0 MiB/s; 1 errors (network 1); the last: reset
        ");
    }
}
