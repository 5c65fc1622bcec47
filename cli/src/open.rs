//! Opening a run to look at it.

use std::ffi::OsStr;
use std::path::Path;

use tapelog::{EventStoreError, ReadPath, RecoveredState, SegmentBackend};

use crate::output::tell;

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
    check_run_folder(path)?;
    let store = SegmentBackend::builder(path).read_path(ReadPath::Positional).build()?.into_read_only(path)?;
    let sealed = store.recovery().is_some_and(|report| report.state == RecoveredState::Sealed);
    // All of a sealed run is proven.
    if sealed || shown == Shown::Proven { Ok(store) } else { SegmentBackend::open_written(path) }
}

/// Tells what was found of a run that did not end as it should.
pub fn tell_state(store: &SegmentBackend) {
    if let Some(report) = store.recovery().filter(|report| !matches!(report.state, RecoveredState::Sealed | RecoveredState::Clean)) {
        tell(report);
    }
}

/// A folder that holds no run is a mistake in the arguments, and no damage.
fn check_run_folder(path: &Path) -> Result<(), EventStoreError> {
    let files = std::fs::read_dir(path).map_err(|error| EventStoreError::from_io("open the run", path, &error))?;
    let of_a_run = |name: &OsStr| name == "MANIFEST" || Path::new(name).extension() == Some(OsStr::new("seg"));
    if files.flatten().any(|file| of_a_run(&file.file_name())) {
        return Ok(());
    }
    Err(EventStoreError::Backend(format!("{}: there is no run in this folder", path.display())))
}
