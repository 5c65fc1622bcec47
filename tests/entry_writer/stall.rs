//! A store that does not get on: the queue fills, and what happens then is the embedder's choice.

use std::time::Duration;

use tapelog::{HaltReason, OnStall, SubmitError, TrySubmitError, WaitError, WriterConfig};

use super::bench::{Halts, SOON, draft, run_ended, small, writer_with};
use crate::support::scripted_store::Script;

/// A writer whose store waits at the gate with the first message, and whose queue is full behind it.
fn full(config: WriterConfig) -> (Script, Halts, tapelog::EventStoreWriter) {
    let (script, halts) = (Script::default(), Halts::default());
    let writer = writer_with(&script, &halts, config);
    script.close_gate();
    writer.submit(draft(1)).unwrap();
    script.wait_until_at_gate();
    (2..=3).for_each(|number| writer.submit(draft(number)).unwrap());
    (script, halts, writer)
}

#[test]
fn a_stall_past_the_threshold_halts_on_the_thread_that_submitted() {
    let (script, halts, writer) = full(small());
    let threshold = small().halt_threshold;
    let receipt_of_the_first = writer.wait_durable(1, Duration::ZERO);
    assert_eq!(receipt_of_the_first, Err(WaitError::TimedOut));
    let refused = std::thread::scope(|scope| {
        let submits = std::thread::Builder::new().name("engine".to_owned());
        submits.spawn_scoped(scope, || writer.submit(draft(4))).unwrap().join().unwrap()
    });
    let Err(SubmitError::HaltSignaled { stalled_for, threshold: told }) = refused else { panic!("{refused:?}") };
    assert!(stalled_for >= threshold && told == threshold);
    assert_eq!(halts.told(), [(HaltReason::BackpressureStall { stalled_for, threshold }, "engine".to_owned())]);
    assert_eq!(writer.submit(draft(5)), Err(SubmitError::Closed));
    // The disk comes back, and what it was writing is not acknowledged all the same.
    script.open_gate();
    super::bench::wait_until("the end of the writer thread", || script.is_dropped());
    assert_eq!(writer.high_watermark(), 0);
    assert!(matches!(writer.wait_durable(1, Duration::ZERO), Err(WaitError::Halted(_))));
    assert!(writer.close(run_ended()).is_err());
    assert_eq!(halts.told().len(), 1);
    assert!(script.entries().len() <= 1, "what waited was given up");
}

#[test]
fn a_writer_that_halted_because_of_a_stall_is_dropped_without_waiting_for_the_disk() {
    let (script, _halts, writer) = full(small());
    assert!(writer.submit(draft(4)).is_err());
    drop(writer);
    assert!(!script.is_dropped(), "its thread still waits for the disk");
    script.open_gate();
    super::bench::wait_until("the end of the writer thread", || script.is_dropped());
}

#[test]
fn rejected_messages_leave_no_trace_and_the_writer_goes_on() {
    let (script, halts, writer) = full(WriterConfig { on_stall: OnStall::Reject, ..small() });
    assert!(matches!(writer.submit(draft(4)), Err(SubmitError::Stalled { stalled_for, .. }) if stalled_for >= small().halt_threshold));
    assert!(writer.record_snapshot_anchor("blob", "hash").unwrap_err().to_string().contains("waited"));
    assert_eq!(writer.stats().stalls, 1);
    script.open_gate();
    assert_eq!(writer.submit_and_wait(draft(5)), Ok(4));
    assert!(halts.told().is_empty());
    assert_eq!(script.entries().iter().map(|entry| super::bench::number_of(&entry.payload)).collect::<Vec<_>>(), [1, 2, 3, 5]);
}

#[test]
fn a_blocked_message_waits_as_long_as_it_takes() {
    let (script, halts, writer) = full(WriterConfig { on_stall: OnStall::Block, ..small() });
    std::thread::scope(|scope| {
        let submits = scope.spawn(|| writer.submit(draft(4)));
        let anchors = scope.spawn(|| writer.record_snapshot_anchor("blob", "hash"));
        std::thread::sleep(small().halt_threshold * 4);
        assert!(!submits.is_finished() && !anchors.is_finished());
        script.open_gate();
        assert_eq!(submits.join().unwrap(), Ok(()));
        assert!(anchors.join().unwrap().unwrap().high_watermark >= 3);
    });
    assert_eq!(writer.flush(SOON), Ok(4));
    assert!(halts.told().is_empty());
}

