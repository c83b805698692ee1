//! Which part of a data directory is published, as its node profile says it.
//!
//! Only what is named is walked. A part that is missing, lies elsewhere or is there twice refuses the run: half a database, and one of
//! another chain, are worth nothing to who restores it.

use std::{path::Path, sync::Arc};

use globset::{GlobBuilder, GlobMatcher};

use super::{Error, layout::stat_if_there, secrets::is_engine_file};
use crate::{
    fs::{Fs, Kind},
    profile::{CHAIN, Globs, Need, NodeProfile},
    types::RelPath,
};

/// What of a data directory is published.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Name of the node profile.
    node: String,
    /// Empty: everything.
    parts: Vec<Part>,
    needs: Vec<Need>,
    never: Globs,
    opaque: Globs,
}

/// Directories that are published.
#[derive(Clone, Debug)]
struct Part {
    glob: String,
    optional: bool,
}

impl Selection {
    /// All of it.
    #[must_use]
    pub fn everything() -> Arc<Self> {
        Arc::new(Self::of(&NodeProfile::generic(), ""))
    }

    /// What a node profile names, for a chain of that name.
    #[must_use]
    pub fn of(profile: &NodeProfile, chain: &str) -> Self {
        Self {
            node: profile.name.clone(),
            parts: profile.parts(chain).map(|(glob, optional)| Part { glob, optional }).collect(),
            needs: profile.needs.clone(),
            never: profile.never.clone(),
            opaque: profile.opaque.clone(),
        }
    }

    /// Whether an entry is never published, nor anything below it.
    pub(super) fn leaves_out(&self, path: &str) -> bool {
        self.never.matches_entry(path)
    }

    /// Whether a file is the engine's, so that its content proves nothing.
    pub(super) fn is_opaque(&self, path: &RelPath) -> bool {
        if self.opaque.is_empty() { is_engine_file(path.name()) } else { self.opaque.matches(path) }
    }

    /// The directories that are published, sorted and none in another; `None` for all there is.
    ///
    /// # Errors
    /// [`Error::SourcePart`] for a part that is missing, is no directory or is there for several chains.
    pub(super) fn subtrees(&self, fs: &dyn Fs, root: &Path) -> Result<Option<Vec<RelPath>>, Error> {
        let mut found = Vec::new();
        for part in &self.parts {
            found.extend(self.resolve(fs, root, part)?);
        }
        for need in &self.needs {
            self.check_need(fs, root, need)?;
        }
        found.sort_unstable();
        found.dedup();
        let all = found.clone();
        found.retain(|path| !all.iter().any(|other| other != path && path.as_path().starts_with(other)));
        Ok((!self.parts.is_empty()).then_some(found))
    }

    fn resolve(&self, fs: &dyn Fs, root: &Path, part: &Part) -> Result<Vec<RelPath>, Error> {
        let refuse = |why: String| Err(Error::SourcePart { path: root.join(part.glob.replace(CHAIN, "*")), why });
        let mut found = Vec::new();
        for path in self.matches(fs, root, &part.glob)? {
            found.push(self.directory(fs, root, path)?);
        }
        match found.as_slice() {
            [] if !part.optional => refuse(format!("is missing, and a {} node has it{}", self.node, self.instead(fs, root, &part.glob)?)),
            [_, _, ..] if part.glob.contains(CHAIN) => {
                let names: Vec<&str> = found.iter().map(RelPath::as_str).collect();
                refuse(format!("is there for several chains: {}", names.join(", ")))
            }
            _ => Ok(found),
        }
    }

    /// A part that was found, if it is a directory that can be published.
    fn directory(&self, fs: &dyn Fs, root: &Path, path: String) -> Result<RelPath, Error> {
        let full = root.join(&path);
        let rel: RelPath = path.parse().map_err(|source| Error::SourceName { path: full.clone(), source })?;
        let mut way = Vec::from_iter(std::iter::successors(Some(rel.clone()), RelPath::parent));
        way.reverse();
        for path in way {
            let full = root.join(&path);
            match stat_if_there(fs, &full)?.map(|stat| stat.kind) {
                Some(Kind::Dir) => {}
                Some(Kind::Symlink) => {
                    let why = "is a symbolic link: what lies behind it would be missing, so that half a database would be published";
                    return Err(Error::SourcePart { path: full, why: why.to_owned() });
                }
                _ => return Err(Error::SourcePart { path: full, why: format!("is no directory, and for a {} node it is one", self.node) }),
            }
        }
        Ok(rel)
    }

