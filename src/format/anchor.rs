//! The body of ANCHOR: an envelope around a snapshot anchor. Anchors are history, and few.

use super::FormatError;
use super::bytes::check_len;
use super::envelope::{self, Envelope, HEADER_LEN};
use super::salt::Uid;
use crate::error::EventStoreError;
use crate::limits::{ANCHOR_TEXT_LEN_MAX, FRAME_BODY_LEN_MAX};
use crate::model::SnapshotAnchor;

/// The first bytes of the body.
pub(crate) const MAGIC: &str = "TLAN";

/// The longest body: a number, and two texts with their lengths.
pub(crate) const BODY_LEN_MAX: usize = HEADER_LEN + 8 + 2 * (8 + ANCHOR_TEXT_LEN_MAX);

const _: () = assert!(BODY_LEN_MAX <= FRAME_BODY_LEN_MAX);

/// The body of a frame with this anchor.
pub(crate) fn encode_body(uid: &Uid, anchor: &SnapshotAnchor) -> Result<Vec<u8>, EventStoreError> {
    check_text("the blob reference of a snapshot anchor in bytes", &anchor.blob_ref)?;
    check_text("the content hash of a snapshot anchor in bytes", &anchor.content_hash)?;
    let value = envelope::encode_value(anchor)?;
    envelope::encode(MAGIC, uid, &[0; 32], &value, "a snapshot anchor in bytes", BODY_LEN_MAX)
}

/// Reads a body.
pub(crate) fn decode_body(body: &[u8]) -> Result<SnapshotAnchor, FormatError> {
    let envelope = Envelope::decode(body, MAGIC, BODY_LEN_MAX)?;
    check_len(body, envelope.whole.len())?;
    if envelope.digest != [0; 32] {
        return Err(envelope::DIGEST.damaged("zero in an anchor", "a hash"));
    }
    envelope.value()
}

fn check_text(what: &'static str, text: &str) -> Result<(), EventStoreError> {
    if text.len() <= ANCHOR_TEXT_LEN_MAX {
        return Ok(());
    }
    Err(EventStoreError::LimitExceeded { what, maximum: ANCHOR_TEXT_LEN_MAX as u64, found: text.len() as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::testing::{UID, for_each_bit_flip, for_each_truncation, hex_lines, is_damage};

    fn anchor() -> SnapshotAnchor {
        SnapshotAnchor::new(42, "s3://b/1", "blake3:00")
    }

    fn body() -> Vec<u8> {
        encode_body(&UID, &anchor()).unwrap()
    }

    #[test]
    fn a_body_has_its_golden_bytes() {
        assert_eq!(
            hex_lines(&body()),
            [
                "544c414e0100000029000000555ae48a000102030405060708090a0b0c0d0e0f",
                "0000000000000000000000000000000000000000000000000000000000000000",
                "00000000000000002a00000000000000080000000000000073333a2f2f622f31",
                "0900000000000000626c616b65333a3030",
            ]
        );
    }

    #[test]
    fn a_body_is_read_back() {
        let text = "t".repeat(ANCHOR_TEXT_LEN_MAX);
        for anchor in [anchor(), SnapshotAnchor::new(0, "", ""), SnapshotAnchor::new(u64::MAX, text.clone(), text)] {
            assert_eq!(decode_body(&encode_body(&UID, &anchor).unwrap()), Ok(anchor));
        }
    }

    #[test]
    fn a_text_over_its_bound_is_refused() {
        let text = "t".repeat(ANCHOR_TEXT_LEN_MAX + 1);
        for anchor in [SnapshotAnchor::new(0, text.clone(), ""), SnapshotAnchor::new(0, "", text)] {
            assert!(matches!(encode_body(&UID, &anchor), Err(EventStoreError::LimitExceeded { found: 65_537, .. })));
        }
    }

    #[test]
    fn every_bit_is_protected() {
        for_each_bit_flip(&body(), |flipped, what| assert!(is_damage(&decode_body(flipped)), "{what} went unnoticed"));
    }

    #[test]
    fn a_body_of_another_length_or_with_a_digest_is_damage() {
        let mut bytes = body();
        for_each_truncation(&bytes, |bytes| assert!(is_damage(&decode_body(bytes))));
        bytes.push(0);
        assert!(is_damage(&decode_body(&bytes)));
        let value = envelope::encode_value(&anchor()).unwrap();
        let digested = envelope::encode(MAGIC, &UID, &[1; 32], &value, "", BODY_LEN_MAX).unwrap();
        assert!(is_damage(&decode_body(&digested)));
    }
}
