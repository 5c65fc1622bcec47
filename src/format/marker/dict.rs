//! The body of DICT: what a slot stands for.

use super::HASH;
use crate::format::FormatError;
use crate::format::bytes::len_u32;
use crate::format::field::{Field, covers};
use crate::limits::{FRAME_BODY_LEN_MAX, STREAM_IDENTIFIER_LEN_MAX};
use crate::model::{DataClass, StoredMarkerRecord, StreamDictEntry};

const SLOT: Field = HASH.then("slot", 4);
const CLASS: Field = SLOT.then("class", 1);
const RESERVED: Field = CLASS.then("reserved", 3);
const IDENTIFIER_LEN: Field = RESERVED.then("identifier_len", 4);
const RESERVED_2: Field = IDENTIFIER_LEN.then("reserved_2", 4);
const IDENTIFIER: Field = RESERVED_2.then("identifier", 0);

/// The fields of the body.
pub(crate) const FIELDS: &[Field] = &[HASH, SLOT, CLASS, RESERVED, IDENTIFIER_LEN, RESERVED_2, IDENTIFIER];

/// The length of the fixed part.
pub(crate) const FIXED_LEN: usize = 48;

const _: () = {
    assert!(covers(FIELDS, FIXED_LEN));
    assert!(FIXED_LEN + STREAM_IDENTIFIER_LEN_MAX <= FRAME_BODY_LEN_MAX);
};

/// Appends the body of an entry that is within the limits.
pub(crate) fn encode_body(buf: &mut Vec<u8>, entry: &StreamDictEntry, hash: &[u8; 32]) {
    let identifier = entry.identifier.as_bytes();
    debug_assert!(identifier.len() <= STREAM_IDENTIFIER_LEN_MAX, "an identifier of {} bytes has come past the limits", identifier.len());
    let mut fixed = [0; FIXED_LEN];
    HASH.put(&mut fixed, hash);
    SLOT.put(&mut fixed, &entry.slot.to_le_bytes());
    CLASS.put(&mut fixed, &[class_code(entry.data_cls)]);
    IDENTIFIER_LEN.put(&mut fixed, &len_u32(identifier.len()).to_le_bytes());
    buf.extend_from_slice(&fixed);
    buf.extend_from_slice(identifier);
}

/// Reads a body.
pub(crate) fn decode_body(body: &[u8]) -> Result<StoredMarkerRecord<StreamDictEntry>, FormatError> {
    let Some((fixed, identifier)) = body.split_first_chunk::<FIXED_LEN>() else {
        return Err(FormatError::wrong_len(FIXED_LEN, body.len()));
    };
    let identifier_len = IDENTIFIER_LEN.len_within(fixed, STREAM_IDENTIFIER_LEN_MAX)?;
    if identifier.len() != identifier_len {
        return Err(FormatError::wrong_len(FIXED_LEN + identifier_len, body.len()));
    }
    RESERVED.zeros(fixed)?;
    RESERVED_2.zeros(fixed)?;
    let class = CLASS.u8(fixed)?;
    let record = StreamDictEntry {
        slot: SLOT.u32(fixed)?,
        data_cls: class_of(class).ok_or_else(|| CLASS.damaged("1 to 5", class.to_string()))?,
        identifier: str::from_utf8(identifier)
            .map_err(|error| FormatError::damaged(FIXED_LEN + error.valid_up_to(), "UTF-8", "another byte"))?
            .to_owned(),
    };
    Ok(StoredMarkerRecord { record, hash: HASH.array(fixed)? })
}

pub(crate) const fn class_code(class: DataClass) -> u8 {
    match class {
        DataClass::BookDeltas => 1,
        DataClass::BookDepth10 => 2,
        DataClass::Quote => 3,
        DataClass::Trade => 4,
        DataClass::Bar => 5,
    }
}

fn class_of(code: u8) -> Option<DataClass> {
    DataClass::ALL.into_iter().find(|class| class_code(*class) == code)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::testing::{for_each_bit_flip, for_each_truncation, hex_lines, is_damage};
    use crate::model::compute_dict_hash;

    fn entry() -> StreamDictEntry {
        StreamDictEntry { slot: 0x11, data_cls: DataClass::Quote, identifier: "ETHUSDT.BINANCE".to_owned() }
    }

    fn body() -> Vec<u8> {
        let mut buf = Vec::new();
        encode_body(&mut buf, &entry(), &compute_dict_hash(&entry()));
        buf
    }

    #[test]
    fn a_body_has_its_golden_bytes() {
        assert_eq!(
            hex_lines(&body()),
            [
                "95e47966f6c17a95fe2369d7f0940f413b67ff142b7229d9f88cb11b6e2e6517",
                "11000000030000000f00000000000000455448555344542e42494e414e4345",
            ]
        );
    }

    #[test]
    fn the_codes_of_the_classes_are_pinned() {
        assert_eq!(DataClass::ALL.map(class_code), [1, 2, 3, 4, 5]);
        assert_eq!([0, 6, 255].map(class_of), [None; 3]);
    }

    #[test]
    fn every_bit_flip_is_refused_or_seen_by_the_hash() {
        for_each_bit_flip(&body(), |flipped, what| {
            let stored = decode_body(flipped).ok();
            assert!(stored.is_none_or(|stored| stored.hash != compute_dict_hash(&stored.record)), "{what} went unnoticed");
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
    fn reserved_bytes_unknown_classes_and_hostile_lengths_are_refused() {
        for (field, value) in [
            (RESERVED, vec![0, 0, 1]),
            (RESERVED_2, vec![1, 0, 0, 0]),
            (CLASS, vec![0]),
            (CLASS, vec![6]),
            (IDENTIFIER_LEN, vec![0; 4]),
            (IDENTIFIER_LEN, vec![1, 0, 1, 0]),
            (IDENTIFIER_LEN, vec![0xFF; 4]),
        ] {
            let mut bytes = body();
            field.put(&mut bytes, &value);
            assert!(is_damage(&decode_body(&bytes)), "{} {value:?}", field.name);
        }
        let mut bytes = body();
        bytes[FIXED_LEN + 3] = 0xFF;
        assert!(matches!(decode_body(&bytes), Err(FormatError::Damaged { offset: 51, .. })));
    }

    proptest! {
        #[test]
        fn a_body_is_read_back(slot: u32, class in 0_usize..5, identifier in ".{0,60}", hash: [u8; 32]) {
            let record = StreamDictEntry { slot, data_cls: DataClass::ALL[class], identifier };
            let mut buf = Vec::new();
            encode_body(&mut buf, &record, &hash);
            prop_assert_eq!(decode_body(&buf), Ok(StoredMarkerRecord { record, hash }));
        }
    }
}
