//! How far whoever waits for a run has come.

use crate::error::EventStoreError;
use crate::model::RunManifest;

/// What came of waiting for entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// So many entries were shown, at least one.
    Shown(u64),
    /// Nothing came in the given time.
    Idle,
    /// Everything was shown, and nothing more will come.
    Ended(RunEnd),
}

/// Why nothing more will come.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunEnd {
    /// The run is sealed: this is its manifest.
    Sealed(Box<RunManifest>),
    /// Nobody writes the run any more and it is not sealed: the store of this process that wrote it was dropped, or has
    /// recovered it.
    Left,
    /// The store that writes the run has failed and writes nothing any more.
    Failed(EventStoreError),
    /// The reader shows files as they were when it opened them, and the run was not sealed then. Somebody may be writing
    /// it: a [`Follower`](crate::Follower) shows what comes.
    Snapshot,
}
