//! A session's run begins with `RunStarted`, ends with `RunEnded`, and is sealed whatever way the session goes.

use std::sync::Arc;

use tapelog::io::OsStorage;
use tapelog::{
    EventStoreError, HaltReason, RUN_ENDED_TOPIC, RUN_STARTED_TOPIC, RunStatus, SubmitError, compute_snapshot_content_hash,
    registered_components,
};

use super::bench::{Engine, SOON, draft, wait_until, what_runs};
use crate::support::faulty_storage::{FaultyStorage, OperationKind, Repeat};

#[test]
fn a_run_begins_with_its_components_and_ends_sealed() {
    let engine = Engine::new();
    let lifecycle = engine.boot();
    assert!(lifecycle.parent_run_id().is_none() && lifecycle.restore_plan().unwrap().is_none());
    let session = lifecycle.open(what_runs()).unwrap();
    assert_eq!((session.high_watermark(), session.parent_run_id()), (1, None), "its first entry is durable");
    let run_id = session.run_id();
    assert!(run_id.starts_with("2000-"), "{run_id}");
    (1..=10).for_each(|number| session.writer().submit(draft(number)).unwrap());
    let other = session.writer().clone();
    assert_eq!(session.close(), Ok(12));
    assert_eq!(other.submit(draft(11)), Err(SubmitError::Closed), "whoever still has the writer is refused");
    let (manifest, entries) = engine.sealed(&run_id);
    assert_eq!((manifest.status, manifest.high_watermark), (RunStatus::Ended, 12));
    assert_eq!((manifest.config_hash.as_str(), manifest.seed), ("c0ffee", Some(7)));
    assert_eq!((entries[0].topic.as_str(), entries[11].topic.as_str()), (RUN_STARTED_TOPIC, RUN_ENDED_TOPIC));
    assert_eq!(registered_components(&entries[0]), Ok(what_runs().registered_components));
    assert!(entries[11].payload.is_empty());
}

#[test]
fn a_session_that_is_dropped_is_ended_all_the_same() {
    let engine = Engine::new();
    let session = engine.boot().open(what_runs()).unwrap();
    let run_id = session.run_id();
    session.writer().submit(draft(1)).unwrap();
    let writer = session.writer().clone();
    drop(session);
    assert_eq!(engine.sealed(&run_id).0.status, RunStatus::Ended);
    drop(writer);
    assert!(engine.boot().parent_run_id().is_none(), "what was ended is not gone on from");
}

#[test]
fn a_session_whose_engine_panics_is_left_to_the_next_boot() {
    let engine = Engine::new();
    let session = engine.boot().open(what_runs()).unwrap();
    let run_id = session.run_id();
    session.writer().submit_and_wait(draft(1)).unwrap();
    let panicked = std::thread::spawn(move || {
        let _session = session;
        panic!("the engine says panic");
    });
    assert!(panicked.join().is_err());
    let lifecycle = engine.boot();
    assert_eq!(lifecycle.parent_run_id(), Some(&run_id));
    assert_eq!(lifecycle.recovered().recovered[0].status, RunStatus::CrashedRecovered);
}

#[test]
fn a_disk_that_fails_halts_the_session_and_the_next_boot_goes_on_from_it() {
    let engine = Engine::new();
    let disk = FaultyStorage::new(Arc::new(OsStorage));
    let lifecycle = engine.builder().storage(Arc::new(disk.clone())).boot().unwrap();
    let session = lifecycle.open(what_runs()).unwrap();
    let run_id = session.run_id();
    let signal = session.halt_signal();
    session.writer().submit_and_wait(draft(1)).unwrap();
    disk.fail_nth(OperationKind::SyncData, "00000001.seg.tmp", 1, std::io::ErrorKind::StorageFull, Repeat::Once);
    let receipt = session.writer().submit_tracked(draft(2)).unwrap();
    assert!(receipt.wait().is_err());
    wait_until("the signal", || signal.is_halted());
    assert!(session.is_halted() && matches!(session.halt_reason(), Some(HaltReason::BackendDisk(_))));
    assert!(matches!(session.anchor_snapshot("blob", b"state"), Err(EventStoreError::Disk(_))));
    assert!(matches!(session.rotate(), Err(EventStoreError::Disk(_))));
    assert!(matches!(session.close(), Err(EventStoreError::Disk(_))));
    let lifecycle = engine.boot();
    assert_eq!(lifecycle.parent_run_id(), Some(&run_id));
    let session = lifecycle.open(what_runs()).unwrap();
    assert_eq!(session.parent_run_id(), Some(run_id));
    session.close().unwrap();
}