    fn check_need(&self, fs: &dyn Fs, root: &Path, need: &Need) -> Result<(), Error> {
        if self.matches(fs, root, &need.path)?.is_empty() {
            return Err(Error::SourcePart { path: root.join(&need.path), why: format!("is missing: {}", need.why) });
        }
        Ok(())
    }

    /// What is there of other chains in place of a part, for people.
    fn instead(&self, fs: &dyn Fs, root: &Path, glob: &str) -> Result<String, Error> {
        let Some((above, _)) = glob.split_once('/').filter(|(above, _)| *above == "chains") else { return Ok(String::new()) };
        let others = self.matches(fs, root, &format!("{above}/*"))?;
        Ok(if others.is_empty() { String::new() } else { format!("; there are {}", others.join(", ")) })
    }

    /// The entries that match a glob of single names, sorted; what is never published is not among them.
    fn matches(&self, fs: &dyn Fs, root: &Path, glob: &str) -> Result<Vec<String>, Error> {
        let mut found = vec![String::new()];
        for name in glob.split('/') {
            let mut next = Vec::new();
            for dir in &found {
                next.extend(below(fs, root, dir, name)?.into_iter().filter(|path| !self.leaves_out(path)));
            }
            found = next;
        }
        found.sort_unstable();
        Ok(found)
    }
}

/// The paths that match a glob of single names below a directory, relative to it and sorted.
///
/// # Errors
/// When a directory on the way cannot be read.
pub fn matches(fs: &dyn Fs, root: &Path, glob: &str) -> Result<Vec<String>, Error> {
    let everything = Selection::everything();
    everything.matches(fs, root, glob)
}

/// The entries of one directory that have such a name.
fn below(fs: &dyn Fs, root: &Path, dir: &str, name: &str) -> Result<Vec<String>, Error> {
    let path_of = |name: &str| if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") };
    let Some(matcher) = matcher(name) else {
        let path = path_of(name);
        return Ok(stat_if_there(fs, &root.join(&path))?.map(|_| path).into_iter().collect());
    };
    let full = root.join(dir);
    if !dir.is_empty() && stat_if_there(fs, &full)?.is_none_or(|stat| stat.kind != Kind::Dir) {
        return Ok(Vec::new());
    }
    let entries = fs.read_dir(&full).map_err(Error::io("read", &full))?;
    let names = entries.iter().filter_map(|entry| entry.name.to_str());
    Ok(names.filter(|name| matcher.is_match(name)).map(path_of).collect())
}

