//! What `qsync::kubo` relies on: a real node keeps it, and so does the one in memory, which fast tests use.

use std::{io, time::Duration};

use bytes::Bytes;
use futures::{Stream, stream};
use qsync::{
    format::{
        car,
        unixfs::{Block, Dag, FileBuilder},
    },
    kubo::{Completeness, ErrorKind, Kubo, Pinned},
    types::Cid,
};

const TIME: Duration = Duration::from_secs(5);

/// A file of blocks, the same for the same name, and another for each other.
struct File {
    cid: Cid,
    blocks: Vec<Block>,
}

impl File {
    fn new(name: &str, leaves: usize) -> Self {
        let leaf = |n| Block::leaf(format!("{name} {n} ").repeat(1000).into_bytes());
        let mut blocks: Vec<_> = (0..leaves).map(leaf).collect();
        let parts: Vec<Dag> = blocks.iter().map(Block::as_leaf).collect();
        let mut file = FileBuilder::default();
        parts.into_iter().for_each(|part| file.push(part, &mut |node| blocks.push(node)));
        let cid = file.finish(&mut |node| blocks.push(node)).cid;
        Self { cid, blocks }
    }

    fn without(mut self, leaf: usize) -> (Self, Block) {
        let block = self.blocks.remove(leaf);
        (self, block)
    }
}

/// The bytes of an archive, in pieces.
pub(crate) fn archive(blocks: &[Block]) -> Vec<Result<Bytes, io::Error>> {
    let sections = blocks.iter().map(|block| Bytes::from(car::section(block)));
    std::iter::once(Bytes::from_static(&car::HEADER)).chain(sections).map(Ok).collect()
}

/// Gives a node blocks.
pub(crate) async fn import(kubo: &Kubo, blocks: &[Block]) -> Result<u64, qsync::kubo::Error> {
    kubo.import(of(archive(blocks))).await
}

fn of(pieces: Vec<Result<Bytes, io::Error>>) -> impl Stream<Item = Result<Bytes, io::Error>> + Send + Sync + 'static {
    stream::iter(pieces)
}

/// Asks for everything. `name` is in the name of whatever it leaves behind; the node may be in use meanwhile, but by no other of that name.
pub(crate) async fn run(kubo: &Kubo, name: &str) {
    says_what_it_is(kubo).await;
    takes_blocks(kubo, name).await;
    refuses_bad_blocks(kubo, name).await;
    survives_archives_that_break_off(kubo, name).await;
    pins(kubo, name).await;
    hands_pins_over(kubo, name).await;
    names_what_is_missing(kubo, name).await;
    keeps_files(kubo, name).await;
    publishes_names(kubo, name).await;
}

async fn says_what_it_is(kubo: &Kubo) {
    let node = kubo.check().await.unwrap();
    assert!(node.version.starts_with("0.") && node.peer_id.starts_with("12D3"), "{node:?}");
    let stat = kubo.repo_stat().await.unwrap();
    assert!(stat.max_bytes > 0, "{stat:?}");
}

async fn takes_blocks(kubo: &Kubo, name: &str) {
    let file = File::new(&format!("{name} taken"), 3);
    assert_eq!(import(kubo, &[]).await.unwrap(), 0);
    assert_eq!(import(kubo, &file.blocks).await.unwrap(), 4);
    assert_eq!(import(kubo, &file.blocks).await.unwrap(), 4, "what is there already is taken again");
    assert_eq!(kubo.completeness(&file.cid, TIME).await.unwrap(), Completeness::Complete);
    assert!(!kubo.is_pinned(&file.cid).await.unwrap(), "an import pins nothing");
    // Pieces of an archive need not be its blocks.
    let bytes: Vec<u8> = archive(&File::new(&format!("{name} in pieces"), 3).blocks).into_iter().flat_map(|piece| piece.unwrap()).collect();
    let pieces = bytes.chunks(7).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    assert_eq!(kubo.import(of(pieces)).await.unwrap(), 4);
}

async fn refuses_bad_blocks(kubo: &Kubo, name: &str) {
    let good = Block::leaf(format!("{name} good").into_bytes());
    let wrong = Block { cid: good.cid, bytes: format!("{name} evil").into_bytes() };
    let refused = import(kubo, &[wrong]).await.unwrap_err();
    assert_eq!((refused.kind.clone(), refused.action), (ErrorKind::Refused, "dag import"), "{refused}");
    assert_eq!(kubo.completeness(&good.cid, TIME).await.unwrap(), Completeness::Missing(Some(good.cid.to_string())));

    // Refused at once, while much of the archive is still to come.
    let big = Block::leaf(vec![0; (2 << 20) + 1]);
    let mut blocks = vec![big];
    blocks.extend((0..40).map(|n| Block::leaf(vec![n; 1 << 20])));
    let refused = import(kubo, &blocks).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::TooBig, "{refused}");
    assert_eq!(import(kubo, &[Block::leaf(vec![0; 2 << 20])]).await.unwrap(), 1);
}

