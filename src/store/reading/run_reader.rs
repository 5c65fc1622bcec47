//! Scans over all segments of a run that nobody writes any more.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Corruption, EventStoreError};
use crate::format::anchor;
use crate::format::chain::Position;
use crate::format::frame::Kind;
use crate::io::Storage;
use crate::model::{EventStoreEntry, SnapshotAnchor};
use crate::segment::point_read::hop_to_entry;
use crate::segment::walk::{FrameStep, frame_at};
use crate::segment::window::Window;
use crate::store::reading::handles::{Handle, HandleContext, Handles, ReadSegment, SEARCH_START};
use crate::store::reading::segment_source::{ReadPath, SegmentSource};
use crate::store::run_files::RunIdentity;

/// Reads the segments of one run.
#[derive(Debug)]
pub(crate) struct RunReader {
    storage: Arc<dyn Storage>,
    folder: PathBuf,
    identity: Arc<RunIdentity>,
    read_path: ReadPath,
    spacing: u64,
    segments: Vec<ReadSegment>,
    /// Of a damaged run: the number up to which entries were acknowledged.
    salvaged_to: Option<u64>,
    handles: Handles,
}

impl RunReader {
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        folder: PathBuf,
        identity: Arc<RunIdentity>,
        read_path: ReadPath,
        spacing: u64,
        segments: Vec<ReadSegment>,
    ) -> Self {
        Self { storage, folder, identity, read_path, spacing, segments, salvaged_to: None, handles: Handles::default() }
    }

    /// A reader of a damaged run: by position, and past what is damaged.
    pub(crate) fn damaged(mut self, acknowledged_seq: u64) -> Self {
        self.read_path = ReadPath::Positional;
        self.salvaged_to = Some(acknowledged_seq);
        self
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn identity(&self) -> &Arc<RunIdentity> {
        &self.identity
    }

    pub(crate) fn segments(&self) -> &[ReadSegment] {
        &self.segments
    }

    /// Adds a segment that has become full.
    pub(crate) fn push(&mut self, segment: ReadSegment) {
        self.segments.push(segment);
    }

    /// Forgets open files, because the seal cut the last one.
    pub(crate) fn close_files(&self) {
        self.handles.clear();
    }

    pub(crate) fn context(&self) -> HandleContext<'_> {
        HandleContext {
            storage: &*self.storage,
            folder: &self.folder,
            identity: &self.identity,
            read_path: self.read_path,
            spacing: self.spacing,
        }
    }

    pub(crate) fn handle(&self, segment: &ReadSegment) -> Result<Arc<Handle>, EventStoreError> {
        self.handles.get(&self.context(), segment)
    }

    /// The last number in these segments.
    pub(crate) fn last_seq(&self) -> u64 {
        self.segments.iter().map(|segment| segment.last_seq).max().unwrap_or_default()
    }

    /// The entries `from..=to`, ascending, appended to `entries`. All of them are at or below the
    /// high-watermark of the caller.
    ///
    /// # Errors
    /// The first entry that is damaged or cannot be reached.
    pub(crate) fn scan(&self, from: u64, to: u64, entries: &mut Vec<EventStoreEntry>) -> Result<(), EventStoreError> {
        let mut next = from;
        while next <= to {
            let Some(segment) = self.segment_of(next) else {
                return Err(self.gap(next, to)?);
            };
            let last = segment.last_seq.min(to);
            self.scan_segment(segment, next, last, to, entries)?;
            next = last + 1;
        }
        Ok(())
    }

    fn segment_of(&self, seq: u64) -> Option<&ReadSegment> {
        let index = self.segments.partition_point(|segment| segment.last_seq < seq);
        self.segments.get(index).filter(|segment| segment.first_seq <= seq)
    }

    fn scan_segment(
        &self,
        segment: &ReadSegment,
        from: u64,
        last: u64,
        to: u64,
        entries: &mut Vec<EventStoreEntry>,
    ) -> Result<(), EventStoreError> {
        let handle = self.handle(segment)?;
        let single = from == last;
        let mut window = if single { handle.source.point_window() } else { handle.source.scan_window() };
        let mut next = from;
        let mut offset = self.find(&handle, segment, &mut window, next, to)?;
        loop {
            let (entry, end) = handle.source.entry_at(&mut window, offset, next)?;
            entries.push(entry);
            if next == last {
                return Ok(());
            }
            next += 1;
            offset = match hop_to_entry(&mut window, &handle.source.salt, end, segment.end, next)? {
                Some(offset) => offset,
                None => self.salvaged(&handle, next, to)?,
            };
        }
    }

    /// Where the entry `seq` stands: by the sparse index and hops, and past damage if need be.
    fn find(&self, handle: &Handle, segment: &ReadSegment, window: &mut Window<'_>, seq: u64, to: u64) -> Result<u64, EventStoreError> {
        if segment.chained {
            let point = handle.points(&self.context(), segment)?.floor(seq);
            let from = point.map_or(SEARCH_START, |point| point.offset);
            if let Some(offset) = hop_to_entry(window, &handle.source.salt, from, segment.end, seq)? {
                return Ok(offset);
            }
        }
        self.salvaged(handle, seq, to)
    }

    fn salvaged(&self, handle: &Handle, seq: u64, to: u64) -> Result<u64, EventStoreError> {
        let seq_max = self.salvaged_to.unwrap_or_else(|| self.last_seq());
        match handle.salvage(seq_max)?.offset_of(seq) {
            Some(offset) => Ok(offset),
            None => Err(self.gap(seq, to)?),
        }
    }

    /// The error for an entry that cannot be reached: it tells where reading could go on.
    fn gap(&self, missing: u64, to: u64) -> Result<EventStoreError, EventStoreError> {
        let seq_max = self.salvaged_to.unwrap_or_else(|| self.last_seq());
        let mut next = None;
        for segment in self.segments.iter().filter(|segment| segment.last_seq >= missing && segment.first_seq <= segment.last_seq) {
            let salvage = self.handle(segment)?.salvage(seq_max)?;
            next = salvage.next_seq(missing);
            if next.is_some() {
                break;
            }
        }
        // Nothing behind can be reached: the gap goes to the end, so that nobody asks for every number up to there.
        let next = next.unwrap_or_else(|| to.max(missing).max(seq_max).saturating_add(1));
        Ok(EventStoreError::Gap { prev: missing.saturating_sub(1), next, missing })
    }

    /// Reads the anchor whose frame stands at `position`.
    ///
    /// # Errors
    /// `Corrupted` where there is no such anchor.
    pub(crate) fn anchor_at(&self, position: Position) -> Result<SnapshotAnchor, EventStoreError> {
        let segment = self.segments.iter().find(|segment| segment.ordinal == position.ordinal);
        let Some(segment) = segment else {
            return Err(Corruption::from(format!("no segment {}, in which the newest anchor stands", position.ordinal)).into());
        };
        let handle = self.handle(segment)?;
        read_anchor(&handle.source, position.offset)
    }
}

/// Reads the anchor whose frame stands at `offset`.
///
/// # Errors
/// `Corrupted` where there is no such anchor.
pub(crate) fn read_anchor(source: &SegmentSource<'_>, offset: u64) -> Result<SnapshotAnchor, EventStoreError> {
    let mut window = source.point_window();
    if let FrameStep::Frame(frame) = frame_at(&mut window, &source.salt, offset)?
        && frame.header.kind == Kind::ANCHOR
    {
        return anchor::decode_body(frame.body).map_err(|error| error.into_error(source.path(), offset));
    }
    let advice = "verify the run to see the extent of the damage";
    Err(Corruption::at(source.path(), offset, "a snapshot anchor", "something else").advise(advice).into())
}
