//! The inner loops one by one, so that a regression is seen before it is a slow restore: `cargo bench --bench micro`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use qsync::{
    disk::{have::Have, journal},
    format::{
        chunk,
        file_hash::subtree,
        frame::{Decoder, Encoder},
        list::{self, FileShape, SEGMENT_ROWS, Segment},
        manifest::{About, FileEntry, Layout, Manifest, RowSums},
        row::{Row, Stored},
    },
    restore::plan::plan_chunk,
    types::{ChunkSize, Hash},
};

const CHUNK_BYTES: usize = 1 << 20;
const FILES: u64 = 10_000;

/// A chunk as LZ4 tables give it, and one of an uncompressed table.
fn chunks() -> [(&'static str, Vec<u8>); 2] {
    let mut random = vec![0; CHUNK_BYTES];
    blake3::Hasher::new().update(b"chunk").finalize_xof().fill(&mut random);
    let mut mixed = random.clone();
    mixed.chunks_mut(4096).for_each(|page| page[3000..].fill(b'x'));
    [("incompressible", random), ("compressible", mixed)]
}

fn frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame");
    group.throughput(Throughput::Bytes(CHUNK_BYTES as u64));
    for (name, raw) in chunks() {
        let mut encoder = Encoder::new(1).expect("level 1 exists");
        let (mut decoder, mut frame, mut back) = (Decoder::new(), Vec::new(), Vec::new());
        group.bench_function(format!("encode {name}"), |bench| bench.iter(|| encoder.encode(black_box(&raw), &mut frame)));
        let row = Row { raw: Hash::of(&raw), stored: Stored::Frame { hash: Hash::of(&frame), bytes: frame.len() as u32 } };
        group.bench_function(format!("verify and decode {name}"), |bench| {
            bench.iter(|| chunk::verify_frame(&row, CHUNK_BYTES as u32, black_box(&frame), &mut decoder, &mut back).map(drop));
        });
    }
    group.finish();
}

fn hashes(criterion: &mut Criterion) {
    let [(_, raw), _] = chunks();
    let shape = FileShape::new(8 * CHUNK_BYTES as u64, chunk_size());
    let mut group = criterion.benchmark_group("hash");
    group.throughput(Throughput::Bytes(CHUNK_BYTES as u64));
    group.bench_function("chunk", |bench| bench.iter(|| Hash::of(black_box(&raw))));
    group.bench_function("part of a file", |bench| bench.iter(|| subtree(shape, 3, black_box(&raw))));
    group.finish();
}

fn rows(count: u64) -> Vec<Row> {
    let hash = |number: u64| Hash::of(&number.to_le_bytes());
    (0..count).map(|number| Row { raw: hash(2 * number), stored: Stored::Frame { hash: hash(2 * number + 1), bytes: 900_000 } }).collect()
}

fn lists(criterion: &mut Criterion) {
    let rows = rows(SEGMENT_ROWS);
    let bytes = list::encode(&rows);
    let shape = FileShape::new(SEGMENT_ROWS * CHUNK_BYTES as u64, chunk_size());
    let mut group = criterion.benchmark_group("list");
    group.throughput(Throughput::Elements(SEGMENT_ROWS));
    group.bench_function("encode", |bench| bench.iter(|| list::encode(black_box(&rows))));
    group.bench_function("parse", |bench| {
        bench.iter(|| {
            Segment::parse(black_box(&bytes), shape, 0).map(|segment| segment.rows().map(|row| u64::from(row.frame_bytes())).sum::<u64>())
        });
    });
    group.finish();
}

fn plans(criterion: &mut Criterion) {
    let rows = rows(4);
    let manifest = manifest(&rows);
    let mut have = Have::none(&manifest);
    (0..FILES as usize).step_by(2).for_each(|file| assert!(have.insert(file, 0..3)));
    let written: Vec<_> = (0..FILES as usize).flat_map(|file| [(file, 2..3), (file, 0..1), (file, 1..2)]).collect();
    let mut group = criterion.benchmark_group("plan");
    group.throughput(Throughput::Elements(4 * FILES));
    group.bench_function("chunks", |bench| {
        bench.iter(|| {
            let of_file = |file| (0..4).map(move |index| (file, index));
            (0..FILES as usize)
                .flat_map(of_file)
                .filter(|&(file, index)| plan_chunk(&rows[index as usize], have.contains(file, index)) as u8 == 0)
                .count()
        });
    });
    group.bench_function("journal ranges", |bench| bench.iter(|| journal::merged(black_box(written.clone()))));
    group.finish();
}

fn manifests(criterion: &mut Criterion) {
    let manifest = manifest(&rows(4));
    let stored = manifest.to_stored(3).expect("it can be compressed");
    let mut group = criterion.benchmark_group("manifest");
    group.throughput(Throughput::Elements(FILES));
    group.sample_size(20);
    group.bench_function("parse", |bench| bench.iter(|| Manifest::parse_stored(black_box(&stored.bytes), stored.json_bytes)));
    group.bench_function("write", |bench| bench.iter(|| black_box(&manifest).to_stored(3)));
    group.finish();
}

fn manifest(rows: &[Row]) -> Manifest {
    let bytes = (rows.len() * CHUNK_BYTES) as u64;
    let path = |number: u64| format!("db/{number:06}.sst").parse().expect("a path");
    let file =
        |number: u64| FileEntry { path: path(number), bytes, b3: Hash::of(&number.to_le_bytes()), layout: Layout::Rows(rows.into()) };
    let sums = RowSums { frame_bytes: FILES * rows.iter().map(|row| u64::from(row.frame_bytes())).sum::<u64>(), hole_bytes: 0 };
    let about = About {
        channel: "bench/micro".parse().expect("a channel"),
        height: None,
        block_hash: None,
        genesis: None,
        finalized: None,
        labels: Default::default(),
        encoder: "none".to_owned(),
        taken_at: "2026-01-01T00:00:00Z".parse().expect("a time"),
        client: None,
        engine: None,
        chunk_size: chunk_size(),
        subtrees: None,
    };
    Manifest::new(about, vec!["db".parse().expect("a path")], (0..FILES).map(file).collect(), sums).expect("its parts fit together")
}

fn chunk_size() -> ChunkSize {
    ChunkSize::try_from(CHUNK_BYTES as u64).expect("1 MiB is a chunk size")
}

criterion_group!(benches, frames, hashes, lists, plans, manifests);
criterion_main!(benches);
