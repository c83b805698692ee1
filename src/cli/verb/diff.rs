//! `qsync diff`: what an update from one snapshot to another would fetch.

use bytesize::ByteSize;
use clap::Args;

use super::snapshot::{as_one, opened, patient};
use crate::{
    cli::{
        context::Context,
        engine::EngineArgs,
        env,
        exit::Failure,
        gateways::GatewayArgs,
        values::{Pin, SnapshotRef},
    },
    ops::diff::{self, Change, ChangedFile, Summary},
    types::When,
};

const EXAMPLES: &str = "\
Examples:
  qsync diff kusama/pruned@24187312 --from https://a.example/snap          that snapshot and the newest
  qsync diff kusama/pruned@24187312 kusama/pruned@24190000 --from /srv/store --files
";

/// Show what an update from one snapshot to another would fetch: files, chunks, bytes
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct DiffArgs {
    /// Channel and the snapshot to update from: @HEIGHT, @b3:PREFIX or @latest
    #[arg(value_name = "CHANNEL@WHEN")]
    old: SnapshotRef,
    /// The same channel and the snapshot to update to [default: the newest]
    #[arg(value_name = "CHANNEL[@WHEN]")]
    new: Option<SnapshotRef>,
    /// Source: a path, file://…, http(s)://…, s3://…, ipfs://CID or a store's name; repeat for several
    #[arg(long, value_name = "SOURCE")]
    from: Vec<String>,
    #[command(flatten)]
    gateways: GatewayArgs,
    /// The repository to trust: b3: and 64 hex digits [default: what this machine trusts]
    #[arg(long, value_name = "b3:ID")]
    trust: Option<Pin>,
    /// List the files that differ
    #[arg(long)]
    files: bool,
    #[command(flatten)]
    engine: EngineArgs,
}

/// Shows the difference; the files come before the summary.
pub(super) async fn run(args: DiffArgs, context: &Context) -> Result<(), Failure> {
    let when = other_when(&args)?;
    let configured = context.config.channel(&args.old.channel);
    let sources = context
        .sources_and_cids(&env::list(args.from, "QSYNC_FROM", &configured.from), &args.gateways, &args.engine.allowance(false))
        .await?;
    let open = opened(context, Some(&args.old), args.trust.or(configured.trust), &sources).await?;
    let compared = async {
        let new = diff::open_other(&patient(&sources.all), &open, &when).await?;
        context.finish_progress();
        let show = |file: &ChangedFile| context.output.item("changed-file", file, file_line);
        let sources = as_one(&sources.all, args.engine.settings(), context).await;
        Ok(diff::diff(&open.manifest, &new, &sources, |file| {
            if args.files {
                show(file)
            }
        })
        .await?)
    };
    let summary = context.until_stopped(compared).await?;
    context.output.summary("diff", &summary, text);
    Ok(())
}

/// Which snapshot is the newer side. Both sides are of one channel: no update leads from one to another.
fn other_when(args: &DiffArgs) -> Result<When, Failure> {
    let hint = || format!("qsync diff {}@HEIGHT, or @b3: and the first digits of its id: qsync list shows both", args.old.channel);
    match &args.new {
        None if args.old.when.is_none() => Err(Failure::usage("the snapshot to update from is not named").hint(hint())),
        Some(new) if new.channel != args.old.channel => {
            Err(Failure::usage(format!("{} and {} are different channels", args.old.channel, new.channel)).hint(hint()))
        }
        new => Ok(new.as_ref().and_then(|new| new.when.clone()).unwrap_or_default()),
    }
}

fn file_line(file: &ChangedFile) -> String {
    let sign = match file.change {
        Change::Added => '+',
        Change::Removed => '-',
        Change::Changed => '~',
    };
    format!("{sign}  {:>6} chunks  {:>14} bytes to fetch  {}\n", file.fetch.chunks, file.fetch.frame_bytes, file.path)
}

fn text(summary: &Summary) -> String {
    let height = |height: Option<u64>| height.map(|height| format!(" (height {height})")).unwrap_or_default();
    format!(
        "{}: {}{} to {}{}\n{} files added, {} removed, {} changed, {} unchanged\nto fetch: {} in {} chunks of {}\n",
        summary.channel,
        summary.old_snapshot.short(),
        height(summary.old_height),
        summary.new_snapshot.short(),
        height(summary.new_height),
        summary.added_files,
        summary.removed_files,
        summary.changed_files,
        summary.unchanged_files,
        ByteSize(summary.fetch.frame_bytes),
        summary.fetch.chunks,
        ByteSize(summary.fetch.bytes),
    )
}
