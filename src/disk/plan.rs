//! Where a snapshot is built and by which renames it gets into place. Pure: facts in, decisions out.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::{
    have::Have,
    mode::{Mode, Phase, Purpose},
    verify::Defect,
};
use crate::{format::manifest::Manifest, types::RelPath};

pub use crate::types::reserved::{INSIDE_NAME, KEPT_SUFFIX, LOST_AND_FOUND, is_staging};

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

/// The top-level entries of a snapshot.
#[must_use]
pub fn top_names(manifest: &Manifest) -> Vec<String> {
    let paths = manifest.dirs().iter().chain(manifest.files().iter().map(|file| &file.path));
    let names: BTreeSet<&str> = paths.filter_map(|path| path.components().next()).collect();
    names.into_iter().map(str::to_owned).collect()
}

/// Whether an entry of a target never belongs to a snapshot of the whole directory: the staging directory, what the file system keeps
/// for itself, and databases that were put aside to be kept.
#[must_use]
pub fn is_foreign(name: &str) -> bool {
    name == INSIDE_NAME || name == LOST_AND_FOUND || name.contains(KEPT_SUFFIX)
}

/// What a restore does with a staging directory that it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeUp {
    /// It goes on with the snapshot that it is pinned to.
    Continue,
    /// It chooses a snapshot anew; that the target is incomplete stays noted until it is complete.
    Repin,
    /// It removes it.
    Remove,
    /// It is none of its business: only finishing what was begun makes the target whole.
    Refuse(Purpose),
}

/// What a restore does with a staging directory of that mode, asked to work in place or not, and to discard what is there or not.
///
/// A target that is half overwritten stays marked as such whatever is asked, until it is complete. One of which nothing was changed yet
/// is as it was.
#[must_use]
pub fn take_up(mode: Mode, in_place: bool, discard: bool) -> TakeUp {
    match mode {
        Mode::Swap | Mode::InPlace(Purpose::Restore, Phase::Prepared) if discard => TakeUp::Remove,
        Mode::Swap => TakeUp::Continue,
        Mode::InPlace(Purpose::Restore, Phase::Prepared) if in_place => TakeUp::Continue,
        Mode::InPlace(_, Phase::Prepared | Phase::Complete) => TakeUp::Remove,
        Mode::InPlace(purpose, Phase::Incomplete) if !in_place => TakeUp::Refuse(purpose),
        Mode::InPlace(_, Phase::Incomplete) if discard => TakeUp::Repin,
        Mode::InPlace(_, Phase::Incomplete) => TakeUp::Continue,
    }
}

/// What a repair does with a staging directory of that mode; `same` when it is pinned to the snapshot that the directory is repaired to.
///
/// # Errors
/// What has to be finished first; `None` for a restore that is built elsewhere.
pub fn take_up_for_repair(mode: Mode, same: bool) -> Result<TakeUp, Option<Purpose>> {
    match mode {
        Mode::Swap => Err(None),
        Mode::InPlace(_, Phase::Prepared | Phase::Complete) => Ok(TakeUp::Remove),
        Mode::InPlace(Purpose::Repair, Phase::Incomplete) if same => Ok(TakeUp::Continue),
        Mode::InPlace(purpose, Phase::Incomplete) => Err(Some(purpose)),
    }
}

/// Whether a staging directory of that mode may be removed.
///
/// # Errors
/// What has to be finished first: it is all that tells a half overwritten target from a whole one.
pub fn check_removable(mode: Mode) -> Result<(), Purpose> {
    match mode {
        Mode::InPlace(purpose, Phase::Incomplete) => Err(purpose),
        Mode::Swap | Mode::InPlace(_, Phase::Prepared | Phase::Complete) => Ok(()),
    }
}

/// Whether bytes of the snapshot heal a defect. What the snapshot does not list is left, and a file hash that fits no chunks is the
/// publisher's mistake.
#[must_use]
pub fn is_repairable(defect: &Defect) -> bool {
    match defect {
        Defect::Chunk { .. } | Defect::Length { .. } | Defect::Missing { .. } => true,
        Defect::Unexpected { .. } | Defect::WholeFile { .. } => false,
    }
}

