//! The process ends in the middle of anything: after any number of changes to the disk, in the middle of
//! a write. Each moment is tried, one after the other.

use std::fmt::Display;

use tapelog::{BackgroundStep, EventStore, EventStoreError, RunStatus, SegmentBackend, SnapshotAnchor, Verifier};

use super::bench::{Bench, RUN};
use crate::support::entries::{INSTANCE, batch, manifest};
use crate::support::folders::copy_folder;
use crate::support::log::Log;

/// What a process did before it ended.
#[derive(Default)]
struct Life {
    /// What it began, acknowledged or not.
    log: Log,
    acknowledged: u64,
    anchors_acknowledged: usize,
}

/// Opens a run, fills two segments and begins a third, with everything in the background, and seals it.
fn live(store: &mut SegmentBackend, life: &mut Life) -> Result<(), EventStoreError> {
    store.open_run(manifest(RUN))?;
    for (last, payload_len) in [(2, 40), (3, 12_000), (6, 400), (24, 900), (25, 10), (40, 800)] {
        let entries = batch(life.log.last_seq() + 1, last, payload_len);
        life.log.push_batch(&entries);
        life.acknowledged = store.append_batch(&entries)?;
        if last == 6 {
            let anchor = SnapshotAnchor::new(5, "blob", "hash");
            life.log.push_anchor(anchor.clone());
            store.record_snapshot_anchor(anchor)?;
            life.anchors_acknowledged += 1;
        }
        for step in BackgroundStep::ALL {
            store.run_background_step(step)?;
        }
    }
    store.seal(RunStatus::Ended)?;
    Ok(())
}

/// Opens the run as the next process does, and checks that everything acknowledged is there.
fn assert_survived(bench: &Bench, life: &Life, what: &dyn Display) {
    bench.disk.clear_faults();
    let mut store = bench.by_hand().build().unwrap();
    match store.open_run(manifest(RUN)) {
        Ok(()) => {
            assert_eq!((life.acknowledged, life.anchors_acknowledged), (0, 0), "{what}: the run is gone");
            store.append_batch(&batch(1, 30, 500)).unwrap();
            store.seal(RunStatus::Ended).unwrap();
            return;
        }
        Err(EventStoreError::CrashedPredecessor) => {
            let report = store.recovery().unwrap().clone();
            assert_ne!(report.state, tapelog::RecoveredState::AcknowledgedDamage, "{what}: {report}");
            store.seal(RunStatus::CrashedRecovered).unwrap();
        }
        Err(EventStoreError::Backend(text)) => assert!(text.contains("already sealed"), "{what}: {text}"),
        Err(error) => panic!("{what}: {error}"),
    }
    drop(store);
    let store = SegmentBackend::open_sealed(bench.base(), INSTANCE, RUN).unwrap();
    let last = store.high_watermark().unwrap();
    assert!(last >= life.acknowledged, "{what}: {last} of {}", life.acknowledged);
    assert!(life.log.is_end_of_a_batch(last), "{what}: {last}");
    let answers = life.log.assert_whole(&store, last, what);
    assert!(answers.anchors.unwrap() >= life.anchors_acknowledged, "{what}");
    assert!(Verifier::new(Box::new(store)).verify().unwrap().is_clean(), "{what}");
}

#[test]
fn a_process_that_ends_after_any_change_leaves_everything_acknowledged() {
    for changes in 0.. {
        let bench = Bench::new();
        bench.disk.cut_off_after(changes);
        let mut store = bench.by_hand().build().unwrap();
        let what = format!("cut off after {changes} changes");
        let mut life = Life::default();
        let lived = live(&mut store, &mut life);
        drop(store);
        match lived {
            Ok(()) if !bench.disk.is_cut_off() => return assert!(changes > 60, "{changes} changes were tried"),
            // Only WATERMARK was left over, of a run that is sealed.
            Ok(()) => assert!(SegmentBackend::open_sealed(bench.base(), INSTANCE, RUN).is_ok(), "{what}"),
            Err(_) => assert_survived(&bench, &life, &what),
        }
    }
}

/// A run whose process ended with nothing witnessed, and with half a batch behind its end.
fn torn_run() -> (Bench, Log, u64) {
    let bench = Bench::new();
    let mut recorder = bench.recorder();
    recorder.append(&batch(1, 5, 100));
    recorder.append(&batch(6, 20, 900));
    recorder.append(&batch(21, 24, 900));
    recorder.anchor(SnapshotAnchor::new(20, "blob", "hash"));
    let acknowledged = recorder.log.last_seq();
    bench.disk.cut_off_after(0);
    super::bench::append_that_fails(&mut recorder, 25, 30, 300);
    (bench, recorder.log, acknowledged)
}

#[test]
fn a_recovery_that_ends_after_any_change_can_be_run_again() {
    let (torn, log, acknowledged) = torn_run();
    for changes in 0.. {
        let bench = Bench::new();
        copy_folder(&torn.folder(), &bench.folder());
        bench.disk.cut_off_after(changes);
        let what = format!("a recovery cut off after {changes} changes");
        let mut store = bench.by_hand().build().unwrap();
        let recovered = store.open_run(manifest(RUN));
        let sealed = if recovered == Err(EventStoreError::CrashedPredecessor) { store.seal(RunStatus::CrashedRecovered) } else { Ok(()) };
        let is_done = !bench.disk.is_cut_off();
        drop(store);
        if is_done {
            assert_eq!((recovered, sealed), (Err(EventStoreError::CrashedPredecessor), Ok(())));
            return assert!(changes > 15, "{changes} changes were tried");
        }
        let life = Life { log: log.clone(), acknowledged, anchors_acknowledged: 1 };
        assert_survived(&bench, &life, &what);
    }
}

/// The second recovery is cut off as well, anywhere.
#[test]
fn recoveries_that_end_one_after_the_other_lose_nothing() {
    let (torn, log, acknowledged) = torn_run();
    for first in (0..20).step_by(3) {
        for second in 0..20 {
            let bench = Bench::new();
            copy_folder(&torn.folder(), &bench.folder());
            for changes in [first, second] {
                bench.disk.cut_off_after(changes);
                let mut store = bench.by_hand().build().unwrap();
                if store.open_run(manifest(RUN)) == Err(EventStoreError::CrashedPredecessor) {
                    let _ = store.seal(RunStatus::CrashedRecovered);
                }
            }
            let life = Life { log: log.clone(), acknowledged, anchors_acknowledged: 1 };
            assert_survived(&bench, &life, &format!("recoveries cut off after {first} and {second} changes"));
        }
    }
}