#[test]
fn a_first_entry_that_cannot_be_made_durable_is_an_error() {
    let engine = Engine::new();
    let disk = FaultyStorage::new(Arc::new(OsStorage));
    let failing = engine.builder().storage(Arc::new(disk.clone())).boot().unwrap();
    disk.fail_nth(OperationKind::SyncData, "00000001.seg.tmp", 1, std::io::ErrorKind::StorageFull, Repeat::Once);
    let refused = failing.open(what_runs()).unwrap_err();
    assert!(matches!(&refused, EventStoreError::Disk(text) if text.contains("first entry of the run")), "{refused}");
}

#[test]
fn an_anchor_notes_where_the_snapshot_is_and_what_it_hashes_to() {
    let engine = Engine::new();
    let session = engine.boot().open(what_runs()).unwrap();
    session.writer().submit(draft(1)).unwrap();
    let anchor = session.snapshot_anchorer()("s3://snapshots/1", b"state").unwrap();
    assert_eq!((anchor.high_watermark, anchor.content_hash), (2, compute_snapshot_content_hash(b"state")));
    session.writer().submit(draft(2)).unwrap();
    assert_eq!(session.anchor_snapshot("s3://snapshots/2", b"state").unwrap().high_watermark, 3);
    session.close().unwrap();
}

#[test]
fn the_hook_is_called_on_every_thread_that_is_started() {
    let engine = Engine::new();
    let names = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = names.clone();
    let hook = tapelog::ThreadHook::new(move |name: &str| noted.lock().unwrap().push(name.to_owned()));
    let config = tapelog::WriterConfig { thread_hook: hook, halt_threshold: SOON, ..tapelog::WriterConfig::default() };
    let lifecycle = engine.builder().writer(config).low_space(1, |_| {}).boot().unwrap();
    let session = lifecycle.open(what_runs()).unwrap();
    wait_until("four threads", || names.lock().unwrap().len() == 4);
    session.close().unwrap();
    let mut names = names.lock().unwrap().clone();
    names.sort();
    assert_eq!(names, ["tapelog-keeper", "tapelog-prepare", "tapelog-witness", "tapelog-writer"]);
}

#[test]
fn the_first_entry_of_a_run_that_syncs_once_a_minute_is_durable_at_once_and_that_of_the_next_run_too() {
    let engine = Engine::new();
    let durability = tapelog::Durability::Buffered { sync_every: std::time::Duration::from_mins(1) };
    let builder = engine.builder().store(move |builder| builder.segment_len(64 << 10).spares(1).durability(durability));
    let session = builder.boot().unwrap().open(what_runs()).unwrap();
    assert_eq!(session.high_watermark(), 1);
    session.writer().submit(draft(1)).unwrap();
    engine.clock.advance(10);
    assert_eq!(session.rotate().unwrap().ended_high_watermark, 3);
    assert_eq!(session.high_watermark(), 1);
    session.close().unwrap();
}

#[test]
fn the_engine_is_called_when_its_session_halts() {
    let engine = Engine::new();
    let disk = FaultyStorage::new(Arc::new(OsStorage));
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let note = told.clone();
    let builder = engine.builder().storage(Arc::new(disk.clone())).on_halt(Arc::new(move |reason| note.lock().unwrap().push(reason)));
    let session = builder.boot().unwrap().open(what_runs()).unwrap();
    disk.fail_nth(OperationKind::SyncData, "00000001.seg.tmp", 1, std::io::ErrorKind::StorageFull, Repeat::Once);
    assert!(session.writer().submit_and_wait(draft(1)).is_err());
    wait_until("the callback", || told.lock().unwrap().len() == 1);
    assert_eq!(session.halt_signal().reason(), Some(told.lock().unwrap()[0].clone()));
}

#[test]
fn a_message_that_came_into_being_just_before_its_run_is_no_finding() {
    let engine = Engine::new();
    engine.clock.set(tapelog::UnixNanos::from(1_700_000_000_000_000_000));
    let session = engine.builder().boot().unwrap().open(what_runs()).unwrap();
    let stamped = 1_700_000_000_000_000_005;
    engine.clock.advance(1_000_000_000);
    let rotated = session.rotate().unwrap();
    session.writer().submit(tapelog::EntryDraft { ts_init: stamped.into(), ..draft(1) }).unwrap();
    session.close().unwrap();
    let store = tapelog::SegmentBackend::open_sealed(engine.base(), crate::support::entries::INSTANCE, &rotated.begun).unwrap();
    let report = tapelog::Verifier::new(Box::new(store)).verify().unwrap();
    assert!(report.is_clean(), "{report:?}");
}
