//! Chunks as frames: as the sources have them, or made again of the chunks.

use std::sync::Arc;

use crate::{
    format::{
        chunk::{self, ChunkError},
        frame::{Decoder, Encoder, by_hand},
        row::{Row, Stored},
    },
    sources::{Exhausted, Form, Sources},
    types::Hash,
};

/// Why a frame cannot be had.
#[derive(Debug)]
pub(super) enum NoFrame {
    /// The sources do not deliver it.
    Sources(Exhausted),
    /// They have the chunk only as it is, and its frame made here is another than the one that was published.
    Otherwise,
}

/// The frame that a row names, whose bytes have the hash in the row: from a source that has frames, else made again of the chunk with the
/// encoder of that name. A hole has none; what is given is its zeros as a frame by hand.
///
/// # Errors
/// [`NoFrame`]
pub(super) async fn fetch(sources: &Arc<Sources>, encoder: &str, row: &Row, raw_bytes: u32) -> Result<Vec<u8>, NoFrame> {
    let Stored::Frame { hash, bytes } = row.stored else { return Ok(by_hand::zeros(raw_bytes)) };
    if !sources.any_has(Form::Framed) {
        return make(sources, encoder, row, hash, raw_bytes).await;
    }
    match sources.frame(hash, bytes).await {
        Err(Exhausted::Missing { .. }) if sources.any_has(Form::Raw) => make(sources, encoder, row, hash, raw_bytes).await,
        fetched => fetched.map_err(NoFrame::Sources),
    }
}

async fn make(sources: &Arc<Sources>, encoder: &str, row: &Row, hash: Hash, raw_bytes: u32) -> Result<Vec<u8>, NoFrame> {
    let raw = sources.chunk(*row, raw_bytes).await.map_err(NoFrame::Sources)?;
    let encoder = Encoder::like(encoder);
    let made = on_a_thread(move || {
        let mut frame = Vec::new();
        encoder?.encode(&raw, &mut frame).ok()?;
        (Hash::of(&frame) == hash).then_some(frame)
    });
    made.await.ok_or(NoFrame::Otherwise)
}

/// A frame and the chunk in it, which is proved to be that of the row.
///
/// # Errors
/// When the signed row contradicts itself: the frame is the one that it names, and the chunk in it is another.
pub(super) async fn decode(row: Row, raw_bytes: u32, frame: Vec<u8>) -> Result<(Vec<u8>, Vec<u8>), ChunkError> {
    on_a_thread(move || {
        let mut raw = Vec::with_capacity(raw_bytes as usize);
        chunk::verify_frame(&row, raw_bytes, &frame, &mut Decoder::new(), &mut raw)?;
        Ok((frame, raw))
    })
    .await
}

async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
}
