//! A frame: a header of 24 bytes, a body, and zeros up to the next multiple of eight.
//!
//! The header has a checksum of its own, so that a damaged length cannot mislead. The checksum also
//! covers the segment's salt and the frame's offset, which are not stored: a frame that is left over
//! from another place, or that is embedded in a payload, does not validate.

use std::fmt;

use super::bytes::{align8, len_u32, put_zeros};
use super::field::{Field, covers};
use super::salt::{Salt, Stream};
use crate::limits::FRAME_BODY_LEN_MAX;
use crate::seeded_bug::SeededBug;

const HEADER_CRC: Field = Field::first("header_crc", 4);
const BODY_CRC: Field = HEADER_CRC.then("body_crc", 4);
const BODY_LEN: Field = BODY_CRC.then("body_len", 4);
const KIND: Field = BODY_LEN.then("kind", 1);
const FLAGS: Field = KIND.then("flags", 1);
const RESERVED: Field = FLAGS.then("reserved", 2);
const SEQ: Field = RESERVED.then("seq", 8);
const BODY: Field = SEQ.then("body", 0);
const PADDING: Field = BODY.then("padding", 0);

/// The fields of a frame.
pub(crate) const FIELDS: &[Field] = &[HEADER_CRC, BODY_CRC, BODY_LEN, KIND, FLAGS, RESERVED, SEQ, BODY, PADDING];

/// The length of a frame's header, in bytes.
pub(crate) const HEADER_LEN: usize = 24;

const OFFSET_LEN: usize = 8;
const CHECKED_LEN: usize = HEADER_LEN - HEADER_CRC.len;
const CRC_INPUT_LEN: usize = Salt::LEN + OFFSET_LEN + CHECKED_LEN;

const _: () = {
    assert!(covers(FIELDS, HEADER_LEN));
    assert!(HEADER_LEN.is_multiple_of(8));
    assert!(CRC_INPUT_LEN == 44);
    assert!(FRAME_BODY_LEN_MAX < u32::MAX as usize);
};

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Kind(pub(crate) u8);

impl Kind {
    /// The first frame of a segment.
    pub(crate) const OPEN: Self = Self(1);
    /// The opening manifest once more, behind OPEN in the first segment.
    pub(crate) const GENESIS: Self = Self(2);
    /// An entry.
    pub(crate) const ENTRY: Self = Self(3);
    /// The end of a batch.
    pub(crate) const COMMIT: Self = Self(4);
    /// A snapshot anchor.
    pub(crate) const ANCHOR: Self = Self(5);
    /// A cursor snapshot.
    pub(crate) const SNAPSHOT: Self = Self(6);
    /// A high-fidelity marker.
    pub(crate) const HIFI: Self = Self(7);
    /// A dictionary entry.
    pub(crate) const DICT: Self = Self(8);
    /// A range of dropped markers.
    pub(crate) const GAP: Self = Self(9);

    /// Every kind of this version with its name.
    pub(crate) const NAMES: &[(&str, u8)] = &[
        ("OPEN", Self::OPEN.0),
        ("GENESIS", Self::GENESIS.0),
        ("ENTRY", Self::ENTRY.0),
        ("COMMIT", Self::COMMIT.0),
        ("ANCHOR", Self::ANCHOR.0),
        ("SNAPSHOT", Self::SNAPSHOT.0),
        ("HIFI", Self::HIFI.0),
        ("DICT", Self::DICT.0),
        ("GAP", Self::GAP.0),
    ];

    /// Whether this version has the kind. A record of another kind is kept, covered by the root, and reported.
    pub(crate) const fn is_known(self) -> bool {
        Self::OPEN.0 <= self.0 && self.0 <= Self::GAP.0
    }

    /// Whether the frame is a record of a batch, which the root covers, and not part of the frame work around it.
    pub(crate) const fn is_record(self) -> bool {
        !matches!(self, Self::OPEN | Self::GENESIS | Self::COMMIT)
    }

