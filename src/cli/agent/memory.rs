//! What the agent remembers of each channel over its own restarts: `STATE/agent/<chain>+<profile>.json`.
//!
//! A file that is missing, damaged or of another version means that nothing is known: the next scheduled time counts, and nothing was missed.

use std::{io, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::plan::Past;
use crate::{
    catalog::StateDir,
    fs::Fs,
    types::{ChannelName, Timestamp},
};

const FOLDER: &str = "agent";
const FORMAT: &str = "qsync-agent/1";
const MAX_BYTES: u64 = 1 << 16;

#[derive(Serialize, Deserialize)]
struct Remembered {
    format: String,
    known_since: Timestamp,
    published: Option<Timestamp>,
    exit: Option<i32>,
    signed: Option<Timestamp>,
    tried_to_sign: Option<Timestamp>,
}

/// What is remembered of a channel.
pub(super) fn load(fs: &dyn Fs, state: &StateDir, channel: &ChannelName, now: Timestamp) -> Past {
    let known = fs.read(&path(state, channel), MAX_BYTES).ok().and_then(|bytes| serde_json::from_slice::<Remembered>(&bytes).ok());
    match known.filter(|known| known.format == FORMAT) {
        Some(Remembered { known_since, published, exit, signed, tried_to_sign, .. }) => {
            Past { known_since, published, exit, signed, tried_to_sign }
        }
        None => Past { known_since: now, ..Past::default() },
    }
}

/// Keeps it durably.
pub(super) fn save(fs: &dyn Fs, state: &StateDir, channel: &ChannelName, past: &Past) -> io::Result<()> {
    let Past { known_since, published, exit, signed, tried_to_sign } = *past;
    let known = Remembered { format: FORMAT.to_owned(), known_since, published, exit, signed, tried_to_sign };
    fs.create_dir_all(&state.path().join(FOLDER), 0o700)?;
    fs.write_durable(&path(state, channel), &serde_json::to_vec(&known).map_err(io::Error::other)?, 0o600)
}

fn path(state: &StateDir, channel: &ChannelName) -> PathBuf {
    state.path().join(FOLDER).join(format!("{}.json", channel.file_stem()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::fs::MemoryFs;

    #[test]
    fn what_is_kept_is_known_again_and_what_is_damaged_says_nothing() {
        let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
        let state = StateDir::open(Arc::clone(&fs), "/state").unwrap();
        let (channel, now) = ("kusama/pruned".parse().unwrap(), Timestamp::from_second(1_800_000_000).unwrap());
        let first = load(&*fs, &state, &channel, now);
        assert_eq!(first, Past { known_since: now, ..Past::default() });
        let past = Past { published: Some(now), exit: Some(16), ..first };
        save(&*fs, &state, &channel, &past).unwrap();
        assert_eq!(load(&*fs, &state, &channel, Timestamp::MAX), past);
        fs.write_durable(&path(&state, &channel), b"{\"format\":\"qsync-agent/9\"}", 0o600).unwrap();
        assert_eq!(load(&*fs, &state, &channel, now).published, None);
    }
}
