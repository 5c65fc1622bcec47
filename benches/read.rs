//! Reading a run of three segments: while it is written, and when it is sealed.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark that fails may fail loudly, and has no interface"
)]

mod support;

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use tapelog::{EventStore, IndexKind, ReadPath, RunStatus, ScanDirection, SegmentBackend};

use support::entries::{INSTANCE, client_order_id};
use support::{scratch, write_run};

const RUN: &str = "1-00000001";
/// Two segments full, and a third in part.
const ENTRIES: u64 = 400_000;
/// An entry from which on all are in the last segment.
const IN_LAST: u64 = 350_000;
const SCAN: u64 = 1_000;

/// Numbers all over a range, in an order that no cache foresees.
struct Numbers {
    from: u64,
    count: u64,
    step: u64,
}

impl Numbers {
    fn new(from: u64, to: u64) -> Self {
        Self { from, count: to - from, step: 0 }
    }

    fn next(&mut self) -> u64 {
        self.step = (self.step + 7_919_917) % self.count;
        self.from + self.step
    }
}

fn read_store(group: &mut BenchmarkGroup<'_, WallTime>, store: &SegmentBackend, part: &str, from: u64, to: u64) {
    group.throughput(Throughput::Elements(SCAN));
    for (name, direction) in [("forward", ScanDirection::Forward), ("reverse", ScanDirection::Reverse)] {
        group.bench_function(format!("{part}/scan_range_1000_{name}"), |bencher| {
            let mut numbers = Numbers::new(from, to - SCAN);
            bencher.iter(|| {
                let first = numbers.next();
                store.scan_range(first, first + SCAN - 1, direction).unwrap()
            });
        });
    }
    group.throughput(Throughput::Elements(1));
    group.bench_function(format!("{part}/scan_seq"), |bencher| {
        let mut numbers = Numbers::new(from, to);
        bencher.iter(|| store.scan_seq(numbers.next()).unwrap().unwrap());
    });
    group.bench_function(format!("{part}/lookup"), |bencher| {
        let mut numbers = Numbers::new(from, to);
        bencher.iter(|| store.lookup(IndexKind::ClientOrderId, &client_order_id(numbers.next())).unwrap().unwrap());
    });
    group.bench_function(format!("{part}/lookup_of_no_key"), |bencher| {
        bencher.iter(|| store.lookup(IndexKind::ClientOrderId, black_box("O-of-nobody")).unwrap());
    });
}

fn read(criterion: &mut Criterion) {
    let folder = scratch();
    let mut store = write_run(folder.path(), RUN, ENTRIES);
    // The indexes of the full segments are made in the background.
    std::thread::sleep(Duration::from_secs(1));
    let mut group = criterion.benchmark_group("read/live");
    read_store(&mut group, &store, "full_segments", 1, IN_LAST / 2);
    read_store(&mut group, &store, "active_segment", IN_LAST, ENTRIES);
    group.finish();

    store.seal(RunStatus::Ended).unwrap();
    drop(store);
    let mapping = SegmentBackend::builder(folder.path()).read_path(ReadPath::Map).build().unwrap();
    let store = mapping.into_read_only(folder.path().join(INSTANCE).join(RUN)).unwrap();
    let mut group = criterion.benchmark_group("read/sealed");
    read_store(&mut group, &store, "all_segments", 1, ENTRIES);
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = read
}
criterion_main!(benches);
