//! One run, read beside its writer or from its files.

use std::ops::{Bound as RangeBound, ControlFlow, RangeBounds};
use std::path::{Path, PathBuf};

use crate::error::EventStoreError;
use crate::model::{EventStoreEntry, IndexKind, RunManifest, ScanDirection, SnapshotAnchor, UnixNanos};
use crate::reader::entries::Entries;
use crate::reader::resume::behind;
use crate::reader::tail::Tail;
use crate::seeded_bug::SeededBug;
use crate::store::segment::run_view::{RunView, ViewState};
use crate::store::{Check, EntryView, ReadPath, RecoveryReport, SegmentBackend, Visibility};

/// How the files of a run are opened for reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ReaderOptions {
    /// Which entries of a run that is not sealed are shown. Default: those that are durable.
    pub visibility: Visibility,
    /// How sealed segments are read. Those of a run that is not sealed, or that is damaged, are always read by position.
    /// Default: by position, so that whatever happens to the files is an error value.
    pub read_path: ReadPath,
}

/// Reads one run. Cheap to clone, and can be used on any number of threads beside the store that writes.
///
/// A reader of this process's own run sees it grow: [`SegmentBackend::reader`]. A reader of files sees them as they
/// were when it was opened; a [`Follower`](crate::Follower) sees them grow.
///
/// ```
/// use std::ops::ControlFlow;
/// use tapelog::{Check, RunManifest, RunReader, EventStore, RunStatus, ScanDirection, SegmentBackend};
///
/// let base = tempfile::tempdir()?;
/// let mut store = SegmentBackend::new(base.path());
/// store.open_run(RunManifest::new("1700000000000000000-0badcafe", "trader-001"))?;
/// let reader = store.reader()?;
/// let mut bytes = 0;
/// reader.visit(.., ScanDirection::Forward, Check::Full, |entry| {
///     bytes += entry.payload().len();
///     ControlFlow::<()>::Continue(())
/// })?;
/// store.seal(RunStatus::Ended)?;
/// let sealed = RunReader::open(base.path().join("trader-001/1700000000000000000-0badcafe"))?;
/// assert_eq!(sealed.high_watermark(), reader.high_watermark());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct RunReader {
    pub(crate) view: RunView,
    visibility: Visibility,
}

/// One segment of a run, as far as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentSummary {
    /// The segment's number, from 1.
    pub ordinal: u32,
    /// Its first entry.
    pub first_seq: u64,
    /// Its last entry; before `first_seq` where it holds none.
    pub last_seq: u64,
    /// Where its last commit ends, in bytes from its start.
    pub len: u64,
}

