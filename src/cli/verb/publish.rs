//! `qsync publish`: one run makes one snapshot of a data directory and publishes it to every store.

use std::{path::PathBuf, sync::Arc};

use bytesize::ByteSize;
use clap::Args;

use crate::{
    cli::{
        Code, config,
        context::Context,
        env,
        exit::Failure,
        freeze::{self, MethodArg},
        node_profiles, nodes,
        output::Format,
        reports::{self, Reports},
        rpc::{self, GateArgs, RpcArgs},
        values::{ChunkSizeArg, Span},
    },
    node::{freeze::Method, gate::Report},
    ops::ping::PingUrl,
    publish::{self, FreezeSummary, GateOnly, NodeGate, Options, StoreSummary, Summary},
    sources::usd,
    store::{self, Create, DynWriteStore},
    types::{ChannelName, ChunkSize, RelPath},
};

const EXAMPLES: &str = "\
Examples:
  qsync publish kusama/pruned /srv/node/db --to /srv/store
  qsync publish kusama/pruned /srv/node/db --to /srv/store --height 24187312 --block-hash 0x5b1e…
  qsync publish kusama/pruned /var/lib/polkadot --node polkadot-rocksdb --label pruning=256 --to /srv/store
  qsync publish kusama/pruned /srv/node/db --to /srv/store --to ipfs+http://127.0.0.1:5001
  qsync publish kusama/pruned --rpc http://127.0.0.1:9944 --gate-only
  qsync publish kusama/pruned --dry-run        data directory and stores from the configuration
";

/// Publish one snapshot of a stopped node's data directory
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct PublishArgs {
    /// Channel to publish in: CHAIN/PROFILE
    channel: ChannelName,
    /// The node's data directory; nothing may write to it [default: data_dir of the channel]
    data_dir: Option<PathBuf>,
    /// Store to publish to: a path, file://…, s3://…, ipfs+http://… (the RPC of a Kubo node) or a store's name; repeat for several, the first
    /// decides races
    #[arg(long, value_name = "STORE")]
    to: Vec<String>,
    /// What kind of node it belongs to, which says what of it is published; qsync node list shows them [default: generic, all of it]
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// What is said of the snapshot, for example mode=archive; repeat for several
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<String>,
    /// Height of a block that the database contains
    #[arg(long, value_name = "HEIGHT")]
    height: Option<u64>,
    /// Hash of the block at that height
    #[arg(long, value_name = "HASH", requires = "height")]
    block_hash: Option<String>,
    #[command(flatten)]
    rpc: RpcArgs,
    #[command(flatten)]
    gate: GateArgs,
    /// How old the newest snapshot may be for its head to be signed again when the node is not fit [default: 14d]
    #[arg(long, value_name = "TIME")]
    refresh_max_age: Option<Span>,
    /// Ask the node whether it is fit to be published, say what it says, and change nothing
    #[arg(long, conflicts_with = "no_gate")]
    gate_only: bool,
    /// Do not ask the node although the configuration says where it answers: its database is at rest, or belongs to another
    #[arg(long)]
    no_gate: bool,
    /// How files are got that do not change [default: method in the freeze table of the channel, else stopped]
    #[arg(long, value_enum, value_name = "METHOD")]
    freeze: Option<MethodArg>,
    /// Say what would be published, and stop
    #[arg(long)]
    dry_run: bool,
    /// Read every file, also those with the size, times and inode of the last run; prove in the stores what is published already, and put
    /// again what is lost or damaged there
    #[arg(long)]
    rehash: bool,
    /// Publish this file although it looks like a secret; exact path, repeat for several
    #[arg(long, value_name = "PATH")]
    allow_secret: Vec<String>,
    /// Take your word that no process has the database open, where it cannot be seen
    #[arg(long)]
    assume_stopped: bool,
    /// How long the head is valid [default: 7d]
    #[arg(long, value_name = "TIME")]
    head_lifetime: Option<Span>,
    /// Snapshots that can be restored beside the newest [default: 3]
    #[arg(long, value_name = "COUNT")]
    keep_last: Option<usize>,
    /// Distance between cuts, a power of two [default: 1MiB]
    #[arg(long, value_name = "SIZE")]
    chunk_size: Option<ChunkSizeArg>,
    /// zstd level [default: 1]
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(i32).range(1..=19))]
    level: Option<i32>,
    /// Threads that hash and compress [default: all cores]
    #[arg(long, value_name = "COUNT")]
    threads: Option<usize>,
    /// Tell this monitor of scheduled jobs: URL/start, then URL, or URL/CODE after a failure
    #[arg(long, value_name = "URL")]
    ping: Option<PingUrl>,
    /// File with that URL, which is a secret [default: ping_file of the channel]
    #[arg(long, value_name = "FILE", conflicts_with = "ping")]
    ping_file: Option<PathBuf>,
}

