//! The names that Kubo gives to the same files. They were made with Kubo 0.43.0:
//!
//! ```text
//! ipfs init && ipfs config profile apply unixfs-v1-2025
//! ipfs add -rHQ --only-hash --hash=blake3 DIR
//! ```

use proptest::prelude::*;

use super::*;

const MIB: u64 = 1 << 20;

fn content(bytes: &[u8]) -> Dag {
    Dag::leaf(Hash::of(bytes), bytes.len() as u64)
}

fn file(parts: impl IntoIterator<Item = Dag>, emit: &mut impl FnMut(Block)) -> Dag {
    let mut builder = FileBuilder::default();
    parts.into_iter().for_each(|part| builder.push(part, emit));
    builder.finish(emit)
}

fn named(entries: impl IntoIterator<Item = (String, Dag)>) -> Vec<Entry> {
    entries.into_iter().map(|(name, dag)| Entry { name, dag }).collect()
}

/// A file whose chunk i is 1 MiB of the byte i, modulo 256.
fn striped(chunks: usize) -> Dag {
    let stripes: Vec<Dag> = (0..=255_u8).map(|byte| content(&vec![byte; MIB as usize])).collect();
    file((0..chunks).map(|index| stripes[index % 256]), &mut drop)
}

#[test]
fn a_file_has_the_name_that_kubo_gives_it() {
    assert_eq!(file([content(b"hello")], &mut drop).cid.to_string(), "bafkr4ihkr4ld3m4gqkjf4reryxsy2s5tkbxprqkow6fin2iiyvreuzzab4");
    // One level of nodes, full to the last link; and two links more.
    assert_eq!(striped(1024).cid.to_string(), "bafyb4idftt7j6lvnnw2b7lv7c3so5jfwua4pmgmmffc6aw5jxvrcxevtbq");
    assert_eq!(striped(1026).cid.to_string(), "bafyb4ibrskqom2mlvdh6durwqkbhsad4rsd47jsczwvifbzibnfrj2fxfq");
}

#[test]
fn a_directory_has_the_name_that_kubo_gives_it() {
    let name = |entries| directory(entries, &mut drop).cid.to_string();
    assert_eq!(name(Vec::new()), "bafyb4igcwu4aknzxeunla7d6swhtgjcpcdpi7hk5twl4ubnlczrqh3gmme");
    let many = || named((0..10_000).map(|i| (format!("{i:06}.sst"), content(i.to_string().as_bytes()))));
    assert_eq!(name(many()), "bafyb4idzozc2ogntswqkhposcpfgbfctp7k5ihw66ix2qilkpyolttakha");
    // A large directory, an empty one and a file in another.
    let db = directory(many(), &mut drop);
    let nested = [("db".to_owned(), db), ("lists".to_owned(), directory(Vec::new(), &mut drop)), ("top".to_owned(), content(b"1"))];
    assert_eq!(name(named(nested)), "bafyb4iegg72bmsaede5ezr2gjqhep5biwb3ov3a53xlfpaay75pzmj5cbu");
}

#[test]
fn a_directory_becomes_a_trie_with_the_byte_that_kubo_shards_at() {
    let of = |names: Vec<String>| {
        let mut blocks = Vec::new();
        let dag = directory(named(names.into_iter().map(|name| (name, content(b"x")))), &mut |block| blocks.push(block));
        (dag.cid.to_string(), blocks.len())
    };
    let mut names: Vec<String> = (0..4369).map(|i| format!("f{i:015}")).collect();
    // Exactly 256 KiB, and one byte more.
    assert_eq!(of(names.clone()), ("bafyb4if2rxh4xzhz2fkpot7l4ufnnr26n5px3tciu3qwvim5c7j5mie2qa".into(), 1));
    names[7].push('0');
    let (cid, blocks) = of(names);
    assert_eq!(cid, "bafyb4ignujbgb7xdojb4jbbqijnlrudcgzojqs3fh447wgiytmuxaypm4q");
    assert!(blocks > 200, "{blocks}");
}

