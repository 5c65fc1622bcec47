//! The boot sweep: every run that was left running is judged, read with its hashes and sealed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::entries::{is_run_ended, next_run, time_in};
use crate::error::EventStoreError;
use crate::io::{OsStorage, Storage};
use crate::model::{EventStoreEntry, RunId, RunManifest, RunStatus, UnixNanos};
use crate::observe;
use crate::store::{Depth, EventStore, RecoveryReport, RunListing, SegmentBackend};

/// How much of a run that was left running a sweep reads before it seals it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SweepDepth {
    /// All of it, with every hash: whatever is damaged in it is found.
    #[default]
    Full,
    /// What was written since the newest witness, and one look at each segment: a matter of milliseconds, however
    /// long the run is. What lies before was durable; whether it still is whole is found out when it is read or verified.
    Tail,
}

/// A run that the sweep sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveredRun {
    /// The run.
    pub run_id: RunId,
    /// What it was sealed as.
    pub status: RunStatus,
}

/// A run that the sweep could not read or seal. It is left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableRun {
    /// The run.
    pub run_id: RunId,
    /// Why.
    pub error: EventStoreError,
}

/// What a sweep did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecoveryOutcome {
    /// The runs that were sealed, by `start_ts_init`.
    pub recovered: Vec<RecoveredRun>,
    /// The last run that this sweep sealed as `CrashedRecovered`. A later sweep does not name it again; `resume` does.
    pub parent_run_id: Option<RunId>,
    /// Where an engine goes on, by the newest run and whatever sweep sealed it.
    pub resume: Resume,
    /// When the newest run began, as far as runs can be read: a new one begins behind it, whatever the clock says.
    pub newest_start_ts_init: Option<UnixNanos>,
    /// The runs that another process is writing. They are left alone.
    pub live: Vec<RunId>,
    /// The runs that could not be read or sealed. They stop neither the sweep nor the boot.
    pub unreadable: Vec<UnreadableRun>,
}

/// Where an engine goes on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Resume {
    /// Nowhere: there is no run, or the newest was ended.
    #[default]
    Anew,
    /// From this run: it broke off and is sealed, or it was ended to go on in another one that never began; and no run
    /// went on from it yet.
    From(RunId),
    /// Nobody can say: the newest run is of no use to go on from, and what was before it is not where the engine was.
    Unsafe {
        /// The run.
        run_id: RunId,
        /// Why, and what to do.
        reason: String,
    },
}

/// What a sweep would do with a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedRecovery {
    /// The run.
    pub run_id: RunId,
    /// Its folder.
    pub path: PathBuf,
    /// Another process is writing it: it would be left alone.
    pub live: bool,
    /// The status that it would be sealed with and what was found, or why it cannot be read.
    pub verdict: Result<(RunStatus, RecoveryReport), EventStoreError>,
}

/// How far a sweep has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepProgress<'a> {
    /// The run that is being read.
    pub run_id: &'a str,
    /// The bytes of it that were read.
    pub bytes_done: u64,
    /// The bytes of all its files: an upper bound of what will be read.
    pub bytes_total: u64,
}

/// Seals every run of an instance that was left running, as [`RecoverySweep::apply`] does.
///
/// # Errors
/// `InvalidId`, and where the instance's folder cannot be listed. A missing folder holds no runs.
pub fn recover_predecessors(base_dir: &Path, instance_id: &str) -> Result<RecoveryOutcome, EventStoreError> {
    RecoverySweep::new(base_dir, instance_id).apply()
}

/// A sweep over the runs of an instance.
///
/// Each run that was left running is read, by default from its first byte to its last, with every hash. It is
/// sealed as `Ended` if its last entry is the one by which a session ends, as `CrashedRecovered` if
/// it is clean otherwise, and as `Quarantined` if anything acknowledged is damaged. A run whose
/// lock is held is live and left alone.
pub struct RecoverySweep<'a> {
    base_dir: PathBuf,
    instance_id: String,
    storage: Arc<dyn Storage>,
    depth: SweepDepth,
    progress: Box<dyn FnMut(SweepProgress<'_>) + 'a>,
}

