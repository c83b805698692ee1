//! `qsync cid`: the name that IPFS gives to a directory, computed without a node.

use std::{path::PathBuf, sync::Arc};

use futures::{StreamExt, stream};
use serde::Serialize;
use thiserror::Error;

use crate::{
    disk::{
        self,
        read::{Content, FileReader},
        scan::{self, Scan, ScannedFile},
        select::Selection,
    },
    format::{ipfs::TreeBuilder, list::FileShape, unixfs::Dag, zeros},
    fs::Fs,
    progress::{Event, Phase, Progress},
    types::{ChunkSize, Cid, Hash},
};

/// A directory on IPFS. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, Serialize)]
pub struct Named {
    /// Its CID.
    pub cid: Cid,
    /// Number of files.
    pub files: u64,
    /// How many of them are empty: `ipfs add` gives another name to a directory with such files.
    pub empty_files: u64,
    /// Length of all files, bytes.
    pub bytes: u64,
}

/// Why a directory could not be named.
#[derive(Debug, Error)]
pub enum Error {
    /// It cannot be read, changed meanwhile, or has what no snapshot can have.
    #[error(transparent)]
    Disk(#[from] disk::Error),
    /// A thread panicked.
    #[error("a worker of this run died")]
    WorkerDied,
}

/// Names the directory as the profile `unixfs-v1-2025` with BLAKE3 has it: the `tree` of a snapshot of the same files has this CID.
///
/// # Errors
/// [`enum@Error`]
pub async fn name(fs: &Arc<dyn Fs>, dir: PathBuf, threads: usize, progress: &Arc<dyn Progress>) -> Result<Named, Error> {
    let scan = Arc::new(blocking(fs, move |fs| Ok(scan::scan(fs, &dir, &Selection::everything())?)).await?);
    progress.event(Event::Phase { phase: Phase::Verify, total_bytes: Some(scan.bytes()) });
    let mut tree = TreeBuilder::new(&scan.dirs);
    for file in &scan.files {
        add_file(fs, &scan, file, &mut tree, threads, progress).await?;
    }
    let check = Arc::clone(&scan);
    blocking(fs, move |fs| Ok(check.check_unchanged(fs)?)).await?;
    Ok(Named {
        cid: tree.finish(&mut drop).cid,
        files: scan.files.len() as u64,
        empty_files: scan.files.iter().filter(|file| file.stat.len == 0).count() as u64,
        bytes: scan.bytes(),
    })
}

async fn add_file(
    fs: &Arc<dyn Fs>,
    scan: &Arc<Scan>,
    file: &ScannedFile,
    tree: &mut TreeBuilder,
    threads: usize,
    progress: &Arc<dyn Progress>,
) -> Result<(), Error> {
    let (scanned, root) = (file.clone(), scan.root.clone());
    let reader = blocking(fs, move |fs| Ok(FileReader::open(fs, &root, &scanned, ChunkSize::DEFAULT)?)).await?;
    let (reader, shape) = (Arc::new(reader), FileShape::new(file.stat.len, ChunkSize::DEFAULT));
    let shared = Arc::clone(&reader);
    let mut hashes = stream::iter(0..shape.chunks()).map(move |index| leaf(fs, Arc::clone(&shared), shape, index)).buffered(threads);
    while let Some(leaf) = hashes.next().await {
        let leaf = leaf?;
        progress.event(Event::Done { bytes: leaf.content_bytes });
        tree.leaf(leaf, &mut drop);
    }
    blocking(fs, move |_| Ok(reader.finish()?)).await?;
    tree.end_file(&file.path, &mut drop);
    Ok(())
}

async fn leaf(fs: &Arc<dyn Fs>, reader: Arc<FileReader>, shape: FileShape, index: u64) -> Result<Dag, Error> {
    blocking(fs, move |_| {
        let mut chunk = Vec::new();
        let hash = match reader.read(index, &mut chunk)? {
            Content::Data => Hash::of(&chunk),
            Content::Hole => zeros::hash(shape.raw_len(index)),
        };
        Ok(Dag::leaf(hash, u64::from(shape.raw_len(index))))
    })
    .await
}

async fn blocking<T: Send + 'static>(
    fs: &Arc<dyn Fs>,
    work: impl FnOnce(&dyn Fs) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let fs = Arc::clone(fs);
    tokio::task::spawn_blocking(move || work(&*fs)).await.map_err(|_| Error::WorkerDied)?
}
