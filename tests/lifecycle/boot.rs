//! A boot seals what was left running, goes on from it, and leaves alone what others write.

use std::collections::BTreeMap;

use tapelog::{EventStore, EventStoreError, RestorePlan, RunChain, RunManifest, RunStatus, SegmentBackend, SweepDepth, WriterConfig};

use super::bench::{Engine, draft, number_of, what_runs};
use crate::support::entries::INSTANCE;

/// What a crash leaves of a session: the run without its end.
fn crash(session: tapelog::RunSession) -> String {
    let run_id = session.run_id();
    session.writer().flush(super::bench::SOON).unwrap();
    let gone = std::thread::spawn(move || {
        let _session = session;
        panic!("the engine crashes");
    });
    assert!(gone.join().is_err());
    run_id
}

#[test]
fn state_is_restored_from_the_newest_snapshot_and_the_entries_behind_it_across_runs() {
    let engine = Engine::new();
    let session = engine.boot().open(what_runs()).unwrap();
    (1..=5).for_each(|number| session.writer().submit(draft(number)).unwrap());
    session.anchor_snapshot("blob-5", b"five").unwrap();
    (6..=8).for_each(|number| session.writer().submit(draft(number)).unwrap());
    let first = session.run_id();
    engine.clock.advance(10);
    let rotated = session.rotate().unwrap();
    assert_eq!((&rotated.ended, &rotated.begun), (&first, &session.run_id()));
    (9..=10).for_each(|number| session.writer().submit(draft(number)).unwrap());
    let second = crash(session);

    let lifecycle = engine.boot();
    assert_eq!(lifecycle.parent_run_id(), Some(&second));
    let plan = lifecycle.restore_plan().unwrap().unwrap();
    let snapshot = plan.snapshot().unwrap();
    assert_eq!((&snapshot.run_id, snapshot.anchor.blob_ref.as_str(), snapshot.anchor.high_watermark), (&first, "blob-5", 6));
    let replayed: Vec<_> = plan.entries().map(|item| item.map(|(run_id, entry)| (run_id.clone(), entry)).unwrap()).collect();
    assert_eq!(replayed.len() as u64, plan.entry_count());
    let numbers = |run: &str| -> Vec<u64> {
        let orders = replayed.iter().filter(|(run_id, entry)| run_id == run && entry.payload_type.as_str() == "SubmitOrder");
        orders.map(|(_, entry)| number_of(&entry.payload)).collect()
    };
    assert_eq!((numbers(&first), numbers(&second)), (vec![6, 7, 8], vec![9, 10]));

    // It goes on, and the next plan begins with the next snapshot.
    let session = lifecycle.open(what_runs()).unwrap();
    assert_eq!(session.parent_run_id(), Some(second.clone()));
    session.anchor_snapshot("blob-10", b"ten").unwrap();
    session.writer().submit(draft(11)).unwrap();
    let third = crash(session);
    let plan = engine.boot().restore_plan().unwrap().unwrap();
    assert_eq!(plan.snapshot().unwrap().run_id, third);
    assert_eq!(plan.entry_count(), 1);
    assert_eq!(plan.chain().runs().iter().map(|run| run.run_id.clone()).collect::<Vec<_>>(), [first, second, third]);
}

#[test]
fn a_history_without_a_snapshot_is_replayed_from_its_first_entry() {
    let engine = Engine::new();
    let session = engine.boot().open(what_runs()).unwrap();
    session.writer().submit(draft(1)).unwrap();
    engine.clock.advance(10);
    session.rotate().unwrap();
    let run_id = crash(session);
    let chain = RunChain::open(engine.folder(&run_id), tapelog::ReaderOptions::default()).unwrap();
    let expected = chain.entry_count();
    let plan = RestorePlan::new(chain).unwrap();
    assert!(plan.snapshot().is_none());
    // RunStarted, the order, RunEnded; RunStarted.
    assert_eq!((plan.entry_count(), plan.entries().count() as u64, expected), (4, 4, 4));
}

#[test]
fn a_run_that_another_process_writes_is_left_alone_and_told() {
    let engine = Engine::new();
    let session = engine.boot().open(what_runs()).unwrap();
    let lifecycle = engine.boot();
    assert_eq!(lifecycle.recovered().live, [session.run_id()]);
    assert!(lifecycle.parent_run_id().is_none());
    session.writer().submit_and_wait(draft(1)).unwrap();
    // Both can write, each its own run.
    let other = lifecycle.open(what_runs()).unwrap();
    assert_ne!(other.run_id(), session.run_id());
    other.close().unwrap();
    assert_eq!(session.close(), Ok(3));
}

