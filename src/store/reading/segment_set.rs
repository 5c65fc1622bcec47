//! The segments of one run: those that are full, and the one that is being written, if any.
//!
//! A set is shared by the store that writes and by every reader. Only the writer adds to it; a reader
//! samples a [`Bound`] before it looks a segment up, and never looks behind that.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use crate::error::EventStoreError;
use crate::format::chain::Position;
use crate::io::Storage;
use crate::segment::active::ActiveSegment;
use crate::segment::point_read::hop_to_entry;
use crate::segment::salvage::Salvage;
use crate::segment::tip::Tip;
use crate::segment::window::Window;
use crate::store::reading::handles::{Handle, HandleContext, Handles, Keys, Points, ReadSegment, SEARCH_START};
use crate::store::reading::segment_source::{ReadPath, SegmentBytes, SegmentSource};
use crate::store::run_files::RunIdentity;

/// Up to where a reader reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound {
    /// The last entry that may be shown.
    pub(crate) seq: u64,
    /// The end of the bytes that may be read of the segment that is being written. Nothing depends on it
    /// where none is.
    pub(crate) position: Position,
}

impl Bound {
    /// Up to a tip of a run that is being written.
    pub(crate) fn at(tip: &Tip) -> Self {
        Self { seq: tip.state.seq, position: tip.position }
    }

    /// Up to an entry of a run that nobody writes any more.
    pub(crate) fn of_closed(seq: u64) -> Self {
        Self { seq, position: Position { ordinal: 0, offset: 0 } }
    }
}

/// The segments of one run.
#[derive(Debug)]
pub(crate) struct SegmentSet {
    storage: Arc<dyn Storage>,
    folder: PathBuf,
    identity: Arc<RunIdentity>,
    read_path: ReadPath,
    spacing: u64,
    listed: RwLock<Listed>,
    /// Of a damaged run: the number up to which entries were acknowledged.
    salvaged_to: Option<u64>,
    handles: Handles,
}

#[derive(Debug, Default)]
struct Listed {
    full: Vec<Arc<ReadSegment>>,
    active: Option<Arc<ActiveSegment>>,
}

impl SegmentSet {
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        folder: PathBuf,
        identity: Arc<RunIdentity>,
        read_path: ReadPath,
        spacing: u64,
        segments: Vec<ReadSegment>,
    ) -> Self {
        let listed = RwLock::new(Listed { full: segments.into_iter().map(Arc::new).collect(), active: None });
        Self { storage, folder, identity, read_path, spacing, listed, salvaged_to: None, handles: Handles::default() }
    }

    /// The set of a damaged run: read by position, and past what is damaged.
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

    fn listed(&self) -> RwLockReadGuard<'_, Listed> {
        self.listed.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The full segments.
    pub(crate) fn full(&self) -> Vec<Arc<ReadSegment>> {
        self.listed().full.clone()
    }

    /// The segment that is being written.
    pub(crate) fn active(&self) -> Option<Arc<ActiveSegment>> {
        self.listed().active.clone()
    }

    /// Makes another segment the one that is being written, or none; the one before, if any, has become full.
    pub(crate) fn advance(&self, full: Option<ReadSegment>, active: Option<Arc<ActiveSegment>>) {
        let mut listed = self.listed.write().unwrap_or_else(PoisonError::into_inner);
        listed.full.extend(full.map(Arc::new));
        listed.active = active;
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

    /// The last entry that can be reached, up to the bound.
    pub(crate) fn seq_max(&self, bound: Bound) -> u64 {
        self.salvaged_to.unwrap_or(bound.seq)
    }

    /// The segment with the entry `seq`, open to be read up to the bound.
    pub(crate) fn section_of(&self, seq: u64, bound: Bound) -> Result<Option<Section>, EventStoreError> {
        let (full, active) = {
            let listed = self.listed();
            let index = listed.full.partition_point(|segment| segment.last_seq < seq);
            (listed.full.get(index).cloned(), listed.active.clone())
        };
        match full {
            Some(segment) if segment.first_seq <= seq => self.full_section(segment).map(Some),
            Some(_) => Ok(None),
            None => Ok(active.and_then(|active| Section::active(active, bound)).filter(|section| section.last_seq() >= seq)),
        }
    }

    /// Every segment that holds entries up to the bound, the oldest first. They are opened one by one as they are asked for.
    pub(crate) fn sections(&self, bound: Bound) -> impl DoubleEndedIterator<Item = Result<Section, EventStoreError>> {
        let (full, active) = {
            let listed = self.listed();
            (listed.full.clone(), listed.active.clone())
        };
        // What lies behind the bound may be what a failed sync has lost.
        let is_shown = move |segment: &Arc<ReadSegment>| segment.first_seq <= segment.last_seq && segment.first_seq <= bound.seq;
        let full = full.into_iter().filter(is_shown).map(|segment| self.full_section(segment));
        let active = active.and_then(|active| Section::active(active, bound)).filter(|section| section.first_seq() <= section.last_seq());
        full.chain(active.map(Ok))
    }

    fn full_section(&self, segment: Arc<ReadSegment>) -> Result<Section, EventStoreError> {
        let handle = self.handle(&segment)?;
        Ok(Section::Full { segment, handle })
    }

    /// Where the entry `seq` of a section stands: by the sparse index and hops, and past damage if need be.
    pub(crate) fn find(&self, section: &Section, window: &mut Window<'_>, seq: u64, to: u64, bound: Bound) -> Result<u64, EventStoreError> {
        if let Some(points) = section.points(self)? {
            let from = points.floor(seq).map_or(SEARCH_START, |point| point.offset);
            let source = section.source();
            if let Some(offset) = hop_to_entry(window, &source.salt, from, source.end, seq)? {
                return Ok(offset);
            }
        }
        self.salvaged(section, seq, to, bound)
    }

    /// Where the entry `seq` stands whatever is damaged before it.
    ///
    /// # Errors
    /// `Gap` where it cannot be reached.
    pub(crate) fn salvaged(&self, section: &Section, seq: u64, to: u64, bound: Bound) -> Result<u64, EventStoreError> {
        match section.salvage(self.seq_max(bound))?.offset_of(seq) {
            Some(offset) => Ok(offset),
            None => Err(self.gap(seq, to, bound)?),
        }
    }

    /// The error for an entry that cannot be reached: it tells where reading could go on.
    pub(crate) fn gap(&self, missing: u64, to: u64, bound: Bound) -> Result<EventStoreError, EventStoreError> {
        let seq_max = self.seq_max(bound);
        let mut next = None;
        for segment in self.full().iter().filter(|segment| segment.last_seq >= missing && segment.first_seq <= segment.last_seq) {
            let salvage = self.handle(segment)?.salvage(seq_max)?;
            next = salvage.next_seq(missing);
            if next.is_some() {
                break;
            }
        }
        // Nothing behind can be reached: the gap goes to the end, so that nobody asks for every number up to there.
        let next = next.unwrap_or_else(|| to.max(missing).max(seq_max).saturating_add(1));
        // That a segment before cannot be read is no reason to tell nothing of the gap.
        let prev = self.reached_before(missing, bound).unwrap_or(missing.saturating_sub(1));
        Ok(EventStoreError::Gap { prev, next, missing })
    }

    /// The last number before `seq` that can be reached, and 0 where there is none.
    pub(crate) fn reached_before(&self, seq: u64, bound: Bound) -> Result<u64, EventStoreError> {
        for segment in self.full().iter().rev().filter(|segment| segment.first_seq < seq && segment.first_seq <= segment.last_seq) {
            if let Some(before) = self.handle(segment)?.salvage(self.seq_max(bound))?.seq_before(seq) {
                return Ok(before);
            }
        }
        Ok(0)
    }
}

