//! Appending batches of 1 to 1000 entries: synced, buffered, and without a disk.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark that fails may fail loudly, and has no interface"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tapelog::{Durability, EventStore, SegmentBackend, SegmentBackendBuilder};

use support::entries::{EntrySource, manifest};
use support::no_disk::NoDisk;
use support::scratch;

/// How many batches are made ready before they are appended and timed.
const READY: u64 = 16;

fn append(criterion: &mut Criterion) {
    let buffered = Durability::Buffered { sync_every: Duration::from_millis(50) };
    let ways: [(&str, &dyn Fn(SegmentBackendBuilder) -> SegmentBackendBuilder); 3] = [
        ("synced", &|builder| builder),
        ("buffered", &|builder| builder.durability(buffered)),
        ("no_disk", &|builder| builder.storage(Arc::new(NoDisk::default()))),
    ];
    for (way, with) in ways {
        let mut group = criterion.benchmark_group(format!("append/{way}"));
        for len in [1, 10, 100, 1000] {
            group.throughput(Throughput::Elements(len as u64));
            group.bench_function(BenchmarkId::from_parameter(len), |bencher| {
                let folder = scratch();
                let mut store = with(SegmentBackend::builder(folder.path())).build().unwrap();
                store.open_run(manifest("1-00000001")).unwrap();
                let mut entries = EntrySource::default();
                bencher.iter_batched(
                    || entries.batch(len),
                    |batch| {
                        store.append_batch(&batch).unwrap();
                        batch
                    },
                    BatchSize::NumIterations(READY),
                );
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(4));
    targets = append
}
criterion_main!(benches);