impl fmt::Debug for RecoverySweep<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("RecoverySweep");
        debug.field("base_dir", &self.base_dir).field("instance_id", &self.instance_id).finish_non_exhaustive()
    }
}

fn is_sealed(listing: &RunListing) -> bool {
    listing.manifest.as_ref().is_ok_and(RunManifest::is_sealed)
}

impl<'a> RecoverySweep<'a> {
    /// A sweep over the runs in `<base_dir>/<instance_id>`.
    pub fn new(base_dir: impl Into<PathBuf>, instance_id: &str) -> Self {
        Self {
            base_dir: base_dir.into(),
            instance_id: instance_id.to_owned(),
            storage: Arc::new(OsStorage),
            depth: SweepDepth::default(),
            progress: Box::new(|_| {}),
        }
    }

    /// Reads and seals over `storage` instead of the operating system's files.
    #[must_use]
    pub fn storage(mut self, storage: Arc<dyn Storage>) -> Self {
        self.storage = storage;
        self
    }

    fn store(&self) -> Result<SegmentBackend, EventStoreError> {
        SegmentBackend::builder(&self.base_dir).storage(self.storage.clone()).build()
    }

    /// How much is read; by default everything.
    #[must_use]
    pub fn depth(mut self, depth: SweepDepth) -> Self {
        self.depth = depth;
        self
    }

