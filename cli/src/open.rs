//! Opening a run to look at it.

use std::path::{Path, PathBuf};

use tapelog::{EventStoreError, ReadPath, ReaderOptions, RecoveredState, RecoveryReport, RunReader, SegmentBackend, Visibility};

use crate::exit::Verdict;
use crate::folder::{absolute, holds_instances, holds_run, holds_runs, runs_of};
use crate::output::tell;

/// How runs are read: without maps, so that a file that another process cuts short is an error and no signal.
pub fn reader_options(written: bool) -> ReaderOptions {
    let visibility = if written { Visibility::Written } else { Visibility::Durable };
    ReaderOptions { visibility, read_path: ReadPath::Positional }
}

/// A reader of the run in the folder at `path`, whatever state it is in. Nothing is changed.
///
/// # Errors
///
/// Why the run cannot be read.
pub fn open_reader(path: &Path, written: bool) -> Result<RunReader, EventStoreError> {
    check_run_folder(path)?;
    RunReader::open_with(named(path)?, reader_options(written))
}

/// The run in the folder at `path` as a store that shows what is proven durable. Nothing is changed.
///
/// # Errors
///
/// Why the run cannot be read.
pub fn open_store(path: &Path) -> Result<SegmentBackend, EventStoreError> {
    check_run_folder(path)?;
    SegmentBackend::open_read_only(named(path)?)
}

/// The folder as it was named, unless that says nothing of the run's id.
///
/// # Errors
///
/// When the folder cannot be found.
pub fn named(path: &Path) -> Result<PathBuf, EventStoreError> {
    if path.file_name().is_some() {
        return Ok(path.to_owned());
    }
    absolute(path).map_err(|error| EventStoreError::from_io("open the run", path, &error))
}

/// Tells what was found of a run that did not end as it should, and what that makes of the end.
pub fn tell_state(report: Option<&RecoveryReport>) -> Verdict {
    if let Some(report) = report.filter(|report| !matches!(report.state, RecoveredState::Sealed | RecoveredState::Clean)) {
        tell(report);
    }
    verdict_of(report)
}

/// What the state of a run makes of the end: damage to what was acknowledged is corruption, a torn tail is none.
pub fn verdict_of(report: Option<&RecoveryReport>) -> Verdict {
    let is_damaged = report.is_some_and(|report| report.state == RecoveredState::AcknowledgedDamage);
    if is_damaged { Verdict::Corrupt } else { Verdict::Done }
}

/// A folder that holds no run is a mistake in the arguments, and no damage. Where the run is to be found is told.
///
/// # Errors
///
/// When the folder at `path` holds no run, or cannot be listed.
pub fn check_run_folder(path: &Path) -> Result<(), EventStoreError> {
    if holds_run(path).map_err(|error| EventStoreError::from_io("open the run", path, &error))? {
        return Ok(());
    }
    let beside = if holds_runs(path) {
        let newest = runs_of(path).ok().and_then(|runs| runs.into_iter().next_back()).map(|run| path.join(run.run_id));
        let newest = newest.map(|newest| format!(", and its newest run is {}", newest.display())).unwrap_or_default();
        format!("; it is an instance{newest}")
    } else if holds_instances(path) {
        format!("; it holds instances, whose runs `tapelog ls {}` lists", path.display())
    } else {
        String::new()
    };
    Err(EventStoreError::Backend(format!("{}: there is no run in this folder{beside}", path.display())))
}
