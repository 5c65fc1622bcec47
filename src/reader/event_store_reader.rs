//! Reading through the trait: what an engine restores from, whatever store it has.

use std::collections::VecDeque;
use std::fmt;

use crate::error::{Corruption, EventStoreError};
use crate::model::{EventStoreEntry, IndexKind, RunManifest, ScanDirection, SnapshotAnchor};
use crate::store::EventStore;

/// How many numbers a scan asks a store for at a time, unless it is told otherwise.
pub const DEFAULT_SCAN_CHUNK_SIZE: u64 = 1024;

/// What has to be replayed behind the newest snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotReplayPlan {
    /// The newest snapshot; without one everything is replayed.
    pub anchor: Option<SnapshotAnchor>,
    /// The first entry to replay: the one behind the snapshot, or 1.
    pub from_seq: u64,
    /// The last entry to replay: the high-watermark.
    pub to_seq: u64,
}

impl SnapshotReplayPlan {
    /// Whether the snapshot covers everything.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.from_seq > self.to_seq
    }
}

/// Reads a run through any store.
///
/// Over a run on disk it takes a store that was opened for reading, in whatever state the run is:
/// `EventStoreReader::new(SegmentBackend::open_read_only(path)?)`. [`RunReader`](crate::RunReader) reads the same without
/// a copy.
///
/// ```
/// use tapelog::{EventStore, EventStoreReader, MemoryBackend, RunManifest, ScanDirection};
///
/// let mut store = MemoryBackend::new();
/// store.open_run(RunManifest::new("1700000000000000000-0badcafe", "trader-001"))?;
/// let reader = EventStoreReader::new(store);
/// assert_eq!(reader.scan_range(1, u64::MAX, ScanDirection::Reverse).count(), 0);
/// # Ok::<(), tapelog::EventStoreError>(())
/// ```
#[derive(Debug, Clone)]
pub struct EventStoreReader<B> {
    backend: B,
}

impl<B: EventStore> EventStoreReader<B> {
    /// A reader of the run that `backend` has open.
    #[must_use]
    pub const fn new(backend: B) -> Self {
        Self { backend }
    }

    /// The run's manifest.
    ///
    /// # Errors
    /// Those of [`EventStore::manifest`].
    pub fn manifest(&self) -> Result<RunManifest, EventStoreError> {
        self.backend.manifest()
    }

    /// The last durable entry.
    ///
    /// # Errors
    /// Those of [`EventStore::high_watermark`].
    pub fn high_watermark(&self) -> Result<u64, EventStoreError> {
        self.backend.high_watermark()
    }

    /// One entry; none past the high-watermark.
    ///
    /// # Errors
    /// Those of [`EventStore::scan_seq`].
    pub fn scan_seq(&self, seq: u64) -> Result<Option<EventStoreEntry>, EventStoreError> {
        self.backend.scan_seq(seq)
    }

    /// The first entry that brought a key.
    ///
    /// # Errors
    /// Those of [`EventStore::lookup`].
    pub fn lookup(&self, kind: IndexKind, key: &str) -> Result<Option<u64>, EventStoreError> {
        self.backend.lookup(kind, key)
    }

    /// The newest snapshot anchor.
    ///
    /// # Errors
    /// Those of [`EventStore::latest_snapshot_anchor`].
    pub fn latest_snapshot_anchor(&self) -> Result<Option<SnapshotAnchor>, EventStoreError> {
        self.backend.latest_snapshot_anchor()
    }

    /// What an engine replays that starts from the newest snapshot.
    ///
    /// # Errors
    /// [`EventStoreError::Corrupted`] where the snapshot lies past the high-watermark, and what the store answers.
    pub fn snapshot_replay_plan(&self) -> Result<SnapshotReplayPlan, EventStoreError> {
        let anchor = self.backend.latest_snapshot_anchor()?;
        let to_seq = self.backend.high_watermark()?;
        let covered = anchor.as_ref().map_or(0, |anchor| anchor.high_watermark);
        if covered > to_seq {
            let corruption = Corruption {
                seq: Some(covered),
                expected: format!("a snapshot anchor up to the high-watermark {to_seq}"),
                found: format!("one at {covered}"),
                ..Corruption::default()
            };
            return Err(corruption.advise("verify the run, and restore from an older snapshot").into());
        }
        Ok(SnapshotReplayPlan { anchor, from_seq: covered.saturating_add(1), to_seq })
    }

