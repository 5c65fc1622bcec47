//! The life of runs across processes: what an engine does at boot, what it writes its run with, and how it ends it.
//!
//! [`Lifecycle::builder`] is where an engine begins: its [`boot`](LifecycleBuilder::boot) seals what an earlier process
//! left running ([`sweep`](RecoverySweep)), its [`restore_plan`](Lifecycle::restore_plan) says from which snapshot and
//! with which entries the state is restored, and its [`open`](Lifecycle::open) begins a run and gives the
//! [`session`](RunSession) that writes it, rotates it and ends it.

mod boot;
mod entries;
mod housekeeping;
mod restore;
mod rotation;
mod session;
mod sweep;

pub use boot::{Lifecycle, LifecycleBuilder};
pub use entries::{RUN_ENDED_PAYLOAD_TYPE, RUN_ENDED_TOPIC, RUN_STARTED_PAYLOAD_TYPE, RUN_STARTED_TOPIC, registered_components};
pub use housekeeping::LowSpace;
pub use restore::{RestorePlan, SnapshotOfRun};
pub use rotation::RotationPolicy;
pub use session::{RunSession, SnapshotAnchorer};
pub use sweep::{
    PlannedRecovery, RecoveredRun, RecoveryOutcome, RecoverySweep, Resume, SweepDepth, SweepProgress, UnreadableRun, recover_predecessors,
};