/// One segment that is open to be read.
#[derive(Debug)]
pub(crate) enum Section {
    /// One that nobody writes any more.
    Full { segment: Arc<ReadSegment>, handle: Arc<Handle> },
    /// The one that is being written, up to a bound.
    Active { active: Arc<ActiveSegment>, source: SegmentSource, last_seq: u64 },
}

impl Section {
    /// The segment that is being written, if entries up to the bound lie in it, or an anchor does.
    pub(crate) fn active(active: Arc<ActiveSegment>, bound: Bound) -> Option<Self> {
        if active.ordinal() != bound.position.ordinal {
            return None;
        }
        let source = SegmentSource {
            path: active.path().clone(),
            salt: *active.salt(),
            end: bound.position.offset,
            bytes: SegmentBytes::Image(active.clone()),
        };
        Some(Self::Active { active, source, last_seq: bound.seq })
    }

    pub(crate) fn source(&self) -> &SegmentSource {
        match self {
            Self::Full { handle, .. } => &handle.source,
            Self::Active { source, .. } => source,
        }
    }

    pub(crate) fn ordinal(&self) -> u32 {
        match self {
            Self::Full { segment, .. } => segment.ordinal,
            Self::Active { active, .. } => active.ordinal(),
        }
    }

    pub(crate) fn first_seq(&self) -> u64 {
        match self {
            Self::Full { segment, .. } => segment.first_seq,
            Self::Active { active, .. } => active.base().state.seq + 1,
        }
    }

    /// The last entry; of the segment that is being written, the last one up to the bound.
    pub(crate) fn last_seq(&self) -> u64 {
        match self {
            Self::Full { segment, .. } => segment.last_seq,
            Self::Active { last_seq, .. } => *last_seq,
        }
    }

    /// Where a search for an entry can begin; none in a segment that is no part of the chain.
    pub(crate) fn points(&self, set: &SegmentSet) -> Result<Option<Points>, EventStoreError> {
        match self {
            Self::Full { segment, handle } if segment.chained => handle.points(&set.context(), segment).map(Some),
            Self::Full { .. } => Ok(None),
            Self::Active { active, .. } => Ok(Some(Points::Pending(active.clone()))),
        }
    }

    /// What the segment knows of keys; `None` where they cannot all be told, because it is damaged.
    pub(crate) fn keys(&self, set: &SegmentSet) -> Result<Option<Keys>, EventStoreError> {
        match self {
            Self::Full { segment, handle } => handle.keys(&set.context(), segment),
            Self::Active { active, .. } => Ok(Some(Keys::Pending(active.clone()))),
        }
    }

    /// What can be reached in the segment whatever is damaged in it. In memory nothing is.
    pub(crate) fn salvage(&self, seq_max: u64) -> Result<Arc<Salvage>, EventStoreError> {
        match self {
            Self::Full { handle, .. } => handle.salvage(seq_max),
            Self::Active { .. } => Ok(Arc::default()),
        }
    }
}
