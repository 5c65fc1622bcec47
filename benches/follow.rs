//! How long after it is durable an entry is seen: by a follower of the files and by a tail of this process.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark that fails may fail loudly, and has no interface")]

mod support;

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use tapelog::{EventStore, FollowOptions, Follower, SegmentBackend, Visibility};

use support::entries::{EntrySource, manifest};
use support::scratch;

const RUN: &str = "1-00000001";

/// Appends an entry every `pace` and adds up how long each took from durable to seen. `next` waits for the next entry.
fn latency(count: u64, pace: Duration, store: &mut SegmentBackend, mut next: impl FnMut() -> u64 + Send) -> (Duration, Vec<Duration>) {
    let (durable, seen) = mpsc::channel();
    let mut source = EntrySource::starting_at(store.high_watermark().unwrap() + 1);
    thread::scope(|scope| {
        let watcher = scope.spawn(move || {
            let arrivals: Vec<_> = (0..count).map(|_| (next(), Instant::now())).collect();
            let durable: Vec<(u64, Instant)> = seen.iter().take(arrivals.len()).collect();
            let mut waits: Vec<_> = arrivals
                .iter()
                .zip(&durable)
                .map(|((seen_seq, seen_at), (seq, durable_at))| {
                    assert_eq!(seen_seq, seq);
                    seen_at.saturating_duration_since(*durable_at)
                })
                .collect();
            waits.sort();
            (waits.iter().sum(), waits)
        });
        for _ in 0..count {
            thread::sleep(pace);
            let seq = store.append_batch(&source.batch(1)).unwrap();
            durable.send((seq, Instant::now())).unwrap();
        }
        watcher.join().unwrap()
    })
}

fn follow(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("follow");
    group.sample_size(10).warm_up_time(Duration::from_millis(500));
    for (name, pace) in [("busy", Duration::from_micros(300)), ("quiet", Duration::from_millis(70))] {
        for follower in [true, false] {
            let folder = scratch();
            let mut store = SegmentBackend::new(folder.path());
            store.open_run(manifest(RUN)).unwrap();
            let path = store.current_path().unwrap().to_owned();
            let reader = store.reader().unwrap();
            let what = if follower { "follower" } else { "tail" };
            let mut all = Vec::new();
            group.measurement_time(Duration::from_secs(4)).bench_function(format!("{what}/{name}"), |bencher| {
                bencher.iter_custom(|count| {
                    let from = store.high_watermark().unwrap() + 1;
                    let (sum, mut waits) = if follower {
                        let mut follower = Follower::open(&path, FollowOptions { from, ..FollowOptions::default() }).unwrap();
                        latency(count, pace, &mut store, move || follower.next_entry(Duration::from_mins(1)).unwrap().unwrap().seq)
                    } else {
                        let mut tail = reader.tail(from, Visibility::Durable);
                        latency(count, pace, &mut store, move || tail.next_entry(Duration::from_mins(1)).unwrap().unwrap().seq)
                    };
                    all.append(&mut waits);
                    sum
                });
            });
            all.sort();
            let at = |part: usize| all.get(all.len() * part / 100).copied().unwrap_or_default();
            eprintln!("{what}/{name}: durable to seen p50 {:?}, p90 {:?}, p99 {:?} of {}", at(50), at(90), at(99), all.len());
        }
    }
    group.finish();
}

criterion_group!(benches, follow);
criterion_main!(benches);
