//! What real and hostile files tell.

use proptest::prelude::*;

use super::*;
use crate::{disk::testing::put, fs::MemoryFs};

fn of(files: &[(&str, &[u8])]) -> Option<(String, Option<String>)> {
    let fs = MemoryFs::new();
    files.iter().for_each(|(path, bytes)| put(&fs, &format!("/d/{path}"), bytes));
    of_dir(&fs, Path::new("/d")).unwrap().map(|(engine, _)| (engine.name, engine.format))
}

fn engine(name: &str, format: Option<&str>) -> Option<(String, Option<String>)> {
    Some((name.to_owned(), format.map(str::to_owned)))
}

const ROCKSDB: &[u8] = b"# This is a RocksDB option file.\n\n[Version]\n  rocksdb_version=8.10.0\n  options_file_version=1.1\n";
const PEBBLE: &[u8] = b"[Version]\n  pebble_version=0.1\n\n[Options]\n  cache_size=8\n  format_major_version=13\n";

#[test]
fn the_three_of_one_family_are_told_apart() {
    let (current, manifest): (&[u8], &[u8]) = (b"MANIFEST-000004\n", b"\0");
    let base = [("CURRENT", current), ("MANIFEST-000004", manifest)];
    let with = |more: &[(&'static str, &'static [u8])]| of(&[base.as_slice(), more].concat());
    assert_eq!(with(&[("OPTIONS-000007", ROCKSDB), ("IDENTITY", b"x")]), engine("rocksdb", Some("8.10.0")));
    assert_eq!(with(&[("OPTIONS-000007", PEBBLE)]), engine("pebble", Some("13")));
    assert_eq!(with(&[]), engine("leveldb", None));
    assert_eq!(with(&[("IDENTITY", b"x")]), engine("rocksdb", None));
    // The newest counts, by number and not by text.
    let newer = ROCKSDB.iter().map(|b| if *b == b'8' { b'9' } else { *b }).collect::<Vec<_>>();
    let both = of(&[("CURRENT", current), ("MANIFEST-000004", manifest), ("OPTIONS-99", ROCKSDB), ("OPTIONS-100", &newer)]);
    assert_eq!(both, engine("rocksdb", Some("9.10.0")));
    let marked = [("MANIFEST-000004", manifest), ("marker.format-version.000005.016", b""), ("OPTIONS-000007", PEBBLE)];
    assert_eq!(of(&marked), engine("pebble", Some("16")));
    assert_eq!(of(&[("CURRENT", current)]), None);
}

#[test]
fn the_others_are_known_by_their_own_marks() {
    assert_eq!(of(&[("metadata", b"version=8\nsizes=[..]\nsalt=00ff\n")]), engine("paritydb", Some("8")));
    assert_eq!(of(&[("metadata", b"version=8\n")]), None);
    let mut page = [0; 64];
    page[20..28].copy_from_slice(&((0x0059_659D_BDEF_4C11_u64 << 8) | 67).to_le_bytes());
    assert_eq!(of(&[("mdbx.dat", &page)]), engine("mdbx", Some("3")));
    let mut page = [0; 64];
    page[16..20].copy_from_slice(&0xBEEF_C0DE_u32.to_le_bytes());
    page[20] = 1;
    assert_eq!(of(&[("data.mdb", &page)]), engine("lmdb", Some("1")));
    assert_eq!(of(&[("mdbx.dat", &[0; 64])]), None);
}

fn facts_of(node: &str, files: &[(&str, &[u8])]) -> Facts {
    let fs = MemoryFs::new();
    files.iter().for_each(|(path, bytes)| put(&fs, &format!("/d/{path}"), bytes));
    facts(&fs, Path::new("/d"), &NodeProfile::builtin(node).unwrap()).unwrap()
}

#[test]
fn a_profile_says_where_the_version_of_the_format_is() {
    let index = ("blockchain/database/block_num_to_block/index", b"".as_slice());
    let told = facts_of("bitshares", &[index, ("blockchain/db_version", b"20230201\n")]);
    assert_eq!(told.engine, Some(Engine { name: "graphene".into(), format: Some("20230201".into()) }));
    assert_eq!(facts_of("bitshares", &[index, ("blockchain/db_version", b"two words")]).engine.unwrap().format, None);
    assert_eq!(facts_of("bitshares", &[]).engine, None);
}

