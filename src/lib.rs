//! tapelog: an embedded, append-only, segmented event log for trading engines.

#![deny(missing_docs)]
#![deny(unsafe_code)]

#[cfg(test)]
extern crate self as tapelog; // The storage for fault tests is shared with the integration tests.

pub mod error;
pub mod format;
pub mod io;
pub mod lifecycle;
pub mod limits;
pub mod model;
pub(crate) mod segment;
pub mod store;
pub mod verify;

pub use error::{Corruption, EventStoreError};
pub use lifecycle::{PlannedRecovery, RecoveredRun, RecoveryOutcome, RecoverySweep, SweepProgress, UnreadableRun, recover_predecessors};
pub use model::{
    AppendEntry, Clock, DataClass, DataCursorSnapshot, EntryHash, EventStoreEntry, Headers, HiFiMarker, IndexKey, IndexKind, ManualClock,
    MarkerGap, MarkerGapReason, MarkerManifest, PayloadType, RegisteredComponents, RunId, RunManifest, RunStatus, ScanDirection,
    SnapshotAnchor, StoredMarkerRecord, StreamCursor, StreamDictEntry, StreamSlot, SystemClock, Topic, UnixNanos, build_run_id,
    compute_dict_hash, compute_entry_hash, compute_gap_hash, compute_hifi_hash, compute_marker_hash, compute_snapshot_content_hash,
    validate_id,
};
pub use segment::sync_path::SyncPath;
pub use store::{
    BackgroundMode, BackgroundStep, BreakPoint, Discarded, Durability, EventStore, LogPoint, MarkerBackend, MemoryBackend,
    MemoryMarkerBackend, ReadPath, RecoveredState, RecoveryReport, RunListing, SegmentBackend, SegmentBackendBuilder, SegmentStats,
    Witness,
};
pub use verify::{GapRange, IndexDrift, ManifestField, Verifier, VerifyError, VerifyFinding, VerifyReport};
