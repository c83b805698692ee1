//! The journal of a partial restore: which chunks are verified *and durable*.
//!
//! A file of a header and records, only ever appended to. The header binds it to one manifest. A record is synced after the data
//! that it speaks of, and carries a BLAKE3 over itself, the manifest and its own place in the file: a torn, zero-filled, moved or
//! foreign record is no record, and ends what is read.
//!
//! ```text
//! header  "qsync-journal/1\n" · id of the manifest (32)
//! record  n u32 LE · n × (file u32, first chunk u32, chunk after the last u32, all LE) · BLAKE3 (32)
//! ```

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Error, have::Have, layout};
use crate::{
    format::manifest::Manifest,
    fs::{File, Fs, Open},
    types::Hash,
};

const MAGIC: &[u8; 16] = b"qsync-journal/1\n";
const HEADER_BYTES: usize = MAGIC.len() + Hash::BYTES;
const ENTRY_BYTES: usize = 12;
/// Entries in one record at most: what a torn length can make us look at.
const MAX_ENTRIES: usize = 1 << 16;
/// A journal of 100 million chunks that arrived one by one, each in an entry of its own, is shorter than this.
const MAX_BYTES: u64 = 2 << 30;

/// An append-only record of the chunks that are verified and durable.
#[derive(Debug)]
pub struct Journal {
    file: Arc<dyn File>,
    path: PathBuf,
    id: Hash,
    end: u64,
}

impl Journal {
    /// Starts a journal, durably, with the chunks of `have`, whose data must be durable. Replaces any journal that is there.
    ///
    /// # Errors
    /// When it cannot be written; the journal that was there is then untouched.
    pub fn create(fs: &dyn Fs, path: &Path, id: &Hash, have: &Have, files: usize) -> Result<Self, Error> {
        let mut bytes = [MAGIC.as_slice(), id.as_bytes()].concat();
        let all: Vec<_> = (0..files).flat_map(|file| have.ranges(file).into_iter().map(move |range| (file, range))).collect();
        for entries in all.chunks(MAX_ENTRIES) {
            let record = encode(id, bytes.len() as u64, entries);
            bytes.extend(record);
        }
        fs.write_durable(path, &bytes, 0o600).map_err(Error::io("write", path))?;
        let file = fs.open(path, Open::ReadWrite).map_err(Error::io("open", path))?;
        Ok(Self { file, path: path.to_owned(), id: *id, end: bytes.len() as u64 })
    }

    /// Opens the journal of the manifest `id`, dropping a torn tail, and says what it holds. Files below `data` that are missing, have
    /// another length or are shared with another directory void their records. `None` when there is no journal of that manifest.
    ///
    /// # Errors
    /// When it cannot be read or rewritten.
    pub fn open(fs: &dyn Fs, path: &Path, id: &Hash, manifest: &Manifest, data: &Path) -> Result<Option<(Self, Have)>, Error> {
        let Some(have) = Self::peek(fs, path, id, manifest, data)? else { return Ok(None) };
        // Written anew: a record appended behind a torn one would never be read, and one of a file that is about to be
        // made again would be believed by the next run.
        let journal = Self::create(fs, path, id, &have, manifest.files().len())?;
        Ok(Some((journal, have)))
    }

    /// Says what [`Journal::open`] would, and changes nothing.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn peek(fs: &dyn Fs, path: &Path, id: &Hash, manifest: &Manifest, data: &Path) -> Result<Option<Have>, Error> {
        let bytes = match fs.read(path, MAX_BYTES) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read", path)(e)),
        };
        let Some(mut have) = replay(&bytes, id, manifest) else { return Ok(None) };
        for file in layout::not_to_be_kept(fs, data, manifest)? {
            have.forget(file);
        }
        Ok(Some(have))
    }

    /// Records chunks whose data is durable; durable itself on return. After an error the record may or may not be there, and the
    /// journal must be opened again before it takes more.
    ///
    /// # Errors
    /// When it cannot be written or synced.
    pub fn append(&mut self, chunks: &[(usize, Range<u64>)]) -> Result<(), Error> {
        for entries in chunks.chunks(MAX_ENTRIES) {
            let record = encode(&self.id, self.end, entries);
            self.file.write_all_at(&record, self.end).map_err(Error::io("write", &self.path))?;
            self.end += record.len() as u64;
        }
        self.file.sync_data().map_err(Error::io("sync", &self.path))
    }
}