/// Of a name with wild cards in it.
fn matcher(name: &str) -> Option<GlobMatcher> {
    let name = if name == CHAIN { "*" } else { name };
    let glob = name.contains(['*', '?', '[', '{']).then(|| GlobBuilder::new(name).literal_separator(true).build());
    glob.and_then(Result::ok).map(|glob| glob.compile_matcher())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        disk::{
            scan::{Scan, scan},
            testing::put,
        },
        fs::MemoryFs,
    };

    fn scanned(fs: &MemoryFs, node: &str, chain: &str) -> Result<Scan, Error> {
        let profile = NodeProfile::builtin(node).unwrap();
        scan(fs, Path::new("/d"), &Arc::new(Selection::of(&profile, chain)))
    }

    fn why(result: Result<Scan, Error>) -> String {
        match result {
            Err(error @ Error::SourcePart { .. }) => error.to_string(),
            other => panic!("{other:?}"),
        }
    }

    fn fs_with(paths: &[&str]) -> MemoryFs {
        let fs = MemoryFs::new();
        paths.iter().for_each(|path| put(&fs, &format!("/d/{path}"), b"x"));
        fs
    }

    fn texts<'a>(paths: impl IntoIterator<Item = &'a RelPath>) -> Vec<&'a str> {
        paths.into_iter().map(RelPath::as_str).collect()
    }

    const GETH: [&str; 7] = [
        "geth/chaindata/CURRENT",
        "geth/chaindata/LOCK",
        "geth/chaindata/ancient/chain/hashes.ridx",
        "geth/triedb/merkle.journal",
        "geth/nodekey",
        "keystore/UTC--1",
        "geth/nodes/CURRENT",
    ];

    #[test]
    fn only_what_the_profile_names_is_walked_and_the_ways_to_it_are_named() {
        let fs = fs_with(&GETH);
        fs.symlink(Path::new("/d/geth.ipc")).unwrap();
        let scan = scanned(&fs, "geth", "ethereum").unwrap();
        assert_eq!(texts(scan.subtrees.iter().flatten()), ["geth/chaindata", "geth/triedb"]);
        let dirs = ["geth", "geth/chaindata", "geth/chaindata/ancient", "geth/chaindata/ancient/chain", "geth/triedb"];
        assert_eq!(texts(&scan.dirs), dirs);
        let files = ["geth/chaindata/CURRENT", "geth/chaindata/ancient/chain/hashes.ridx", "geth/triedb/merkle.journal"];
        assert_eq!(texts(scan.files.iter().map(|file| &file.path)), files);
        // What comes and goes beside is none of its business; what comes into it is.
        put(&fs, "/d/geth/blobpool/1", b"x");
        put(&fs, "/d/geth/triedb/LOCK", b"x");
        scan.check_unchanged(&fs).unwrap();
        put(&fs, "/d/geth/triedb/2", b"x");
        assert!(matches!(scan.check_unchanged(&fs), Err(Error::SourceChanged { path, .. }) if path.as_str() == "geth/triedb/2"));
    }

    #[test]
    fn half_a_database_is_refused() {
        let without = |gone: &str| {
            let fs = MemoryFs::new();
            GETH.iter().filter(|path| !path.starts_with(gone)).for_each(|path| put(&fs, &format!("/d/{path}"), b"x"));
            fs
        };
        assert!(why(scanned(&without("geth/chaindata/ancient"), "geth", "x")).contains("--datadir.ancient"));
        assert_eq!(why(scanned(&without("geth/chaindata"), "geth", "x")), "/d/geth/chaindata is missing, and a geth node has it");
        scanned(&without("geth/triedb"), "geth", "x").unwrap();

        let fs = without("geth/chaindata/ancient");
        fs.symlink(Path::new("/d/geth/chaindata/ancient")).unwrap();
        assert!(matches!(scanned(&fs, "geth", "x"), Err(Error::SourceKind { path, .. }) if path == Path::new("/d/geth/chaindata/ancient")));
        let fs = without("geth/chaindata");
        fs.symlink(Path::new("/d/geth/chaindata")).unwrap();
        assert!(why(scanned(&fs, "geth", "x")).starts_with("/d/geth/chaindata is a symbolic link"));
        let fs = fs_with(&["wasm"]);
        ["application.db/1", "blockstore.db/1", "state.db/1"].iter().for_each(|path| put(&fs, &format!("/d/data/{path}"), b"x"));
        assert!(why(scanned(&fs, "cosmos-sdk", "x")).starts_with("/d/wasm is no directory"));
    }

    #[test]
    fn the_directory_is_that_of_the_channels_chain() {
        let fs = fs_with(&["chains/polkadot/db/full/CURRENT", "chains/mine/db/full/CURRENT"]);
        let subtrees = |chain: &str| scanned(&fs, "polkadot-rocksdb", chain).map(|scan| texts(scan.subtrees.iter().flatten()).join(" "));
        assert_eq!(subtrees("polkadot").unwrap(), "chains/polkadot/db/full");
        let missing = why(scanned(&fs, "polkadot-rocksdb", "kusama"));
        assert!(missing.starts_with("/d/chains/ksmcc3/db/full is missing") && missing.ends_with("there are chains/mine, chains/polkadot"));
        let several = why(scanned(&fs, "polkadot-rocksdb", "other"));
        assert!(several.ends_with("is there for several chains: chains/mine/db/full, chains/polkadot/db/full"), "{several}");
        fs.remove_tree(Path::new("/d/chains/polkadot")).unwrap();
        put(&fs, "/d/chains/polkadot/paritydb/full/metadata", b"x");
        assert_eq!(scanned(&fs, "polkadot-rocksdb", "other").unwrap().subtrees.unwrap()[0].as_str(), "chains/mine/db/full");
    }

    #[test]
    fn several_directories_match_one_glob() {
        let fs = fs_with(&[
            "data/application.db/1",
            "data/blockstore.db/1",
            "data/state.db/1",
            "data/priv_validator_state.json",
            "data/cs.wal/1",
        ]);
        let scan = scanned(&fs, "cosmos-sdk", "cosmoshub").unwrap();
        assert_eq!(texts(scan.subtrees.iter().flatten()), ["data/application.db", "data/blockstore.db", "data/state.db"]);
        put(&fs, "/d/data/tx_index.db/1", b"x");
        assert!(matches!(scan.check_unchanged(&fs), Err(Error::SourceChanged { .. })));
    }

    #[test]
    fn a_restore_that_is_not_finished_is_seen_beside_the_parts_too() {
        for staging in [".qsync-partial/pin", "geth/.qsync-partial/pin"] {
            let fs = fs_with(&GETH);
            put(&fs, &format!("/d/{staging}"), b"x");
            assert!(matches!(scanned(&fs, "geth", "x"), Err(Error::SourceIncomplete { .. })), "{staging}");
        }
    }
}
