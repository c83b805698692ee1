//! `qsync mirror`: copies channels from sources to a store of one's own.

use bytesize::ByteSize;
use clap::Args;

use super::snapshot::{as_one, patient};
use crate::{
    catalog,
    cli::{
        Code,
        context::Context,
        engine::EngineArgs,
        env,
        exit::{Classify as _, Failure},
        first_contact::introduced,
        gateways::GatewayArgs,
        nodes,
        sources::source_lines,
        values::Pin,
    },
    ops::mirror::{self, ChannelSummary, Mirrored, Options, Outcome, Summary},
    store::{Create, DynReadStore, DynWriteStore},
    types::{ChannelName, Hash},
};

const EXAMPLES: &str = "\
Examples:
  qsync mirror --from https://a.example/snap --to /srv/mirror
  qsync mirror --from https://a.example/snap --from /mnt/usb/store --to /srv/mirror kusama/pruned
  qsync mirror --from https://a.example/snap --to /srv/mirror --dry-run
";

/// Copy channels to a store of your own: verified, only what it lacks, without any key
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct MirrorArgs {
    /// Channels to copy: CHAIN/PROFILE [default: all that the sources name]
    #[arg(value_name = "CHANNEL")]
    channels: Vec<ChannelName>,
    /// Source: a path, file://…, http(s)://…, s3://…, ipfs://CID or a store's name; repeat for several
    #[arg(long, value_name = "SOURCE")]
    from: Vec<String>,
    #[command(flatten)]
    gateways: GatewayArgs,
    /// Store to copy to: a path, file://…, s3://… or a store's name; made where it is missing
    #[arg(long, value_name = "STORE")]
    to: Option<String>,
    /// The repository to trust: b3: and 64 hex digits [default: what this machine trusts]
    #[arg(long, value_name = "b3:ID")]
    trust: Option<Pin>,
    /// Read and prove every object that is there already, and replace those that are damaged
    #[arg(long)]
    rehash: bool,
    /// Say what would be copied, and stop
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    engine: EngineArgs,
}

/// Copies, and shows what became of each channel.
pub(super) async fn run(args: MirrorArgs, context: &Context) -> Result<(), Failure> {
    let sources = context
        .sources(&env::list(args.from.clone(), "QSYNC_FROM", &context.config.all_sources()), &args.gateways, &args.engine.allowance(false))
        .await?;
    nodes::refuse(args.to.as_slice(), &context.config)?;
    let to = context.targets(args.to.as_slice(), Create::Yes).await?.remove(0);
    let repo = repo(&args, &sources, context).await?;
    let Mirrored { summary, failures } = mirror::run(options(args, &sources, to, repo, context).await?).await?;
    context.finish_progress();
    match failure(&summary, failures) {
        None => context.output.summary("mirror", &summary, text),
        Some(failure) => {
            context.output.item("result", &summary, text);
            return Err(failure);
        }
    }
    Ok(())
}

/// The repository that is copied: the one that is named, or the trusted one that the sources hold.
async fn repo(args: &MirrorArgs, sources: &[DynReadStore], context: &Context) -> Result<Hash, Failure> {
    let (state, patient) = (context.open_state()?, patient(sources));
    let pin = args.trust.map(|pin| pin.0);
    let roots = introduced(context, pin, async |pin| catalog::open_roots(&patient, &state, pin).await);
    Ok(context.until_stopped(roots).await?.repo())
}

async fn options(args: MirrorArgs, sources: &[DynReadStore], to: DynWriteStore, repo: Hash, context: &Context) -> Result<Options, Failure> {
    Ok(Options {
        channels: args.channels,
        sources: patient(sources),
        chunks: as_one(sources, args.engine.settings(), context).await,
        to,
        repo,
        state: context.open_state()?,
        rehash: args.rehash,
        dry_run: args.dry_run,
        now: context.now,
        stop: context.stop.clone(),
        progress: context.progress(),
    })
}