/// The same chunks in the fewest ranges, sorted by file.
#[must_use]
pub fn merged(mut chunks: Vec<(usize, Range<u64>)>) -> Vec<(usize, Range<u64>)> {
    chunks.sort_unstable_by_key(|(file, range)| (*file, range.start));
    let mut merged: Vec<(usize, Range<u64>)> = Vec::new();
    for (file, chunks) in chunks {
        match merged.last_mut() {
            Some((last, range)) if *last == file && chunks.start <= range.end => range.end = range.end.max(chunks.end),
            _ => merged.push((file, chunks)),
        }
    }
    merged
}

fn encode(id: &Hash, offset: u64, entries: &[(usize, Range<u64>)]) -> Vec<u8> {
    let number = |n: u64| u32::try_from(n).expect("a manifest has at most 100 million chunks").to_le_bytes();
    let mut record = number(entries.len() as u64).to_vec();
    for (file, chunks) in entries {
        record.extend([number(*file as u64), number(chunks.start), number(chunks.end)].concat());
    }
    let seal = seal(id, offset, &record);
    record.extend(seal.as_bytes());
    record
}

fn seal(id: &Hash, offset: u64, record: &[u8]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(id.as_bytes()).update(&offset.to_le_bytes()).update(record);
    Hash::from_bytes(*hasher.finalize().as_bytes())
}

/// What the records say, up to the first that is not one; `None` when the header is another.
fn replay(bytes: &[u8], id: &Hash, manifest: &Manifest) -> Option<Have> {
    let (header, mut rest) = bytes.split_at_checked(HEADER_BYTES)?;
    if header[..MAGIC.len()] != *MAGIC || header[MAGIC.len()..] != *id.as_bytes() {
        return None;
    }
    let mut have = Have::none(manifest);
    while let Some((entries, after)) = next_record(rest, id, (bytes.len() - rest.len()) as u64) {
        for (file, chunks) in entries {
            have.insert(file, chunks);
        }
        rest = after;
    }
    Some(have)
}

type Entries = Vec<(usize, Range<u64>)>;

