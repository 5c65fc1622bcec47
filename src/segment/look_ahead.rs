//! The search for frames behind a break, where no chain leads any more.

use crate::error::EventStoreError;
use crate::format::frame::{FrameHeader, HEADER_LEN};
use crate::format::salt::Salt;
use crate::seeded_bug::SeededBug;
use crate::segment::walk::{FrameStep, StopReason, frame_at};
use crate::segment::window::Window;

/// Looks for frames behind a break, at every place where one could begin.
///
/// A valid frame is stepped over. Where a header is valid and its frame is not, the search goes on
/// inside it, so that a length which leads too far hides nothing; for as many bytes as the file has
/// and not more, so that the search stays linear in it. `found` gets every valid header and, where
/// the frame is valid too, the body.
pub(crate) fn look_ahead(
    window: &mut Window<'_>,
    salt: &Salt,
    from: u64,
    mut found: impl FnMut(u64, &FrameHeader, Option<&[u8]>),
) -> Result<(), EventStoreError> {
    let mut offset = from.next_multiple_of(8);
    let mut looked_into = 0;
    while let Some(candidate) = next_candidate(window, offset)? {
        offset = candidate + 8;
        let header = match frame_at(window, salt, candidate)? {
            FrameStep::Frame(frame) => {
                found(candidate, &frame.header, Some(frame.body));
                offset = frame.end();
                continue;
            }
            FrameStep::BadBody(header) => Some(header),
            FrameStep::None(StopReason::Padding) => header_at(window, salt, candidate)?,
            FrameStep::None(_) => None,
        };
        if let Some(header) = header {
            let doubtful = if SeededBug::InvalidCommitBelieved.is_on() {
                window.get(candidate + HEADER_LEN as u64, header.body_len as usize)?
            } else {
                None
            };
            found(candidate, &header, doubtful);
            let end = candidate + header.frame_len();
            // A body that goes past the end of the file was not read.
            if end <= window.len() {
                looked_into += header.frame_len();
                if looked_into > window.len() {
                    offset = end;
                }
            }
        }
    }
    Ok(())
}

fn header_at(window: &mut Window<'_>, salt: &Salt, offset: u64) -> Result<Option<FrameHeader>, EventStoreError> {
    Ok(window.get(offset, HEADER_LEN)?.and_then(|bytes| FrameHeader::decode(bytes, salt, offset)))
}

