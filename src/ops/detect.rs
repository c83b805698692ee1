//! `qsync node detect`: which kind of node a data directory belongs to, told from its files.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{
    disk::{
        self,
        engine::{self, Facts},
        select,
    },
    fs::Fs,
    profile::{Detect, NodeProfile},
};

/// What a data directory is. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, Serialize)]
pub struct Detected {
    /// The data directory.
    pub data_dir: PathBuf,
    /// The node profile.
    pub node: String,
    /// Profiles with the same directories, which the files do not tell apart from it.
    pub same_as: Vec<String>,
    /// The database engine.
    pub engine: Option<String>,
    /// The version of its files.
    pub engine_format: Option<String>,
    /// The chain, where it can be told.
    pub chain: Option<String>,
    /// Hash of its genesis block, where it can be told.
    pub genesis: Option<String>,
    /// What is published of it.
    pub publish: Vec<String>,
    /// What told all this, one line each.
    pub why: Vec<String>,
}

/// What was found out.
#[derive(Debug)]
pub enum Answer {
    /// One kind of node.
    One(Box<Detected>),
    /// Several, which the files do not tell apart.
    Several(Vec<String>),
    /// None that a profile describes.
    None(Unknown),
}

/// What can be said of a directory that is of no known node.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unknown {
    /// The engine whose files lie right in it.
    pub engine: Option<String>,
    /// A directory above it that is of a known node, and of which.
    pub above: Option<(PathBuf, String)>,
}

/// A profile that fits, and the paths that showed it.
struct Fit<'a> {
    profile: &'a NodeProfile,
    facts: Facts,
    shown_by: Vec<String>,
}

/// How far above a directory its node's own may be, as in `chains/kusama/db/full`.
const MOST_ABOVE: usize = 4;

/// Looks which of the profiles describes a directory.
///
/// # Errors
/// When the directory cannot be read.
pub fn detect(fs: &dyn Fs, data_dir: &Path, profiles: &[NodeProfile]) -> Result<Answer, disk::Error> {
    let absent = |source| disk::Error::SourceAbsent { path: data_dir.to_owned(), source };
    let root = fs.canonicalize(data_dir).map_err(absent)?;
    let mut fits = most_telling(fits(fs, &root, profiles)?);
    match fits.len() {
        0 => Ok(Answer::None(unknown(fs, &root, profiles)?)),
        1 => Ok(Answer::One(Box::new(detected(&root, fits.swap_remove(0), profiles)))),
        _ => Ok(Answer::Several(fits.iter().map(|fit| fit.profile.name.clone()).collect())),
    }
}

fn fits<'a>(fs: &dyn Fs, root: &Path, profiles: &'a [NodeProfile]) -> Result<Vec<Fit<'a>>, disk::Error> {
    let mut fits = Vec::new();
    for profile in profiles {
        if let Some(shown_by) = shown_by(fs, root, &profile.detect)? {
            fits.push(Fit { facts: engine::facts(fs, root, profile)?, profile, shown_by });
        }
    }
    Ok(fits)
}

/// The paths that a profile is known by; `None` when it does not fit.
fn shown_by(fs: &dyn Fs, root: &Path, detect: &Detect) -> Result<Option<Vec<String>>, disk::Error> {
    let mut shown_by = Vec::new();
    for glob in &detect.all {
        let Some(first) = select::matches(fs, root, glob)?.into_iter().next() else { return Ok(None) };
        shown_by.push(first);
    }
    for glob in &detect.none {
        if !select::matches(fs, root, glob)?.is_empty() {
            return Ok(None);
        }
    }
    let Some(first) = shown_by.first() else { return Ok(None) };
    let Some(engine) = &detect.engine else { return Ok(Some(shown_by)) };
    let dir = first.rsplit_once('/').map_or("", |(dir, _)| dir);
    let is_engine = engine::of_dir(fs, &root.join(dir))?.is_some_and(|(found, _)| found.name == *engine);
    Ok(is_engine.then_some(shown_by))
}

