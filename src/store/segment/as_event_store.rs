//! The trait over the store: which run answers, and what a run of its kind refuses.

use std::ops::ControlFlow;

use crate::error::EventStoreError;
use crate::model::{AppendEntry, EventStoreEntry, IndexKind, RunManifest, RunStatus, ScanDirection, SnapshotAnchor};
use crate::store::rules;
use crate::store::segment::backend::{SegmentBackend, State};
use crate::store::segment::closed::Closed;
use crate::store::segment::run_view::Visibility;
use crate::store::{EncodedBatch, EventStore};

impl EventStore for SegmentBackend {
    fn open_run(&mut self, manifest: RunManifest) -> Result<(), EventStoreError> {
        match &self.state {
            State::Live(_) => return Err(EventStoreError::CrashedPredecessor),
            State::Closed(run) => match &run.closed {
                Closed::Recovered { .. } => return Err(EventStoreError::CrashedPredecessor),
                Closed::Sealed { by_path: true } => return Err(EventStoreError::Closed),
                Closed::ReadOnly => return Err(run.refuse_writes()),
                Closed::Sealed { by_path: false } => {}
            },
            State::Empty => {}
        }
        rules::check_manifest(&manifest)?;
        self.open_new(manifest)
    }

    fn append_batch(&mut self, entries: &[AppendEntry]) -> Result<u64, EventStoreError> {
        match &mut self.state {
            State::Empty => Err(EventStoreError::no_run_open()),
            State::Live(run) => run.append(entries),
            State::Closed(run) => Err(run.refuse_writes()),
        }
    }

    fn append_encoded(&mut self, batch: &mut EncodedBatch) -> Result<u64, EventStoreError> {
        match &mut self.state {
            State::Empty => Err(EventStoreError::no_run_open()),
            State::Live(run) => run.append_encoded(batch),
            State::Closed(run) => Err(run.refuse_writes()),
        }
    }

    fn sync_appended(&mut self) -> Result<u64, EventStoreError> {
        self.sync()
    }

    fn acknowledged(&self) -> Result<u64, EventStoreError> {
        if let State::Live(run) = &self.state {
            run.shared.latch.check()?;
        }
        self.high_watermark()
    }

    fn prepare_run(&mut self, manifest: &RunManifest) -> Result<(), EventStoreError> {
        if !matches!(self.state, State::Empty) {
            return Err(EventStoreError::Backend("this store has a run open; prepare the next one with a store of its own".to_owned()));
        }
        rules::check_manifest(manifest)?;
        self.prepare_new(manifest)
    }

    fn batch_len_preferred(&self) -> u64 {
        self.batch_len_in_segment()
    }

    fn spares_missed(&self) -> u64 {
        self.stats().spares_missed
    }

    fn scan_range(&self, from: u64, to: u64, direction: ScanDirection) -> Result<Vec<EventStoreEntry>, EventStoreError> {
        let to = to.min(self.high_watermark()?);
        if from == 0 || from > to {
            return Ok(Vec::new());
        }
        let mut entries = self.view()?.scan(from, to, ScanDirection::Forward)?;
        if direction == ScanDirection::Reverse {
            entries.reverse();
        }
        Ok(entries)
    }

    fn scan_seq(&self, seq: u64) -> Result<Option<EventStoreEntry>, EventStoreError> {
        Ok(self.scan_range(seq, seq, ScanDirection::Forward)?.pop())
    }

    fn scan_slots(&self, from: u64, to: u64) -> Result<Vec<EventStoreEntry>, EventStoreError> {
        self.scan_range(from, to, ScanDirection::Forward)
    }

    fn lookup(&self, kind: IndexKind, key: &str) -> Result<Option<u64>, EventStoreError> {
        self.view()?.lookup(kind.code(), key)
    }

    fn iter_index_keys(&self, kind: IndexKind) -> Result<Vec<(String, u64)>, EventStoreError> {
        let mut found = Vec::new();
        let view = self.view()?;
        let _ = view.for_each_first_key(kind.code(), view.bound(), |key, seq| {
            found.push((key.to_owned(), seq));
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    fn record_snapshot_anchor(&mut self, anchor: SnapshotAnchor) -> Result<(), EventStoreError> {
        match &mut self.state {
            State::Empty => Err(EventStoreError::no_run_open()),
            State::Live(run) => run.record_anchor(&anchor),
            State::Closed(run) => Err(run.refuse_writes()),
        }
    }

    fn latest_snapshot_anchor(&self) -> Result<Option<SnapshotAnchor>, EventStoreError> {
        self.view()?.latest_anchor(Visibility::Durable)
    }

    fn seal(&mut self, status: RunStatus) -> Result<(), EventStoreError> {
        if matches!(self.state, State::Empty) {
            return Err(EventStoreError::no_run_open());
        }
        rules::check_terminal(status)?;
        match &mut self.state {
            State::Live(_) => self.seal_live(status),
            State::Closed(run) => run.seal(&*self.storage, self.options, status),
            State::Empty => Err(EventStoreError::no_run_open()),
        }
    }

    fn manifest(&self) -> Result<RunManifest, EventStoreError> {
        Ok(self.view()?.manifest())
    }

    fn high_watermark(&self) -> Result<u64, EventStoreError> {
        match &self.state {
            State::Empty => Err(EventStoreError::no_run_open()),
            State::Live(run) => Ok(run.high_watermark()),
            State::Closed(run) => Ok(run.high_watermark()),
        }
    }
}