#[test]
fn an_anchor_that_waits_too_long_halts_as_a_message_does() {
    let (script, halts, writer) = full(WriterConfig { channel_capacity: 100, ..small() });
    assert!(writer.record_snapshot_anchor("blob", "hash").unwrap_err().to_string().contains("waited"));
    assert!(matches!(halts.first().0, HaltReason::BackpressureStall { .. }));
    script.open_gate();
}

#[test]
fn trying_gives_the_message_back_at_once() {
    let (script, halts, writer) = full(WriterConfig { halt_threshold: SOON, ..small() });
    assert_eq!(writer.try_submit(draft(4)), Err(TrySubmitError::Full(draft(4))));
    assert_eq!(writer.try_submit(draft(4)).unwrap_err().into_draft(), draft(4));
    script.open_gate();
    writer.flush(SOON).unwrap();
    assert_eq!(writer.try_submit(draft(5)), Ok(()));
    assert_eq!(writer.shutdown(&run_ended(), SOON), Ok(5));
    assert_eq!(writer.try_submit(draft(6)), Err(TrySubmitError::Closed(draft(6))));
    assert!(halts.told().is_empty());
}

#[test]
fn the_queue_is_bounded_in_bytes_too_and_a_message_larger_than_it_passes_alone() {
    let large = |number: u64| tapelog::EntryDraft { payload: vec![7; 60 << 10].into(), index_keys: Vec::new(), ..draft(number) };
    let (script, halts) = (Script::default(), Halts::default());
    let config = WriterConfig { channel_len_max: 64 << 10, on_stall: OnStall::Reject, ..small() };
    let writer = writer_with(&script, &halts, WriterConfig { channel_capacity: 1_000, ..config });
    script.close_gate();
    writer.submit(draft(1)).unwrap();
    script.wait_until_at_gate();
    writer.submit(large(2)).unwrap();
    assert_eq!(writer.try_submit(large(3)).map_err(|_| ()), Err(()));
    assert_eq!(writer.try_submit(draft(3)), Ok(()), "a small one fits beside it");
    script.open_gate();
    writer.flush(SOON).unwrap();
    let huge = tapelog::EntryDraft { payload: vec![7; 1 << 20].into(), ..draft(4) };
    assert_eq!(writer.submit_and_wait(huge), Ok(4));
    assert_eq!(script.entries()[3].payload.len(), 1 << 20);
}

#[test]
fn nothing_is_answered_or_sealed_behind_a_halt() {
    let (script, halts, writer) = full(small());
    std::thread::scope(|scope| {
        let flushes = scope.spawn(|| writer.flush(SOON));
        let closes = scope.spawn(|| {
            // Behind the flush.
            std::thread::sleep(Duration::from_millis(10));
            writer.submit(draft(4))
        });
        assert!(matches!(closes.join().unwrap(), Err(SubmitError::HaltSignaled { .. })));
        script.open_gate();
        let answer = flushes.join().unwrap();
        assert!(answer.as_ref().is_err_and(|error| error.to_string().contains("halted")), "{answer:?}");
    });
    super::bench::wait_until("the end of the writer thread", || script.is_dropped());
    assert_eq!((writer.high_watermark(), script.status()), (0, tapelog::RunStatus::Running));
    assert_eq!(halts.told().len(), 1);
}

