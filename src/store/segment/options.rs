//! The options of the segmented store. Each states its unit, default and bounds; values out of
//! bounds are refused and never changed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::error::EventStoreError;
use crate::io::{OsStorage, Storage};
use crate::limits;
use crate::model::ThreadHook;
use crate::segment::sync_path::SyncPath;
use crate::store::reading::segment_source::ReadPath;
use crate::store::segment::backend::SegmentBackend;

/// When an entry is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Durability {
    /// An append returns once its batch is durable: it survives a loss of power.
    #[default]
    Synced,
    /// An append returns once its batch is written: it survives the end of the process. A
    /// background thread syncs, and the high-watermark follows the sync.
    Buffered {
        /// The time between two syncs: 100 microseconds to 60 seconds. Whoever waits for an entry waits for the next one; a
        /// flush of the writer does not.
        sync_every: Duration,
    },
}

/// Who does the work that appends leave behind: spares, indexes, the watermark, background syncs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BackgroundMode {
    /// Two threads of the store.
    #[default]
    Threads,
    /// The caller, step by step, with [`SegmentBackend::run_background_step`]: for simulations and
    /// tests, which decide what happens when.
    Manual,
}

/// The options of a run that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) segment_len: u64,
    pub(crate) durability: Durability,
    pub(crate) spares: u32,
    pub(crate) index_spacing: u64,
    pub(crate) indexes: bool,
    pub(crate) unsynced_len_max: u64,
    pub(crate) sync_path: SyncPath,
    /// How segments are read, where that was asked for.
    pub(crate) read_path: Option<ReadPath>,
    pub(crate) background: BackgroundMode,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_len: limits::SEGMENT_LEN_DEFAULT,
            durability: Durability::default(),
            spares: limits::SPARES_DEFAULT,
            index_spacing: limits::INDEX_SPACING_DEFAULT,
            indexes: true,
            unsynced_len_max: limits::UNSYNCED_LEN_DEFAULT,
            sync_path: SyncPath::default(),
            read_path: None,
            background: BackgroundMode::default(),
        }
    }
}

impl Options {
    /// How the store reads the full segments of a run that it writes or recovers.
    pub(crate) fn own_read_path(&self) -> ReadPath {
        self.read_path.unwrap_or(ReadPath::Map)
    }

    /// How the store reads a run that it opens only to read it: somebody else may cut or replace its files.
    pub(crate) fn foreign_read_path(&self) -> ReadPath {
        self.read_path.unwrap_or(ReadPath::Positional)
    }

    fn validate(&self) -> Result<(), EventStoreError> {
        check("the segment length in bytes", self.segment_len, limits::SEGMENT_LEN_MIN, limits::SEGMENT_LEN_MAX)?;
        if !self.segment_len.is_multiple_of(limits::BLOCK_LEN) {
            let text = format!("the segment length is {} bytes, and must be a multiple of {}", self.segment_len, limits::BLOCK_LEN);
            return Err(EventStoreError::Backend(text));
        }
        check("the number of spares", u64::from(self.spares), u64::from(limits::SPARES_MIN), u64::from(limits::SPARES_MAX))?;
        check("the index spacing in bytes", self.index_spacing, limits::INDEX_SPACING_MIN, limits::INDEX_SPACING_MAX)?;
        check("the bound of unsynced bytes", self.unsynced_len_max, limits::UNSYNCED_LEN_MIN, limits::UNSYNCED_LEN_MAX)?;
        if let Durability::Buffered { sync_every } = self.durability {
            let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
            check(
                "the time between two syncs in nanoseconds",
                nanos(sync_every),
                nanos(limits::SYNC_EVERY_MIN),
                nanos(limits::SYNC_EVERY_MAX),
            )?;
        }
        Ok(())
    }
}

fn check(what: &'static str, value: u64, least: u64, most: u64) -> Result<(), EventStoreError> {
    if value > most {
        return Err(EventStoreError::LimitExceeded { what, maximum: most, found: value });
    }
    if value < least {
        return Err(EventStoreError::Backend(format!("{what} is {value}, and must be at least {least}")));
    }
    Ok(())
}

/// Builds a [`SegmentBackend`] with options of one's own.
///
/// ```
/// use std::time::Duration;
/// use tapelog::{Durability, SegmentBackend};
///
/// let folder = tempfile::tempdir()?;
/// let store = SegmentBackend::builder(folder.path())
///     .segment_len(16 << 20)
///     .durability(Durability::Buffered { sync_every: Duration::from_millis(5) })
///     .build()?;
/// # drop(store);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it builds"]
pub struct SegmentBackendBuilder {
    base_dir: PathBuf,
    options: Options,
    storage: Arc<dyn Storage>,
    thread_hook: ThreadHook,
}

