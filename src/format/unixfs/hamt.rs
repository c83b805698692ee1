//! A large directory as a trie of blocks with 256 places each, in which a name's place is a byte of its hash (the UnixFS specification,
//! "HAMTDirectory").

use std::collections::BTreeMap;

use super::{
    Block, Dag,
    data::{Data, Kind},
    directory::Entry,
    node,
};

/// Places in each block.
const FANOUT: usize = 256;
/// The multicodec of the hash function of names, murmur3-x64-64.
const MURMUR3: u64 = 0x22;

/// Bytes of a name's hash, one for each level.
const PLACES: usize = 8;

/// An entry with the hash of its name.
struct Placed<'a> {
    place: [u8; PLACES],
    entry: &'a Entry,
}

/// Puts a directory of different names together; gives away its blocks.
pub(super) fn shard(entries: &[Entry], emit: &mut impl FnMut(Block)) -> Dag {
    let placed = entries.iter().map(|entry| Placed { place: hash(&entry.name), entry });
    shard_level(placed.collect(), 0, emit)
}

fn shard_level(placed: Vec<Placed<'_>>, level: usize, emit: &mut impl FnMut(Block)) -> Dag {
    let mut places: BTreeMap<u8, Vec<Placed<'_>>> = BTreeMap::new();
    for one in placed {
        places.entry(one.place[level]).or_default().push(one);
    }
    let mut taken = [0_u8; FANOUT / 8];
    let mut links = Vec::with_capacity(places.len());
    for (place, here) in places {
        taken[FANOUT / 8 - 1 - usize::from(place) / 8] |= 1 << (place % 8);
        let named = |one: &Placed<'_>| (format!("{place:02X}{}", one.entry.name), one.entry.dag);
        // Names that agree in all 64 bits do not occur by chance; whoever makes some gets them in one place of the deepest block.
        if here.len() == 1 || level + 1 == PLACES {
            links.extend(here.iter().map(named));
        } else {
            links.push((format!("{place:02X}"), shard_level(here, level + 1, emit)));
        }
    }
    // As a number: no zeros in front.
    let first = taken.iter().position(|byte| *byte != 0).unwrap_or(taken.len());
    let data = Data { data: Some(taken[first..].to_vec()), hash_type: Some(MURMUR3), fanout: Some(FANOUT as u64), ..Data::of(Kind::Shard) };
    let (block, dag_bytes) = node::make(links, &data);
    let dag = Dag { cid: block.cid, dag_bytes, content_bytes: 0 };
    emit(block);
    dag
}

fn hash(name: &str) -> [u8; PLACES] {
    let hash = murmur3::murmur3_x64_128(&mut name.as_bytes(), 0).expect("a slice can always be read");
    ((hash & u128::from(u64::MAX)) as u64).to_be_bytes()
}
