//! Proving what a run holds: the hash of one entry, and the verifier over a sealed run.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark that fails may fail loudly, and has no interface"
)]

mod support;

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tapelog::{EventStore, RunStatus, SegmentBackend, Verifier};

use support::entries::{EntrySource, INSTANCE};
use support::{scratch, write_run};

const RUN: &str = "1-00000001";
const ENTRIES: u64 = 100_000;

fn hash(criterion: &mut Criterion) {
    let entry = EntrySource::default().batch(1).remove(0).entry;
    let mut group = criterion.benchmark_group("hash");
    group.throughput(Throughput::Elements(1));
    group.bench_function("entry_of_256_bytes", |bencher| bencher.iter(|| black_box(&entry).recompute_hash()));
    group.finish();
}

fn verify(criterion: &mut Criterion) {
    let folder = scratch();
    let mut store = write_run(folder.path(), RUN, ENTRIES);
    store.seal(RunStatus::Ended).unwrap();
    drop(store);
    let mut group = criterion.benchmark_group("verify");
    group.sample_size(10);
    group.throughput(Throughput::Elements(ENTRIES));
    group.bench_function("sealed_run", |bencher| {
        bencher.iter(|| {
            let store = SegmentBackend::open_sealed(folder.path(), INSTANCE, RUN).unwrap();
            let report = Verifier::new(Box::new(store)).verify().unwrap();
            assert!(report.findings.is_empty());
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(4));
    targets = hash, verify
}
criterion_main!(benches);
