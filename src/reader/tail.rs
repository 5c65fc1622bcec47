//! Waiting for what this process writes.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::error::EventStoreError;
use crate::model::{EventStoreEntry, ScanDirection};
use crate::reader::progress::{Progress, RunEnd};
use crate::reader::run_reader::RunReader;
use crate::store::segment::background::shared::Ending;
use crate::store::segment::run_view::ViewState;
use crate::store::{Check, EntryView, RecoveredState};

/// How long a wait goes on without a look whether the store has failed.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Shows the entries of a run one after the other, and waits for those to come. See [`RunReader::tail`].
///
/// A run at rest wakes its tails with the next batch. Under load they are woken once a millisecond, by a background
/// thread, so that they cost the appending thread nothing.
#[derive(Debug, Clone)]
pub struct Tail {
    reader: RunReader,
    next: u64,
    ended: Option<RunEnd>,
}

impl Tail {
    pub(crate) fn new(reader: RunReader, from: u64) -> Self {
        Self { reader, next: from.max(1), ended: None }
    }

    /// The next entry that will be shown.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.next
    }

    /// Lends `visit` every entry that is there, waiting up to `timeout` for the first one. If `visit` breaks off, the
    /// next visit begins behind the entry that it saw last.
    ///
    /// # Errors
    /// A damaged entry; the next visit meets it again.
    pub fn visit(
        &mut self,
        timeout: Duration,
        check: Check,
        mut visit: impl FnMut(EntryView<'_>) -> ControlFlow<()>,
    ) -> Result<Progress, EventStoreError> {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            // Whether it has ended is asked first: what came before the end is visible then.
            let end = self.end();
            let from = self.next;
            let next = &mut self.next;
            self.reader.visit(from.., ScanDirection::Forward, check, |view| {
                let seq = view.seq();
                let flow = visit(view);
                *next = seq + 1;
                flow
            })?;
            if self.next > from {
                return Ok(Progress::Shown(self.next - from));
            }
            if let Some(end) = end {
                self.ended = Some(end.clone());
                return Ok(Progress::Ended(end));
            }
            let left = deadline.map_or(LOOK_EVERY, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(Progress::Idle);
            }
            self.wait(left.min(LOOK_EVERY));
        }
    }

    /// The next entry, waiting up to `timeout` for it; none where none came in that time, or none will, as [`Tail::ended`]
    /// tells.
    ///
    /// # Errors
    /// As [`Tail::visit`].
    pub fn next_entry(&mut self, timeout: Duration) -> Result<Option<EventStoreEntry>, EventStoreError> {
        let mut found = Ok(None);
        self.visit(timeout, Check::Full, |view| {
            found = view.to_entry().map(Some);
            ControlFlow::Break(())
        })?;
        found
    }

    /// Why nothing more will come, once everything was shown.
    #[must_use]
    pub fn ended(&self) -> Option<&RunEnd> {
        self.ended.as_ref()
    }

    /// Why nothing more will be written, once that is so. There may be entries that were not shown yet.
    #[must_use]
    pub fn end(&self) -> Option<RunEnd> {
        match &self.reader.view.state {
            ViewState::Live(shared) => match shared.ending() {
                Some(Ending::Sealed(manifest)) => Some(RunEnd::Sealed(manifest.clone())),
                Some(Ending::Left) => Some(RunEnd::Left),
                None => shared.latch.check().err().map(RunEnd::Failed),
            },
            ViewState::Closed(facts) if facts.report.state == RecoveredState::Sealed || facts.manifest.is_sealed() => {
                Some(RunEnd::Sealed(Box::new(facts.manifest.clone())))
            }
            ViewState::Closed(facts) if facts.is_snapshot => Some(RunEnd::Snapshot),
            ViewState::Closed(_) => Some(RunEnd::Left),
        }
    }

    fn wait(&self, timeout: Duration) {
        if let ViewState::Live(shared) = &self.reader.view.state {
            shared.watchers.wait(timeout, || self.reader.high_watermark() >= self.next || self.end().is_some());
        }
    }
}