/// Publishes, shows what became of each store, and tells those who watch over the schedule.
pub(super) async fn run(args: PublishArgs, context: &Context) -> Result<(), Failure> {
    if args.gate_only {
        return ask_only(options(args, context).await?, context).await;
    }
    if args.dry_run {
        return show(publish(args, context).await?, context);
    }
    let configured = context.config.channel(&args.channel);
    let monitor = reports::monitor(args.ping.clone(), args.ping_file.as_deref().or(configured.ping_file.as_deref()))?;
    let reports = Reports::begin(args.channel.clone(), monitor, context);
    let published = publish(args, context).await;
    context.finish_progress();
    let (summary, ended) = match published {
        Ok(summary) => (Some(summary.clone()), show(summary, context)),
        Err(failure) => (None, Err(failure)),
    };
    reports.end(summary.as_ref(), &ended, context).await;
    ended
}

async fn publish(args: PublishArgs, context: &Context) -> Result<Summary, Failure> {
    let options = options(args, context).await?;
    publish::run(options).await.map_err(|error| refused(error, context))
}

fn show(summary: Summary, context: &Context) -> Result<(), Failure> {
    context.finish_progress();
    match partial(&summary) {
        Some(failure) => {
            context.output.item("result", &summary, text);
            Err(failure)
        }
        None => {
            context.output.summary("publish", &summary, text);
            Ok(())
        }
    }
}

/// Asks the node, and shows what it says.
async fn ask_only(options: Options, context: &Context) -> Result<(), Failure> {
    let asked = context.until_stopped(async { publish::gate_only(options).await.map_err(|error| refused(error, context)) }).await?;
    context.finish_progress();
    let Some(asked) = asked else {
        return Err(
            Failure::usage("no node to ask").hint("say where its RPC answers: --rpc URL, or rpc of the channel in the configuration")
        );
    };
    show_conditions(&asked.report, context);
    context.output.summary("publish --gate-only", &asked, gate_text);
    Ok(())
}

fn gate_text(asked: &GateOnly) -> String {
    let lines: String = asked.report.lines().iter().map(|line| format!("  {line}\n")).collect();
    let height = asked.height.map(|height| format!(" at height {height}")).unwrap_or_default();
    format!("{} would be published from {}{height}\n{lines}", asked.channel, asked.node)
}

/// The failure that it is; each condition of the gate is a line of JSON too.
fn refused(error: publish::Error, context: &Context) -> Failure {
    context.finish_progress();
    if let publish::Error::Gate { report, .. } = &error {
        show_conditions(report, context);
    }
    error.into()
}

/// To people they are shown with the result, or the error.
fn show_conditions(report: &Report, context: &Context) {
    if context.output.format() == Format::Json {
        report.conditions.iter().for_each(|condition| context.output.item("condition", condition, |_| String::new()));
    }
}

/// The library's options: flags and variables over the configuration over the defaults.
async fn options(args: PublishArgs, context: &Context) -> Result<Options, Failure> {
    let configured = context.config.channel(&args.channel);
    let allow_secrets = env::list(args.allow_secret.clone(), "QSYNC_ALLOW_SECRET", &[]);
    let data_dir = data_dir(&args, &configured)?;
    let mut node = node_profiles::node(args.node.as_deref(), &args.label, &configured, context)?;
    let answers_at = rpc::address(&args.rpc, &configured)?;
    node.freeze = freeze::settings(args.freeze, &args.channel, &configured, answers_at, context)?;
    // A node that was stopped by hand cannot be asked; what the configuration says of its RPC is for other methods and for `check`.
    let can_be_asked = node.freeze.method != Method::Stopped || args.gate_only || args.rpc.is_given();
    if can_be_asked && !args.no_gate {
        let gate = rpc::gate(&args.rpc, &args.gate, &args.channel, &node.profile, &configured)?;
        let refresh_max_age = args.refresh_max_age.or(configured.gate.refresh_max_age).unwrap_or(Span::hours(14 * 24)).0;
        node.gate = gate.map(|gate| NodeGate { gate: Arc::new(gate), refresh_max_age });
    }
    let chunk_size = args.chunk_size.or(configured.chunk_size).map_or(ChunkSize::DEFAULT, |size| size.0);
    let Targets { stores, unopened, ipfs, ipfs_failed } =
        targets(env::list(args.to, "QSYNC_TO", &configured.to), chunk_size, context).await?;
    Ok(Options {
        data_dir,
        node,
        stores,
        unopened,
        ipfs,
        ipfs_failed,
        channel: args.channel,
        height: args.height,
        block_hash: args.block_hash,
        chunk_size,
        level: args.level.or(configured.level).unwrap_or(1),
        allow_secrets: allow_secrets.iter().map(|path| allowed(path)).collect::<Result<_, _>>()?,
        assume_stopped: args.assume_stopped,
        rehash: args.rehash,
        dry_run: args.dry_run,
        head_lifetime_secs: args.head_lifetime.or(configured.head_lifetime).unwrap_or(Span::hours(7 * 24)).0.as_secs(),
        keep_last: args.keep_last.or(configured.keep_last).unwrap_or(3),
        threads: context.threads(args.threads),
        state_dir: context.state_dir()?,
        now: context.now,
        fs: Arc::clone(&context.fs),
        stop: context.stop.clone(),
        progress: context.progress(),
    })
}

