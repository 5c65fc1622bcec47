//! A store over a disk that fails on demand.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tapelog::io::OsStorage;
use tapelog::{
    BackgroundMode, BackgroundStep, Durability, EventStore, EventStoreError, SegmentBackend, SegmentBackendBuilder, SnapshotAnchor,
};
use tempfile::TempDir;

use crate::support::entries::{INSTANCE, batch, manifest};
use crate::support::faulty_storage::{FaultyStorage, Operation};
use crate::support::folders::memory_dir;
use crate::support::log::{Log, Recorder};

pub const RUN: &str = "1000-0000000a";
/// A file that a store makes is written through the descriptor that it was made with, and so under its
/// first name.
pub const FIRST_SEGMENT: &str = "00000001.seg.tmp";
pub const SECOND_SEGMENT: &str = "00000002.seg.tmp";
pub const THIRD_SEGMENT: &str = "00000003.seg.tmp";
pub const WATERMARK: &str = "WATERMARK.tmp";

/// A base folder behind a disk that fails on demand.
pub struct Bench {
    base: TempDir,
    pub disk: FaultyStorage,
}

impl Bench {
    pub fn new() -> Self {
        Self { base: memory_dir(), disk: FaultyStorage::new(Arc::new(OsStorage)) }
    }

    pub fn base(&self) -> &std::path::Path {
        self.base.path()
    }

    pub fn folder(&self) -> PathBuf {
        self.base.path().join(INSTANCE).join(RUN)
    }

    /// Small segments, one spare, and background work only by hand.
    pub fn by_hand(&self) -> SegmentBackendBuilder {
        self.builder().background(BackgroundMode::Manual)
    }

    /// Small segments, one spare, and threads for the background work.
    pub fn builder(&self) -> SegmentBackendBuilder {
        SegmentBackend::builder(self.base.path()).segment_len(16 << 10).spares(1).index_spacing(512).storage(Arc::new(self.disk.clone()))
    }

    /// A run that was just begun, with background work by hand.
    pub fn recorder(&self) -> Recorder {
        Recorder::open(self.by_hand().build().unwrap(), manifest(RUN))
    }

    /// The same, synced in the background.
    pub fn buffered_recorder(&self) -> Recorder {
        let durability = Durability::Buffered { sync_every: Duration::from_mins(1) };
        Recorder::open(self.by_hand().durability(durability).build().unwrap(), manifest(RUN))
    }

    /// The changes in the journal, failed ones included.
    pub fn changes(&self) -> Vec<Operation> {
        self.disk.journal().into_iter().filter(|done| done.kind.is_change()).collect()
    }

    /// Checks that nothing is written, synced or acknowledged any more, whatever is asked; that what
    /// was acknowledged can be read; and that the run can be recovered with all of it.
    pub fn assert_latched(&self, mut recorder: Recorder, what: &str) {
        let acknowledged = recorder.store.high_watermark().unwrap();
        self.disk.clear_faults();
        self.disk.clear_journal();
        let Recorder { store, log } = &mut recorder;
        let next = store.stats().written + 1;
        for _ in 0..2 {
            assert_refused(store.append_batch(&batch(next, next, 10)), what);
            assert_refused(store.append_batch(&batch(next, next + 90, 400)), what);
            assert_refused(store.append_batch(&[]), what);
            assert_refused(store.record_snapshot_anchor(SnapshotAnchor::new(acknowledged, "late", "late")), what);
            assert_refused(store.sync(), what);
            for step in BackgroundStep::ALL {
                assert_refused(store.run_background_step(step), what);
            }
            assert_refused(store.seal(tapelog::RunStatus::Ended), what);
        }
        assert_eq!(store.high_watermark(), Ok(acknowledged), "{what}");
        log.assert_whole(store, acknowledged, &what);
        drop(recorder.store);
        assert_eq!(self.changes(), [], "{what}: something was done after the latch had closed");
        self.assert_recovers(&recorder.log, acknowledged, what);
    }

    /// Recovers the run over a disk that works, and checks that everything acknowledged is there.
    pub fn assert_recovers(&self, log: &Log, acknowledged: u64, what: &str) {
        self.disk.clear_faults();
        let mut store = self.by_hand().build().unwrap();
        assert_eq!(store.open_run(manifest(RUN)), Err(EventStoreError::CrashedPredecessor), "{what}");
        let report = store.recovery().unwrap().clone();
        assert_ne!(report.state, tapelog::RecoveredState::AcknowledgedDamage, "{what}: {report}");
        let last = store.high_watermark().unwrap();
        assert!(last >= acknowledged, "{what}: {acknowledged} was acknowledged, and {last} is the last: {report}");
        assert!(log.is_end_of_a_batch(last), "{what}: {report}");
        log.assert_whole(&store, last, &what);
        store.seal(tapelog::RunStatus::CrashedRecovered).unwrap();
        log.assert_whole(&SegmentBackend::open_sealed(self.base(), INSTANCE, RUN).unwrap(), last, &what);
    }
}

/// A store whose latch closed says so, and why.
pub fn assert_refused<T: std::fmt::Debug>(result: Result<T, EventStoreError>, what: &str) {
    match result {
        Err(EventStoreError::Disk(text) | EventStoreError::Backend(text)) => {
            assert!(text.contains("nothing is written any more"), "{what}: {text}");
        }
        other => panic!("{what}: {other:?}"),
    }
}

/// An append that fails is not part of the log until it is known what became of it: it may be there when
/// the run is opened again, because its bytes may have reached the disk.
pub fn append_that_fails(recorder: &mut Recorder, first: u64, last: u64, payload_len: usize) -> EventStoreError {
    let entries = batch(first, last, payload_len);
    let before = recorder.store.high_watermark();
    let error = recorder.store.append_batch(&entries).unwrap_err();
    assert_eq!(recorder.store.high_watermark(), before, "a failed append acknowledged something");
    recorder.log.push_batch(&entries);
    error
}
