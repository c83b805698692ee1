//! What to do with each chunk, what local files are worth for it, and what a partial restore is worth for another snapshot. Pure.

use crate::{format::row::Row, types::RelPath};

/// What to do with one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkPlan {
    /// It is there and verified.
    Have,
    /// It is all zeros and stored nowhere.
    Hole,
    /// It comes from a local file or a source.
    Bring,
}

/// Nothing that is verified is brought again, and no hole is asked for.
#[must_use]
pub fn plan_chunk(row: &Row, have: bool) -> ChunkPlan {
    match (have, row.is_hole()) {
        (true, _) => ChunkPlan::Have,
        (false, true) => ChunkPlan::Hole,
        (false, false) => ChunkPlan::Bring,
    }
}

/// Whether two chunks, each a row and its raw length, have the same bytes.
#[must_use]
pub fn same_chunk((a, a_len): (&Row, u32), (b, b_len): (&Row, u32)) -> bool {
    a_len == b_len && a.raw == b.raw
}

/// What is recorded of the place in a local file where a chunk should lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded<'a> {
    /// Nothing, or the file was touched since, or it was cut elsewhere.
    Nothing,
    /// The file ends before.
    End,
    /// A chunk: its row and its raw length.
    Chunk(&'a Row, u32),
}

/// What is known, before it is read, of the place in a local file where a chunk should lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// It holds the chunk, says the record of a file that was not touched since.
    Same,
    /// It does not hold the chunk: not worth reading.
    Other,
    /// Only reading it can tell.
    Unread,
}

/// What is known of a place that the local file does or does not `reach`.
#[must_use]
pub fn evidence(chunk: (&Row, u32), reaches: bool, recorded: Recorded<'_>) -> Evidence {
    match recorded {
        _ if !reaches => Evidence::Other,
        Recorded::Nothing => Evidence::Unread,
        Recorded::Chunk(row, len) if same_chunk(chunk, (row, len)) => Evidence::Same,
        Recorded::Chunk(..) | Recorded::End => Evidence::Other,
    }
}

/// Where a chunk comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TakenFrom {
    /// It is in the staged file already, which is a clone of a local one.
    Clone,
    /// From the first of these local files, by number, that proves to have it; from a source where none does.
    Local(Vec<usize>),
    /// From a source.
    Source,
}

/// Where a chunk comes from, given what is known of each local file and which of them the staged file is a clone of.
#[must_use]
pub fn plan_taking(known: &[Evidence], cloned: Option<usize>) -> TakenFrom {
    if cloned.is_some_and(|file| known.get(file) == Some(&Evidence::Same)) {
        return TakenFrom::Clone;
    }
    let worth_reading: Vec<usize> = (0..known.len()).filter(|file| known[*file] != Evidence::Other).collect();
    if worth_reading.is_empty() { TakenFrom::Source } else { TakenFrom::Local(worth_reading) }
}

/// Names of table files that their engines write once and never again: RocksDB, Pebble (`.sst`) and LevelDB (`.ldb`, formerly `.sst`).
///
/// Only these may have a second name in a staging directory. A file that is appended to or written in place would change inside a partial
/// restore as soon as somebody starts the old node, and the other way round.
const WRITTEN_ONCE: [&str; 2] = [".sst", ".ldb"];

/// What decides whether a whole file of the old database gets a second name, instead of being copied.
#[derive(Clone, Copy, Debug)]
pub struct LinkFacts<'a> {
    /// The file.
    pub path: &'a RelPath,
    /// Its record says that it is the very file that is wanted, and nobody touched it since.
    pub is_same: bool,
    /// Its directory will be deleted once the new one is in place.
    pub goes_away: bool,
    /// It belongs to whom the new file is to belong to, and nobody else may write to it.
    pub owner_fits: bool,
    /// An earlier run has written chunks of the new file.
    pub is_begun: bool,
}

/// Whether a file of the old database may get a second name.
#[must_use]
pub fn may_link(facts: &LinkFacts<'_>) -> bool {
    let is_written_once = WRITTEN_ONCE.iter().any(|ending| facts.path.as_str().ends_with(ending));
    is_written_once && facts.is_same && facts.goes_away && facts.owner_fits && !facts.is_begun
}

