//! What is checked for any bytes at all: one function for each kind of input that comes from outside.
//!
//! The fuzzers in `fuzz_targets` call these with what they make up, `tests/it/corpus.rs` with what they found worth keeping. Each says
//! whether the input was read (and not refused), so that a corpus which never gets past the first check is noticed.

use std::{
    fmt::{Debug, Display},
    io::Read as _,
    path::Path,
    str::FromStr,
};

use qsync::{
    cli,
    disk::{have::Have, journal::Journal},
    format::{
        chunk::verify_frame,
        frame::{Decoder, Encoder},
        head::Head,
        index::Index,
        list::{self, FileShape, Segment},
        manifest::{About, FileEntry, Layout, Manifest, RowSums},
        payload::Payload,
        root::Root,
        row::{Row, Stored, max_frame_bytes},
        store_info::StoreInfo,
        tar::{self, Content},
    },
    fs::{Fs, MemoryFs, Open},
    ops::usage::logs::Found,
    store::StoreUrl,
    trust::{Envelope, RootChain, check_head, repo_of},
    types::{ChannelName, ChunkSize, Hash, ObjectKey, RelPath, When},
};

/// A check, which says whether the input was read.
pub(crate) type Check = fn(&[u8]) -> bool;

/// Every check by the name of its fuzzer and of its corpus.
pub(crate) const ALL: &[(&str, Check)] = &[
    ("manifest", manifest),
    ("stored_manifest", stored_manifest),
    ("head", payload::<Head>),
    ("root", payload::<Root>),
    ("envelope", envelope),
    ("list", segment),
    ("frame", frame),
    ("tar_view", tar_view),
    ("journal", journal),
    ("config", config),
    ("names", names),
    ("hints", hints),
    ("access_log", access_log),
];

/// Runs the check of that name.
pub(crate) fn run(name: &str, input: &[u8]) -> bool {
    let (_, check) = ALL.iter().find(|(known, _)| *known == name).expect("a fuzzer has the name of a check");
    check(input)
}

/// The JSON of a manifest.
fn manifest(input: &[u8]) -> bool {
    let Ok(manifest) = Manifest::parse(input) else { return false };
    check_manifest(&manifest);
    true
}

/// A stored manifest, behind the length of its JSON in three bytes: what the head says.
fn stored_manifest(input: &[u8]) -> bool {
    let Some((length, stored)) = input.split_first_chunk::<3>() else { return false };
    let json_bytes = u64::from(u32::from_le_bytes([length[0], length[1], length[2], 0]));
    let Ok(manifest) = Manifest::parse_stored(stored, json_bytes) else { return false };
    check_manifest(&manifest);
    let mut json = Vec::new();
    zstd::Decoder::with_buffer(stored).unwrap().read_to_end(&mut json).unwrap();
    assert_eq!(json.len() as u64, json_bytes);
    assert_eq!(Manifest::parse(&json).unwrap(), manifest, "read as a stream and as a whole");
    true
}

/// What was read is written and read back the same, in both forms, and its sums hold.
fn check_manifest(manifest: &Manifest) {
    let mut json = Vec::new();
    manifest.write_json(&mut json).unwrap();
    assert_eq!(&Manifest::parse(&json).unwrap(), manifest);
    let stored = manifest.to_stored(1).unwrap();
    assert_eq!((Hash::of(&stored.bytes), stored.json_bytes), (stored.id, json.len() as u64));
    assert_eq!(&Manifest::parse_stored(&stored.bytes, stored.json_bytes).unwrap(), manifest);
    let (totals, files) = (manifest.totals(), manifest.files());
    assert_eq!(totals.bytes, files.iter().map(|file| file.bytes).sum::<u64>());
    assert_eq!(totals.files, files.len() as u64);
    assert!(totals.hole_bytes <= totals.bytes);
    assert!(files.windows(2).all(|pair| pair[0].path.as_str() < pair[1].path.as_str()));
    files.iter().for_each(|file| check_file(file, manifest.about().chunk_size));
}

fn check_file(file: &FileEntry, chunk_size: ChunkSize) {
    let shape = FileShape::new(file.bytes, chunk_size);
    match &file.layout {
        Layout::Rows(rows) => {
            assert_eq!(rows.len() as u64, shape.chunks());
            (0..).zip(rows).for_each(|(index, row)| check_row(row, shape.raw_len(index)));
        }
        Layout::Lists(lists) => assert_eq!(lists.len() as u64, shape.segments()),
    }
}

fn check_row(row: &Row, raw_len: u32) {
    assert!(raw_len > 0 && row.frame_bytes() <= max_frame_bytes(raw_len));
    assert_eq!(&Row::parse(&row.encode(), raw_len).unwrap(), row);
}

