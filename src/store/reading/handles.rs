//! Open segments and their indexes, a bounded number at a time.
//!
//! Indexes are derived: a file that is missing, damaged or not bound to its segment is never
//! believed, not even for a miss. What it would have said is made from the segment instead.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;

use crate::error::EventStoreError;
use crate::format::file_name;
use crate::format::index_header;
use crate::format::key_index::{self, KeyIndex};
use crate::format::sparse_index::{self, IndexBinding, SparseIndex, SparsePoint};
use crate::io::{File, OpenMode, Storage, read_exact_at};
use crate::limits::OPEN_SEGMENTS_MAX;
use crate::segment::active::ActiveSegment;
use crate::segment::index_build::{IndexCollector, IndexMaterial};
use crate::segment::salvage::Salvage;
use crate::segment::tip::{FIRST_FRAME, Tip};
use crate::segment::walk::{BatchWalk, Step};
use crate::store::reading::segment_source::{ReadPath, SegmentBytes, SegmentSource};
use crate::store::run_files::{RunIdentity, read_open, read_page};

/// Most bytes of an index file: every entry of the largest segment, with all the keys that fit.
const INDEX_LEN_MAX: u64 = 4 << 30;

/// A segment that nobody writes any more, as a reader needs to know it.
#[derive(Debug, Clone)]
pub(crate) struct ReadSegment {
    pub(crate) ordinal: u32,
    /// Whether it is part of the chain of whole batches; if not, it is read frame by frame.
    pub(crate) chained: bool,
    /// The end of the log before it, where that is known without reading its OPEN.
    pub(crate) base: Option<Tip>,
    /// The first and the last number in it; empty where `first_seq > last_seq`.
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
    /// Where its last commit ends; of a segment that is not chained, its length.
    pub(crate) end: u64,
    /// The root behind its last commit; unknown where it is not chained.
    pub(crate) end_root: Option<[u8; 32]>,
    /// Where its index lives as long as the files are not in place.
    pub(crate) pending: Option<Arc<PendingIndex>>,
}

/// A full segment that answers from memory until its index files are in place.
#[derive(Debug)]
pub(crate) struct PendingIndex {
    active: Mutex<Option<Arc<ActiveSegment>>>,
}

impl PendingIndex {
    pub(crate) fn new(active: Arc<ActiveSegment>) -> Self {
        Self { active: Mutex::new(Some(active)) }
    }

    pub(crate) fn get(&self) -> Option<Arc<ActiveSegment>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The files are in place: the memory can go.
    pub(crate) fn done(&self) {
        *self.active.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Where a segment's sparse points come from.
#[derive(Debug, Clone)]
pub(crate) enum Points {
    File(Arc<SparseIndex>),
    Rebuilt(Arc<IndexMaterial>),
    Pending(Arc<ActiveSegment>),
}

impl Points {
    /// The last point at or before `seq`.
    pub(crate) fn floor(&self, seq: u64) -> Option<SparsePoint> {
        match self {
            Self::File(index) => index.floor(seq),
            Self::Rebuilt(material) => {
                let index = material.points.partition_point(|point| point.seq <= seq).checked_sub(1)?;
                material.points.get(index).copied()
            }
            Self::Pending(active) => active.floor(seq),
        }
    }

    /// The last point whose frame begins at or before `offset`.
    pub(crate) fn floor_offset(&self, offset: u64) -> Option<SparsePoint> {
        match self {
            Self::Pending(active) => active.floor_offset(offset),
            _ => self.last_where(|point| point.offset <= offset),
        }
    }

    /// The last point up to which no entry has a `ts_init` of `ts_init` or later.
    pub(crate) fn floor_time(&self, ts_init: u64) -> Option<SparsePoint> {
        match self {
            Self::Pending(active) => active.floor_time(ts_init),
            _ => self.last_where(|point| point.max_ts_init < ts_init),
        }
    }

    /// The last of the points for which `is_before` holds, which it does up to one of them.
    fn last_where(&self, is_before: impl Fn(&SparsePoint) -> bool) -> Option<SparsePoint> {
        match self {
            Self::File(index) => index.point(index.partition_point(is_before).checked_sub(1)?),
            Self::Rebuilt(material) => material.points.get(material.points.partition_point(is_before).checked_sub(1)?).copied(),
            Self::Pending(_) => None,
        }
    }
}

/// Where a segment's keys come from.
#[derive(Debug, Clone)]
pub(crate) enum Keys {
    File(Arc<KeyIndex>),
    Rebuilt(Arc<IndexMaterial>),
    Pending(Arc<ActiveSegment>),
}

impl Keys {
    /// The offsets of entries that may hold a key with this hash, ascending.
    pub(crate) fn candidates(&self, hash: u64) -> Vec<u64> {
        match self {
            Self::File(index) => index.candidates(hash).collect(),
            Self::Rebuilt(material) => {
                let from = material.keys.partition_point(|record| record.hash < hash);
                material.keys.iter().skip(from).take_while(|record| record.hash == hash).map(|record| record.offset).collect()
            }
            Self::Pending(active) => active.key_candidates(hash),
        }
    }
}

/// An open segment with what was learned of it.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) source: SegmentSource,
    points: OnceLock<Points>,
    keys: OnceLock<Keys>,
    rebuilt: OnceLock<(Arc<IndexMaterial>, bool)>,
    salvage: OnceLock<Arc<Salvage>>,
}

/// What handles are made from.
#[derive(Debug)]
pub(crate) struct HandleContext<'a> {
    pub(crate) storage: &'a dyn Storage,
    pub(crate) folder: &'a Path,
    pub(crate) identity: &'a RunIdentity,
    pub(crate) read_path: ReadPath,
    pub(crate) spacing: u64,
}

