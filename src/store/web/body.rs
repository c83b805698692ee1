//! Reads a body, not trusting its length and not waiting for ever.

use bytes::Bytes;
use reqwest::Response;

use super::{Fault, status};
use crate::store::{
    ErrorKind,
    patience::{Pace, Timeouts},
};

/// Reads the whole body into `into`, which is empty.
pub(super) async fn read(mut response: Response, timeouts: &Timeouts, max_bytes: u64, into: &mut Vec<u8>) -> Result<(), Fault> {
    // A server that announces too much is not even read from; one that announces anything else is not believed.
    if let Some(announced) = response.content_length().filter(|announced| *announced > max_bytes) {
        return Err(too_large(format!("{announced} bytes are announced, at most {max_bytes} expected")));
    }
    let mut pace = Pace::new(timeouts);
    while let Some(bytes) = next_piece(&mut pace, &mut response).await? {
        if into.len() as u64 + bytes.len() as u64 > max_bytes {
            return Err(too_large(format!("more than the {max_bytes} bytes expected arrive")));
        }
        into.extend_from_slice(&bytes);
    }
    Ok(())
}

async fn next_piece(pace: &mut Pace<'_>, response: &mut Response) -> Result<Option<Bytes>, Fault> {
    let piece = pace.wait(response.chunk()).await.map_err(|slow| Fault::new(ErrorKind::TooSlow, slow.0))?;
    let piece = piece.map_err(status::of_broken_body)?;
    pace.arrived(piece.as_ref().map_or(0, Bytes::len));
    Ok(piece)
}

fn too_large(reason: String) -> Fault {
    Fault::new(ErrorKind::TooLarge, reason)
}
