//! Opening a run that was left running, from the page cache: 1 GB and 4 GB.
//!
//! Opening recovers the run and leaves it running, so that it can be opened again and again. What a run that was
//! killed while it was written adds to this is measured in `benches/peers`, by killing a process each time.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark that fails may fail loudly, and has no interface"
)]

mod support;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use tapelog::{EventStore, RunStatus, SegmentBackend};

use support::entries::{ENTRY_LEN, INSTANCE};
use support::{reopen, scratch, write_run};

const RUN: &str = "1-00000001";

fn open(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("open");
    group.sample_size(20);
    for gigabytes in [1_u64, 4] {
        let folder = scratch();
        drop(write_run(folder.path(), RUN, (gigabytes << 30) / ENTRY_LEN));
        group.bench_function(format!("left_running/{gigabytes}_gb"), |bencher| bencher.iter(|| reopen(folder.path(), RUN)));
        let mut store = reopen(folder.path(), RUN);
        store.seal(RunStatus::CrashedRecovered).unwrap();
        drop(store);
        group.bench_function(format!("sealed/{gigabytes}_gb"), |bencher| {
            bencher.iter(|| SegmentBackend::open_sealed(folder.path(), INSTANCE, RUN).unwrap());
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(5));
    targets = open
}
criterion_main!(benches);
