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
