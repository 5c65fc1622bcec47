//! A failure after which nobody knows what is on the disk ends all writing, for ever.

use rustix::io::Errno;
use tapelog::{BackgroundStep, EventStore, EventStoreError, SegmentBackend, SnapshotAnchor};

use super::bench::{Bench, FIRST_SEGMENT, SECOND_SEGMENT, THIRD_SEGMENT, WATERMARK, append_that_fails};
use crate::support::entries::batch;
use crate::support::faulty_storage::{OperationKind, Repeat};
use crate::support::log::Recorder;

/// The disk's fault is told as the disk's, with the file that it concerns.
fn assert_disk(error: &EventStoreError, file: &str, what: &str) {
    assert!(matches!(error, EventStoreError::Disk(text) if text.contains(file)), "{what}: {error:?}");
}

#[test]
fn a_write_that_fails_ends_all_writing() {
    for (errno, nth) in [(Errno::NOSPC, 1), (Errno::IO, 2), (Errno::DQUOT, 3)] {
        let bench = Bench::new();
        let mut recorder = bench.recorder();
        bench.disk.fail_nth(OperationKind::Write, FIRST_SEGMENT, nth, errno, Repeat::Once);
        for seq in 1..nth as u64 {
            recorder.append(&batch(seq, seq, 50));
        }
        let what = format!("write {nth} fails with {errno}");
        let error = append_that_fails(&mut recorder, nth as u64, nth as u64 + 2, 50);
        assert_disk(&error, "00000001.seg", &what);
        assert_eq!(recorder.store.high_watermark(), Ok(nth as u64 - 1));
        bench.assert_latched(recorder, &what);
    }
}

#[test]
fn a_write_that_gets_through_in_part_ends_all_writing() {
    for len in [1, 512, 3_000, 4_096] {
        let bench = Bench::new();
        let mut recorder = bench.recorder();
        recorder.append(&batch(1, 2, 50));
        bench.disk.shorten_writes(FIRST_SEGMENT, len);
        bench.disk.fail_nth(OperationKind::Write, FIRST_SEGMENT, 2, Errno::NOSPC, Repeat::FromThenOn);
        let what = format!("{len} bytes of a write get through");
        assert_disk(&append_that_fails(&mut recorder, 3, 12, 700), "00000001.seg", &what);
        bench.assert_latched(recorder, &what);
    }
}

#[test]
fn writes_that_the_disk_takes_in_pieces_are_finished() {
    let bench = Bench::new();
    let mut recorder = bench.recorder();
    bench.disk.shorten_writes("", 1_000);
    recorder.append(&batch(1, 20, 700));
    recorder.append(&batch(21, 21, 10));
    recorder.log.assert_whole(&recorder.store, 21, &"in pieces");
    drop(recorder.store);
    bench.assert_recovers(&recorder.log, 21, "in pieces");
}

#[test]
fn a_sync_that_fails_ends_all_writing_and_is_not_tried_again() {
    for nth in [1, 2, 5] {
        let bench = Bench::new();
        let mut recorder = bench.recorder();
        bench.disk.fail_nth(OperationKind::SyncData, FIRST_SEGMENT, nth, Errno::IO, Repeat::Once);
        for seq in 1..nth as u64 {
            recorder.append(&batch(seq, seq, 50));
        }
        let what = format!("sync {nth} fails");
        assert_disk(&append_that_fails(&mut recorder, nth as u64, nth as u64, 50), "00000001.seg", &what);
        assert_eq!(recorder.store.scan_seq(nth as u64), Ok(None), "what is not durable is not shown");
        bench.assert_latched(recorder, &what);
    }
}

#[test]
fn the_first_write_or_sync_of_a_new_segment_that_fails_ends_all_writing() {
    for kind in [OperationKind::Write, OperationKind::SyncData] {
        let bench = Bench::new();
        let mut recorder = bench.recorder();
        recorder.append(&batch(1, 10, 900));
        assert_eq!(recorder.store.run_background_step(BackgroundStep::MakeSpare), Ok(true));
        bench.disk.fail_nth(kind, SECOND_SEGMENT, 1, Errno::IO, Repeat::Once);
        let what = format!("the first {kind:?} of the second segment fails");
        assert_disk(&append_that_fails(&mut recorder, 11, 18, 900), "00000002.seg", &what);
        bench.assert_latched(recorder, &what);
    }
}

