//! How the snapshot of a staging directory gets into its target, and how far that is: one line, the staging directory's `format` file.
//!
//! It is replaced as a whole and durably, so a crash leaves the line before or the one after. While it says `incomplete`, the target is
//! neither what it was nor what it will be.

use std::{io, path::Path};

use super::{Error, staging::Version};
use crate::fs::Fs;

/// How a snapshot gets into its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is built in the staging directory, and swapped in when it is complete.
    Swap,
    /// Its target is changed where it lies.
    InPlace(Purpose, Phase),
}

/// Why a directory is changed in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To become another snapshot; what that does not list goes away.
    Restore,
    /// To be again what it was; what the snapshot does not list stays.
    Repair,
}

/// How far a change in place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing in the target has been changed yet.
    Prepared,
    /// Some of it is old and some new.
    Incomplete,
    /// All of it is new, and remembered. Only the staging directory is left to be removed.
    Complete,
}

const FILE: &str = "format";

/// Every mode and its line.
const LINES: [(Mode, &str); 7] = [
    (Mode::Swap, "qsync-staging/1\n"),
    (Mode::InPlace(Purpose::Restore, Phase::Prepared), "qsync-in-place/1 restore prepared\n"),
    (Mode::InPlace(Purpose::Restore, Phase::Incomplete), "qsync-in-place/1 restore incomplete\n"),
    (Mode::InPlace(Purpose::Restore, Phase::Complete), "qsync-in-place/1 restore complete\n"),
    (Mode::InPlace(Purpose::Repair, Phase::Prepared), "qsync-in-place/1 repair prepared\n"),
    (Mode::InPlace(Purpose::Repair, Phase::Incomplete), "qsync-in-place/1 repair incomplete\n"),
    (Mode::InPlace(Purpose::Repair, Phase::Complete), "qsync-in-place/1 repair complete\n"),
];

impl Mode {
    /// What the line says; `None` when this version of qsync did not write it.
    fn of_line(line: &[u8]) -> Option<Self> {
        LINES.iter().find(|(_, text)| text.as_bytes() == line).map(|(mode, _)| *mode)
    }

    /// The line that says it.
    fn line(self) -> &'static str {
        LINES.iter().find(|(mode, _)| *mode == self).map(|(_, text)| *text).expect("every mode has a line")
    }

    /// Whether a line that cannot be read may be of a directory that is changed in place.
    fn may_be_in_place(line: &[u8]) -> bool {
        line.starts_with(b"qsync-in-place/")
    }

    /// Whether the target itself is changed.
    #[must_use]
    pub fn is_in_place(self) -> bool {
        matches!(self, Self::InPlace(..))
    }

    /// Whether the target is neither what it was nor what it will be.
    #[must_use]
    pub fn is_incomplete(self) -> bool {
        matches!(self, Self::InPlace(_, Phase::Incomplete))
    }
}

/// The mode of a staging directory; `None` when it is not written down yet. What another version wrote is never taken for less than a
/// target that is half overwritten.
pub(super) fn read(fs: &dyn Fs, staging: &Path, version: Version) -> Result<Option<Mode>, Error> {
    let path = staging.join(FILE);
    let line = match fs.read(&path, 64) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) if version == Version::Any && e.kind() == io::ErrorKind::FileTooLarge => return Ok(Some(Mode::Swap)),
        line => line.map_err(Error::io("read", &path))?,
    };
    match Mode::of_line(&line) {
        None if version == Version::Any && !Mode::may_be_in_place(&line) => Ok(Some(Mode::Swap)),
        None => Err(Error::Unreadable { path, why: format!("its format is {:?}", String::from_utf8_lossy(&line)) }),
        known => Ok(known),
    }
}

/// Writes the mode of a staging directory down, durably.
pub(super) fn write(fs: &dyn Fs, staging: &Path, mode: Mode) -> Result<(), Error> {
    let path = staging.join(FILE);
    fs.write_durable(&path, mode.line().as_bytes(), 0o600).map_err(Error::io("write", &path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_has_a_line_of_its_own_and_comes_back() {
        for (mode, line) in LINES {
            assert_eq!((Mode::of_line(line.as_bytes()), mode.line()), (Some(mode), line));
            assert_eq!(Mode::may_be_in_place(line.as_bytes()), mode.is_in_place());
        }
        for line in ["", "qsync-in-place/1 restore\n", "qsync-in-place/2 restore incomplete\n", "qsync-staging/1"] {
            assert_eq!(Mode::of_line(line.as_bytes()), None, "{line}");
        }
    }
}
