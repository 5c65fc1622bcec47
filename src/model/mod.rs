//! The values that an engine hands to the log and gets back from it.
//!
//! Values know nothing of bytes on disk. What they do know is their hash: it covers every field that
//! replay depends on, is the same on every platform, and never changes for a given value.

mod anchor;
mod clock;
mod draft;
mod entry;
mod hash;
mod headers;
mod id;
mod index_key;
mod marker;
mod nanos;
mod run;
mod thread_hook;

pub use anchor::{SnapshotAnchor, compute_snapshot_content_hash};
pub use clock::{Clock, ManualClock, SystemClock};
pub(crate) use draft::Draft;
pub use draft::{DraftRef, EntryDraft};
pub use entry::{EventStoreEntry, PayloadType, Topic};
pub(crate) use hash::EntryHasher;
pub use hash::{EntryHash, compute_entry_hash};
pub use headers::Headers;
pub use id::validate_id;
pub use index_key::{AppendEntry, IndexKey, IndexKind, ScanDirection};
pub use marker::{
    DataClass, DataCursorSnapshot, HiFiMarker, MarkerGap, MarkerGapReason, MarkerManifest, StoredMarkerRecord, StreamCursor,
    StreamDictEntry, StreamSlot, compute_dict_hash, compute_gap_hash, compute_hifi_hash, compute_marker_hash,
};
pub use nanos::UnixNanos;
pub use run::{RegisteredComponents, RunId, RunManifest, RunStatus, build_run_id};
pub use thread_hook::ThreadHook;
