//! What may be left after the power went.

use super::{
    content::Content,
    names::Rest,
    node::{Body, Change, FileBody, Tree},
};

/// What a power cut does to changes that were not synced. What was synced is always there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsynced {
    /// All are lost.
    Lost,
    /// All are there: the process was killed, the machine went on.
    Kept,
    /// Names are there, content is not: new files are empty.
    OnlyNames,
    /// Names and lengths are there, the bytes are zeros: their blocks were never written.
    NamesAndLengths,
    /// Content is there, names are not.
    OnlyContent,
    /// Of each change chance, fixed by this number, decides whether it is there, is missing, or, for writes, is torn. A rename happened or
    /// did not, never half.
    ByChance(u64),
}

/// Reproducible chance (splitmix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

impl Unsynced {
    fn keeps_name(self, chance: &mut Chance) -> bool {
        match self {
            Self::Kept | Self::OnlyNames | Self::NamesAndLengths => true,
            Self::Lost | Self::OnlyContent => false,
            Self::ByChance(_) => chance.coin(),
        }
    }

    /// What is left of a file: the durable content, and what is kept of each later change.
    fn survivor(self, file: &FileBody, chance: &mut Chance) -> Content {
        let mut content = file.durable.clone();
        for change in &file.unsynced {
            match (self, change) {
                (Self::Lost | Self::OnlyNames, _) => {}
                (Self::ByChance(_), Change::SetLen(_)) if chance.coin() => {}
                (_, Change::SetLen(len)) => content.set_len(*len),
                (Self::Kept | Self::OnlyContent, Change::Write { offset, bytes }) => content.write_at(bytes, *offset),
                (Self::NamesAndLengths, Change::Write { offset, bytes }) => content.set_len(content.len().max(offset + bytes.len() as u64)),
                (Self::ByChance(_), Change::Write { offset, bytes }) => write_by_chance(&mut content, *offset, bytes, chance),
            }
        }
        content
    }
}

impl Tree {
    /// The tree as it may be found again; everything in it is durable.
    pub(super) fn after_power_cut(mut self, unsynced: Unsynced) -> Self {
        let mut chance = Chance(if let Unsynced::ByChance(seed) = unsynced { seed } else { 0 });
        let keep = self.unsynced.iter().map(|_| unsynced.keeps_name(&mut chance)).collect();
        self.settle(keep, Rest::IsLost);
        for node in self.nodes.values_mut() {
            node.nlink = 0;
            match &mut node.body {
                Body::File(file) => *file = FileBody::durable(unsynced.survivor(file, &mut chance)),
                Body::Dir { now, durable } => *now = durable.clone(),
                Body::Symlink => {}
            }
        }
        self.count_links();
        self
    }

    fn count_links(&mut self) {
        let mut named = Vec::new();
        for node in self.nodes.values() {
            if let Body::Dir { now, .. } = &node.body {
                named.extend(now.values().copied());
            }
        }
        for ino in named {
            self.node_mut(ino).nlink += 1;
        }
    }
}

fn write_by_chance(content: &mut Content, offset: u64, bytes: &[u8], chance: &mut Chance) {
    let written = chance.below(bytes.len() as u64 + 1) as usize;
    match chance.below(4) {
        0 => {}
        1 => content.write_at(bytes, offset),
        2 => content.write_at(&bytes[..written], offset),
        // The length came to the disk, the last blocks did not.
        _ => {
            let mut torn = bytes.to_vec();
            torn[written..].fill(0);
            content.write_at(&torn, offset);
        }
    }
}
