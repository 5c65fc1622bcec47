//! What readers cost the writer: the time of an append without them, and beside four readers in this process and two
//! followers in others, in rounds that alternate.
//!
//! No criterion: what is compared are medians of single appends, and the readers are other threads and processes.
//! `TAPELOG_BESIDE_SECONDS` is the length of a round (default 3), `TAPELOG_BESIDE_ROUNDS` their number (default 5).

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark that fails may fail loudly, and has no interface"
)]

mod support;

use std::env;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tapelog::{
    Check, EventStore, FollowOptions, Follower, IndexKind, Progress, RunReader, RunStatus, ScanDirection, SegmentBackend, Visibility,
};

use support::entries::{EntrySource, client_order_id, manifest};
use support::scratch;

const RUN: &str = "1-00000001";
/// Tells a child what to follow.
const FOLLOW: &str = "TAPELOG_BESIDE_FOLLOW";

fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// The child: follows a run to its seal and exits with success if nothing was missing.
fn follow(folder: &str) {
    let mut follower = Follower::open(folder, FollowOptions::default()).unwrap();
    let mut next = 1;
    loop {
        let progress = follower.visit(Duration::from_mins(1), Check::Full, |view| {
            assert_eq!(view.seq(), next);
            next += 1;
            ControlFlow::Continue(())
        });
        if let Progress::Ended(_) = progress.unwrap() {
            return;
        }
    }
}

fn start_follower(folder: &Path) -> Child {
    Command::new(env::current_exe().unwrap()).env(FOLLOW, folder).stdin(Stdio::null()).spawn().unwrap()
}

fn tails(reader: &RunReader, visibility: Visibility) {
    let mut tail = reader.tail(1, visibility);
    let mut next = 1;
    while !matches!(
        tail.visit(Duration::from_mins(1), Check::Full, |view| {
            assert_eq!(view.seq(), next);
            next += 1;
            ControlFlow::Continue(())
        })
        .unwrap(),
        Progress::Ended(_)
    ) {}
}

/// Asks for one entry and one key a millisecond, as an engine does that looks orders up.
fn asks(reader: &RunReader, stop: &AtomicBool) {
    let mut number = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(1));
        let last = reader.high_watermark();
        if last > 0 {
            number += 7_919_917;
            let seq = 1 + number % last;
            assert!(reader.entry(seq).unwrap().is_some());
            assert_eq!(reader.lookup(IndexKind::ClientOrderId, &client_order_id(seq)).unwrap(), Some(seq));
        }
    }
}

/// Scans the newest thousand entries backwards ten times a second, as a screen does that shows them.
fn scans(reader: &RunReader, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(100));
        let last = reader.high_watermark();
        let newest = reader.entries(last.saturating_sub(999).max(1)..=last, ScanDirection::Reverse);
        assert_eq!(newest.flatten().count() as u64, last.min(1_000));
    }
}

/// Appends single entries at full speed; answers how long each took.
fn write(store: &mut SegmentBackend, length: Duration) -> Vec<Duration> {
    let mut source = EntrySource::default();
    let mut times = Vec::new();
    let started = Instant::now();
    while started.elapsed() < length {
        let batch = source.batch(1);
        let begun = Instant::now();
        store.append_batch(&batch).unwrap();
        times.push(begun.elapsed());
    }
    times
}

fn round(length: Duration, with_readers: bool) -> Vec<Duration> {
    let folder = scratch();
    let mut store = SegmentBackend::builder(folder.path()).segment_len(4 << 20).build().unwrap();
    store.open_run(manifest(RUN)).unwrap();
    let path = store.current_path().unwrap().to_owned();
    let followers: Vec<_> = if with_readers { vec![start_follower(&path), start_follower(&path)] } else { Vec::new() };
    let reader = store.reader().unwrap();
    let stop = AtomicBool::new(false);
    let times = thread::scope(|scope| {
        if with_readers {
            scope.spawn(|| tails(&reader, Visibility::Durable));
            scope.spawn(|| tails(&reader, Visibility::Written));
            scope.spawn(|| asks(&reader, &stop));
            scope.spawn(|| scans(&reader, &stop));
        }
        let times = write(&mut store, length);
        stop.store(true, Ordering::Relaxed);
        store.seal(RunStatus::Ended).unwrap();
        times
    });
    for mut follower in followers {
        assert!(follower.wait().unwrap().success());
    }
    times
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[times.len() * percent / 100]
}

fn main() {
    if let Ok(folder) = env::var(FOLLOW) {
        return follow(&folder);
    }
    // `cargo bench` runs every benchmark, and `cargo test` only sees to it that they start.
    if !env::args().any(|argument| argument == "--bench") {
        return;
    }
    let length = Duration::from_secs(number("TAPELOG_BESIDE_SECONDS", 3));
    let rounds = number("TAPELOG_BESIDE_ROUNDS", 5);
    let mut ratios = Vec::new();
    println!("appends of one entry at full speed, rounds of {length:?}");
    println!("{:>5}  {:>14}  {:>14}  {:>6}  {:>12}  {:>12}", "round", "alone p50", "beside p50", "ratio", "alone p99", "beside p99");
    for number in 1..=rounds {
        let mut alone = round(length, false);
        let mut beside = round(length, true);
        let (without, with) = (percentile(&mut alone, 50), percentile(&mut beside, 50));
        let ratio = with.as_secs_f64() / without.as_secs_f64();
        ratios.push(ratio);
        let (without_99, with_99) = (percentile(&mut alone, 99), percentile(&mut beside, 99));
        println!("{number:>5}  {without:>14.1?}  {with:>14.1?}  {ratio:>6.2}  {without_99:>12.1?}  {with_99:>12.1?}");
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2}", ratios[ratios.len() / 2]);
}
