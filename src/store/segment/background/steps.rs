//! One step of each lane. A step answers whether there was something to do.

use std::collections::VecDeque;

use crate::error::EventStoreError;
use crate::limits::ORDINAL_MAX;
use crate::seeded_bug::{SeededBug, unless};
use crate::segment::index_build::index_files;
use crate::segment::spare::make_spare;
use crate::segment::window::Window;
use crate::store::reading::handles::binding;
use crate::store::segment::background::BackgroundStep;
use crate::store::segment::background::shared::{IndexJob, RunShared, lock};
use crate::store::segment::index_files::{IndexFailure, write_index_files};
use crate::store::segment::options::Durability;

impl RunShared {
    /// The steps that have something to do now.
    pub(crate) fn runnable(&self) -> Vec<BackgroundStep> {
        BackgroundStep::ALL.into_iter().filter(|step| self.is_runnable(*step)).collect()
    }

    fn is_runnable(&self, step: BackgroundStep) -> bool {
        match step {
            BackgroundStep::MakeSpare => self.shelf.wanted().is_some(),
            BackgroundStep::BuildIndex => self.index_is_due(),
            BackgroundStep::WriteWatermark => lock(&self.witness).written_commit_no < self.durable_commit_no(),
            BackgroundStep::SyncWatermark => {
                let witness = lock(&self.witness);
                witness.synced_commit_no < witness.written_commit_no
            }
            BackgroundStep::SyncWritten => lock(&self.unsynced).written.state.commit_no > self.durable_commit_no(),
        }
    }

    /// Does one step; false where there is nothing to do.
    ///
    /// # Errors
    /// A failure that closed the latch. A spare or an index that cannot be made is no error here.
    pub(crate) fn run(&self, step: BackgroundStep) -> Result<bool, EventStoreError> {
        self.latch.check()?;
        if !self.is_runnable(step) {
            return Ok(false);
        }
        match step {
            BackgroundStep::MakeSpare => self.make_spare()?,
            BackgroundStep::BuildIndex => self.build_index()?,
            BackgroundStep::WriteWatermark => self.write_watermark()?,
            BackgroundStep::SyncWatermark => self.sync_watermark()?,
            BackgroundStep::SyncWritten => self.sync_written()?,
        }
        Ok(true)
    }

    fn make_spare(&self) -> Result<(), EventStoreError> {
        let Some(ordinal) = self.shelf.wanted() else {
            return Ok(());
        };
        if ordinal > ORDINAL_MAX {
            let what = "the number of segments of a run";
            self.shelf.fail(EventStoreError::LimitExceeded { what, maximum: u64::from(ORDINAL_MAX), found: u64::from(ordinal) });
            return Ok(());
        }
        match make_spare(&*self.storage, &self.folder, self.identity.page(ordinal), self.options.segment_len) {
            Ok(spare) => self.shelf.put(spare),
            Err(failure) => {
                // Nothing can be appended without a segment: to the caller every cause is the disk's.
                let error = match failure.error {
                    disk @ EventStoreError::Disk(_) => disk,
                    other => EventStoreError::Disk(format!("no segment could be made ready: {other}")),
                };
                if failure.folder {
                    // Whoever waits for the spare is to find the latch closed.
                    self.latch.close(error.clone());
                }
                self.shelf.fail(error.clone());
                if failure.folder {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// The oldest job may be done once its segment is durable.
    fn index_is_due(&self) -> bool {
        self.is_due(&lock(&self.index_lane))
    }

    pub(crate) fn is_due(&self, lane: &VecDeque<IndexJob>) -> bool {
        let is_durable = |job: &IndexJob| job.last_commit_no <= self.durable_commit_no() || SeededBug::IndexBeforeDurability.is_on();
        lane.front().is_some_and(is_durable)
    }

    fn build_index(&self) -> Result<(), EventStoreError> {
        let Some(job) = lock(&self.index_lane).pop_front() else {
            return Ok(());
        };
        let Some(pending) = job.segment.pending.clone() else {
            return Ok(());
        };
        let result = if self.options.indexes { write_indexes(self, &job) } else { Ok(()) };
        match result {
            // What was in memory can go: the files are in place, or a reader makes it again.
            Ok(()) | Err(IndexFailure { folder: false, .. }) => {
                pending.done();
                Ok(())
            }
            Err(IndexFailure { error, folder: true }) => Err(self.latch.close(error)),
        }
    }

    pub(crate) fn write_watermark(&self) -> Result<(), EventStoreError> {
        let tip = self.durable();
        let mut witness = lock(&self.witness);
        if witness.written_commit_no >= tip.state.commit_no {
            return Ok(());
        }
        unless(SeededBug::WatermarkStuck, || witness.file.write(&self.identity, &tip))
            .map_err(|error| if SeededBug::WatermarkErrorNotLatched.is_on() { error } else { self.latch.close(error) })?;
        witness.written_commit_no = tip.state.commit_no;
        Ok(())
    }

    pub(crate) fn sync_watermark(&self) -> Result<(), EventStoreError> {
        let mut witness = lock(&self.witness);
        if witness.synced_commit_no >= witness.written_commit_no {
            return Ok(());
        }
        unless(SeededBug::WatermarkNotSynced, || witness.file.sync()).map_err(|error| self.latch.close(error))?;
        witness.synced_commit_no = witness.written_commit_no;
        Ok(())
    }

    /// Syncs what was written when the sync began, segment by segment, and publishes it.
    ///
    /// One at a time: of two syncs of one file at once only one is told of a failure, and the other would publish what
    /// is lost.
    pub(crate) fn sync_written(&self) -> Result<(), EventStoreError> {
        let _only = lock(&self.sync_gate);
        self.latch.check()?;
        let (written, segments, bytes) = {
            let unsynced = lock(&self.unsynced);
            (unsynced.written, unsynced.segments.clone(), unsynced.bytes)
        };
        let skipped = if SeededBug::OnlyNewestSegmentSynced.is_on() { segments.len().saturating_sub(1) } else { 0 };
        for segment in segments.iter().skip(skipped) {
            segment.sync().map_err(|error| self.latch.close(EventStoreError::from_io("sync", segment.path(), &error)))?;
        }
        let rolled = {
            let mut unsynced = lock(&self.unsynced);
            unsynced.bytes -= bytes;
            let waiting = unsynced.segments.len();
            // The newest segment stays: it may be written again.
            while unsynced.segments.front().is_some_and(|segment| segment.ordinal() < written.position.ordinal) {
                unsynced.segments.pop_front();
            }
            unsynced.segments.len() < waiting
        };
        self.publish(written);
        if rolled {
            self.ask(|signal| signal.sync_watermark = true);
        }
        self.wake_preparer();
        Ok(())
    }

    /// Whether appends leave their syncs to the background.
    pub(crate) fn is_buffered(&self) -> bool {
        matches!(self.options.durability, Durability::Buffered { .. })
    }
}

/// Writes both index files of a full segment.
fn write_indexes(shared: &RunShared, job: &IndexJob) -> Result<(), IndexFailure> {
    let Some(binding) = binding(&shared.identity, &job.segment) else {
        return Ok(());
    };
    let material = job.active.index_material();
    let files =
        job.active.with_image(job.segment.end, |image| index_files(&binding, &material, &mut Window::over_slice(image, job.active.path())));
    write_index_files(&*shared.storage, &shared.folder, job.segment.ordinal, &files?)
}
