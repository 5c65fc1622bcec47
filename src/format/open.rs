//! The body of OPEN, the first frame of every segment that is in use: the state of the chain before it.
//!
//! OPEN repeats what the segments before it come to, so that opening a run reads one frame of each. A
//! walk that comes from the segment before compares the two.

use super::FormatError;
use super::bytes::check_len;
use super::chain::{self, ChainState, Position};
use super::field::{Field, covers};

const BASE_SEQ: Field = Field::first("base_seq", 8);
const BASE_COMMIT_NO: Field = BASE_SEQ.then("base_commit_no", 8);
const ENTRY_COUNT: Field = BASE_COMMIT_NO.then("entry_count", 8);
const MAX_TS_INIT: Field = ENTRY_COUNT.then("max_ts_init", 8);
const PREVIOUS_ORDINAL: Field = MAX_TS_INIT.then("previous_ordinal", 4);
const ANCHOR_ORDINAL: Field = PREVIOUS_ORDINAL.then("anchor_ordinal", 4);
const PREVIOUS_END: Field = ANCHOR_ORDINAL.then("previous_end", 8);
const ANCHOR_OFFSET: Field = PREVIOUS_END.then("anchor_offset", 8);
const ROOT: Field = ANCHOR_OFFSET.then("root", 32);
const SNAPSHOT_COUNT: Field = ROOT.then("snapshot_count", 8);
const HIFI_COUNT: Field = SNAPSHOT_COUNT.then("hifi_count", 8);
const GAP_COUNT: Field = HIFI_COUNT.then("gap_count", 8);
const DICT_COUNT: Field = GAP_COUNT.then("dict_count", 8);
const RESERVED: Field = DICT_COUNT.then("reserved", 16);

const MARKER_COUNTS: [Field; 4] = [SNAPSHOT_COUNT, HIFI_COUNT, GAP_COUNT, DICT_COUNT];

/// The fields of the body.
pub(crate) const FIELDS: &[Field] = &[
    BASE_SEQ,
    BASE_COMMIT_NO,
    ENTRY_COUNT,
    MAX_TS_INIT,
    PREVIOUS_ORDINAL,
    ANCHOR_ORDINAL,
    PREVIOUS_END,
    ANCHOR_OFFSET,
    ROOT,
    SNAPSHOT_COUNT,
    HIFI_COUNT,
    GAP_COUNT,
    DICT_COUNT,
    RESERVED,
];

/// The length of the body.
pub(crate) const BODY_LEN: usize = 136;

const _: () = assert!(covers(FIELDS, BODY_LEN));

/// The body of an OPEN frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Open {
    /// The chain before the segment's first record.
    pub(crate) base: ChainState,
    /// The end of the segment before; 0 and 0 in the first segment.
    pub(crate) previous: Position,
}

impl Open {
    /// Appends the body.
    pub(crate) fn encode_body(&self, buf: &mut Vec<u8>) {
        let base = &self.base;
        let (anchor_ordinal, anchor_offset) = chain::to_parts(base.anchor);
        let mut body = [0; BODY_LEN];
        BASE_SEQ.put(&mut body, &base.seq.to_le_bytes());
        BASE_COMMIT_NO.put(&mut body, &base.commit_no.to_le_bytes());
        ENTRY_COUNT.put(&mut body, &base.seq.to_le_bytes());
        MAX_TS_INIT.put(&mut body, &base.max_ts_init.to_le_bytes());
        PREVIOUS_ORDINAL.put(&mut body, &self.previous.ordinal.to_le_bytes());
        ANCHOR_ORDINAL.put(&mut body, &anchor_ordinal.to_le_bytes());
        PREVIOUS_END.put(&mut body, &self.previous.offset.to_le_bytes());
        ANCHOR_OFFSET.put(&mut body, &anchor_offset.to_le_bytes());
        ROOT.put(&mut body, &base.root);
        for (field, count) in MARKER_COUNTS.into_iter().zip(base.marker_counts) {
            field.put(&mut body, &count.to_le_bytes());
        }
        buf.extend_from_slice(&body);
    }

    /// Reads a body whose checksum was right.
    pub(crate) fn decode_body(body: &[u8]) -> Result<Self, FormatError> {
        check_len(body, BODY_LEN)?;
        RESERVED.zeros(body)?;
        let seq = BASE_SEQ.u64(body)?;
        let entry_count = ENTRY_COUNT.u64(body)?;
        if entry_count != seq {
            return Err(ENTRY_COUNT.damaged(format!("base_seq, {seq}"), entry_count.to_string()));
        }
        let previous = Position { ordinal: PREVIOUS_ORDINAL.u32(body)?, offset: PREVIOUS_END.u64(body)? };
        if previous.ordinal == 0 && previous.offset != 0 {
            return Err(PREVIOUS_END.damaged("0 without a segment before", previous.offset.to_string()));
        }
        let anchor_offset = ANCHOR_OFFSET.u64(body)?;
        let anchor = chain::from_parts(ANCHOR_ORDINAL.u32(body)?, anchor_offset)
            .map_err(|_| ANCHOR_OFFSET.damaged("0 without an anchor", anchor_offset.to_string()))?;
        let mut marker_counts = [0; 4];
        for (count, field) in marker_counts.iter_mut().zip(MARKER_COUNTS) {
            *count = field.u64(body)?;
        }
        let base = ChainState {
            commit_no: BASE_COMMIT_NO.u64(body)?,
            seq,
            root: ROOT.array(body)?,
            max_ts_init: MAX_TS_INIT.u64(body)?,
            anchor,
            marker_counts,
        };
        Ok(Self { base, previous })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::testing::{chain_state, for_each_truncation, hex_lines, is_damage};

    fn open() -> Open {
        Open { base: chain_state(), previous: Position { ordinal: 0x81, offset: 0x9192 } }
    }

    fn body(open: &Open) -> Vec<u8> {
        let mut buf = Vec::new();
        open.encode_body(&mut buf);
        buf
    }

    #[test]
    fn a_body_has_its_golden_bytes() {
        assert_eq!(
            hex_lines(&body(&open())),
            [
                "2221000000000000121100000000000022210000000000004241000000000000",
                "8100000051000000929100000000000068610000000000003333333333333333",
                "3333333333333333333333333333333333333333333333337100000000000000",
                "7200000000000000730000000000000074000000000000000000000000000000",
                "0000000000000000",
            ]
        );
    }

    #[test]
    fn a_body_is_read_back() {
        let first = Open { base: ChainState::start([9; 32]), previous: Position::default() };
        for open in [open(), first] {
            assert_eq!(Open::decode_body(&body(&open)), Ok(open));
        }
    }

    #[test]
    fn a_body_of_another_length_is_damage() {
        let mut bytes = body(&open());
        for_each_truncation(&bytes, |bytes| assert!(is_damage(&Open::decode_body(bytes))));
        bytes.push(0);
        assert!(is_damage(&Open::decode_body(&bytes)));
    }

    #[test]
    fn reserved_bytes_and_values_that_contradict_each_other_are_refused() {
        let zero = [0; 4];
        for (field, value) in
            [(RESERVED, &[1; 16][..]), (ENTRY_COUNT, &[1; 8]), (PREVIOUS_ORDINAL, &zero), (ANCHOR_ORDINAL, &zero), (BASE_SEQ, &[1; 8])]
        {
            let mut bytes = body(&open());
            field.put(&mut bytes, value);
            assert!(is_damage(&Open::decode_body(&bytes)), "{}", field.name);
        }
    }
}
