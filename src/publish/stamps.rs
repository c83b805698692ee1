//! What the last run saw of each file of a data directory, kept in the state directory: `STATE/publish/<b3 of channel and data directory>`.
//!
//! The first line is the BLAKE3 of the rest, which is JSON. A file that is missing, damaged or of another version says nothing, and every
//! file of the data directory is read; it can never be the reason for an error.

use std::{
    collections::BTreeMap,
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::plan::{Seen, Stamp};
use crate::{
    disk::scan::Scan,
    fs::{Fs, Stat},
    types::{ChannelName, Hash, RelPath, Timestamp},
};

const FORMAT: &str = "qsync-stamps/1";
const FOLDER: &str = "publish";
/// About a hundred bytes a file.
const MAX_BYTES: u64 = 1 << 30;
/// Digits of the checksum, and the line's end.
const CHECKSUM_BYTES: usize = 65;

/// What one run saw of all files, and the snapshot that it published them in.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamps {
    format: String,
    channel: ChannelName,
    /// The snapshot that has each file as it was then.
    pub(super) snapshot: Hash,
    /// When the run began, nanoseconds since 1970.
    began_ns: i128,
    files: BTreeMap<RelPath, Stamp>,
}

impl Stamps {
    /// What a run that began at `began` saw, and published as `snapshot`.
    pub(super) fn of(channel: &ChannelName, scan: &Scan, snapshot: Hash, began: Timestamp) -> Self {
        let files = scan.files.iter().map(|file| (file.path.clone(), stamp(&file.stat))).collect();
        Self { format: FORMAT.to_owned(), channel: channel.clone(), snapshot, began_ns: began.as_nanosecond(), files }
    }

    /// What that run saw of a file.
    pub(super) fn seen(&self, path: &RelPath) -> Option<Seen> {
        self.files.get(path).map(|stamp| Seen { stamp: *stamp, scanned_ns: self.began_ns })
    }

    /// Keeps it durably instead of what an earlier run saw.
    pub(super) fn save(&self, fs: &dyn Fs, state_dir: &Path, data_dir: &Path) -> io::Result<()> {
        let json = serde_json::to_vec(self).map_err(io::Error::other)?;
        let mut bytes = format!("{}\n", Hash::of(&json)).into_bytes();
        bytes.extend(json);
        fs.create_dir_all(&state_dir.join(FOLDER), 0o700)?;
        fs.write_durable(&path(state_dir, &self.channel, data_dir), &bytes, 0o600)
    }

    /// What the last run saw; `None` when there was none.
    ///
    /// # Errors
    /// Why it cannot be used, in words.
    pub(super) fn load(fs: &dyn Fs, state_dir: &Path, channel: &ChannelName, data_dir: &Path) -> Result<Option<Self>, String> {
        let path = path(state_dir, channel, data_dir);
        match fs.read(&path, MAX_BYTES) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(format!("{}: {e}", path.display())),
            Ok(bytes) => parse(&bytes, channel).map(Some).map_err(|why| format!("{}: {why}", path.display())),
        }
    }
}

fn parse(bytes: &[u8], channel: &ChannelName) -> Result<Stamps, String> {
    let (checksum, json) = bytes.split_at_checked(CHECKSUM_BYTES).ok_or("it is too short")?;
    if checksum != format!("{}\n", Hash::of(json)).as_bytes() {
        return Err("its checksum is wrong".to_owned());
    }
    let stamps: Stamps = serde_json::from_slice(json).map_err(|e| e.to_string())?;
    match (stamps.format.as_str(), &stamps.channel == channel) {
        (FORMAT, true) => Ok(stamps),
        (FORMAT, false) => Err(format!("it is of the channel {}", stamps.channel)),
        (other, _) => Err(format!("its format is {other:?}, not {FORMAT:?}")),
    }
}