#[test]
fn the_chain_is_told_by_places_and_first_blocks() {
    let chain = |node: &str, files: &[(&str, &[u8])]| facts_of(node, files).chain;
    assert_eq!(chain("polkadot-rocksdb", &[("chains/ksmcc3/db/full/CURRENT", b"")]), Some("kusama".into()));
    assert_eq!(chain("polkadot-rocksdb", &[("chains/mine/db/full/CURRENT", b"")]), Some("mine".into()));
    let two = [("chains/mine/db/full/CURRENT", b"".as_slice()), ("chains/ksmcc3/db/full/CURRENT", b"")];
    assert_eq!(chain("polkadot-rocksdb", &two), None);
    assert_eq!(chain("bitcoind", &[("blocks/blk00000.dat", &[0xf9, 0xbe, 0xb4, 0xd9, 1])]), Some("bitcoin".into()));
    let hidden =
        [("blocks/blk00000.dat", [0xf9 ^ 1, 0xbe ^ 2, 0xb4 ^ 3, 0xd9 ^ 4].as_slice()), ("blocks/xor.dat", &[1, 2, 3, 4, 5, 6, 7, 8])];
    assert_eq!(chain("bitcoind", &hidden), Some("bitcoin".into()));
    assert_eq!(chain("bitcoind", &[("blocks/blk00000.dat", &[0; 9])]), None);
    assert_eq!(chain("cosmos-sdk", &[("config/genesis.json", b"{\n  \"chain_id\": \"cosmoshub-4\", }")]), Some("cosmoshub-4".into()));
    let genesis = hex::decode("d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3").unwrap();
    assert_eq!(chain("geth", &[("geth/chaindata/ancient/chain/hashes.0000.rdat", &genesis)]), Some("ethereum".into()));
    assert_eq!(chain("geth", &[("geth/chaindata/ancient/chain/hashes.0000.rdat", &[])]), None);
}

#[test]
fn a_directory_of_another_chain_than_the_channel_is_refused() {
    let check = |node: &str, files: &[(&str, &[u8])], chain: &str| {
        let refused = facts_of(node, files).check_chain(Path::new("/d"), &NodeProfile::builtin(node).unwrap(), chain);
        refused.map_err(|error| error.to_string())
    };
    let sepolia = hex::decode("25a5cc106eea7138acab33231d7160d69cb777ee0c2c553fcddf5138993e6dd9").unwrap();
    let geth = [("geth/chaindata/ancient/chain/hashes.0000.rdat", sepolia.as_slice())];
    check("geth", &geth, "sepolia").unwrap();
    check("geth", &geth, "my-own").unwrap();
    assert_eq!(check("geth", &geth, "ethereum").unwrap_err(), "/d is of sepolia, and the channel is of ethereum");
    let unknown = [("geth/chaindata/ancient/chain/hashes.0000.rdat", [7; 32].as_slice())];
    assert!(check("geth", &unknown, "ethereum").unwrap_err().contains("the chain of genesis block 0x0707"));
    let signet = [("blocks/blk00000.dat", [0x0a, 0x03, 0xcf, 0x40].as_slice())];
    assert_eq!(check("bitcoind", &signet, "bitcoin").unwrap_err(), "/d is of bitcoin-signet, and the channel is of bitcoin");
}

proptest! {
    #[test]
    fn garbage_tells_nothing_and_breaks_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..200), name in 0_usize..9) {
        let names = [
            "OPTIONS-000001", "metadata", "mdbx.dat", "data.mdb", "marker.format-version.", "OPTIONS-x", "CURRENT", "IDENTITY",
            "marker.format-version.000001.",
        ];
        let others = [("CURRENT", b"x".as_slice()), ("MANIFEST-000001", b"x")];
        let files: Vec<_> = others.into_iter().filter(|(other, _)| *other != names[name]).chain([(names[name], bytes.as_slice())]).collect();
        of(&files);
        for node in NodeProfile::builtin_names() {
            let files = ["blocks/blk00000.dat", "blocks/xor.dat", "config/genesis.json", "geth/chaindata/ancient/hashes.0000.rdat",
                "chains/a/db/full/MANIFEST-1", "chains/a/db/full/OPTIONS-1", "blockchain/db_version", "db/mdbx.dat", "db/database.version"];
            let told = facts_of(node, &files.map(|file| (file, bytes.as_slice())));
            let words = told.engine.iter().flat_map(|engine| [Some(&engine.name), engine.format.as_ref()]).flatten().chain(&told.chain);
            for word in words {
                prop_assert!(word.len() <= MAX_WORD && word.bytes().all(|b| b.is_ascii_graphic()), "{word:?}");
            }
        }
    }
}