/// The payload of a root or head.
fn payload<P: Payload + PartialEq + Debug>(input: &[u8]) -> bool {
    let Ok(payload) = P::from_bytes(input) else { return false };
    let bytes = match payload.to_bytes() {
        Ok(bytes) => bytes,
        // Written with every field, it may be longer than it was read.
        Err(error) => {
            assert!(matches!(error, qsync::format::payload::Error::TooLong { .. }), "{error}");
            return true;
        }
    };
    assert_eq!(P::from_bytes(&bytes).unwrap(), payload);
    true
}

const ROOT: &[u8] = include_bytes!("../data/published/0.1.0/store/root/1.json");
const HEAD: &[u8] = include_bytes!("../data/published/0.1.0/store/heads/demo/generic.json");

/// A signed envelope. Whatever the bytes, nothing passes for signed but what was signed.
fn envelope(input: &[u8]) -> bool {
    let (repo, _) = repo_of(ROOT).unwrap();
    let mut chain = RootChain::start(repo, ROOT).unwrap();
    let channel: ChannelName = "demo/generic".parse().unwrap();
    if let Ok(head) = check_head(&chain, &channel, input) {
        let signed = check_head(&chain, &channel, HEAD).unwrap();
        assert_eq!((&*head, head.hash()), (&*signed, signed.hash()), "a forged head");
    }
    if let Ok((found, _)) = repo_of(input) {
        assert_eq!(RootChain::start(repo, input).is_ok(), found == repo);
    }
    assert!(chain.push(input).is_err(), "nobody has signed a second root");
    let Ok(envelope) = Envelope::parse(input) else { return false };
    assert!(envelope.signatures().len() <= 16 && envelope.payload().len() <= input.len());
    if let Ok(bytes) = envelope.to_bytes() {
        assert_eq!(Envelope::parse(&bytes).unwrap(), envelope);
    }
    true
}

/// A list segment, behind the length of its file (5 bytes) and its place there (1).
fn segment(input: &[u8]) -> bool {
    let Some((head, bytes)) = input.split_first_chunk::<6>() else { return false };
    let file_bytes = u64::from_le_bytes([head[0], head[1], head[2], head[3], head[4], 0, 0, 0]);
    let shape = FileShape::new(file_bytes, ChunkSize::DEFAULT);
    let segment = u64::from(head[5]);
    let Ok(parsed) = Segment::parse(bytes, shape, segment) else { return false };
    let rows: Vec<Row> = parsed.rows().collect();
    assert_eq!(rows.len() as u64, shape.rows_in(segment));
    assert_eq!(list::encode(&rows), bytes);
    for (index, row) in (parsed.first()..).zip(&rows) {
        assert_eq!(parsed.row(index), Some(*row));
        check_row(row, shape.raw_len(index));
    }
    true
}

fn chunk_size() -> ChunkSize {
    ChunkSize::try_from(u64::from(ChunkSize::MIN_BYTES)).unwrap()
}

/// A frame, behind the length of its chunk in three bytes; and the same bytes as a chunk.
fn frame(input: &[u8]) -> bool {
    let Some((length, frame)) = input.split_first_chunk::<3>() else { return false };
    let raw_len = u32::from_le_bytes([length[0], length[1], length[2], 0]);
    if !frame.is_empty() {
        check_encoding(frame);
    }
    let (mut into, mut decoder) = (vec![7; 3], Decoder::new());
    if decoder.decode(frame, raw_len, &mut into).is_err() {
        assert!(into.is_empty(), "nothing unverified is left behind");
        return false;
    }
    assert_eq!(into.len(), raw_len as usize);
    assert_eq!(zstd::bulk::decompress(frame, into.len()).unwrap(), into, "as the library itself decodes it");
    let row = Row { raw: Hash::of(&into), stored: Stored::Frame { hash: Hash::of(frame), bytes: frame.len() as u32 } };
    let mut verified = Vec::new();
    assert_eq!(verify_frame(&row, raw_len, frame, &mut decoder, &mut verified).unwrap().bytes(), into);
    true
}

fn check_encoding(raw: &[u8]) {
    let (mut frame, mut back) = (Vec::new(), Vec::new());
    Encoder::new(1).unwrap().encode(raw, &mut frame).unwrap();
    assert!(frame.len() <= max_frame_bytes(raw.len() as u32) as usize);
    Decoder::new().decode(&frame, raw.len() as u32, &mut back).unwrap();
    assert_eq!(back, raw);
}

