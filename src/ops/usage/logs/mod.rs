//! `qsync usage logs`: what access logs say of the reads of a store, without a word of who the readers are.
//!
//! Lines of CloudFront (both versions, as values or JSON) and S3 are told apart one by one, so that logs may follow each other in one stream.
//! What no line can say is counted, named by file and line, and skipped. Of a line only what [`Record`] has is ever taken: the address of
//! the reader is not. Memory does not depend on how long the logs are.

mod class;
mod lines;
mod record;
mod s3;
mod totals;
mod w3c;

use std::io::{self, Read};

use serde::Serialize;

pub use class::ObjectClass;
use lines::Line;
pub use record::{Malformed, Record};
pub use totals::{BytesRow, OTHERS, Reads, RequesterRow, RestoresRow, Totals};
use w3c::Columns;

/// How many lines that say nothing are named.
const MOST_NAMED: usize = 10;

/// What was found in some logs.
#[derive(Debug, Default)]
pub struct Found {
    /// What the lines say.
    pub totals: Totals,
    /// Lines, headers and empty ones too.
    pub lines: u64,
    /// Lines that say nothing.
    pub malformed: u64,
    /// The first of them.
    pub named: Vec<BadLine>,
    /// Logs that could not be read to their end.
    pub broken: Vec<BrokenLog>,
    /// How many logs there were.
    pub files: u64,
}

/// A line that says nothing. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadLine {
    /// The log.
    pub file: String,
    /// The line in it, from 1.
    pub line: u64,
    /// Why; what stands there is not repeated.
    pub reason: String,
}

/// A log that could not be read to its end. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BrokenLog {
    /// The log.
    pub file: String,
    /// How many lines of it were read.
    pub lines: u64,
    /// Why.
    pub reason: String,
}

impl Found {
    /// Adds what a log says, plain or packed. `name` is the log's; `store` is what all of it is counted under, if that is not what the
    /// lines say.
    pub fn add(&mut self, name: &str, log: io::Result<impl Read>, store: Option<&str>) {
        self.files += 1;
        let before = self.lines;
        if let Err(error) = log.and_then(|log| self.add_lines(name, log, store)) {
            self.broken.push(BrokenLog { file: name.to_owned(), lines: self.lines - before, reason: error.to_string() });
        }
    }

    fn add_lines(&mut self, name: &str, log: impl Read, store: Option<&str>) -> io::Result<()> {
        let (mut text, mut buffer, before) = (lines::open(log)?, Vec::new(), self.lines);
        let mut columns = Err(Malformed::NoFields);
        while let Some(line) = text.next(&mut buffer)? {
            self.lines += 1;
            match said(line, &mut columns) {
                Ok(Some(record)) => self.totals.add(record, store),
                Ok(None) => {}
                Err(reason) => self.malformed(name, self.lines - before, &reason),
            }
        }
        Ok(())
    }

    fn malformed(&mut self, file: &str, line: u64, reason: &Malformed) {
        self.malformed += 1;
        if self.named.len() < MOST_NAMED {
            self.named.push(BadLine { file: file.to_owned(), line, reason: reason.to_string() });
        }
    }
}

/// What a line says; `None` for one that says nothing of a request, which may be the header of those that follow.
fn said(line: Line<'_>, columns: &mut Result<Columns, Malformed>) -> Result<Option<Record>, Malformed> {
    let Line::Whole(line) = line else { return Err(Malformed::TooLong(lines::LINE_MAX_BYTES)) };
    let line = record::text(line);
    if let Some(names) = w3c::fields(&line) {
        *columns = Columns::parse(names);
        // The lines below a header that is of no use are counted one by one; the header is named for why.
        return columns.as_ref().map(|_| None).map_err(Clone::clone);
    }
    match (line.chars().next(), columns) {
        (None | Some('#'), _) => Ok(None),
        (Some('{'), _) => w3c::json(&line).map(Some),
        _ if s3::is_line(&line) => s3::record(&line).map(Some),
        (_, Ok(columns)) => columns.record(&line).map(Some),
        (_, Err(_)) if line.contains('\t') => Err(Malformed::NoFields),
        (_, Err(_)) => Err(Malformed::Unknown),
    }
}

#[cfg(test)]
mod tests;