    /// Whether a record of this kind takes the next number of the stream.
    pub(crate) const fn takes_seq(self, stream: Stream) -> bool {
        match stream {
            Stream::Entries => matches!(self, Self::ENTRY),
            Stream::Markers => matches!(self, Self::SNAPSHOT | Self::HIFI | Self::DICT | Self::GAP),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMES.iter().find(|(_, code)| *code == self.0) {
            Some((name, _)) => formatter.pad(name),
            None => write!(formatter, "kind {}", self.0),
        }
    }
}

/// The header of a frame, whose checksum was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    /// The CRC-32 of the body.
    pub(crate) body_crc: u32,
    /// The length of the body, without padding.
    pub(crate) body_len: u32,
    /// What the frame is.
    pub(crate) kind: Kind,
    /// The record's number, or the last one so far for a frame that takes none.
    pub(crate) seq: u64,
}

impl FrameHeader {
    /// The header at the front of `bytes`, which lie at `offset` of a segment with this salt; `None` if there is none.
    #[inline]
    pub(crate) fn decode(bytes: &[u8], salt: &Salt, offset: u64) -> Option<Self> {
        let header: &[u8; HEADER_LEN] = bytes.first_chunk()?;
        // A search through damaged bytes tries every offset, so that what costs nothing comes before the checksum.
        let kind = KIND.u8(header).ok()?;
        let flags = FLAGS.u8(header).ok()?;
        let reserved = RESERVED.u16(header).ok()?;
        let body_len = BODY_LEN.u32(header).ok()?;
        if kind == 0 || flags != 0 || reserved != 0 || body_len as usize > FRAME_BODY_LEN_MAX {
            return None;
        }
        if HEADER_CRC.u32(header).ok()? != header_crc(header, salt, offset) && !SeededBug::HeaderCrcSkipped.is_on() {
            return None;
        }
        Some(Self { body_crc: BODY_CRC.u32(header).ok()?, body_len, kind: Kind(kind), seq: SEQ.u64(header).ok()? })
    }

    /// The length of the frame with header and padding.
    #[inline]
    pub(crate) const fn frame_len(&self) -> u64 {
        (HEADER_LEN + align8(self.body_len as usize)) as u64
    }

    /// Whether `body` is the body that the header was written for.
    #[inline]
    pub(crate) fn body_is_valid(&self, body: &[u8]) -> bool {
        body.len() == self.body_len as usize && (crc32fast::hash(body) == self.body_crc || SeededBug::BodyCrcSkipped.is_on())
    }
}

/// Appends a frame that will lie at `offset` of a segment with this salt.
pub(crate) fn append_frame(buf: &mut Vec<u8>, salt: &Salt, offset: u64, kind: Kind, seq: u64, body: &[u8]) {
    buf.reserve(HEADER_LEN + align8(body.len()));
    let start = begin_frame(buf);
    buf.extend_from_slice(body);
    finish_frame(buf, start, salt, offset, kind, seq);
}

/// Leaves room for a header at the end of `buf` and returns where the frame begins. The body goes behind it.
pub(crate) fn begin_frame(buf: &mut Vec<u8>) -> usize {
    let start = buf.len();
    put_zeros(buf, HEADER_LEN);
    start
}

/// Ends the frame that begins at `start`: everything behind its header is its body.
pub(crate) fn finish_frame(buf: &mut Vec<u8>, start: usize, salt: &Salt, offset: u64, kind: Kind, seq: u64) {
    let frame = buf.get_mut(start..).unwrap_or_default();
    let padding = frame.len().next_multiple_of(8) - frame.len();
    stamp_frame(frame, salt, offset, kind, seq);
    put_zeros(buf, padding);
}

/// Writes the header of a frame whose body is in place: `frame` is both, without padding.
pub(crate) fn stamp_frame(frame: &mut [u8], salt: &Salt, offset: u64, kind: Kind, seq: u64) {
    debug_assert!(kind.0 != 0, "0 is never a kind");
    debug_assert!(offset.is_multiple_of(8), "a frame begins on a multiple of eight");
    let frame = frame.split_first_chunk_mut::<HEADER_LEN>();
    debug_assert!(frame.is_some(), "a frame is finished that was not begun");
    let Some((header, body)) = frame else { return };
    debug_assert!(body.len() <= FRAME_BODY_LEN_MAX, "a body of {} bytes has come past the limits", body.len());
    BODY_CRC.put(header, &crc32fast::hash(body).to_le_bytes());
    BODY_LEN.put(header, &len_u32(body.len()).to_le_bytes());
    KIND.put(header, &[kind.0]);
    SEQ.put(header, &seq.to_le_bytes());
    let crc = header_crc(header, salt, offset);
    HEADER_CRC.put(header, &crc.to_le_bytes());
}

