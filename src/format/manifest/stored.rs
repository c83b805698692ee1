//! The stored form of a manifest: one zstd frame of its JSON.

use std::io::{self, BufWriter, Read, Write};

use super::{Manifest, ManifestError, StoredManifest, wire};
use crate::{
    format::key::{MANIFEST_JSON_MAX_BYTES, MANIFEST_MAX_BYTES},
    types::Hash,
};

/// The window of a stored manifest is 8 MiB, as for frames: that bounds the memory of its readers.
const WINDOW_LOG: u32 = 23;

impl Manifest {
    /// Parses the JSON of a manifest.
    ///
    /// # Errors
    /// [`ManifestError`] names the first rule that is broken, and where.
    pub fn parse(json: &[u8]) -> Result<Self, ManifestError> {
        at_most("as JSON", MANIFEST_JSON_MAX_BYTES, json.len() as u64)?;
        wire::read(|| Ok(json))
    }

    /// Parses a manifest as it is stored. `json_bytes` is the signed length of its JSON: nothing beyond it is decompressed,
    /// and the JSON is read as a stream.
    ///
    /// # Errors
    /// [`ManifestError`] names the first rule that is broken, and where.
    pub fn parse_stored(stored: &[u8], json_bytes: u64) -> Result<Self, ManifestError> {
        at_most("as stored", MANIFEST_MAX_BYTES, stored.len() as u64)?;
        at_most("as JSON", MANIFEST_JSON_MAX_BYTES, json_bytes)?;
        measure(stored, json_bytes)?;
        wire::read(|| decompress(stored))
    }

    /// The manifest as it is stored, compressed at `level` of zstd.
    ///
    /// # Errors
    /// [`ManifestError::TooLong`] when no reader would take it.
    pub fn to_stored(&self, level: i32) -> Result<StoredManifest, ManifestError> {
        let (bytes, json_bytes) = compress(self, level).map_err(|source| ManifestError::Compress { source })?;
        at_most("as JSON", MANIFEST_JSON_MAX_BYTES, json_bytes)?;
        at_most("as stored", MANIFEST_MAX_BYTES, bytes.len() as u64)?;
        Ok(StoredManifest { id: Hash::of(&bytes), bytes, json_bytes })
    }

    /// Writes the JSON of the manifest.
    ///
    /// # Errors
    /// When `into` fails.
    pub fn write_json(&self, into: impl Write) -> io::Result<()> {
        Ok(wire::write(self, into)?)
    }
}

fn at_most(form: &'static str, max_bytes: u64, found_bytes: u64) -> Result<(), ManifestError> {
    if found_bytes <= max_bytes { Ok(()) } else { Err(ManifestError::TooLong { form, max_bytes, found_bytes }) }
}

fn decompress(stored: &[u8]) -> Result<zstd::Decoder<'static, &[u8]>, ManifestError> {
    let open = || {
        let mut decoder = zstd::Decoder::with_buffer(stored)?.single_frame();
        decoder.window_log_max(WINDOW_LOG)?;
        Ok(decoder)
    };
    open().map_err(|source| ManifestError::Decompress { source })
}

/// Checks that `stored` is one frame of exactly `json_bytes`. Stops one byte later, whatever the frame would become.
fn measure(stored: &[u8], json_bytes: u64) -> Result<(), ManifestError> {
    let mut decoder = decompress(stored)?;
    let found = io::copy(&mut decoder.by_ref().take(json_bytes + 1), &mut io::sink());
    if found.map_err(|source| ManifestError::Decompress { source })? != json_bytes {
        return Err(ManifestError::JsonLength { expected_bytes: json_bytes });
    }
    match decoder.finish() {
        [] => Ok(()),
        rest => Err(ManifestError::Trailing { extra_bytes: rest.len() as u64 }),
    }
}

fn compress(manifest: &Manifest, level: i32) -> io::Result<(Vec<u8>, u64)> {
    let mut encoder = zstd::Encoder::new(Vec::new(), level)?;
    encoder.window_log(WINDOW_LOG)?;
    let mut counted = BufWriter::new(Counted { inner: encoder, bytes: 0 });
    manifest.write_json(&mut counted)?;
    let Counted { inner, bytes } = counted.into_inner()?;
    Ok((inner.finish()?, bytes))
}

/// Counts what is written.
struct Counted<W> {
    inner: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
