//! Buffers for bodies that are used again: the one given back last first, so that as few are touched as are used at a time.

use std::sync::Mutex;

/// Buffers that nobody uses now.
#[derive(Debug, Default)]
pub(super) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// The one given back last, or a new one.
    pub(super) fn take(&self) -> Vec<u8> {
        self.idle().pop().unwrap_or_default()
    }

    pub(super) fn give_back(&self, buffer: Vec<u8>) {
        if buffer.capacity() > 0 {
            self.idle().push(buffer);
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_that_was_given_back_last_is_used_next() {
        let buffers = Buffers::default();
        assert_eq!(buffers.take().capacity(), 0);
        buffers.give_back(Vec::with_capacity(10));
        buffers.give_back(Vec::with_capacity(20));
        buffers.give_back(Vec::new());
        assert!(buffers.take().capacity() >= 20);
        assert!((10..20).contains(&buffers.take().capacity()));
        assert_eq!(buffers.take().capacity(), 0);
    }
}