/// A tar of files whose names and lengths are in the input, as another reader sees it.
fn tar_view(input: &[u8]) -> bool {
    let Some(manifest) = manifest_of(input) else { return false };
    let mut bytes = Vec::new();
    for member in tar::members(&manifest) {
        bytes.extend(member.header);
        if let Content::File { index, padding_bytes } = member.content {
            let data = manifest.files()[index].bytes + padding_bytes;
            bytes.resize(bytes.len() + data as usize, 0);
        }
    }
    bytes.resize(bytes.len() + tar::END_BYTES as usize, 0);
    assert_eq!(bytes.len() as u64, tar::total_bytes(&manifest));
    let expected = manifest.dirs().iter().map(|dir| (format!("{dir}/"), 0));
    let expected: Vec<_> = expected.chain(manifest.files().iter().map(|file| (file.path.to_string(), file.bytes))).collect();
    let mut archive = ::tar::Archive::new(&bytes[..]);
    let found = archive.entries().unwrap().map(|entry| {
        let entry = entry.unwrap();
        (String::from_utf8(entry.path_bytes().into_owned()).unwrap(), entry.size())
    });
    assert_eq!(found.collect::<Vec<_>>(), expected);
    true
}

/// Names, one a line, each behind two bytes of length; one that ends with a slash is a directory. `None` when they make no manifest.
fn manifest_of(input: &[u8]) -> Option<Manifest> {
    let (mut dirs, mut files) = (Vec::new(), Vec::new());
    for line in input.split(|byte| *byte == b'\n').take(50) {
        let (length, name) = line.split_first_chunk::<2>()?;
        let name = std::str::from_utf8(name).ok()?;
        match name.strip_suffix('/') {
            Some(dir) => dirs.push(dir.parse::<RelPath>().ok()?),
            None => files.push(empty_file(name.parse().ok()?, u64::from(u16::from_le_bytes(*length)))),
        }
    }
    dirs.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    files.sort_by(|a: &FileEntry, b| a.path.as_str().cmp(b.path.as_str()));
    let hole_bytes = files.iter().map(|file| file.bytes).sum();
    Manifest::new(about(), dirs, files, RowSums { frame_bytes: 0, hole_bytes }).ok()
}

/// A file of zeros.
fn empty_file(path: RelPath, bytes: u64) -> FileEntry {
    let shape = FileShape::new(bytes, chunk_size());
    let rows = (0..shape.chunks()).map(|index| Row::hole(shape.raw_len(index)));
    FileEntry { path, bytes, b3: Hash::of(&[]), layout: Layout::Rows(rows.collect()) }
}

fn about() -> About {
    About {
        channel: "demo/generic".parse().unwrap(),
        height: None,
        block_hash: None,
        genesis: None,
        finalized: None,
        labels: std::collections::BTreeMap::new(),
        encoder: "fuzz".to_owned(),
        taken_at: "2026-11-20T03:00:12Z".parse().unwrap(),
        client: None,
        engine: None,
        chunk_size: chunk_size(),
        subtrees: None,
    }
}

/// A journal that was written and then damaged: nothing is read from it that was not written. The input says what is written (three
/// bytes each: file, first chunk, number), and after a byte of 255 where it is cut (two bytes) and changed (three bytes each: place, bits).
fn journal(input: &[u8]) -> bool {
    let chunk = u64::from(ChunkSize::MIN_BYTES);
    let files = [("a", 1), ("b", 4), ("c", 200)].map(|(name, chunks)| (name.parse::<RelPath>().unwrap(), chunks * chunk));
    let entries = files.iter().map(|(path, bytes)| journaled_file(path.clone(), *bytes)).collect();
    let manifest = Manifest::new(about(), Vec::new(), entries, RowSums { frame_bytes: 0, hole_bytes: 205 * chunk }).unwrap();
    let fs = MemoryFs::new();
    fs.create_dir_all(Path::new("/data"), 0o700).unwrap();
    for (path, bytes) in &files {
        fs.open(&Path::new("/data").join(path.as_str()), Open::CreateNew(0o600)).unwrap().set_len(*bytes).unwrap();
    }
    let (written, damage) = input.split_at(input.iter().position(|byte| *byte == 255).unwrap_or(input.len()));
    let (id, at) = (Hash::of(b"manifest"), Path::new("/journal"));
    let mut have = Have::none(&manifest);
    let mut journal = Journal::create(&fs, at, &id, &have, files.len()).unwrap();
    for [file, first, number] in written.as_chunks::<3>().0 {
        let (file, first) = (usize::from(*file % 3), u64::from(*first));
        let chunks = first..(first + u64::from(*number % 9)).min([1, 4, 200][file]);
        if !chunks.is_empty() {
            journal.append(&[(file, chunks.clone())]).unwrap();
            have.insert(file, chunks);
        }
    }
    let whole = fs.read(at, 1 << 20).unwrap();
    let bytes = damaged(whole.clone(), damage.get(1..).unwrap_or_default());
    fs.write_durable(at, &bytes, 0o600).unwrap();
    let Some((_, found)) = Journal::open(&fs, at, &id, &manifest, Path::new("/data")).unwrap() else { return false };
    for file in 0..files.len() {
        for chunk in found.ranges(file).into_iter().flatten() {
            assert!(have.contains(file, chunk), "chunk {chunk} of file {file} was never written");
        }
    }
    assert!(bytes != whole || found.count() == have.count(), "what is not damaged is read");
    let (_, again) = Journal::open(&fs, at, &id, &manifest, Path::new("/data")).unwrap().expect("it was there");
    assert_eq!(again.count(), found.count());
    true
}

