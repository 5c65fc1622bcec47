//! Memory that is mapped: files for reading, and the anonymous image of an active segment.
//!
//! This is the one file of the crate with `unsafe`, and it has one such block. A map is made only of
//! bytes that the file has at that moment. Nothing here can hold the file at that length afterwards:
//! whoever maps a file promises that nobody writes or cuts it any more.

#![expect(unsafe_code, reason = "a map of a file cannot be made without it; this is the only place that may")]

use std::fmt;
use std::fs;
use std::io;

use bytes::Bytes;
use memmap2::{Mmap, MmapMut, MmapOptions};

/// The first `len` bytes of `file` as shared memory.
///
/// # Errors
/// `UnexpectedEof` where the file is shorter than `len`; else what the operating system reports.
pub(super) fn map_file(file: &fs::File, len: u64) -> io::Result<Bytes> {
    let found = file.metadata()?.len();
    if found < len {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("the file has {found} bytes, and {len} were to be mapped")));
    }
    if len == 0 {
        return Ok(Bytes::new());
    }
    let len = usize::try_from(len).map_err(|_| io::Error::new(io::ErrorKind::OutOfMemory, "the file is larger than the address space"))?;
    // SAFETY: the bytes of a map must not change, and its file must not become shorter, while it
    // lives. The caller of `File::map` keeps that promise: only full and sealed segments of a run of
    // this user are mapped, which nothing of this crate writes or cuts again and which lie in a
    // folder that nobody else may enter; foreign, quarantined and live files are read by position.
    // The length was checked above, so that no page of the map lies behind the end of the file.
    let map: Mmap = unsafe { MmapOptions::new().len(len).map(file)? };
    Ok(Bytes::from_owner(map))
}

/// Zeroed, page-aligned memory of a fixed length: the image of an active segment.
///
/// Pages that were never touched take no memory.
pub struct Image {
    map: MmapMut,
    len: usize,
}

impl Image {
    /// An image of `len` zero bytes.
    ///
    /// # Errors
    /// What the operating system reports, `OutOfMemory` above all.
    pub fn new(len: usize) -> io::Result<Self> {
        // The operating system refuses an empty map; an empty image is a view of nothing in a map of one byte.
        let map = MmapMut::map_anon(len.max(1))?;
        // A segment's image is filled from its beginning to its end: in large pages that takes the appending thread a few
        // faults instead of thousands. Where there are none, small ones do.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Ok(Self { map, len })
    }

    /// The length in bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether the image has no bytes at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.map.get(..self.len).unwrap_or_default()
    }

    /// All bytes, to write to.
    #[must_use]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.map.get_mut(..self.len).unwrap_or_default()
    }

    /// The `len` bytes from `offset`, or nothing where they do not all lie in the image.
    #[must_use]
    pub fn get(&self, offset: usize, len: usize) -> Option<&[u8]> {
        self.as_slice().get(offset..offset.checked_add(len)?)
    }

    /// The `len` bytes from `offset`, to write to, or nothing where they do not all lie in the image.
    #[must_use]
    pub fn get_mut(&mut self, offset: usize, len: usize) -> Option<&mut [u8]> {
        self.as_mut_slice().get_mut(offset..offset.checked_add(len)?)
    }

    /// Copies `bytes` to `offset`; where they do not fit, nothing is copied and the answer is false.
    #[must_use]
    pub fn copy_in(&mut self, offset: usize, bytes: &[u8]) -> bool {
        match self.get_mut(offset, bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                true
            }
            None => false,
        }
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Image").field("len", &self.len).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn a_map_shows_the_first_bytes_of_the_file_and_outlives_its_handle() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(b"abcdefgh", 0).unwrap();
        let map = map_file(&file, 5).unwrap();
        drop(file);
        let part = map.slice(1..3);
        drop(map);
        assert_eq!(&part[..], b"bc");
    }

    #[test]
    fn a_file_cut_shorter_than_the_map_is_refused_when_it_is_mapped() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(8192).unwrap();
        assert_eq!(map_file(&file, 8192).unwrap().len(), 8192);
        file.set_len(8191).unwrap();
        assert_eq!(map_file(&file, 8192).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(map_file(&file, u64::MAX).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_map_of_nothing_is_empty() {
        let file = tempfile::tempfile().unwrap();
        assert!(map_file(&file, 0).unwrap().is_empty());
    }

    #[test]
    fn a_new_image_is_zeroed_and_begins_on_a_page() {
        let image = Image::new(3 * 4096 + 5).unwrap();
        assert_eq!(image.len(), 3 * 4096 + 5);
        assert_eq!(image.as_slice().len(), image.len());
        assert!(image.as_slice().iter().all(|byte| *byte == 0));
        assert_eq!(image.as_slice().as_ptr().align_offset(4096), 0);
    }

    #[test]
    fn an_image_without_bytes_can_be_made() {
        let mut image = Image::new(0).unwrap();
        assert!(image.is_empty());
        assert!(image.as_mut_slice().is_empty());
        assert_eq!(image.get(0, 0), Some(&[][..]));
        assert!(image.copy_in(0, b""));
        assert!(!image.copy_in(0, b"a"));
    }

    #[test]
    fn an_image_gives_and_takes_only_what_lies_in_it() {
        let mut image = Image::new(8).unwrap();
        assert!(image.copy_in(5, b"xyz"));
        assert_eq!(image.get(5, 3), Some(&b"xyz"[..]));
        assert!(!image.copy_in(6, b"123"), "one byte does not fit");
        assert!(!image.copy_in(usize::MAX, b"12"), "the end overflows");
        assert_eq!(image.as_slice(), b"\0\0\0\0\0xyz", "a refused copy changes nothing");
        assert_eq!(image.get(6, 3), None);
        assert_eq!(image.get(usize::MAX, 2), None);
        assert_eq!(image.get(9, 0), None);
        assert_eq!(image.get(8, 0), Some(&[][..]));
    }
}
