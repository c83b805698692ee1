use std::collections::BTreeMap;

use super::*;
use crate::{
    format::{
        archive::joints,
        frame::Encoder,
        manifest::{About, FileEntry, Layout, Manifest, RowSums},
        tar,
        unixfs::{self, read_directory, read_file},
        zeros,
    },
    types::ChunkSize,
};

const CHUNK: usize = ChunkSize::MIN_BYTES as usize;

/// A snapshot with its data: every block that a store has, by hash.
struct Sample {
    manifest: Manifest,
    files: Vec<(String, Vec<u8>)>,
    stored: BTreeMap<Hash, Vec<u8>>,
}

fn sample() -> Sample {
    let noise =
        |seed: u32, bytes: usize| (0..bytes as u32).map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 24) as u8).collect();
    let mut holes: Vec<u8> = noise(3, 3 * CHUNK);
    holes[CHUNK..2 * CHUNK].fill(0);
    let files = [
        ("a/empty", Vec::new()),
        ("a/holes", holes),
        ("a/small", b"abc".to_vec()),
        ("long", noise(1, 3 * CHUNK + 700)),
        ("z", vec![0; 600]),
    ];
    let files: Vec<(String, Vec<u8>)> = files.into_iter().map(|(path, data)| (path.to_owned(), data)).collect();
    let (mut stored, mut encoder, mut sums) = (BTreeMap::new(), Encoder::new(1).unwrap(), RowSums::default());
    let mut row = |chunk: &[u8]| {
        if chunk.iter().all(|byte| *byte == 0) {
            sums.hole_bytes += chunk.len() as u64;
            return Row::hole(chunk.len() as u32);
        }
        let mut frame = Vec::new();
        encoder.encode(chunk, &mut frame).unwrap();
        let row = Row { raw: Hash::of(chunk), stored: Stored::Frame { hash: Hash::of(&frame), bytes: frame.len() as u32 } };
        sums.frame_bytes += frame.len() as u64;
        stored.insert(Hash::of(&frame), frame);
        stored.insert(row.raw, chunk.to_vec());
        row
    };
    let entry = |(path, data): &(String, Vec<u8>)| FileEntry {
        path: path.parse().unwrap(),
        bytes: data.len() as u64,
        b3: Hash::of(data),
        layout: Layout::Rows(data.chunks(CHUNK).map(&mut row).collect()),
    };
    let entries = files.iter().map(entry).collect();
    let about = About {
        channel: "a/b".parse().unwrap(),
        height: None,
        block_hash: None,
        genesis: None,
        finalized: None,
        labels: BTreeMap::new(),
        encoder: encoder.name(),
        taken_at: "2026-11-20T03:00:12Z".parse().unwrap(),
        client: None,
        engine: None,
        chunk_size: ChunkSize::try_from(CHUNK as u64).unwrap(),
        subtrees: None,
    };
    let manifest = Manifest::new(about, vec!["a".parse().unwrap()], entries, sums).unwrap();
    Sample { manifest, files, stored }
}

fn rows(file: &FileEntry) -> &[Row] {
    match &file.layout {
        Layout::Rows(rows) => rows,
        Layout::Lists(_) => panic!("small files have rows"),
    }
}

fn raw_bytes(file: &FileEntry, index: usize) -> u32 {
    (file.bytes - (index * CHUNK) as u64).min(CHUNK as u64) as u32
}

/// The bytes of every piece, as a node would hold them.
struct Node {
    blocks: BTreeMap<Cid, Vec<u8>>,
}

impl Node {
    fn of(pieces: Vec<Piece>, stored: &BTreeMap<Hash, Vec<u8>>) -> Self {
        let bytes = |piece: &Piece| match piece {
            Piece::Block(block) => block.bytes.clone(),
            Piece::Zeros { bytes, .. } => vec![0; *bytes as usize],
            Piece::Chunk(_) | Piece::List { .. } => stored[&piece.cid().hash()].clone(),
        };
        let blocks: BTreeMap<_, _> = pieces.iter().map(|piece| (piece.cid(), bytes(piece))).collect();
        for (piece, bytes) in pieces.iter().map(|piece| (piece, &blocks[&piece.cid()])) {
            assert_eq!((Hash::of(bytes), bytes.len() as u64), (piece.cid().hash(), piece.bytes()), "{piece:?}");
        }
        Self { blocks }
    }

