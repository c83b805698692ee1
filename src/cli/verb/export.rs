//! `qsync export`: a snapshot as one tar on standard output.

use std::io::{self, IsTerminal};

use clap::{Args, ValueEnum};

use super::snapshot::{as_one, opened};
use crate::{
    cli::{
        Code,
        context::Context,
        engine::EngineArgs,
        env,
        exit::Failure,
        gateways::GatewayArgs,
        output::Format,
        values::{Pin, SnapshotRef},
    },
    ops::export,
};

const EXAMPLES: &str = "\
Examples:
  qsync export kusama/pruned --from https://a.example/snap | tar x -C /srv/node/db
  qsync export kusama/pruned@24187312 --from /srv/store > db.tar
  qsync export kusama/pruned --from /srv/store --format tar.zst > db.tar.zst
";

/// How the archive is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ArchiveFormat {
    /// As it is
    Tar,
    /// Of the frames as they are stored: nothing is compressed again
    #[value(name = "tar.zst")]
    TarZst,
}

impl From<ArchiveFormat> for export::Format {
    fn from(format: ArchiveFormat) -> Self {
        match format {
            ArchiveFormat::Tar => Self::Tar,
            ArchiveFormat::TarZst => Self::TarZst,
        }
    }
}

/// Write a snapshot as a tar archive to standard output, every byte verified
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct ExportArgs {
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
    /// How the archive is written
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "tar")]
    format: ArchiveFormat,
    #[command(flatten)]
    engine: EngineArgs,
}

/// Streams the archive. A reader that goes away is an error: an archive that ends early is not the snapshot.
pub(super) async fn run(args: ExportArgs, context: &Context) -> Result<(), Failure> {
    if io::stdout().is_terminal() {
        let failure = Failure::new(Code::Terminal, "an archive is not written to a terminal");
        let snapshot = args.snapshot.map(|snapshot| format!("{snapshot} ")).unwrap_or_default();
        return Err(failure.hint(format!("redirect it: qsync export {snapshot}… > snapshot.tar")));
    }
    let configured = args.snapshot.as_ref().map(|snapshot| context.config.channel(&snapshot.channel)).unwrap_or_default();
    let words = env::list(args.from, "QSYNC_FROM", &configured.from);
    let sources = context.sources_and_cids(&words, &args.gateways, &args.engine.allowance(false)).await?;
    let pin = args.trust.or(configured.trust);
    let open = opened(context, args.snapshot.as_ref(), pin, &sources).await?;
    let (sources, progress) = (as_one(&sources.all, args.engine.settings(), context).await, context.progress());
    let exported = export::export(&open, &sources, args.format.into(), io::stdout(), &context.stop, &progress).await?;
    context.finish_progress();
    if context.output.format() == Format::Json {
        context.output.summary("export", &exported, |_| String::new());
    }
    Ok(())
}