#[test]
fn either_depth_seals_alike_and_only_the_full_one_finds_rot_in_what_was_durable_long_ago() {
    for (depth, expected) in [(SweepDepth::Full, RunStatus::Quarantined), (SweepDepth::Tail, RunStatus::CrashedRecovered)] {
        for damage in [false, true] {
            let engine = Engine::new();
            let session = engine.boot().open(what_runs()).unwrap();
            for number in 1..=2_000 {
                session.writer().submit(draft(number)).unwrap();
            }
            let run_id = crash(session);
            if damage {
                let path = engine.folder(&run_id).join("00000001.seg");
                let mut bytes = std::fs::read(&path).unwrap();
                let at = 20_000 + bytes[20_000..].iter().position(|byte| *byte != 0).unwrap();
                bytes[at] ^= 1;
                std::fs::write(path, bytes).unwrap();
            }
            let mut read = BTreeMap::new();
            let builder = engine.builder().sweep(depth);
            let lifecycle = builder
                .progress(|progress| {
                    read.insert(progress.run_id.to_owned(), progress.bytes_done);
                })
                .boot()
                .unwrap();
            let status = lifecycle.recovered().recovered[0].status;
            assert_eq!(status, if damage { expected } else { RunStatus::CrashedRecovered }, "{depth:?}");
            assert_eq!(lifecycle.parent_run_id().is_some(), status == RunStatus::CrashedRecovered);
            drop(lifecycle);
            assert!(read.contains_key(&run_id) || depth == SweepDepth::Tail);
        }
    }
}

#[test]
fn one_unreadable_run_stops_neither_the_sweep_nor_the_boot() {
    let engine = Engine::new();
    let session = engine.boot().open(what_runs()).unwrap();
    let broken = crash(session);
    std::fs::write(engine.folder(&broken).join("MANIFEST"), b"no manifest").unwrap();
    std::fs::remove_file(engine.folder(&broken).join("00000001.seg")).unwrap();
    let lifecycle = engine.boot();
    assert_eq!(lifecycle.recovered().unreadable.iter().map(|run| run.run_id.clone()).collect::<Vec<_>>(), [broken]);
    lifecycle.open(what_runs()).unwrap().close().unwrap();
}

#[test]
fn bad_ids_and_options_are_refused_before_anything_is_made() {
    let engine = Engine::new();
    let refused = tapelog::Lifecycle::builder(engine.base(), "../elsewhere").boot();
    assert!(matches!(refused, Err(EventStoreError::InvalidId { .. })));
    let config = WriterConfig { channel_capacity: 0, ..WriterConfig::default() };
    assert!(engine.builder().writer(config).boot().is_err());
    assert!(engine.builder().store(|builder| builder.segment_len(5)).boot().is_err());
    let rotation = tapelog::RotationPolicy { len_max: Some(1), ..tapelog::RotationPolicy::default() };
    assert!(engine.builder().rotation(rotation).boot().is_err());
    assert!(std::fs::read_dir(engine.base()).unwrap().next().is_none());
}

#[test]
fn what_was_prepared_by_a_process_that_was_killed_is_removed_at_boot() {
    let engine = Engine::new();
    let mut store = SegmentBackend::builder(engine.base()).segment_len(64 << 10).build().unwrap();
    store.prepare_run(&RunManifest::new("5-0000000a", INSTANCE)).unwrap();
    let folder = engine.folder("5-0000000a");
    let segments = || std::fs::read_dir(&folder).unwrap().filter(|file| file.as_ref().unwrap().path().extension().is_some()).count();
    // While the process lives its files are its own.
    engine.boot();
    assert_eq!(segments(), 2);
    // What a killed one leaves is what this copy has: its lock is nobody's.
    let left = engine.folder("6-0000000b");
    crate::support::folders::copy_folder(&folder, &left);
    std::fs::write(left.join("notes.txt"), b"somebody's").unwrap();
    engine.boot();
    let names: Vec<_> = std::fs::read_dir(&left).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().all(|name| ["LOCK", "markers", "notes.txt"].contains(&name.as_str())), "{names:?}");
    drop(store);
}

#[test]
fn a_boot_that_dies_before_its_run_begins_loses_nothing() {
    let engine = Engine::new();
    let session = engine.boot().open(what_runs()).unwrap();
    session.writer().submit(draft(1)).unwrap();
    let crashed = crash(session);
    // Two boots die while they restore: the run is sealed by the first, and still gone on from by the third.
    for _ in 0..3 {
        let lifecycle = engine.boot();
        assert_eq!(lifecycle.parent_run_id(), Some(&crashed));
        assert_eq!(lifecycle.restore_plan().unwrap().unwrap().entry_count(), 2);
    }
    let lifecycle = engine.boot();
    let session = lifecycle.open(what_runs()).unwrap();
    assert_eq!(session.parent_run_id(), Some(crashed));
    session.close().unwrap();
    // Of one boot only one run goes on from it, and of later ones none.
    let second = lifecycle.open(what_runs()).unwrap();
    assert_eq!(second.parent_run_id(), None);
    second.close().unwrap();
    assert!(engine.boot().parent_run_id().is_none());
}