/// The file that is worth cloning: the first that is known to have any of these chunks. None into a file that an earlier run has begun:
/// what it verified would be written over.
#[must_use]
pub fn plan_clone(chunks: &[Vec<Evidence>], is_begun: bool) -> Option<usize> {
    let files = chunks.iter().map(Vec::len).max().unwrap_or(0);
    (0..files).find(|file| !is_begun && chunks.iter().any(|known| known.get(*file) == Some(&Evidence::Same)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{format::row::Stored, types::Hash};

    fn row(seed: u8) -> Row {
        let hash = Hash::of(&[seed]);
        Row { raw: hash, stored: Stored::Frame { hash, bytes: 40 } }
    }

    #[test]
    fn nothing_verified_is_brought_again_and_no_hole_at_all() {
        let (data, hole) = (row(1), Row::hole(100));
        let planned = [(&data, true), (&data, false), (&hole, true), (&hole, false)].map(|(row, have)| plan_chunk(row, have));
        assert_eq!(planned, [ChunkPlan::Have, ChunkPlan::Bring, ChunkPlan::Have, ChunkPlan::Hole]);
    }

    #[test]
    fn a_record_spares_reading_what_differs_and_proves_nothing_of_another_length() {
        let (wanted, other) = (row(1), row(2));
        let recompressed = Row { stored: Stored::Frame { hash: Hash::of(b"again"), bytes: 39 }, ..wanted };
        for (reaches, recorded, expected) in [
            (true, Recorded::Nothing, Evidence::Unread),
            (false, Recorded::Nothing, Evidence::Other),
            (true, Recorded::End, Evidence::Other),
            (true, Recorded::Chunk(&wanted, 100), Evidence::Same),
            (true, Recorded::Chunk(&recompressed, 100), Evidence::Same),
            (true, Recorded::Chunk(&wanted, 99), Evidence::Other),
            (true, Recorded::Chunk(&other, 100), Evidence::Other),
            (false, Recorded::Chunk(&wanted, 100), Evidence::Other),
        ] {
            assert_eq!(evidence((&wanted, 100), reaches, recorded), expected, "{reaches} {recorded:?}");
        }
    }

    #[test]
    fn local_files_are_tried_in_order_and_a_source_comes_last() {
        use Evidence::{Other, Same, Unread};
        for (known, cloned, expected) in [
            (vec![], None, TakenFrom::Source),
            (vec![Other, Other], None, TakenFrom::Source),
            (vec![Unread, Other, Same], None, TakenFrom::Local(vec![0, 2])),
            (vec![Same, Unread], Some(0), TakenFrom::Clone),
            (vec![Unread, Same], Some(0), TakenFrom::Local(vec![0, 1])),
            (vec![Other, Same], Some(0), TakenFrom::Local(vec![1])),
            (vec![Other], Some(0), TakenFrom::Source),
            (vec![Same], Some(7), TakenFrom::Local(vec![0])),
        ] {
            assert_eq!(plan_taking(&known, cloned), expected, "{known:?} {cloned:?}");
        }
    }

    #[test]
    fn only_an_unchanged_table_of_a_database_that_goes_away_gets_a_second_name() {
        let path = |text: &str| text.parse::<RelPath>().unwrap();
        let (table, log) = (path("db/000012.sst"), path("db/000012.log"));
        let good = LinkFacts { path: &table, is_same: true, goes_away: true, owner_fits: true, is_begun: false };
        assert!(may_link(&good) && may_link(&LinkFacts { path: &path("000003.ldb"), ..good }));
        assert!(!may_link(&LinkFacts { path: &log, ..good }));
        assert!(!may_link(&LinkFacts { path: &path("db/sst"), ..good }));
        assert!(!may_link(&LinkFacts { is_same: false, ..good }));
        assert!(!may_link(&LinkFacts { goes_away: false, ..good }));
        assert!(!may_link(&LinkFacts { owner_fits: false, ..good }));
        assert!(!may_link(&LinkFacts { is_begun: true, ..good }));
    }

    #[test]
    fn the_first_file_that_has_anything_is_cloned_unless_the_new_one_is_begun() {
        use Evidence::{Other, Same, Unread};
        let chunks = [vec![Unread, Other], vec![Unread, Same]];
        assert_eq!(plan_clone(&chunks, false), Some(1));
        assert_eq!(plan_clone(&chunks, true), None);
        assert_eq!(plan_clone(&[vec![Unread, Other]], false), None);
        assert_eq!(plan_clone(&[], false), None);
    }

    fn any_evidence() -> impl Strategy<Value = Evidence> {
        prop_oneof![Just(Evidence::Same), Just(Evidence::Other), Just(Evidence::Unread)]
    }

    proptest! {
        // Whatever is known of whatever files: nothing that is recorded as different is read or adopted, and what may be there is tried.
        #[test]
        fn no_chunk_is_taken_from_where_it_is_known_not_to_be(
            known in prop::collection::vec(any_evidence(), 0..6), cloned in prop::option::of(0_usize..8),
        ) {
            match plan_taking(&known, cloned) {
                TakenFrom::Clone => prop_assert_eq!(known[cloned.unwrap()], Evidence::Same),
                TakenFrom::Local(files) => {
                    prop_assert!(!files.is_empty() && files.is_sorted());
                    for (file, known) in known.iter().enumerate() {
                        prop_assert_eq!(files.contains(&file), *known != Evidence::Other);
                    }
                }
                TakenFrom::Source => prop_assert!(known.iter().all(|known| *known == Evidence::Other)),
            }
        }

        // Two rows of three hashes and lengths: `Same` means the same bytes, always.
        #[test]
        fn a_chunk_counts_as_the_same_only_with_its_hash_and_length(
            a in 0_u8..3, a_len in 0_u32..3, b in 0_u8..3, b_len in 0_u32..3, reaches in any::<bool>(),
        ) {
            let same = evidence((&row(a), a_len), reaches, Recorded::Chunk(&row(b), b_len)) == Evidence::Same;
            prop_assert_eq!(same, reaches && a == b && a_len == b_len);
        }
    }
}
