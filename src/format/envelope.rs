//! The envelope of metadata that is written and read seldom: a header of 72 bytes and a value by serde.
//!
//! The value's encoding is fixed and described in FORMAT.md: bincode's, with little-endian integers of
//! fixed length. The header knows nothing of it, so that the codec can be replaced without a change of
//! the bytes.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use bincode::error::DecodeError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bytes::len_u32;
use super::field::{Field, covers};
use super::salt::Uid;
use super::{FormatError, VERSION};
use crate::error::EventStoreError;
use crate::limits::MANIFEST_LEN_MAX;

const MAGIC: Field = Field::first("magic", 4);
const VERSION_FIELD: Field = MAGIC.then("version", 4);
const BODY_LEN: Field = VERSION_FIELD.then("body_len", 4);
const CRC: Field = BODY_LEN.then("crc", 4);
const UID: Field = CRC.then("uid", 16);
pub(crate) const DIGEST: Field = UID.then("digest", 32);
const RESERVED: Field = DIGEST.then("reserved", 8);
const BODY: Field = RESERVED.then("body", 0);

/// The fields of the envelope.
pub(crate) const FIELDS: &[Field] = &[MAGIC, VERSION_FIELD, BODY_LEN, CRC, UID, DIGEST, RESERVED, BODY];

/// The length of the header.
pub(crate) const HEADER_LEN: usize = 72;

const _: () = {
    assert!(covers(FIELDS, HEADER_LEN));
    assert!(MANIFEST_LEN_MAX <= u32::MAX as usize);
};

/// The codec, which gives up where a value claims more than `LEN_MAX` bytes.
const fn codec<const LEN_MAX: usize>() -> Configuration<LittleEndian, Fixint, Limit<LEN_MAX>> {
    bincode::config::standard().with_little_endian().with_fixed_int_encoding().with_limit::<LEN_MAX>()
}

/// An envelope whose checksum was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Envelope<'a> {
    /// The run that it belongs to.
    pub(crate) uid: Uid,
    /// A hash whose meaning depends on the kind of envelope.
    pub(crate) digest: [u8; 32],
    /// The encoded value.
    pub(crate) body: &'a [u8],
    /// The envelope with its header.
    pub(crate) whole: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Reads the envelope at the front of `bytes`, which is `len_max` bytes long at most.
    pub(crate) fn decode(bytes: &'a [u8], magic: &str, len_max: usize) -> Result<Self, FormatError> {
        MAGIC.magic(bytes, magic.as_bytes())?;
        let body_len = BODY_LEN.len_within(bytes, len_max.saturating_sub(HEADER_LEN))?;
        let len = HEADER_LEN + body_len;
        let Some(whole) = bytes.get(..len) else { return Err(FormatError::wrong_len(len, bytes.len())) };
        CRC.crc(whole, computed_crc(whole))?;
        VERSION_FIELD.version(whole)?;
        RESERVED.zeros(whole)?;
        let body = whole.get(HEADER_LEN..).unwrap_or_default();
        Ok(Self { uid: Uid(UID.array(whole)?), digest: DIGEST.array(whole)?, body, whole })
    }

    /// Reads the value.
    pub(crate) fn value<T: DeserializeOwned>(&self) -> Result<T, FormatError> {
        match decode_value::<T>(self.body) {
            Ok((value, used)) if used == self.body.len() => Ok(value),
            Ok((_, used)) => Err(FormatError::damaged(HEADER_LEN + used, "the end of the value", "further bytes")),
            Err(error) => Err(FormatError::damaged(HEADER_LEN, "a value of this kind", error.to_string())),
        }
    }
}

/// Reads a value and how many bytes it has.
///
/// The codec takes memory for a text before it looks whether the text is there, so that its limit has to
/// follow the length of what is read. A limit is a constant, which is why there are several.
fn decode_value<T: DeserializeOwned>(body: &[u8]) -> Result<(T, usize), DecodeError> {
    const SHORT: usize = 4 << 10;
    const MIDDLE: usize = 64 << 10;
    const LONG: usize = 1 << 20;
    let len = body.len();
    if len <= SHORT {
        bincode::serde::decode_from_slice(body, codec::<SHORT>())
    } else if len <= MIDDLE {
        bincode::serde::decode_from_slice(body, codec::<MIDDLE>())
    } else if len <= LONG {
        bincode::serde::decode_from_slice(body, codec::<LONG>())
    } else {
        bincode::serde::decode_from_slice(body, codec::<MANIFEST_LEN_MAX>())
    }
}

