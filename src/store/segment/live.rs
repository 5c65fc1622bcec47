//! The run that this store writes: append, roll and anchors.

use std::sync::Arc;

use crate::error::EventStoreError;
use crate::format::anchor;
use crate::format::chain::Position;
use crate::format::frame::Kind;
use crate::io::Lock;
use crate::limits::BLOCK_LEN;
use crate::model::{AppendEntry, EntryHasher, RunStatus, SnapshotAnchor, ThreadHook, UnixNanos};
use crate::seeded_bug::{SeededBug, unless};
use crate::segment::active::ActiveSegment;
use crate::segment::batch::{BatchBuffer, Claim, opening_frames};
use crate::segment::index_build::IndexLists;
use crate::segment::spare::Spare;
use crate::segment::tip::{FIRST_FRAME, Tip};
use crate::store::encoded_batch::EncodedBatch;
use crate::store::reading::handles::{PendingIndex, ReadSegment};
use crate::store::reading::segment_set::SegmentSet;
use crate::store::rules;
use crate::store::segment::background::BackgroundStep;
use crate::store::segment::background::shared::{Ending, IndexJob, RunShared, lock};
use crate::store::segment::background::threads::Threads;
use crate::store::segment::options::BackgroundMode;
use crate::store::segment::run_view::{RunView, ViewState, Visibility};

/// The run that is being written.
#[derive(Debug)]
pub(crate) struct LiveRun {
    pub(crate) shared: Arc<RunShared>,
    pub(crate) threads: Option<Threads>,
    /// The segments, shared with readers.
    pub(crate) set: Arc<SegmentSet>,
    pub(crate) active: Option<Arc<ActiveSegment>>,
    /// The end of what is written; what is durable is in `shared`.
    written: Tip,
    batch: BatchBuffer,
    hasher: EntryHasher,
    lists: IndexLists,
    sealed: bool,
    _lock: Lock,
}

impl LiveRun {
    /// Begins to write a run whose files were just made.
    pub(crate) fn begin(shared: RunShared, lock: Lock, hook: &ThreadHook) -> Result<Self, EventStoreError> {
        let shared = Arc::new(shared);
        let threads = match shared.options.background {
            BackgroundMode::Threads => Some(Threads::start(&shared, hook)?),
            BackgroundMode::Manual => None,
        };
        let options = shared.options;
        let set = SegmentSet::new(
            shared.storage.clone(),
            shared.folder.clone(),
            shared.identity.clone(),
            options.own_read_path(),
            options.index_spacing,
            Vec::new(),
        );
        Ok(Self {
            written: shared.identity.start(),
            threads,
            set: Arc::new(set),
            active: None,
            batch: BatchBuffer::default(),
            hasher: EntryHasher::default(),
            lists: IndexLists::new(options.index_spacing),
            sealed: false,
            _lock: lock,
            shared,
        })
    }

    /// The last entry that is written, durable or not.
    pub(crate) fn written_seq(&self) -> u64 {
        self.written.state.seq
    }

    pub(crate) fn high_watermark(&self) -> u64 {
        self.shared.durable().state.seq
    }

    /// The run as a reader sees it.
    pub(crate) fn view(&self) -> RunView {
        RunView { set: self.set.clone(), state: ViewState::Live(self.shared.clone()) }
    }

    /// Appends a batch and returns the high-watermark behind it.
    pub(crate) fn append(&mut self, entries: &[AppendEntry]) -> Result<u64, EventStoreError> {
        self.shared.latch.check()?;
        rules::check_append(RunStatus::Running, self.written.state.seq, entries)?;
        if entries.is_empty() {
            return Ok(self.high_watermark());
        }
        self.batch.clear();
        for entry in entries {
            self.batch.push_entry(entry);
        }
        self.commit()?;
        Ok(self.high_watermark())
    }

    /// Appends a batch that was laid out elsewhere and returns the high-watermark behind it.
    pub(crate) fn append_encoded(&mut self, batch: &mut EncodedBatch) -> Result<u64, EventStoreError> {
        self.shared.latch.check()?;
        if batch.is_empty() {
            return Ok(self.high_watermark());
        }
        let (last, first) = (self.written.state.seq, batch.first_seq());
        if last.checked_add(1) != Some(first) {
            return Err(EventStoreError::OutOfOrder { high_watermark: last, seq: first });
        }
        batch.buffer.stamp_hashes(first, &mut self.hasher);
        // The batch's own buffer is what is stamped and written; afterwards both have their memory back.
        std::mem::swap(&mut self.batch, &mut batch.buffer);
        let committed = self.commit();
        std::mem::swap(&mut self.batch, &mut batch.buffer);
        committed?;
        Ok(self.high_watermark())
    }

