//! The recovery is killed as well, and so is the seal: whoever comes next still finds everything.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use tapelog::{BackgroundMode, EventStore, EventStoreError, RunStatus, SegmentBackend, SnapshotAnchor, Verifier};

use super::plan::{Numbers, RUN};
use crate::support::children::{child_test, given, is_child};
use crate::support::entries::{INSTANCE, batch, manifest};
use crate::support::folders::copy_folder;
use crate::support::log::{Log, Recorder};

/// The child: recovers the run and seals it, as an engine does at boot.
#[test]
#[ignore = "runs in a child process"]
fn recovers_until_it_is_killed() {
    if !is_child() {
        return;
    }
    let mut store = SegmentBackend::new(given("TAPELOG_TEST_BASE"));
    assert_eq!(store.open_run(manifest(RUN)), Err(EventStoreError::CrashedPredecessor));
    store.seal(RunStatus::CrashedRecovered).unwrap();
}

/// A run of many segments of which no batch is witnessed, with half a batch behind its end.
fn crashed_run(base: &Path) -> Log {
    let aside = tempfile::tempdir().unwrap();
    let store = SegmentBackend::builder(aside.path()).segment_len(16 << 10).background(BackgroundMode::Manual).build().unwrap();
    let mut recorder = Recorder::open(store, manifest(RUN));
    for round in 0..60 {
        let first = recorder.log.last_seq() + 1;
        recorder.append(&batch(first, first + round % 7, 300));
    }
    recorder.anchor(SnapshotAnchor::new(9, "blob", "hash"));
    let folder = base.join(INSTANCE).join(RUN);
    copy_folder(recorder.store.current_path().unwrap(), &folder);
    let end = SegmentBackend::open_written(&folder).unwrap().recovery().unwrap().end;
    let last = std::fs::OpenOptions::new().write(true).open(folder.join(format!("{:08}.seg", end.ordinal))).unwrap();
    last.write_all_at(&[0xa5; 300], end.offset + 40).unwrap();
    recorder.log
}

#[test]
fn a_recovery_that_is_killed_anywhere_is_done_by_the_next() {
    let template = tempfile::tempdir().unwrap();
    let log = crashed_run(template.path());
    let mut numbers = Numbers::by_chance();
    for _ in 0..12 {
        let base = tempfile::tempdir().unwrap();
        copy_folder(template.path(), base.path());
        let mut command = child_test("killed_writer::recovery_killed::recovers_until_it_is_killed");
        let command = command.env("TAPELOG_TEST_BASE", base.path()).stdin(Stdio::null()).stdout(Stdio::null());
        let started = Instant::now();
        let mut child = command.spawn().unwrap();
        let delay = Duration::from_micros(numbers.below(25_000));
        thread::sleep((started + delay).saturating_duration_since(Instant::now()));
        child.kill().unwrap();
        child.wait().unwrap();
        let what = format!("killed after {delay:?}");

        let mut store = SegmentBackend::new(base.path());
        match store.open_run(manifest(RUN)) {
            Err(EventStoreError::CrashedPredecessor) => {
                log.assert_whole(&store, log.last_seq(), &what);
                store.seal(RunStatus::CrashedRecovered).unwrap();
            }
            Err(EventStoreError::Backend(text)) => assert!(text.contains("already sealed"), "{what}: {text}"),
            other => panic!("{what}: {other:?}"),
        }
        let store = SegmentBackend::open_sealed(base.path(), INSTANCE, RUN).unwrap();
        assert_eq!(log.assert_whole(&store, log.last_seq(), &what).anchors, Some(1));
        assert!(Verifier::new(Box::new(store)).verify().unwrap().is_clean(), "{what}");
    }
}
