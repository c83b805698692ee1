//! What a directory is built from or was built from: the snapshot with everything that proves it, as files in a folder of qsync's own.

use std::{io, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

use super::Error;
use crate::{
    format::manifest::StoredManifest,
    fs::Fs,
    types::{ChannelName, Hash},
};

const FORMAT: &str = "qsync-pin/1";
const FILE: &str = "pin";
/// 64 root envelopes and a head of 64 KiB each, in base64, with room to spare.
const MAX_PIN_BYTES: u64 = 16 << 20;
/// The longest stored manifest (docs/format.md, 2.4).
const MAX_MANIFEST_BYTES: u64 = 256 << 20;

/// A snapshot with everything that proves it: a resume or an offline `verify` needs no network for it.
#[derive(Clone, Debug)]
pub struct Pin {
    /// The channel.
    pub channel: ChannelName,
    /// The chain of root envelopes, oldest first, as bytes.
    pub roots: Vec<Vec<u8>>,
    /// The head's envelope, as bytes.
    pub head: Vec<u8>,
    /// The manifest.
    pub manifest: StoredManifest,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    format: String,
    channel: ChannelName,
    manifest: Hash,
    manifest_json_bytes: u64,
    roots: Vec<String>,
    head: String,
}

impl Pin {
    /// Writes it into `folder`, durably and at once: a crash leaves the old pin or this one.
    pub(super) fn save(&self, fs: &dyn Fs, folder: &Path) -> Result<(), Error> {
        // The manifest is named by its hash, so that an older pin keeps its own until the new one counts.
        let manifest = folder.join(manifest_name(&self.manifest.id));
        fs.write_durable(&manifest, &self.manifest.bytes, 0o600).map_err(Error::io("write", &manifest))?;
        let text = serde_json::to_vec_pretty(&self.stored()).expect("text and numbers can be written as JSON");
        let path = folder.join(FILE);
        fs.write_durable(&path, &text, 0o600).map_err(Error::io("write", &path))
    }

    /// Reads what [`Pin::save`] wrote; `None` when there is none.
    pub(super) fn load(fs: &dyn Fs, folder: &Path) -> Result<Option<Self>, Error> {
        let path = folder.join(FILE);
        let text = match fs.read(&path, MAX_PIN_BYTES) {
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
            text => text.map_err(Error::io("read", &path))?,
        };
        let unreadable = |why: String| Error::Unreadable { path: path.clone(), why };
        let stored: Stored = serde_json::from_slice(&text).map_err(|e| unreadable(e.to_string()))?;
        if stored.format != FORMAT {
            return Err(unreadable(format!("its format is {:?}, not {FORMAT:?}", stored.format)));
        }
        stored.into_pin(fs, folder).map(Some)
    }

    fn stored(&self) -> Stored {
        Stored {
            format: FORMAT.to_owned(),
            channel: self.channel.clone(),
            manifest: self.manifest.id,
            manifest_json_bytes: self.manifest.json_bytes,
            roots: self.roots.iter().map(|root| BASE64_STANDARD.encode(root)).collect(),
            head: BASE64_STANDARD.encode(&self.head),
        }
    }
}

impl Stored {
    fn into_pin(self, fs: &dyn Fs, folder: &Path) -> Result<Pin, Error> {
        let path = folder.join(manifest_name(&self.manifest));
        let bytes = fs.read(&path, MAX_MANIFEST_BYTES).map_err(Error::io("read", &path))?;
        if Hash::of(&bytes) != self.manifest {
            return Err(Error::Unreadable { path, why: "it does not match the hash in its name".to_owned() });
        }
        let decode = |text: &String| {
            let broken = |e: base64::DecodeError| Error::Unreadable { path: folder.join(FILE), why: e.to_string() };
            BASE64_STANDARD.decode(text).map_err(broken)
        };
        let roots = self.roots.iter().map(decode).collect::<Result<_, _>>()?;
        let manifest = StoredManifest { id: self.manifest, bytes, json_bytes: self.manifest_json_bytes };
        Ok(Pin { channel: self.channel, roots, head: decode(&self.head)?, manifest })
    }
}

fn manifest_name(id: &Hash) -> String {
    format!("manifest-{id}")
}