#[test]
fn a_full_queue_does_not_wait_for_its_batch_to_fill() {
    let (script, halts) = (Script::default(), Halts::default());
    let config = WriterConfig { channel_capacity: 10, max_batch_latency: Duration::from_mins(1), halt_threshold: SOON, ..small() };
    let writer = writer_with(&script, &halts, config);
    let begun = std::time::Instant::now();
    (1..=95).for_each(|number| writer.submit(draft(number)).unwrap());
    assert_eq!(writer.close(run_ended()), Ok(96));
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_large_message_is_not_overtaken_for_ever_by_small_ones() {
    let (script, halts) = (Script::default(), Halts::default());
    let config = WriterConfig { channel_len_max: 64 << 10, channel_capacity: 10_000, halt_threshold: SOON, ..small() };
    let writer = writer_with(&script, &halts, config);
    let large = tapelog::EntryDraft { payload: vec![7; 48 << 10].into(), ..draft(0) };
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 1..=3_u64 {
            let (writer, stop) = (&writer, &stop);
            scope.spawn(move || {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    writer.submit(draft(thread)).unwrap();
                }
            });
        }
        for _ in 0..20 {
            writer.submit(large.clone()).unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(halts.told().is_empty());
}

#[test]
fn an_anchor_behind_a_backlog_of_a_store_that_gets_on_is_no_stall() {
    let (script, halts) = (Script::default(), Halts::default());
    let config = WriterConfig { channel_capacity: 1_000, max_batch_entries: 1, ..small() };
    let writer = writer_with(&script, &halts, config);
    script.close_gate();
    (1..=60).for_each(|number| writer.submit(draft(number)).unwrap());
    std::thread::scope(|scope| {
        let anchors = scope.spawn(|| writer.record_snapshot_anchor("blob", "hash"));
        let moves = script.clone();
        scope.spawn(move || {
            // Five milliseconds for each of them: much longer than the threshold for all, and much less for one.
            for _ in 0..60 {
                moves.let_one_through();
                std::thread::sleep(Duration::from_millis(5));
            }
            moves.open_gate();
        });
        assert_eq!(anchors.join().unwrap().unwrap().high_watermark, 60);
    });
    assert!(halts.told().is_empty());
}

#[test]
fn a_waker_that_panics_keeps_nobody_from_being_told() {
    struct Broken;
    impl std::task::Wake for Broken {
        fn wake(self: std::sync::Arc<Self>) {
            panic!("the waker says panic");
        }
    }
    let (script, halts) = (Script::default(), Halts::default());
    let writer = writer_with(&script, &halts, super::bench::patient());
    script.close_gate();
    let mut broken = Box::pin(writer.submit_tracked(draft(1)).unwrap());
    let waker = std::task::Waker::from(std::sync::Arc::new(Broken));
    assert!(std::future::Future::poll(broken.as_mut(), &mut std::task::Context::from_waker(&waker)).is_pending());
    let sound = writer.submit_tracked(draft(2)).unwrap();
    script.fail_appends(crate::support::scripted_store::Failure::Disk);
    script.open_gate();
    assert!(matches!(sound.wait(), Err(WaitError::Halted(_))));
    assert!(matches!(halts.first().0, HaltReason::BackendDisk(_)));
}

#[test]
fn a_disk_that_was_full_for_a_while_and_is_freed_stops_nothing() {
    use crate::support::faulty_storage::{FaultyStorage, OperationKind, Repeat};
    let base = crate::support::folders::memory_dir();
    let disk = FaultyStorage::new(std::sync::Arc::new(tapelog::io::OsStorage));
    let storage = std::sync::Arc::new(disk.clone());
    let mut store = tapelog::SegmentBackend::builder(base.path()).segment_len(64 << 10).spares(2).storage(storage).build().unwrap();
    tapelog::EventStore::open_run(&mut store, crate::support::entries::manifest(super::bench::RUN)).unwrap();
    // The third segment cannot be made when it is wanted first, which is when the first one begins.
    disk.fail_nth(OperationKind::Create, "00000003.seg.tmp", 1, std::io::ErrorKind::StorageFull, Repeat::Once);
    let halts = Halts::default();
    let config = super::bench::patient();
    let writer = tapelog::EventStoreWriter::spawn(Box::new(store), super::bench::clock(), halts.callback(), config).unwrap();
    writer.submit(draft(0)).unwrap();
    let made = || disk.count(OperationKind::Create, "00000003.seg.tmp");
    super::bench::wait_until("the failed attempt", || made() == 1);
    (1..=3_000).for_each(|number| writer.submit(draft(number)).unwrap());
    assert_eq!(writer.close(run_ended()), Ok(3_002));
    assert!(halts.told().is_empty() && made() == 2);
}
