//! The entry writer: what a submit costs the thread that submits, how long it takes to be durable, and how much goes
//! through.
//!
//! `submit` is paced at 100,000 a second with durable commits going on behind, and prints its percentiles beside what
//! criterion makes of the mean. `durable` submits one message a millisecond and waits for it, and does the same with
//! nothing but a write of as many bytes and a sync of them, in turns.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark that fails may fail loudly, and has no interface"
)]

mod support;

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tapelog::{
    DraftRef, EventStore, EventStoreWriter, IndexKind, SegmentBackend, SystemClock, UnixNanos, WaitStrategy, WriterConfig, noop_halt,
};

use support::entries::{PAYLOAD_LEN, manifest};
use support::scratch;

/// Messages that are made ready before they are timed.
const READY: usize = 1 << 16;

/// What a message is made of.
struct Messages {
    payload: Vec<u8>,
    keys: Vec<[String; 2]>,
    next: usize,
}

impl Messages {
    fn new() -> Self {
        let key = |number: usize| [format!("O-20261121-{number:09}"), format!("V-{number:09}")];
        Self { payload: vec![7; PAYLOAD_LEN], keys: (0..READY).map(key).collect(), next: 0 }
    }

    /// Gives the next message to `submit`.
    #[inline]
    fn with_next<T>(&mut self, submit: impl FnOnce(&DraftRef<'_>) -> T) -> T {
        let keys = &self.keys[self.next % READY];
        self.next += 1;
        let time = UnixNanos::new(1_700_000_000_000_000_000 + self.next as u64);
        submit(&DraftRef {
            index_keys: &[(IndexKind::ClientOrderId, &keys[0]), (IndexKind::VenueOrderId, &keys[1])],
            ..DraftRef::new("exec.command.SubmitOrder", "SubmitOrder", &self.payload, time)
        })
    }
}

fn writer(base: &std::path::Path, wait_strategy: WaitStrategy) -> EventStoreWriter {
    let mut store = SegmentBackend::new(base);
    store.open_run(manifest("1-00000001")).unwrap();
    // A benchmark waits for room; it is the disk that is measured then, and not a stall.
    let config = WriterConfig { on_stall: tapelog::OnStall::Block, wait_strategy, ..WriterConfig::default() };
    EventStoreWriter::spawn(Box::new(store), Arc::new(SystemClock), noop_halt(), config).unwrap()
}

/// Says what the times come to.
fn tell(name: &str, times: &mut [Duration]) {
    // It was filtered out.
    if times.is_empty() {
        return;
    }
    times.sort_unstable();
    let at = |thousandths: usize| times[(times.len() - 1) * thousandths / 1_000];
    let line = format!("{name}: p50 {:?}, p90 {:?}, p99 {:?}, p99.9 {:?} of {}\n", at(500), at(900), at(990), at(999), times.len());
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Waits, without giving the core away, until it is time for the next.
fn pace(begun: Instant, number: u64, every: Duration) {
    let due = begun + every * u32::try_from(number).unwrap();
    while Instant::now() < due {
        std::hint::spin_loop();
    }
}

fn submit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("writer");
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(4));
    for (name, strategy) in [("submit", WaitStrategy::Park), ("submit_spin", WaitStrategy::Spin)] {
        let folder = scratch();
        let writer = writer(folder.path(), strategy);
        let mut messages = Messages::new();
        let mut all = Vec::new();
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| {
                let begun = Instant::now();
                let mut sum = Duration::ZERO;
                for number in 0..iterations {
                    pace(begun, number, Duration::from_micros(10));
                    let took = messages.with_next(|draft| {
                        let begun = Instant::now();
                        writer.submit_ref(draft).unwrap();
                        begun.elapsed()
                    });
                    sum += took;
                    all.push(took);
                }
                sum
            });
        });
        tell(&format!("writer/{name} at 100,000 a second"), &mut all);
        let stats = writer.stats();
        eprintln!("{} batches, entries {:?}, append {:?}", stats.batches, stats.batch_entries, stats.append_nanos);
    }
    group.finish();
}

