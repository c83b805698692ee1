//! What an object is, told from the end of its path: the prefix of a store is anybody's choice. Pure.

use serde::Serialize;

use crate::types::{ChannelName, Hash};

/// What kind of object was read. Names are a promise (docs/scripting.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectClass {
    /// Frames.
    Chunks,
    /// Chunks as they are.
    Raw,
    /// Chunk lists.
    Lists,
    /// Manifests.
    Manifests,
    /// Heads.
    Heads,
    /// Trust roots.
    Root,
    /// The list of channels.
    Index,
    /// Anything else, `store.json` too.
    Other,
}

impl ObjectClass {
    /// All, as they are shown.
    pub const ALL: [Self; 8] = [Self::Chunks, Self::Raw, Self::Lists, Self::Manifests, Self::Heads, Self::Root, Self::Index, Self::Other];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Chunks => "chunks",
            Self::Raw => "raw",
            Self::Lists => "lists",
            Self::Manifests => "manifests",
            Self::Heads => "heads",
            Self::Root => "root",
            Self::Index => "index",
            Self::Other => "other",
        }
    }

    /// What lies at a path, and for a manifest of which snapshot it is.
    #[must_use]
    pub fn of_path(path: &str) -> (Self, Option<Hash>) {
        let mut parts = path.rsplit('/');
        let (name, folder, above) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if let Ok(hash) = name.parse::<Hash>() {
            return match above {
                _ if folder == "manifests" => (Self::Manifests, Some(hash)),
                "chunks" if folder == hash.fan_out() => (Self::Chunks, None),
                "raw" if folder == hash.fan_out() => (Self::Raw, None),
                "lists" if folder == hash.fan_out() => (Self::Lists, None),
                _ => (Self::Other, None),
            };
        }
        let Some(stem) = name.strip_suffix(".json") else { return (Self::Other, None) };
        let is_head = above == "heads" && format!("{folder}/{stem}").parse::<ChannelName>().is_ok();
        let is_root = folder == "root" && stem.parse::<u32>().is_ok();
        let class = match stem {
            _ if is_head => Self::Heads,
            _ if is_root => Self::Root,
            "index" => Self::Index,
            _ => Self::Other,
        };
        (class, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::key;

    #[test]
    fn every_object_of_the_format_has_its_class_below_any_prefix() {
        let hash = Hash::of(b"x");
        let channel = "kusama/rocksdb-pruned".parse().unwrap();
        for (object, class) in [
            (key::chunk(&hash), ObjectClass::Chunks),
            (key::raw(&hash), ObjectClass::Raw),
            (key::list(&hash), ObjectClass::Lists),
            (key::manifest(&hash), ObjectClass::Manifests),
            (key::head(&channel), ObjectClass::Heads),
            (key::root(12), ObjectClass::Root),
            (key::index(), ObjectClass::Index),
            (key::store_info(), ObjectClass::Other),
        ] {
            for prefix in ["", "/", "/v1/", "snap/chunks/"] {
                let id = (class == ObjectClass::Manifests).then_some(hash);
                assert_eq!(ObjectClass::of_path(&format!("{prefix}{object}")), (class, id), "{prefix}{object}");
            }
        }
    }

    #[test]
    fn what_only_looks_like_one_is_something_else() {
        let hash = Hash::of(b"x").to_string();
        for path in [
            "",
            "/",
            "chunks",
            &format!("chunks/zz/{hash}"),
            &format!("chunks/{hash}"),
            "heads/a.json",
            "root/a.json",
            "/robots.txt",
            &hash,
        ] {
            assert_eq!(ObjectClass::of_path(path), (ObjectClass::Other, None), "{path}");
        }
        let upper = format!("manifests/{}", hash.to_uppercase());
        assert_eq!(ObjectClass::of_path(&upper).0, ObjectClass::Other);
    }

    #[test]
    fn the_names_are_those_of_json() {
        for class in ObjectClass::ALL {
            assert_eq!(serde_json::to_value(class).unwrap(), class.name());
        }
    }
}
