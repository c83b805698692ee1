//! From the name of a block to its bytes: chunks are read from the data directory again, and lists from the stores.

use std::sync::{Arc, Mutex};

use super::Error;
use crate::{
    disk::{
        read::{Content, FileReader},
        scan::Scan,
    },
    format::{
        frame::Encoder,
        ipfs::{ChunkPiece, Piece},
        key,
        row::Stored,
    },
    fs::Fs,
    publish::targets::Targets,
    types::{ChunkSize, Form, Hash},
};

/// Where the bytes of blocks come from.
#[derive(Debug)]
pub(super) struct Material {
    pub(super) fs: Arc<dyn Fs>,
    pub(super) scan: Arc<Scan>,
    pub(super) targets: Arc<Targets>,
    pub(super) chunk_size: ChunkSize,
    pub(super) level: i32,
    /// The file that is being read; blocks come file by file.
    reader: Mutex<Option<(usize, Arc<FileReader>)>>,
    encoders: Mutex<Vec<Encoder>>,
}

impl Material {
    pub(super) fn new(fs: Arc<dyn Fs>, scan: Arc<Scan>, targets: Arc<Targets>, chunk_size: ChunkSize, level: i32) -> Self {
        Self { fs, scan, targets, chunk_size, level, reader: Mutex::default(), encoders: Mutex::default() }
    }

    /// The bytes of a block, which are those that its name says.
    ///
    /// # Errors
    /// When the file changed meanwhile, or no store has what cannot be made here.
    pub(super) async fn bytes(self: &Arc<Self>, piece: Piece) -> Result<Vec<u8>, Error> {
        match piece {
            Piece::Block(block) => Ok(block.bytes),
            Piece::Zeros { bytes, .. } => Ok(vec![0; bytes as usize]),
            Piece::List { hash, bytes } => self.stored(&key::list(&hash), bytes, hash).await.ok_or(Error::List { hash }),
            Piece::Chunk(chunk) => self.chunk(chunk).await,
        }
    }

    async fn chunk(self: &Arc<Self>, piece: ChunkPiece) -> Result<Vec<u8>, Error> {
        let this = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || this.read(&piece)).await.map_err(|_| Error::WorkerDied)?;
        match (read?, piece.row.stored) {
            (Some(bytes), _) => Ok(bytes),
            (None, Stored::Frame { hash, bytes }) => {
                let frame = self.stored(&key::chunk(&hash), u64::from(bytes), hash).await;
                frame.ok_or_else(|| Error::Frame { path: self.path(&piece), chunk: piece.index })
            }
            (None, Stored::Hole) => Err(self.changed(&piece)),
        }
    }

    async fn stored(&self, object: &crate::types::ObjectKey, bytes: u64, hash: Hash) -> Option<Vec<u8>> {
        let stored = self.targets.read(self.targets.alive(), object, bytes, hash).await;
        stored.map(|bytes| bytes.to_vec())
    }

    /// Reads the chunk and, where that is asked for, makes its frame; `None` when that is another than the one that was published, because another
    /// release of the encoder made it. Blocks.
    fn read(&self, piece: &ChunkPiece) -> Result<Option<Vec<u8>>, Error> {
        let mut raw = Vec::new();
        let content = self.reader(piece.file)?.read(piece.index, &mut raw)?;
        if content == Content::Hole || Hash::of(&raw) != piece.row.raw {
            return Err(self.changed(piece));
        }
        match piece.form {
            Form::Raw => Ok(Some(raw)),
            Form::Zstd => self.frame(piece, &raw),
        }
    }

    fn frame(&self, piece: &ChunkPiece, raw: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let idle = self.encoders.lock().expect("no holder of this lock panics").pop();
        let mut encoder = idle.map_or_else(|| Encoder::new(self.level), Ok).map_err(Error::Encode)?;
        let mut frame = Vec::new();
        let made = encoder.encode(raw, &mut frame).map_err(Error::Encode);
        self.encoders.lock().expect("no holder of this lock panics").push(encoder);
        made?;
        Ok(matches!(piece.row.stored, Stored::Frame { hash, .. } if hash == Hash::of(&frame)).then_some(frame))
    }

    fn reader(&self, file: usize) -> Result<Arc<FileReader>, Error> {
        let mut open = self.reader.lock().expect("no holder of this lock panics");
        if let Some((position, reader)) = &*open
            && *position == file
        {
            return Ok(Arc::clone(reader));
        }
        let reader = Arc::new(FileReader::open(&*self.fs, &self.scan.root, &self.scan.files[file], self.chunk_size)?);
        *open = Some((file, Arc::clone(&reader)));
        Ok(reader)
    }

    fn path(&self, piece: &ChunkPiece) -> crate::types::RelPath {
        self.scan.files[piece.file].path.clone()
    }

    fn changed(&self, piece: &ChunkPiece) -> Error {
        Error::Changed { path: self.path(piece), chunk: piece.index }
    }
}
