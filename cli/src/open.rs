//! Opening a run to look at it.

use std::path::Path;

use tapelog::{EventStoreError, ReadPath, RecoveredState, SegmentBackend};

/// How much of a run that is not sealed is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// What is proven durable.
    Proven,
    /// Everything whole that is written.
    Written,
}

/// The run in the folder at `path`, whatever state it is in. Nothing is changed.
///
/// It is read without maps: a file that another process cuts short is an error and no signal.
///
/// # Errors
///
/// Why the run cannot be read.
pub fn open_run(path: &Path, shown: Shown) -> Result<SegmentBackend, EventStoreError> {
    let store = SegmentBackend::builder(path).read_path(ReadPath::Positional).build()?.into_read_only(path)?;
    let sealed = store.recovery().is_some_and(|report| report.state == RecoveredState::Sealed);
    // All of a sealed run is proven.
    if sealed || shown == Shown::Proven { Ok(store) } else { SegmentBackend::open_written(path) }
}
