//! Where frames stand, and whether their two checksums fit.

use std::ops::Range;

use super::bytes::{align8, is_zero, len_at, u16_at, u32_at, u64_at};
use super::{BODY_LEN_MAX, FRAME_HEADER_LEN, Salt};

/// A place in a segment at which something stands that is not zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FramePlace {
    /// Where the header begins.
    pub offset: usize,
    /// What the frame is; see [`kind`](super::kind).
    pub kind: u8,
    /// The record's number, or the last one so far.
    pub seq: u64,
    /// The body. It is as long as the header says, which may lie past the end of the file, and empty if the header
    /// is not valid.
    pub body: Range<usize>,
    /// Where the next frame begins, behind the padding.
    pub end: usize,
    /// Whether the header is one for this place of this segment.
    pub header_ok: bool,
    /// Whether body and padding are there and fit as well.
    pub body_ok: bool,
}

impl FramePlace {
    /// Header, body and padding.
    #[must_use]
    pub const fn range(&self) -> Range<usize> {
        self.offset..self.end
    }

    /// Whether a reader accepts the frame.
    #[must_use]
    pub const fn is_valid(&self) -> bool {
        self.header_ok && self.body_ok
    }
}

/// The checksum that the header at `offset` ought to have.
pub(super) fn header_crc(bytes: &[u8], salt: Salt, offset: usize) -> Option<u32> {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.0);
    hasher.update(&u64::try_from(offset).ok()?.to_le_bytes());
    hasher.update(bytes.get(offset.checked_add(4)?..offset.checked_add(FRAME_HEADER_LEN)?)?);
    Some(hasher.finalize())
}

/// The frame at `offset`; none where the file ends within a header or the header is all zeros.
#[must_use]
pub fn frame_at(bytes: &[u8], salt: Salt, offset: usize) -> Option<FramePlace> {
    let start = offset.checked_add(FRAME_HEADER_LEN)?;
    let header = bytes.get(offset..start)?;
    if is_zero(header) {
        return None;
    }
    let (kind, flags) = (*header.get(12)?, *header.get(13)?);
    let (body_len, seq) = (len_at(header, 8)?, u64_at(header, 16)?);
    let header_ok = kind != 0
        && flags == 0
        && u16_at(header, 14)? == 0
        && body_len <= BODY_LEN_MAX
        && u32_at(header, 0)? == header_crc(bytes, salt, offset)?;
    if !header_ok {
        return Some(FramePlace { offset, kind, seq, body: start..start, end: start, header_ok, body_ok: false });
    }
    let body = start..start.checked_add(body_len)?;
    let end = align8(body.end);
    let stored = u32_at(header, 4)?;
    let body_ok =
        bytes.get(body.clone()).is_some_and(|body| crc32fast::hash(body) == stored) && bytes.get(body.end..end).is_some_and(is_zero);
    Some(FramePlace { offset, kind, seq, body, end, header_ok, body_ok })
}

/// The frames one behind the other from `from` on.
///
/// The last one is the first whose header is not valid, if there is anything where it ought to be: nobody knows where
/// the one behind it begins.
pub fn frames(bytes: &[u8], salt: Salt, from: usize) -> impl Iterator<Item = FramePlace> + '_ {
    let first = frame_at(bytes, salt, from);
    std::iter::successors(first, move |frame| if frame.header_ok { frame_at(bytes, salt, frame.end) } else { None })
}

/// Every frame with a valid header from `from` on, looked for at each multiple of eight. Those that are valid as a whole
/// are stepped over.
#[must_use]
pub fn search_frames(bytes: &[u8], salt: Salt, from: usize) -> Vec<FramePlace> {
    let mut found = Vec::new();
    let mut at = align8(from);
    while at.checked_add(FRAME_HEADER_LEN).is_some_and(|end| end <= bytes.len()) {
        // A kind of 0 is never a frame, and most of what is searched is zeros: the checksum is for the rest.
        let frame = match bytes.get(at + 12) {
            Some(0) | None => None,
            Some(_) => frame_at(bytes, salt, at).filter(|frame| frame.header_ok),
        };
        at = frame.as_ref().filter(|frame| frame.is_valid()).map_or(at + 8, |frame| frame.end);
        found.extend(frame);
    }
    found
}
