//! One segment as bytes to read from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::error::EventStoreError;
use crate::format::salt::Salt;
use crate::io::File;
use crate::model::EventStoreEntry;
use crate::segment::point_read::read_entry;
use crate::segment::window::Window;

/// Bytes that a positional read of a single entry asks for at a time.
const POINT_READ_LEN: usize = 8 << 10;

/// How segments that nobody writes any more are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ReadPath {
    /// Through shared maps: payloads share the map and are not copied. Only for files of one's own
    /// that nobody else cuts or replaces, because a file cut short under a map is a signal and not
    /// an error. Runs that are damaged are read by position all the same.
    #[default]
    Map,
    /// Through positional reads: whatever happens to the files, it is an error value.
    Positional,
}

/// Where the bytes are.
#[derive(Debug, Clone)]
pub(crate) enum SegmentBytes<'a> {
    Map(Bytes),
    File(Arc<dyn File>),
    Image(&'a [u8]),
}

/// A segment, from its first byte to the end of what may be read of it.
#[derive(Debug, Clone)]
pub(crate) struct SegmentSource<'a> {
    pub(crate) path: PathBuf,
    pub(crate) salt: Salt,
    pub(crate) end: u64,
    pub(crate) bytes: SegmentBytes<'a>,
}

impl SegmentSource<'_> {
    /// A window for reading many frames in a row.
    pub(crate) fn scan_window(&self) -> Window<'_> {
        match &self.bytes {
            SegmentBytes::Map(bytes) => Window::over_slice(clipped(bytes, self.end), &self.path),
            SegmentBytes::File(file) => Window::over_file(&**file, self.end, &self.path),
            SegmentBytes::Image(bytes) => Window::over_slice(clipped(bytes, self.end), &self.path),
        }
    }

    /// A window for reading one frame.
    pub(crate) fn point_window(&self) -> Window<'_> {
        match &self.bytes {
            SegmentBytes::File(file) => Window::with_chunk(&**file, self.end, &self.path, POINT_READ_LEN),
            _ => self.scan_window(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the entry at `offset` through `window`, a window of this segment. Returns it and where
    /// the next frame begins.
    ///
    /// # Errors
    /// `HashMismatch` and `Corrupted`, as [`read_entry`] tells them.
    pub(crate) fn entry_at(&self, window: &mut Window<'_>, offset: u64, seq: u64) -> Result<(EventStoreEntry, u64), EventStoreError> {
        let entry = read_entry(window, &self.salt, offset, seq)?;
        let payload = match &self.bytes {
            SegmentBytes::Map(bytes) => share(bytes, entry.payload_offset, entry.parts.payload.len()),
            _ => None,
        };
        let payload = payload.unwrap_or_else(|| Bytes::copy_from_slice(entry.parts.payload));
        Ok((entry.parts.to_entry(seq, payload), entry.frame_end))
    }
}

fn clipped(bytes: &[u8], end: u64) -> &[u8] {
    bytes.get(..usize::try_from(end).unwrap_or(usize::MAX)).unwrap_or(bytes)
}

fn share(bytes: &Bytes, offset: u64, len: usize) -> Option<Bytes> {
    let from = usize::try_from(offset).ok()?;
    let to = from.checked_add(len).filter(|to| *to <= bytes.len())?;
    Some(bytes.slice(from..to))
}
