//! What an OPEN says about the segments before it.

use std::ops::Range;

use super::bytes::{array, is_zero, u32_at, u64_at};
use super::{FramePlace, Root, kind};

const OPEN_LEN: usize = 136;

/// An OPEN whose frame is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenPlace {
    /// The whole frame.
    pub range: Range<usize>,
    /// The last number before the segment.
    pub base_seq: u64,
    /// The last commit before the segment.
    pub base_commit_no: u64,
    /// The largest `ts_init` before the segment.
    pub max_ts_init: u64,
    /// The segment before; 0 in segment 1.
    pub previous_ordinal: u32,
    /// Where the last commit of that segment ends.
    pub previous_end: u64,
    /// Segment and offset of the newest anchor before; zeros without one.
    pub anchor: (u32, u64),
    /// The root behind the last commit before.
    pub root: Root,
    /// Records of the kinds SNAPSHOT, HIFI, GAP and DICT before.
    pub marker_counts: [u64; 4],
}

impl OpenPlace {
    /// What the OPEN in this frame says; none if the frame is no whole OPEN.
    #[must_use]
    pub fn of_frame(bytes: &[u8], frame: &FramePlace) -> Option<Self> {
        if !frame.is_valid() || frame.kind != kind::OPEN || frame.body.len() != OPEN_LEN {
            return None;
        }
        let body = bytes.get(frame.body.clone())?;
        let base_seq = u64_at(body, 0)?;
        if u64_at(body, 16)? != base_seq || frame.seq != base_seq || !is_zero(body.get(120..)?) {
            return None;
        }
        Some(Self {
            range: frame.range(),
            base_seq,
            base_commit_no: u64_at(body, 8)?,
            max_ts_init: u64_at(body, 24)?,
            previous_ordinal: u32_at(body, 32)?,
            previous_end: u64_at(body, 40)?,
            anchor: (u32_at(body, 36)?, u64_at(body, 48)?),
            root: array(body, 56)?,
            marker_counts: [u64_at(body, 88)?, u64_at(body, 96)?, u64_at(body, 104)?, u64_at(body, 112)?],
        })
    }
}