/// What the file system says of a scanned file.
pub(super) fn stamp(stat: &Stat) -> Stamp {
    Stamp { bytes: stat.len, mtime_ns: stat.mtime_ns, ctime_ns: stat.ctime_ns, dev: stat.dev, ino: stat.ino }
}

fn path(state_dir: &Path, channel: &ChannelName, data_dir: &Path) -> PathBuf {
    // No channel name holds a zero byte.
    let whose = [channel.to_string().as_bytes(), b"\0", data_dir.as_os_str().as_bytes()].concat();
    state_dir.join(FOLDER).join(Hash::of(&whose).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{disk::scan::scan, fs::MemoryFs};

    const STATE: &str = "/state";
    const DATA: &str = "/data";

    fn channel() -> ChannelName {
        "demo/generic".parse().unwrap()
    }

    fn stamps(fs: &MemoryFs) -> Stamps {
        fs.create_dir_all(Path::new("/data/db"), 0o755).unwrap();
        fs.write_durable(Path::new("/data/db/1"), b"one", 0o644).unwrap();
        let scan = scan(fs, Path::new(DATA), &crate::disk::select::Selection::everything()).unwrap();
        Stamps::of(&channel(), &scan, Hash::of(b"snapshot"), "2026-11-20T03:00:12Z".parse().unwrap())
    }

    fn load(fs: &MemoryFs) -> Result<Option<Stamps>, String> {
        Stamps::load(fs, Path::new(STATE), &channel(), Path::new(DATA))
    }

    fn file() -> PathBuf {
        path(Path::new(STATE), &channel(), Path::new(DATA))
    }

    #[test]
    fn what_was_seen_is_known_again_for_this_channel_and_directory_alone() {
        let fs = MemoryFs::new();
        let stamps = stamps(&fs);
        assert_eq!(load(&fs), Ok(None));
        stamps.save(&fs, Path::new(STATE), Path::new(DATA)).unwrap();
        assert_eq!(load(&fs).unwrap().as_ref(), Some(&stamps));
        let one = stamps.seen(&"db/1".parse().unwrap()).unwrap();
        assert_eq!((one.stamp.bytes, one.scanned_ns), (3, 1_795_143_612_000_000_000));
        assert_eq!(stamps.seen(&"db/2".parse().unwrap()), None);
        let other = |channel: &str, dir: &str| Stamps::load(&fs, Path::new(STATE), &channel.parse().unwrap(), Path::new(dir));
        assert_eq!(other("demo/other", DATA), Ok(None));
        assert_eq!(other("demo/generic", "/data2"), Ok(None));
    }

    // ST-07
    #[test]
    fn any_changed_bit_or_missing_byte_makes_it_say_nothing() {
        let fs = MemoryFs::new();
        stamps(&fs).save(&fs, Path::new(STATE), Path::new(DATA)).unwrap();
        let whole = fs.read(&file(), 1 << 20).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            assert!(parse(&bytes, &channel()).is_err(), "byte {at}");
            assert!(parse(&whole[..at], &channel()).is_err(), "length {at}");
        }
        fs.flip_bit(&file(), 70, 0).unwrap();
        assert!(load(&fs).unwrap_err().contains("checksum"));
    }

    #[test]
    fn another_version_or_channel_says_nothing() {
        let fs = MemoryFs::new();
        let with_checksum = |stamps: &Stamps| {
            let json = serde_json::to_vec(stamps).unwrap();
            [format!("{}\n", Hash::of(&json)).into_bytes(), json].concat()
        };
        let newer = Stamps { format: "qsync-stamps/2".to_owned(), ..stamps(&MemoryFs::new()) };
        assert!(parse(&with_checksum(&newer), &channel()).unwrap_err().contains("qsync-stamps/2"));
        let foreign = Stamps { channel: "demo/other".parse().unwrap(), ..stamps(&fs) };
        assert!(parse(&with_checksum(&foreign), &channel()).unwrap_err().contains("demo/other"));
    }
}
