//! Reading runs: one's own while it is written, another process's, a sealed one from last year.
//!
//! [`RunReader`] reads one run beside its writer: entries lent without a copy or as values, in both
//! directions, by number, key and time. [`Tail`] waits for what this process writes, [`Follower`] for what
//! another one does. [`RunChain`] is a run with its ancestors as one history, and [`ChainFollower`] goes on
//! in its children. [`EventStoreReader`] reads whatever keeps the trait [`EventStore`](crate::EventStore).

mod chain;
mod chain_follower;
mod entries;
mod event_store_reader;
mod follower;
mod following;
mod progress;
mod resume;
mod run_reader;
mod tail;

pub use chain::{ChainRun, RunChain};
pub use chain_follower::ChainFollower;
pub use entries::Entries;
pub use event_store_reader::{DEFAULT_SCAN_CHUNK_SIZE, EventStoreReader, RangeScan, SnapshotReplayPlan};
pub use follower::{FollowOptions, Follower};
pub use progress::{Progress, RunEnd};
pub use run_reader::{ReaderOptions, RunReader, SegmentSummary};
pub use tail::Tail;
