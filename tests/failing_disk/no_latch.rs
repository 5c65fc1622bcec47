//! A spare or an index that cannot be made leaves nothing in doubt: the store goes on.

use rustix::io::Errno;
use tapelog::{BackgroundStep, EventStore, EventStoreError, IndexKind, RunStatus, SegmentBackend};

use super::bench::{Bench, FIRST_SEGMENT, RUN, SECOND_SEGMENT};
use crate::support::entries::{INSTANCE, batch};
use crate::support::faulty_storage::{OperationKind, Repeat};
use crate::support::folders::file_names;

#[test]
fn an_append_that_finds_no_spare_writes_nothing_and_works_when_the_disk_recovers() {
    let faults = [
        (OperationKind::Create, SECOND_SEGMENT, Errno::NOSPC),
        (OperationKind::Write, SECOND_SEGMENT, Errno::NOSPC),
        (OperationKind::Write, SECOND_SEGMENT, Errno::FBIG),
        (OperationKind::SyncAll, SECOND_SEGMENT, Errno::IO),
        (OperationKind::Rename, "00000002.seg", Errno::IO),
        (OperationKind::Create, SECOND_SEGMENT, Errno::ACCESS),
    ];
    for (kind, file, errno) in faults {
        let bench = Bench::new();
        let mut recorder = bench.recorder();
        recorder.append(&batch(1, 9, 900));
        let what = format!("{kind:?} of a spare fails with {errno}");
        bench.disk.fail_nth(kind, file, 1, errno, Repeat::FromThenOn);
        assert_eq!(recorder.store.run_background_step(BackgroundStep::MakeSpare), Ok(true), "{what}: a failure that is not told here");
        assert!(!file_names(&bench.folder()).iter().any(|name| name.contains("00000002")), "{what}: something is left of it");
        for _ in 0..2 {
            bench.disk.clear_journal();
            let next = recorder.log.last_seq() + 1;
            let refused = recorder.store.append_batch(&batch(next, 19, 900));
            assert!(matches!(&refused, Err(EventStoreError::Disk(_))), "{what}: {refused:?}");
            assert_eq!(bench.disk.count(OperationKind::Write, FIRST_SEGMENT), 0, "{what}: it wrote something");
            // What still fits the segment is taken.
            recorder.append(&batch(next, next, 10));
        }
        bench.disk.clear_faults();
        recorder.append(&batch(12, 19, 900));
        recorder.append(&batch(20, 30, 900));
        recorder.log.assert_whole(&recorder.store, 30, &what);
        drop(recorder.store);
        bench.assert_recovers(&recorder.log, 30, &what);
    }
}

#[test]
fn an_index_that_cannot_be_written_is_done_without_and_made_at_the_seal() {
    for kind in [OperationKind::Create, OperationKind::Write, OperationKind::SyncAll] {
        for name in ["00000001.idx.tmp", "00000001.key.tmp"] {
            let bench = Bench::new();
            let mut recorder = bench.recorder();
            recorder.append(&batch(1, 9, 900));
            recorder.append(&batch(10, 15, 900));
            let what = format!("{kind:?} of {name} fails");
            bench.disk.fail_nth(kind, name, 1, Errno::NOSPC, Repeat::FromThenOn);
            assert_eq!(recorder.store.run_background_step(BackgroundStep::BuildIndex), Ok(true), "{what}");
            recorder.append(&batch(16, 17, 900));
            recorder.log.assert_whole(&recorder.store, 17, &what);
            assert!(!file_names(&bench.folder()).iter().any(|found| found == name), "{what}: something is left of it");
            bench.disk.clear_faults();
            recorder.store.seal(RunStatus::Ended).unwrap();
            let names = file_names(&bench.folder());
            for made in ["00000001.idx", "00000001.key", "00000002.idx", "00000002.key"] {
                assert!(names.iter().any(|found| found == made), "{what}: {made} is not made at the seal: {names:?}");
            }
            let store = SegmentBackend::open_sealed(bench.base(), INSTANCE, RUN).unwrap();
            recorder.log.assert_whole(&store, 17, &what);
        }
    }
}

/// An index file that is in the way of the real one, or of nothing.
#[test]
fn an_index_that_cannot_be_renamed_or_read_is_done_without() {
    let bench = Bench::new();
    let mut recorder = bench.recorder();
    recorder.append(&batch(1, 9, 900));
    recorder.append(&batch(10, 15, 900));
    bench.disk.fail_nth(OperationKind::Rename, "00000001.key", 1, Errno::IO, Repeat::Once);
    assert_eq!(recorder.store.run_background_step(BackgroundStep::BuildIndex), Ok(true));
    bench.disk.fail_nth(OperationKind::Read, "00000001.idx", 1, Errno::IO, Repeat::FromThenOn);
    recorder.log.assert_whole(&recorder.store, 15, &"no index can be read");
    assert_eq!(recorder.store.lookup(IndexKind::ClientOrderId, "O-2"), Ok(Some(6)));
}

/// A read that fails says nothing of what is on the disk: it is an error of its own, and no damage.
#[test]
fn a_read_that_fails_is_no_damage_and_the_next_one_may_succeed() {
    let bench = Bench::new();
    let builder = bench.by_hand().read_path(tapelog::ReadPath::Positional);
    let mut recorder = crate::support::log::Recorder::open(builder.build().unwrap(), crate::support::entries::manifest(RUN));
    recorder.append(&batch(1, 9, 900));
    recorder.append(&batch(10, 15, 900));
    recorder.store.run_background_step(BackgroundStep::BuildIndex).unwrap();
    bench.disk.fail_nth(OperationKind::Read, "00000001.seg", 1, Errno::IO, Repeat::Once);
    assert!(matches!(recorder.store.scan_seq(3), Err(EventStoreError::Disk(_))));
    recorder.log.assert_whole(&recorder.store, 15, &"the disk recovered");
    recorder.append(&batch(16, 16, 10));
    bench.disk.fail_nth(OperationKind::Read, "00000001.seg", 1, Errno::IO, Repeat::Once);
    drop(recorder.store);
    let mut store = bench.by_hand().build().unwrap();
    let refused = store.open_run(crate::support::entries::manifest(RUN));
    assert!(matches!(refused, Err(EventStoreError::Disk(_))), "{refused:?}: a judgement over what could not be read");
    drop(store);
    bench.assert_recovers(&recorder.log, 16, "the disk recovered");
}
