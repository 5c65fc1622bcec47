//! The life of runs across processes: what an engine does at boot, before it opens a run of its own.

mod sweep;

pub use sweep::{PlannedRecovery, RecoveredRun, RecoveryOutcome, RecoverySweep, SweepProgress, UnreadableRun, recover_predecessors};