/// The bytes of a value.
pub(crate) fn encode_value<T: Serialize>(value: &T) -> Result<Vec<u8>, EventStoreError> {
    bincode::serde::encode_to_vec(value, codec::<MANIFEST_LEN_MAX>())
        .map_err(|error| EventStoreError::Backend(format!("cannot encode metadata: {error}")))
}

/// An envelope around a value's bytes. Refused if it is longer than `len_max`; `what` names it then.
pub(crate) fn encode(
    magic: &str,
    uid: &Uid,
    digest: &[u8; 32],
    body: &[u8],
    what: &'static str,
    len_max: usize,
) -> Result<Vec<u8>, EventStoreError> {
    let len = HEADER_LEN + body.len();
    if len > len_max {
        return Err(EventStoreError::LimitExceeded { what, maximum: len_max as u64, found: len as u64 });
    }
    let mut buf = Vec::with_capacity(len);
    buf.resize(HEADER_LEN, 0);
    buf.extend_from_slice(body);
    MAGIC.put(&mut buf, magic.as_bytes());
    VERSION_FIELD.put(&mut buf, &VERSION.to_le_bytes());
    BODY_LEN.put(&mut buf, &len_u32(body.len()).to_le_bytes());
    UID.put(&mut buf, &uid.0);
    DIGEST.put(&mut buf, digest);
    let crc = computed_crc(&buf);
    CRC.put(&mut buf, &crc.to_le_bytes());
    Ok(buf)
}

fn computed_crc(envelope: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(envelope.get(..CRC.offset).unwrap_or_default());
    hasher.update(envelope.get(CRC.end()..).unwrap_or_default());
    hasher.finalize()
}

#[cfg(test)]
pub(crate) mod forging {
    //! Envelopes that no writer writes, for the tests of what is in envelopes.

    use super::{CRC, RESERVED, VERSION_FIELD, computed_crc};

    /// Makes the checksum of a changed envelope right again.
    pub(crate) fn seal(envelope: &mut [u8]) {
        let crc = computed_crc(envelope);
        CRC.put(envelope, &crc.to_le_bytes());
    }

    /// Gives an envelope another version, and a right checksum.
    pub(crate) fn set_version(envelope: &mut [u8], version: u32) {
        VERSION_FIELD.put(envelope, &version.to_le_bytes());
        seal(envelope);
    }

    /// Sets a reserved byte of an envelope, and makes its checksum right.
    pub(crate) fn set_reserved(envelope: &mut [u8]) {
        RESERVED.put(envelope, &[0, 0, 0, 0, 0, 0, 0, 1]);
        seal(envelope);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::testing::{self, for_each_bit_flip, for_each_truncation, hex_lines, is_damage};

    const TEST_MAGIC: &str = "TLXX";
    const LEN_MAX: usize = 200;

    type Value = (u64, String, Option<u8>, Vec<u16>, [u8; 2], bool);

    fn value() -> Value {
        (7, "text".to_owned(), Some(9), vec![1, 2], [3, 4], true)
    }

    fn envelope_of(body: &[u8]) -> Vec<u8> {
        encode(TEST_MAGIC, &testing::UID, &[0xDD; 32], body, "the test in bytes", LEN_MAX).unwrap()
    }

    fn envelope() -> Vec<u8> {
        envelope_of(&encode_value(&value()).unwrap())
    }

    fn decode(bytes: &[u8]) -> Result<Envelope<'_>, FormatError> {
        Envelope::decode(bytes, TEST_MAGIC, LEN_MAX)
    }

    #[test]
    fn an_envelope_has_its_golden_bytes() {
        assert_eq!(
            hex_lines(&envelope()),
            [
                "544c5858010000002500000031c9bfb2000102030405060708090a0b0c0d0e0f",
                "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
                "0000000000000000070000000000000004000000000000007465787401090200",
                "00000000000001000200030401",
            ]
        );
    }

