//! The lines of a log, packed with gzip or plain, one at a time: no more of it is ever held than the longest line.

use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

/// The longest line that is read, bytes: a header of CloudFront has at most 20 KiB, and each byte of it may be written as several.
pub(super) const LINE_MAX_BYTES: usize = 256 << 10;

/// What a file begins with that is packed by gzip.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// What a Parquet file begins with.
const PARQUET: [u8; 4] = *b"PAR1";

/// A reader whose first bytes were looked at.
type Looked<R> = Chain<Cursor<Vec<u8>>, R>;

/// A log as text.
pub(super) enum Text<R: Read> {
    /// It was that already.
    Plain(BufReader<Looked<R>>),
    /// As it is unpacked.
    Unpacked(Box<BufReader<MultiGzDecoder<BufReader<Looked<R>>>>>),
}

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// All of it, without its end.
    Whole(&'a [u8]),
    /// Longer than [`LINE_MAX_BYTES`]; its bytes are gone.
    TooLong,
}

/// Looks at the first bytes of a log, and unpacks what follows where it is packed.
///
/// # Errors
/// When it cannot be read, or is of a form that has no lines.
pub(super) fn open<R: Read>(mut log: R) -> io::Result<Text<R>> {
    let mut first = Vec::new();
    log.by_ref().take(PARQUET.len() as u64).read_to_end(&mut first)?;
    if first == PARQUET {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a Parquet file: let the logs be delivered as w3c or json"));
    }
    let is_packed = first.starts_with(&GZIP);
    let all = BufReader::new(Cursor::new(first).chain(log));
    Ok(if is_packed { Text::Unpacked(Box::new(BufReader::new(MultiGzDecoder::new(all)))) } else { Text::Plain(all) })
}

impl<R: Read> Text<R> {
    /// The next line, put into `buffer`; `None` at the end.
    ///
    /// # Errors
    /// When it cannot be read or unpacked.
    pub(super) fn next<'a>(&mut self, buffer: &'a mut Vec<u8>) -> io::Result<Option<Line<'a>>> {
        match self {
            Self::Plain(text) => next_line(text, buffer),
            Self::Unpacked(text) => next_line(&mut **text, buffer),
        }
    }
}

fn next_line<'a>(text: &mut impl BufRead, buffer: &'a mut Vec<u8>) -> io::Result<Option<Line<'a>>> {
    buffer.clear();
    let longest = LINE_MAX_BYTES as u64 + 1;
    if text.by_ref().take(longest).read_until(b'\n', buffer)? == 0 {
        return Ok(None);
    }
    if buffer.last() == Some(&b'\n') {
        buffer.pop();
    } else if buffer.len() > LINE_MAX_BYTES {
        text.skip_until(b'\n')?;
        return Ok(Some(Line::TooLong));
    }
    Ok(Some(Line::Whole(buffer.strip_suffix(b"\r").unwrap_or(buffer))))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    /// A reader that gives a byte at a time, as a pipe may.
    struct Slowly<'a>(&'a [u8]);

    impl Read for Slowly<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let n = 1.min(into.len());
            self.0.read(&mut into[..n])
        }
    }

    fn lines(log: &[u8]) -> io::Result<Vec<Option<String>>> {
        let (mut text, mut buffer, mut found) = (open(Slowly(log))?, Vec::new(), Vec::new());
        while let Some(line) = text.next(&mut buffer)? {
            found.push(match line {
                Line::Whole(line) => Some(String::from_utf8(line.to_vec()).unwrap()),
                Line::TooLong => None,
            });
        }
        Ok(found)
    }

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn all(text: &[&str]) -> Vec<Option<String>> {
        text.iter().map(|line| Some((*line).to_owned())).collect()
    }

    #[test]
    fn a_log_is_unpacked_whatever_it_is_called_and_several_behind_each_other_too() {
        assert_eq!(lines(b"a\r\nb\n\nc").unwrap(), all(&["a", "b", "", "c"]));
        assert_eq!(lines(&[packed(b"a\n"), packed(b"b\nc")].concat()).unwrap(), all(&["a", "b", "c"]));
        assert_eq!([&b""[..], b"a", b"\x1f", b"\n"].map(|short| lines(short).unwrap().len()), [0, 1, 1, 1]);
    }

    #[test]
    fn a_line_without_an_end_takes_no_more_memory_than_the_longest() {
        let long = "x".repeat(LINE_MAX_BYTES);
        let log = format!("{long}\n{long}x\n{long}{long}\nb\n{long}x");
        assert_eq!(lines(log.as_bytes()).unwrap(), [Some(long), None, None, Some("b".to_owned()), None]);
    }

    #[test]
    fn what_breaks_off_is_an_error_after_the_lines_that_were_there() {
        let whole = packed(&b"some line of a log\n".repeat(100));
        let mut text = open(&whole[..whole.len() - 9]).unwrap();
        let mut buffer = Vec::new();
        assert!(matches!(text.next(&mut buffer), Ok(Some(Line::Whole(b"some line of a log")))));
        let ends_well = loop {
            match text.next(&mut buffer) {
                Ok(Some(_)) => {}
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        assert!(!ends_well);
        assert_eq!(lines(b"PAR1").unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
