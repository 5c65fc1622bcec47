//! The work that appends leave behind, as steps that a thread drains or a test by hand.
//!
//! Four lanes, each in its own order and independent of the others: spares ascending, indexes of
//! durable segments ascending, the watermark, and the syncs of a buffered run. [`shared`] is what
//! the lanes and the appending thread share; [`steps`] does one step; [`threads`] drains
//! them. [`watchers`] are readers that wait for more.

pub(crate) mod shared;
pub(crate) mod shelf;
pub(crate) mod steps;
pub(crate) mod threads;
pub(crate) mod watchers;

/// One step of background work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum BackgroundStep {
    /// Make the next spare.
    MakeSpare,
    /// Write the indexes of the oldest full, durable segment that has none.
    BuildIndex,
    /// Put the durable point into WATERMARK, without a sync.
    WriteWatermark,
    /// Make what was put into WATERMARK durable.
    SyncWatermark,
    /// Sync what a buffered run has written.
    SyncWritten,
}

impl BackgroundStep {
    /// Every step.
    pub const ALL: [Self; 5] = [Self::MakeSpare, Self::BuildIndex, Self::WriteWatermark, Self::SyncWatermark, Self::SyncWritten];
}