#[test]
fn an_anchor_that_is_not_durable_is_not_shown_and_ends_all_writing() {
    let bench = Bench::new();
    let mut recorder = bench.recorder();
    recorder.append(&batch(1, 3, 50));
    recorder.anchor(SnapshotAnchor::new(2, "kept", "hash"));
    bench.disk.fail_nth(OperationKind::SyncData, FIRST_SEGMENT, 1, Errno::IO, Repeat::Once);
    let lost = SnapshotAnchor::new(3, "lost", "hash");
    assert_disk(&recorder.store.record_snapshot_anchor(lost.clone()).unwrap_err(), "00000001.seg", "an anchor");
    assert_eq!(recorder.store.latest_snapshot_anchor(), Ok(Some(SnapshotAnchor::new(2, "kept", "hash"))));
    recorder.log.push_anchor(lost);
    bench.assert_latched(recorder, "an anchor's sync fails");
}

#[test]
fn a_batch_larger_than_a_segment_whose_room_cannot_be_made_ends_all_writing() {
    for kind in [OperationKind::Write, OperationKind::SyncAll] {
        let bench = Bench::new();
        let mut recorder = bench.recorder();
        recorder.append(&batch(1, 3, 50));
        assert_eq!(recorder.store.run_background_step(BackgroundStep::MakeSpare), Ok(true));
        bench.disk.fail_nth(kind, SECOND_SEGMENT, 1, Errno::NOSPC, Repeat::FromThenOn);
        let what = format!("{kind:?} fails while a segment is made longer");
        assert_disk(&append_that_fails(&mut recorder, 4, 60, 900), "00000002.seg", &what);
        bench.assert_latched(recorder, &what);
    }
}

#[test]
fn a_witness_that_cannot_be_written_or_synced_ends_all_writing() {
    let cases = [(OperationKind::Write, BackgroundStep::WriteWatermark), (OperationKind::SyncData, BackgroundStep::SyncWatermark)];
    for (kind, step) in cases {
        let bench = Bench::new();
        let mut recorder = bench.recorder();
        recorder.append(&batch(1, 3, 50));
        bench.disk.fail_nth(kind, WATERMARK, 1, Errno::IO, Repeat::Once);
        if step == BackgroundStep::SyncWatermark {
            assert_eq!(recorder.store.run_background_step(BackgroundStep::WriteWatermark), Ok(true));
        }
        let what = format!("{kind:?} of WATERMARK fails");
        assert_disk(&recorder.store.run_background_step(step).unwrap_err(), "WATERMARK", &what);
        bench.assert_latched(recorder, &what);
    }
}

#[test]
fn a_folder_that_cannot_be_synced_ends_all_writing() {
    // The second sync of the folder after the run began is that of the first index.
    for (nth, step) in [(1, BackgroundStep::MakeSpare), (2, BackgroundStep::BuildIndex), (3, BackgroundStep::BuildIndex)] {
        let bench = Bench::new();
        let mut recorder = bench.recorder();
        recorder.append(&batch(1, 10, 900));
        bench.disk.fail_nth(OperationKind::SyncDir, super::bench::RUN, nth, Errno::IO, Repeat::Once);
        if step == BackgroundStep::BuildIndex {
            recorder.append(&batch(11, 15, 900));
        }
        let what = format!("folder sync {nth} fails in {step:?}");
        assert_disk(&recorder.store.run_background_step(step).unwrap_err(), super::bench::RUN, &what);
        bench.assert_latched(recorder, &what);
    }
}

#[test]
fn a_background_sync_that_fails_acknowledges_nothing_and_ends_all_writing() {
    for (nth, file) in [(1, FIRST_SEGMENT), (1, SECOND_SEGMENT), (1, THIRD_SEGMENT)] {
        let bench = Bench::new();
        let mut recorder = bench.buffered_recorder();
        recorder.append(&batch(1, 2, 50));
        assert_eq!(recorder.store.sync(), Ok(2));
        for round in 0..6 {
            recorder.append(&batch(3 + round * 5, 7 + round * 5, 900));
        }
        bench.disk.fail_nth(OperationKind::SyncData, file, nth, Errno::IO, Repeat::Once);
        let what = format!("the background sync of {file} fails");
        assert_disk(&recorder.store.sync().unwrap_err(), &file[..12], &what);
        assert_eq!(recorder.store.high_watermark(), Ok(2), "{what}");
        let synced: Vec<_> = bench.disk.journal().into_iter().filter(|done| done.kind == OperationKind::SyncData).collect();
        assert!(synced.last().is_some_and(|done| done.failed && done.path.ends_with(file)), "{what}: syncs go on behind a failed one");
        bench.assert_latched(recorder, &what);
    }
}

