//! A file on IPFS, put together from its blocks: never more of it than the caller allows, and never more requests than such a file has blocks.

use futures::{StreamExt, TryStreamExt, stream};

use super::IpfsSource;
use crate::{
    format::unixfs::{self, Part},
    store::{Error, ErrorKind, MAX_BLOCK_BYTES},
    types::{Cid, Codec},
};

/// The most levels of nodes above the content: with 1,024 links each, far more than any file here has.
const MAX_LEVELS: usize = 4;
/// The most blocks: of the longest manifest in blocks of 64 KiB.
const MAX_BLOCKS: usize = 4096;
/// Blocks that are fetched at a time.
const AT_A_TIME: usize = 8;

impl IpfsSource {
    /// Reads the file of this name into `into`, which is empty.
    pub(super) async fn file_into(&self, cid: &Cid, max_bytes: u64, into: &mut Vec<u8>) -> Result<(), Error> {
        if cid.codec() == Codec::Raw {
            return self.block_into(cid, max_bytes, into).await;
        }
        let parts = self.contents(cid, max_bytes).await?;
        let contents = stream::iter(parts).map(async |part| self.content(part).await).buffered(AT_A_TIME);
        let mut contents = std::pin::pin!(contents);
        while let Some(content) = contents.try_next().await? {
            into.extend_from_slice(&content);
        }
        Ok(())
    }

    /// The blocks of content of a file, in order.
    async fn contents(&self, cid: &Cid, max_bytes: u64) -> Result<Vec<Part>, Error> {
        let mut parts = self.parts(cid).await?;
        let bytes = length(&parts);
        if bytes > max_bytes {
            return Err(self.error(ErrorKind::TooLarge, format!("a file of {bytes} bytes, at most {max_bytes} expected")));
        }
        for _ in 0..MAX_LEVELS {
            if parts.len() > MAX_BLOCKS {
                return Err(self.not_a_snapshot(format_args!("found a file of {bytes} bytes in {} blocks", parts.len())));
            }
            if parts.iter().all(|part| part.cid.codec() == Codec::Raw) {
                return Ok(parts);
            }
            parts = self.next_level(parts).await?;
        }
        Err(self.not_a_snapshot(format_args!("found a file with more than {MAX_LEVELS} levels")))
    }

    /// The same parts, with what each node has in the node's place.
    async fn next_level(&self, parts: Vec<Part>) -> Result<Vec<Part>, Error> {
        let mut below = Vec::new();
        for part in parts {
            match part.cid.codec() {
                Codec::Raw => below.push(part),
                Codec::DagPb => {
                    let inner = self.parts(&part.cid).await?;
                    self.check_length(&part, length(&inner))?;
                    below.extend(inner);
                }
            }
            if below.len() > MAX_BLOCKS {
                break;
            }
        }
        Ok(below)
    }

    async fn parts(&self, cid: &Cid) -> Result<Vec<Part>, Error> {
        let node = self.block(cid, MAX_BLOCK_BYTES).await?;
        unixfs::read_file(&node).map_err(|invalid| self.not_a_snapshot(format_args!("found {invalid}")))
    }

    async fn content(&self, part: Part) -> Result<Vec<u8>, Error> {
        let content = self.block(&part.cid, part.bytes).await?;
        self.check_length(&part, content.len() as u64)?;
        Ok(content)
    }

    fn check_length(&self, part: &Part, found: u64) -> Result<(), Error> {
        if part.bytes == found {
            return Ok(());
        }
        Err(self.not_a_snapshot(format_args!("block {} has {found} bytes of a file, {} expected", part.cid, part.bytes)))
    }
}

/// The sum is known not to overflow: the node states it.
fn length(parts: &[Part]) -> u64 {
    parts.iter().map(|part| part.bytes).sum()
}
