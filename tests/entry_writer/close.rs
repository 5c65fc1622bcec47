//! A run ends with its last entry, sealed; a writer that is given up leaves it running with everything in it.

use std::time::Duration;

use tapelog::{EventStoreError, RunStatus, SubmitError};

use super::bench::{Halts, SOON, draft, run_ended, wait_until, writer};
use crate::support::scripted_store::Script;

#[test]
fn close_writes_what_was_submitted_and_the_last_entry_and_seals() {
    let (script, halts) = (Script::default(), Halts::default());
    let writer = writer(&script, &halts);
    script.close_gate();
    (1..=100).for_each(|number| writer.submit(draft(number)).unwrap());
    script.open_gate();
    assert_eq!(writer.close(run_ended()), Ok(101));
    assert_eq!((script.status(), script.entries().len()), (RunStatus::Ended, 101));
    assert_eq!(script.entries()[100].topic.as_str(), "run.lifecycle.RunEnded");
    assert!(script.is_dropped() && halts.told().is_empty());
}

#[test]
fn a_writer_that_is_dropped_leaves_the_run_running_with_everything_in_it() {
    let (script, halts) = (Script::default(), Halts::default());
    let writer = writer(&script, &halts);
    (1..=100).for_each(|number| writer.submit(draft(number)).unwrap());
    drop(writer);
    assert_eq!((script.status(), script.entries().len()), (RunStatus::Running, 100));
    assert!(script.is_dropped() && halts.told().is_empty());
}

#[test]
fn every_message_of_threads_that_submit_during_the_close_is_in_the_run_or_refused() {
    for round in 0..30 {
        let (script, halts) = (Script::default(), Halts::default());
        let writer = writer(&script, &halts);
        let taken: usize = std::thread::scope(|scope| {
            let submits = || {
                let mut taken = 0;
                while writer.submit(draft(taken)) == Ok(()) {
                    taken += 1;
                }
                usize::try_from(taken).unwrap()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(submits)).collect();
            std::thread::sleep(Duration::from_micros(50 * round));
            let sealed = writer.shutdown(&run_ended(), SOON).unwrap();
            let taken = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
            assert_eq!(usize::try_from(sealed).unwrap(), taken + 1);
            taken
        });
        assert_eq!(script.entries().len(), taken + 1);
        assert_eq!(script.entries()[taken].payload_type.as_str(), "RunEnded", "it is the last");
    }
}

#[test]
fn after_a_shutdown_everything_is_refused_and_nothing_is_done_twice() {
    let (script, halts) = (Script::default(), Halts::default());
    let writer = writer(&script, &halts);
    assert_eq!(writer.shutdown(&run_ended(), SOON), Ok(1));
    assert_eq!(writer.submit(draft(1)), Err(SubmitError::Closed));
    assert_eq!(writer.shutdown(&run_ended(), SOON), Err(EventStoreError::Closed));
    assert_eq!(writer.flush(SOON), Err(EventStoreError::Closed));
    assert_eq!(writer.record_snapshot_anchor("blob", "hash"), Err(EventStoreError::Closed));
    assert_eq!(writer.close(run_ended()), Err(EventStoreError::Closed));
    assert_eq!(script.entries().len(), 1);
}

#[test]
fn a_shutdown_that_is_late_goes_on() {
    let (script, halts) = (Script::default(), Halts::default());
    let writer = writer(&script, &halts);
    script.close_gate();
    let late = writer.shutdown(&run_ended(), Duration::from_millis(10)).unwrap_err();
    assert!(late.to_string().contains("within 10ms"), "{late}");
    assert_eq!(writer.submit(draft(1)), Err(SubmitError::Closed));
    script.open_gate();
    wait_until("the seal", || script.status() == RunStatus::Ended);
}

#[test]
fn a_message_that_waits_for_room_when_the_writer_closes_is_refused() {
    let (script, halts) = (Script::default(), Halts::default());
    let config = tapelog::WriterConfig { halt_threshold: SOON, ..super::bench::small() };
    let writer = super::bench::writer_with(&script, &halts, config);
    script.close_gate();
    writer.submit(draft(1)).unwrap();
    script.wait_until_at_gate();
    (2..=3).for_each(|number| writer.submit(draft(number)).unwrap());
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| writer.submit(draft(4)));
        wait_until("the stall", || writer.stats().stalls == 1);
        let closes = scope.spawn(|| writer.shutdown(&run_ended(), SOON));
        assert_eq!(waits.join().unwrap(), Err(SubmitError::Closed));
        script.open_gate();
        assert_eq!(closes.join().unwrap(), Ok(4));
    });
}

#[test]
fn an_end_that_is_refused_ends_nothing_and_hangs_nobody() {
    let (script, halts) = (Script::default(), Halts::default());
    let writer = writer(&script, &halts);
    writer.submit(draft(1)).unwrap();
    let too_large = tapelog::EntryDraft { payload: vec![0; tapelog::limits::PAYLOAD_LEN_MAX + 1].into(), ..run_ended() };
    assert!(matches!(writer.close(too_large), Err(EventStoreError::LimitExceeded { .. })));
    assert_eq!((script.status(), script.entries().len(), script.is_dropped()), (RunStatus::Running, 1, true));
}

#[test]
fn the_end_stands_behind_however_many_requests_wait() {
    let (script, halts) = (Script::default(), Halts::default());
    let writer = writer(&script, &halts);
    script.close_gate();
    writer.submit(draft(1)).unwrap();
    script.wait_until_at_gate();
    let mut refused = 0;
    for _ in 0..tapelog::limits::WRITER_REQUESTS_MAX + 5 {
        refused += usize::from(writer.flush(Duration::ZERO).is_err_and(|error| error.to_string().contains("too many requests")));
    }
    assert_eq!(refused, 5);
    std::thread::scope(|scope| {
        let closes = scope.spawn(|| writer.shutdown(&run_ended(), SOON));
        wait_until("the request", || writer.submit(draft(2)).is_err());
        script.open_gate();
        assert!(closes.join().unwrap().is_ok());
    });
    assert_eq!(script.status(), RunStatus::Ended);
}
