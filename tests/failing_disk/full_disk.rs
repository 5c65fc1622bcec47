//! The operating system itself refuses to write more: a process may have a bound on the length of its
//! files, and gets the same answers as from a full disk.

use std::path::Path;
use std::process::Stdio;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tapelog::{BackgroundMode, EventStore, EventStoreError, RecoveredState, RunStatus, SegmentBackend};

use super::bench::{RUN, assert_refused};
use crate::support::children::{child_test_after, given, heard, is_child, say};
use crate::support::entries::{INSTANCE, batch, manifest};
use crate::support::log::Recorder;

fn store(base: &Path, mode: BackgroundMode) -> SegmentBackend {
    SegmentBackend::builder(base).segment_len(32 << 10).spares(1).background(mode).build().unwrap()
}

/// Bounds the length of the files that this process writes; `None` lifts the bound again.
fn bound_file_len(len: Option<u64>) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: len.or(maximum), maximum }).unwrap();
}

fn assert_disk<T: std::fmt::Debug>(result: &Result<T, EventStoreError>, what: &str) {
    assert!(matches!(result, Err(EventStoreError::Disk(text)) if text.contains("seg")), "{what}: {result:?}");
}

/// The child, in which a write past the bound is an error and not a signal.
#[test]
#[ignore = "runs in a child process"]
fn writes_to_a_disk_that_is_full() {
    if !is_child() {
        return;
    }
    let given = given("TAPELOG_TEST_BASE");
    let base = Path::new(&given);

    // There is no room to begin: nothing is there afterwards that the next attempt would trip over.
    bound_file_len(Some(20 << 10));
    assert_disk(&store(base, BackgroundMode::Manual).open_run(manifest(RUN)), "a run begins");
    assert_eq!(SegmentBackend::list_runs(base, INSTANCE), Ok(Vec::new()));
    bound_file_len(None);
    let mut recorder = Recorder::open(store(base, BackgroundMode::Manual), manifest(RUN));
    recorder.append(&batch(1, 5, 1_000));

    // There is no room for the next segment: told when it is needed, and nothing else stops.
    bound_file_len(Some(20 << 10));
    assert_disk(&recorder.store.append_batch(&batch(6, 40, 1_000)), "a segment is needed");
    recorder.append(&batch(6, 6, 10));
    // There is no room where the active segment is written: the end of all writing.
    let entries = batch(7, 22, 1_000);
    assert_disk(&recorder.store.append_batch(&entries), "a batch past the bound");
    recorder.log.push_batch(&entries);
    bound_file_len(None);
    assert_refused(recorder.store.append_batch(&batch(7, 7, 10)), "the disk has room again");
    assert_refused(recorder.store.seal(RunStatus::Ended), "the disk has room again");
    assert_eq!(recorder.store.high_watermark(), Ok(6));
    recorder.log.assert_whole(&recorder.store, 6, &"latched");
    drop(recorder.store);
    let mut recovered = store(base, BackgroundMode::Manual);
    assert_eq!(recovered.open_run(manifest(RUN)), Err(EventStoreError::CrashedPredecessor));
    assert_ne!(recovered.recovery().unwrap().state, RecoveredState::AcknowledgedDamage);
    recorder.log.assert_whole(&recovered, 6, &"recovered");
    recovered.seal(RunStatus::CrashedRecovered).unwrap();

    // The same with threads, and a batch larger than a segment.
    let second = "2000-0000000b";
    let mut recorder = Recorder::open(store(base, BackgroundMode::Threads), manifest(second));
    recorder.append(&batch(1, 3, 1_000));
    bound_file_len(Some(40 << 10));
    let entries = batch(4, 70, 1_000);
    assert_disk(&recorder.store.append_batch(&entries), "a batch larger than a segment");
    recorder.log.push_batch(&entries);
    bound_file_len(None);
    assert_refused(recorder.store.append_batch(&batch(4, 4, 10)), "the disk has room again");
    drop(recorder.store);
    let mut recovered = store(base, BackgroundMode::Threads);
    assert_eq!(recovered.open_run(manifest(second)), Err(EventStoreError::CrashedPredecessor));
    recorder.log.assert_whole(&recovered, 3, &"recovered");
    recovered.seal(RunStatus::CrashedRecovered).unwrap();
    say("done");
}

#[test]
fn a_full_disk_is_an_error_and_never_a_signal_and_costs_nothing_acknowledged() {
    let base = tempfile::tempdir().unwrap();
    // A shell can ignore the signal for the program that it becomes, which needs no unsafe code.
    let mut command = child_test_after("trap '' XFSZ", "failing_disk::full_disk::writes_to_a_disk_that_is_full");
    let output = command.env("TAPELOG_TEST_BASE", base.path()).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said: Vec<_> = String::from_utf8_lossy(&output.stdout).lines().filter_map(heard).map(str::to_owned).collect();
    assert_eq!(said, ["done"], "{output:?}");
}
