//! `qsync verify`: proves a restored directory again, offline, and repairs it from any source.

use std::{path::PathBuf, sync::Arc};

use bytesize::ByteSize;
use clap::Args;
use serde::Serialize;

use crate::{
    cli::{
        Code,
        context::Context,
        engine::EngineArgs,
        env,
        exit::Failure,
        first_contact::introduced,
        gateways::GatewayArgs,
        output::stdout,
        sources::source_lines,
        values::{Pin, SnapshotRef},
    },
    disk::verify::Defect,
    restore::verify::{self, Checked, Options, Remote, Summary},
    types::Hash,
};

const EXAMPLES: &str = "\
Examples:
  qsync verify /srv/node/db
  qsync verify /srv/node/db --repair --from https://a.example/snap
  qsync verify /srv/node/db kusama/pruned@24187312 --from https://a.example/snap
  qsync verify /srv/node/db --b3sums | b3sum -c
";

/// Hash a restored directory again and compare it with its manifest
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct VerifyArgs {
    /// The directory that was restored
    dir: PathBuf,
    /// The snapshot that it should be, for a directory that this machine did not restore: @latest, @HEIGHT or @b3:PREFIX. Needs --from
    #[arg(value_name = "CHANNEL[@WHEN]")]
    snapshot: Option<SnapshotRef>,
    /// Fetch what is wrong or missing, and nothing else, and write it where it belongs. Needs --from
    #[arg(long)]
    repair: bool,
    /// Source: a path, file://…, http(s)://…, s3://…, ipfs://CID or a store's name; repeat for several, all are used at once
    #[arg(long, value_name = "SOURCE")]
    from: Vec<String>,
    #[command(flatten)]
    gateways: GatewayArgs,
    /// The repository to trust: b3: and 64 hex digits [default: what this machine trusts]
    #[arg(long, value_name = "b3:ID")]
    trust: Option<Pin>,
    /// Empty the page cache of the files first, so that the disk is read and not the memory
    #[arg(long)]
    drop_cache: bool,
    /// Check the BLAKE3 of whole files too
    #[arg(long)]
    b3: bool,
    /// Print the BLAKE3 of every file for b3sum -c, and read no file
    #[arg(long, conflicts_with_all = ["b3", "snapshot", "repair", "drop_cache"])]
    b3sums: bool,
    /// Threads that read and hash [default: all cores]
    #[arg(long, value_name = "COUNT")]
    threads: Option<usize>,
    /// Memory for chunks in flight
    #[arg(long, value_name = "SIZE", default_value = "192MiB")]
    memory: ByteSize,
    #[command(flatten)]
    engine: EngineArgs,
}

impl VerifyArgs {
    /// Whether it prints lines for b3sum instead of a result.
    pub(super) fn prints_data(&self) -> bool {
        self.b3sums
    }

    /// Whether the same command goes on where an interrupted one ended.
    pub(super) fn repairs(&self) -> bool {
        self.repair
    }
}

