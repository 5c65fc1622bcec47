//! What the slots of WATERMARK say.

use std::ops::Range;

use super::Root;
use super::bytes::{array, is_zero, u32_at, u64_at};

/// The length of a slot with the zeros behind its fields.
pub(super) const SLOT_LEN: usize = 4096;
/// The bytes that the checksum of a slot covers.
pub(super) const SLOT_COVERED: usize = 144;
const FIELDS_LEN: usize = 148;

/// A slot that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotPlace {
    /// The slot's fields, checksum included; zeros follow up to the end of the slot.
    pub fields: Range<usize>,
    /// The run.
    pub uid: [u8; 16],
    /// 1 for entries, 2 for markers.
    pub stream: u8,
    /// The last durable commit.
    pub commit_no: u64,
    /// The last number up to it.
    pub seq: u64,
    /// The segment of that commit; 0 before the first.
    pub ordinal: u32,
    /// Where that commit ends; 0 before the first.
    pub offset: u64,
    /// Segment and offset of the newest anchor up to it; zeros without one.
    pub anchor: (u32, u64),
    /// The largest `ts_init` up to it.
    pub max_ts_init: u64,
    /// The root behind it.
    pub root: Root,
}

/// The two slots; none where one is not whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Watermark {
    /// Slot 0 and slot 1.
    pub slots: [Option<SlotPlace>; 2],
}

impl Watermark {
    /// Reads both slots, each by itself and whatever the length of the file is.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        Self { slots: [SlotPlace::read(bytes, 0), SlotPlace::read(bytes, 1)] }
    }

    /// The slot that a reader takes: the whole one with the larger commit number, of this run and stream.
    #[must_use]
    pub fn newest(&self, uid: &[u8; 16], stream: u8) -> Option<&SlotPlace> {
        self.slots.iter().flatten().filter(|slot| slot.uid == *uid && slot.stream == stream).max_by_key(|slot| slot.commit_no)
    }
}

impl SlotPlace {
    /// Reads slot 0 or 1; none if it is not whole.
    #[must_use]
    pub fn read(bytes: &[u8], slot: usize) -> Option<Self> {
        let start = slot.checked_mul(SLOT_LEN)?;
        let content = bytes.get(start..start.checked_add(SLOT_LEN)?)?;
        let stream = *content.get(12)?;
        let whole = content.starts_with(b"TAPELOGW")
            && u32_at(content, SLOT_COVERED)? == crc32fast::hash(content.get(..SLOT_COVERED)?)
            && u32_at(content, 8)? == 1
            && matches!(stream, 1 | 2)
            && is_zero(content.get(13..16)?)
            && is_zero(content.get(FIELDS_LEN..)?);
        whole.then_some(Self {
            fields: start..start + FIELDS_LEN,
            uid: array(content, 16)?,
            stream,
            commit_no: u64_at(content, 32)?,
            seq: u64_at(content, 40)?,
            ordinal: u32_at(content, 56)?,
            offset: u64_at(content, 48)?,
            anchor: (u32_at(content, 60)?, u64_at(content, 64)?),
            max_ts_init: u64_at(content, 72)?,
            root: array(content, 80)?,
        })
    }
}