/// The failure that it is when channels could not be copied: that of the first where all failed.
fn failure(summary: &Summary, failures: Vec<(ChannelName, mirror::Error)>) -> Option<Failure> {
    let (failed, all) = (failures.len(), summary.channels.len());
    let lines: Vec<_> =
        summary.channels.iter().filter_map(|channel| Some(format!("{}: {}", channel.channel, channel.error.as_ref()?))).collect();
    let (name, first) = failures.into_iter().next()?;
    if failed == all {
        return Some(first.into_failure().context(format!("{name} is not copied")));
    }
    let failure = Failure::new(Code::Partial, format!("{failed} of {all} channels failed: {}", lines.join("; ")));
    Some(failure.hint("run the same command again: what was copied is not fetched again"))
}

fn text(summary: &Summary) -> String {
    let verb = if summary.dry_run { "would copy" } else { "copied" };
    let total =
        format!("{verb} to {}: {} objects, {}; {:.1} s\n", summary.store, summary.objects, ByteSize(summary.bytes), summary.seconds);
    summary.channels.iter().map(channel_line).chain([total, source_lines(&summary.sources)]).collect()
}

fn channel_line(channel: &ChannelSummary) -> String {
    let seq = channel.seq.map(|seq| format!(", head {seq}")).unwrap_or_default();
    let what = match channel.outcome {
        Outcome::Copied => format!("{} snapshots, {} objects, {}", channel.snapshots, channel.objects, ByteSize(channel.bytes)),
        Outcome::Current => "nothing to do".to_owned(),
        Outcome::Ahead => "left alone: the store shows a newer head".to_owned(),
        Outcome::Failed => "FAILED".to_owned(),
    };
    format!("  {}{seq}: {what}\n", channel.channel)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(outcomes: &[Outcome]) -> Summary {
        let channel = |outcome: &Outcome| ChannelSummary {
            channel: "kusama/pruned".parse().unwrap(),
            outcome: *outcome,
            seq: (*outcome != Outcome::Failed).then_some(12),
            snapshot: None,
            height: None,
            snapshots: 4,
            objects: 7,
            bytes: 3 << 20,
            error: (*outcome == Outcome::Failed).then(|| "disk full".to_owned()),
        };
        Summary {
            repo: Hash::of(b"repo"),
            store: "/srv/mirror".into(),
            dry_run: false,
            channels: outcomes.iter().map(channel).collect(),
            objects: 7,
            bytes: 3 << 20,
            sources: Vec::new(),
            seconds: 1.25,
        }
    }

    #[test]
    fn the_summary_has_a_line_for_each_channel() {
        insta::assert_snapshot!(text(&summary(&[Outcome::Copied, Outcome::Current, Outcome::Ahead, Outcome::Failed])), @r"
          kusama/pruned, head 12: 4 snapshots, 7 objects, 3.0 MiB
          kusama/pruned, head 12: nothing to do
          kusama/pruned, head 12: left alone: the store shows a newer head
          kusama/pruned: FAILED
        copied to /srv/mirror: 7 objects, 3.0 MiB; 1.2 s
        ");
    }

    #[test]
    fn one_channel_that_failed_makes_the_run_partial_and_all_make_it_fail() {
        let lost = || mirror::Error::Lost { channel: "kusama/pruned".parse().unwrap(), store: "/srv/mirror".into() };
        let failures = || vec![("kusama/pruned".parse().unwrap(), lost())];
        assert_eq!(failure(&summary(&[Outcome::Copied]), Vec::new()), None);
        let partial = failure(&summary(&[Outcome::Copied, Outcome::Failed]), failures()).unwrap();
        assert_eq!(partial.messages, ["1 of 2 channels failed: kusama/pruned: disk full"]);
        assert_eq!((partial.code, failure(&summary(&[Outcome::Failed]), failures()).unwrap().code), (Code::Partial, Code::LostRace));
    }
}
