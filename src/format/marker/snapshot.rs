//! The body of SNAPSHOT: how far the streams had come that moved since the snapshot before.

use super::HASH;
use crate::format::FormatError;
use crate::format::bytes::{len_u32, put_u32, put_u64};
use crate::format::field::{Field, covers};
use crate::limits::{FRAME_BODY_LEN_MAX, SNAPSHOT_CURSORS_MAX};
use crate::model::{DataCursorSnapshot, StoredMarkerRecord, StreamCursor, UnixNanos};

const MARKER_SEQ: Field = HASH.then("marker_seq", 8);
const EVENT_SEQ_BEFORE: Field = MARKER_SEQ.then("event_seq_before", 8);
const TS_INIT: Field = EVENT_SEQ_BEFORE.then("ts_init", 8);
const CURSOR_COUNT: Field = TS_INIT.then("cursor_count", 4);
const RESERVED: Field = CURSOR_COUNT.then("reserved", 4);
const CURSORS: Field = RESERVED.then("cursors", 0);

/// The fields of the body.
pub(crate) const FIELDS: &[Field] = &[HASH, MARKER_SEQ, EVENT_SEQ_BEFORE, TS_INIT, CURSOR_COUNT, RESERVED, CURSORS];

const CURSOR_SLOT: Field = Field::first("slot", 4);
const CURSOR_RESERVED: Field = CURSOR_SLOT.then("reserved", 4);
const CURSOR_TS_INIT_HI: Field = CURSOR_RESERVED.then("ts_init_hi", 8);
const CURSOR_COUNT_SEEN: Field = CURSOR_TS_INIT_HI.then("count", 8);

/// The fields of one cursor.
pub(crate) const CURSOR_FIELDS: &[Field] = &[CURSOR_SLOT, CURSOR_RESERVED, CURSOR_TS_INIT_HI, CURSOR_COUNT_SEEN];

/// The length of the fixed part.
pub(crate) const FIXED_LEN: usize = 64;
/// The length of one cursor.
pub(crate) const CURSOR_LEN: usize = 24;

const _: () = {
    assert!(covers(FIELDS, FIXED_LEN));
    assert!(covers(CURSOR_FIELDS, CURSOR_LEN));
    assert!(FIXED_LEN + SNAPSHOT_CURSORS_MAX * CURSOR_LEN <= FRAME_BODY_LEN_MAX);
};

/// Appends the body of a snapshot that is within the limits.
pub(crate) fn encode_body(buf: &mut Vec<u8>, snapshot: &DataCursorSnapshot, hash: &[u8; 32]) {
    let cursors = &snapshot.advanced;
    debug_assert!(cursors.len() <= SNAPSHOT_CURSORS_MAX, "{} cursors have come past the limits", cursors.len());
    let mut fixed = [0; FIXED_LEN];
    HASH.put(&mut fixed, hash);
    MARKER_SEQ.put(&mut fixed, &snapshot.marker_seq.to_le_bytes());
    EVENT_SEQ_BEFORE.put(&mut fixed, &snapshot.event_seq_before.to_le_bytes());
    TS_INIT.put(&mut fixed, &snapshot.ts_init.as_u64().to_le_bytes());
    CURSOR_COUNT.put(&mut fixed, &len_u32(cursors.len()).to_le_bytes());
    buf.reserve(FIXED_LEN + cursors.len() * CURSOR_LEN);
    buf.extend_from_slice(&fixed);
    for cursor in cursors {
        put_u32(buf, cursor.slot);
        put_u32(buf, 0);
        put_u64(buf, cursor.ts_init_hi.as_u64());
        put_u64(buf, cursor.count);
    }
}

/// Reads a body.
pub(crate) fn decode_body(body: &[u8]) -> Result<StoredMarkerRecord<DataCursorSnapshot>, FormatError> {
    let Some((fixed, tail)) = body.split_first_chunk::<FIXED_LEN>() else {
        return Err(FormatError::wrong_len(FIXED_LEN, body.len()));
    };
    let count = CURSOR_COUNT.len_within(fixed, SNAPSHOT_CURSORS_MAX)?;
    let (cursors, rest) = tail.as_chunks::<CURSOR_LEN>();
    if cursors.len() != count || !rest.is_empty() {
        return Err(FormatError::wrong_len(FIXED_LEN + count * CURSOR_LEN, body.len()));
    }
    RESERVED.zeros(fixed)?;
    let advanced = cursors
        .iter()
        .enumerate()
        .map(|(index, cursor)| decode_cursor(cursor).map_err(|error| error.shifted(FIXED_LEN + index * CURSOR_LEN)));
    let record = DataCursorSnapshot {
        marker_seq: MARKER_SEQ.u64(fixed)?,
        event_seq_before: EVENT_SEQ_BEFORE.u64(fixed)?,
        ts_init: UnixNanos::new(TS_INIT.u64(fixed)?),
        advanced: advanced.collect::<Result<_, _>>()?,
    };
    Ok(StoredMarkerRecord { record, hash: HASH.array(fixed)? })
}