#[test]
fn where_nobody_can_say_where_the_engine_was_no_state_is_restored_in_silence() {
    // A damaged run, also at the boots behind the one that found it.
    let engine = Engine::new();
    let session = engine.boot().open(what_runs()).unwrap();
    (1..=20).for_each(|number| session.writer().submit(draft(number)).unwrap());
    let damaged = crash(session);
    let path = engine.folder(&damaged).join("00000001.seg");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[5_000] ^= 1;
    std::fs::write(path, bytes).unwrap();
    for _ in 0..2 {
        let lifecycle = engine.boot();
        let refused = lifecycle.restore_plan().unwrap_err().to_string();
        assert!(refused.contains(&damaged) && refused.contains("damaged"), "{refused}");
        assert!(matches!(&lifecycle.recovered().resume, tapelog::Resume::Unsafe { run_id, .. } if *run_id == damaged));
    }
    // One that begins anew all the same is not kept from it, and is what the next boot goes by.
    engine.boot().open(what_runs()).unwrap().close().unwrap();
    assert!(engine.boot().restore_plan().unwrap().is_none());
    // A run that is being written.
    let live = engine.boot().open(what_runs()).unwrap();
    let refused = engine.boot().restore_plan().unwrap_err().to_string();
    assert!(refused.contains(&live.run_id()) && refused.contains("writing it"), "{refused}");
    // A sound run that cannot be sealed at the moment.
    let crashed = crash(live);
    let hurdle = engine.folder(&crashed).join("MANIFEST.tmp");
    std::fs::create_dir(&hurdle).unwrap();
    let refused = engine.boot().restore_plan().unwrap_err().to_string();
    assert!(refused.contains(&crashed) && refused.contains("could not be sealed"), "{refused}");
    std::fs::remove_dir(&hurdle).unwrap();
    assert_eq!(engine.boot().parent_run_id(), Some(&crashed));
}

#[test]
fn a_clock_that_goes_back_leaves_the_runs_in_the_order_in_which_they_were() {
    let engine = Engine::new();
    engine.clock.set(tapelog::UnixNanos::from(1_000_000));
    let session = engine.builder().boot().unwrap().open(what_runs()).unwrap();
    engine.clock.set(tapelog::UnixNanos::from(10));
    session.rotate().unwrap();
    let first = crash(session);
    let session = engine.builder().boot().unwrap().open(what_runs()).unwrap();
    assert_eq!(session.parent_run_id(), Some(first));
    let second = crash(session);
    assert_eq!(engine.builder().boot().unwrap().parent_run_id(), Some(&second));
}

#[test]
fn files_that_only_look_like_a_run_that_never_began_stay() {
    let engine = Engine::new();
    for (name, lock) in [("notes", &b"mine"[..]), ("other", b"")] {
        let folder = engine.folder(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("LOCK"), lock).unwrap();
        std::fs::write(folder.join("00000002.seg"), b"twenty-five bytes of mine").unwrap();
        std::fs::write(folder.join("WATERMARK"), b"mine").unwrap();
        engine.boot();
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 3, "{name}");
    }
}

#[test]
fn a_run_of_long_ago_that_nobody_can_read_keeps_no_engine_from_its_state() {
    let engine = Engine::new();
    let old = crash(engine.boot().open(what_runs()).unwrap());
    std::fs::write(engine.folder(&old).join("MANIFEST"), b"no manifest").unwrap();
    std::fs::remove_file(engine.folder(&old).join("00000001.seg")).unwrap();
    // While it is the newest, and where its name does not tell when it was, nobody can say.
    assert!(engine.boot().restore_plan().is_err());
    let newer = crash(engine.boot().open(what_runs()).unwrap());
    let lifecycle = engine.boot();
    assert_eq!((lifecycle.recovered().unreadable.len(), lifecycle.parent_run_id()), (1, Some(&newer)));
    assert!(lifecycle.restore_plan().unwrap().is_some());
    std::fs::rename(engine.folder(&old), engine.folder("unknown")).unwrap();
    assert!(engine.boot().restore_plan().unwrap_err().to_string().contains("unknown"));
}
