//! One segment as bytes to read from.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::format::salt::Salt;
use crate::io::File;
use crate::segment::active::ActiveSegment;
use crate::segment::window::Window;

/// Bytes that a read of a single entry asks for at a time, where the segment is not mapped.
const POINT_READ_LEN: usize = 8 << 10;
/// Bytes that a scan backwards asks for at a time, where the segment is not mapped.
pub(crate) const REVERSE_READ_LEN: usize = 64 << 10;
/// Bytes that a scan copies out of the image at a time: an append waits for a few microseconds at most.
const IMAGE_READ_LEN: usize = 64 << 10;

/// How segments that nobody writes any more are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ReadPath {
    /// Through shared maps: payloads share the map and are not copied. Only for files of one's own
    /// that nobody else cuts or replaces, because a file cut short under a map is a signal and not
    /// an error. Runs that are damaged are read by position all the same.
    Map,
    /// Through positional reads: whatever happens to the files, it is an error value.
    #[default]
    Positional,
}

/// Where the bytes are.
#[derive(Debug, Clone)]
pub(crate) enum SegmentBytes {
    Map(Bytes),
    File(Arc<dyn File>),
    Image(Arc<ActiveSegment>),
}

/// A segment, from its first byte to the end of what may be read of it.
#[derive(Debug, Clone)]
pub(crate) struct SegmentSource {
    pub(crate) path: Arc<Path>,
    pub(crate) salt: Salt,
    pub(crate) end: u64,
    pub(crate) bytes: SegmentBytes,
}

impl SegmentSource {
    /// A window for reading many frames in a row.
    pub(crate) fn scan_window(&self) -> Window<'_> {
        match &self.bytes {
            SegmentBytes::Map(bytes) => Window::over_slice(clipped(bytes, self.end), &self.path),
            SegmentBytes::File(file) => Window::over_file(&**file, self.end, &self.path),
            SegmentBytes::Image(active) => Window::over_image(active, self.end, IMAGE_READ_LEN),
        }
    }

    /// A window for reading one frame.
    pub(crate) fn point_window(&self) -> Window<'_> {
        self.window(POINT_READ_LEN)
    }

    /// A window that reads `chunk` bytes at a time, where the segment is not mapped.
    pub(crate) fn window(&self, chunk: usize) -> Window<'_> {
        match &self.bytes {
            SegmentBytes::Map(_) => self.scan_window(),
            SegmentBytes::File(file) => Window::with_chunk(&**file, self.end, &self.path, chunk),
            SegmentBytes::Image(active) => Window::over_image(active, self.end, chunk),
        }
    }

    /// The map that a payload can share.
    pub(crate) fn map(&self) -> Option<&Bytes> {
        match &self.bytes {
            SegmentBytes::Map(bytes) => Some(bytes),
            SegmentBytes::File(_) | SegmentBytes::Image(_) => None,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn clipped(bytes: &[u8], end: u64) -> &[u8] {
    bytes.get(..usize::try_from(end).unwrap_or(usize::MAX)).unwrap_or(bytes)
}
