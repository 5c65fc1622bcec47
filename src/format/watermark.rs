//! WATERMARK: two slots of 4096 bytes, written in turn, each saying how far the stream was durable.
//!
//! It is the witness beside the segments. The fields of a slot lie within one 512-byte sector, so that
//! a torn write leaves the other slot and at worst costs this one.

use super::bytes::check_zeros;
use super::chain::{self, ChainState, Position};
use super::field::{Field, covers};
use super::salt::{Stream, Uid};
use super::{FormatError, VERSION};

const MAGIC_FIELD: Field = Field::first("magic", 8);
const VERSION_FIELD: Field = MAGIC_FIELD.then("version", 4);
const STREAM: Field = VERSION_FIELD.then("stream", 1);
const RESERVED: Field = STREAM.then("reserved", 3);
const UID: Field = RESERVED.then("uid", 16);
const COMMIT_NO: Field = UID.then("commit_no", 8);
const SEQ: Field = COMMIT_NO.then("seq", 8);
const OFFSET: Field = SEQ.then("offset", 8);
const ORDINAL: Field = OFFSET.then("ordinal", 4);
const ANCHOR_ORDINAL: Field = ORDINAL.then("anchor_ordinal", 4);
const ANCHOR_OFFSET: Field = ANCHOR_ORDINAL.then("anchor_offset", 8);
const MAX_TS_INIT: Field = ANCHOR_OFFSET.then("max_ts_init", 8);
const ROOT: Field = MAX_TS_INIT.then("root", 32);
const SNAPSHOT_COUNT: Field = ROOT.then("snapshot_count", 8);
const HIFI_COUNT: Field = SNAPSHOT_COUNT.then("hifi_count", 8);
const GAP_COUNT: Field = HIFI_COUNT.then("gap_count", 8);
const DICT_COUNT: Field = GAP_COUNT.then("dict_count", 8);
const CRC: Field = DICT_COUNT.then("crc", 4);
const ZEROS: Field = CRC.then("zeros", SLOT_LEN - CRC.end());

const MARKER_COUNTS: [Field; 4] = [SNAPSHOT_COUNT, HIFI_COUNT, GAP_COUNT, DICT_COUNT];

/// The fields of a slot.
pub(crate) const FIELDS: &[Field] = &[
    MAGIC_FIELD,
    VERSION_FIELD,
    STREAM,
    RESERVED,
    UID,
    COMMIT_NO,
    SEQ,
    OFFSET,
    ORDINAL,
    ANCHOR_ORDINAL,
    ANCHOR_OFFSET,
    MAX_TS_INIT,
    ROOT,
    SNAPSHOT_COUNT,
    HIFI_COUNT,
    GAP_COUNT,
    DICT_COUNT,
    CRC,
    ZEROS,
];

/// The first bytes of a slot.
pub(crate) const MAGIC: &str = "TAPELOGW";

/// The length of a slot.
pub(crate) const SLOT_LEN: usize = 4096;

/// Where the two slots begin.
pub(crate) const SLOT_OFFSETS: [u64; 2] = [0, SLOT_LEN as u64];

/// The length of the file.
pub(crate) const FILE_LEN: u64 = 2 * SLOT_LEN as u64;

const _: () = {
    assert!(covers(FIELDS, SLOT_LEN));
    assert!(CRC.end() == 148 && CRC.end() <= 512);
};

/// What a slot says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Watermark {
    /// The run.
    pub(crate) uid: Uid,
    /// The stream.
    pub(crate) stream: Stream,
    /// The chain up to the last durable commit.
    pub(crate) state: ChainState,
    /// Where the next frame goes; 0 and 0 while nothing is durable.
    pub(crate) position: Position,
}

impl Watermark {
    /// The slot's bytes.
    pub(crate) fn encode_slot(&self) -> [u8; SLOT_LEN] {
        let state = &self.state;
        let (anchor_ordinal, anchor_offset) = chain::to_parts(state.anchor);
        let mut slot = [0; SLOT_LEN];
        MAGIC_FIELD.put(&mut slot, MAGIC.as_bytes());
        VERSION_FIELD.put(&mut slot, &VERSION.to_le_bytes());
        STREAM.put(&mut slot, &[self.stream.code()]);
        UID.put(&mut slot, &self.uid.0);
        COMMIT_NO.put(&mut slot, &state.commit_no.to_le_bytes());
        SEQ.put(&mut slot, &state.seq.to_le_bytes());
        OFFSET.put(&mut slot, &self.position.offset.to_le_bytes());
        ORDINAL.put(&mut slot, &self.position.ordinal.to_le_bytes());
        ANCHOR_ORDINAL.put(&mut slot, &anchor_ordinal.to_le_bytes());
        ANCHOR_OFFSET.put(&mut slot, &anchor_offset.to_le_bytes());
        MAX_TS_INIT.put(&mut slot, &state.max_ts_init.to_le_bytes());
        ROOT.put(&mut slot, &state.root);
        for (field, count) in MARKER_COUNTS.into_iter().zip(state.marker_counts) {
            field.put(&mut slot, &count.to_le_bytes());
        }
        let crc = computed_crc(&slot);
        CRC.put(&mut slot, &crc.to_le_bytes());
        slot
    }