    /// Calls `progress` while runs are read, after every batch.
    #[must_use]
    pub fn progress(mut self, progress: impl FnMut(SweepProgress<'_>) + 'a) -> Self {
        self.progress = Box::new(progress);
        self
    }

    /// Judges every run that was left running, and changes nothing.
    ///
    /// # Errors
    /// As [`recover_predecessors`].
    pub fn plan(mut self) -> Result<Vec<PlannedRecovery>, EventStoreError> {
        let mut planned = Vec::new();
        for listing in self.listings()?.into_iter().filter(|listing| !is_sealed(listing)) {
            let verdict = match &listing.manifest {
                Err(error) => Err(error.clone()),
                Ok(_) => self.judge(&listing),
            };
            planned.push(PlannedRecovery { run_id: listing.run_id, path: listing.path, live: listing.live, verdict });
        }
        Ok(planned)
    }

    /// Seals every run that was left running. Files of a run that was prepared and never began are removed.
    ///
    /// # Errors
    /// As [`recover_predecessors`].
    pub fn apply(mut self) -> Result<RecoveryOutcome, EventStoreError> {
        let mut outcome = RecoveryOutcome::default();
        self.store()?.remove_unfounded(&self.instance_id)?;
        let listings = self.listings()?;
        for listing in &listings {
            if is_sealed(listing) {
                self.confirm_seal(listing, &mut outcome)?;
                continue;
            }
            if listing.live {
                outcome.live.push(listing.run_id.clone());
                continue;
            }
            match self.recover(listing) {
                Ok(status) => {
                    observe::run_recovered(&listing.run_id, &status);
                    if status == RunStatus::CrashedRecovered {
                        outcome.parent_run_id = Some(listing.run_id.clone());
                    }
                    outcome.recovered.push(RecoveredRun { run_id: listing.run_id.clone(), status });
                }
                // Somebody began to write it between the look and the lock.
                Err(EventStoreError::Locked { .. }) => outcome.live.push(listing.run_id.clone()),
                Err(error) => outcome.unreadable.push(UnreadableRun { run_id: listing.run_id.clone(), error }),
            }
        }
        outcome.resume = self.resume(&outcome)?;
        outcome.newest_start_ts_init = listings.iter().filter_map(|listing| Some(listing.manifest.as_ref().ok()?.start_ts_init)).max();
        Ok(outcome)
    }

    fn listings(&self) -> Result<Vec<RunListing>, EventStoreError> {
        self.store()?.runs_of(&self.instance_id)
    }

    /// What the newest run says, by when it began. Of one that cannot be read its id may tell that; where it does not, that
    /// run might be the newest.
    fn resume(&self, outcome: &RecoveryOutcome) -> Result<Resume, EventStoreError> {
        let listings = self.listings()?;
        let begun = |listing: &RunListing| match &listing.manifest {
            Ok(manifest) => manifest.start_ts_init.as_u64(),
            Err(_) => time_in(&listing.run_id).unwrap_or(u64::MAX),
        };
        let Some(newest) = listings.iter().max_by_key(|listing| (begun(listing), &listing.run_id)) else {
            return Ok(Resume::Anew);
        };
        let not_safe = |reason: String| Ok(Resume::Unsafe { run_id: newest.run_id.clone(), reason });
        if let Some(UnreadableRun { error, .. }) = outcome.unreadable.iter().find(|run| run.run_id == newest.run_id) {
            return not_safe(format!("it could not be sealed or read: {error}"));
        }
        match newest.manifest.as_ref().map(|manifest| manifest.status) {
            Ok(RunStatus::CrashedRecovered) => Ok(Resume::From(newest.run_id.clone())),
            Ok(RunStatus::Quarantined) => not_safe("acknowledged data in it is damaged; verify it, and decide".to_owned()),
            Ok(RunStatus::Running) => not_safe("another process, or another session of this one, is writing it".to_owned()),
            Ok(RunStatus::Ended) => {
                let next = self.last_entry(&newest.path).as_ref().and_then(next_run);
                let broke_off = next.is_some_and(|next| listings.iter().all(|listing| listing.run_id != next));
                Ok(if broke_off { Resume::From(newest.run_id.clone()) } else { Resume::Anew })
            }
            Err(error) => not_safe(format!("it cannot be read: {error}")),
        }
    }

    /// The last entry of a sealed run. What cannot be read is told when the run is read.
    fn last_entry(&self, folder: &Path) -> Option<EventStoreEntry> {
        let store = self.store().ok()?.into_read_only(folder).ok()?;
        store.scan_seq(store.high_watermark().ok()?).ok()?
    }

    /// A seal that was cut off at its very end is brought to it, so that no loss of power takes it back.
    fn confirm_seal(&self, listing: &RunListing, outcome: &mut RecoveryOutcome) -> Result<(), EventStoreError> {
        if let Err(error) = self.store()?.confirm_seal(&listing.path) {
            outcome.unreadable.push(UnreadableRun { run_id: listing.run_id.clone(), error });
        }
        Ok(())
    }

    fn recover(&mut self, listing: &RunListing) -> Result<RunStatus, EventStoreError> {
        if let Err(error) = &listing.manifest {
            return Err(error.clone());
        }
        let mut store = self.store()?;
        let Self { progress, .. } = self;
        let mut told = |bytes_done| progress(SweepProgress { run_id: &listing.run_id, bytes_done, bytes_total: listing.bytes });
        let depth = match self.depth {
            SweepDepth::Full => Depth::FullWithHashes,
            SweepDepth::Tail => Depth::Tail,
        };
        store.recover_run(&listing.path, depth, &mut told)?;
        let status = status_of(&store)?;
        store.seal(status)?;
        Ok(status)
    }

    fn judge(&mut self, listing: &RunListing) -> Result<(RunStatus, RecoveryReport), EventStoreError> {
        let store = self.store()?;
        let Self { progress, .. } = self;
        let mut told = |bytes_done| progress(SweepProgress { run_id: &listing.run_id, bytes_done, bytes_total: listing.bytes });
        let store = store.judge_run(&listing.path, listing.live, &mut told)?;
        let report = store.recovery().cloned().ok_or_else(EventStoreError::no_run_open)?;
        Ok((status_of(&store)?, report))
    }
}

/// What a run that was judged is sealed as.
fn status_of(store: &SegmentBackend) -> Result<RunStatus, EventStoreError> {
    let Some(report) = store.recovery() else {
        return Err(EventStoreError::no_run_open());
    };
    if report.state == crate::store::RecoveredState::AcknowledgedDamage || report.hash_mismatch.is_some() {
        return Ok(RunStatus::Quarantined);
    }
    let last = match store.high_watermark()? {
        0 => None,
        last => store.scan_seq(last)?,
    };
    let ended = last.as_ref().is_some_and(is_run_ended);
    Ok(if ended { RunStatus::Ended } else { RunStatus::CrashedRecovered })
}
