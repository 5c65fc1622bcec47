//! The first failure ends a writer: once, with the reason, and nothing is acknowledged any more.

use std::sync::Arc;

use tapelog::{EventStoreError, EventStoreWriter, HaltReason, SubmitError, WriterConfig};

use super::bench::{Halts, RUN, SOON, clock, draft, run_ended, wait_until, writer};
use crate::support::entries::manifest;
use crate::support::scripted_store::{Failure, Script};

fn assert_ended(writer: &EventStoreWriter) {
    assert_eq!(writer.submit(draft(99)), Err(SubmitError::Closed));
    assert!(writer.record_snapshot_anchor("blob", "hash").is_err());
    assert!(writer.flush(SOON).is_err() && writer.shutdown(&run_ended(), SOON).is_err());
    assert!(writer.halt_reason().is_some());
}

#[test]
fn each_failure_of_the_store_has_its_reason_and_is_told_on_the_writer_thread() {
    type Matches = fn(&HaltReason) -> bool;
    let failures: [(Failure, Matches); 4] = [
        (Failure::Disk, |reason| matches!(reason, HaltReason::BackendDisk(text) if text.contains("full"))),
        (Failure::Corrupted, |reason| matches!(reason, HaltReason::BackendCorrupted(text) if text.contains("at byte 8"))),
        (Failure::Backend, |reason| matches!(reason, HaltReason::BackendError(text) if text.contains("says no"))),
        (Failure::Panic, |reason| matches!(reason, HaltReason::BackendError(text) if text.contains("panicked: the test says panic"))),
    ];
    for (failure, matches) in failures {
        let (script, halts) = (Script::default(), Halts::default());
        let writer = writer(&script, &halts);
        assert_eq!(writer.submit_and_wait(draft(1)), Ok(1));
        script.fail_appends(failure);
        let receipt = writer.submit_tracked(draft(2)).unwrap();
        assert!(receipt.wait().is_err(), "{failure:?}");
        let (reason, thread) = halts.first();
        assert!(matches(&reason), "{failure:?}: {reason:?}");
        assert_eq!(thread, "tapelog-writer");
        // The store is well again, and that changes nothing.
        script.fail_appends(None);
        assert_ended(&writer);
        assert_eq!((writer.high_watermark(), script.entries().len()), (1, 1));
        drop(writer);
        assert_eq!(halts.told().len(), 1, "told once");
        assert!(script.is_dropped(), "the store is let go, so that its lock is free");
        assert_eq!(script.status(), tapelog::RunStatus::Running);
    }
}

#[test]
fn a_failure_is_told_once_though_many_threads_find_it() {
    let (script, halts) = (Script::default(), Halts::default());
    let writer = writer(&script, &halts);
    script.fail_appends(Failure::Disk);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| while writer.submit(draft(1)).is_ok() {});
        }
    });
    assert_eq!(halts.first().1, "tapelog-writer");
    assert_ended(&writer);
    drop(writer);
    assert_eq!(halts.told().len(), 1);
}

#[test]
fn a_callback_that_panics_is_caught() {
    let script = Script::default();
    script.fail_appends(Failure::Disk);
    let called = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = called.clone();
    let callback = Arc::new(move |_| {
        counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        panic!("the callback says panic");
    });
    let writer = EventStoreWriter::spawn(script.open(manifest(RUN)), clock(), callback, WriterConfig::default()).unwrap();
    let receipt = writer.submit_tracked(draft(1)).unwrap();
    assert!(receipt.wait().is_err());
    wait_until("the callback", || called.load(std::sync::atomic::Ordering::SeqCst) == 1);
    assert_ended(&writer);
    drop(writer);
    assert_eq!(called.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[test]
fn a_callback_may_ask_the_writer_how_far_it_came() {
    let script = Script::default();
    let slot: Arc<std::sync::OnceLock<Arc<EventStoreWriter>>> = Arc::default();
    let (seen, inside) = (Arc::new(std::sync::Mutex::new(None)), slot.clone());
    let told = seen.clone();
    let callback = Arc::new(move |_| {
        let writer = inside.get().unwrap();
        *told.lock().unwrap() = Some((writer.high_watermark(), writer.submit(draft(7)), writer.stats().waiting));
    });
    let writer = Arc::new(EventStoreWriter::spawn(script.open(manifest(RUN)), clock(), callback, WriterConfig::default()).unwrap());
    slot.set(writer.clone()).unwrap();
    assert_eq!(writer.submit_and_wait(draft(1)), Ok(1));
    script.fail_appends(Failure::Backend);
    assert!(writer.submit_and_wait(draft(2)).is_err());
    wait_until("the callback", || seen.lock().unwrap().is_some());
    assert_eq!(*seen.lock().unwrap(), Some((1, Err(SubmitError::Closed), 0)));
}

#[test]
fn a_failure_to_record_an_anchor_halts_and_tells_the_caller() {
    let (script, halts) = (Script::default(), Halts::default());
    let writer = writer(&script, &halts);
    writer.submit(draft(1)).unwrap();
    script.fail_anchor();
    assert!(matches!(writer.record_snapshot_anchor("blob", "hash"), Err(EventStoreError::Backend(text)) if text == "the test says no"));
    assert_ended(&writer);
    assert_eq!(halts.told().len(), 1);
    assert_eq!(writer.high_watermark(), 1, "what was written before the anchor is acknowledged");
}

#[test]
fn a_failure_to_seal_halts_and_tells_the_caller() {
    let (script, halts) = (Script::default(), Halts::default());
    let writer = writer(&script, &halts);
    script.fail_seal();
    assert!(matches!(writer.close(run_ended()), Err(EventStoreError::Disk(_))));
    assert!(matches!(halts.first().0, HaltReason::BackendDisk(_)));
    assert_eq!(script.status(), tapelog::RunStatus::Running);
}

#[test]
fn a_clock_that_panics_harms_only_the_thread_that_asked_it() {
    #[derive(Debug)]
    struct Broken(std::sync::atomic::AtomicBool);
    impl tapelog::Clock for Broken {
        fn now(&self) -> tapelog::UnixNanos {
            assert!(!self.0.load(std::sync::atomic::Ordering::SeqCst), "the clock says panic");
            tapelog::UnixNanos::from(1)
        }
    }
    let (script, clock) = (Script::default(), Arc::new(Broken(true.into())));
    let writer = EventStoreWriter::spawn(script.open(manifest(RUN)), clock.clone(), tapelog::noop_halt(), WriterConfig::default()).unwrap();
    let broken = std::thread::scope(|scope| scope.spawn(|| writer.submit(draft(1))).join());
    assert!(broken.is_err());
    clock.0.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(writer.submit_and_wait(draft(2)), Ok(1), "no number was given away");
}

#[test]
fn a_hook_that_panics_halts_the_writer() {
    let (script, halts) = (Script::default(), Halts::default());
    let hook = tapelog::ThreadHook::new(|name| panic!("the hook of {name} says panic"));
    let config = WriterConfig { thread_hook: hook, ..WriterConfig::default() };
    let writer = super::bench::writer_with(&script, &halts, config);
    assert!(matches!(halts.first().0, HaltReason::BackendError(text) if text.contains("the hook of tapelog-writer says panic")));
    assert_ended(&writer);
}