impl Handle {
    fn open(context: &HandleContext<'_>, segment: &ReadSegment) -> Result<Self, EventStoreError> {
        let path = context.folder.join(file_name::segment(segment.ordinal));
        let bytes = match context.storage.open(&path, OpenMode::Read) {
            // Of a segment that is gone nothing can be reached: to a reader it is an empty one.
            Err(error) if error.kind() == ErrorKind::NotFound => SegmentBytes::Map(Bytes::new()),
            opened => {
                let file = opened.map_err(|error| EventStoreError::from_io("open", &path, &error))?;
                Self::open_bytes(context, segment, &path, file)?
            }
        };
        let source = SegmentSource { path: path.into(), salt: context.identity.salt(segment.ordinal), end: segment.end, bytes };
        // A damaged page costs nothing, because every frame is bound to its segment. A page of another
        // version says that the frames may mean something else than this build takes them for.
        read_page(&mut source.point_window())?;
        Ok(Self { source, points: OnceLock::new(), keys: OnceLock::new(), rebuilt: OnceLock::new(), salvage: OnceLock::new() })
    }

    fn open_bytes(
        context: &HandleContext<'_>,
        segment: &ReadSegment,
        path: &Path,
        file: Arc<dyn File>,
    ) -> Result<SegmentBytes, EventStoreError> {
        match context.read_path {
            ReadPath::Map => match file.map(segment.end) {
                Ok(bytes) => Ok(SegmentBytes::Map(bytes)),
                // A file that is shorter than it should be is read by position, to find out how far it goes.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(SegmentBytes::File(file)),
                Err(error) => Err(EventStoreError::from_io("map", path, &error)),
            },
            ReadPath::Positional => Ok(SegmentBytes::File(file)),
        }
    }

    /// The sparse points of the segment; none where they cannot be made, because it is damaged.
    pub(crate) fn points(&self, context: &HandleContext<'_>, segment: &ReadSegment) -> Result<Points, EventStoreError> {
        if let Some(active) = segment.pending.as_ref().and_then(|pending| pending.get()) {
            return Ok(Points::Pending(active));
        }
        if let Some(points) = self.points.get() {
            return Ok(points.clone());
        }
        let from_file =
            read_index(context, segment, &file_name::sparse_index(segment.ordinal), sparse_index::RECORD_LEN, SparseIndex::decode);
        let points = match from_file {
            Some(index) => Points::File(Arc::new(index)),
            None => Points::Rebuilt(self.rebuilt(context, segment)?.0),
        };
        Ok(self.points.get_or_init(|| points).clone())
    }

    /// The keys of the segment; `None` where they cannot all be told, because it is damaged.
    pub(crate) fn keys(&self, context: &HandleContext<'_>, segment: &ReadSegment) -> Result<Option<Keys>, EventStoreError> {
        if let Some(active) = segment.pending.as_ref().and_then(|pending| pending.get()) {
            return Ok(Some(Keys::Pending(active)));
        }
        if let Some(keys) = self.keys.get() {
            return Ok(Some(keys.clone()));
        }
        let from_file = read_index(context, segment, &file_name::key_index(segment.ordinal), key_index::RECORD_LEN, KeyIndex::decode);
        let keys = match from_file {
            Some(index) => Keys::File(Arc::new(index)),
            None => match self.rebuilt(context, segment)? {
                (material, true) => Keys::Rebuilt(material),
                (_, false) => return Ok(None),
            },
        };
        Ok(Some(self.keys.get_or_init(|| keys).clone()))
    }

    /// What the indexes of the segment would hold, made by walking it; false where the walk met damage.
    pub(crate) fn rebuilt(
        &self,
        context: &HandleContext<'_>,
        segment: &ReadSegment,
    ) -> Result<(Arc<IndexMaterial>, bool), EventStoreError> {
        if let Some(rebuilt) = self.rebuilt.get() {
            return Ok(rebuilt.clone());
        }
        let (material, whole) = rebuild(context, segment, &self.source)?;
        Ok(self.rebuilt.get_or_init(|| (Arc::new(material), whole)).clone())
    }