#[inline]
fn header_crc(header: &[u8; HEADER_LEN], salt: &Salt, offset: u64) -> u32 {
    let mut input = [0; CRC_INPUT_LEN];
    let (salt_part, rest) = input.split_at_mut(Salt::LEN);
    let (offset_part, header_part) = rest.split_at_mut(OFFSET_LEN);
    salt_part.copy_from_slice(&salt.0);
    offset_part.copy_from_slice(&offset.to_le_bytes());
    header_part.copy_from_slice(header.split_at(HEADER_CRC.end()).1);
    crc32fast::hash(&input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::testing::{UID, for_each_bit_flip, for_each_truncation, hex_lines, salt};

    const OFFSET: u64 = 4096;
    const BODY_BYTES: &[u8] = b"hello tapes";

    fn frame() -> Vec<u8> {
        let mut buf = Vec::new();
        append_frame(&mut buf, &salt(), OFFSET, Kind::ENTRY, 42, BODY_BYTES);
        buf
    }

    /// Seals a header whose fields were changed, as a writer would that keeps no rule.
    fn with_crc(mut frame: Vec<u8>) -> Vec<u8> {
        let crc = header_crc(frame.first_chunk().unwrap(), &salt(), OFFSET);
        HEADER_CRC.put(&mut frame, &crc.to_le_bytes());
        frame
    }

    #[test]
    fn a_frame_has_its_golden_bytes() {
        assert_eq!(hex_lines(&frame()), ["924986b786f6a0fb0b000000030000002a0000000000000068656c6c6f207461", "7065730000000000"]);
    }

    #[test]
    fn the_header_checksum_is_that_of_salt_offset_and_header() {
        let frame = frame();
        let mut input = salt().0.to_vec();
        input.extend_from_slice(&OFFSET.to_le_bytes());
        input.extend_from_slice(&frame[4..24]);
        assert_eq!(frame[..4], crc32fast::hash(&input).to_le_bytes());
    }

    #[test]
    fn a_frame_is_read_back() {
        let frame = frame();
        let header = FrameHeader::decode(&frame, &salt(), OFFSET).unwrap();
        assert_eq!((header.kind, header.seq, header.body_len), (Kind::ENTRY, 42, 11));
        assert_eq!(header.frame_len(), frame.len() as u64);
        assert!(header.body_is_valid(&frame[24..35]));
        assert_eq!(frame[35..], [0; 5]);
    }

    #[test]
    fn an_empty_body_is_a_frame_of_a_header() {
        let mut buf = Vec::new();
        append_frame(&mut buf, &salt(), OFFSET, Kind(200), 0, &[]);
        let header = FrameHeader::decode(&buf, &salt(), OFFSET).unwrap();
        assert_eq!(header.frame_len(), 24);
        assert!(header.body_is_valid(&[]));
    }

    #[test]
    fn a_frame_composed_in_place_is_the_same_frame() {
        let mut buf = b"before".to_vec();
        let start = begin_frame(&mut buf);
        buf.extend_from_slice(BODY_BYTES);
        finish_frame(&mut buf, start, &salt(), OFFSET, Kind::ENTRY, 42);
        assert_eq!(buf[6..], frame());
    }

    #[test]
    fn every_bit_of_header_and_body_is_protected() {
        for_each_bit_flip(&frame()[..24 + BODY_BYTES.len()], |flipped, what| {
            let header = FrameHeader::decode(flipped, &salt(), OFFSET);
            assert!(header.is_none_or(|header| !header.body_is_valid(&flipped[24..])), "{what} went unnoticed");
        });
    }

    #[test]
    fn a_header_cut_short_is_none() {
        for_each_truncation(&frame()[..24], |bytes| assert_eq!(FrameHeader::decode(bytes, &salt(), OFFSET), None));
    }

    #[test]
    fn a_body_of_another_length_is_not_valid() {
        let frame = frame();
        let header = FrameHeader::decode(&frame, &salt(), OFFSET).unwrap();
        assert!(!header.body_is_valid(&frame[24..36]));
        assert!(!header.body_is_valid(&frame[24..34]));
    }

    #[test]
    fn a_displaced_or_embedded_frame_does_not_validate() {
        let inner = frame();
        let mut outer = Vec::new();
        append_frame(&mut outer, &salt(), OFFSET, Kind::ENTRY, 1, &inner);
        for offset in (0..outer.len() as u64).step_by(8).skip(1) {
            let at = usize::try_from(offset).unwrap();
            assert_eq!(FrameHeader::decode(&outer[at..], &salt(), OFFSET + offset), None, "at {offset}");
        }
        for other in [0, OFFSET - 8, OFFSET + 8, OFFSET << 32] {
            assert_eq!(FrameHeader::decode(&inner, &salt(), other), None);
        }
    }

    #[test]
    fn a_frame_of_another_segment_stream_or_run_does_not_validate() {
        let others = [Salt::of(&UID, Stream::Entries, 2), Salt::of(&UID, Stream::Markers, 1), Salt([0; 16])];
        for other in others {
            assert_eq!(FrameHeader::decode(&frame(), &other, OFFSET), None);
        }
    }

    #[test]
    fn zeros_are_not_a_frame() {
        assert_eq!(FrameHeader::decode(&[0; 64], &salt(), OFFSET), None);
    }

    #[test]
    fn kind_zero_flags_reserved_bytes_and_long_bodies_are_refused_although_the_checksum_is_right() {
        assert!(FrameHeader::decode(&with_crc(frame()), &salt(), OFFSET).is_some());
        for (field, value) in [(KIND, vec![0]), (FLAGS, vec![1]), (RESERVED, vec![0, 1]), (RESERVED, vec![1, 0])] {
            let mut changed = frame();
            field.put(&mut changed, &value);
            assert_eq!(FrameHeader::decode(&with_crc(changed), &salt(), OFFSET), None, "{}", field.name);
        }
        for (body_len, accepted) in [(FRAME_BODY_LEN_MAX, true), (FRAME_BODY_LEN_MAX + 1, false), (u32::MAX as usize, false)] {
            let mut changed = frame();
            BODY_LEN.put(&mut changed, &u32::try_from(body_len).unwrap().to_le_bytes());
            assert_eq!(FrameHeader::decode(&with_crc(changed), &salt(), OFFSET).is_some(), accepted);
        }
    }

    #[test]
    fn an_unknown_kind_is_read_and_reported_as_not_known() {
        for code in 1..=u8::MAX {
            let mut buf = Vec::new();
            append_frame(&mut buf, &salt(), OFFSET, Kind(code), 7, b"x");
            let header = FrameHeader::decode(&buf, &salt(), OFFSET).unwrap();
            assert_eq!(header.kind, Kind(code));
            assert_eq!(header.kind.is_known(), code <= 9);
        }
        assert!(!Kind(0).is_known());
    }

    #[test]
    fn only_the_records_of_its_own_stream_take_a_number() {
        let taking = |stream| (0..=u8::MAX).filter(|code| Kind(*code).takes_seq(stream)).collect::<Vec<_>>();
        assert_eq!(taking(Stream::Entries), [3]);
        assert_eq!(taking(Stream::Markers), [6, 7, 8, 9]);
    }

    #[test]
    fn every_known_kind_has_a_name() {
        assert_eq!(Kind::NAMES.len(), 9);
        assert!(Kind::NAMES.iter().enumerate().all(|(index, (_, code))| index + 1 == usize::from(*code)));
        assert_eq!(Kind::COMMIT.to_string(), "COMMIT");
        assert_eq!(Kind(77).to_string(), "kind 77");
    }
}