    /// The plan, and the entries behind the snapshot.
    ///
    /// # Errors
    /// As [`EventStoreReader::snapshot_replay_plan`].
    pub fn scan_snapshot_replay_tail(&self) -> Result<(SnapshotReplayPlan, RangeScan<'_>), EventStoreError> {
        let plan = self.snapshot_replay_plan()?;
        let scan = self.scan_range(plan.from_seq, plan.to_seq, ScanDirection::Forward);
        Ok((plan, scan))
    }

    /// The entries from `from` to `to`, both inclusive, read as they are asked for. `u64::MAX` is the last there is,
    /// in both directions. Entries are numbered from 1: as by [`EventStore::scan_range`], a range from 0 on is empty.
    ///
    /// Every entry before the first that is damaged comes out, then the error, then nothing more.
    #[must_use]
    pub fn scan_range(&self, from: u64, to: u64, direction: ScanDirection) -> RangeScan<'_> {
        self.scan_range_chunked(from, to, direction, DEFAULT_SCAN_CHUNK_SIZE)
    }

    /// As [`EventStoreReader::scan_range`], with `chunk_size` numbers asked for at a time, and at least one.
    #[must_use]
    pub fn scan_range_chunked(&self, from: u64, to: u64, direction: ScanDirection, chunk_size: u64) -> RangeScan<'_> {
        RangeScan {
            backend: &self.backend,
            from,
            to,
            direction,
            chunk_size: chunk_size.max(1),
            is_clipped: direction == ScanDirection::Forward,
            is_done: from == 0 || from > to,
            chunk: VecDeque::new(),
        }
    }

    /// The store.
    #[must_use]
    pub fn into_inner(self) -> B {
        self.backend
    }

    /// The store.
    #[must_use]
    pub const fn backend(&self) -> &B {
        &self.backend
    }
}

/// The entries of a range, read from a store a chunk at a time. Whatever comes before the first error comes out, and the
/// error is the last item.
pub struct RangeScan<'a> {
    backend: &'a dyn EventStore,
    /// What is still to be asked for.
    from: u64,
    to: u64,
    direction: ScanDirection,
    chunk_size: u64,
    /// Whether `to` lies within the run, as it has to before a scan backwards begins there.
    is_clipped: bool,
    is_done: bool,
    chunk: VecDeque<EventStoreEntry>,
}

impl fmt::Debug for RangeScan<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RangeScan")
            .field("from", &self.from)
            .field("to", &self.to)
            .field("direction", &self.direction)
            .field("chunk_size", &self.chunk_size)
            .field("is_done", &self.is_done)
            .field("waiting", &self.chunk.len())
            .finish_non_exhaustive()
    }
}

impl RangeScan<'_> {
    fn read_chunk(&mut self) -> Result<(), EventStoreError> {
        if !self.is_clipped {
            self.to = self.to.min(self.backend.high_watermark()?);
            self.is_clipped = true;
            if self.to < self.from {
                self.is_done = true;
                return Ok(());
            }
        }
        let step = self.chunk_size - 1;
        let (from, to) = match self.direction {
            ScanDirection::Forward => (self.from, self.from.saturating_add(step).min(self.to)),
            ScanDirection::Reverse => (self.to.saturating_sub(step).max(self.from), self.to),
        };
        let entries = match self.backend.scan_range(from, to, self.direction) {
            // A store answers with all that was asked for or with an error: what is whole comes out in smaller pieces.
            Err(_) if from < to => {
                self.chunk_size = ((to - from) / 2).saturating_add(1);
                return Ok(());
            }
            answer => answer?,
        };
        // A store leaves out what lies past its high-watermark: behind an empty chunk there is nothing.
        self.is_done = entries.is_empty() || (from <= self.from && to >= self.to);
        match self.direction {
            ScanDirection::Forward => self.from = to.saturating_add(1),
            ScanDirection::Reverse => self.to = from.saturating_sub(1),
        }
        self.chunk.extend(entries);
        Ok(())
    }
}

impl Iterator for RangeScan<'_> {
    type Item = Result<EventStoreEntry, EventStoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.chunk.pop_front() {
                return Some(Ok(entry));
            }
            if self.is_done {
                return None;
            }
            if let Err(error) = self.read_chunk() {
                self.is_done = true;
                return Some(Err(error));
            }
        }
    }
}

impl std::iter::FusedIterator for RangeScan<'_> {}
