//! The run that this store writes: append, roll, anchors, and reading what is durable.

use std::collections::HashSet;
use std::sync::Arc;

use crate::error::EventStoreError;
use crate::format::anchor;
use crate::format::chain::Position;
use crate::format::frame::Kind;
use crate::format::key_index::key_hash;
use crate::io::Lock;
use crate::limits::BLOCK_LEN;
use crate::model::{AppendEntry, EventStoreEntry, RunManifest, RunStatus, SnapshotAnchor, UnixNanos};
use crate::seeded_bug::{SeededBug, unless};
use crate::segment::active::ActiveSegment;
use crate::segment::batch::{BatchBuffer, Claim, opening_frames};
use crate::segment::index_build::IndexLists;
use crate::segment::point_read::hop_to_entry;
use crate::segment::salvage::Salvage;
use crate::segment::spare::Spare;
use crate::segment::tip::{FIRST_FRAME, Tip};
use crate::store::reading::handles::{PendingIndex, ReadSegment, SEARCH_START};
use crate::store::reading::lookup::{prove, visit_keys};
use crate::store::reading::run_reader::{RunReader, read_anchor};
use crate::store::reading::segment_source::{SegmentBytes, SegmentSource};
use crate::store::rules;
use crate::store::segment::background::BackgroundStep;
use crate::store::segment::background::shared::{IndexJob, RunShared, lock};
use crate::store::segment::background::threads::Threads;
use crate::store::segment::options::BackgroundMode;

/// The run that is being written.
#[derive(Debug)]
pub(crate) struct LiveRun {
    pub(crate) shared: Arc<RunShared>,
    pub(crate) threads: Option<Threads>,
    /// Full segments.
    pub(crate) reader: RunReader,
    pub(crate) active: Option<Arc<ActiveSegment>>,
    /// The end of what is written; what is durable is in `shared`.
    written: Tip,
    batch: BatchBuffer,
    lists: IndexLists,
    sealed: bool,
    _lock: Lock,
}