    #[test]
    fn an_envelope_is_read_back_from_the_front_of_more() {
        let mut bytes = envelope();
        let len = bytes.len();
        bytes.extend_from_slice(b"more");
        let read = decode(&bytes).unwrap();
        assert_eq!((read.uid, read.digest, read.whole), (testing::UID, [0xDD; 32], &bytes[..len]));
        assert_eq!(read.value(), Ok(value()));
    }

    #[test]
    fn every_bit_is_protected() {
        for_each_bit_flip(&envelope(), |flipped, what| assert!(is_damage(&decode(flipped)), "{what} went unnoticed"));
    }

    #[test]
    fn an_envelope_cut_short_is_damage() {
        for_each_truncation(&envelope(), |bytes| assert!(is_damage(&decode(bytes))));
    }

    #[test]
    fn an_unknown_version_is_reported_as_such_if_the_checksum_is_right() {
        let mut bytes = envelope();
        forging::set_version(&mut bytes, 3);
        assert_eq!(decode(&bytes), Err(FormatError::UnknownVersion { found: 3, supported: 1 }));
        CRC.put(&mut bytes, &[0; 4]);
        assert!(is_damage(&decode(&bytes)));
    }

    #[test]
    fn reserved_bytes_and_another_magic_are_refused() {
        let mut bytes = envelope();
        forging::set_reserved(&mut bytes);
        assert!(is_damage(&decode(&bytes)));
        assert!(is_damage(&Envelope::decode(&envelope(), "TLYY", LEN_MAX)));
    }

    #[test]
    fn an_envelope_over_its_bound_is_neither_written_nor_read() {
        let body = vec![1; LEN_MAX - HEADER_LEN];
        let bytes = envelope_of(&body);
        assert_eq!(decode(&bytes).unwrap().body, body);
        assert!(is_damage(&Envelope::decode(&bytes, TEST_MAGIC, LEN_MAX - 1)));
        let refused = encode(TEST_MAGIC, &testing::UID, &[0; 32], &body, "the test in bytes", LEN_MAX - 1);
        assert!(matches!(refused, Err(EventStoreError::LimitExceeded { maximum: 199, found: 200, .. })));
    }

    #[test]
    fn a_text_that_claims_far_more_than_is_there_is_refused_before_memory_is_taken_for_it() {
        for claimed in [8_u64 << 10, 1 << 20, 15 << 20] {
            let mut body = claimed.to_le_bytes().to_vec();
            body.extend_from_slice(b"text");
            let error = decode(&envelope_of(&body)).unwrap().value::<String>().unwrap_err();
            let by_the_limit = DecodeError::LimitExceeded.to_string();
            assert!(matches!(&error, FormatError::Damaged { found, .. } if **found == by_the_limit), "{claimed} bytes: {error}");
        }
    }

    #[test]
    fn a_value_of_any_length_is_read_back() {
        for len in [0, 4_087, 4_088, 4_089, 65_528, 65_529, 1_048_568, 1_048_569, 2 << 20] {
            let texts = vec!["a".repeat(len / 2), "b".repeat(len - len / 2)];
            assert_eq!(decode_value(&encode_value(&texts).unwrap()).unwrap(), (texts, len + 24));
            let text = "c".repeat(len);
            assert_eq!(decode_value(&encode_value(&text).unwrap()).unwrap(), (text, len + 8));
        }
    }

    #[test]
    fn a_value_that_is_cut_or_followed_by_more_is_refused_although_the_checksum_is_right() {
        let mut body = encode_value(&value()).unwrap();
        for_each_truncation(&body, |body| assert!(is_damage(&decode(&envelope_of(body)).unwrap().value::<Value>())));
        body.push(0);
        assert!(is_damage(&decode(&envelope_of(&body)).unwrap().value::<Value>()));
    }

    #[test]
    fn hostile_lengths_within_a_value_are_refused() {
        for len in [5, 1 << 20, 1 << 40, u64::MAX] {
            let body = [&len.to_le_bytes()[..], b"text"].concat();
            assert!(is_damage(&decode(&envelope_of(&body)).unwrap().value::<String>()));
            assert!(is_damage(&decode(&envelope_of(&body)).unwrap().value::<Vec<u64>>()));
            assert!(is_damage(&decode(&envelope_of(&body)).unwrap().value::<indexmap::IndexMap<String, String>>()));
        }
    }
}
