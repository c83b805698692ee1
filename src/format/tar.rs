//! The tar view of a snapshot: headers made from the manifest alone (docs/format.md, 2.7).
//!
//! GNU format. Nothing in a header changes from one snapshot to the next unless the file's path or length does. Tar is only
//! written, never read.

use tar::{EntryType, Header};

use super::manifest::{FileEntry, Manifest};
use crate::types::RelPath;

/// Length of a block; everything in a tar is a multiple of it.
pub const BLOCK_BYTES: u64 = 512;
/// Zero bytes that end the tar.
pub const END_BYTES: u64 = 2 * BLOCK_BYTES;
/// The longest name that fits a header; a longer one has a record of its own in front.
const NAME_BYTES: usize = 100;
/// When every member was changed: a constant, 1980-01-01 00:00 UTC, so that headers do not renew with every snapshot.
const MTIME: u64 = 315_532_800;

/// What a member of the tar is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A file of so many bytes.
    File {
        /// Its length.
        bytes: u64,
    },
}

/// What follows the header of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing: it is a directory.
    Dir,
    /// The data of a file of the manifest, then zero bytes.
    File {
        /// Index into [`Manifest::files`].
        index: usize,
        /// Number of zero bytes after the data.
        padding_bytes: u64,
    },
}

/// One member of the tar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its path.
    pub path: &'a RelPath,
    /// Everything before its data.
    pub header: Vec<u8>,
    /// Its data.
    pub content: Content,
}

/// The members in order: directories, then files, each as the manifest sorts them. [`END_BYTES`] zeros follow the last.
pub fn members(manifest: &Manifest) -> impl Iterator<Item = Member<'_>> {
    let dirs = manifest.dirs().iter().map(|path| Member { path, header: header(path, Kind::Dir), content: Content::Dir });
    dirs.chain(manifest.files().iter().enumerate().map(|(index, file)| member(index, file)))
}

fn member(index: usize, file: &FileEntry) -> Member<'_> {
    let header = header(&file.path, Kind::File { bytes: file.bytes });
    Member { path: &file.path, header, content: Content::File { index, padding_bytes: padding_bytes(file.bytes) } }
}

/// Length of the whole tar of `manifest`.
#[must_use]
pub fn total_bytes(manifest: &Manifest) -> u64 {
    let dirs: u64 = manifest.dirs().iter().map(|path| header_bytes(path, Kind::Dir)).sum();
    let files = manifest
        .files()
        .iter()
        .map(|file| header_bytes(&file.path, Kind::File { bytes: file.bytes }) + file.bytes + padding_bytes(file.bytes));
    dirs + files.sum::<u64>() + END_BYTES
}

/// Number of zero bytes between the end of a file and the next header.
#[must_use]
pub const fn padding_bytes(file_bytes: u64) -> u64 {
    (BLOCK_BYTES - file_bytes % BLOCK_BYTES) % BLOCK_BYTES
}

/// Everything before the data of a member: its header, behind a record of its name when that has more than 100 bytes.
#[must_use]
pub fn header(path: &RelPath, kind: Kind) -> Vec<u8> {
    let name = name(path, kind);
    let (mode, entry_type, bytes) = match kind {
        Kind::Dir => (0o750, EntryType::Directory, 0),
        Kind::File { bytes } => (0o640, EntryType::Regular, bytes),
    };
    let mut blocks = if name.len() > NAME_BYTES { long_name(&name) } else { Vec::new() };
    blocks.extend_from_slice(&block(&name, mode, MTIME, entry_type, bytes));
    blocks
}

/// Length of what [`header`] makes.
fn header_bytes(path: &RelPath, kind: Kind) -> u64 {
    match name(path, kind).len() {
        short if short <= NAME_BYTES => BLOCK_BYTES,
        long => BLOCK_BYTES + (long as u64 + 1).next_multiple_of(BLOCK_BYTES) + BLOCK_BYTES,
    }
}

/// The path as tar names it: that of a directory ends with a slash.
fn name(path: &RelPath, kind: Kind) -> String {
    if kind == Kind::Dir { format!("{path}/") } else { path.to_string() }
}

/// GNU's `L` record: a member of a reserved name, whose data is the name of the next.
fn long_name(name: &str) -> Vec<u8> {
    let bytes = name.len() as u64 + 1;
    let mut blocks = block("././@LongLink", 0o644, 0, EntryType::GNULongName, bytes).to_vec();
    blocks.extend_from_slice(name.as_bytes());
    blocks.resize(blocks.len() + 1 + padding_bytes(bytes) as usize, 0);
    blocks
}

fn block(name: &str, mode: u32, mtime: u64, entry_type: EntryType, bytes: u64) -> [u8; BLOCK_BYTES as usize] {
    let mut header = Header::new_gnu();
    let kept = name.len().min(NAME_BYTES);
    header.as_old_mut().name[..kept].copy_from_slice(&name.as_bytes()[..kept]);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(mtime);
    header.set_entry_type(entry_type);
    header.set_size(bytes);
    header.set_cksum();
    end_checksum_as_gnu(&mut header);
    *header.as_bytes()
}