/// Where these defects are: their files, and in them their chunks.
#[must_use]
pub fn places(defects: &[Defect]) -> BTreeSet<(&str, Option<u64>)> {
    defects.iter().flat_map(|defect| [(defect.path(), None), place(defect)]).collect()
}

/// Whether a defect that was to be repaired is at one of the places where there are some now, whatever bytes were found each time; for one
/// that is of a whole file, whether anything is wrong in that file.
#[must_use]
pub fn is_still_wrong(defect: &Defect, now: &BTreeSet<(&str, Option<u64>)>) -> bool {
    now.contains(&place(defect))
}

fn place(defect: &Defect) -> (&str, Option<u64>) {
    (defect.path(), if let Defect::Chunk { chunk, .. } = defect { Some(*chunk) } else { None })
}

/// The chunks of a directory with these defects that are right.
#[must_use]
pub fn healthy(manifest: &Manifest, defects: &[Defect]) -> Have {
    let mut have = Have::all(manifest);
    for defect in defects {
        let Some((file, _)) = manifest.find(defect.path()) else { continue };
        match defect {
            Defect::Chunk { chunk, .. } => have.remove(file, *chunk),
            Defect::Missing { .. } => have.forget(file),
            // What is missing at the end of a file that is too short is among the chunks.
            Defect::Length { .. } | Defect::Unexpected { .. } | Defect::WholeFile { .. } => {}
        }
    }
    have
}

/// What has to be done to a file before its missing chunks can be written in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileStep {
    /// Nothing.
    Leave,
    /// It is made.
    Make,
    /// It gets another length.
    Resize,
    /// Its name goes to a new file: the old one has other names, under which it must not change.
    Anew,
}

/// What is known of a file in a directory that is to be changed in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its length, bytes.
    pub bytes: u64,
    /// How many names it has.
    pub names: u64,
}

