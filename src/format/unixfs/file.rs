//! A file as a balanced tree of its blocks.

use super::{
    Block, Dag,
    data::{Data, Kind},
    node,
};

/// The most links of a node in a file's tree (IPIP-499, profile unixfs-v1-2025).
pub const MAX_LINKS: usize = 1024;

/// Puts the blocks of a file together, in order, to the balanced tree that Kubo makes of them: all blocks at one depth, filled from the left.
///
/// Holds at most [`MAX_LINKS`] links for each level.
#[derive(Debug, Default)]
pub struct FileBuilder {
    levels: Vec<Vec<Dag>>,
}

impl FileBuilder {
    /// Adds the next part; gives away the nodes that are complete with it.
    pub fn push(&mut self, part: Dag, emit: &mut impl FnMut(Block)) {
        self.add(0, part, emit);
    }

    fn add(&mut self, level: usize, part: Dag, emit: &mut impl FnMut(Block)) {
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        self.levels[level].push(part);
        if self.levels[level].len() == MAX_LINKS {
            let node = join(std::mem::take(&mut self.levels[level]), emit);
            self.add(level + 1, node, emit);
        }
    }

    /// The file. One of one part is that part itself.
    pub fn finish(mut self, emit: &mut impl FnMut(Block)) -> Dag {
        let mut level = 0;
        while level < self.levels.len() {
            let is_top = level + 1 == self.levels.len();
            match (self.levels[level].len(), is_top) {
                (1, true) => return self.levels[level][0],
                (0, _) => {}
                _ => {
                    let node = join(std::mem::take(&mut self.levels[level]), emit);
                    if is_top {
                        return node;
                    }
                    self.levels[level + 1].push(node);
                }
            }
            level += 1;
        }
        empty_file(emit)
    }
}

fn join(parts: Vec<Dag>, emit: &mut impl FnMut(Block)) -> Dag {
    let part_bytes: Vec<u64> = parts.iter().map(|part| part.content_bytes).collect();
    let content_bytes = part_bytes.iter().sum();
    let data = Data { file_bytes: Some(content_bytes), part_bytes, ..Data::of(Kind::File) };
    let (block, dag_bytes) = node::make(parts.into_iter().map(|part| (String::new(), part)), &data);
    let dag = Dag { cid: block.cid, dag_bytes, content_bytes };
    emit(block);
    dag
}

/// A file without content. It is a node, not the empty block of content that Kubo makes: nodes never get a block of length zero from each other,
/// and wait for it for ever.
pub fn empty_file(emit: &mut impl FnMut(Block)) -> Dag {
    let data = Data { file_bytes: Some(0), ..Data::of(Kind::File) };
    let (block, dag_bytes) = node::make([], &data);
    let dag = Dag { cid: block.cid, dag_bytes, content_bytes: 0 };
    emit(block);
    dag
}
