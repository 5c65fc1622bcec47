//! Scanning a warm run of 256-byte entries, an entry at a time: what the checks cost over the walk from header to header,
//! and what single entries cost.
//!
//! The header walk and the checksums alone are written here after FORMAT.md, and the hashing alone calls nothing but the
//! hash: they are what the scans are held against, in the same run.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark that fails may fail loudly, and has no interface"
)]

mod support;

use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tapelog::{
    Check, Durability, EventStore, IndexKind, ReadPath, ReaderOptions, RunReader, RunStatus, ScanDirection, SegmentBackend, Visibility,
    compute_entry_hash,
};

use support::entries::{EntrySource, client_order_id, manifest};
use support::scratch;

const ENTRIES: u64 = 100_000;
const RUN: &str = "1-00000001";

/// Writes and seals a run of [`ENTRIES`] entries in about this many segments, and opens it through maps.
fn sealed_run(base: &Path, segments: u64) -> RunReader {
    let len = (ENTRIES * 470 / segments + (64 << 10)).next_multiple_of(4096);
    let durability = Durability::Buffered { sync_every: Duration::from_millis(50) };
    let mut store = SegmentBackend::builder(base).segment_len(len).durability(durability).build().unwrap();
    store.open_run(manifest(RUN)).unwrap();
    let mut source = EntrySource::default();
    for _ in 0..ENTRIES / 500 {
        store.append_batch(&source.batch(500)).unwrap();
    }
    store.seal(RunStatus::Ended).unwrap();
    let folder = store.current_path().unwrap().to_owned();
    let reader = RunReader::open_with(folder, ReaderOptions { visibility: Visibility::Durable, read_path: ReadPath::Map }).unwrap();
    assert!(reader.segments().len() as u64 <= segments + 1 && reader.segments().len() as u64 >= segments, "{:?}", reader.segments().len());
    reader
}

/// The bytes of a run's only segment, and the salt of its frames.
struct Frames {
    bytes: Vec<u8>,
    salt: [u8; 16],
}

impl Frames {
    fn of(reader: &RunReader) -> Self {
        let bytes = std::fs::read(reader.folder().join("00000001.seg")).unwrap();
        // Magic and version are followed by stream, ordinal and uid; the salt is made of them.
        let page = tapelog::format::layout::structures().iter().find(|structure| structure.name == "header page copy").unwrap();
        let field = |name: &str| {
            let field = page.fields.iter().find(|field| field.name == name).unwrap();
            &bytes[field.offset..field.end()]
        };
        let hash = blake3::hash(&[b"tapelog/salt/v1".as_slice(), field("uid"), &[1], &1_u32.to_le_bytes()].concat());
        let salt = hash.as_bytes()[..16].try_into().unwrap();
        Self { bytes, salt }
    }

    /// Steps from header to header and checks each, and the bodies too if that is asked; answers how many entries there are.
    fn walk(&self, with_bodies: bool) -> u64 {
        let (mut offset, mut entries) = (4096, 0);
        while let Some(header) = self.bytes.get(offset..offset + 24) {
            let mut crc = crc32fast::Hasher::new();
            let mut checked = [0; 44];
            checked[..16].copy_from_slice(&self.salt);
            checked[16..24].copy_from_slice(&(offset as u64).to_le_bytes());
            checked[24..].copy_from_slice(&header[4..]);
            crc.update(&checked);
            assert_eq!(crc.finalize().to_le_bytes(), header[..4]);
            entries += u64::from(header[12] == 3);
            let body_len = u32::from_le_bytes(header[8..12].try_into().unwrap()) as usize;
            if with_bodies {
                let body = &self.bytes[offset + 24..offset + 24 + body_len];
                assert_eq!(crc32fast::hash(body).to_le_bytes(), header[4..8]);
            }
            offset += 24 + body_len.next_multiple_of(8);
        }
        entries
    }
}

