//! Where the object of a key lies on IPFS. Pure.

use crate::{
    format::key,
    types::{Cid, Codec, Hash, ObjectKey},
};

/// Where an object lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It is a block itself.
    Block(Cid),
    /// The head in the root.
    Head,
    /// The manifest in the root, if it is this one.
    Manifest(Hash),
    /// This version of the trust root in the root's folder `trust`.
    Root(u32),
    /// Not stored, but known.
    StoreInfo,
    /// Not on IPFS.
    Nowhere,
}

impl Place {
    /// Where the object of this key lies.
    pub(super) fn of(object: &ObjectKey) -> Self {
        let parts: Vec<&str> = object.as_str().split('/').collect();
        let place = match parts.as_slice() {
            ["chunks" | "raw" | "lists", folder, hash] => block(folder, hash),
            ["manifests", hash] => hash.parse().ok().map(Self::Manifest),
            ["heads", _, _] => Some(Self::Head),
            ["root", file] => version(file).map(Self::Root),
            _ if *object == key::snapshot_head() => Some(Self::Head),
            _ if *object == key::store_info() => Some(Self::StoreInfo),
            _ => None,
        };
        place.unwrap_or(Self::Nowhere)
    }
}

fn block(folder: &str, hash: &str) -> Option<Place> {
    let hash: Hash = hash.parse().ok()?;
    (hash.fan_out() == folder).then(|| Place::Block(Cid::new(Codec::Raw, hash)))
}

fn version(file: &str) -> Option<u32> {
    let version = file.strip_suffix(".json")?.parse().ok()?;
    (key::root(version).as_str().strip_prefix("root/") == Some(file)).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_format_has_its_place() {
        let hash = Hash::of(b"chunk");
        let block = Place::Block(Cid::new(Codec::Raw, hash));
        for object in [key::chunk(&hash), key::raw(&hash), key::list(&hash)] {
            assert_eq!(Place::of(&object), block, "{object}");
        }
        let places = [
            (key::head(&"demo/generic".parse().unwrap()), Place::Head),
            (key::snapshot_head(), Place::Head),
            (key::manifest(&hash), Place::Manifest(hash)),
            (key::root(12), Place::Root(12)),
            (key::store_info(), Place::StoreInfo),
            (key::index(), Place::Nowhere),
        ];
        for (object, place) in places {
            assert_eq!(Place::of(&object), place, "{object}");
        }
    }

    #[test]
    fn nothing_else_has_one() {
        let wrong_folder = format!("chunks/zz/{}", Hash::of(b"chunk"));
        for text in ["absent", "chunks/00/00ff", "chunks/00", "store.json/x", "root/01.json", "root/x.json", "gc/state.json", &wrong_folder]
        {
            assert_eq!(Place::of(&text.parse().unwrap()), Place::Nowhere, "{text}");
        }
    }
}