/// The next offset, a multiple of eight, whose bytes could be a header: a kind, and zeros where
/// flags and reserved bytes are. Passes over zeros at the speed of memory.
fn next_candidate(window: &mut Window<'_>, from: u64) -> Result<Option<u64>, EventStoreError> {
    let mut offset = from;
    loop {
        let chunk = window.chunk_at(offset)?;
        if chunk.len() < HEADER_LEN {
            return Ok(None);
        }
        let (words, _) = chunk.get(8..).unwrap_or_default().as_chunks::<8>();
        let hit = words.iter().position(|word| {
            let word = u64::from_le_bytes(*word);
            word >> 32 != 0 && word >> 40 == 0
        });
        if let Some(index) = hit {
            return Ok(Some(offset + index as u64 * 8));
        }
        // The last word of the chunk may be the first half of a header that ends in the next one.
        offset += words.len() as u64 * 8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::frame::Kind;
    use crate::segment::testing::{Written, path, salt};
    use crate::segment::tip::FIRST_FRAME;

    fn written() -> Written {
        let mut written = Written::new();
        written.entries(&[0, 1, 300]).entries(&[5_000]).batch(|buffer| buffer.push_record(Kind::ANCHOR, b"an anchor")).entries(&[7]);
        written
    }

    #[test]
    fn looking_ahead_finds_every_frame_behind_damage() {
        let written = written();
        let mut bytes = written.padded(16 << 10);
        let (from, to) = written.batches[1];
        bytes[usize::try_from(from).unwrap()..usize::try_from(from).unwrap() + 24].fill(0xa5);
        let mut found = Vec::new();
        let mut window = Window::over_slice(&bytes, path());
        look_ahead(&mut window, &salt(), from, |offset, header, body| found.push((offset, header.kind, body.is_some()))).unwrap();
        let commits: Vec<_> = found.iter().filter(|(_, kind, _)| *kind == Kind::COMMIT).map(|(offset, ..)| *offset).collect();
        assert_eq!(commits.len(), 3, "{found:?}");
        assert!(commits.iter().zip(&written.batches[1..]).all(|(commit, (from, to))| from < commit && commit < to));
        assert_eq!(found.first().map(|(offset, ..)| *offset), commits.first().copied(), "the entry's own header is gone");
        assert_eq!(found.len(), 3 + 2, "{to}");
    }

    #[test]
    fn a_length_that_leads_too_far_hides_no_frame() {
        let written = written();
        let whole = written.padded(16 << 10);
        let at = usize::try_from(written.batches[1].0).unwrap();
        for body_len in [9_000_u32, 100_000] {
            // The header is valid; the length that it states ends behind the other batches, or behind the file.
            let mut bytes = whole.clone();
            bytes[at + 8..at + 12].copy_from_slice(&body_len.to_le_bytes());
            let offset = written.batches[1].0.to_le_bytes();
            let crc = [&salt().0[..], &offset, &bytes[at + 4..at + HEADER_LEN]].concat();
            bytes[at..at + 4].copy_from_slice(&crc32fast::hash(&crc).to_le_bytes());
            let (mut found, mut commits) = (Vec::new(), 0);
            let mut window = Window::over_slice(&bytes, path());
            look_ahead(&mut window, &salt(), written.batches[1].0, |offset, header, body| {
                found.push((offset, body.is_some()));
                commits += u32::from(header.kind == Kind::COMMIT);
            })
            .unwrap();
            assert_eq!((found[0], commits), ((written.batches[1].0, false), 3), "{body_len}: {found:?}");
        }
    }

    #[test]
    fn headers_without_their_bodies_are_looked_into_for_no_longer_than_the_file() {
        // Every eight bytes a valid header could stand whose body ends with the file; as many as fit stand one behind the other.
        let len = 64 << 10;
        let mut bytes = vec![0; len];
        let at = usize::try_from(FIRST_FRAME).unwrap();
        for offset in (at..len - HEADER_LEN).step_by(HEADER_LEN) {
            let body_len = u32::try_from(len - offset - HEADER_LEN).unwrap();
            bytes[offset + 4..offset + 8].copy_from_slice(&[1; 4]);
            bytes[offset + 8..offset + 12].copy_from_slice(&body_len.to_le_bytes());
            bytes[offset + 12] = Kind::ENTRY.0;
            let place = (offset as u64).to_le_bytes();
            let crc = [&salt().0[..], &place, &bytes[offset + 4..offset + HEADER_LEN]].concat();
            bytes[offset..offset + 4].copy_from_slice(&crc32fast::hash(&crc).to_le_bytes());
        }
        let mut found = 0;
        look_ahead(&mut Window::over_slice(&bytes, path()), &salt(), FIRST_FRAME, |_, _, _| found += 1).unwrap();
        assert_eq!(found, 2, "the first is looked into, and the second is stepped over");
    }

    #[test]
    fn a_frame_inside_a_payload_is_never_taken_for_one() {
        // A payload that holds a whole valid segment, at an offset that is a multiple of eight.
        let inner = written();
        let mut outer = Written::new();
        outer.batch(|buffer| {
            let mut append = crate::segment::testing::append(1, 0);
            append.entry.payload = bytes::Bytes::from(inner.bytes.clone());
            append.entry.entry_hash = append.entry.recompute_hash();
            buffer.push_entry(&append);
        });
        let mut bytes = outer.padded(32 << 10);
        let (from, _) = outer.batches[0];
        bytes[usize::try_from(from).unwrap() + 8] ^= 1;
        let mut found = Vec::new();
        let mut window = Window::over_slice(&bytes, path());
        look_ahead(&mut window, &salt(), from, |_, header, _| found.push(header.kind)).unwrap();
        assert_eq!(found, [Kind::COMMIT], "only the outer commit validates where it stands");
    }
}
