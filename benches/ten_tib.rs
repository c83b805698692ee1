//! Reads and plans a snapshot of 10 TiB of which only the manifest and the chunk lists exist.
//!
//! `cargo bench --bench ten_tib -- generate DIR` makes them, `… -- plan DIR` does what a restore does before the first chunk:
//! parses the manifest, reads and checks every list, and plans every chunk. A process of its own each, so that its peak memory says
//! what planning takes.

use std::{error::Error, fs, path::Path, sync::Arc};

use qsync::{
    disk::have::Have,
    format::{
        key,
        list::{self, FileShape, SEGMENT_ROWS},
        manifest::{About, FileEntry, Layout, Manifest, RowSums},
        row::{Row, Stored},
    },
    fs::RealFs,
    progress::NoProgress,
    restore::plan::{ChunkPlan, plan_chunk},
    sources::{Form, Settings, Sources},
    store::LocalReader,
    types::{ChunkSize, Hash},
};

type Outcome = Result<(), Box<dyn Error>>;

/// Tables of 256 MiB, as archive nodes have them: many lists, so harder than a few large files.
const FILE_BYTES: u64 = 256 << 20;
const FILES: u64 = (10 << 40) / FILE_BYTES;
const CHUNK_BYTES: u64 = 1 << 20;
const FRAME_BYTES: u32 = 900_000;

fn main() -> Outcome {
    // Cargo adds an option of its own.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["generate", dir] => generate(Path::new(dir)),
        ["plan", dir] => tokio::runtime::Runtime::new()?.block_on(plan(Path::new(dir))),
        _ => Err("usage: cargo bench --bench ten_tib -- generate|plan DIR".into()),
    }
}

fn generate(dir: &Path) -> Outcome {
    let files: Vec<FileEntry> = (0..FILES).map(|number| generate_file(dir, number)).collect::<Result<_, _>>()?;
    let sums = RowSums { frame_bytes: FILES * (FILE_BYTES / CHUNK_BYTES) * u64::from(FRAME_BYTES), hole_bytes: 0 };
    let stored = Manifest::new(about()?, vec!["db".parse()?], files, sums)?.to_stored(3)?;
    fs::write(dir.join("manifest"), &stored.bytes)?;
    Ok(fs::write(dir.join("manifest.json_bytes"), stored.json_bytes.to_string())?)
}

fn generate_file(dir: &Path, number: u64) -> Result<FileEntry, Box<dyn Error>> {
    let mut random = blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof();
    let mut hash = || {
        let mut bytes = [0; Hash::BYTES];
        random.fill(&mut bytes);
        Hash::of(&bytes)
    };
    let row = |raw, hash| Row { raw, stored: Stored::Frame { hash, bytes: FRAME_BYTES } };
    let rows: Vec<Row> = (0..FILE_BYTES / CHUNK_BYTES).map(|_| row(hash(), hash())).collect();
    let segment = list::encode(&rows);
    let id = Hash::of(&segment);
    let path = dir.join(key::list(&id).as_str());
    fs::create_dir_all(path.parent().ok_or("a key has a folder")?)?;
    fs::write(path, segment)?;
    Ok(FileEntry { path: format!("db/{number:06}.sst").parse()?, bytes: FILE_BYTES, b3: hash(), layout: Layout::Lists([id].into()) })
}

fn about() -> Result<About, Box<dyn Error>> {
    Ok(About {
        channel: "bench/ten-tib".parse()?,
        height: None,
        block_hash: None,
        genesis: None,
        finalized: None,
        labels: Default::default(),
        encoder: "none".to_owned(),
        taken_at: "2026-01-01T00:00:00Z".parse()?,
        client: None,
        engine: None,
        chunk_size: ChunkSize::try_from(CHUNK_BYTES)?,
        subtrees: None,
    })
}

#[expect(clippy::print_stdout, reason = "its result")]
async fn plan(dir: &Path) -> Outcome {
    let json_bytes = fs::read_to_string(dir.join("manifest.json_bytes"))?.parse()?;
    let manifest = Manifest::parse_stored(&fs::read(dir.join("manifest"))?, json_bytes)?;
    let have = Have::none(&manifest);
    let store = Arc::new(LocalReader::open(Arc::new(RealFs), dir)?);
    let sources = Sources::new(vec![(store, Form::Framed)], Settings::default(), Arc::new(NoProgress));
    let mut to_fetch = 0_u64;
    for (position, file) in manifest.files().iter().enumerate() {
        let shape = FileShape::new(file.bytes, manifest.about().chunk_size);
        for segment in 0..shape.chunks().div_ceil(SEGMENT_ROWS) {
            let rows = sources.rows(file, shape, segment).await?;
            let plans = (segment * SEGMENT_ROWS..).zip(&rows).map(|(index, row)| plan_chunk(row, have.contains(position, index)));
            to_fetch += plans.filter(|plan| *plan == ChunkPlan::Bring).count() as u64;
        }
    }
    println!("{} files, {to_fetch} chunks to fetch", manifest.files().len());
    Ok(())
}