impl RunReader {
    /// Opens the run in a folder, or beside a MANIFEST, whatever state it is in, and changes nothing.
    ///
    /// # Errors
    /// As [`SegmentBackend::open_read_only`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, EventStoreError> {
        Self::open_with(path, ReaderOptions::default())
    }

    /// As [`RunReader::open`], with options.
    ///
    /// # Errors
    /// As [`SegmentBackend::open_read_only`].
    pub fn open_with(path: impl AsRef<Path>, options: ReaderOptions) -> Result<Self, EventStoreError> {
        let path = path.as_ref();
        let ReaderOptions { visibility, read_path } = options;
        let store = match (visibility, read_path) {
            (Visibility::Durable, ReadPath::Positional) => SegmentBackend::open_read_only(path)?,
            (Visibility::Written, ReadPath::Positional) => SegmentBackend::open_written(path)?,
            (_, ReadPath::Map) => SegmentBackend::open_mapped(path, visibility)?,
        };
        Ok(store.reader()?.with_visibility(visibility))
    }

    pub(crate) fn new(view: RunView) -> Self {
        let visibility = if SeededBug::ReaderShowsWritten.is_on() { Visibility::Written } else { Visibility::Durable };
        Self { view, visibility }
    }

    /// The same run, of which another part is shown. A reader of files goes on to show what it was opened with, see
    /// [`ReaderOptions`].
    #[must_use]
    pub fn with_visibility(self, visibility: Visibility) -> Self {
        Self { visibility, ..self }
    }

    /// Which entries are shown. Of a sealed run all are durable.
    #[must_use]
    pub fn visibility(&self) -> Visibility {
        match &self.view.state {
            ViewState::Live(_) => self.visibility,
            ViewState::Closed(facts) => facts.shown,
        }
    }

    /// The run's folder.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.view.set.folder().to_owned()
    }

    /// The run's manifest as it stands.
    #[must_use]
    pub fn manifest(&self) -> RunManifest {
        self.view.manifest()
    }

    /// The last entry that is shown: the last durable one, unless everything written is shown.
    #[must_use]
    pub fn high_watermark(&self) -> u64 {
        self.view.sample(self.visibility).0.seq
    }

    /// What opening the files found; nothing for a run that this process writes.
    #[must_use]
    pub fn recovery(&self) -> Option<&RecoveryReport> {
        match &self.view.state {
            ViewState::Live(_) => None,
            ViewState::Closed(facts) => Some(&facts.report),
        }
    }

    /// The segments that hold what is shown, the oldest first.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentSummary> {
        let bound = self.view.sample(self.visibility).0;
        let full = self.view.set.full();
        let last_full = full.last().map_or(0, |segment| segment.last_seq);
        let mut found: Vec<_> = full
            .iter()
            .filter(|segment| segment.first_seq <= bound.seq || segment.first_seq > segment.last_seq)
            .map(|segment| SegmentSummary {
                ordinal: segment.ordinal,
                first_seq: segment.first_seq,
                last_seq: segment.last_seq.min(bound.seq),
                len: segment.end,
            })
            .collect();
        // Only of a run that is being written the bound lies in a segment that is not full.
        if bound.position.ordinal > 0 && bound.seq > last_full {
            found.push(SegmentSummary {
                ordinal: bound.position.ordinal,
                first_seq: last_full + 1,
                last_seq: bound.seq,
                len: bound.position.offset,
            });
        }
        found
    }

    /// One entry; none where there is none with this number or it is not shown yet.
    ///
    /// # Errors
    /// `HashMismatch`, `Gap` or `Corrupted` where it is damaged, `Backend` and `Disk` where it cannot be read.
    pub fn entry(&self, seq: u64) -> Result<Option<EventStoreEntry>, EventStoreError> {
        let (bound, _) = self.view.sample(self.visibility);
        let mut found = Ok(None);
        let _ = self.view.visit((seq, seq), bound, ScanDirection::Forward, Check::Full, |view| {
            found = view.to_entry().map(Some);
            ControlFlow::Break(())
        })?;
        found
    }

    /// Lends the entries of a range to `visit`, in the order of `direction`, until it breaks off; answers with what.
    ///
    /// A visit takes no memory for an entry. What is shown was sampled before it began.
    ///
    /// # Errors
    /// The first damaged entry in that order: `HashMismatch`, `Gap` or `Corrupted`. Every entry before it was lent.
    /// `Backend` and `Disk` where a file cannot be read.
    pub fn visit<B>(
        &self,
        range: impl RangeBounds<u64>,
        direction: ScanDirection,
        check: Check,
        mut visit: impl FnMut(EntryView<'_>) -> ControlFlow<B>,
    ) -> Result<Option<B>, EventStoreError> {
        let (bound, _) = self.view.sample(self.visibility);
        let mut broken = None;
        let _ = self.view.visit(ends(range), bound, direction, check, |view| kept(visit(view), &mut broken))?;
        Ok(broken)
    }

    /// As [`RunReader::visit`], and goes on behind damage: `damaged` is told of it, and may break off too.
    ///
    /// # Errors
    /// What says nothing about a single entry: a file that cannot be read, or damage without a place.
    pub fn visit_intact<B>(
        &self,
        range: impl RangeBounds<u64>,
        direction: ScanDirection,
        check: Check,
        mut visit: impl FnMut(EntryView<'_>) -> ControlFlow<B>,
        mut damaged: impl FnMut(&EventStoreError) -> ControlFlow<B>,
    ) -> Result<Option<B>, EventStoreError> {
        let (mut from, to) = ends(range);
        let mut to = to.min(self.high_watermark());
        while from > 0 && from <= to {
            let error = match self.visit(from..=to, direction, check, &mut visit) {
                Ok(broken) => return Ok(broken),
                Err(error) => error,
            };
            let Some(next) = behind(&error, direction) else { return Err(error) };
            if let ControlFlow::Break(value) = damaged(&error) {
                return Ok(Some(value));
            }
            match direction {
                ScanDirection::Forward => from = next,
                ScanDirection::Reverse => to = next,
            }
        }
        Ok(None)
    }

    /// The entries of a range as values, read as they are asked for. What is shown was sampled before.
    ///
    /// A damaged entry is an item that is an error, and the items behind it follow.
    #[must_use]
    pub fn entries(&self, range: impl RangeBounds<u64>, direction: ScanDirection) -> Entries {
        let (from, to) = ends(range);
        Entries::new(self.clone(), from, to.min(self.high_watermark()), direction)
    }

    /// The first entry with a key: the one that had it first, whatever came later.
    ///
    /// # Errors
    /// `HashMismatch` where that entry is damaged, `Corrupted` where damage leaves open which one it is.
    pub fn lookup(&self, kind: IndexKind, key: &str) -> Result<Option<u64>, EventStoreError> {
        self.view.set.lookup(kind.code(), key, self.view.sample(self.visibility).0)
    }

    /// Every key of a kind with the first entry that has it, in the order of these entries, until `visit` breaks off.
    ///
    /// Remembers the keys it has seen: its memory grows with their number.
    ///
    /// # Errors
    /// `Corrupted` where an entry is damaged: it may have been the first with any key.
    pub fn for_each_index_key<B>(
        &self,
        kind: IndexKind,
        mut visit: impl FnMut(&str, u64) -> ControlFlow<B>,
    ) -> Result<Option<B>, EventStoreError> {
        let mut broken = None;
        let bound = self.view.sample(self.visibility).0;
        let _ = self.view.for_each_first_key(kind.code(), bound, |key, seq| kept(visit(key, seq), &mut broken))?;
        Ok(broken)
    }

    /// The first entry that came into being at `ts_init` or later. Times need not ascend: later entries may be earlier.
    ///
    /// # Errors
    /// An entry on the way that is damaged: it may have been the one.
    pub fn first_at_or_after(&self, ts_init: UnixNanos) -> Result<Option<u64>, EventStoreError> {
        self.view.set.first_at_or_after(ts_init.as_u64(), self.view.sample(self.visibility).0)
    }

    /// The newest snapshot anchor.
    ///
    /// # Errors
    /// `Corrupted` where it is damaged.
    pub fn latest_anchor(&self) -> Result<Option<SnapshotAnchor>, EventStoreError> {
        self.view.latest_anchor(self.visibility)
    }

    /// Every snapshot anchor that was recorded, the oldest first.
    ///
    /// # Errors
    /// `Corrupted` where damage hides whether there is one.
    pub fn anchors(&self) -> Result<Vec<SnapshotAnchor>, EventStoreError> {
        self.view.anchors(self.visibility)
    }

    /// Closes the files that are held open for reading, at most 64 with as many maps. They are opened again when they are
    /// needed; payloads that share a map keep it.
    pub fn close_files(&self) {
        self.view.set.close_files();
    }

    /// Waits for entries from `from` on, as this process writes them: for a reader that came from the store that writes
    /// the run, [`SegmentBackend::reader`]. `visibility` is then the tail's own.
    ///
    /// A reader of files shows what there was when it was opened, with the visibility that it was opened with, and ends
    /// with [`RunEnd::Snapshot`](crate::RunEnd::Snapshot) where the run was not sealed. What another process writes is
    /// shown by a [`Follower`](crate::Follower).
    #[must_use]
    pub fn tail(&self, from: u64, visibility: Visibility) -> Tail {
        let visibility = if SeededBug::TailShowsWritten.is_on() { Visibility::Written } else { visibility };
        Tail::new(self.clone().with_visibility(visibility), from)
    }
}

/// Keeps what a visitor broke off with.
fn kept<B>(flow: ControlFlow<B>, broken: &mut Option<B>) -> ControlFlow<()> {
    match flow {
        ControlFlow::Continue(()) => ControlFlow::Continue(()),
        ControlFlow::Break(value) => {
            *broken = Some(value);
            ControlFlow::Break(())
        }
    }
}

/// The first and the last number of a range; the last one is before the first where there is none.
fn ends(range: impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        RangeBound::Included(from) => Some(*from),
        RangeBound::Excluded(before) => before.checked_add(1),
        RangeBound::Unbounded => Some(1),
    };
    let to = match range.end_bound() {
        RangeBound::Included(to) => Some(*to),
        RangeBound::Excluded(behind) => behind.checked_sub(1),
        RangeBound::Unbounded => Some(u64::MAX),
    };
    // The number 0 is no entry's.
    from.zip(to).map_or((1, 0), |(from, to)| (from.max(1), to))
}

impl SegmentBackend {
    /// A reader of the open run that can be used beside this store, on any thread.
    ///
    /// # Errors
    /// `Backend` where no run is open.
    pub fn reader(&self) -> Result<RunReader, EventStoreError> {
        Ok(RunReader::new(self.view()?))
    }
}
