//! Stores of runs: the two traits that engines program against, and what implements them.
//!
//! [`EventStore`] holds a run's entries and [`MarkerBackend`] its markers. The stores in memory are the
//! plainest reading of the rules, and what every other store is compared with.

pub(crate) mod encoded_batch;
mod event_store;
mod marker_backend;
mod memory;
mod memory_marker;
pub(crate) mod reading;
pub(crate) mod recovery;
pub(crate) mod rules;
pub(crate) mod run_files;
pub(crate) mod segment;

#[cfg(test)]
mod documented;
#[cfg(test)]
pub(crate) mod fixtures;

pub use encoded_batch::EncodedBatch;
pub use event_store::EventStore;
pub use marker_backend::MarkerBackend;
pub use memory::MemoryBackend;
pub use memory_marker::MemoryMarkerBackend;
pub use reading::entry_view::{Check, EntryView};
pub use reading::segment_source::ReadPath;
pub(crate) use recovery::judge::Depth;
pub use recovery::outcome::{BreakPoint, Discarded, LogPoint, RecoveredState, RecoveryReport, Witness};
pub use segment::backend::{SegmentBackend, SegmentStats};
pub use segment::background::BackgroundStep;
pub use segment::listing::RunListing;
pub use segment::options::{BackgroundMode, Durability, SegmentBackendBuilder};
pub use segment::run_view::Visibility;