#[test]
fn an_empty_file_is_a_node_and_not_an_empty_block() {
    let mut blocks = Vec::new();
    let dag = empty_file(&mut |block| blocks.push(block));
    assert_eq!((dag.content_bytes, dag.cid.codec(), blocks.len()), (0, Codec::DagPb, 1));
    assert_eq!(blocks[0].bytes, [0x0a, 4, 8, 2, 0x18, 0]);
    assert_eq!(file([], &mut drop), dag);
}

#[test]
fn names_whose_hashes_agree_entirely_share_a_place_of_the_deepest_block() {
    // No two names are known that agree, so one name stands for both.
    let twice = named([("a".to_owned(), content(b"1")), ("a".to_owned(), content(b"2"))]);
    let mut blocks = Vec::new();
    hamt::shard(&twice, &mut |block| blocks.push(block));
    assert_eq!(blocks.len(), 8);
}

#[test]
fn refuses_what_is_not_the_node_that_is_expected() {
    let mut blocks = Vec::new();
    let dir = directory(named([("a".to_owned(), content(b"1"))]), &mut |block| blocks.push(block));
    file([content(b"1"), content(b"22")], &mut |block| blocks.push(block));
    let (as_dir, as_file) = (&blocks[0].bytes, &blocks[1].bytes);
    assert_eq!(read_directory(as_dir).unwrap(), [("a".to_owned(), content(b"1").cid)]);
    assert_eq!(read_file(as_file).unwrap(), [Part { cid: content(b"1").cid, bytes: 1 }, Part { cid: content(b"22").cid, bytes: 2 }]);
    assert_eq!(read_directory(as_file).unwrap_err().to_string(), "a file, not a directory");
    assert_eq!(read_file(as_dir).unwrap_err().to_string(), "a directory, not a file");
    assert!(matches!(read_directory(b"<html>"), Err(InvalidNode::Malformed(_))));
    assert!(matches!(read_directory(b""), Err(InvalidNode::Malformed(_))));
    // 3 bytes in all become 4.
    let mut liar = as_file.clone();
    let at = liar.windows(4).rposition(|window| window == [0x18, 3, 0x20, 1]).unwrap();
    liar[at + 1] = 4;
    assert!(matches!(read_file(&liar), Err(InvalidNode::Lengths(_))));
    assert_eq!(dir.cid.codec(), Codec::DagPb);
}

proptest! {
    #[test]
    fn a_tree_has_every_part_once_in_order_and_all_at_one_depth(count in 1_usize..3000) {
        let parts: Vec<Dag> = (0..count).map(|i| content(&i.to_le_bytes()[..=i % 8])).collect();
        let mut blocks = std::collections::HashMap::new();
        let root = file(parts.iter().copied(), &mut |block| { blocks.insert(block.cid, block.bytes); });
        let (mut level, mut depth) = (vec![Part { cid: root.cid, bytes: root.content_bytes }], 0);
        while level.iter().any(|part| part.cid.codec() == Codec::DagPb) {
            level = level.iter().flat_map(|part| {
                let below = read_file(&blocks[&part.cid]).unwrap();
                assert!(below.len() <= MAX_LINKS);
                assert_eq!(below.iter().map(|part| part.bytes).sum::<u64>(), part.bytes);
                below
            }).collect();
            depth += 1;
        }
        prop_assert_eq!(level.iter().map(|part| part.cid).collect::<Vec<_>>(), parts.iter().map(|part| part.cid).collect::<Vec<_>>());
        prop_assert_eq!(depth, match count { 1 => 0, 2..=1024 => 1, _ => 2 });
        let below: u64 = parts.iter().map(|part| part.dag_bytes).sum();
        prop_assert_eq!(root.dag_bytes, below + blocks.values().map(|bytes| bytes.len() as u64).sum::<u64>());
    }

    #[test]
    fn any_bytes_are_read_as_a_node_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_directory(&bytes);
        let _ = read_file(&bytes);
    }
}
