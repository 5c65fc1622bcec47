//! The reader over any store: what it restores from, and what it refuses.

use tapelog::{
    EventStore, EventStoreError, EventStoreReader, MemoryBackend, RunStatus, ScanDirection, SegmentBackend, SnapshotAnchor,
    SnapshotReplayPlan,
};

use crate::support::entries::{batch, manifest};

const RUN: &str = "1-00000001";

fn with_stores(check: impl Fn(&mut dyn EventStore)) {
    let base = tempfile::tempdir().unwrap();
    check(&mut MemoryBackend::new());
    check(&mut SegmentBackend::builder(base.path()).segment_len(16 << 10).build().unwrap());
}

/// A borrowed store, which may say something of its own of its newest snapshot.
struct Borrowed<'a>(&'a mut dyn EventStore, Option<SnapshotAnchor>);

impl EventStore for Borrowed<'_> {
    fn open_run(&mut self, manifest: tapelog::RunManifest) -> Result<(), EventStoreError> {
        self.0.open_run(manifest)
    }
    fn append_batch(&mut self, entries: &[tapelog::AppendEntry]) -> Result<u64, EventStoreError> {
        self.0.append_batch(entries)
    }
    fn scan_range(&self, from: u64, to: u64, direction: ScanDirection) -> Result<Vec<tapelog::EventStoreEntry>, EventStoreError> {
        self.0.scan_range(from, to, direction)
    }
    fn scan_seq(&self, seq: u64) -> Result<Option<tapelog::EventStoreEntry>, EventStoreError> {
        self.0.scan_seq(seq)
    }
    fn lookup(&self, kind: tapelog::IndexKind, key: &str) -> Result<Option<u64>, EventStoreError> {
        self.0.lookup(kind, key)
    }
    fn iter_index_keys(&self, kind: tapelog::IndexKind) -> Result<Vec<(String, u64)>, EventStoreError> {
        self.0.iter_index_keys(kind)
    }
    fn record_snapshot_anchor(&mut self, anchor: SnapshotAnchor) -> Result<(), EventStoreError> {
        self.0.record_snapshot_anchor(anchor)
    }
    fn latest_snapshot_anchor(&self) -> Result<Option<SnapshotAnchor>, EventStoreError> {
        self.1.clone().map_or_else(|| self.0.latest_snapshot_anchor(), |anchor| Ok(Some(anchor)))
    }
    fn seal(&mut self, status: RunStatus) -> Result<(), EventStoreError> {
        self.0.seal(status)
    }
    fn manifest(&self) -> Result<tapelog::RunManifest, EventStoreError> {
        self.0.manifest()
    }
    fn high_watermark(&self) -> Result<u64, EventStoreError> {
        self.0.high_watermark()
    }
}

#[test]
fn what_is_replayed_is_what_lies_behind_the_newest_snapshot() {
    with_stores(|store| {
        store.open_run(manifest(RUN)).unwrap();
        let plan = |store: &mut dyn EventStore| {
            let reader = EventStoreReader::new(Borrowed(store, None));
            let (plan, tail) = reader.scan_snapshot_replay_tail().unwrap();
            (plan, tail.map(|entry| entry.unwrap().seq).collect::<Vec<_>>())
        };
        let (empty, tail) = plan(store);
        assert_eq!((&empty, empty.is_empty()), (&SnapshotReplayPlan { anchor: None, from_seq: 1, to_seq: 0 }, true));
        assert_eq!(tail, []);
        store.append_batch(&batch(1, 5, 10)).unwrap();
        assert_eq!(plan(store), (SnapshotReplayPlan { anchor: None, from_seq: 1, to_seq: 5 }, vec![1, 2, 3, 4, 5]));
        let anchor = SnapshotAnchor::new(3, "blob", "hash");
        store.record_snapshot_anchor(anchor.clone()).unwrap();
        assert_eq!(plan(store), (SnapshotReplayPlan { anchor: Some(anchor), from_seq: 4, to_seq: 5 }, vec![4, 5]));
        let anchor = SnapshotAnchor::new(5, "blob", "hash");
        store.record_snapshot_anchor(anchor.clone()).unwrap();
        let (covered, tail) = plan(store);
        assert_eq!((covered.is_empty(), tail), (true, vec![]));
        store.seal(RunStatus::Ended).unwrap();
        assert_eq!(plan(store).0.anchor, Some(anchor));
    });
}