impl LiveRun {
    /// Begins to write a run whose files were just made.
    pub(crate) fn begin(shared: RunShared, lock: Lock) -> Result<Self, EventStoreError> {
        let shared = Arc::new(shared);
        let threads = match shared.options.background {
            BackgroundMode::Threads => Some(Threads::start(&shared)?),
            BackgroundMode::Manual => None,
        };
        let options = shared.options;
        let reader = RunReader::new(
            shared.storage.clone(),
            shared.folder.clone(),
            shared.identity.clone(),
            options.read_path,
            options.index_spacing,
            Vec::new(),
        );
        Ok(Self {
            written: shared.identity.start(),
            threads,
            reader,
            active: None,
            batch: BatchBuffer::default(),
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

    /// The manifest as it stands: only the high-watermark moves while a run is open.
    pub(crate) fn manifest(&self) -> RunManifest {
        RunManifest { high_watermark: self.high_watermark(), ..self.shared.identity.manifest.clone() }
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

    /// Records an anchor: a batch of its own, synced before this returns in every durability.
    pub(crate) fn record_anchor(&mut self, snapshot: &SnapshotAnchor) -> Result<(), EventStoreError> {
        self.shared.latch.check()?;
        self.sync_all()?;
        rules::check_anchor(snapshot, self.high_watermark(), self.latest_anchor()?.as_ref())?;
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
        if let Some(full) = self.active.replace(Arc::new(active)) {
            self.retire(full);
        }
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

    /// Nothing more is written to a segment: it is read like every full one, and gets its indexes.
    fn retire(&mut self, full: Arc<ActiveSegment>) {
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
        self.reader.push(segment.clone());
        self.shared.queue_index(IndexJob { segment, active: full, last_commit_no: self.written.state.commit_no });
    }

    /// The active segment as one that is full: for the seal.
    pub(crate) fn take_last_segment(&mut self) {
        if let Some(active) = self.active.take() {
            self.retire(active);
        }
    }

    fn note_unsynced(&self, active: &Arc<ActiveSegment>, tip: Tip, bytes: u64) {
        let mut unsynced = lock(&self.shared.unsynced);
        unsynced.written = tip;
        unsynced.bytes += bytes;
        if unsynced.segments.back().is_none_or(|last| last.ordinal() != active.ordinal()) {
            unsynced.segments.push_back(active.clone());
        }
    }

    /// Waits until the batch can be written without passing the bound of unsynced bytes.
    fn wait_for_room(&self, frames_len: u64) -> Result<(), EventStoreError> {
        let bytes = lock(&self.shared.unsynced).bytes;
        if bytes > 0 && bytes + frames_len > self.shared.options.unsynced_len_max {
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

    /// The durable part of the active segment as bytes to read.
    fn with_active<T>(&self, read: impl FnOnce(&ActiveSegment, &SegmentSource<'_>) -> T) -> Option<T> {
        let active = self.active.as_ref()?;
        let durable = self.shared.durable();
        if durable.position.ordinal != active.ordinal() {
            return None;
        }
        let end = durable.position.offset;
        Some(active.with_image(end, |image| {
            let bytes = SegmentBytes::Image(image);
            let source = SegmentSource { path: active.path().to_owned(), salt: *active.salt(), end, bytes };
            read(active, &source)
        }))
    }

    /// The entries `from..=to`, ascending; `to` is at most the high-watermark.
    pub(crate) fn scan(&self, from: u64, to: u64) -> Result<Vec<EventStoreEntry>, EventStoreError> {
        let mut entries = Vec::new();
        let last_full = self.reader.last_seq().min(to);
        if from <= last_full {
            self.reader.scan(from, last_full, &mut entries)?;
        }
        let first = from.max(self.reader.last_seq() + 1);
        if first <= to {
            self.with_active(|active, source| scan_active(active, source, first, to, &mut entries))
                .unwrap_or(Err(EventStoreError::Gap { prev: first - 1, next: to + 1, missing: first }))?;
        }
        Ok(entries)
    }

    fn last_durable_in_full_segments(&self) -> u64 {
        self.reader.last_seq().min(self.high_watermark())
    }

    pub(crate) fn lookup(&self, kind: u8, key: &str) -> Result<Option<u64>, EventStoreError> {
        let in_full = self.reader.lookup(kind, key, self.last_durable_in_full_segments())?;
        if in_full.is_some() && !SeededBug::WrongFirstKey.is_on() {
            return Ok(in_full);
        }
        let found = self.with_active(|active, source| {
            let mut candidates = active.key_candidates(key_hash(active.salt(), kind, key));
            candidates.retain(|offset| *offset < source.end);
            if SeededBug::WrongFirstKey.is_on() {
                candidates.reverse();
            }
            prove(source, &candidates, kind, key)
        });
        Ok(found.transpose()?.flatten().or(in_full))
    }

    pub(crate) fn index_keys(&self, kind: u8) -> Result<Vec<(String, u64)>, EventStoreError> {
        let mut keys = FirstKeys::default();
        self.reader.for_each_key(kind, self.last_durable_in_full_segments(), |seq, key| keys.see(seq, key))?;
        let high_watermark = self.high_watermark();
        self.with_active(|active, source| {
            let none = || Ok(Arc::new(Salvage::default()));
            let entries = active.base().state.seq + 1..=high_watermark;
            visit_keys(source, none, kind, entries, &mut |seq, key| keys.see(seq, key))
        })
        .unwrap_or(Ok(()))?;
        Ok(keys.found)
    }

    pub(crate) fn latest_anchor(&self) -> Result<Option<SnapshotAnchor>, EventStoreError> {
        let Some(position) = self.shared.durable().state.anchor else {
            return Ok(None);
        };
        let in_active =
            self.with_active(|active, source| (active.ordinal() == position.ordinal).then(|| read_anchor(source, position.offset)));
        match in_active.flatten() {
            Some(anchor) => anchor.map(Some),
            None => self.reader.anchor_at(position).map(Some),
        }
    }

    /// The reader of a run that was sealed. The lock goes with the rest.
    pub(crate) fn into_reader(mut self) -> RunReader {
        self.sealed = true;
        let empty = RunReader::new(
            self.shared.storage.clone(),
            self.shared.folder.clone(),
            self.shared.identity.clone(),
            self.shared.options.read_path,
            self.shared.options.index_spacing,
            Vec::new(),
        );
        std::mem::replace(&mut self.reader, empty)
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
    }
}

fn scan_active(
    active: &ActiveSegment,
    source: &SegmentSource<'_>,
    from: u64,
    to: u64,
    entries: &mut Vec<EventStoreEntry>,
) -> Result<(), EventStoreError> {
    let mut window = source.scan_window();
    let mut offset = active.floor(from).map_or(SEARCH_START, |point| point.offset);
    for seq in from..=to {
        let found = hop_to_entry(&mut window, &source.salt, offset, source.end, seq)?;
        let found = found.ok_or(EventStoreError::Gap { prev: seq - 1, next: seq + 1, missing: seq })?;
        let (entry, end) = source.entry_at(&mut window, found, seq)?;
        entries.push(entry);
        offset = end;
    }
    Ok(())
}

/// The first occurrence of every key, in the order in which they are seen.
#[derive(Debug, Default)]
pub(crate) struct FirstKeys {
    seen: HashSet<String>,
    pub(crate) found: Vec<(String, u64)>,
}

impl FirstKeys {
    pub(crate) fn see(&mut self, seq: u64, key: &str) {
        if !self.seen.contains(key) {
            self.seen.insert(key.to_owned());
            self.found.push((key.to_owned(), seq));
        }
    }
}

/// Times of a manifest come from the chain, where 0 may mean that there is no entry.
pub(crate) fn end_ts_init(tip: &Tip) -> Option<UnixNanos> {
    (tip.state.seq > 0).then(|| UnixNanos::from(tip.state.max_ts_init))
}
