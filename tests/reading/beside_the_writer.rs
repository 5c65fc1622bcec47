//! Readers on other threads and in other processes while the writer goes at full speed: nothing is missed, doubled,
//! torn, or shown before it is durable.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tapelog::{
    Check, Durability, EventStore, FollowOptions, Follower, IndexKind, Progress, RunEnd, RunReader, RunStatus, ScanDirection,
    SegmentBackend, UnixNanos, Visibility,
};

use crate::support::children::{child_test, given, heard, is_child, say};
use crate::support::entries::{batch, entry_of, manifest};

const RUN: &str = "1-00000001";
const PAYLOAD_LEN: usize = 256;

/// How long the writer goes on, in seconds: `TAPELOG_STRESS_SECONDS`, or 3.
fn duration() -> Duration {
    let seconds = std::env::var("TAPELOG_STRESS_SECONDS").ok().map_or(3, |text| text.parse().expect("a whole number of seconds"));
    Duration::from_secs(seconds)
}

/// The child: follows the run to its seal and says how many entries it was shown.
#[test]
#[ignore = "runs in a child process"]
fn follows_to_the_seal() {
    if !is_child() {
        return;
    }
    let mut follower = Follower::open(given("TAPELOG_TEST_RUN"), FollowOptions::default()).unwrap();
    let mut next = 1;
    loop {
        let progress = follower.visit(Duration::from_mins(1), Check::Full, |view| {
            assert_eq!(view.seq(), next);
            assert_eq!(view.to_entry().unwrap(), entry_of(next, PAYLOAD_LEN).entry);
            next += 1;
            ControlFlow::Continue(())
        });
        match progress.unwrap() {
            Progress::Shown(_) => {}
            Progress::Ended(RunEnd::Sealed(manifest)) => {
                assert_eq!(manifest.high_watermark, next - 1);
                break;
            }
            other => panic!("{other:?} after {next} entries"),
        }
    }
    say(&format!("followed {}", next - 1));
}

fn start_follower(folder: &Path) -> Child {
    let mut command = child_test("reading::beside_the_writer::follows_to_the_seal");
    command.env("TAPELOG_TEST_RUN", folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap()
}

fn assert_followed(child: Child, last: u64) {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let said: Vec<_> = text.lines().filter_map(heard).collect();
    assert_eq!(said, [format!("followed {last}")]);
}

/// Waits for every entry, one after the other.
fn tails(reader: &RunReader, visibility: Visibility) -> u64 {
    let mut tail = reader.tail(1, visibility);
    let mut next = 1;
    loop {
        let progress = tail.visit(Duration::from_mins(1), Check::Full, |view| {
            assert_eq!(view.seq(), next);
            next += 1;
            ControlFlow::Continue(())
        });
        match progress.unwrap() {
            Progress::Shown(_) => {}
            Progress::Ended(RunEnd::Sealed(_)) => return next - 1,
            other => panic!("{other:?} after {next} entries"),
        }
    }
}

/// Asks for single entries, keys and times all over the run.
fn asks(reader: &RunReader, stop: &AtomicBool, acknowledged: &AtomicU64) {
    let mut number = 1_u64;
    while !stop.load(Ordering::Relaxed) {
        let known = acknowledged.load(Ordering::Acquire);
        if known == 0 {
            continue;
        }
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let seq = 1 + (number >> 33) % known;
        let expected = entry_of(seq, PAYLOAD_LEN);
        assert_eq!(reader.entry(seq).unwrap(), Some(expected.entry), "what was acknowledged is there");
        let first = (seq / 3 * 3).max(1);
        assert_eq!(reader.lookup(IndexKind::ClientOrderId, &format!("O-{}", seq / 3)).unwrap(), Some(first));
        assert_eq!(reader.entry(u64::MAX).unwrap(), None);
        let found = reader.first_at_or_after(UnixNanos::from(1_000)).unwrap();
        assert_eq!(found, Some(1));
    }
}

/// Scans the newest entries backwards, and now and then everything forwards.
fn scans(reader: &RunReader, stop: &AtomicBool, acknowledged: &AtomicU64) {
    let mut rounds = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        let known = acknowledged.load(Ordering::Acquire);
        let last = reader.high_watermark();
        assert!(last >= known, "{last} is shown and {known} acknowledged");
        let mut next = last;
        let from = last.saturating_sub(2_000) + 1;
        reader
            .visit(from..=last, ScanDirection::Reverse, Check::Full, |view| {
                assert_eq!(view.seq(), next);
                next -= 1;
                ControlFlow::<()>::Continue(())
            })
            .unwrap();
        assert_eq!(next, from - 1);
        rounds += 1;
        if rounds.is_multiple_of(20) {
            let mut next = 1;
            reader
                .visit(..=last, ScanDirection::Forward, Check::Crc, |view| {
                    assert_eq!(view.seq(), next);
                    next += 1;
                    ControlFlow::<()>::Continue(())
                })
                .unwrap();
            assert_eq!(next, last + 1);
        }
    }
}

