//! Blocks one after the other, as a node of IPFS takes them in (the CARv1 specification).

use super::unixfs::Block;
use crate::types::Cid;

/// The archive's beginning: version 1, and no roots (the DAG-CBOR of `{"roots": [], "version": 1}`, with its length before it).
pub const HEADER: [u8; 18] = *b"\x11\xa2eroots\x80gversion\x01";

/// What stands before the bytes of a block: the length of what follows, and the block's name.
#[must_use]
pub fn section_header(cid: &Cid, block_bytes: usize) -> Vec<u8> {
    let mut header = Vec::with_capacity(Cid::BYTES + 5);
    prost::encoding::encode_varint((Cid::BYTES + block_bytes) as u64, &mut header);
    header.extend(cid.to_bytes());
    header
}

/// A block as it stands in the archive.
#[must_use]
pub fn section(block: &Block) -> Vec<u8> {
    [&section_header(&block.cid, block.bytes.len()), &block.bytes[..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_follows_its_length_and_name() {
        let block = Block::leaf(vec![7; 300]);
        let section = section(&block);
        // 336 in base 128, the low bits first.
        assert_eq!(section[..2], [0xd0, 0x02]);
        assert_eq!(section[2..38], block.cid.to_bytes());
        assert_eq!(section[38..], [7; 300]);
        assert_eq!(usize::from(HEADER[0]), HEADER.len() - 1);
    }
}
