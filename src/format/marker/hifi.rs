//! The body of HIFI: one record of market data, marked by itself.

use super::HASH;
use crate::format::FormatError;
use crate::format::bytes::check_len;
use crate::format::field::{Field, covers};
use crate::model::{HiFiMarker, StoredMarkerRecord, UnixNanos};

const MARKER_SEQ: Field = HASH.then("marker_seq", 8);
const EVENT_SEQ_BEFORE: Field = MARKER_SEQ.then("event_seq_before", 8);
const TS_EVENT: Field = EVENT_SEQ_BEFORE.then("ts_event", 8);
const TS_INIT: Field = TS_EVENT.then("ts_init", 8);
const SLOT: Field = TS_INIT.then("slot", 4);
const SAME_TS_ORDINAL: Field = SLOT.then("same_ts_ordinal", 4);
const RECORD_FINGERPRINT: Field = SAME_TS_ORDINAL.then("record_fingerprint", 32);

/// The fields of the body.
pub(crate) const FIELDS: &[Field] = &[HASH, MARKER_SEQ, EVENT_SEQ_BEFORE, TS_EVENT, TS_INIT, SLOT, SAME_TS_ORDINAL, RECORD_FINGERPRINT];

/// The length of the body.
pub(crate) const BODY_LEN: usize = 104;

const _: () = assert!(covers(FIELDS, BODY_LEN));

/// Appends the body.
pub(crate) fn encode_body(buf: &mut Vec<u8>, marker: &HiFiMarker, hash: &[u8; 32]) {
    let mut body = [0; BODY_LEN];
    HASH.put(&mut body, hash);
    MARKER_SEQ.put(&mut body, &marker.marker_seq.to_le_bytes());
    EVENT_SEQ_BEFORE.put(&mut body, &marker.event_seq_before.to_le_bytes());
    TS_EVENT.put(&mut body, &marker.ts_event.as_u64().to_le_bytes());
    TS_INIT.put(&mut body, &marker.ts_init.as_u64().to_le_bytes());
    SLOT.put(&mut body, &marker.slot.to_le_bytes());
    SAME_TS_ORDINAL.put(&mut body, &marker.same_ts_ordinal.to_le_bytes());
    RECORD_FINGERPRINT.put(&mut body, &marker.record_fingerprint);
    buf.extend_from_slice(&body);
}

/// Reads a body.
pub(crate) fn decode_body(body: &[u8]) -> Result<StoredMarkerRecord<HiFiMarker>, FormatError> {
    check_len(body, BODY_LEN)?;
    let record = HiFiMarker {
        marker_seq: MARKER_SEQ.u64(body)?,
        event_seq_before: EVENT_SEQ_BEFORE.u64(body)?,
        slot: SLOT.u32(body)?,
        ts_event: UnixNanos::new(TS_EVENT.u64(body)?),
        ts_init: UnixNanos::new(TS_INIT.u64(body)?),
        same_ts_ordinal: SAME_TS_ORDINAL.u32(body)?,
        record_fingerprint: RECORD_FINGERPRINT.array(body)?,
    };
    Ok(StoredMarkerRecord { record, hash: HASH.array(body)? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::testing::{for_each_bit_flip, for_each_truncation, hex_lines, is_damage};
    use crate::model::compute_hifi_hash;

    fn marker() -> HiFiMarker {
        HiFiMarker {
            marker_seq: 0x11,
            event_seq_before: 0x12,
            slot: 0x13,
            ts_event: UnixNanos::new(0x14),
            ts_init: UnixNanos::new(0x15),
            same_ts_ordinal: 0x16,
            record_fingerprint: [0x17; 32],
        }
    }

    fn body() -> Vec<u8> {
        let mut buf = Vec::new();
        encode_body(&mut buf, &marker(), &compute_hifi_hash(&marker()));
        buf
    }

    #[test]
    fn a_body_has_its_golden_bytes() {
        assert_eq!(
            hex_lines(&body()),
            [
                "131583de4624874786cefaf9e68c35105af0c50752ea264ed3c24ccc39ac7a15",
                "1100000000000000120000000000000014000000000000001500000000000000",
                "1300000016000000171717171717171717171717171717171717171717171717",
                "1717171717171717",
            ]
        );
    }

    #[test]
    fn every_bit_flip_is_seen_by_the_hash() {
        for_each_bit_flip(&body(), |flipped, what| {
            let stored = decode_body(flipped).unwrap();
            assert_ne!(stored.hash, compute_hifi_hash(&stored.record), "{what} went unnoticed");
        });
    }

    #[test]
    fn a_body_of_another_length_is_damage() {
        let mut bytes = body();
        for_each_truncation(&bytes, |bytes| assert!(is_damage(&decode_body(bytes))));
        bytes.push(0);
        assert!(is_damage(&decode_body(&bytes)));
    }

    proptest! {
        #[test]
        fn a_body_is_read_back(numbers: [u64; 4], slot: u32, same_ts_ordinal: u32, record_fingerprint: [u8; 32], hash: [u8; 32]) {
            let [marker_seq, event_seq_before, ts_event, ts_init] = numbers;
            let (ts_event, ts_init) = (UnixNanos::new(ts_event), UnixNanos::new(ts_init));
            let record = HiFiMarker { marker_seq, event_seq_before, slot, ts_event, ts_init, same_ts_ordinal, record_fingerprint };
            let mut buf = Vec::new();
            encode_body(&mut buf, &record, &hash);
            prop_assert_eq!(decode_body(&buf), Ok(StoredMarkerRecord { record, hash }));
        }
    }
}
