//! What was submitted is in the log once, in the order in which each thread submitted it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tapelog::{EventStore, ScanDirection, SegmentBackend, SystemClock, UnixNanos, WaitStrategy, WriterConfig, noop_halt};

use super::bench::{Halts, RUN, SOON, clock, draft, number_of, patient, run_ended, writer, writer_with};
use crate::support::entries::{INSTANCE, manifest};
use crate::support::folders::memory_dir;
use crate::support::scripted_store::Script;

/// The numbers of a thread begin at its own million.
const THREAD: u64 = 1_000_000;

#[test]
fn eight_threads_lose_nothing_and_each_keeps_its_order() {
    let base = memory_dir();
    let mut store = SegmentBackend::builder(base.path()).segment_len(64 << 10).build().unwrap();
    store.open_run(manifest(RUN)).unwrap();
    // A queue that is often full, so that threads wait for room too.
    let config = WriterConfig { channel_capacity: 100, ..patient() };
    let writer = tapelog::EventStoreWriter::spawn(Box::new(store), Arc::new(SystemClock), noop_halt(), config).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let writer = &writer;
            scope.spawn(move || {
                for number in 0..2_000 {
                    writer.submit(draft(thread * THREAD + number)).unwrap();
                }
            });
        }
    });
    assert_eq!(writer.close(run_ended()), Ok(16_001));
    let store = SegmentBackend::open_sealed(base.path(), INSTANCE, RUN).unwrap();
    let entries = store.scan_range(1, u64::MAX, ScanDirection::Forward).unwrap();
    let mut next: HashMap<u64, u64> = HashMap::new();
    for entry in &entries[..16_000] {
        let number = number_of(&entry.payload);
        let expected = next.entry(number / THREAD).or_default();
        assert_eq!(number % THREAD, *expected);
        *expected += 1;
        assert_eq!(entry.entry_hash, entry.recompute_hash());
    }
    assert!(next.len() == 8 && next.values().all(|count| *count == 2_000));
    assert!(entries.is_sorted_by_key(|entry| entry.ts_publish));
    assert_eq!(entries[16_000].topic.as_str(), "run.lifecycle.RunEnded");
    let key = format!("O-{}", 3 * THREAD + 77);
    let found = store.lookup(tapelog::IndexKind::ClientOrderId, &key).unwrap().unwrap();
    assert_eq!(number_of(&entries[usize::try_from(found).unwrap() - 1].payload), 3 * THREAD + 77);
}

#[test]
fn a_time_never_goes_back_though_the_clock_does() {
    let (script, clock) = (Script::default(), clock());
    let store = script.open(manifest(RUN));
    let writer = tapelog::EventStoreWriter::spawn(store, clock.clone(), noop_halt(), WriterConfig::default()).unwrap();
    for (number, time) in [(1, 5_000), (2, 4_000), (3, 6_000)] {
        clock.set(UnixNanos::from(time));
        writer.submit(draft(number)).unwrap();
    }
    writer.flush(SOON).unwrap();
    let times: Vec<_> = script.entries().iter().map(|entry| entry.ts_publish.as_u64()).collect();
    assert_eq!(times, [5_000, 5_000, 6_000]);
}

#[test]
fn what_comes_while_the_store_is_busy_is_one_batch() {
    let (script, halts) = (Script::default(), Halts::default());
    let writer = writer(&script, &halts);
    script.close_gate();
    writer.submit(draft(1)).unwrap();
    script.wait_until_at_gate();
    (2..=50).for_each(|number| writer.submit(draft(number)).unwrap());
    assert_eq!((writer.stats().waiting, writer.high_watermark(), writer.last_submitted()), (49, 0, 50));
    script.open_gate();
    assert_eq!(writer.flush(SOON), Ok(50));
    assert_eq!(script.batches(), [1, 49]);
    let stats = writer.stats();
    assert_eq!((stats.submitted, stats.durable, stats.waiting, stats.batches), (50, 50, 0, 2));
    assert_eq!((stats.batch_entries.max(), stats.append_nanos.count()), (49, 2));
}

#[test]
fn batches_keep_within_their_bounds() {
    for config in [WriterConfig { max_batch_entries: 7, ..patient() }, WriterConfig { max_batch_len: 4 << 10, ..patient() }] {
        let most = if config.max_batch_entries == 7 { 7 } else { 4096 / 170 };
        let (script, halts) = (Script::default(), Halts::default());
        let writer = writer_with(&script, &halts, config);
        script.close_gate();
        (1..=100).for_each(|number| writer.submit(draft(number)).unwrap());
        script.open_gate();
        writer.flush(SOON).unwrap();
        let batches = script.batches();
        assert!(batches.len() > 3 && batches.iter().all(|entries| *entries <= most), "{batches:?}");
        assert_eq!(batches.iter().sum::<usize>(), 100);
        assert!(writer.stats().batch_len.max() <= 4 << 10 || most == 7);
    }
}

#[test]
fn a_batch_waits_for_more_where_that_is_asked_for_and_not_once_it_is_full() {
    let (script, halts) = (Script::default(), Halts::default());
    let config = WriterConfig { max_batch_latency: Duration::from_mins(1), max_batch_entries: 10, ..patient() };
    let writer = writer_with(&script, &halts, config);
    for number in 1..=9 {
        writer.submit(draft(number)).unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!((script.batches().len(), writer.high_watermark()), (0, 0));
    writer.submit(draft(10)).unwrap();
    assert_eq!(writer.wait_durable(10, SOON), Ok(()));
    // A request does not wait for the batch to fill either.
    writer.submit(draft(11)).unwrap();
    assert_eq!(writer.flush(SOON), Ok(11));
    assert_eq!(script.batches(), [10, 1]);
    // Nor does the end.
    writer.submit(draft(12)).unwrap();
    assert_eq!(writer.close(run_ended()), Ok(13));
}

#[test]
fn a_batch_that_waits_goes_out_when_its_time_is_up() {
    let (script, halts) = (Script::default(), Halts::default());
    let config = WriterConfig { max_batch_latency: Duration::from_millis(20), ..patient() };
    let writer = writer_with(&script, &halts, config);
    let receipt = writer.submit_tracked(draft(1)).unwrap();
    writer.submit(draft(2)).unwrap();
    assert_eq!(receipt.wait_timeout(SOON), Ok(1));
    assert_eq!(script.batches(), [2]);
}

#[test]
fn however_the_thread_waits_it_finds_what_comes() {
    for wait_strategy in [WaitStrategy::Park, WaitStrategy::Spin, WaitStrategy::SpinThenPark { spin: Duration::from_millis(1) }] {
        let (script, halts) = (Script::default(), Halts::default());
        let writer = writer_with(&script, &halts, WriterConfig { wait_strategy, ..patient() });
        for number in 1..=20 {
            assert_eq!(writer.submit_and_wait(draft(number)), Ok(number), "{wait_strategy:?}");
            // Longer than it spins, now and then.
            std::thread::sleep(Duration::from_micros(100 * number));
        }
        assert_eq!(writer.close(run_ended()), Ok(21));
    }
}