#[test]
fn a_range_without_entries_is_empty_and_no_error() {
    with_stores(|store| {
        store.open_run(manifest(RUN)).unwrap();
        store.append_batch(&batch(1, 5, 10)).unwrap();
        let reader = EventStoreReader::new(Borrowed(store, None));
        for direction in [ScanDirection::Forward, ScanDirection::Reverse] {
            for (from, to) in [(0, 3), (4, 3), (6, 9), (u64::MAX, u64::MAX)] {
                assert_eq!(reader.scan_range(from, to, direction).count(), 0, "{from}..={to} {direction:?}");
            }
            assert_eq!(reader.scan_range(5, u64::MAX, direction).count(), 1);
            assert_eq!(reader.scan_range_chunked(1, u64::MAX, direction, u64::MAX).count(), 5);
        }
    });
}

#[test]
fn without_a_run_every_question_is_refused() {
    with_stores(|store| {
        let reader = EventStoreReader::new(Borrowed(store, None));
        let refused = |error: EventStoreError| matches!(&error, EventStoreError::Backend(text) if text.contains("no run open"));
        assert!(refused(reader.manifest().unwrap_err()));
        assert!(refused(reader.high_watermark().unwrap_err()));
        assert!(refused(reader.snapshot_replay_plan().unwrap_err()));
        assert!(refused(reader.scan_seq(1).unwrap_err()));
        for direction in [ScanDirection::Forward, ScanDirection::Reverse] {
            let mut scan = reader.scan_range(1, 3, direction);
            assert!(refused(scan.next().unwrap().unwrap_err()));
            assert!(scan.next().is_none(), "an error is the last item");
        }
    });
}

#[test]
fn a_snapshot_past_the_high_watermark_is_damage() {
    with_stores(|store| {
        store.open_run(manifest(RUN)).unwrap();
        store.append_batch(&batch(1, 5, 10)).unwrap();
        let ahead = Borrowed(store, Some(SnapshotAnchor::new(6, "blob", "hash")));
        let error = EventStoreReader::new(ahead).snapshot_replay_plan().unwrap_err();
        assert!(matches!(&error, EventStoreError::Corrupted(corruption) if corruption.seq == Some(6)), "{error}");
        assert!(error.to_string().contains("the high-watermark 5"), "{error}");
    });
}

#[test]
fn everything_before_the_first_damage_comes_out_in_either_direction() {
    const LAST: u64 = 900;
    const DAMAGED: u64 = 601;
    let base = tempfile::tempdir().unwrap();
    let mut store = SegmentBackend::builder(base.path()).segment_len(1 << 20).build().unwrap();
    store.open_run(manifest(RUN)).unwrap();
    store.append_batch(&batch(1, LAST, 100)).unwrap();
    store.seal(RunStatus::Ended).unwrap();
    let segment = store.current_path().unwrap().join("00000001.seg");
    drop(store);
    // Numbers whose difference is a multiple of 256 have the same payload: the third with this one is the one.
    let mut bytes = std::fs::read(&segment).unwrap();
    let payload = &batch(DAMAGED, DAMAGED, 100)[0].entry.payload;
    let places: Vec<_> = (0..bytes.len() - 100).filter(|at| &bytes[*at..at + 100] == payload.as_ref()).collect();
    bytes[places[2]] ^= 1;
    std::fs::write(&segment, bytes).unwrap();

    let reader = EventStoreReader::new(SegmentBackend::open_sealed_file(segment.parent().unwrap()).unwrap());
    let damage = EventStoreError::HashMismatch { seq: DAMAGED };
    for chunk_size in [1, 7, 64, 1024, u64::MAX] {
        for (from, to) in [(1, u64::MAX), (1, LAST), (590, 610), (DAMAGED, DAMAGED)] {
            let scan = |direction| {
                let mut scan = reader.scan_range_chunked(from, to, direction, chunk_size);
                let mut seqs = Vec::new();
                let error = loop {
                    match scan.next().expect("the damage is told") {
                        Ok(entry) => seqs.push(entry.seq),
                        Err(error) => break error,
                    }
                };
                assert_eq!((error, scan.next()), (damage.clone(), None), "{from}..={to} {direction:?} by {chunk_size}");
                seqs
            };
            assert!(scan(ScanDirection::Forward).into_iter().eq(from..DAMAGED), "{from}..={to} by {chunk_size}");
            assert!(scan(ScanDirection::Reverse).into_iter().eq((DAMAGED + 1..=to.min(LAST)).rev()), "{from}..={to} by {chunk_size}");
        }
    }
}
