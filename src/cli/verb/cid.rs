//! `qsync cid`: the name that IPFS gives to a directory.

use std::path::PathBuf;

use clap::Args;

use crate::{
    cli::{context::Context, exit::Failure},
    ops::cid::{self, Named},
    progress::Event,
};

const EXAMPLES: &str = "\
Examples:
  qsync cid /srv/node/db
  test \"$(qsync cid /srv/node/db)\" = bafyb4i…        is it what that CID promises?
";

/// Print the CID that a directory has on IPFS, as the `tree` of its snapshot; no node is needed
///
/// The directory must be one that could be published: no links, and names of letters, digits and `._+-`.
///
/// It is what `ipfs add -rH --only-hash --hash=blake3 DIR` prints under Kubo's profile unixfs-v1-2025, unless the directory has empty files.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct CidArgs {
    /// The directory
    dir: PathBuf,
    /// Threads that hash [default: all cores]
    #[arg(long, value_name = "COUNT")]
    threads: Option<usize>,
}

/// Names the directory; the CID alone is on standard output.
pub(super) async fn run(args: CidArgs, context: &Context) -> Result<(), Failure> {
    let (threads, progress) = (context.threads(args.threads), context.progress());
    let named = context.until_stopped(async { Ok(cid::name(&context.fs, args.dir, threads, &progress).await?) }).await?;
    if named.empty_files > 0 {
        let text = format!("{} empty files: ipfs add gives such a directory another CID, which cannot be fetched", named.empty_files);
        progress.event(Event::Note { text });
    }
    context.finish_progress();
    context.output.summary("cid", &named, text);
    Ok(())
}

fn text(named: &Named) -> String {
    format!("{}\n", named.cid)
}
