//! Where a snapshot is built and by which renames it gets into place. Pure: facts in, decisions out.

use std::path::{Path, PathBuf};

use crate::types::RelPath;

/// Name of the staging directory inside a target.
pub const INSIDE_NAME: &str = ".qsync-partial";

/// What follows the name of an old entry that is kept, before the id of the snapshot that took its place.
pub const KEPT_SUFFIX: &str = ".qsync-old-";

/// Where the staging directory of a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Beside the target, as `.NAME.qsync-partial`; the target is swapped as a whole.
    Sibling,
    /// In the target, as `.qsync-partial`; what the snapshot owns is swapped entry by entry.
    Inside,
}

/// The staging directory of `target` in that place; `None` for a target without a name.
#[must_use]
pub fn staging_path(target: &Path, place: Place) -> Option<PathBuf> {
    match place {
        Place::Inside => Some(target.join(INSIDE_NAME)),
        Place::Sibling => {
            let mut name = std::ffi::OsString::from(".");
            name.push(target.file_name()?);
            name.push(".qsync-partial");
            Some(target.with_file_name(name))
        }
    }
}

/// One entry that gets a new owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where it lies in the staging directory, relative to `data/`, empty for `data` itself; `None` when the snapshot has no such entry,
    /// so that an old one only goes away.
    pub staged: Option<PathBuf>,
    /// Where it goes, relative to the target; empty for the target itself.
    pub place: PathBuf,
}

/// The steps that put a snapshot in place.
///
/// `staged` are the top-level entries of what was built, `present` those of the target. Entries of other owners stay: beside subtrees
/// everything, in a whole directory the staging directory and `lost+found`, which belongs to the file system.
#[must_use]
pub fn steps(place: Place, subtrees: Option<&[RelPath]>, staged: &[String], present: &[String]) -> Vec<Step> {
    let step = |name: &str, is_staged: bool| Step { staged: is_staged.then(|| PathBuf::from(name)), place: PathBuf::from(name) };
    match (place, subtrees) {
        (Place::Sibling, _) => vec![Step { staged: Some(PathBuf::new()), place: PathBuf::new() }],
        (Place::Inside, Some(subtrees)) => {
            let has = |tree: &RelPath| staged.iter().any(|path| path == tree.as_str());
            subtrees.iter().map(|tree| step(tree.as_str(), has(tree))).collect()
        }
        (Place::Inside, None) => {
            let gone = present.iter().filter(|name| !is_foreign(name) && !staged.contains(name));
            staged.iter().map(|name| step(name, true)).chain(gone.map(|name| step(name, false))).collect()
        }
    }
}

/// Whether an entry of a target never belongs to a snapshot of the whole directory: the staging directory, what the file system keeps
/// for itself, and databases that were put aside to be kept.
#[must_use]
pub fn is_foreign(name: &str) -> bool {
    name == INSIDE_NAME || name == "lost+found" || name.contains(KEPT_SUFFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&n| n.to_owned()).collect()
    }

    fn step(staged: Option<&str>, place: &str) -> Step {
        Step { staged: staged.map(PathBuf::from), place: place.into() }
    }

    #[test]
    fn a_whole_directory_beside_its_staging_is_one_step() {
        assert_eq!(steps(Place::Sibling, None, &names(&["db"]), &names(&["old"])), [step(Some(""), "")]);
    }

    #[test]
    fn inside_a_mount_point_old_entries_go_and_foreign_ones_stay() {
        let steps = steps(
            Place::Inside,
            None,
            &names(&["a", "b"]),
            &names(&["b", "c", ".qsync-partial", "lost+found", "b.qsync-old-0d197521d9a4"]),
        );
        assert_eq!(steps, [step(Some("a"), "a"), step(Some("b"), "b"), step(None, "c")]);
    }

    #[test]
    fn only_subtrees_are_touched_when_the_snapshot_owns_subtrees() {
        let subtrees = ["geth/chaindata".parse().unwrap(), "geth/triedb".parse().unwrap()];
        let steps = steps(Place::Inside, Some(&subtrees), &names(&["geth/chaindata"]), &names(&["keystore", "geth"]));
        assert_eq!(steps, [step(Some("geth/chaindata"), "geth/chaindata"), step(None, "geth/triedb")]);
    }

    #[test]
    fn staging_lies_beside_or_in_the_target() {
        assert_eq!(staging_path(Path::new("/d/node"), Place::Sibling), Some("/d/.node.qsync-partial".into()));
        assert_eq!(staging_path(Path::new("/d/node"), Place::Inside), Some("/d/node/.qsync-partial".into()));
        assert_eq!(staging_path(Path::new("/"), Place::Sibling), None);
    }
}
