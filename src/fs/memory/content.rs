//! The bytes of a file in memory: pages that are shared until written, and holes between them.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

/// Granularity of holes and of space.
pub(super) const PAGE: u64 = 4096;

type Page = [u8; PAGE as usize];

/// Length and pages. Copies share pages, so that cutting the power at every operation stays cheap.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    len: u64,
    pages: BTreeMap<u64, Arc<Page>>,
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn page_numbers(&self) -> impl Iterator<Item = u64> {
        self.pages.keys().copied()
    }

    /// Offset and bytes of every page, as far as the file goes.
    pub(super) fn pages(&self) -> impl Iterator<Item = (u64, Vec<u8>)> {
        let within = |offset: u64| (self.len - offset).min(PAGE) as usize;
        self.pages.iter().map(move |(number, page)| (number * PAGE, page[..within(number * PAGE)].to_vec()))
    }

    pub(super) fn has_page(&self, number: u64) -> bool {
        self.pages.contains_key(&number)
    }

    /// Fills as much of `buf` as the file has at `offset` and says how much.
    pub(super) fn read_at(&self, buf: &mut [u8], offset: u64) -> usize {
        let len = self.len.saturating_sub(offset).min(buf.len() as u64) as usize;
        for piece in pieces(offset, len) {
            let into = &mut buf[piece.in_buffer.clone()];
            match self.pages.get(&piece.page) {
                Some(page) => into.copy_from_slice(&page[piece.in_page..piece.in_page + into.len()]),
                None => into.fill(0),
            }
        }
        len
    }

    pub(super) fn write_at(&mut self, bytes: &[u8], offset: u64) {
        for piece in pieces(offset, bytes.len()) {
            let from = &bytes[piece.in_buffer.clone()];
            let page = self.pages.entry(piece.page).or_insert_with(|| Arc::new([0; PAGE as usize]));
            Arc::make_mut(page)[piece.in_page..piece.in_page + from.len()].copy_from_slice(from);
        }
        self.len = self.len.max(offset + bytes.len() as u64);
    }

    pub(super) fn set_len(&mut self, len: u64) {
        self.pages.retain(|page, _| page * PAGE < len);
        if let Some(page) = self.pages.get_mut(&(len / PAGE)) {
            Arc::make_mut(page)[(len % PAGE) as usize..].fill(0);
        }
        self.len = len;
    }

    /// The next run of pages that are there, cut to `offset` and the end of the file.
    pub(super) fn next_data(&self, offset: u64) -> Option<Range<u64>> {
        let first = *self.pages.range(offset / PAGE..).next()?.0;
        let end = (first..).find(|page| !self.pages.contains_key(page))?;
        let range = offset.max(first * PAGE)..self.len.min(end * PAGE);
        (!range.is_empty()).then_some(range)
    }

    pub(super) fn flip_bit(&mut self, byte: u64, bit: u8) -> bool {
        let mut value = [0];
        let inside = self.read_at(&mut value, byte) == 1;
        if inside {
            self.write_at(&[value[0] ^ (1 << (bit % 8))], byte);
        }
        inside
    }
}

/// The numbers of the pages that a range of bytes touches.
pub(super) fn pages_of(range: Range<u64>) -> Range<u64> {
    range.start / PAGE..range.end.div_ceil(PAGE)
}

struct Piece {
    page: u64,
    in_page: usize,
    in_buffer: Range<usize>,
}

/// Cuts a buffer that lies at `offset` at the page borders.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = Piece> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let at = offset + done as u64;
        let in_page = (at % PAGE) as usize;
        let end = len.min(done + PAGE as usize - in_page);
        let piece = Piece { page: at / PAGE, in_page, in_buffer: done..end };
        done = end;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_like_one_vector(steps in prop::collection::vec((any::<bool>(), 0_u64..20_000, prop::collection::vec(any::<u8>(), 0..9_000)), 1..12)) {
            let mut content = Content::default();
            let mut model: Vec<u8> = Vec::new();
            for (cut, offset, bytes) in steps {
                if cut {
                    content.set_len(offset);
                    model.resize(offset as usize, 0);
                } else if !bytes.is_empty() {
                    let end = offset as usize + bytes.len();
                    model.resize(model.len().max(end), 0);
                    model[offset as usize..end].copy_from_slice(&bytes);
                    content.write_at(&bytes, offset);
                }
            }
            let mut read = vec![1; model.len() + 10];
            prop_assert_eq!(content.read_at(&mut read, 0), model.len());
            prop_assert_eq!(&read[..model.len()], &model[..]);
        }
    }
}