    fn cat(&self, cid: Cid) -> Vec<u8> {
        let bytes = &self.blocks[&cid];
        match cid.codec() {
            Codec::Raw => bytes.clone(),
            Codec::DagPb => read_file(bytes).unwrap().into_iter().flat_map(|part| self.cat(part.cid)).collect(),
        }
    }
}

#[test]
fn the_archive_is_the_tar_in_frames() {
    let Sample { manifest, files, stored } = sample();
    let (mut pieces, mut archive) = (Vec::new(), ArchiveBuilder::default());
    let mut tar: Vec<u8> = Vec::new();
    for joint in joints(&manifest) {
        archive.joint(&joint, &mut |piece| pieces.push(piece));
        tar.extend(&joint.bytes);
        let Some(index) = joint.file else { continue };
        let file = &manifest.files()[index];
        for (i, row) in rows(file).iter().enumerate() {
            archive.chunk(index, i as u64, *row, raw_bytes(file, i), &mut |piece| pieces.push(piece));
        }
        let mut nodes = Vec::new();
        archive.end_file(&mut |block| pieces.push(Piece::Block(block)), &mut |block| nodes.push(Piece::Block(block)));
        pieces.append(&mut nodes);
        tar.extend(&files[index].1);
    }
    let dag = archive.finish(&mut |piece| pieces.push(piece));
    assert_eq!(tar.len() as u64, tar::total_bytes(&manifest));
    let bytes = Node::of(pieces, &stored).cat(dag.cid);
    assert_eq!(bytes.len() as u64, dag.content_bytes);
    assert!(zstd::decode_all(&bytes[..]).unwrap() == tar, "another tar comes out of the frames");
}

#[test]
fn the_tree_is_the_directory_with_holes_as_zeros() {
    let Sample { manifest, files, stored } = sample();
    let (mut pieces, mut tree) = (Vec::new(), TreeBuilder::new(manifest.dirs()));
    for (index, file) in manifest.files().iter().enumerate() {
        for (i, row) in rows(file).iter().enumerate() {
            tree.chunk(index, i as u64, *row, raw_bytes(file, i), &mut |piece| pieces.push(piece));
        }
        tree.end_file(&file.path, &mut |block| pieces.push(Piece::Block(block)));
    }
    let dag = tree.finish(&mut |block| pieces.push(Piece::Block(block)));
    let node = Node::of(pieces, &stored);
    let top: BTreeMap<_, _> = read_directory(&node.blocks[&dag.cid]).unwrap().into_iter().collect();
    let below: BTreeMap<_, _> = read_directory(&node.blocks[&top["a"]]).unwrap().into_iter().collect();
    for (path, data) in &files {
        let cid = path.strip_prefix("a/").map_or_else(|| top[path], |name| below[name]);
        assert!(node.cat(cid) == *data, "{path}");
    }
    assert_eq!((top.len(), below.len()), (3, 3));
    assert_eq!(zeros::hash(600), below_hash(&top, "z"));
}

fn below_hash(entries: &BTreeMap<String, Cid>, name: &str) -> Hash {
    entries[name].hash()
}

#[test]
fn the_directory_of_a_snapshot_has_everything_a_reader_needs() {
    let manifest = vec![7; 2 * LEAF_BYTES + 5];
    let lists = unixfs::empty_file(&mut drop);
    let roots = [b"root 1".to_vec(), b"root 2".to_vec()];
    let mut blocks = Vec::new();
    let parts = RootParts { head: b"head", roots: &roots, manifest: &manifest, lists, archive: None, tree: Some(lists) };
    let dag = root(&parts, &mut |block| blocks.push(Piece::Block(block)));
    let node = Node::of(blocks, &BTreeMap::new());
    let entries: BTreeMap<_, _> = read_directory(&node.blocks[&dag.cid]).unwrap().into_iter().collect();
    assert_eq!(entries.keys().collect::<Vec<_>>(), ["head.json", "lists", "manifest", "tree", "trust"]);
    assert_eq!((node.cat(entries["head.json"]), node.cat(entries["manifest"])), (b"head".to_vec(), manifest));
    let trust: BTreeMap<_, _> = read_directory(&node.blocks[&entries["trust"]]).unwrap().into_iter().collect();
    assert_eq!((node.cat(trust["1.json"]), node.cat(trust["2.json"])), (roots[0].clone(), roots[1].clone()));
}