/// Of profiles with the same directories, the one whose chain it is, or else the one that the others are like.
fn most_telling(fits: Vec<Fit<'_>>) -> Vec<Fit<'_>> {
    let family = |fit: &Fit<'_>| fit.profile.detect.same_as.clone().unwrap_or_else(|| fit.profile.name.clone());
    let knows_chain = |fit: &Fit<'_>| fit.facts.chain.as_ref().is_some_and(|chain| fit.profile.chains.contains_key(chain));
    let told: Vec<String> = fits.iter().filter(|fit| knows_chain(fit)).map(family).collect();
    let stays = |fit: &Fit<'_>| if told.contains(&family(fit)) { knows_chain(fit) } else { fit.profile.detect.same_as.is_none() };
    fits.into_iter().filter(stays).collect()
}

fn detected(root: &Path, fit: Fit<'_>, profiles: &[NodeProfile]) -> Detected {
    let Fit { profile, facts, shown_by } = fit;
    let knows_chain = facts.chain.as_ref().is_some_and(|chain| profile.chains.contains_key(chain));
    let same = profiles.iter().filter(|other| !knows_chain && other.detect.same_as.as_deref() == Some(&profile.name));
    let (engine, engine_format) = facts.engine.map(|engine| (engine.name, engine.format)).unzip();
    let version = engine_format.clone().flatten().map(|version| format!(" {version}")).unwrap_or_default();
    let mut why = vec![format!("{}: {} there", profile.name, shown_by.join(", ") + if shown_by.len() == 1 { " is" } else { " are" })];
    why.extend(engine.iter().zip(&facts.engine_file).map(|(engine, file)| format!("{engine}{version}: {file} says so")));
    let of_chain = facts.chain.clone().or_else(|| facts.genesis.clone().map(|genesis| format!("genesis {genesis}")));
    why.extend(of_chain.iter().zip(&facts.chain_file).map(|(chain, file)| format!("{chain}: {file} says so")));
    Detected {
        data_dir: root.to_owned(),
        node: profile.name.clone(),
        same_as: same.map(|other| other.name.clone()).collect(),
        engine,
        engine_format: engine_format.flatten(),
        chain: facts.chain,
        genesis: facts.genesis,
        publish: profile.publish.clone(),
        why,
    }
}

fn unknown(fs: &dyn Fs, root: &Path, profiles: &[NodeProfile]) -> Result<Unknown, disk::Error> {
    let engine = engine::of_dir(fs, root)?.map(|(engine, _)| match engine.format {
        Some(format) => format!("{} {format}", engine.name),
        None => engine.name,
    });
    for above in root.ancestors().skip(1).take(MOST_ABOVE) {
        // What lies above may be nobody's business: that it cannot be read tells nothing.
        if let Ok([fit]) = fits(fs, above, profiles).map(most_telling).as_deref() {
            return Ok(Unknown { engine, above: Some((above.to_owned(), fit.profile.name.clone())) });
        }
    }
    Ok(Unknown { engine, above: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{MemoryFs, Open};

    fn put(fs: &MemoryFs, path: &str, bytes: &[u8]) {
        let path = Path::new(path);
        fs.create_dir_all(path.parent().unwrap(), 0o755).unwrap();
        fs.open(path, Open::CreateNew(0o644)).unwrap().write_all_at(bytes, 0).unwrap();
    }

    fn built_in() -> Vec<NodeProfile> {
        NodeProfile::builtin_names().map(|name| NodeProfile::builtin(name).unwrap()).collect()
    }

    fn ask(files: &[(&str, &[u8])], dir: &str) -> Answer {
        let fs = MemoryFs::new();
        files.iter().for_each(|(path, bytes)| put(&fs, &format!("/d/{path}"), bytes));
        detect(&fs, Path::new(dir), &built_in()).unwrap()
    }

    fn one(files: &[(&str, &[u8])]) -> Detected {
        let Answer::One(detected) = ask(files, "/d") else { panic!("not one") };
        *detected
    }

    const GETH: [(&str, &[u8]); 2] = [("geth/chaindata/CURRENT", b""), ("geth/chaindata/MANIFEST-000001", b"")];

    #[test]
    fn profiles_with_the_same_directories_are_told_apart_by_the_chain() {
        let unsure = one(&GETH);
        assert_eq!((unsure.node.as_str(), unsure.same_as.join(" ")), ("geth", "bsc op-geth".to_owned()));
        assert_eq!(unsure.why[0], "geth: geth/chaindata/MANIFEST-000001 is there");
        let bsc = hex::decode("0d21840abff46b96c84b2ac9e10e4f5cdaeb5693cb665db62a2f3b02d2d57b5b").unwrap();
        let sure = one(&[GETH.as_slice(), &[("geth/chaindata/ancient/chain/hashes.0000.rdat", bsc.as_slice())]].concat());
        assert_eq!((sure.node.as_str(), sure.chain.as_deref(), sure.same_as.len()), ("bsc", Some("bsc"), 0));
        assert_eq!(sure.why.last().unwrap(), "bsc: geth/chaindata/ancient/chain/hashes.0000.rdat says so");
    }

    #[test]
    fn two_nodes_in_one_directory_are_ambiguous() {
        let bitshares = ("blockchain/database/block_num_to_block/index", b"".as_slice());
        let answer = ask(&[GETH.as_slice(), &[bitshares]].concat(), "/d");
        assert!(matches!(answer, Answer::Several(names) if names == ["bitshares", "geth"]));
    }

    #[test]
    fn what_is_no_node_is_described_as_far_as_can_be() {
        assert!(matches!(ask(&[("readme", b"")], "/d"), Answer::None(unknown) if unknown == Unknown::default()));
        let Answer::None(inside) = ask(&GETH, "/d/geth/chaindata") else { panic!() };
        assert_eq!(inside, Unknown { engine: Some("leveldb".into()), above: Some(("/d".into(), "geth".into())) });
    }

    #[test]
    fn an_engine_that_the_profile_does_not_have_is_another_node() {
        let files: [(&str, &[u8]); 2] = [("chains/a/db/full/CURRENT", b""), ("chains/a/db/full/MANIFEST-000001", b"")];
        assert!(matches!(ask(&files, "/d"), Answer::None(_)));
        let rocksdb: (&str, &[u8]) = ("chains/a/db/full/OPTIONS-000003", b"rocksdb_version=9.0.0");
        let found = one(&[files.as_slice(), &[rocksdb]].concat());
        assert_eq!(
            (found.node.as_str(), found.engine_format.as_deref(), found.chain.as_deref()),
            ("polkadot-rocksdb", Some("9.0.0"), Some("a"))
        );
    }
}
