//! Buffers for frames and chunks, which travel from the thread that fills them to the stores and back.

use std::sync::{Arc, Mutex};

use bytes::Bytes;

/// Buffers that are free. Clones share them. There are never more than were under way at once.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

/// A buffer under way.
struct Lent {
    buffer: Vec<u8>,
    home: Buffers,
}

impl Buffers {
    /// A free buffer, with whatever is left in it.
    pub(super) fn take(&self) -> Vec<u8> {
        self.0.lock().expect("no holder of this lock panics").pop().unwrap_or_default()
    }

    /// The content of `buffer`, without a copy. The buffer is free again when the last owner of the bytes drops them.
    pub(super) fn lend(&self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent { buffer, home: self.clone() })
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        self.home.0.lock().expect("no holder of this lock panics").push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_nobody_has_its_bytes() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take();
        buffer.extend_from_slice(b"frame");
        let at = buffer.as_ptr();
        let bytes = buffers.lend(buffer);
        let second = Bytes::clone(&bytes);
        drop(bytes);
        assert_eq!(buffers.take().capacity(), 0, "it is still lent");
        assert_eq!(&second[..], b"frame");
        drop(second);
        let again = buffers.take();
        assert_eq!(again.as_ptr(), at);
    }
}
