//! A running engine ends its run and goes on in another, without a gap.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tapelog::{
    EventStore, EventStoreError, EventStoreWriter, NextRun, ReaderOptions, RunChain, RunManifest, RunStatus, ScanDirection, SegmentBackend,
    SystemClock, WriterConfig, noop_halt,
};

use super::bench::{Halts, RUN, SOON, clock, draft, number_of, run_ended, run_started, small, wait_until, writer, writer_with};
use crate::support::entries::{INSTANCE, manifest};
use crate::support::folders::memory_dir;
use crate::support::scripted_store::{Failure, Script};

fn child_of(parent: &str, run_id: &str) -> RunManifest {
    RunManifest { parent_run_id: Some(parent.to_owned()), ..manifest(run_id) }
}

fn next(store: Box<dyn EventStore + Send>, manifest: RunManifest) -> NextRun {
    NextRun { store, manifest, run_started: run_started() }
}

#[test]
fn what_comes_before_is_in_the_old_run_and_what_comes_after_in_the_new_one() {
    let (first, second, halts) = (Script::default(), Script::default(), Halts::default());
    let writer = writer(&first, &halts);
    (1..=10).for_each(|number| writer.submit(draft(number)).unwrap());
    let before = writer.submit_tracked(draft(11)).unwrap();
    let rotated = writer.rotate(&run_ended(), next(second.empty(), child_of(RUN, "b"))).unwrap();
    assert_eq!((rotated.ended.as_str(), rotated.ended_high_watermark, rotated.begun.as_str()), (RUN, 12, "b"));
    assert_eq!((writer.run_id().as_str(), writer.high_watermark(), writer.last_submitted()), ("b", 1, 1));
    let after = writer.submit_tracked(draft(12)).unwrap();
    assert_eq!((before.wait(), after.wait()), (Ok(11), Ok(2)), "a receipt knows its run");
    assert_eq!(writer.wait_durable(2, SOON), Ok(()));
    assert_eq!(writer.record_snapshot_anchor("blob", "hash").unwrap().high_watermark, 2);
    assert_eq!((first.status(), first.entries().len()), (RunStatus::Ended, 12));
    assert_eq!(first.entries()[11].payload_type.as_str(), "RunEnded");
    assert_eq!(second.entries()[0].payload_type.as_str(), "RunStarted");
    let stats = writer.stats();
    assert_eq!((stats.rotations, stats.submitted, stats.durable), (1, 14, 14));
    assert_eq!(writer.close(run_ended()), Ok(3));
    assert_eq!(second.status(), RunStatus::Ended);
    assert!(halts.told().is_empty());
}

