//! A view of a segment's bytes that moves along, over memory or over positional reads.
//!
//! Recovery, the verifier and every reader of foreign files go through positional reads, so that a
//! file cut short under them is an error and never a signal. A window holds one chunk at a time:
//! its memory does not grow with the segment.

use std::path::Path;

use crate::error::EventStoreError;
use crate::io::File;
use crate::limits::READ_CHUNK_LEN;
use crate::seeded_bug::SeededBug;
use crate::segment::active::ActiveSegment;

/// A chunk shorter than this is the end of the bytes, and not merely the end of what is held.
const CHUNK_LEN_LEAST: usize = 4096;

/// Where the bytes come from.
#[derive(Clone, Copy)]
enum Source<'a> {
    Slice(&'a [u8]),
    File(&'a dyn File),
    /// The image of the segment that is being written, of which chunks are copied: who appends waits
    /// for a copy, and never for what is done with it.
    Image(&'a ActiveSegment),
}

/// A moving view of a segment, bounded by a length that reads never pass.
pub(crate) struct Window<'a> {
    source: Source<'a>,
    path: &'a Path,
    len: u64,
    chunk: usize,
    buffer: Vec<u8>,
    start: u64,
    /// What was read from here on stays as it was read.
    held_from: Option<u64>,
}

impl<'a> Window<'a> {
    /// A view of bytes in memory: a map, or the image of the active segment.
    pub(crate) fn over_slice(bytes: &'a [u8], path: &'a Path) -> Self {
        Self { source: Source::Slice(bytes), path, len: bytes.len() as u64, chunk: 0, buffer: Vec::new(), start: 0, held_from: None }
    }

    /// A view of the first `len` bytes of a file, read in large chunks for scans.
    pub(crate) fn over_file(file: &'a dyn File, len: u64, path: &'a Path) -> Self {
        Self::with_chunk(file, len, path, READ_CHUNK_LEN)
    }

    /// A view of the first `len` bytes of a file, read `chunk` bytes at a time.
    pub(crate) fn with_chunk(file: &'a dyn File, len: u64, path: &'a Path, chunk: usize) -> Self {
        Self { source: Source::File(file), path, len, chunk, buffer: Vec::new(), start: 0, held_from: None }
    }

    /// A view of the first `len` bytes of the segment that is being written, copied `chunk` bytes at a time.
    pub(crate) fn over_image(active: &'a ActiveSegment, len: u64, chunk: usize) -> Self {
        Self { source: Source::Image(active), path: active.path(), len, chunk, buffer: Vec::new(), start: 0, held_from: None }
    }

    /// From now on keeps what is read from `offset` on, so that nothing behind it is read twice: a
    /// second read may show other bytes than the first. `None` keeps nothing.
    pub(crate) fn hold_from(&mut self, offset: Option<u64>) {
        self.held_from = offset;
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
    #[inline]
    pub(crate) fn get(&mut self, offset: u64, len: usize) -> Result<Option<&[u8]>, EventStoreError> {
        let Some(end) = offset.checked_add(len as u64).filter(|end| *end <= self.len) else {
            return Ok(None);
        };
        match self.source {
            Source::Slice(bytes) => Ok(range(bytes, offset, len)),
            source @ (Source::File(_) | Source::Image(_)) => {
                if offset < self.start || end > self.start + self.buffer.len() as u64 {
                    self.load(source, offset, len)?;
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
            source @ (Source::File(_) | Source::Image(_)) => {
                if want == 0 {
                    return Ok(&[]);
                }
                let held = (self.start + self.buffer.len() as u64).saturating_sub(offset);
                if offset < self.start || held < want.min(CHUNK_LEN_LEAST) as u64 {
                    self.load(source, offset, want)?;
                }
                let from = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
                Ok(self.buffer.get(from..).unwrap_or_default())
            }
        }
    }

    fn load(&mut self, source: Source<'a>, offset: u64, len: usize) -> Result<(), EventStoreError> {
        let left = usize::try_from(self.len - offset).unwrap_or(usize::MAX);
        let want = len.max(self.chunk).min(left);
        let mut filled = self.keep_held(offset);
        let before = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        self.buffer.resize(before.saturating_add(want), 0);
        while let Some(rest) = self.buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let read = match source {
                Source::File(file) => file.read_at(rest, self.start + filled as u64),
                Source::Image(active) => Ok(if active.copy_out(self.start + filled as u64, rest) { rest.len() } else { 0 }),
                Source::Slice(_) => Ok(0),
            };
            match read {
                Ok(0) => break,
                Ok(count) if SeededBug::ShortReadBelieved.is_on() && count < rest.len() => {
                    filled += count;
                    break;
                }
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

    /// Makes the buffer begin at `offset`, or at what is held before it; answers how much of it stays.
    fn keep_held(&mut self, offset: u64) -> usize {
        let end = self.start + self.buffer.len() as u64;
        let Some(from) = self.held_from.filter(|from| *from <= offset && (self.start..end).contains(from)) else {
            self.start = offset;
            return 0;
        };
        let passed = usize::try_from(from - self.start).unwrap_or(usize::MAX);
        self.buffer.drain(..passed.min(self.buffer.len()));
        self.start = from;
        self.buffer.len()
    }
}

#[inline]
fn range(bytes: &[u8], offset: u64, len: usize) -> Option<&[u8]> {
    let from = usize::try_from(offset).ok()?;
    bytes.get(from..from.checked_add(len)?)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;
    use std::sync::Mutex;

    use bytes::Bytes;

    use super::*;

    /// A file whose every byte is there once: a second read shows that the disk had lost it.
    #[derive(Debug)]
    struct ReadOnce(Mutex<Vec<u8>>);

    impl File for ReadOnce {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            let mut bytes = self.0.lock().unwrap();
            let from = usize::try_from(offset).unwrap();
            let len = buffer.len().min(bytes.len().saturating_sub(from));
            buffer[..len].copy_from_slice(&bytes[from..from + len]);
            bytes[from..from + len].fill(0);
            Ok(len)
        }

        fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn sync_data(&self) -> io::Result<()> {
            Ok(())
        }

        fn sync_all(&self) -> io::Result<()> {
            Ok(())
        }

        fn set_len(&self, _: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn len(&self) -> io::Result<u64> {
            Ok(self.0.lock().unwrap().len() as u64)
        }

        fn map(&self, _: u64) -> io::Result<Bytes> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    fn bytes(len: usize) -> Vec<u8> {
        (1..=251).cycle().take(len).collect()
    }

    #[test]
    fn what_is_held_is_never_read_a_second_time() {
        let expected = bytes(2_000);
        for chunk in [1, 10, 64, 300, 5_000] {
            let file = ReadOnce(Mutex::new(expected.clone()));
            let mut window = Window::with_chunk(&file, 2_000, Path::new("file"), chunk);
            for from in [0, 700, 1_400] {
                window.hold_from(Some(from as u64));
                for offset in (from..from + 600).step_by(24) {
                    assert_eq!(window.get(offset as u64, 24).unwrap(), Some(&expected[offset..offset + 24]), "chunk {chunk}");
                }
                let held = window.get(from as u64, 600).unwrap();
                assert_eq!(held, Some(&expected[from..from + 600]), "chunk {chunk}: what was read piece by piece");
            }
        }
    }

    #[test]
    fn bytes_past_the_bound_or_past_the_end_of_the_file_are_not_there() {
        let file = ReadOnce(Mutex::new(bytes(100)));
        let mut window = Window::with_chunk(&file, 90, Path::new("file"), 16);
        assert_eq!(window.get(80, 11).unwrap(), None);
        assert_eq!(window.get(u64::MAX, 2).unwrap(), None);
        assert_eq!(window.get(80, 10).unwrap().map(<[u8]>::len), Some(10));
        let mut window = Window::with_chunk(&file, 200, Path::new("file"), 16);
        assert_eq!(window.get(95, 10).unwrap(), None, "the file ends before");
    }
}