fn visit_all(reader: &RunReader, direction: ScanDirection, check: Check) -> u64 {
    let mut count = 0;
    reader
        .visit(.., direction, check, |view| {
            count += u64::from(black_box(view.payload().len()) > 0);
            ControlFlow::<()>::Continue(())
        })
        .unwrap();
    count
}

fn scan(criterion: &mut Criterion) {
    let folder = scratch();
    let reader = sealed_run(folder.path(), 1);
    let frames = Frames::of(&reader);
    assert_eq!(frames.walk(true), ENTRIES);
    let owned: Vec<_> = reader.entries(.., ScanDirection::Forward).map(|item| item.unwrap()).collect();
    let by_position = RunReader::open(reader.folder()).unwrap();

    let mut group = criterion.benchmark_group("scan");
    group.throughput(Throughput::Elements(ENTRIES)).sample_size(20);
    group.bench_function("header_walk", |bencher| bencher.iter(|| assert_eq!(frames.walk(false), ENTRIES)));
    group.bench_function("checksums_alone", |bencher| bencher.iter(|| assert_eq!(frames.walk(true), ENTRIES)));
    group.bench_function("crc", |bencher| bencher.iter(|| visit_all(&reader, ScanDirection::Forward, Check::Crc)));
    group.bench_function("crc_reverse", |bencher| bencher.iter(|| visit_all(&reader, ScanDirection::Reverse, Check::Crc)));
    group.bench_function("crc_by_position", |bencher| bencher.iter(|| visit_all(&by_position, ScanDirection::Forward, Check::Crc)));
    group.bench_function("hashing_alone", |bencher| {
        bencher.iter(|| {
            for entry in &owned {
                let (topic, payload_type) = (entry.topic.as_str(), entry.payload_type.as_str());
                let hash =
                    compute_entry_hash(entry.seq, entry.ts_init, entry.ts_publish, topic, payload_type, &entry.payload, &entry.headers);
                assert_eq!(hash, entry.entry_hash);
            }
        });
    });
    group.bench_function("full", |bencher| bencher.iter(|| visit_all(&reader, ScanDirection::Forward, Check::Full)));
    group.bench_function("full_reverse", |bencher| bencher.iter(|| visit_all(&reader, ScanDirection::Reverse, Check::Full)));
    group.bench_function("owned", |bencher| bencher.iter(|| reader.entries(.., ScanDirection::Forward).flatten().count()));
    group.finish();
}

/// Numbers from 1 to [`ENTRIES`], in an order that no cache foresees.
fn numbers() -> impl Iterator<Item = u64> {
    (0_u64..).map(|step| 1 + step * 7_919_917 % ENTRIES)
}

fn single(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("single");
    for segments in [1, 4, 16] {
        let folder = scratch();
        let reader = sealed_run(folder.path(), segments);
        if segments == 1 {
            group.bench_function("by_seq_crc", |bencher| {
                let mut numbers = numbers();
                bencher.iter(|| {
                    let seq = numbers.next().unwrap();
                    reader.visit(seq..=seq, ScanDirection::Forward, Check::Crc, |view| ControlFlow::Break(view.payload().len())).unwrap()
                });
            });
            group.bench_function("by_seq_full_owned", |bencher| {
                let mut numbers = numbers();
                bencher.iter(|| reader.entry(numbers.next().unwrap()).unwrap().unwrap());
            });
        }
        group.bench_function(format!("by_key_over_{segments}_segments"), |bencher| {
            let mut numbers = numbers();
            bencher.iter(|| reader.lookup(IndexKind::ClientOrderId, &client_order_id(numbers.next().unwrap())).unwrap().unwrap());
        });
        group.bench_function(format!("by_no_key_over_{segments}_segments"), |bencher| {
            bencher.iter(|| reader.lookup(IndexKind::ClientOrderId, black_box("O-of-nobody")).unwrap());
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = scan, single
}
criterion_main!(benches);
