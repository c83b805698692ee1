//! What a partial restore of one snapshot is worth for a newer one of the same channel.

use std::sync::Arc;

use super::{Error, Options, build::resume, lists::Lists, plan::same_chunk, snapshot::Snapshot};
use crate::{
    disk::have::Have,
    format::{
        list::{FileShape, SEGMENT_ROWS},
        manifest::FileEntry,
    },
    sources::Exhausted,
};

/// The chunks of `new` that lie in staging because `old` has the same bytes at the same place of the same file.
pub(super) async fn carry_over(options: &Arc<Options>, lists: &Lists, old: &Snapshot, new: &Snapshot) -> Result<Have, Error> {
    let mut carried = Have::none(&new.manifest);
    if old.manifest.about().chunk_size != new.manifest.about().chunk_size {
        return Ok(carried);
    }
    let have = match resume(options, lists, old).await {
        Ok((_journal, have)) => have,
        // No journal, and no source has the older snapshot's lists any more: its chunks cannot be told from anything else.
        Err(Error::Sources(lost)) if are_gone(&lost) => return Ok(carried),
        Err(error) => return Err(error),
    };
    for (position, file) in new.manifest.files().iter().enumerate() {
        if let Some((old_position, old_file)) = old.manifest.find(file.path.as_str()) {
            let pair = Pair { old: old_file, new: file };
            pair.carry(
                lists,
                new,
                |index| have.contains(old_position, index),
                |index| {
                    carried.insert(position, index..index + 1);
                },
            )
            .await?;
        }
    }
    Ok(carried)
}

/// Whether no waiting brings the lists of an older snapshot back. A silent network or a disk that cannot be read says nothing of them, and
/// must not cost what is verified.
fn are_gone(lost: &Exhausted) -> bool {
    match lost {
        Exhausted::Missing { .. } | Exhausted::Wrong { .. } => true,
        Exhausted::Unreadable { .. }
        | Exhausted::Silent { .. }
        | Exhausted::Refused { .. }
        | Exhausted::NoConsent { .. }
        | Exhausted::Cap { .. } => false,
    }
}

/// One file in both snapshots.
struct Pair<'a> {
    old: &'a FileEntry,
    new: &'a FileEntry,
}

impl Pair<'_> {
    async fn carry(&self, lists: &Lists, snapshot: &Snapshot, have: impl Fn(u64) -> bool, mut keep: impl FnMut(u64)) -> Result<(), Error> {
        let chunk_size = snapshot.manifest.about().chunk_size;
        let (old, new) = (FileShape::new(self.old.bytes, chunk_size), FileShape::new(self.new.bytes, chunk_size));
        for segment in 0..old.chunks().min(new.chunks()).div_ceil(SEGMENT_ROWS) {
            let first = segment * SEGMENT_ROWS;
            if !(first..old.chunks().min(first + SEGMENT_ROWS)).any(&have) {
                continue;
            }
            // A list that is gone costs its chunks, not the run: the older snapshot may have left all sources.
            let old_rows = match lists.rows(self.old, old, segment).await {
                Err(Error::Sources(lost)) if are_gone(&lost) => continue,
                rows => rows?,
            };
            let new_rows = lists.rows(self.new, new, segment).await?;
            for (index, (a, b)) in (first..).zip(old_rows.iter().zip(&new_rows)) {
                if have(index) && same_chunk((a, old.raw_len(index)), (b, new.raw_len(index))) {
                    keep(index);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    // CR-09
    #[test]
    fn lists_that_cannot_be_had_now_are_not_gone() {
        let (key, lines) = (String::new(), Vec::new());
        assert!(are_gone(&Exhausted::Missing { key: key.clone(), lines: lines.clone() }));
        assert!(are_gone(&Exhausted::Wrong { key: key.clone(), lines: lines.clone() }));
        assert!(!are_gone(&Exhausted::Unreadable { key, lines: lines.clone() }));
        assert!(!are_gone(&Exhausted::Silent { waited: Duration::from_secs(1), lines }));
    }
}
