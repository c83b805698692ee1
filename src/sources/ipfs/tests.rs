//! Objects of the format out of blocks: the contract, and whatever a root may be instead.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, body::Body, http::Request, http::StatusCode, response::IntoResponse};
use bytes::Bytes;
use tokio::net::TcpListener;

use super::*;
use crate::{
    format::{
        key,
        unixfs::{Block, Dag, Entry, FileBuilder, directory},
    },
    store::{Timeouts, conformance},
};

/// The blocks that a gateway has.
#[derive(Clone, Default)]
struct Blocks(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

impl Blocks {
    fn add(&self, block: Block) {
        self.0.lock().unwrap().insert(block.cid.to_string(), block.bytes);
    }

    fn leaf(&self, bytes: &[u8]) -> Dag {
        let block = Block::leaf(bytes.to_vec());
        let dag = block.as_leaf();
        self.add(block);
        dag
    }

    fn file(&self, bytes: &[u8], block_bytes: usize) -> Dag {
        let mut builder = FileBuilder::default();
        bytes.chunks(block_bytes).for_each(|part| builder.push(self.leaf(part), &mut |block| self.add(block)));
        builder.finish(&mut |block| self.add(block))
    }

    fn directory(&self, entries: &[(&str, Dag)]) -> Dag {
        let entries = entries.iter().map(|(name, dag)| Entry { name: (*name).to_owned(), dag: *dag });
        directory(entries.collect(), &mut |block| self.add(block))
    }

    /// The root of a snapshot with this manifest, and what else is in it.
    fn snapshot(&self, manifest: Dag, more: &[(&str, Dag)]) -> Cid {
        let trust = self.directory(&[("1.json", self.leaf(b"root 1")), ("2.json", self.leaf(b"root 2"))]);
        let entries = [("head.json", self.leaf(b"head")), ("trust", trust), ("manifest", manifest)];
        self.directory(&[&entries[..], more].concat()).cid
    }

    /// A source at a gateway that has them, and how often it is asked.
    async fn source(&self, root: Option<Cid>) -> (IpfsSource, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let (blocks, asked) = (self.clone(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&asked);
        let router = Router::new().fallback(async move |request: Request<Body>| {
            count.fetch_add(1, Ordering::Relaxed);
            let found = blocks.0.lock().unwrap().get(request.uri().path().trim_start_matches("/ipfs/")).cloned();
            found.map_or_else(|| StatusCode::NOT_FOUND.into_response(), IntoResponse::into_response)
        });
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let gateway = Gateway::open(&url, Timeouts::of_gateways()).unwrap();
        (IpfsSource::new(Arc::new(gateway), root, None), asked)
    }
}

fn manifest() -> Vec<u8> {
    (0..5_000_u32).flat_map(u32::to_le_bytes).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    let blocks = Blocks::default();
    let chunk: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    // A tree of two levels.
    let root = blocks.snapshot(blocks.file(&manifest(), 15), &[]);
    for bytes in [&chunk[..], b"list", b"raw"] {
        blocks.leaf(bytes);
    }
    let samples = [
        (key::head(&"kusama/pruned".parse().unwrap()), b"head".to_vec()),
        (key::snapshot_head(), b"head".to_vec()),
        (key::root(1), b"root 1".to_vec()),
        (key::root(2), b"root 2".to_vec()),
        (key::manifest(&Hash::of(&manifest())), manifest()),
        (key::chunk(&Hash::of(&chunk)), chunk),
        (key::list(&Hash::of(b"list")), b"list".to_vec()),
        (key::raw(&Hash::of(b"raw")), b"raw".to_vec()),
    ];
    let samples = samples.into_iter().map(|(key, bytes)| (key, Bytes::from(bytes))).collect();
    let (source, _) = blocks.source(Some(root)).await;
    conformance::run_read_of(&source, &samples).await;
    for absent in [key::root(3), key::index(), key::manifest(&Hash::of(b"another"))] {
        assert_eq!(source.get(&absent, 1 << 20).await.unwrap_err().kind, ErrorKind::NotFound, "{absent}");
    }
}

#[tokio::test]
async fn what_its_root_has_says_in_which_forms_chunks_are_there() {
    let blocks = Blocks::default();
    let (manifest, view) = (blocks.leaf(b"manifest"), blocks.leaf(b"for other tools"));
    for (entries, forms) in [
        (&[][..], Forms::Both),
        (&[("tree", view)][..], Forms::Raw),
        (&[("archive.tar.zst", view)], Forms::Zstd),
        (&[("archive.tar.zst", view), ("tree", view)], Forms::Both),
    ] {
        let (source, _) = blocks.source(Some(blocks.snapshot(manifest, entries))).await;
        let told = source.get(&key::store_info(), key::STORE_INFO_MAX_BYTES).await.unwrap();
        assert_eq!(StoreInfo::from_bytes(&told).unwrap().forms(), forms);
    }
    let (chunks_alone, _) = blocks.source(None).await;
    assert_eq!(chunks_alone.get(&key::store_info(), 9999).await.unwrap_err().kind, ErrorKind::NotFound);
    let told = IpfsSource { forms: Some(Forms::Raw), ..chunks_alone }.get(&key::store_info(), 9999).await.unwrap();
    assert_eq!(StoreInfo::from_bytes(&told).unwrap().forms(), Forms::Raw);
}

#[tokio::test]
async fn without_a_root_there_are_blocks_alone() {
    let blocks = Blocks::default();
    let root = blocks.snapshot(blocks.leaf(b"manifest"), &[]);
    let ((source, asked), (of_root, _)) = (blocks.source(None).await, blocks.source(Some(root)).await);
    for object in [key::snapshot_head(), key::root(1), key::index()] {
        assert_eq!(source.get(&object, 99).await.unwrap_err().kind, ErrorKind::NotFound, "{object}");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    assert_eq!(source.get(&key::manifest(&Hash::of(b"manifest")), 99).await.unwrap(), b"manifest", "a short one is a block");
    assert!(source.name().starts_with("ipfs://: http://127.0.0.1:") && of_root.name().starts_with(&format!("ipfs://{root}: http://")));
}

#[tokio::test]
async fn the_root_is_read_once() {
    let blocks = Blocks::default();
    let root = blocks.snapshot(blocks.leaf(b"manifest"), &[]);
    let (source, asked) = blocks.source(Some(root)).await;
    for _ in 0..3 {
        source.get(&key::root(1), 99).await.unwrap();
        source.get(&key::snapshot_head(), 99).await.unwrap();
    }
    // The root, the folder, and three times the head and a root.
    assert_eq!(asked.load(Ordering::Relaxed), 2 + 6);
}

#[tokio::test]
async fn another_manifest_than_that_of_the_root_is_not_fetched() {
    let blocks = Blocks::default();
    let root = blocks.snapshot(blocks.file(&manifest(), 1000), &[]);
    let (source, asked) = blocks.source(Some(root)).await;
    let other = key::manifest(&Hash::of(b"another"));
    for _ in 0..2 {
        assert_eq!(source.get(&other, 1 << 20).await.unwrap_err().kind, ErrorKind::NotFound);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1 + 1 + 20, "it was read once, to know which it is");
}

#[tokio::test]
async fn anything_else_is_no_snapshot_and_is_described() {
    let blocks = Blocks::default();
    let leaf = blocks.leaf(b"cat");
    let names: Vec<String> = (0..10).map(|n| format!("cat-{n}.jpg")).collect();
    let ten: Vec<(&str, Dag)> = names.iter().map(|name| (name.as_str(), leaf)).collect();
    let many: Vec<String> = (0..6_000).map(|n| format!("{n:040}")).collect();
    let large: Vec<(&str, Dag)> = many.iter().map(|name| (name.as_str(), leaf)).collect();
    let garbage = Block { cid: Cid::new(Codec::DagPb, Hash::of(b"garbage")), bytes: b"garbage".to_vec() };
    blocks.add(garbage.clone());
    let mut told = String::new();
    for cid in [
        leaf.cid,
        blocks.file(b"more than one block", 5).cid,
        blocks.directory(&[]).cid,
        blocks.directory(&ten).cid,
        blocks.directory(&[("head.json", leaf), ("a\nb", leaf)]).cid,
        blocks.directory(&large).cid,
        garbage.cid,
    ] {
        let error = blocks.source(Some(cid)).await.0.get(&key::snapshot_head(), 99).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NoSuchStore, "{error}");
        told += &format!("{}\n", error.reason);
    }
    insta::assert_snapshot!(told, @r"
    not a qsync snapshot: found a single block of content
    not a qsync snapshot: found a file
    not a qsync snapshot: found an empty directory
    not a qsync snapshot: found a directory with cat-0.jpg, cat-1.jpg, cat-2.jpg, cat-3.jpg, cat-4.jpg, cat-5.jpg, cat-6.jpg, cat-7.jpg and 2 more
    not a qsync snapshot: found a directory with a\nb, head.json
    not a qsync snapshot: found a large directory
    not a qsync snapshot: not a node of IPFS: cannot encode protocol buffers
    ");
}

#[tokio::test]
async fn a_file_is_never_longer_and_has_no_more_blocks_than_it_may() {
    let blocks = Blocks::default();
    let read = async |manifest: Dag, max_bytes: u64| {
        let (source, asked) = blocks.source(Some(blocks.snapshot(manifest, &[]))).await;
        let error = source.get(&key::manifest(&Hash::of(b"another")), max_bytes).await.unwrap_err();
        (error, asked.load(Ordering::Relaxed))
    };
    let (long, asked) = read(blocks.file(&manifest(), 1000), 19_999).await;
    assert_eq!((long.kind, asked), (ErrorKind::TooLarge, 2));
    // Each block once again and again: a few kilobytes that stand for a great many requests.
    let mut builder = FileBuilder::default();
    (0..5_000).for_each(|_| builder.push(blocks.leaf(b"x"), &mut |block| blocks.add(block)));
    let (many, asked) = read(builder.finish(&mut |block| blocks.add(block)), 1 << 20).await;
    assert_eq!((many.kind, asked), (ErrorKind::NoSuchStore, 2 + 5), "{many}");
    // A node that says less of a part than the part has.
    let mut lying = FileBuilder::default();
    lying.push(blocks.leaf(b"one"), &mut |block| blocks.add(block));
    lying.push(Dag { content_bytes: 9, ..blocks.leaf(b"two") }, &mut |block| blocks.add(block));
    let (lie, _) = read(lying.finish(&mut |block| blocks.add(block)), 1 << 20).await;
    assert!(lie.kind == ErrorKind::NoSuchStore && lie.reason.contains("has 3 bytes of a file, 9 expected"), "{lie}");
}

#[tokio::test]
async fn a_block_that_is_absent_is_named() {
    let blocks = Blocks::default();
    let missing = Cid::new(Codec::Raw, Hash::of(b"missing"));
    let object = key::chunk(&Hash::of(b"missing"));
    let (source, _) = blocks.source(None).await;
    assert_eq!(source.address(&object), Some(missing.to_string()));
    let error = source.get(&object, 99).await.unwrap_err();
    assert!(error.reason.contains(&missing.to_string()) && error.key == object.to_string() && error.store == source.name(), "{error}");
}