/// One thing that is wrong. Field names are a promise (docs/scripting.md).
#[derive(Debug, Serialize)]
#[serde(tag = "defect", rename_all = "kebab-case")]
enum Wrong<'a> {
    Chunk { path: &'a str, chunk: u64, offset: u64, expected: Hash, found: Option<Hash> },
    Length { path: &'a str, expected: u64, found: u64 },
    Missing { path: &'a str },
    Unexpected { path: &'a str },
    WholeFile { path: &'a str, expected: Hash, found: Hash },
}

/// Verifies, and shows everything that is wrong.
pub(super) async fn run(args: VerifyArgs, context: &Context) -> Result<(), Failure> {
    let remote = remote(&args, context).await?;
    let options = Options {
        dir: args.dir,
        whole_files: args.b3,
        drop_cache: args.drop_cache,
        repair: args.repair,
        remote,
        threads: context.threads(args.threads),
        state_dir: context.state_dir()?,
        fs: Arc::clone(&context.fs),
        stop: context.stop.clone(),
        progress: context.progress(),
    };
    if args.b3sums {
        let lines = verify::b3sums(&options)?;
        lines.iter().for_each(|line| stdout(format!("{line}\n").as_bytes()));
        return Ok(());
    }
    let pin = options.remote.as_ref().and_then(|remote| remote.pin);
    let verify =
        async |pin| verify::run(Options { remote: options.remote.clone().map(|remote| Remote { pin, ..remote }), ..options.clone() }).await;
    let Checked { summary, defects, repaired } = introduced(context, pin, verify).await?;
    context.finish_progress();
    for defect in &repaired {
        context.output.item("repaired", &wrong(defect), |wrong| format!("repaired: {}", line(wrong)));
    }
    for defect in &defects {
        context.output.item("defect", &wrong(defect), line);
    }
    finish(&summary, context)
}

/// Where to fetch from, when the command needs that.
async fn remote(args: &VerifyArgs, context: &Context) -> Result<Option<Remote>, Failure> {
    if !args.repair && args.snapshot.is_none() {
        return Ok(None);
    }
    let configured = args.snapshot.as_ref().map(|snapshot| context.config.channel(&snapshot.channel));
    let from = configured.as_ref().map_or(&[][..], |channel| &channel.from);
    Ok(Some(Remote {
        sources: context.sources(&env::list(args.from.clone(), "QSYNC_FROM", from), &args.gateways, &args.engine.allowance(false)).await?,
        snapshot: args.snapshot.clone().map(|snapshot| (snapshot.channel, snapshot.when)),
        pin: args.trust.or_else(|| configured.as_ref()?.trust).map(|pin| pin.0),
        memory_bytes: args.memory.as_u64(),
        engine: args.engine.settings(),
        home: env::home(),
        now: context.now,
    }))
}

/// The summary when everything is right, else the failure.
fn finish(found: &Summary, context: &Context) -> Result<(), Failure> {
    if found.defects == 0 {
        context.output.summary("verify", found, text);
        return Ok(());
    }
    context.output.item("result", found, text);
    let message = format!("{} does not match its snapshot in {} places", found.dir.display(), found.defects);
    let dir = found.dir.display();
    Err(Failure::new(Code::Corrupt, message)
        .hint(format!("qsync verify {dir} --repair --from SOURCE fetches what is wrong; what is not in the snapshot it leaves"))
        .hint(format!("qsync restore {} --to {dir} --replace --rehash builds the newest snapshot anew", found.channel)))
}

fn wrong(defect: &Defect) -> Wrong<'_> {
    match defect {
        Defect::Chunk { path, chunk, offset, expected, found } => {
            Wrong::Chunk { path: path.as_str(), chunk: *chunk, offset: *offset, expected: *expected, found: *found }
        }
        Defect::Length { path, expected, found } => Wrong::Length { path: path.as_str(), expected: *expected, found: *found },
        Defect::Missing { path } => Wrong::Missing { path: path.as_str() },
        Defect::Unexpected { path } => Wrong::Unexpected { path },
        Defect::WholeFile { path, expected, found } => Wrong::WholeFile { path: path.as_str(), expected: *expected, found: *found },
    }
}

fn line(wrong: &Wrong<'_>) -> String {
    match wrong {
        Wrong::Chunk { path, chunk, offset, expected, found } => {
            let found = found.map_or_else(|| "nothing that can be read".to_owned(), |found| found.short());
            format!("{path}: chunk {chunk} at byte {offset}: expected {}, found {found}\n", expected.short())
        }
        Wrong::Length { path, expected, found } => format!("{path}: expected {expected} bytes, found {found}\n"),
        Wrong::Missing { path } => format!("{path}: missing\n"),
        Wrong::Unexpected { path } => format!("{path}: not in the snapshot\n"),
        Wrong::WholeFile { path, expected, found } => {
            format!("{path}: whole file: expected {}, found {}\n", expected.short(), found.short())
        }
    }
}

fn text(found: &Summary) -> String {
    let verdict = if found.defects == 0 { "verified" } else { "NOT verified" };
    let text = format!(
        "{verdict}: {} {} in {}\n{} files, {}, {} chunks right, {} defects; {} repaired, fetched {}; {:.1} s\n",
        found.channel,
        found.snapshot.short(),
        found.dir.display(),
        found.files,
        ByteSize(found.bytes),
        found.good_chunks,
        found.defects,
        found.repaired,
        ByteSize(found.fetched_bytes),
        found.seconds
    );
    text + &source_lines(&found.sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_defect_says_where_it_is_and_what_was_expected_and_found() {
        let defect = Defect::Chunk {
            path: "db/000012.sst".parse().unwrap(),
            chunk: 17,
            offset: 17 << 20,
            expected: Hash::of(b"a"),
            found: Some(Hash::of(b"b")),
        };
        assert_eq!(
            line(&wrong(&defect)),
            format!("db/000012.sst: chunk 17 at byte 17825792: expected {}, found {}\n", Hash::of(b"a").short(), Hash::of(b"b").short())
        );
        let json = serde_json::to_value(wrong(&defect)).unwrap();
        assert_eq!((&json["defect"], &json["chunk"]), (&"chunk".into(), &17.into()));
    }
}