/// Seals a run whose disk fails in one operation, and checks that the run is not sealed, or sealed.
fn seal_with_fault(kind: OperationKind, file: &str, nth: usize) -> Result<(), String> {
    let bench = Bench::new();
    let mut recorder = bench.recorder();
    recorder.append(&batch(1, 10, 900));
    recorder.append(&batch(11, 15, 900));
    recorder.append(&batch(16, 16, 900));
    assert_eq!(recorder.store.run_background_step(BackgroundStep::MakeSpare), Ok(true));
    bench.disk.fail_nth(kind, file, nth, Errno::IO, Repeat::Once);
    let what = format!("{kind:?} {nth} on {file:?} fails in a seal");
    let Recorder { store, log } = &mut recorder;
    let sealed = store.seal(tapelog::RunStatus::Ended);
    log.assert_whole(store, 16, &what);
    match sealed {
        Ok(()) => return Err(what),
        Err(error) => assert!(matches!(error, EventStoreError::Disk(_)), "{what}: {error:?}"),
    }
    if SegmentBackend::open_sealed_file(bench.folder()).is_ok() {
        // MANIFEST with the seal has its name, and only the sync of the name failed.
        assert_eq!((kind, file, nth), (OperationKind::SyncDir, super::bench::RUN, 6), "{what}");
        return Ok(());
    }
    bench.assert_latched(recorder, &what);
    Ok(())
}

#[test]
fn a_seal_that_fails_on_the_way_seals_nothing_and_ends_all_writing() {
    let faults = [
        (OperationKind::Remove, "00000003.seg", 1),
        (OperationKind::SetLen, SECOND_SEGMENT, 1),
        (OperationKind::SyncAll, SECOND_SEGMENT, 1),
        (OperationKind::Create, "MANIFEST.tmp", 1),
        (OperationKind::Write, "MANIFEST.tmp", 1),
        (OperationKind::SyncAll, "MANIFEST.tmp", 1),
        (OperationKind::Rename, "MANIFEST", 1),
    ];
    for (kind, file, nth) in faults {
        seal_with_fault(kind, file, nth).unwrap_or_else(|what| panic!("{what}, and the run is sealed"));
    }
    // The folder is synced for the spares, for four index files, for MANIFEST and for WATERMARK.
    for nth in 1..=6 {
        seal_with_fault(OperationKind::SyncDir, super::bench::RUN, nth).unwrap_or_else(|what| panic!("{what}, and the run is sealed"));
    }
    assert!(seal_with_fault(OperationKind::SyncDir, super::bench::RUN, 7).is_err(), "a WATERMARK that stays hurts nobody");
}

#[test]
fn a_seal_whose_only_failure_is_an_index_or_watermark_is_a_seal() {
    for (kind, file) in [
        (OperationKind::Create, "00000001.idx.tmp"),
        (OperationKind::Rename, "00000002.key"),
        (OperationKind::SyncAll, "00000002.idx.tmp"),
        (OperationKind::Remove, "WATERMARK"),
    ] {
        assert!(seal_with_fault(kind, file, 1).is_err(), "{kind:?} on {file}");
    }
}

#[test]
fn of_two_syncs_at_once_none_takes_for_durable_what_the_other_was_told_is_lost() {
    for round in 0..200 {
        let bench = Bench::new();
        let mut recorder = bench.buffered_recorder();
        recorder.append(&batch(1, 3, 50));
        bench.disk.fail_nth(OperationKind::SyncData, FIRST_SEGMENT, 1, Errno::IO, Repeat::Once);
        let store = &recorder.store;
        let start = std::sync::Barrier::new(2);
        let sync = || {
            start.wait();
            store.sync()
        };
        let (left, right) = std::thread::scope(|scope| {
            let left = scope.spawn(sync);
            let right = scope.spawn(sync);
            (left.join().unwrap(), right.join().unwrap())
        });
        assert!(left.is_err() && right.is_err(), "round {round}: {left:?}, {right:?}");
        assert_eq!(recorder.store.high_watermark(), Ok(0), "round {round}");
    }
}
