//! Finding one entry in a segment, and reading it with everything checked.

use crate::error::{Corruption, EventStoreError};
use crate::format::entry::EntryParts;
use crate::format::frame::{FrameHeader, HEADER_LEN, Kind};
use crate::format::salt::Salt;
use crate::segment::walk::{FrameStep, StopReason, frame_at};
use crate::segment::window::Window;

/// Steps from header to header until the entry `seq`, starting at a frame.
///
/// `None` where the entry is not reached before `end`, or a header on the way is damaged.
pub(crate) fn hop_to_entry(window: &mut Window<'_>, salt: &Salt, from: u64, end: u64, seq: u64) -> Result<Option<u64>, EventStoreError> {
    let mut offset = from;
    while offset < end {
        let Some(header) = window.get(offset, HEADER_LEN)?.and_then(|bytes| FrameHeader::decode(bytes, salt, offset)) else {
            return Ok(None);
        };
        if header.kind == Kind::ENTRY && header.seq >= seq {
            return Ok((header.seq == seq).then_some(offset));
        }
        offset += header.frame_len();
    }
    Ok(None)
}

/// An entry that was read and checked.
pub(crate) struct CheckedEntry<'w> {
    pub(crate) parts: EntryParts<'w>,
    /// Where the payload begins in the segment.
    pub(crate) payload_offset: u64,
    /// Where the next frame begins.
    pub(crate) frame_end: u64,
}

/// Reads the entry whose frame stands at `offset`.
///
/// # Errors
/// `HashMismatch` where the header is right and the body or the hash is not, `Corrupted` where
/// there is no such entry.
pub(crate) fn read_entry<'w>(window: &'w mut Window<'_>, salt: &Salt, offset: u64, seq: u64) -> Result<CheckedEntry<'w>, EventStoreError> {
    let path = window.path();
    let damaged = |expected: String, found: &str| -> EventStoreError {
        Corruption::at(path, offset, expected, found).with_seq(seq).advise("verify the run to see the extent of the damage").into()
    };
    match frame_at(window, salt, offset)? {
        FrameStep::Frame(frame) => {
            if frame.header.kind != Kind::ENTRY || frame.header.seq != seq {
                return Err(damaged(format!("the entry {seq}"), "another record"));
            }
            let frame_end = frame.end();
            let parts = EntryParts::decode(frame.body).map_err(|error| damaged("an entry".to_owned(), &error.to_string()))?;
            if parts.hash(seq) != parts.entry_hash {
                return Err(EventStoreError::HashMismatch { seq });
            }
            let payload_offset = offset + (HEADER_LEN + parts.payload_offset) as u64;
            Ok(CheckedEntry { parts, payload_offset, frame_end })
        }
        FrameStep::BadBody(header) if header.kind == Kind::ENTRY && header.seq == seq => Err(EventStoreError::HashMismatch { seq }),
        FrameStep::BadBody(_) => Err(damaged(format!("the entry {seq}"), "another record, damaged")),
        FrameStep::None(StopReason::Padding) => Err(damaged("zeros behind the entry".to_owned(), "other bytes")),
        FrameStep::None(reason) => Err(damaged(format!("the entry {seq}"), &reason.to_string())),
    }
}
