//! The segment that is being written, and its image in memory.
//!
//! A batch is copied into the image and goes out from it as whole blocks: the block that was begun,
//! the batch, zeros to the end of the block. Rewritten sectors hold the same bytes as before, so a
//! torn write cannot hurt what was durable in them. Readers of the active segment read the image
//! and never the file.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::error::EventStoreError;
use crate::format::header_page::HeaderPage;
use crate::format::salt::Salt;
use crate::format::sparse_index::SparsePoint;
use crate::io::{File, Image};
use crate::limits::BLOCK_LEN;
use crate::seeded_bug::{SeededBug, unless};
use crate::segment::active_keys::ActiveKeys;
use crate::segment::index_build::{IndexLists, IndexMaterial};
use crate::segment::spare::{Spare, fill_zeros};
use crate::segment::sync_path::SyncPath;
use crate::segment::tip::Tip;

/// The segment that is being written.
#[derive(Debug)]
pub(crate) struct ActiveSegment {
    page: HeaderPage,
    salt: Salt,
    path: Arc<Path>,
    file: Arc<dyn File>,
    len: u64,
    base: Tip,
    sync_path: SyncPath,
    image: RwLock<Image>,
    keys: ActiveKeys,
    points: Mutex<Vec<SparsePoint>>,
}

impl ActiveSegment {
    /// Begins to write a spare, behind `base`.
    ///
    /// # Errors
    /// Where there is no memory for the image.
    pub(crate) fn activate(spare: Spare, base: Tip, sync_path: SyncPath) -> Result<Self, EventStoreError> {
        let len = usize::try_from(spare.len).unwrap_or(usize::MAX);
        let image = Image::new(len).map_err(|error| EventStoreError::from_io("map memory for", &spare.path, &error))?;
        Ok(Self {
            salt: spare.page.salt(),
            page: spare.page,
            path: spare.path.into(),
            file: spare.file,
            len: spare.len,
            base,
            sync_path,
            image: RwLock::new(image),
            keys: ActiveKeys::default(),
            points: Mutex::default(),
        })
    }

    /// Makes a spare longer, so that a batch fits that is larger than a segment: zeros, then a sync
    /// of the bytes and the length.
    pub(crate) fn extend_spare(spare: &mut Spare, len: u64) -> io::Result<()> {
        fill_zeros(&*spare.file, spare.len, len)?;
        unless(SeededBug::JumboExtensionNotSynced, || spare.file.sync_all())?;
        spare.len = len;
        Ok(())
    }

    pub(crate) fn ordinal(&self) -> u32 {
        self.page.ordinal
    }

    pub(crate) fn salt(&self) -> &Salt {
        &self.salt
    }

    pub(crate) fn path(&self) -> &Arc<Path> {
        &self.path
    }

    pub(crate) fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    /// The length of the file, in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The end of the log before this segment.
    pub(crate) fn base(&self) -> &Tip {
        &self.base
    }

    /// Takes frames into the image at `offset` and writes the blocks that hold them.
    ///
    /// # Errors
    /// A failed write; the caller latches.
    pub(crate) fn write(&self, offset: u64, parts: &[&[u8]]) -> io::Result<()> {
        let mut end = offset;
        {
            let mut image = self.image.write().unwrap_or_else(PoisonError::into_inner);
            for part in parts {
                let at = usize::try_from(end).unwrap_or(usize::MAX);
                if !image.copy_in(at, part) {
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, "the batch does not fit the segment"));
                }
                end += part.len() as u64;
            }
        }
        let first = offset - offset % BLOCK_LEN;
        let last = end.next_multiple_of(BLOCK_LEN);
        let image = self.image.read().unwrap_or_else(PoisonError::into_inner);
        let from = usize::try_from(first).unwrap_or(usize::MAX);
        let blocks = image.get(from, usize::try_from(last - first).unwrap_or(usize::MAX));
        let blocks = blocks.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the batch does not fit the segment"))?;
        self.sync_path.write(&*self.file, blocks, first).or_else(|error| SeededBug::WriteErrorIgnored.hides(error))
    }

    /// Makes everything that was written durable.
    ///
    /// # Errors
    /// A failed sync; the caller latches.
    pub(crate) fn sync(&self) -> io::Result<()> {
        match self.sync_path.sync(&*self.file) {
            Err(_) if SeededBug::SyncRetriedAfterFailure.is_on() => self.sync_path.sync(&*self.file),
            synced => synced.or_else(|error| SeededBug::SyncErrorIgnored.hides(error)),
        }
    }

    /// Adds what a batch means for the indexes.
    pub(crate) fn note(&self, lists: &IndexLists) {
        self.keys.extend(&lists.keys);
        self.points.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&lists.points);
    }

    /// The offsets of entries that may hold a key with this hash, ascending.
    pub(crate) fn key_candidates(&self, hash: u64) -> Vec<u64> {
        self.keys.candidates(hash)
    }

    /// The last noted entry at or before `seq`.
    pub(crate) fn floor(&self, seq: u64) -> Option<SparsePoint> {
        let points = self.points.lock().unwrap_or_else(PoisonError::into_inner);
        points.get(points.partition_point(|point| point.seq <= seq).checked_sub(1)?).copied()
    }

    /// The last noted entry whose frame begins at or before `offset`.
    pub(crate) fn floor_offset(&self, offset: u64) -> Option<SparsePoint> {
        let points = self.points.lock().unwrap_or_else(PoisonError::into_inner);
        points.get(points.partition_point(|point| point.offset <= offset).checked_sub(1)?).copied()
    }

    /// The last noted entry up to which no entry has a `ts_init` of `ts_init` or later.
    pub(crate) fn floor_time(&self, ts_init: u64) -> Option<SparsePoint> {
        let points = self.points.lock().unwrap_or_else(PoisonError::into_inner);
        points.get(points.partition_point(|point| point.max_ts_init < ts_init).checked_sub(1)?).copied()
    }

    /// Copies bytes of the image, for as long as the appending thread can be kept waiting. False where
    /// they are not all there.
    pub(crate) fn copy_out(&self, offset: u64, bytes: &mut [u8]) -> bool {
        let image = self.image.read().unwrap_or_else(PoisonError::into_inner);
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let found = image.get(from, bytes.len());
        found.map(|found| bytes.copy_from_slice(found)).is_some()
    }

    /// Lets `read` see the first `end` bytes of the image. For a segment that is full: meanwhile nothing can be
    /// appended to it.
    pub(crate) fn with_image<T>(&self, end: u64, read: impl FnOnce(&[u8]) -> T) -> T {
        let image = self.image.read().unwrap_or_else(PoisonError::into_inner);
        read(image.get(0, usize::try_from(end).unwrap_or(usize::MAX)).unwrap_or_default())
    }

    /// What the indexes are made of. Sorts, and so is not for the thread that appends.
    pub(crate) fn index_material(&self) -> IndexMaterial {
        let points = self.points.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let keys = self.keys.sorted();
        IndexMaterial { points, keys }
    }
}
