//! Where the objects of the format lie in a store, and how long each may be (docs/format.md, 2.1).

use crate::types::{ChannelName, ChunkSize, Form, Hash, ObjectKey};

use super::row;

/// The longest head, bytes.
pub const HEAD_MAX_BYTES: u64 = 64 << 10;
/// The longest trust root, bytes.
pub const ROOT_MAX_BYTES: u64 = 64 << 10;
/// The longest segment of a chunk list, bytes.
pub const LIST_MAX_BYTES: u64 = 1 << 20;
/// The longest manifest as it is stored, bytes.
pub const MANIFEST_MAX_BYTES: u64 = 256 << 20;
/// The longest manifest as JSON, bytes.
pub const MANIFEST_JSON_MAX_BYTES: u64 = 1 << 30;
/// The longest frame of a chunk, bytes.
pub const CHUNK_MAX_BYTES: u64 = row::max_frame_bytes(ChunkSize::MAX_BYTES) as u64;
/// The longest `store.json`, bytes.
pub const STORE_INFO_MAX_BYTES: u64 = 64 << 10;
/// The longest `index.json`, bytes.
pub const INDEX_MAX_BYTES: u64 = 1 << 20;

/// The key of a frame, by the hash of the frame.
#[must_use]
pub fn chunk(frame: &Hash) -> ObjectKey {
    fanned_out("chunks", frame)
}

/// The key of an uncompressed chunk, by the hash of its bytes.
#[must_use]
pub fn raw(raw: &Hash) -> ObjectKey {
    fanned_out("raw", raw)
}

/// The form in which the object of this key holds a chunk; `None` when it is no chunk.
#[must_use]
pub fn form_of(object: &ObjectKey) -> Option<Form> {
    match object.as_str().split_once('/') {
        Some(("chunks", _)) => Some(Form::Zstd),
        Some(("raw", _)) => Some(Form::Raw),
        _ => None,
    }
}

/// Whether it is neither a chunk nor a segment of a chunk list: what there is of such objects is little.
#[must_use]
pub fn is_metadata(object: &ObjectKey) -> bool {
    form_of(object).is_none() && !object.as_str().starts_with("lists/")
}

/// The key of a segment of a chunk list.
#[must_use]
pub fn list(segment: &Hash) -> ObjectKey {
    fanned_out("lists", segment)
}

/// The key of a manifest, by the snapshot's id.
#[must_use]
pub fn manifest(id: &Hash) -> ObjectKey {
    key(format!("manifests/{id}"))
}

/// The key of the head of a channel.
#[must_use]
pub fn head(channel: &ChannelName) -> ObjectKey {
    key(format!("heads/{channel}.json"))
}

/// The key of the head in a snapshot's directory on IPFS, where there is one channel only.
#[must_use]
pub fn snapshot_head() -> ObjectKey {
    key("head.json".to_owned())
}

/// The key of version `version` of the trust root.
#[must_use]
pub fn root(version: u32) -> ObjectKey {
    key(format!("root/{version}.json"))
}

/// The key of the description of the store.
#[must_use]
pub fn store_info() -> ObjectKey {
    key("store.json".to_owned())
}

/// The key of the list of channels.
#[must_use]
pub fn index() -> ObjectKey {
    key("index.json".to_owned())
}

fn fanned_out(folder: &str, hash: &Hash) -> ObjectKey {
    key(format!("{folder}/{}/{hash}", hash.fan_out()))
}

fn key(text: String) -> ObjectKey {
    text.parse().expect("folders, hex digits, numbers and channel names are within the grammar of keys")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_lies_where_the_format_says() {
        let hash = Hash::of(b"x");
        let (text, aa) = (hash.to_string(), &hash.to_string()[..2]);
        assert_eq!(chunk(&hash).as_str(), format!("chunks/{aa}/{text}"));
        assert_eq!(raw(&hash).as_str(), format!("raw/{aa}/{text}"));
        assert_eq!(list(&hash).as_str(), format!("lists/{aa}/{text}"));
        assert_eq!(manifest(&hash).as_str(), format!("manifests/{text}"));
        assert_eq!((form_of(&chunk(&hash)), form_of(&raw(&hash)), form_of(&list(&hash))), (Some(Form::Zstd), Some(Form::Raw), None));
        assert_eq!(root(7).as_str(), "root/7.json");
        assert_eq!((store_info().as_str(), index().as_str()), ("store.json", "index.json"));
    }

    #[test]
    fn every_channel_has_a_head_key() {
        let longest = format!("{}/{}", "a".repeat(64), "9._-".repeat(16));
        for name in ["kusama/rocksdb-pruned", &longest] {
            assert_eq!(head(&name.parse().unwrap()).as_str(), format!("heads/{name}.json"));
        }
    }
}