fn decode_cursor(cursor: &[u8; CURSOR_LEN]) -> Result<StreamCursor, FormatError> {
    CURSOR_RESERVED.zeros(cursor)?;
    Ok(StreamCursor {
        slot: CURSOR_SLOT.u32(cursor)?,
        ts_init_hi: UnixNanos::new(CURSOR_TS_INIT_HI.u64(cursor)?),
        count: CURSOR_COUNT_SEEN.u64(cursor)?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::testing::{for_each_bit_flip, for_each_truncation, hex_lines, is_damage};
    use crate::model::compute_marker_hash;

    fn cursor((slot, ts_init_hi, count): (u32, u64, u64)) -> StreamCursor {
        StreamCursor { slot, ts_init_hi: UnixNanos::new(ts_init_hi), count }
    }

    fn snapshot() -> DataCursorSnapshot {
        DataCursorSnapshot {
            marker_seq: 0x11,
            event_seq_before: 0x12,
            ts_init: UnixNanos::new(0x13),
            advanced: [(0x21, 0x22, 0x23), (0x31, 0x32, 0x33)].map(cursor).to_vec(),
        }
    }

    fn body(snapshot: &DataCursorSnapshot) -> Vec<u8> {
        let mut buf = Vec::new();
        encode_body(&mut buf, snapshot, &compute_marker_hash(snapshot));
        buf
    }

    #[test]
    fn a_body_has_its_golden_bytes() {
        assert_eq!(
            hex_lines(&body(&snapshot())),
            [
                "2e47ef92837cfc35cdf2ce67b4956c8107f3a1bfe07bb899c5e873d4c7c5ab0b",
                "1100000000000000120000000000000013000000000000000200000000000000",
                "2100000000000000220000000000000023000000000000003100000000000000",
                "32000000000000003300000000000000",
            ]
        );
    }

    #[test]
    fn every_bit_flip_is_refused_or_seen_by_the_hash() {
        for_each_bit_flip(&body(&snapshot()), |flipped, what| {
            let stored = decode_body(flipped).ok();
            assert!(stored.is_none_or(|stored| stored.hash != compute_marker_hash(&stored.record)), "{what} went unnoticed");
        });
    }

    #[test]
    fn a_body_of_another_length_is_damage() {
        let mut bytes = body(&snapshot());
        for_each_truncation(&bytes, |bytes| assert!(is_damage(&decode_body(bytes))));
        bytes.push(0);
        assert!(is_damage(&decode_body(&bytes)));
    }

    #[test]
    fn reserved_bytes_and_hostile_counts_are_refused() {
        let mut bytes = body(&snapshot());
        RESERVED.put(&mut bytes, &[1, 0, 0, 0]);
        assert!(is_damage(&decode_body(&bytes)));
        let mut bytes = body(&snapshot());
        CURSOR_RESERVED.put(&mut bytes[FIXED_LEN + CURSOR_LEN..], &[0, 0, 0, 1]);
        assert!(matches!(decode_body(&bytes), Err(FormatError::Damaged { offset: 95, .. })));
        for count in [0, 1, 3, 1 << 16, 1 << 17, u32::MAX] {
            let mut bytes = body(&snapshot());
            CURSOR_COUNT.put(&mut bytes, &count.to_le_bytes());
            assert!(is_damage(&decode_body(&bytes)), "{count} cursors");
        }
    }

    proptest! {
        #[test]
        fn a_body_is_read_back(numbers: [u64; 3], cursors in proptest::collection::vec(any::<(u32, u64, u64)>(), 0..20), hash: [u8; 32]) {
            let record = DataCursorSnapshot {
                marker_seq: numbers[0],
                event_seq_before: numbers[1],
                ts_init: UnixNanos::new(numbers[2]),
                advanced: cursors.into_iter().map(cursor).collect(),
            };
            let mut buf = Vec::new();
            encode_body(&mut buf, &record, &hash);
            prop_assert_eq!(decode_body(&buf), Ok(StoredMarkerRecord { record, hash }));
        }
    }
}
