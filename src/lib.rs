//! tapelog: an embedded, append-only, segmented event log for trading engines.
//!
//! An engine hands tapelog every message that changes its state. tapelog numbers them, makes them
//! durable in order, and never loses one that it acknowledged. After a crash it says exactly what
//! survived, and an auditor can replay and verify all of it.
//!
//! A *run* is one session of one trading instance: a folder of segment files. A *batch* is the
//! entries of one append, there wholly or not at all. The *high-watermark* is the last entry that is
//! durable.
//!
//! ```
//! use tapelog::{
//!     AppendEntry, EntryHash, EventStore, EventStoreEntry, Headers, IndexKey, IndexKind, RunManifest, RunStatus, SegmentBackend,
//! };
//!
//! let base = tempfile::tempdir()?;
//! let mut store = SegmentBackend::new(base.path());
//! store.open_run(RunManifest::new("1700000000000000000-0badcafe", "trader-001"))?;
//!
//! let mut entry = EventStoreEntry::new(
//!     EntryHash([0; 32]),
//!     1,
//!     Headers::empty(),
//!     "exec.command.SubmitOrder".into(),
//!     "SubmitOrder".into(),
//!     b"{}".to_vec().into(),
//!     1_700_000_000_000_000_000.into(),
//!     1_700_000_000_000_000_001.into(),
//! );
//! entry.entry_hash = entry.recompute_hash();
//! let keys = vec![IndexKey::new(IndexKind::ClientOrderId, "O-1".to_owned())];
//! // When this returns, the entry survives a loss of power.
//! assert_eq!(store.append_batch(&[AppendEntry::new(entry, keys)])?, 1);
//! assert_eq!(store.lookup(IndexKind::ClientOrderId, "O-1")?, Some(1));
//! store.seal(RunStatus::Ended)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The way of an entry by file names: `store::segment::live` takes the batch, `segment::batch` lays
//! out and stamps its frames, `segment::active` writes them from the image and `segment::sync_path`
//! makes them durable. Back: `store::reading::segment_set` finds the segment, `store::reading::visit`
//! the frames, `format::entry` the entry, and `reader` lends it. What the bytes mean is in `format` and in FORMAT.md.

#![deny(missing_docs)]
#![deny(unsafe_code)]

#[cfg(test)]
extern crate self as tapelog; // The storage for fault tests is shared with the integration tests.

pub mod error;
pub mod format;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod io;
pub mod lifecycle;
pub mod limits;
pub mod model;
mod observe;
pub mod reader;
#[cfg(tapelog_seeded_bugs)]
pub mod seeded_bug;
#[cfg(not(tapelog_seeded_bugs))]
mod seeded_bug;
pub(crate) mod segment;
pub mod store;
pub mod verify;
pub mod writer;

pub use error::{Corruption, EventStoreError};
pub use lifecycle::{
    Lifecycle, LifecycleBuilder, LowSpace, PlannedRecovery, RUN_ENDED_PAYLOAD_TYPE, RUN_ENDED_TOPIC, RUN_STARTED_PAYLOAD_TYPE,
    RUN_STARTED_TOPIC, RecoveredRun, RecoveryOutcome, RecoverySweep, RestorePlan, Resume, RotationPolicy, RunSession, SnapshotAnchorer,
    SnapshotOfRun, SweepDepth, SweepProgress, UnreadableRun, recover_predecessors, registered_components,
};
pub use model::{
    AppendEntry, Clock, DataClass, DataCursorSnapshot, DraftRef, EntryDraft, EntryHash, EventStoreEntry, Headers, HiFiMarker, IndexKey,
    IndexKind, ManualClock, MarkerGap, MarkerGapReason, MarkerManifest, PayloadType, RegisteredComponents, RunId, RunManifest, RunStatus,
    ScanDirection, SnapshotAnchor, StoredMarkerRecord, StreamCursor, StreamDictEntry, StreamSlot, SystemClock, ThreadHook, Topic,
    UnixNanos, build_run_id, compute_dict_hash, compute_entry_hash, compute_gap_hash, compute_hifi_hash, compute_marker_hash,
    compute_snapshot_content_hash, validate_id,
};
pub use reader::{
    ChainFollower, ChainRun, DEFAULT_SCAN_CHUNK_SIZE, Entries, EventStoreReader, FollowOptions, Follower, Progress, RangeScan,
    ReaderOptions, RunChain, RunEnd, RunReader, SegmentSummary, SnapshotReplayPlan, Tail,
};
pub use segment::sync_path::SyncPath;
pub use store::{
    BackgroundMode, BackgroundStep, BreakPoint, Check, Discarded, Durability, EncodedBatch, EntryView, EventStore, LogPoint, MarkerBackend,
    MemoryBackend, MemoryMarkerBackend, ReadPath, RecoveredState, RecoveryReport, RunListing, SegmentBackend, SegmentBackendBuilder,
    SegmentStats, Visibility, Witness,
};
pub use verify::{GapRange, IndexDrift, ManifestField, Verifier, VerifyError, VerifyFinding, VerifyReport};
pub use writer::{
    EventStoreWriter, HaltCallback, HaltReason, HaltSignal, Histogram, NextRun, OnStall, Receipt, Rotated, SubmitError, TrySubmitError,
    WaitError, WaitStrategy, WriterConfig, WriterStats, noop_halt,
};