    /// Records an anchor: a batch of its own, synced before this returns in every durability.
    pub(crate) fn record_anchor(&mut self, snapshot: &SnapshotAnchor) -> Result<(), EventStoreError> {
        self.shared.latch.check()?;
        self.sync_all()?;
        rules::check_anchor(snapshot, self.high_watermark(), self.view().latest_anchor(Visibility::Durable)?.as_ref())?;
        let body = anchor::encode_body(&self.shared.identity.uid, snapshot)?;
        self.batch.clear();
        self.batch.push_record(Kind::ANCHOR, &body);
        self.commit()?;
        unless(SeededBug::AnchorNotSyncedWhenBuffered, || self.sync_all())
    }

    /// Writes the batch that was laid out, and makes it durable unless the run is buffered.
    fn commit(&mut self) -> Result<(), EventStoreError> {
        let before = self.written;
        let frames_len = self.batch.frames_len();
        if self.shared.is_buffered() {
            self.wait_for_room(frames_len)?;
        }
        let opening = self.make_room(frames_len)?;
        let Some(active) = self.active.clone() else {
            return Err(EventStoreError::Backend("no segment is being written".to_owned()));
        };
        let start = opening.as_ref().map_or(before.position.offset, |_| FIRST_FRAME);
        let opening = opening.unwrap_or_default();
        let position = Position { ordinal: active.ordinal(), offset: start + opening.len() as u64 };
        let durable = if SeededBug::ClaimOfWritten.is_on() { before } else { self.shared.durable() };
        let claim = Claim { commit_no: durable.state.commit_no, seq: durable.state.seq };
        self.lists.clear();
        let state = self.batch.stamp(active.salt(), position, &before.state, claim, Some(&mut self.lists));
        let end = position.offset + self.batch.bytes().len() as u64;
        let tip = Tip { state, position: Position { ordinal: active.ordinal(), offset: end } };

        let latch = |doing: &'static str| {
            let shared = &self.shared;
            let path = active.path();
            move |error: std::io::Error| shared.latch.close(EventStoreError::from_io(doing, path, &error))
        };
        active.write(start, &[&opening, self.batch.bytes()]).map_err(latch("write"))?;
        if SeededBug::WatermarkBeforeSync.is_on() {
            lock(&self.shared.witness).file.write(&self.shared.identity, &tip)?;
        }
        if SeededBug::BufferedAcknowledgesWritten.is_on() && self.shared.is_buffered() {
            self.shared.publish(tip);
        }
        if self.shared.is_buffered() {
            active.note(&self.lists);
            self.written = tip;
            self.note_unsynced(&active, tip, end - start);
            return Ok(());
        }
        unless(SeededBug::AcknowledgeBeforeSync, || active.sync()).map_err(latch("sync"))?;
        active.note(&self.lists);
        self.written = tip;
        self.shared.publish(tip);
        if !opening.is_empty() {
            self.shared.ask(|signal| signal.sync_watermark = true);
        }
        Ok(())
    }

    /// Sees to it that the batch fits the active segment; answers the frames that begin a new one.
    fn make_room(&mut self, frames_len: u64) -> Result<Option<Vec<u8>>, EventStoreError> {
        let end = self.written.position.offset;
        if self.active.as_ref().is_some_and(|active| end + frames_len <= active.len()) {
            return Ok(None);
        }
        let identity = self.shared.identity.clone();
        let mut spare = self.take_spare()?;
        let opening = opening_frames(&spare.page.salt(), spare.page.ordinal, &self.written, &identity.opening);
        let needed = (FIRST_FRAME + opening.len() as u64 + frames_len).next_multiple_of(BLOCK_LEN);
        if needed > spare.len {
            let path = spare.path.clone();
            ActiveSegment::extend_spare(&mut spare, needed)
                .map_err(|error| self.shared.latch.close(EventStoreError::from_io("extend", &path, &error)))?;
        }
        let active =
            ActiveSegment::activate(spare, self.written, self.shared.options.sync_path).map_err(|error| self.shared.latch.close(error))?;
        let active = Arc::new(active);
        let full = self.active.replace(active.clone());
        self.advance(full, Some(active));
        self.lists = IndexLists::new(self.shared.options.index_spacing);
        Ok(Some(opening))
    }

    /// The next spare. Where the caller drains the steps, one is made on the spot.
    fn take_spare(&self) -> Result<Spare, EventStoreError> {
        let spares = &self.shared.shelf;
        if let Some(spare) = spares.try_take() {
            self.shared.wake_preparer();
            return Ok(spare);
        }
        spares.note_missed();
        if self.threads.is_none() {
            self.shared.run(BackgroundStep::MakeSpare)?;
        }
        self.shared.wake_preparer();
        let taken = spares.take();
        // Whatever ended the wait, a closed latch is the reason to tell.
        self.shared.latch.check()?;
        self.shared.wake_preparer();
        taken
    }

    /// Nothing more is written to a segment: it is read like every full one, and gets its indexes. Another one, if
    /// any, is written from now on.
    fn advance(&self, full: Option<Arc<ActiveSegment>>, active: Option<Arc<ActiveSegment>>) {
        let full = full.map(|full| {
            let segment = ReadSegment {
                ordinal: full.ordinal(),
                chained: true,
                base: Some(*full.base()),
                first_seq: full.base().state.seq + 1,
                last_seq: self.written.state.seq,
                end: self.written.position.offset,
                end_root: Some(self.written.state.root),
                pending: Some(Arc::new(PendingIndex::new(full.clone()))),
            };
            (segment, full)
        });
        self.set.advance(full.as_ref().map(|(segment, _)| segment.clone()), active);
        if let Some((segment, active)) = full {
            self.shared.queue_index(IndexJob { segment, active, last_commit_no: self.written.state.commit_no });
        }
    }

    /// The active segment as one that is full: for the seal.
    pub(crate) fn take_last_segment(&mut self) {
        let last = self.active.take();
        if last.is_some() {
            self.advance(last, None);
        }
    }

    fn note_unsynced(&self, active: &Arc<ActiveSegment>, tip: Tip, bytes: u64) {
        let mut unsynced = lock(&self.shared.unsynced);
        unsynced.written = tip;
        unsynced.bytes += bytes;
        if unsynced.segments.back().is_none_or(|last| last.ordinal() != active.ordinal()) {
            unsynced.segments.push_back(active.clone());
        }
        drop(unsynced);
        self.shared.watchers.wake();
    }

    /// Waits until the batch can be written without passing the bound of unsynced bytes.
    fn wait_for_room(&self, frames_len: u64) -> Result<(), EventStoreError> {
        let bytes = lock(&self.shared.unsynced).bytes;
        if bytes > 0 && bytes + frames_len > self.shared.options.unsynced_len_max {
            if SeededBug::UnsyncedBoundPublishesWritten.is_on() {
                self.shared.publish(self.written);
                lock(&self.shared.unsynced).bytes = 0;
                return Ok(());
            }
            self.sync_all()?;
        }
        Ok(())
    }

    /// Makes everything durable that is written. One thread syncs: where there are threads, the
    /// witness does it and this waits.
    pub(crate) fn sync_all(&self) -> Result<(), EventStoreError> {
        if self.written.state.commit_no <= self.shared.durable_commit_no() {
            return Ok(());
        }
        if self.threads.is_some() {
            self.shared.ask(|signal| signal.sync_written = true);
            self.shared.wait_durable(self.written.state.commit_no)
        } else {
            self.shared.run(BackgroundStep::SyncWritten).map(|_| ())
        }
    }

    /// The segments of a run that was sealed. The lock goes with the rest.
    pub(crate) fn into_set(mut self) -> Arc<SegmentSet> {
        self.sealed = true;
        self.set.clone()
    }

    /// The end of what is written.
    pub(crate) fn written(&self) -> &Tip {
        &self.written
    }
}

impl Drop for LiveRun {
    fn drop(&mut self) {
        // A close without a seal leaves the run `Running`. What is durable is witnessed once more, so
        // that less is ambiguous when it is opened again; if that fails, recovery copes.
        if !self.sealed && self.shared.latch.check().is_ok() {
            let _ = self.sync_all();
            if let Some(threads) = self.threads.as_mut() {
                threads.stop();
            }
            let _ = self.shared.write_watermark().and_then(|()| self.shared.sync_watermark());
        }
        self.shared.end(Ending::Left);
    }
}

/// Times of a manifest come from the chain, where 0 may mean that there is no entry.
pub(crate) fn end_ts_init(tip: &Tip) -> Option<UnixNanos> {
    (tip.state.seq > 0).then(|| UnixNanos::from(tip.state.max_ts_init))
}
