//! Without threads of its own, the store leaves its background work to the caller, who may do it
//! late, early or not at all: what is acknowledged does not depend on it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tapelog::io::OsStorage;
use tapelog::{
    BackgroundMode, BackgroundStep, Durability, EventStore, EventStoreError, IndexKind, RunStatus, ScanDirection, SegmentBackend,
};

use crate::support::entries::{INSTANCE, batch, manifest};
use crate::support::faulty_storage::{FaultyStorage, OperationKind};

const RUN: &str = "1-00000001";

fn by_hand(base: &Path, durability: Durability) -> SegmentBackend {
    let builder = SegmentBackend::builder(base).segment_len(16 << 10).durability(durability).background(BackgroundMode::Manual);
    let mut store = builder.build().unwrap();
    store.open_run(manifest(RUN)).unwrap();
    store
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn indexes_wait_for_their_step_and_look_ups_do_not() {
    let base = tempfile::tempdir().unwrap();
    let mut store = by_hand(base.path(), Durability::Synced);
    for first in (1..=60).step_by(3) {
        store.append_batch(&batch(first, first + 2, 800)).unwrap();
    }
    let folder = store.current_path().unwrap().to_owned();
    assert!(!names(&folder).contains(&"00000001.key".to_owned()));
    assert_eq!(store.lookup(IndexKind::ClientOrderId, "O-1").unwrap(), Some(3));
    assert!(store.background_steps().contains(&BackgroundStep::BuildIndex));
    let mut built = 0;
    while store.run_background_step(BackgroundStep::BuildIndex).unwrap() {
        built += 1;
        assert!(names(&folder).contains(&format!("{built:08}.key")), "indexes are made oldest first");
        assert_eq!(store.lookup(IndexKind::ClientOrderId, "O-1").unwrap(), Some(3));
        assert_eq!(store.scan_seq(2).unwrap().unwrap().seq, 2);
    }
    assert!(built >= 2, "{built} indexes");
    assert!(!store.background_steps().contains(&BackgroundStep::BuildIndex));
}

#[test]
fn an_append_that_finds_no_spare_makes_one_and_counts_it() {
    let base = tempfile::tempdir().unwrap();
    let mut store = by_hand(base.path(), Durability::Synced);
    for first in (1..=80).step_by(4) {
        store.append_batch(&batch(first, first + 3, 900)).unwrap();
    }
    assert!(store.stats().spares_missed >= 2, "{:?}", store.stats());
    assert_eq!(store.scan_range(1, 80, ScanDirection::Forward).unwrap().len(), 80);
}

#[test]
fn spares_made_in_time_are_not_missed() {
    let base = tempfile::tempdir().unwrap();
    let mut store = by_hand(base.path(), Durability::Synced);
    for first in (1..=80).step_by(4) {
        store.append_batch(&batch(first, first + 3, 900)).unwrap();
        while store.run_background_step(BackgroundStep::MakeSpare).unwrap() {}
    }
    assert_eq!(store.stats().spares_missed, 0);
}

#[test]
fn a_buffered_run_shows_nothing_before_its_sync() {
    let base = tempfile::tempdir().unwrap();
    let mut store = by_hand(base.path(), Durability::Buffered { sync_every: Duration::from_secs(1) });
    assert_eq!(store.append_batch(&batch(1, 5, 100)).unwrap(), 0, "nothing is durable yet");
    assert_eq!((store.stats().written, store.stats().durable), (5, 0));
    assert_eq!(store.scan_range(1, 5, ScanDirection::Forward).unwrap(), []);
    assert_eq!(store.scan_seq(1).unwrap(), None);
    assert_eq!(store.lookup(IndexKind::ClientOrderId, "O-0").unwrap(), None);
    assert_eq!(store.iter_index_keys(IndexKind::ClientOrderId).unwrap(), []);
    let beside = store.append_batch(&batch(1, 1, 1)).unwrap_err();
    assert_eq!(beside, EventStoreError::OutOfOrder { high_watermark: 5, seq: 1 }, "continuity is checked against what is written");
    assert!(store.run_background_step(BackgroundStep::SyncWritten).unwrap());
    assert_eq!(store.high_watermark().unwrap(), 5);
    assert_eq!(store.lookup(IndexKind::ClientOrderId, "O-0").unwrap(), Some(1));
    assert_eq!(store.scan_range(1, 5, ScanDirection::Forward).unwrap().len(), 5);
}

/// What is counted as durable must have been asked of the disk: the journal of the storage tells of every write and sync.
#[test]
fn a_buffered_run_waits_for_a_sync_rather_than_pass_its_bound() {
    const BOUND: u64 = 64 << 10;
    let base = tempfile::tempdir().unwrap();
    let disk = FaultyStorage::new(Arc::new(OsStorage));
    let builder = SegmentBackend::builder(base.path()).segment_len(16 << 10).background(BackgroundMode::Manual);
    let builder = builder.durability(Durability::Buffered { sync_every: Duration::from_mins(1) }).unsynced_len_max(BOUND);
    let mut store = builder.storage(Arc::new(disk.clone())).build().unwrap();
    store.open_run(manifest(RUN)).unwrap();
    let mut waiting = BTreeMap::new();
    for seq in 1..=200 {
        let before = store.stats();
        disk.clear_journal();
        store.append_batch(&batch(seq, seq, 6_000)).unwrap();
        let mut has_synced = false;
        // A segment keeps the name under which its file was made; a spare is made with writes and a full sync of its own.
        for operation in disk.journal().into_iter().filter(|operation| operation.path.to_string_lossy().contains(".seg")) {
            match operation.kind {
                OperationKind::Write => *waiting.entry(operation.path).or_insert(0) += 1,
                OperationKind::SyncAll => drop(waiting.remove(&operation.path)),
                OperationKind::SyncData => has_synced |= waiting.remove(&operation.path).is_some(),
                _ => {}
            }
        }
        let stats = store.stats();
        assert_eq!(stats.durable > before.durable, has_synced, "{stats:?}");
        // Each write is a batch of one entry; what fills up its last block is not counted.
        assert!(waiting.values().sum::<u64>() * 6_000 <= BOUND, "{waiting:?}");
        assert!((stats.written - stats.durable) * 6_000 <= BOUND, "{stats:?}");
    }
    assert!(store.stats().durable > 150);
}

#[test]
fn a_buffered_run_over_many_segments_builds_indexes_only_of_durable_ones() {
    let base = tempfile::tempdir().unwrap();
    let mut store = by_hand(base.path(), Durability::Buffered { sync_every: Duration::from_secs(1) });
    for first in (1..=60).step_by(3) {
        store.append_batch(&batch(first, first + 2, 800)).unwrap();
    }
    assert!(!store.background_steps().contains(&BackgroundStep::BuildIndex));
    assert!(!store.background_steps().contains(&BackgroundStep::WriteWatermark));
    assert!(store.run_background_step(BackgroundStep::SyncWritten).unwrap());
    assert!(store.background_steps().contains(&BackgroundStep::BuildIndex));
    assert!(store.run_background_step(BackgroundStep::WriteWatermark).unwrap());
    assert!(store.run_background_step(BackgroundStep::SyncWatermark).unwrap());
    assert_eq!(store.scan_range(1, 60, ScanDirection::Reverse).unwrap().len(), 60);
    store.seal(RunStatus::Ended).unwrap();
    let sealed = SegmentBackend::open_sealed(base.path(), INSTANCE, RUN).unwrap();
    assert_eq!(sealed.scan_range(1, 60, ScanDirection::Forward).unwrap().len(), 60);
}