/// GNU tar ends the checksum after six digits with NUL and a space, where the crate writes a seventh, always 0, in front.
fn end_checksum_as_gnu(header: &mut Header) {
    let checksum = &mut header.as_old_mut().cksum;
    checksum.copy_within(1..7, 0);
    checksum[6..].copy_from_slice(b"\0 ");
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        process::{Command, Stdio},
    };

    use super::*;
    use crate::{
        format::{
            manifest::{About, Layout, RowSums},
            row::{Row, Stored},
        },
        types::{ChunkSize, Hash},
    };

    fn long(len: usize) -> String {
        format!("d/{}", "n".repeat(len - 2))
    }

    fn manifest() -> Manifest {
        let about = About {
            channel: "a/b".parse().unwrap(),
            height: None,
            block_hash: None,
            genesis: None,
            finalized: None,
            labels: Default::default(),
            encoder: "zstd 1.5.7/1".to_owned(),
            taken_at: "2026-11-20T03:00:12Z".parse().unwrap(),
            client: None,
            engine: None,
            chunk_size: ChunkSize::DEFAULT,
            subtrees: None,
        };
        let file = |path: &str| {
            let raw = Hash::of(path.as_bytes());
            let row = Row { raw, stored: Stored::Frame { hash: raw, bytes: 10 } };
            super::FileEntry { path: path.parse().unwrap(), bytes: path.len() as u64, b3: raw, layout: Layout::Rows([row].into()) }
        };
        let mut files = [long(100), long(101), long(250), "d-file".to_owned(), "z".to_owned()].map(|path| file(&path));
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let dirs = ["d".to_owned(), long(100) + "x", long(99) + "x"].map(|path| path.parse().unwrap());
        let frame_bytes = 10 * files.len() as u64;
        Manifest::new(about, dirs.to_vec(), files.to_vec(), RowSums { frame_bytes, hole_bytes: 0 }).unwrap()
    }

    /// The whole tar; the data of each file is its own path.
    fn stream(manifest: &Manifest) -> Vec<u8> {
        let mut bytes = Vec::new();
        for member in members(manifest) {
            bytes.extend(member.header);
            if let Content::File { padding_bytes, .. } = member.content {
                bytes.extend(member.path.as_str().bytes());
                bytes.resize(bytes.len() + padding_bytes as usize, 0);
            }
        }
        bytes.resize(bytes.len() + END_BYTES as usize, 0);
        bytes
    }

    #[test]
    fn a_reader_finds_every_member_with_its_data() {
        let manifest = manifest();
        let bytes = stream(&manifest);
        assert_eq!(bytes.len() as u64, total_bytes(&manifest));
        let mut names = Vec::new();
        for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_str().unwrap().trim_end_matches('/').to_owned();
            let is_dir = entry.header().entry_type().is_dir();
            assert_eq!(entry.header().mode().unwrap(), if is_dir { 0o750 } else { 0o640 });
            assert_eq!(entry.header().mtime().unwrap(), MTIME);
            let mut data = String::new();
            entry.read_to_string(&mut data).unwrap();
            assert_eq!(data, if is_dir { "" } else { &name });
            names.push(name);
        }
        let expected = manifest.dirs().iter().chain(manifest.files().iter().map(|file| &file.path));
        assert_eq!(names, expected.map(ToString::to_string).collect::<Vec<_>>());
    }

    #[test]
    fn gnu_tar_lists_it() {
        let mut tar = Command::new("tar").args(["-tvf", "-", "--utc"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = tar.stdin.take().unwrap();
        input.write_all(&stream(&manifest())).unwrap();
        drop(input);
        let output = tar.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}");
        assert_eq!(text.lines().count(), 8, "{text}");
        assert!(text.starts_with("drwxr-x--- 0/0               0 1980-01-01 00:00 d/\n"), "{text}");
        assert!(text.ends_with("-rw-r----- 0/0               1 1980-01-01 00:00 z\n"), "{text}");
    }

    #[test]
    fn a_header_is_that_of_gnu_tar_byte_for_byte() {
        let mut expected = [0; 512];
        let mut put = |at: usize, text: &[u8]| expected[at..at + text.len()].copy_from_slice(text);
        put(0, b"db/000012.sst");
        put(100, b"0000640\x000000000\x000000000\x0000400000000\x0002263523000\x00");
        put(148, b"007564\x00 0");
        put(257, b"ustar  \x00");
        let header = header(&"db/000012.sst".parse().unwrap(), Kind::File { bytes: 64 << 20 });
        assert_eq!(header.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    #[test]
    fn only_a_name_of_more_than_100_bytes_has_a_record_of_its_own() {
        let blocks = |path: String, kind| header(&path.parse().unwrap(), kind).len() / 512;
        let file = Kind::File { bytes: 5 };
        assert_eq!((blocks(long(100), file), blocks(long(101), file)), (1, 3));
        assert_eq!((blocks(long(99), Kind::Dir), blocks(long(100), Kind::Dir)), (1, 3), "the slash counts");
    }

    #[test]
    fn a_size_of_8_gib_and_more_is_in_base_256() {
        let size = |bytes| header(&"f".parse().unwrap(), Kind::File { bytes })[124..136].to_vec();
        assert_eq!(size((8 << 30) - 1), b"77777777777\0");
        assert_eq!(size(8 << 30), [0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
    }

    #[test]
    fn padding_fills_the_last_block() {
        assert_eq!([0, 1, 511, 512, 513].map(padding_bytes), [0, 511, 1, 0, 511]);
    }
}
