//! What is asked of the writer thread beside messages, in its place among them.

use std::fmt;

use super::reply::Promise;
use crate::error::EventStoreError;
use crate::model::{EntryDraft, RunId, RunManifest, SnapshotAnchor};
use crate::store::EventStore;

/// The run in which a writer goes on.
pub struct NextRun {
    /// The store that will write it; no run is open in it.
    pub store: Box<dyn EventStore + Send>,
    /// How it begins. It should name the run that ends as its parent.
    pub manifest: RunManifest,
    /// Its first entry.
    pub run_started: EntryDraft,
}

impl fmt::Debug for NextRun {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("NextRun").field("manifest", &self.manifest).finish_non_exhaustive()
    }
}

/// A rotation that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rotated {
    /// The run that ended; it is sealed.
    pub ended: RunId,
    /// Its last entry.
    pub ended_high_watermark: u64,
    /// The run that is written now; its first entry is durable.
    pub begun: RunId,
}

/// A request, done when everything submitted before it is written.
#[derive(Debug)]
pub(super) enum Request {
    /// Records an anchor behind the last entry.
    Anchor { blob_ref: String, content_hash: String, promise: Promise<Result<SnapshotAnchor, EventStoreError>> },
    /// Makes everything durable.
    Sync { promise: Promise<Result<u64, EventStoreError>> },
    /// Seals the run; nothing follows.
    Seal { promise: Promise<Result<u64, EventStoreError>> },
    /// Seals the run and goes on in another.
    Rotate { next: Box<(Box<dyn EventStore + Send>, RunManifest)>, promise: Promise<Result<Rotated, EventStoreError>> },
}

impl fmt::Debug for dyn EventStore + Send {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a store")
    }
}
