//! `qsync show`: one snapshot in full.

use bytesize::ByteSize;
use clap::Args;

use super::snapshot::{as_one, opened};
use crate::{
    cli::{
        Code,
        context::Context,
        engine::EngineArgs,
        env,
        exit::Failure,
        gateways::GatewayArgs,
        values::{Pin, SnapshotRef},
    },
    format::head::Ipfs,
    ops::show::{self, Shown, ShownChunk, ShownFile},
};

const EXAMPLES: &str = "\
Examples:
  qsync show kusama/pruned --from https://a.example/snap
  qsync show kusama/pruned@24187312 --from /srv/store --files
  qsync show kusama/pruned --from /srv/store --json --chunks
  qsync show kusama/pruned --from /srv/store --cids
";

/// Show one snapshot: its block, node, database, sizes, and on request its files and chunks
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct ShowArgs {
    /// Channel, and which of its snapshots: @latest, @HEIGHT or @b3:PREFIX. Not needed with --from ipfs://CID
    #[arg(value_name = "CHANNEL[@WHEN]")]
    snapshot: Option<SnapshotRef>,
    /// Source: a path, file://…, http(s)://…, s3://…, ipfs://CID or a store's name; repeat for several
    #[arg(long, value_name = "SOURCE")]
    from: Vec<String>,
    #[command(flatten)]
    gateways: GatewayArgs,
    /// The repository to trust: b3: and 64 hex digits [default: what this machine trusts]
    #[arg(long, value_name = "b3:ID")]
    trust: Option<Pin>,
    /// List its files
    #[arg(long)]
    files: bool,
    /// List the chunks of its files
    #[arg(long)]
    chunks: bool,
    /// Print only where it is on IPFS: the CID of all, of the archive and of the directory
    #[arg(long, conflicts_with_all = ["files", "chunks"])]
    cids: bool,
    #[command(flatten)]
    engine: EngineArgs,
}

/// Shows the snapshot; its files and chunks come before the summary.
pub(super) async fn run(args: ShowArgs, context: &Context) -> Result<(), Failure> {
    let configured = args.snapshot.as_ref().map(|snapshot| context.config.channel(&snapshot.channel)).unwrap_or_default();
    let words = env::list(args.from, "QSYNC_FROM", &configured.from);
    let sources = context.sources_and_cids(&words, &args.gateways, &args.engine.allowance(false)).await?;
    let pin = args.trust.or(configured.trust);
    let open = opened(context, args.snapshot.as_ref(), pin, &sources).await?;
    context.finish_progress();
    if args.files {
        show::files(&open).for_each(|file| context.output.item("file", &file, file_line));
    }
    if args.chunks {
        let sources = as_one(&sources.all, args.engine.settings(), context).await;
        let chunks = show::chunks(&open, &sources, |chunk| context.output.item("chunk", chunk, chunk_line));
        context.until_stopped(async { Ok(chunks.await?) }).await?;
    }
    let mut shown = show::show(&open);
    if args.snapshot.is_none() {
        // Its head is older than its CID.
        let (root, _) = sources.only_cid()?;
        shown.ipfs = Some(Ipfs { root: root.to_string(), ..Ipfs::default() });
    }
    if args.cids && shown.ipfs.is_none() {
        let failure = Failure::new(Code::NotFound, format!("snapshot {} of {} is not on IPFS", shown.snapshot.short(), shown.channel));
        return Err(failure.hint("its publisher can put it there: qsync publish … --to ipfs+http://127.0.0.1:5001"));
    }
    context.output.summary("show", &shown, if args.cids { cids } else { text });
    Ok(())
}

fn file_line(file: &ShownFile) -> String {
    format!("{}  {:>14}  {}\n", file.b3, file.bytes, file.path)
}

fn chunk_line(chunk: &ShownChunk) -> String {
    let frame = chunk.frame.map_or_else(|| "hole".to_owned(), |frame| frame.to_string());
    format!("{}  {:>14}  {:>9}  {frame}  {:>9}  {}\n", chunk.raw, chunk.offset, chunk.bytes, chunk.frame_bytes, chunk.path)
}

fn cids(shown: &Shown) -> String {
    let ipfs = shown.ipfs.iter();
    let named = ipfs.flat_map(|ipfs| [("root", Some(&ipfs.root)), ("archive", ipfs.archive.as_ref()), ("tree", ipfs.tree.as_ref())]);
    named.filter_map(|(name, cid)| Some(format!("{name:<7}  {}\n", cid?))).collect()
}

fn text(shown: &Shown) -> String {
    let unknown = || "unknown".to_owned();
    let labels: Vec<String> = shown.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let labels = if labels.is_empty() { String::new() } else { format!("labels     {}\n", labels.join(" ")) };
    let ipfs = shown.ipfs.as_ref().map(|ipfs| format!("ipfs       ipfs://{}\n", ipfs.root)).unwrap_or_default();
    format!(
        "channel    {}\nsnapshot   b3:{}\nheight     {}\nblock hash {}\ngenesis    {}\ntaken      {}\nclient     {}\nengine     {}\n\
         files      {}, {}\nchunks     {} of {}; {} stored compressed, {} in holes\n",
        shown.channel,
        shown.snapshot,
        shown.height.map_or_else(unknown, |height| height.to_string()),
        shown.block_hash.clone().unwrap_or_else(unknown),
        shown.genesis.clone().unwrap_or_else(unknown),
        shown.taken_at,
        shown.client.clone().unwrap_or_else(unknown),
        shown
            .engine
            .clone()
            .map_or_else(unknown, |engine| engine + &shown.engine_format.iter().map(|f| format!(" {f}")).collect::<String>()),
        shown.files,
        ByteSize(shown.bytes),
        shown.chunks,
        ByteSize(shown.chunk_bytes),
        ByteSize(shown.frame_bytes),
        ByteSize(shown.hole_bytes)
    ) + &labels
        + &ipfs
}