/// Where a snapshot goes.
struct Targets {
    stores: Vec<DynWriteStore>,
    unopened: Vec<store::Error>,
    ipfs: Option<publish::ipfs::Target>,
    ipfs_failed: Option<publish::ipfs::Summary>,
}

/// Opens them. A node of IPFS that is named alone gets a key store beside it, and must answer; one of several may be down.
async fn targets(mut words: Vec<String>, chunk_size: ChunkSize, context: &Context) -> Result<Targets, Failure> {
    let Some(url) = nodes::take_node(&mut words, &context.config)? else {
        let (stores, unopened) = context.targets_that_open(&words, Create::Yes).await?;
        return Ok(Targets { stores, unopened, ipfs: None, ipfs_failed: None });
    };
    let alone = words.is_empty();
    let node = nodes::open(&url, chunk_size, if alone { nodes::PATIENCE } else { nodes::PATIENCE_BESIDE_OTHERS }).await?;
    if alone {
        let stores = vec![nodes::key_store(context).await?];
        return Ok(Targets { stores, unopened: Vec::new(), ipfs: Some(node?), ipfs_failed: None });
    }
    let (stores, unopened) = context.targets_that_open(&words, Create::Yes).await?;
    let (ipfs, ipfs_failed) = match node {
        Ok(node) => (Some(node), None),
        Err(error) => (None, Some(publish::ipfs::Summary::failed(&error.node, &error))),
    };
    Ok(Targets { stores, unopened, ipfs, ipfs_failed })
}

fn data_dir(args: &PublishArgs, configured: &config::Channel) -> Result<PathBuf, Failure> {
    let missing = || {
        Failure::usage(format!("no data directory for {}", args.channel))
            .hint(format!("qsync publish {} DATA_DIR, or set data_dir of the channel in the configuration", args.channel))
    };
    args.data_dir.clone().or_else(|| configured.data_dir.clone()).ok_or_else(missing)
}

fn allowed(path: &str) -> Result<RelPath, Failure> {
    path.parse().map_err(|e| Failure::from_error(Code::Usage, &e).context("--allow-secret takes a path inside the data directory"))
}

/// The failure that it is when some stores do not have the snapshot.
fn partial(summary: &Summary) -> Option<Failure> {
    if let Some(why) = summary.freeze.as_ref().and_then(|freeze| freeze.error.clone()) {
        let hint = format!("start the node by hand, then: qsync thaw {} (docs/agent.md)", summary.channel);
        return Some(Failure::new(Code::NodeStopped, format!("published, but {why}")).hint(hint));
    }
    let stores = summary.stores.iter().map(|store| (&store.store, &store.error));
    let all: Vec<_> = stores.chain(summary.ipfs.iter().map(|ipfs| (&ipfs.node, &ipfs.error))).collect();
    let failed: Vec<_> = all.iter().filter_map(|(name, error)| Some(format!("{name}: {}", error.as_ref()?))).collect();
    if failed.is_empty() {
        return None;
    }
    let message = format!("{} of {} stores failed: {}", failed.len(), all.len(), failed.join("; "));
    let failure = Failure::new(Code::Partial, message).hint("run the same command again: it completes the stores that failed");
    let of_node = summary.ipfs.as_ref().and_then(|ipfs| ipfs.kind.as_ref());
    Some(match of_node {
        Some(kind) => failure.hint(nodes::hint(kind)),
        None => failure,
    })
}

fn text(summary: &Summary) -> String {
    let verb = match (summary.dry_run, summary.unchanged) {
        (true, _) => "would publish",
        (false, true) => "unchanged, signed again",
        (false, false) => "published",
    };
    let height = summary.height.map(|height| format!(", height {height}")).unwrap_or_default();
    let seq = summary.seq.map(|seq| format!(", head {seq}")).unwrap_or_default();
    let mut text = format!("{verb}: {} {}{height}{seq}\n", summary.channel, summary.snapshot.short());
    text += &format!(
        "{} files, {}; read {}, not read {}, already published {}, holes {}; {:.1} s\n",
        summary.files,
        ByteSize(summary.bytes),
        ByteSize(summary.read_bytes),
        ByteSize(summary.skipped_bytes),
        ByteSize(summary.reused_bytes),
        ByteSize(summary.hole_bytes),
        summary.seconds
    );
    text.extend(summary.allowed_secrets.iter().map(|path| format!("allowed although it looks like a secret: {path}\n")));
    text.extend(summary.freeze.iter().map(freeze_line));
    text.extend(summary.stores.iter().map(store_line));
    text.extend(summary.ipfs.iter().map(ipfs_lines));
    text
}

