//! What was appended comes back: from the run that is written, from one that was left, and from one
//! that is sealed.

use tapelog::{EventStore, EventStoreError, IndexKind, RecoveredState, RunStatus, ScanDirection, SegmentBackend, SnapshotAnchor};

use crate::support::entries::{INSTANCE, batch, manifest};

const RUN: &str = "1-00000001";

fn small(base: &std::path::Path) -> SegmentBackend {
    SegmentBackend::builder(base).segment_len(16 << 10).index_spacing(512).build().unwrap()
}

fn assert_holds(store: &SegmentBackend, last: u64, payload_len: usize) {
    assert_eq!(store.high_watermark().unwrap(), last);
    let expected: Vec<_> = batch(1, last, payload_len).into_iter().map(|append| append.entry).collect();
    assert_eq!(store.scan_range(1, last, ScanDirection::Forward).unwrap(), expected);
    let mut reversed = expected.clone();
    reversed.reverse();
    assert_eq!(store.scan_range(1, u64::MAX, ScanDirection::Reverse).unwrap(), reversed);
    for entry in &expected {
        assert_eq!(store.scan_seq(entry.seq).unwrap().as_ref(), Some(entry));
    }
    let order = (last / 2) / 3;
    let first = if order == 0 { 1 } else { order * 3 };
    assert_eq!(store.lookup(IndexKind::ClientOrderId, &format!("O-{order}")).unwrap(), Some(first));
    assert_eq!(store.lookup(IndexKind::ClientOrderId, "no such order").unwrap(), None);
    let keys = store.iter_index_keys(IndexKind::ClientOrderId).unwrap();
    for (key, seq) in keys.iter().step_by(7) {
        assert_eq!(store.lookup(IndexKind::ClientOrderId, key).unwrap(), Some(*seq));
    }
}

#[test]
fn a_run_of_many_segments_reads_the_same_live_reopened_and_sealed() {
    let base = tempfile::tempdir().unwrap();
    let mut store = small(base.path());
    store.open_run(manifest(RUN)).unwrap();
    let mut next = 1;
    for size in [1, 2, 3, 5, 8, 13, 21, 1, 34, 1, 1] {
        assert_eq!(store.append_batch(&batch(next, next + size - 1, 100)).unwrap(), next + size - 1);
        next += size;
        assert_holds(&store, next - 1, 100);
    }
    let anchor = SnapshotAnchor::new(5, "blob", "hash");
    store.record_snapshot_anchor(anchor.clone()).unwrap();
    assert_eq!(store.latest_snapshot_anchor().unwrap(), Some(anchor.clone()));
    let last = next - 1;
    drop(store);

    let mut store = small(base.path());
    assert_eq!(store.open_run(manifest(RUN)), Err(EventStoreError::CrashedPredecessor));
    assert_eq!(store.recovery().unwrap().state, RecoveredState::Clean);
    assert_holds(&store, last, 100);
    assert_eq!(store.latest_snapshot_anchor().unwrap(), Some(anchor.clone()));
    assert_eq!(store.append_batch(&batch(last + 1, last + 1, 1)), Err(EventStoreError::CrashedPredecessor));
    store.seal(RunStatus::CrashedRecovered).unwrap();
    assert_holds(&store, last, 100);
    assert_eq!(store.append_batch(&[]), Err(EventStoreError::Closed));
    drop(store);

    let store = SegmentBackend::open_sealed(base.path(), INSTANCE, RUN).unwrap();
    assert_holds(&store, last, 100);
    assert_eq!(store.latest_snapshot_anchor().unwrap(), Some(anchor));
    assert_eq!(store.manifest().unwrap().status, RunStatus::CrashedRecovered);
}

#[test]
fn a_sealed_run_keeps_no_spare_no_watermark_and_no_unused_byte() {
    let base = tempfile::tempdir().unwrap();
    let mut store = small(base.path());
    store.open_run(manifest(RUN)).unwrap();
    store.append_batch(&batch(1, 120, 300)).unwrap();
    store.append_batch(&batch(121, 130, 300)).unwrap();
    let folder = store.current_path().unwrap().to_owned();
    store.seal(RunStatus::Ended).unwrap();
    assert_holds(&store, 130, 300);
    let mut names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(
        names,
        ["00000001.idx", "00000001.key", "00000001.seg", "00000002.idx", "00000002.key", "00000002.seg", "LOCK", "MANIFEST", "markers"]
    );
    assert!(std::fs::metadata(folder.join("00000001.seg")).unwrap().len() > 16 << 10, "the first batch is larger than a segment");
    assert!(std::fs::metadata(folder.join("00000002.seg")).unwrap().len() < 16 << 10);
}

#[test]
fn an_empty_run_is_sealed_and_opened() {
    let base = tempfile::tempdir().unwrap();
    let mut store = small(base.path());
    store.open_run(manifest(RUN)).unwrap();
    store.seal(RunStatus::Ended).unwrap();
    let store = SegmentBackend::open_sealed(base.path(), INSTANCE, RUN).unwrap();
    assert_eq!(store.high_watermark().unwrap(), 0);
    assert_eq!(store.manifest().unwrap().end_ts_init, None);
    assert_eq!(store.scan_range(1, 10, ScanDirection::Forward).unwrap(), []);
}
