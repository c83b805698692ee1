//! What the user says that a snapshot must be, and what the database in the target is: asked before anything is fetched.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use super::{Error, Existing, Options, blocking, snapshot::Snapshot};
use crate::{
    disk::{self, engine},
    format::manifest::{About, Engine, Manifest},
    fs::Fs,
    progress::Event,
};

/// What a snapshot must be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Each of these labels it must have with this value.
    pub labels: BTreeMap<String, String>,
    /// The engine that the node takes.
    pub engine: Option<String>,
}

/// So many directories of a target are asked for their engine: databases lie near the top.
const MOST_DIRS: usize = 64;

impl Expected {
    /// Refuses a snapshot that is something else.
    ///
    /// # Errors
    /// [`Error::OtherMode`], [`Error::OtherEngine`].
    pub(super) fn check(&self, about: &About) -> Result<(), Error> {
        for (key, expected) in &self.labels {
            let found = about.labels.get(key);
            if found != Some(expected) {
                return Err(Error::OtherMode { key: key.clone(), expected: expected.clone(), found: found.cloned() });
            }
        }
        check_engine(self.engine.as_deref(), about.engine.as_ref())
    }
}

fn check_engine(expected: Option<&str>, found: Option<&Engine>) -> Result<(), Error> {
    let Some(expected) = expected else { return Ok(()) };
    let found = found.map_or("an engine that it does not name", |engine| engine.name.as_str());
    if found == expected {
        return Ok(());
    }
    Err(Error::OtherEngine { path: None, expected: expected.to_owned(), found: found.to_owned() })
}

/// MF-14, OP-11: refuses a snapshot of another engine than that of the database which it is to replace, unless the user names its engine;
/// says so where it is another version of the same.
pub(super) async fn check_target(options: &Arc<Options>, target: &Path, snapshot: &Snapshot) -> Result<(), Error> {
    let Some(engine) = snapshot.manifest.about().engine.clone() else { return Ok(()) };
    if options.existing == Existing::Refuse || options.expected.engine.is_some() {
        return Ok(());
    }
    let (fs, dir, manifest) = (Arc::clone(&options.fs), target.to_owned(), Arc::clone(&snapshot.manifest));
    let found = blocking(move || engines_in(&*fs, &dir, &manifest)).await?;
    match compare(&engine, &found) {
        Comparison::Fits => Ok(()),
        Comparison::OtherFormat(old) => {
            let text = format!("the snapshot has files of {} {}, the database that is there of {old}", engine.name, format_of(&engine));
            options.progress.event(Event::Warning { text });
            Ok(())
        }
        Comparison::OtherEngine(old) => Err(Error::OtherEngine { path: Some(target.to_owned()), expected: old, found: engine.name }),
    }
}

/// The engines of the databases that lie where the snapshot has directories.
fn engines_in(fs: &dyn Fs, target: &Path, manifest: &Manifest) -> Result<BTreeSet<(String, Option<String>)>, disk::Error> {
    let dirs = std::iter::once(target.to_owned()).chain(manifest.dirs().iter().map(|dir| target.join(dir)));
    let mut found = BTreeSet::new();
    for dir in dirs.take(MOST_DIRS) {
        found.extend(engine::of_dir(fs, &dir)?.map(|(engine, _)| (engine.name, engine.format)));
    }
    Ok(found)
}

/// How an engine compares to what is there.
#[derive(Debug, PartialEq, Eq)]
enum Comparison {
    Fits,
    /// The same engine with files of this version.
    OtherFormat(String),
    /// This engine.
    OtherEngine(String),
}

/// A node may have databases of several engines: one that is of the snapshot's is enough.
fn compare(engine: &Engine, found: &BTreeSet<(String, Option<String>)>) -> Comparison {
    let same: Vec<_> = found.iter().filter(|(name, _)| *name == engine.name).collect();
    match (found.first(), same.first()) {
        (None, _) => Comparison::Fits,
        (Some((other, _)), None) => Comparison::OtherEngine(other.clone()),
        (Some(_), Some(_)) if engine.format.is_none() || same.iter().any(|(_, format)| *format == engine.format) => Comparison::Fits,
        (Some(_), Some((_, format))) => format.clone().map_or(Comparison::Fits, Comparison::OtherFormat),
    }
}

fn format_of(engine: &Engine) -> &str {
    engine.format.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(name: &str, format: Option<&str>) -> Engine {
        Engine { name: name.to_owned(), format: format.map(str::to_owned) }
    }

    // MF-14, OP-11
    #[test]
    fn a_snapshot_that_does_not_name_its_engine_is_not_of_the_one_that_is_asked_for() {
        let rocksdb = engine("rocksdb", None);
        assert!(check_engine(None, None).is_ok() && check_engine(None, Some(&rocksdb)).is_ok());
        assert!(check_engine(Some("rocksdb"), Some(&rocksdb)).is_ok());
        for (asked, found) in [("paritydb", Some(&rocksdb)), ("rocksdb", None)] {
            assert!(matches!(check_engine(Some(asked), found), Err(Error::OtherEngine { path: None, .. })));
        }
    }

    #[test]
    fn an_engine_is_compared_with_what_is_there() {
        let there = |engines: &[(&str, Option<&str>)]| -> BTreeSet<_> {
            engines.iter().map(|(name, format)| ((*name).to_owned(), format.map(str::to_owned))).collect()
        };
        let rocksdb = engine("rocksdb", Some("9.0.0"));
        assert_eq!(compare(&rocksdb, &there(&[])), Comparison::Fits);
        assert_eq!(compare(&rocksdb, &there(&[("rocksdb", Some("9.0.0"))])), Comparison::Fits);
        assert_eq!(compare(&rocksdb, &there(&[("rocksdb", None)])), Comparison::Fits);
        assert_eq!(compare(&rocksdb, &there(&[("rocksdb", Some("8.1.1"))])), Comparison::OtherFormat("8.1.1".into()));
        assert_eq!(compare(&rocksdb, &there(&[("leveldb", None)])), Comparison::OtherEngine("leveldb".into()));
        assert_eq!(compare(&engine("mdbx", None), &there(&[("mdbx", Some("3")), ("rocksdb", None)])), Comparison::Fits);
    }
}