#[test]
fn nothing_is_lost_or_refused_while_threads_submit_through_many_rotations() {
    const THREADS: u64 = 4;
    let base = memory_dir();
    let open = || SegmentBackend::builder(base.path()).segment_len(64 << 10).spares(1).build().unwrap();
    let mut store = open();
    store.open_run(manifest("0-run")).unwrap();
    let config = WriterConfig { channel_capacity: 200, halt_threshold: SOON, ..WriterConfig::default() };
    let writer = EventStoreWriter::spawn(Box::new(store), Arc::new(SystemClock), noop_halt(), config).unwrap();
    let stop = AtomicBool::new(false);
    let submitted: u64 = std::thread::scope(|scope| {
        let submits = |thread: u64| {
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                writer.submit(draft(thread * 1_000_000_000 + number)).unwrap();
                number += 1;
            }
            number
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || submits(thread))).collect();
        for run in 1..=8 {
            std::thread::sleep(Duration::from_millis(5));
            let manifest = child_of(&format!("{}-run", run - 1), &format!("{run}-run"));
            writer.rotate(&run_ended(), next(Box::new(open()), manifest)).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    writer.close(run_ended()).unwrap();
    let mut expected = vec![0; usize::try_from(THREADS).unwrap()];
    for run in 0..=8 {
        let store = SegmentBackend::open_sealed(base.path(), INSTANCE, &format!("{run}-run")).unwrap();
        assert_eq!(store.manifest().unwrap().status, RunStatus::Ended);
        let entries = store.scan_range(1, u64::MAX, ScanDirection::Forward).unwrap();
        assert_eq!(entries.first().unwrap().payload_type.as_str() == "RunStarted", run > 0);
        assert_eq!(entries.last().unwrap().payload_type.as_str(), "RunEnded");
        for entry in entries.iter().filter(|entry| entry.payload_type.as_str() == "SubmitOrder") {
            let number = number_of(&entry.payload);
            let next = &mut expected[usize::try_from(number / 1_000_000_000).unwrap()];
            assert_eq!(number % 1_000_000_000, *next, "in order across the runs");
            *next += 1;
        }
    }
    assert_eq!(expected.iter().sum::<u64>(), submitted);
    // The runs are one history, each tied to its parent.
    let chain = RunChain::open(base.path().join(INSTANCE).join("8-run"), ReaderOptions::default()).unwrap();
    assert_eq!(chain.runs().len(), 9);
}

#[test]
fn a_next_run_that_cannot_be_prepared_leaves_the_writer_in_the_run_that_it_has() {
    let base = memory_dir();
    let mut store = SegmentBackend::builder(base.path()).segment_len(64 << 10).build().unwrap();
    store.open_run(manifest(RUN)).unwrap();
    let writer = EventStoreWriter::spawn(Box::new(store), clock(), noop_halt(), WriterConfig::default()).unwrap();
    let none = SegmentBackend::builder(base.path().join("no\0folder")).build().unwrap();
    assert!(writer.rotate(&run_ended(), next(Box::new(none), child_of(RUN, "b"))).is_err());
    let bad_id = SegmentBackend::builder(base.path()).build().unwrap();
    let refused = writer.rotate(&run_ended(), next(Box::new(bad_id), child_of(RUN, "../b")));
    assert!(matches!(refused, Err(EventStoreError::InvalidId { .. })), "{refused:?}");
    // A run of that name that is held already: this one.
    let held = SegmentBackend::builder(base.path()).build().unwrap();
    assert!(matches!(writer.rotate(&run_ended(), next(Box::new(held), manifest(RUN))), Err(EventStoreError::Locked { .. })));
    assert_eq!(writer.submit_and_wait(draft(1)), Ok(1));
    assert_eq!(writer.close(run_ended()), Ok(2));
}

#[test]
fn what_was_prepared_for_a_run_that_never_came_is_removed() {
    let base = memory_dir();
    let build = || SegmentBackend::builder(base.path()).segment_len(64 << 10).build().unwrap();
    let folder = base.path().join(INSTANCE).join("b");
    let segments = || std::fs::read_dir(&folder).unwrap().filter(|file| file.as_ref().unwrap().path().extension().is_some()).count();
    let mut store = build();
    store.prepare_run(&manifest("b")).unwrap();
    assert_eq!(segments(), 2);
    drop(store);
    assert_eq!(segments(), 0);
    // A run can be opened by the store that prepared it, and by another one.
    let mut store = build();
    store.prepare_run(&manifest("b")).unwrap();
    assert!(matches!(build().open_run(manifest("b")), Err(EventStoreError::Locked { .. })));
    store.open_run(manifest("b")).unwrap();
    assert!(store.prepare_run(&manifest("c")).is_err(), "a store has one run");
}

#[test]
fn a_second_rotation_at_the_same_time_is_refused() {
    let (first, second, third, halts) = (Script::default(), Script::default(), Script::default(), Halts::default());
    let writer = writer(&first, &halts);
    first.close_gate();
    writer.submit(draft(1)).unwrap();
    first.wait_until_at_gate();
    std::thread::scope(|scope| {
        let rotates = scope.spawn(|| writer.rotate(&run_ended(), next(second.empty(), child_of(RUN, "b"))));
        wait_until("the request", || writer.last_submitted() == 1 && writer.stats().submitted == 3);
        let refused = writer.rotate(&run_ended(), next(third.empty(), child_of("b", "c"))).unwrap_err();
        assert!(refused.to_string().contains("another rotation"), "{refused}");
        first.open_gate();
        rotates.join().unwrap().unwrap();
    });
    assert_eq!(writer.rotate(&run_ended(), next(third.empty(), child_of("b", "c"))).unwrap().begun, "c");
}

#[test]
fn a_message_that_waits_for_room_while_the_runs_are_changed_does_not_count_as_stalled() {
    let (first, second, halts) = (Script::default(), Script::default(), Halts::default());
    let writer = writer_with(&first, &halts, small());
    first.close_gate();
    writer.submit(draft(1)).unwrap();
    first.wait_until_at_gate();
    std::thread::scope(|scope| {
        let rotates = scope.spawn(|| writer.rotate(&run_ended(), next(second.empty(), child_of(RUN, "b"))));
        wait_until("the request", || writer.stats().submitted == 3);
        let waits = scope.spawn(|| writer.submit(draft(2)));
        std::thread::sleep(small().halt_threshold * 4);
        assert!(!waits.is_finished());
        first.open_gate();
        assert_eq!(waits.join().unwrap(), Ok(()));
        rotates.join().unwrap().unwrap();
    });
    assert!(halts.told().is_empty());
}

#[test]
fn a_failure_on_the_way_to_the_next_run_halts() {
    for (seal, append) in [(true, false), (false, true)] {
        let (first, second, halts) = (Script::default(), Script::default(), Halts::default());
        let writer = writer(&first, &halts);
        if seal {
            first.fail_seal();
        }
        if append {
            second.fail_appends(Failure::Disk);
        }
        let failed = writer.rotate(&run_ended(), next(second.empty(), child_of(RUN, "b")));
        assert!(matches!(failed, Err(EventStoreError::Disk(_))), "{failed:?}");
        assert!(matches!(halts.first().0, tapelog::HaltReason::BackendDisk(_)));
        assert!(writer.submit(draft(1)).is_err());
        assert_eq!(first.status(), if seal { RunStatus::Running } else { RunStatus::Ended });
    }
}

#[test]
fn a_receipt_names_the_run_of_its_entry_though_the_runs_are_changed_meanwhile() {
    let (first, second, halts) = (Script::default(), Script::default(), Halts::default());
    let writer = writer(&first, &halts);
    first.close_gate();
    let before = writer.submit_tracked(draft(1)).unwrap();
    first.wait_until_at_gate();
    std::thread::scope(|scope| {
        let rotates = scope.spawn(|| writer.rotate(&run_ended(), next(second.empty(), child_of(RUN, "b"))));
        wait_until("the request", || writer.stats().submitted == 3);
        let after = writer.submit_tracked(draft(2)).unwrap();
        assert_eq!((writer.run_id().as_str(), after.run_id(), after.seq()), (RUN, "b", 2));
        first.open_gate();
        rotates.join().unwrap().unwrap();
    });
    assert_eq!((before.run_id(), before.seq()), (RUN, 1));
}

#[test]
fn a_next_run_of_which_there_is_one_already_is_refused_before_anything_ends() {
    let base = memory_dir();
    let open = || SegmentBackend::builder(base.path()).segment_len(64 << 10).build().unwrap();
    for run_id in ["a", "b"] {
        let mut store = open();
        store.open_run(manifest(run_id)).unwrap();
        store.seal(RunStatus::Ended).unwrap();
    }
    let mut store = open();
    store.open_run(manifest("c")).unwrap();
    let writer = EventStoreWriter::spawn(Box::new(store), clock(), noop_halt(), WriterConfig::default()).unwrap();
    let refused = writer.rotate(&run_ended(), next(Box::new(open()), child_of("c", "a"))).unwrap_err();
    assert!(refused.to_string().contains("there is a run in"), "{refused}");
    assert_eq!(writer.submit_and_wait(draft(1)), Ok(1));
    assert_eq!(writer.close(run_ended()), Ok(2));
}

#[test]
fn requests_without_end_keep_no_rotation_from_being_answered_as_it_went() {
    let (halts, runs) = (Halts::default(), [Script::default(), Script::default()]);
    let writer = writer(&runs[0], &halts);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let _ = writer.flush(Duration::ZERO);
                }
            });
        }
        let rotated = loop {
            match writer.rotate(&run_ended(), next(runs[1].empty(), child_of(RUN, "b"))) {
                Err(EventStoreError::Backend(text)) if text.contains("try again") => assert_eq!(writer.run_id(), RUN),
                answer => break answer,
            }
        };
        stop.store(true, Ordering::Relaxed);
        assert_eq!(rotated.unwrap().begun, "b");
    });
    assert_eq!(writer.run_id(), "b");
}