    /// Reads the slot at the front of `slot`.
    pub(crate) fn decode_slot(slot: &[u8]) -> Result<Self, FormatError> {
        MAGIC_FIELD.magic(slot, MAGIC.as_bytes())?;
        CRC.crc(slot, computed_crc(slot))?;
        VERSION_FIELD.version(slot)?;
        check_zeros(ZEROS.slice(slot)?, ZEROS.offset)?;
        RESERVED.zeros(slot)?;
        let stream = STREAM.u8(slot)?;
        let stream = Stream::from_code(stream).ok_or_else(|| STREAM.damaged("1 or 2", stream.to_string()))?;
        let position = Position { ordinal: ORDINAL.u32(slot)?, offset: OFFSET.u64(slot)? };
        if position.ordinal == 0 && position.offset != 0 {
            return Err(OFFSET.damaged("0 without a segment", position.offset.to_string()));
        }
        let (commit_no, seq) = (COMMIT_NO.u64(slot)?, SEQ.u64(slot)?);
        if position.ordinal == 0 && (commit_no, seq) != (0, 0) {
            return Err(ORDINAL.damaged(format!("the segment of commit {commit_no} and entry {seq}"), "none"));
        }
        let anchor_offset = ANCHOR_OFFSET.u64(slot)?;
        let anchor = chain::from_parts(ANCHOR_ORDINAL.u32(slot)?, anchor_offset)
            .map_err(|_| ANCHOR_OFFSET.damaged("0 without an anchor", anchor_offset.to_string()))?;
        let mut marker_counts = [0; 4];
        for (count, field) in marker_counts.iter_mut().zip(MARKER_COUNTS) {
            *count = field.u64(slot)?;
        }
        let state = ChainState { commit_no, seq, root: ROOT.array(slot)?, max_ts_init: MAX_TS_INIT.u64(slot)?, anchor, marker_counts };
        Ok(Self { uid: Uid(UID.array(slot)?), stream, state, position })
    }
}

fn computed_crc(slot: &[u8]) -> u32 {
    crc32fast::hash(slot.get(..CRC.offset).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::testing::{self, chain_state, for_each_bit_flip, for_each_truncation, hex_lines, is_damage};

    fn watermark() -> Watermark {
        Watermark { uid: testing::UID, stream: Stream::Markers, state: chain_state(), position: Position { ordinal: 0x81, offset: 0x9198 } }
    }

    fn forged(field: Field, value: &[u8]) -> Vec<u8> {
        let mut slot = watermark().encode_slot().to_vec();
        field.put(&mut slot, value);
        let crc = computed_crc(&slot);
        CRC.put(&mut slot, &crc.to_le_bytes());
        slot
    }

    #[test]
    fn a_slot_has_its_golden_bytes() {
        let slot = watermark().encode_slot();
        assert_eq!(
            hex_lines(&slot[..148]),
            [
                "544150454c4f47570100000002000000000102030405060708090a0b0c0d0e0f",
                "1211000000000000222100000000000098910000000000008100000051000000",
                "6861000000000000424100000000000033333333333333333333333333333333",
                "3333333333333333333333333333333371000000000000007200000000000000",
                "73000000000000007400000000000000f33c5c72",
            ]
        );
        assert!(slot[148..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn nothing_durable_is_read_back() {
        let nothing = Watermark { state: ChainState::start([7; 32]), position: Position::default(), ..watermark() };
        assert_eq!(Watermark::decode_slot(&nothing.encode_slot()), Ok(nothing));
    }

    #[test]
    fn every_bit_is_protected() {
        for_each_bit_flip(&watermark().encode_slot(), |flipped, what| {
            assert!(is_damage(&Watermark::decode_slot(flipped)), "{what} went unnoticed");
        });
    }

    #[test]
    fn a_slot_cut_short_is_damage() {
        for_each_truncation(&watermark().encode_slot(), |bytes| assert!(is_damage(&Watermark::decode_slot(bytes))));
    }

    #[test]
    fn an_unknown_version_is_reported_as_such_if_the_checksum_is_right() {
        let mut slot = forged(VERSION_FIELD, &9_u32.to_le_bytes());
        assert_eq!(Watermark::decode_slot(&slot), Err(FormatError::UnknownVersion { found: 9, supported: 1 }));
        CRC.put(&mut slot, &[0; 4]);
        assert!(is_damage(&Watermark::decode_slot(&slot)));
    }

    #[test]
    fn a_commit_that_stands_in_no_segment_is_refused() {
        let nothing = Watermark { state: ChainState::start([7; 32]), position: Position::default(), ..watermark() };
        for state in [ChainState { commit_no: 1, ..nothing.state }, ChainState { seq: 1, ..nothing.state }] {
            assert!(is_damage(&Watermark::decode_slot(&Watermark { state, ..nothing }.encode_slot())));
        }
    }

    #[test]
    fn values_that_no_writer_writes_are_refused() {
        for (field, value) in [
            (RESERVED, &[1, 0, 0][..]),
            (STREAM, &[0]),
            (STREAM, &[3]),
            (ORDINAL, &[0; 4]),
            (ANCHOR_ORDINAL, &[0; 4]),
            (ZEROS, &[1; SLOT_LEN - 148]),
        ] {
            assert!(is_damage(&Watermark::decode_slot(&forged(field, value))), "{}", field.name);
        }
    }

    proptest! {
        #[test]
        fn a_slot_is_read_back(
            uid: [u8; 16], markers: bool, numbers: [u64; 3], root: [u8; 32], ordinal in 1_u32.., offset: u64,
            anchor in proptest::option::of((1_u32.., any::<u64>())), marker_counts: [u64; 4],
        ) {
            let [commit_no, seq, max_ts_init] = numbers;
            let anchor = anchor.map(|(ordinal, offset)| Position { ordinal, offset });
            let watermark = Watermark {
                uid: Uid(uid),
                stream: if markers { Stream::Markers } else { Stream::Entries },
                state: ChainState { commit_no, seq, root, max_ts_init, anchor, marker_counts },
                position: Position { ordinal, offset },
            };
            prop_assert_eq!(Watermark::decode_slot(&watermark.encode_slot()), Ok(watermark));
        }
    }
}
