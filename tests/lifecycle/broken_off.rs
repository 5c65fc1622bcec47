//! A rotation that broke off between its two runs: the old one is ended, the new one never began. The engine must go
//! on from the old one, for it closed nothing.

use tapelog::{RUN_ENDED_PAYLOAD_TYPE, RUN_ENDED_TOPIC, RunManifest, RunStatus};

use super::bench::{Engine, SOON, draft, what_runs};

/// Ends the run as a rotation does whose next run never comes.
fn end_for(engine: &Engine, next: &str) -> String {
    let session = engine.boot().open(what_runs()).unwrap();
    let run_id = session.run_id();
    session.writer().submit(draft(1)).unwrap();
    let ended = tapelog::EntryDraft {
        topic: RUN_ENDED_TOPIC.into(),
        payload_type: RUN_ENDED_PAYLOAD_TYPE.into(),
        payload: next.as_bytes().to_vec().into(),
        index_keys: Vec::new(),
        ..draft(9)
    };
    session.writer().shutdown(&ended, SOON).unwrap();
    run_id
}

#[test]
fn the_next_run_goes_on_from_the_one_that_was_ended_for_it() {
    let engine = Engine::new();
    let ended = end_for(&engine, "9000-0000000b");
    assert_eq!(engine.sealed(&ended).0.status, RunStatus::Ended);
    let lifecycle = engine.boot();
    assert!(lifecycle.recovered().recovered.is_empty());
    assert_eq!(lifecycle.parent_run_id(), Some(&ended));
    assert_eq!(lifecycle.restore_plan().unwrap().unwrap().entry_count(), 3);
    let session = lifecycle.open(what_runs()).unwrap();
    assert_eq!(session.parent_run_id(), Some(ended));
    session.close().unwrap();
    // What was closed since is not gone on from.
    assert!(engine.boot().parent_run_id().is_none());
}

#[test]
fn a_run_that_was_ended_for_one_that_is_there_is_not_gone_on_from() {
    let engine = Engine::new();
    let session = engine.boot().open(what_runs()).unwrap();
    engine.clock.advance(10);
    let rotated = session.rotate().unwrap();
    session.close().unwrap();
    let (_, entries) = engine.sealed(&rotated.ended);
    assert_eq!(entries.last().unwrap().payload, rotated.begun.as_bytes(), "the end names the run that follows");
    assert!(engine.boot().parent_run_id().is_none());
}

#[test]
fn a_payload_that_names_no_run_changes_nothing() {
    for payload in ["", "../elsewhere", "\u{0}", "normal"] {
        let engine = Engine::new();
        end_for(&engine, payload);
        assert!(engine.boot().parent_run_id().is_none(), "{payload:?}");
    }
}

#[test]
fn the_parent_that_the_engine_names_is_kept() {
    let engine = Engine::new();
    let ended = end_for(&engine, "");
    let manifest = RunManifest { parent_run_id: Some(ended.clone()), ..what_runs() };
    let session = engine.boot().open(manifest).unwrap();
    assert_eq!(session.parent_run_id(), Some(ended));
}