/// A file of zeros in which a block after the other is written and synced.
struct Floor {
    file: File,
    offset: u64,
    bytes: Vec<u8>,
}

impl Floor {
    const LEN: u64 = 64 << 20;

    fn new(folder: &std::path::Path) -> Self {
        let path = folder.join("floor");
        std::fs::write(&path, vec![0; usize::try_from(Self::LEN).unwrap()]).unwrap();
        let file = File::options().write(true).open(path).unwrap();
        file.sync_all().unwrap();
        Self { file, offset: 0, bytes: vec![7; 576] }
    }

    fn write(&mut self) {
        self.offset = (self.offset + self.bytes.len() as u64) % (Self::LEN - self.bytes.len() as u64);
        self.file.write_all_at(&self.bytes, self.offset).unwrap();
        self.file.sync_data().unwrap();
    }
}

fn durable(criterion: &mut Criterion) {
    const TURN: u64 = 100;
    let mut group = criterion.benchmark_group("writer");
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(5));
    for (name, strategy) in [("durable", WaitStrategy::Park), ("durable_spin", WaitStrategy::Spin)] {
        let folder = scratch();
        let writer = writer(folder.path(), strategy);
        let mut floor = Floor::new(folder.path());
        let mut messages = Messages::new();
        let (mut alone, mut all, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| {
                let mut sum = Duration::ZERO;
                let mut left = iterations;
                while left > 0 {
                    let turn = left.min(TURN);
                    let mut turns = [Vec::new(), Vec::new()];
                    for (which, times) in turns.iter_mut().enumerate() {
                        let begun = Instant::now();
                        for number in 0..turn {
                            pace(begun, number, Duration::from_millis(1));
                            let begun = Instant::now();
                            if which == 0 {
                                floor.write();
                            } else {
                                messages.with_next(|draft| writer.submit_tracked_ref(draft).unwrap().wait().unwrap());
                            }
                            times.push(begun.elapsed());
                        }
                    }
                    let [floors, ours] = &mut turns;
                    sum += ours.iter().sum::<Duration>();
                    alone.extend_from_slice(floors);
                    all.extend_from_slice(ours);
                    if turn == TURN {
                        floors.sort_unstable();
                        ours.sort_unstable();
                        ratios.push(ours[ours.len() / 2].as_secs_f64() / floors[floors.len() / 2].as_secs_f64());
                    }
                    left -= turn;
                }
                sum
            });
        });
        tell("write and sync alone at 1,000 a second", &mut alone);
        tell(&format!("writer/{name} at 1,000 a second"), &mut all);
        ratios.sort_by(f64::total_cmp);
        if let Some(ratio) = ratios.get(ratios.len() / 2) {
            eprintln!("median of the ratios of the medians of {TURN}: {ratio:.2}");
        }
    }
    group.finish();
}

fn saturated(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("writer");
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(8));
    group.throughput(Throughput::Elements(1));
    group.bench_function("saturated", |bencher| {
        let folder = scratch();
        let writer = writer(folder.path(), WaitStrategy::Park);
        let mut messages = Messages::new();
        bencher.iter_custom(|iterations| {
            let begun = Instant::now();
            for _ in 0..iterations {
                messages.with_next(|draft| writer.submit_ref(draft)).unwrap();
            }
            writer.flush(Duration::from_mins(1)).unwrap();
            begun.elapsed()
        });
        let stats = writer.stats();
        // Criterion calls this for every guess at the number of iterations; the last call is the one that counts.
        if stats.submitted > 500_000 {
            eprintln!(
                "{} batches, entries {:?}, append {:?}, spares missed {}",
                stats.batches, stats.batch_entries, stats.append_nanos, stats.spares_missed
            );
        }
    });
    group.finish();
}

criterion_group!(benches, submit, durable, saturated);
criterion_main!(benches);
