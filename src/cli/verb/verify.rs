//! `qsync verify`: proves a restored directory again, offline.

use std::{path::PathBuf, sync::Arc};

use bytesize::ByteSize;
use clap::Args;
use serde::Serialize;

use crate::{
    cli::{Code, context::Context, exit::Failure, output::stdout},
    disk::verify::Defect,
    restore::verify::{self, Options, Summary},
    types::Hash,
};

const EXAMPLES: &str = "\
Examples:
  qsync verify /srv/node/db
  qsync verify /srv/node/db --b3sums | b3sum -c
";

/// Hash a restored directory again and compare it with its manifest
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct VerifyArgs {
    /// The directory that was restored
    dir: PathBuf,
    /// Check the BLAKE3 of whole files too
    #[arg(long)]
    b3: bool,
    /// Print the BLAKE3 of every file for b3sum -c, and read no file
    #[arg(long, conflicts_with = "b3")]
    b3sums: bool,
    /// Threads that read and hash [default: all cores]
    #[arg(long, value_name = "COUNT")]
    threads: Option<usize>,
}

impl VerifyArgs {
    /// Whether it prints lines for b3sum instead of a result.
    pub(super) fn prints_data(&self) -> bool {
        self.b3sums
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
    let options = Options {
        dir: args.dir,
        whole_files: args.b3,
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
    let (found, defects) = verify::run(options).await?;
    context.finish_progress();
    for defect in &defects {
        context.output.item("defect", &wrong(defect), line);
    }
    finish(&found, context)
}

/// The summary when everything is right, else the failure.
fn finish(found: &Summary, context: &Context) -> Result<(), Failure> {
    if found.defects == 0 {
        context.output.summary("verify", found, text);
        return Ok(());
    }
    context.output.item("result", found, text);
    let message = format!("{} does not match its snapshot in {} places", found.dir.display(), found.defects);
    Err(Failure::new(Code::Corrupt, message).hint(format!("qsync restore {} --to {} --replace", found.channel, found.dir.display())))
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
    format!(
        "{verdict}: {} {} in {}\n{} files, {}, {} chunks right, {} defects; {:.1} s\n",
        found.channel,
        found.snapshot.short(),
        found.dir.display(),
        found.files,
        ByteSize(found.bytes),
        found.good_chunks,
        found.defects,
        found.seconds
    )
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