/// What to do to a file, `None` when it is not there, that is to be `bytes` long; `right` when every chunk of it is what it should be.
#[must_use]
pub fn file_step(found: Option<Found>, bytes: u64, right: bool) -> FileStep {
    match found {
        None => FileStep::Make,
        Some(found) if found.bytes == bytes && right => FileStep::Leave,
        Some(found) if found.names > 1 => FileStep::Anew,
        Some(found) if found.bytes == bytes => FileStep::Leave,
        Some(_) => FileStep::Resize,
    }
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

    const PURPOSES: [Purpose; 2] = [Purpose::Restore, Purpose::Repair];

    #[test]
    fn a_half_overwritten_target_is_never_forgotten() {
        for (purpose, in_place, discard) in
            PURPOSES.into_iter().flat_map(|p| [(p, false, false), (p, false, true), (p, true, false), (p, true, true)])
        {
            let taken = take_up(Mode::InPlace(purpose, Phase::Incomplete), in_place, discard);
            let expected = match (in_place, discard) {
                (false, _) => TakeUp::Refuse(purpose),
                (true, true) => TakeUp::Repin,
                (true, false) => TakeUp::Continue,
            };
            assert_eq!(taken, expected);
            assert_eq!(check_removable(Mode::InPlace(purpose, Phase::Incomplete)), Err(purpose));
        }
    }

    #[test]
    fn what_was_only_prepared_binds_nobody() {
        let prepared = Mode::InPlace(Purpose::Restore, Phase::Prepared);
        assert_eq!(take_up(prepared, true, false), TakeUp::Continue);
        for (mode, in_place, discard) in [
            (prepared, true, true),
            (prepared, false, false),
            (Mode::InPlace(Purpose::Repair, Phase::Prepared), true, false),
            (Mode::InPlace(Purpose::Restore, Phase::Complete), true, false),
            (Mode::Swap, false, true),
        ] {
            assert_eq!(take_up(mode, in_place, discard), TakeUp::Remove, "{mode:?}");
            assert_eq!(check_removable(mode), Ok(()));
        }
        assert_eq!(take_up(Mode::Swap, true, false), TakeUp::Continue);
    }

    #[test]
    fn a_repair_goes_on_with_its_own_snapshot_only() {
        let incomplete = |purpose| Mode::InPlace(purpose, Phase::Incomplete);
        assert_eq!(take_up_for_repair(incomplete(Purpose::Repair), true), Ok(TakeUp::Continue));
        assert_eq!(take_up_for_repair(incomplete(Purpose::Repair), false), Err(Some(Purpose::Repair)));
        assert_eq!(take_up_for_repair(incomplete(Purpose::Restore), true), Err(Some(Purpose::Restore)));
        assert_eq!(take_up_for_repair(Mode::Swap, true), Err(None));
        assert_eq!(take_up_for_repair(Mode::InPlace(Purpose::Restore, Phase::Prepared), true), Ok(TakeUp::Remove));
    }

    #[test]
    fn only_what_is_wrong_is_fetched_for_a_repair() {
        let manifest = crate::disk::testing::manifest_of(&[("a", &[1; 200_000]), ("b", &[2; 70_000]), ("c", &[3; 10])]);
        let (path, hash) = (|path: &str| path.parse::<RelPath>().unwrap(), crate::types::Hash::of(b""));
        let chunk = Defect::Chunk { path: path("a"), chunk: 1, offset: 65_536, expected: hash, found: None };
        let missing = Defect::Missing { path: path("b") };
        let length = Defect::Length { path: path("c"), expected: 10, found: 11 };
        let left = [Defect::Unexpected { path: "a/x".into() }, Defect::WholeFile { path: path("c"), expected: hash, found: hash }];
        assert!([&chunk, &missing, &length].into_iter().all(is_repairable) && !left.iter().any(is_repairable));
        let [first, second] = left;
        let have = healthy(&manifest, &[chunk, missing, length, first, second, Defect::Missing { path: path("dir") }]);
        assert_eq!(have.ranges(0), [0..1, 2..4]);
        assert_eq!((have.ranges(1).len(), have.ranges(2).len(), have.contains(2, 0)), (0, 1, true));
    }

    // ST-05
    #[test]
    fn a_chunk_that_is_wrong_in_another_way_after_its_repair_is_still_wrong() {
        let hash = |byte: u8| crate::types::Hash::of(&[byte]);
        let chunk = |path: &str, chunk, found| Defect::Chunk { path: path.parse().unwrap(), chunk, offset: 0, expected: hash(0), found };
        let left = [chunk("a", 1, Some(hash(2)))];
        let now = places(&left);
        assert!(is_still_wrong(&chunk("a", 1, Some(hash(1))), &now) && is_still_wrong(&chunk("a", 1, None), &now));
        assert!(is_still_wrong(&Defect::Missing { path: "a".parse().unwrap() }, &now));
        assert!(!is_still_wrong(&chunk("a", 2, Some(hash(2))), &now) && !is_still_wrong(&chunk("b", 1, Some(hash(2))), &now));
        assert!(!is_still_wrong(&Defect::Missing { path: "b".parse().unwrap() }, &now));
    }

    #[test]
    fn a_file_with_other_names_is_right_or_is_made_anew() {
        let found = |bytes, names| Some(Found { bytes, names });
        for (there, right, step) in [
            (None, false, FileStep::Make),
            (None, true, FileStep::Make),
            (found(10, 1), true, FileStep::Leave),
            (found(10, 1), false, FileStep::Leave),
            (found(9, 1), false, FileStep::Resize),
            (found(11, 1), true, FileStep::Resize),
            (found(10, 2), true, FileStep::Leave),
            (found(10, 2), false, FileStep::Anew),
            (found(11, 2), true, FileStep::Anew),
        ] {
            assert_eq!(file_step(there, 10, right), step, "{there:?} {right}");
        }
    }
}
