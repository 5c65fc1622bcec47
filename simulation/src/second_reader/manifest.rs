//! The two sections of MANIFEST, as far as a judge of crashes needs them.

use std::ops::Range;

use super::Root;
use super::bytes::{align8, array, is_zero, len_at, u32_at};

const ENVELOPE_LEN: usize = 72;

/// A row of the table of segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSegmentRow {
    /// The segment's number.
    pub ordinal: u32,
    /// Where its last commit ends.
    pub len: u64,
    /// How many entries it has.
    pub entry_count: u64,
    /// The last number up to its end.
    pub last_seq: u64,
    /// The last commit up to its end.
    pub last_commit_no: u64,
    /// The root at its end.
    pub root: Root,
}

/// A seal section whose checksum and digest fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// How the run ended, as the number of the variant.
    pub status: u32,
    /// The last entry.
    pub high_watermark: u64,
    /// The largest `ts_init`.
    pub end_ts_init: Option<u64>,
    /// The last commit.
    pub last_commit_no: u64,
    /// The table of segments.
    pub segments: Vec<SealedSegmentRow>,
    /// The root behind the last commit.
    pub final_root: Root,
    /// Segment and offset of the newest anchor.
    pub anchor: Option<(u32, u64)>,
    /// Whether the seal says that the run is damaged.
    pub damaged: bool,
}

/// What MANIFEST says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The run.
    pub uid: [u8; 16],
    /// The opening section, without padding.
    pub opening: Range<usize>,
    /// The seal section; none if there is none or it is not whole.
    pub seal: Option<Seal>,
    /// Whether anything stands behind the opening section, whole or not.
    pub goes_on: bool,
}

impl Manifest {
    /// Reads MANIFEST; none if the opening section is not whole.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let opening = envelope(bytes, 0, *b"TLMO")?;
        let uid = array(bytes, 16)?;
        let seal_at = align8(opening.end);
        let seal = bytes.get(opening.end..seal_at).filter(|padding| is_zero(padding)).and_then(|_| {
            let section = envelope(bytes, seal_at, *b"TLMS").filter(|section| section.end == bytes.len())?;
            let body = bytes.get(section.start + ENVELOPE_LEN..section.end)?;
            let mut hasher = blake3::Hasher::new();
            hasher.update(b"tapelog/seal/v1").update(bytes.get(opening.clone())?).update(body);
            let fits = array::<16>(bytes, seal_at + 16)? == uid && array::<32>(bytes, seal_at + 32)? == *hasher.finalize().as_bytes();
            if fits { seal(body) } else { None }
        });
        Some(Self { uid, goes_on: bytes.len() > opening.end, opening, seal })
    }
}

/// The whole of the envelope at `start`.
fn envelope(bytes: &[u8], start: usize, magic: [u8; 4]) -> Option<Range<usize>> {
    let rest = bytes.get(start..)?;
    let end = ENVELOPE_LEN.checked_add(len_at(rest, 8)?)?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(rest.get(..12)?);
    hasher.update(rest.get(16..end)?);
    let whole =
        rest.starts_with(&magic) && u32_at(rest, 12)? == hasher.finalize() && u32_at(rest, 4)? == 1 && is_zero(rest.get(64..ENVELOPE_LEN)?);
    whole.then_some(start..start + end)
}

/// A value that is read from its front to its end.
struct Value<'a>(&'a [u8]);

impl Value<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, rest) = self.0.split_at_checked(N)?;
        self.0 = rest;
        front.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn present(&mut self) -> Option<bool> {
        match self.array()? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }
}

fn seal(body: &[u8]) -> Option<Seal> {
    let mut value = Value(body);
    let (status, high_watermark) = (value.u32()?, value.u64()?);
    let end_ts_init = if value.present()? { Some(value.u64()?) } else { None };
    let (last_commit_no, _walked_from) = (value.u64()?, value.u32()?);
    let mut segments = Vec::new();
    for _ in 0..value.u64()? {
        segments.push(SealedSegmentRow {
            ordinal: value.u32()?,
            len: value.u64()?,
            entry_count: value.u64()?,
            last_seq: value.u64()?,
            last_commit_no: value.u64()?,
            root: value.array()?,
        });
    }
    let final_root = value.array()?;
    let anchor = if value.present()? { Some((value.u32()?, value.u64()?)) } else { None };
    let damaged = value.present()?;
    Some(Seal { status, high_watermark, end_ts_init, last_commit_no, segments, final_root, anchor, damaged })
}