fn journaled_file(path: RelPath, bytes: u64) -> FileEntry {
    let shape = FileShape::new(bytes, chunk_size());
    if shape.has_lists() {
        let lists = (0..shape.segments()).map(|segment| Hash::of(&segment.to_le_bytes())).collect();
        return FileEntry { path, bytes, b3: Hash::of(&[]), layout: Layout::Lists(lists) };
    }
    empty_file(path, bytes)
}

fn damaged(mut bytes: Vec<u8>, damage: &[u8]) -> Vec<u8> {
    let Some((cut, changes)) = damage.split_first_chunk::<2>() else { return bytes };
    bytes.truncate(bytes.len().saturating_sub(usize::from(u16::from_le_bytes(*cut))));
    for [low, high, bits] in changes.as_chunks::<3>().0 {
        if let Some(byte) = bytes.get_mut(usize::from(u16::from_le_bytes([*low, *high]))) {
            *byte ^= bits;
        }
    }
    bytes
}

/// A configuration file: what `config show` prints of it is a configuration that says the same.
fn config(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let Ok(shown) = cli::read_config(text) else { return false };
    assert_eq!(cli::read_config(&shown).as_ref(), Ok(&shown));
    true
}

/// Names as users and servers write them: each is shown as it is read again, and no URL shows its secrets.
fn names(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let url = text.parse::<StoreUrl>();
    if let Ok(url @ StoreUrl::Http(_)) = &url {
        let shown = url.to_string();
        assert!(
            !shown.contains(['@', '?', '#']) || shown.split_once("://").is_some_and(|(_, rest)| !authority(rest).contains('@')),
            "{shown}"
        );
        assert_eq!(shown.parse::<StoreUrl>().unwrap().to_string(), shown);
    }
    let path = reads_back::<RelPath>(text);
    if path {
        let below = Path::new("/data").join(text);
        assert!(below.starts_with("/data") && below.components().count() == 2 + text.split('/').count(), "{text}");
    }
    url.is_ok()
        | path
        | reads_back::<ObjectKey>(text)
        | reads_back::<ChannelName>(text)
        | reads_back::<When>(text)
        | reads_back::<Hash>(text)
}

fn authority(rest: &str) -> &str {
    rest.split('/').next().unwrap_or_default()
}

fn reads_back<T: FromStr + Display + PartialEq + Debug>(text: &str) -> bool
where
    T::Err: Debug,
{
    let Ok(value) = text.parse::<T>() else { return false };
    assert_eq!(value.to_string().parse::<T>().unwrap(), value);
    true
}

/// `store.json` and `index.json`.
fn hints(input: &[u8]) -> bool {
    let info = StoreInfo::from_bytes(input);
    if let Ok(info) = &info {
        assert_eq!(&StoreInfo::from_bytes(&info.to_bytes()).unwrap(), info);
    }
    let index = Index::from_bytes(input);
    if let Ok(index) = &index {
        assert_eq!(&Index::from_bytes(&index.to_bytes()).unwrap(), index);
    }
    info.is_ok() || index.is_ok()
}

/// An access log: what it says adds up, and every line is a request, a header or nothing at all.
fn access_log(input: &[u8]) -> bool {
    let mut found = Found::default();
    found.add("log", Ok(input), None);
    let totals = &found.totals;
    let (reads, bytes) = totals.bytes().fold((0, 0_u64), |(reads, bytes), row| (reads + row.reads, bytes.saturating_add(row.bytes)));
    assert_eq!((reads, bytes), (totals.all().reads, totals.all().bytes));
    assert!(totals.requests() + found.malformed <= found.lines);
    assert!(totals.restores().map(|row| row.restores).sum::<u64>() <= reads);
    assert!(found.named.len() as u64 <= found.malformed && found.broken.len() <= 1);
    totals.requests() > 0
}