fn next_record<'a>(rest: &'a [u8], id: &Hash, offset: u64) -> Option<(Entries, &'a [u8])> {
    let entries = u32_at(rest, 0)? as usize;
    if entries == 0 || entries > MAX_ENTRIES {
        return None;
    }
    let (record, after) = rest.split_at_checked(4 + entries * ENTRY_BYTES)?;
    let (found, after) = after.split_at_checked(Hash::BYTES)?;
    if found != seal(id, offset, record).as_bytes() {
        return None;
    }
    let entry = |e: &[u8]| Some((u32_at(e, 0)? as usize, u64::from(u32_at(e, 4)?)..u64::from(u32_at(e, 8)?)));
    Some((record[4..].chunks_exact(ENTRY_BYTES).filter_map(entry).collect(), after))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        disk::testing::{manifest_of, painted},
        fs::MemoryFs,
    };

    fn manifest() -> Manifest {
        manifest_of(&[("a", &painted(20 * 65_536, 1)), ("b", &painted(65_536, 2))])
    }

    fn at() -> &'static Path {
        Path::new("/journal")
    }

    /// A journal with three records, and the files it speaks of.
    fn written(fs: &MemoryFs) -> Have {
        let (id, manifest) = (Hash::of(b"id"), manifest());
        layout::make(fs, Path::new("/data"), &manifest, &Have::none(&manifest)).unwrap();
        let mut journal = Journal::create(fs, at(), &id, &Have::none(&manifest), 2).unwrap();
        journal.append(&[(0, 0..3), (1, 0..1)]).unwrap();
        journal.append(&[(0, 7..8)]).unwrap();
        journal.append(&[(0, 10..20)]).unwrap();
        open(fs).unwrap()
    }

    fn open(fs: &MemoryFs) -> Option<Have> {
        Journal::open(fs, at(), &Hash::of(b"id"), &manifest(), Path::new("/data")).unwrap().map(|(_, have)| have)
    }

    #[test]
    fn gives_back_what_was_recorded() {
        let have = written(&MemoryFs::new());
        assert_eq!(have.ranges(0), [0..3, 7..8, 10..20]);
        assert!(have.is_complete(1));
    }

    // ST-07
    #[test]
    fn a_torn_or_zeroed_tail_is_dropped_and_what_follows_is_kept() {
        let fs = MemoryFs::new();
        let whole = written(&fs);
        let len = fs.stat(at()).unwrap().len;
        fs.open(at(), Open::ReadWrite).unwrap().write_all_at(&[0; 5000], len).unwrap();
        assert_eq!(open(&fs), Some(whole.clone()));
        fs.open(at(), Open::ReadWrite).unwrap().set_len(len - 1).unwrap();
        let (mut journal, torn) = Journal::open(&fs, at(), &Hash::of(b"id"), &manifest(), Path::new("/data")).unwrap().unwrap();
        assert!(torn.count() < whole.count());
        journal.append(&[(0, 5..6)]).unwrap();
        assert!(open(&fs).unwrap().contains(0, 5));
    }

    #[test]
    fn a_journal_of_another_manifest_is_none() {
        let fs = MemoryFs::new();
        written(&fs);
        let other = Journal::open(&fs, at(), &Hash::of(b"other"), &manifest(), Path::new("/data"));
        assert!(other.unwrap().is_none());
    }

    #[test]
    fn files_that_are_missing_or_short_void_their_records_for_good() {
        let fs = MemoryFs::new();
        written(&fs);
        fs.remove_file(Path::new("/data/b")).unwrap();
        fs.open(Path::new("/data/a"), Open::ReadWrite).unwrap().set_len(5).unwrap();
        assert_eq!(open(&fs).unwrap().count(), 0);
        layout::make(&fs, Path::new("/data"), &manifest(), &Have::none(&manifest())).unwrap();
        assert_eq!(open(&fs).unwrap().count(), 0);
    }

    #[test]
    fn merges_neighbouring_chunks() {
        let chunks = vec![(1, 0..1), (0, 4..6), (0, 3..4), (0, 3..4), (0, 9..10), (0, 4..5)];
        assert_eq!(merged(chunks), [(0, 3..6), (0, 9..10), (1, 0..1)]);
    }

    proptest! {
        // ST-07: whatever happened to the bytes, nothing is believed that was not recorded.
        #[test]
        fn damage_never_invents_a_chunk(at_byte in 0_u64..400, bit in 0_u8..8, cut in 0_u64..400) {
            let fs = MemoryFs::new();
            let whole = written(&fs);
            let len = fs.stat(at()).unwrap().len;
            fs.flip_bit(at(), at_byte % len, bit).unwrap();
            fs.open(at(), Open::ReadWrite).unwrap().set_len(len - cut % len).unwrap();
            if let Some(have) = open(&fs) {
                for (file, chunk) in (0..2).flat_map(|file| (0..25).map(move |chunk| (file, chunk))) {
                    prop_assert!(!have.contains(file, chunk) || whole.contains(file, chunk));
                }
            }
        }

        #[test]
        fn any_bytes_are_a_journal_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let id = Hash::of(b"id");
            replay(&bytes, &id, &manifest());
            replay(&[MAGIC.as_slice(), id.as_bytes(), &bytes].concat(), &id, &manifest());
        }
    }
}
