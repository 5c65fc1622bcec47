//! A view of a segment's bytes that moves along, over memory or over positional reads.
//!
//! Recovery, the verifier and every reader of foreign files go through positional reads, so that a
//! file cut short under them is an error and never a signal. A window holds one chunk at a time:
//! its memory does not grow with the segment.

use std::path::Path;

use crate::error::EventStoreError;
use crate::io::File;
use crate::limits::READ_CHUNK_LEN;

/// A chunk shorter than this is the end of the bytes, and not merely the end of what is held.
const CHUNK_LEN_LEAST: usize = 4096;

/// Where the bytes come from.
#[derive(Clone, Copy)]
enum Source<'a> {
    Slice(&'a [u8]),
    File(&'a dyn File),
}

/// A moving view of a segment, bounded by a length that reads never pass.
pub(crate) struct Window<'a> {
    source: Source<'a>,
    path: &'a Path,
    len: u64,
    chunk: usize,
    buffer: Vec<u8>,
    start: u64,
}

impl<'a> Window<'a> {
    /// A view of bytes in memory: a map, or the image of the active segment.
    pub(crate) fn over_slice(bytes: &'a [u8], path: &'a Path) -> Self {
        Self { source: Source::Slice(bytes), path, len: bytes.len() as u64, chunk: 0, buffer: Vec::new(), start: 0 }
    }

    /// A view of the first `len` bytes of a file, read in large chunks for scans.
    pub(crate) fn over_file(file: &'a dyn File, len: u64, path: &'a Path) -> Self {
        Self::with_chunk(file, len, path, READ_CHUNK_LEN)
    }

    /// A view of the first `len` bytes of a file, read `chunk` bytes at a time.
    pub(crate) fn with_chunk(file: &'a dyn File, len: u64, path: &'a Path, chunk: usize) -> Self {
        Self { source: Source::File(file), path, len, chunk, buffer: Vec::new(), start: 0 }
    }

    /// The length that reads never pass, in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The file that is read, for error messages.
    pub(crate) fn path(&self) -> &'a Path {
        self.path
    }

    /// The bytes `offset..offset + len`, or `None` where they are not all there.
    pub(crate) fn get(&mut self, offset: u64, len: usize) -> Result<Option<&[u8]>, EventStoreError> {
        let Some(end) = offset.checked_add(len as u64).filter(|end| *end <= self.len) else {
            return Ok(None);
        };
        match self.source {
            Source::Slice(bytes) => Ok(range(bytes, offset, len)),
            Source::File(file) => {
                if offset < self.start || end > self.start + self.buffer.len() as u64 {
                    self.load(file, offset, len)?;
                }
                Ok(range(&self.buffer, offset - self.start, len))
            }
        }
    }

    /// As many bytes from `offset` on as one chunk holds; empty at the end.
    pub(crate) fn chunk_at(&mut self, offset: u64) -> Result<&[u8], EventStoreError> {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let want = left.min(READ_CHUNK_LEN);
        match self.source {
            Source::Slice(bytes) => Ok(range(bytes, offset, want).unwrap_or_default()),
            Source::File(file) => {
                if want == 0 {
                    return Ok(&[]);
                }
                let held = (self.start + self.buffer.len() as u64).saturating_sub(offset);
                if offset < self.start || held < want.min(CHUNK_LEN_LEAST) as u64 {
                    self.load(file, offset, want)?;
                }
                let from = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
                Ok(self.buffer.get(from..).unwrap_or_default())
            }
        }
    }

    fn load(&mut self, file: &dyn File, offset: u64, len: usize) -> Result<(), EventStoreError> {
        let left = usize::try_from(self.len - offset).unwrap_or(usize::MAX);
        let want = len.max(self.chunk).min(left);
        self.buffer.resize(want, 0);
        self.start = offset;
        let mut filled = 0;
        while let Some(rest) = self.buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) => {
                    self.buffer.clear();
                    return Err(EventStoreError::from_io("read", self.path, &error));
                }
            }
        }
        self.buffer.truncate(filled);
        Ok(())
    }
}

fn range(bytes: &[u8], offset: u64, len: usize) -> Option<&[u8]> {
    let from = usize::try_from(offset).ok()?;
    bytes.get(from..from.checked_add(len)?)
}