    /// What can be reached in the segment whatever is damaged in it.
    pub(crate) fn salvage(&self, seq_max: u64) -> Result<Arc<Salvage>, EventStoreError> {
        if let Some(salvage) = self.salvage.get() {
            return Ok(salvage.clone());
        }
        let salvage = Arc::new(Salvage::collect(&mut self.source.scan_window(), &self.source.salt, seq_max)?);
        Ok(self.salvage.get_or_init(|| salvage).clone())
    }
}

/// The binding that an index of this segment must have.
pub(crate) fn binding(identity: &RunIdentity, segment: &ReadSegment) -> Option<IndexBinding> {
    Some(IndexBinding {
        stream: identity.stream,
        uid: identity.uid,
        ordinal: segment.ordinal,
        salt: identity.salt(segment.ordinal),
        segment_end: segment.end,
        root: segment.end_root?,
    })
}

fn read_index<T>(
    context: &HandleContext<'_>,
    segment: &ReadSegment,
    name: &str,
    record_len: usize,
    decode: impl FnOnce(Bytes, &IndexBinding) -> Result<T, crate::format::FormatError>,
) -> Option<T> {
    let binding = binding(context.identity, segment)?;
    // Whatever is wrong with an index, the segment itself answers.
    let file = context.storage.open(&context.folder.join(name), OpenMode::Read).ok()?;
    let mut bytes = vec![0; index_header::HEADER_LEN];
    read_exact_at(&*file, &mut bytes, 0).ok()?;
    // A file that is longer than an index of this segment can be takes no memory.
    let len = index_header::whole_len(&bytes, &binding, record_len).filter(|len| *len <= INDEX_LEN_MAX)?;
    if file.len().ok()? != len {
        return None;
    }
    bytes.resize(usize::try_from(len).ok()?, 0);
    read_exact_at(&*file, bytes.get_mut(index_header::HEADER_LEN..)?, index_header::HEADER_LEN as u64).ok()?;
    decode(bytes.into(), &binding).ok()
}

/// Whether both index files of a segment are there and fit.
pub(crate) fn has_index_files(context: &HandleContext<'_>, segment: &ReadSegment) -> bool {
    read_index(context, segment, &file_name::sparse_index(segment.ordinal), sparse_index::RECORD_LEN, SparseIndex::decode).is_some()
        && read_index(context, segment, &file_name::key_index(segment.ordinal), key_index::RECORD_LEN, KeyIndex::decode).is_some()
}

/// Walks a segment for its index material; false where the walk does not reach the segment's end.
pub(crate) fn rebuild(
    context: &HandleContext<'_>,
    segment: &ReadSegment,
    source: &SegmentSource,
) -> Result<(IndexMaterial, bool), EventStoreError> {
    let none = IndexMaterial::default();
    let identity = context.identity;
    let base = match segment.base {
        Some(base) => Some(base),
        None if segment.chained => read_open(&mut source.point_window(), identity, segment.ordinal)?,
        None => None,
    };
    let Some(base) = base.filter(|base| base.state.seq.checked_add(1) == Some(segment.first_seq)) else {
        return Ok((none, false));
    };
    let opened =
        BatchWalk::open(source.scan_window(), source.salt, identity.stream, segment.ordinal, base.state, base.position, &identity.opening)?;
    let Ok(mut walk) = opened else {
        return Ok((none, false));
    };
    let mut collector = IndexCollector::new(source.salt, context.spacing, base.state.max_ts_init);
    while walk.offset() < segment.end {
        if let Step::Stop { .. } = walk.next_batch(&mut collector)? {
            break;
        }
    }
    let whole = walk.offset() == segment.end;
    let mut keys = collector.accepted.keys;
    keys.sort_by_key(|record| (record.hash, record.offset));
    Ok((IndexMaterial { points: collector.accepted.points, keys }, whole))
}

/// A bounded number of open segments, the least recently used one closed first.
#[derive(Debug, Default)]
pub(crate) struct Handles {
    /// From the least to the most recently used.
    open: Mutex<Vec<(u32, Arc<Handle>)>>,
}

impl Handles {
    pub(crate) fn get(&self, context: &HandleContext<'_>, segment: &ReadSegment) -> Result<Arc<Handle>, EventStoreError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((ordinal, handle)) = open.last()
            && *ordinal == segment.ordinal
        {
            return Ok(handle.clone());
        }
        if let Some(index) = open.iter().position(|(ordinal, _)| *ordinal == segment.ordinal) {
            let found = open.remove(index);
            let handle = found.1.clone();
            open.push(found);
            return Ok(handle);
        }
        let handle = Arc::new(Handle::open(context, segment)?);
        if open.len() >= OPEN_SEGMENTS_MAX {
            open.remove(0);
        }
        open.push((segment.ordinal, handle.clone()));
        Ok(handle)
    }

    /// Closes everything, because what the files are has changed.
    pub(crate) fn clear(&self) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// The first frame of a segment, where a search begins that has no point to begin at.
pub(crate) const SEARCH_START: u64 = FIRST_FRAME;
