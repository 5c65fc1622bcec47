//! Finding one entry in a segment, and reading it with everything checked.

use crate::error::{Corruption, EventStoreError};
use crate::format::entry::EntryParts;
use crate::format::frame::{FrameHeader, HEADER_LEN, Kind};
use crate::format::salt::Salt;
use crate::seeded_bug::SeededBug;
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

/// Whether an entry has the hash that is stored with it.
pub(crate) fn hash_is_right(parts: &EntryParts<'_>, seq: u64) -> bool {
    parts.hash(seq) == parts.entry_hash() || SeededBug::EntryHashUnchecked.is_on()
}

/// Reads the entry whose frame stands at `offset`, its hash computed again if `with_hash` is set.
///
/// # Errors
/// `HashMismatch` where the header is right and the body or the hash is not, `Corrupted` where
/// there is no such entry.
pub(crate) fn read_entry<'w>(
    window: &'w mut Window<'_>,
    salt: &Salt,
    offset: u64,
    seq: u64,
    with_hash: bool,
) -> Result<CheckedEntry<'w>, EventStoreError> {
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
            if with_hash && !hash_is_right(&parts, seq) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::testing::{Written, append, path, salt};
    use crate::segment::tip::FIRST_FRAME;

    fn find(bytes: &[u8], written: &Written, seq: u64) -> Option<u64> {
        hop_to_entry(&mut Window::over_slice(bytes, path()), &salt(), FIRST_FRAME, written.tip.position.offset, seq).unwrap()
    }

    #[test]
    fn hops_find_every_entry_and_nothing_else() {
        let mut written = Written::new();
        written.entries(&[0, 5, 100]).batch(|buffer| buffer.push_record(Kind::ANCHOR, b"anchor")).entries(&[3_000, 1]);
        let bytes = written.padded(16 << 10);
        for seq in 1..=5 {
            let offset = find(&bytes, &written, seq).unwrap();
            let mut window = Window::over_slice(&bytes, path());
            let entry = read_entry(&mut window, &salt(), offset, seq, true).unwrap();
            let expected = append(seq, entry.parts.payload.len()).entry;
            let from = usize::try_from(entry.payload_offset).unwrap();
            assert_eq!(&bytes[from..from + expected.payload.len()], &expected.payload[..]);
            assert_eq!(entry.payload_offset % 8, 0, "a payload is aligned in the file");
            let payload = expected.payload.clone();
            assert_eq!(entry.parts.to_entry(seq, payload), expected);
        }
        assert_eq!((find(&bytes, &written, 0), find(&bytes, &written, 6)), (None, None));
    }

    #[test]
    fn damage_is_told_by_where_it_is() {
        let mut written = Written::new();
        written.entries(&[9]);
        let offset = find(&written.padded(16 << 10), &written, 1).unwrap();
        let read = |change: &dyn Fn(&mut Vec<u8>), seq| {
            let mut bytes = written.padded(16 << 10);
            change(&mut bytes);
            read_entry(&mut Window::over_slice(&bytes, path()), &salt(), offset, seq, true).map(|_| ()).unwrap_err()
        };
        let at = usize::try_from(offset).unwrap();
        assert_eq!(read(&|bytes| bytes[at + 40] ^= 1, 1), EventStoreError::HashMismatch { seq: 1 });
        assert!(matches!(read(&|bytes| bytes[at + 9] ^= 1, 1), EventStoreError::Corrupted(_)));
        assert!(matches!(read(&|_| (), 2), EventStoreError::Corrupted(_)));
    }

    #[test]
    fn an_entry_that_was_stored_with_a_wrong_hash_does_not_pass() {
        let mut written = Written::new();
        written.batch(|buffer| {
            let mut entry = append(1, 9);
            entry.entry.entry_hash.0[3] ^= 1;
            buffer.push_entry(&entry);
        });
        let bytes = written.padded(16 << 10);
        let offset = find(&bytes, &written, 1).unwrap();
        let error = read_entry(&mut Window::over_slice(&bytes, path()), &salt(), offset, 1, true).map(|_| ()).unwrap_err();
        assert_eq!(error, EventStoreError::HashMismatch { seq: 1 });
    }
}