fn run_beside(durability: Durability, followers: usize) {
    let base = tempfile::tempdir().unwrap();
    let mut store = SegmentBackend::builder(base.path()).segment_len(1 << 20).durability(durability).build().unwrap();
    store.open_run(manifest(RUN)).unwrap();
    let folder = store.current_path().unwrap().to_owned();
    let children: Vec<_> = (0..followers).map(|_| start_follower(&folder)).collect();
    let reader = store.reader().unwrap();
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    let last = thread::scope(|scope| {
        let durable = scope.spawn(|| tails(&reader, Visibility::Durable));
        let written = scope.spawn(|| tails(&reader, Visibility::Written));
        scope.spawn(|| asks(&reader, &stop, &acknowledged));
        scope.spawn(|| scans(&reader, &stop, &acknowledged));
        let (started, mut last) = (Instant::now(), 0);
        while started.elapsed() < duration() {
            let len = 1 + last % 17;
            let high_watermark = store.append_batch(&batch(last + 1, last + len, PAYLOAD_LEN)).unwrap();
            last += len;
            acknowledged.store(high_watermark, Ordering::Release);
        }
        stop.store(true, Ordering::Relaxed);
        store.seal(RunStatus::Ended).unwrap();
        assert_eq!(durable.join().unwrap(), last);
        assert_eq!(written.join().unwrap(), last);
        last
    });
    for child in children {
        assert_followed(child, last);
    }
}

#[test]
fn four_readers_and_two_followers_see_every_entry_once_and_in_order() {
    run_beside(Durability::Synced, 2);
}

#[test]
fn a_buffered_run_is_read_beside_its_writer() {
    run_beside(Durability::Buffered { sync_every: Duration::from_millis(5) }, 1);
}

#[test]
fn a_reader_outlives_its_store() {
    let base = tempfile::tempdir().unwrap();
    let mut store = SegmentBackend::builder(base.path()).segment_len(16 << 10).build().unwrap();
    store.open_run(manifest(RUN)).unwrap();
    store.append_batch(&batch(1, 100, PAYLOAD_LEN)).unwrap();
    let reader = store.reader().unwrap();
    let mut tail = reader.tail(101, Visibility::Durable);
    assert_eq!(tail.visit(Duration::ZERO, Check::Full, |_| ControlFlow::Continue(())).unwrap(), Progress::Idle);
    drop(store);
    assert_eq!(reader.entries(.., ScanDirection::Reverse).flatten().count(), 100);
    assert_eq!(tail.visit(Duration::from_mins(1), Check::Full, |_| ControlFlow::Continue(())).unwrap(), Progress::Ended(RunEnd::Left));
}

#[test]
fn a_payload_outlives_its_reader_and_its_segment() {
    let base = tempfile::tempdir().unwrap();
    let mut store = SegmentBackend::builder(base.path()).segment_len(16 << 10).build().unwrap();
    store.open_run(manifest(RUN)).unwrap();
    store.append_batch(&batch(1, 100, PAYLOAD_LEN)).unwrap();
    let entries: Vec<_> = store.reader().unwrap().entries(.., ScanDirection::Forward).map(|item| item.unwrap()).collect();
    drop(store);
    std::fs::remove_dir_all(base.path()).unwrap();
    for (entry, seq) in entries.into_iter().zip(1..) {
        assert_eq!(entry, entry_of(seq, PAYLOAD_LEN).entry);
    }
}