impl SegmentBackendBuilder {
    pub(crate) fn new(base_dir: PathBuf) -> Self {
        Self { base_dir, options: Options::default(), storage: Arc::new(OsStorage), thread_hook: ThreadHook::default() }
    }

    /// The length of a segment in bytes: 16 KiB to 4 GiB in steps of 4096, by default 64 MiB.
    ///
    /// A segment is zero-filled ahead and its image is held in memory while it is written.
    pub fn segment_len(mut self, bytes: u64) -> Self {
        self.options.segment_len = bytes;
        self
    }

    /// When an entry is acknowledged; by default once it is durable.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.options.durability = durability;
        self
    }

    /// How many segments are kept ready: 1 to 16, by default 2.
    pub fn spares(mut self, count: u32) -> Self {
        self.options.spares = count;
        self
    }

    /// The distance between two points of a sparse index in bytes: 512 to 1 MiB, by default 4096.
    pub fn index_spacing(mut self, bytes: u64) -> Self {
        self.options.index_spacing = bytes;
        self
    }

    /// Whether index files are written; by default they are. Without them a reader makes what it
    /// needs from the segments, in memory.
    pub fn indexes(mut self, written: bool) -> Self {
        self.options.indexes = written;
        self
    }

    /// How many bytes of a buffered run may wait for a sync: 16 KiB to 256 MiB, by default 64 MiB. An
    /// append that would pass the bound waits for a sync.
    pub fn unsynced_len_max(mut self, bytes: u64) -> Self {
        self.options.unsynced_len_max = bytes;
        self
    }

    /// The way of a batch to the disk.
    pub fn sync_path(mut self, path: SyncPath) -> Self {
        self.options.sync_path = path;
        self
    }

    /// How full segments are read. By default through shared maps where this store writes or recovers the run, and by
    /// position where it opens the run only to read it.
    pub fn read_path(mut self, path: ReadPath) -> Self {
        self.options.read_path = Some(path);
        self
    }

    /// Who does the background work; by default threads of the store.
    pub fn background(mut self, mode: BackgroundMode) -> Self {
        self.options.background = mode;
        self
    }

    /// The storage under all file access; by default the operating system.
    pub fn storage(mut self, storage: Arc<dyn Storage>) -> Self {
        self.storage = storage;
        self
    }

    /// What is called first on each thread of the store, with the thread's name; by default nothing.
    pub fn thread_hook(mut self, hook: ThreadHook) -> Self {
        self.thread_hook = hook;
        self
    }

    /// Checks every option against its bounds.
    ///
    /// # Errors
    /// `LimitExceeded` or `Backend`, naming the option, its value and its bound.
    pub fn validate(&self) -> Result<(), EventStoreError> {
        self.options.validate()
    }

    /// The store.
    ///
    /// # Errors
    /// As [`SegmentBackendBuilder::validate`].
    pub fn build(self) -> Result<SegmentBackend, EventStoreError> {
        self.validate()?;
        Ok(SegmentBackend::with_options(self.base_dir, self.options, self.storage).with_thread_hook(self.thread_hook))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> SegmentBackendBuilder {
        SegmentBackendBuilder::new(PathBuf::from("base"))
    }

    #[test]
    fn the_defaults_are_within_their_bounds() {
        builder().validate().unwrap();
    }

    #[test]
    fn every_option_out_of_its_bounds_is_refused() {
        let buffered = |sync_every| Durability::Buffered { sync_every };
        let refused = [
            builder().segment_len(limits::SEGMENT_LEN_MIN - 4096),
            builder().segment_len(limits::SEGMENT_LEN_MAX + 4096),
            builder().segment_len(limits::SEGMENT_LEN_MIN + 1),
            builder().spares(0),
            builder().spares(limits::SPARES_MAX + 1),
            builder().index_spacing(limits::INDEX_SPACING_MIN - 1),
            builder().index_spacing(limits::INDEX_SPACING_MAX + 1),
            builder().unsynced_len_max(limits::UNSYNCED_LEN_MIN - 1),
            builder().unsynced_len_max(limits::UNSYNCED_LEN_MAX + 1),
            builder().durability(buffered(Duration::ZERO)),
            builder().durability(buffered(Duration::MAX)),
        ];
        for builder in refused {
            assert!(builder.validate().is_err(), "{:?} was accepted", builder.options);
            assert!(builder.build().is_err());
        }
    }
}