fn freeze_line(freeze: &FreezeSummary) -> String {
    let down =
        freeze.downtime_seconds.map_or_else(|| "was not stopped by this run".to_owned(), |seconds| format!("was down for {seconds:.1} s"));
    format!("{}: the node {down}; copied {}\n", freeze.method.name(), ByteSize(freeze.copied_bytes))
}

fn ipfs_lines(ipfs: &publish::ipfs::Summary) -> String {
    let done = format!("  {}: {} blocks, {}", ipfs.node, ipfs.blocks, ByteSize(ipfs.uploaded_bytes));
    let cids = [("root   ", ipfs.root), ("archive", ipfs.archive), ("tree   ", ipfs.tree)];
    let lines = cids.iter().filter_map(|(name, cid)| Some(format!("    {name}  ipfs://{}\n", cid.as_ref()?)));
    match &ipfs.error {
        Some(error) => format!("{done}; FAILED: {error}\n"),
        None => done + "\n" + &lines.collect::<String>(),
    }
}

fn store_line(store: &StoreSummary) -> String {
    let done = format!("  {}: {} objects, {}", store.store, store.objects, ByteSize(store.uploaded_bytes));
    let price = |micro_usd: Option<u64>, what: &str| micro_usd.map(|cost| format!("; {} {what}", usd(cost))).unwrap_or_default();
    let done = done + &price(store.put_micro_usd, "for the writes") + &price(store.month_micro_usd, "a month to hold them");
    let restore = store.cdn_restore_micro_usd.map(|cost| format!("; up to {} for each restore through its CDN", usd(cost)));
    let done = done + &restore.unwrap_or_default();
    match &store.error {
        Some(error) => format!("{done}; FAILED: {error}\n"),
        None => done + "\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Hash;

    fn summary(errors: &[Option<&str>]) -> Summary {
        let store = |error: &Option<&str>| StoreSummary {
            store: "/srv/a".into(),
            objects: 7,
            uploaded_bytes: 3 << 20,
            put_micro_usd: None,
            month_micro_usd: None,
            cdn_restore_micro_usd: None,
            error: error.map(str::to_owned),
        };
        Summary {
            channel: "kusama/pruned".parse().unwrap(),
            snapshot: Hash::of(b"manifest"),
            seq: Some(12),
            height: Some(99),
            taken_at: crate::types::Timestamp::UNIX_EPOCH,
            head_expires: None,
            unchanged: false,
            dry_run: false,
            files: 4,
            bytes: 5 << 20,
            frame_bytes: 4 << 20,
            read_bytes: 4 << 20,
            skipped_bytes: 1 << 20,
            reused_bytes: 1 << 20,
            hole_bytes: 0,
            allowed_secrets: Vec::new(),
            stores: errors.iter().map(store).collect(),
            freeze: None,
            ipfs: None,
            seconds: 1.25,
        }
    }

    #[test]
    fn the_summary_tells_what_was_published_and_where() {
        insta::assert_snapshot!(text(&summary(&[None])), @r"
        published: kusama/pruned 0d197521d9a4, height 99, head 12
        4 files, 5.0 MiB; read 4.0 MiB, not read 1.0 MiB, already published 1.0 MiB, holes 0 B; 1.2 s
          /srv/a: 7 objects, 3.0 MiB
        ");
    }

    #[test]
    fn what_writing_and_holding_costs_is_told_where_it_has_a_price() {
        let mut summary = summary(&[None]);
        (summary.stores[0].put_micro_usd, summary.stores[0].month_micro_usd) = (Some(512_000), Some(2_469_607));
        let text = text(&summary);
        assert!(text.ends_with("/srv/a: 7 objects, 3.0 MiB; $0.5120 for the writes; $2.4697 a month to hold them\n"), "{text}");
        (summary.stores[0].put_micro_usd, summary.stores[0].cdn_restore_micro_usd) = (None, Some(13_109_902));
        let text = super::text(&summary);
        assert!(text.ends_with("; $2.4697 a month to hold them; up to $13.1100 for each restore through its CDN\n"), "{text}");
    }

    #[test]
    fn a_store_that_failed_makes_the_run_partial() {
        assert_eq!(partial(&summary(&[None, None])), None);
        let failure = partial(&summary(&[None, Some("disk full")])).unwrap();
        assert_eq!(failure.code, Code::Partial);
        assert_eq!(failure.messages, ["1 of 2 stores failed: /srv/a: disk full"]);
    }
}
