//! The body of GAP: a range of markers that were dropped.

use super::HASH;
use crate::format::FormatError;
use crate::format::bytes::check_len;
use crate::format::field::{Field, covers};
use crate::model::{MarkerGap, MarkerGapReason, StoredMarkerRecord};

const FROM: Field = HASH.then("from", 8);
const TO: Field = FROM.then("to", 8);
const REASON: Field = TO.then("reason", 1);
const RESERVED: Field = REASON.then("reserved", 7);

/// The fields of the body.
pub(crate) const FIELDS: &[Field] = &[HASH, FROM, TO, REASON, RESERVED];

/// The length of the body.
pub(crate) const BODY_LEN: usize = 56;

const _: () = assert!(covers(FIELDS, BODY_LEN));

/// Appends the body.
pub(crate) fn encode_body(buf: &mut Vec<u8>, gap: &MarkerGap, hash: &[u8; 32]) {
    let mut body = [0; BODY_LEN];
    HASH.put(&mut body, hash);
    FROM.put(&mut body, &gap.from_marker_seq.to_le_bytes());
    TO.put(&mut body, &gap.to_marker_seq.to_le_bytes());
    REASON.put(&mut body, &[reason_code(gap.reason)]);
    buf.extend_from_slice(&body);
}

/// Reads a body.
pub(crate) fn decode_body(body: &[u8]) -> Result<StoredMarkerRecord<MarkerGap>, FormatError> {
    check_len(body, BODY_LEN)?;
    RESERVED.zeros(body)?;
    let reason = REASON.u8(body)?;
    let record = MarkerGap {
        from_marker_seq: FROM.u64(body)?,
        to_marker_seq: TO.u64(body)?,
        reason: reason_of(reason).ok_or_else(|| REASON.damaged("0 or 1", reason.to_string()))?,
    };
    Ok(StoredMarkerRecord { record, hash: HASH.array(body)? })
}

pub(crate) const fn reason_code(reason: MarkerGapReason) -> u8 {
    match reason {
        MarkerGapReason::Overflow => 0,
        MarkerGapReason::WriterClosed => 1,
    }
}

const fn reason_of(code: u8) -> Option<MarkerGapReason> {
    match code {
        0 => Some(MarkerGapReason::Overflow),
        1 => Some(MarkerGapReason::WriterClosed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::testing::{for_each_bit_flip, for_each_truncation, hex_lines, is_damage};
    use crate::model::compute_gap_hash;

    fn gap() -> MarkerGap {
        MarkerGap { from_marker_seq: 0x11, to_marker_seq: 0x12, reason: MarkerGapReason::WriterClosed }
    }

    fn body() -> Vec<u8> {
        let mut buf = Vec::new();
        encode_body(&mut buf, &gap(), &compute_gap_hash(&gap()));
        buf
    }

    #[test]
    fn a_body_has_its_golden_bytes() {
        assert_eq!(
            hex_lines(&body()),
            ["c97062f00329a6021593b6a12aef094a9f64529fe7ccbe6446b12eb07e9ce23c", "110000000000000012000000000000000100000000000000"]
        );
    }

    #[test]
    fn every_bit_flip_is_refused_or_seen_by_the_hash() {
        for_each_bit_flip(&body(), |flipped, what| {
            let stored = decode_body(flipped).ok();
            assert!(stored.is_none_or(|stored| stored.hash != compute_gap_hash(&stored.record)), "{what} went unnoticed");
        });
    }

    #[test]
    fn a_body_of_another_length_is_damage() {
        let mut bytes = body();
        for_each_truncation(&bytes, |bytes| assert!(is_damage(&decode_body(bytes))));
        bytes.push(0);
        assert!(is_damage(&decode_body(&bytes)));
    }

    #[test]
    fn reserved_bytes_and_unknown_reasons_are_refused() {
        for (field, value) in [(RESERVED, &[0, 0, 0, 0, 0, 0, 1][..]), (REASON, &[2]), (REASON, &[255])] {
            let mut bytes = body();
            field.put(&mut bytes, value);
            assert!(is_damage(&decode_body(&bytes)), "{} {value:?}", field.name);
        }
    }

    proptest! {
        #[test]
        fn a_body_is_read_back(from_marker_seq: u64, to_marker_seq: u64, overflow: bool, hash: [u8; 32]) {
            let reason = if overflow { MarkerGapReason::Overflow } else { MarkerGapReason::WriterClosed };
            let record = MarkerGap { from_marker_seq, to_marker_seq, reason };
            let mut buf = Vec::new();
            encode_body(&mut buf, &record, &hash);
            prop_assert_eq!(decode_body(&buf), Ok(StoredMarkerRecord { record, hash }));
        }
    }
}