async fn survives_archives_that_break_off(kubo: &Kubo, name: &str) {
    let file = File::new(&format!("{name} broken"), 3);
    let mut pieces = archive(&file.blocks);
    let last = pieces.pop().unwrap().unwrap();
    pieces.push(Ok(last.slice(..last.len() - 1)));
    let refused = kubo.import(of(pieces)).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Refused, "{refused}");

    let mut pieces = archive(&file.blocks);
    pieces.push(Err(io::Error::other("the disk is gone")));
    let failed = kubo.import(of(pieces)).await.unwrap_err();
    assert_eq!((failed.kind, failed.reason.as_str()), (ErrorKind::Interrupted, "the archive breaks off"));
}

async fn pins(kubo: &Kubo, name: &str) {
    let (file, other) = (File::new(&format!("{name} pinned"), 2), File::new(&format!("{name} pinned too"), 2));
    import(kubo, &[file.blocks, other.blocks].concat()).await.unwrap();
    let pin = format!("qsync/{name}/a");
    assert_eq!(kubo.pin_names(&pin).await.unwrap(), []);
    assert_eq!(kubo.pin_add(&file.cid, &pin, TIME).await.unwrap(), Pinned::Done);
    assert_eq!(kubo.pin_add(&other.cid, &format!("{pin}b"), TIME).await.unwrap(), Pinned::Done);
    assert!(kubo.is_pinned(&file.cid).await.unwrap());
    assert_eq!(kubo.pin_names(&pin).await.unwrap(), [file.cid], "not what only begins with the name");
    // The same again changes nothing.
    assert_eq!(kubo.pin_add(&file.cid, &pin, TIME).await.unwrap(), Pinned::Done);
    for cid in [file.cid, other.cid, file.cid] {
        kubo.pin_rm(&cid).await.unwrap();
        assert!(!kubo.is_pinned(&cid).await.unwrap());
    }
    assert_eq!(kubo.pin_names(&pin).await.unwrap(), []);
}

async fn hands_pins_over(kubo: &Kubo, name: &str) {
    let (old, new) = (File::new(&format!("{name} old"), 2), File::new(&format!("{name} new"), 3));
    import(kubo, &[&old.blocks[..], &new.blocks[..]].concat()).await.unwrap();
    let pin = format!("qsync/{name}/handed-over");
    let refused = kubo.pin_update(&old.cid, &new.cid, TIME).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Refused, "{refused}");
    kubo.pin_add(&old.cid, &pin, TIME).await.unwrap();
    assert_eq!(kubo.pin_update(&old.cid, &new.cid, TIME).await.unwrap(), Pinned::Done);
    let mut pinned = kubo.pin_names(&pin).await.unwrap();
    pinned.sort();
    let mut both = [old.cid, new.cid];
    both.sort();
    assert_eq!(pinned, both);
    kubo.pin_rm(&old.cid).await.unwrap();
    kubo.pin_rm(&new.cid).await.unwrap();
}

async fn names_what_is_missing(kubo: &Kubo, name: &str) {
    let (file, missing) = File::new(&format!("{name} incomplete"), 4).without(2);
    import(kubo, &file.blocks).await.unwrap();
    let found = kubo.completeness(&file.cid, TIME).await.unwrap();
    assert_eq!(found, Completeness::Missing(Some(missing.cid.to_string())));
    let short = Duration::from_millis(500);
    assert_eq!(kubo.pin_add(&file.cid, name, short).await.unwrap(), Pinned::Incomplete);
    assert!(!kubo.is_pinned(&file.cid).await.unwrap());
    assert_eq!(import(kubo, &[missing]).await.unwrap(), 1);
    assert_eq!(kubo.completeness(&file.cid, TIME).await.unwrap(), Completeness::Complete);
    assert_eq!(kubo.pin_add(&file.cid, name, TIME).await.unwrap(), Pinned::Done);
    kubo.pin_rm(&file.cid).await.unwrap();
}

async fn keeps_files(kubo: &Kubo, name: &str) {
    let (one, other) = (File::new(&format!("{name} file"), 2), File::new(&format!("{name} other file"), 2));
    import(kubo, &[&one.blocks[..], &other.blocks[..]].concat()).await.unwrap();
    let path = format!("/qsync/partial/{name}/7");
    assert_eq!(kubo.files_cid(&path).await.unwrap(), None);
    for file in [&one, &other, &other] {
        kubo.files_cp(&file.cid, &path).await.unwrap();
        assert_eq!(kubo.files_cid(&path).await.unwrap(), Some(file.cid));
    }
    assert_eq!(kubo.files_cid(&format!("{path}/below")).await.unwrap(), None, "a path through a file leads nowhere");
    for path in [&path, &format!("/qsync/partial/{name}"), &format!("/qsync/partial/{name}"), &format!("/no/{name}/such")] {
        kubo.files_rm(path).await.unwrap();
        assert_eq!(kubo.files_cid(path).await.unwrap(), None);
    }
}

async fn publishes_names(kubo: &Kubo, name: &str) {
    let file = File::new(&format!("{name} named"), 1);
    import(kubo, &file.blocks).await.unwrap();
    let ipns = kubo.name_publish("self", &file.cid).await.unwrap();
    assert!(ipns.starts_with('k'), "{ipns}");
    assert_eq!(kubo.name_publish("self", &file.cid).await.unwrap(), ipns);
    let refused = kubo.name_publish("no-such-key", &file.cid).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Refused, "{refused}");
}
