//! What to do with each chunk, and what a partial restore is worth for another snapshot. Pure.

use crate::format::row::Row;

/// What to do with one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkPlan {
    /// It is there and verified.
    Have,
    /// It is all zeros and stored nowhere.
    Hole,
    /// It comes from a source.
    Fetch,
}

/// Nothing that is verified is fetched again, and no hole is asked for.
#[must_use]
pub fn plan_chunk(row: &Row, have: bool) -> ChunkPlan {
    match (have, row.is_hole()) {
        (true, _) => ChunkPlan::Have,
        (false, true) => ChunkPlan::Hole,
        (false, false) => ChunkPlan::Fetch,
    }
}

/// Whether two chunks, each a row and its raw length, have the same bytes.
#[must_use]
pub fn same_chunk((a, a_len): (&Row, u32), (b, b_len): (&Row, u32)) -> bool {
    a_len == b_len && a.raw == b.raw
}
