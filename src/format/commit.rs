//! The body of COMMIT, the frame that ends a batch: without it the batch does not exist.
//!
//! A commit is also a witness of what was durable when it was written. That testimony can condemn a
//! run, so that it takes more than a CRC: a keyed tag over the body and its place, and claims that can
//! be true.

use super::FormatError;
use super::bytes::check_len;
use super::field::{Field, covers};
use super::salt::Salt;
use crate::seeded_bug::SeededBug;

const COMMIT_NO: Field = Field::first("commit_no", 8);
const FIRST_SEQ: Field = COMMIT_NO.then("first_seq", 8);
const COUNT: Field = FIRST_SEQ.then("count", 4);
const RESERVED: Field = COUNT.then("reserved", 4);
const DURABLE_COMMIT_NO: Field = RESERVED.then("durable_commit_no", 8);
const DURABLE_SEQ: Field = DURABLE_COMMIT_NO.then("durable_seq", 8);
const ROOT: Field = DURABLE_SEQ.then("root", 32);
const TAG: Field = ROOT.then("tag", 8);

/// The fields of the body.
pub(crate) const FIELDS: &[Field] = &[COMMIT_NO, FIRST_SEQ, COUNT, RESERVED, DURABLE_COMMIT_NO, DURABLE_SEQ, ROOT, TAG];

/// The length of the body.
pub(crate) const BODY_LEN: usize = 80;

const _: () = assert!(covers(FIELDS, BODY_LEN));

/// The body of a COMMIT frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "a commit number is called commit_no everywhere, and there are two here")]
pub(crate) struct Commit {
    /// The commit's number, from 1, without gaps.
    pub(crate) commit_no: u64,
    /// The last number before the batch plus one, whether or not the batch takes one.
    pub(crate) first_seq: u64,
    /// How many records the batch has, of whatever kind.
    pub(crate) count: u32,
    /// The last commit that was known to be durable when this one was written.
    pub(crate) durable_commit_no: u64,
    /// The last record number that was known to be durable then.
    pub(crate) durable_seq: u64,
    /// The root after the batch.
    pub(crate) root: [u8; 32],
}

impl Commit {
    /// Appends the body of a frame that will lie at `offset` of a segment with this salt.
    pub(crate) fn encode_body(&self, buf: &mut Vec<u8>, salt: &Salt, offset: u64) {
        debug_assert!(
            self.durable_commit_no < self.commit_no || SeededBug::ClaimTooHigh.is_on(),
            "a commit cannot know itself to be durable"
        );
        let mut body = [0; BODY_LEN];
        COMMIT_NO.put(&mut body, &self.commit_no.to_le_bytes());
        FIRST_SEQ.put(&mut body, &self.first_seq.to_le_bytes());
        COUNT.put(&mut body, &self.count.to_le_bytes());
        DURABLE_COMMIT_NO.put(&mut body, &self.durable_commit_no.to_le_bytes());
        DURABLE_SEQ.put(&mut body, &self.durable_seq.to_le_bytes());
        ROOT.put(&mut body, &self.root);
        let tag = computed_tag(&body, salt, offset);
        TAG.put(&mut body, &tag);
        buf.extend_from_slice(&body);
    }

    /// Reads the body of a frame at `offset` whose header and checksums were right, and whose seq is `frame_seq`.
    pub(crate) fn decode_body(body: &[u8], salt: &Salt, offset: u64, frame_seq: u64) -> Result<Self, FormatError> {
        check_len(body, BODY_LEN)?;
        if TAG.array(body)? != computed_tag(body, salt, offset) && !SeededBug::InvalidCommitBelieved.is_on() {
            return Err(TAG.damaged("the tag of this commit at this place", "another"));
        }
        RESERVED.zeros(body)?;
        let commit = Self {
            commit_no: COMMIT_NO.u64(body)?,
            first_seq: FIRST_SEQ.u64(body)?,
            count: COUNT.u32(body)?,
            durable_commit_no: DURABLE_COMMIT_NO.u64(body)?,
            durable_seq: DURABLE_SEQ.u64(body)?,
            root: ROOT.array(body)?,
        };
        if SeededBug::ClaimTooHigh.is_on() || SeededBug::InvalidCommitBelieved.is_on() {
            return Ok(commit);
        }
        if commit.durable_commit_no >= commit.commit_no {
            return Err(DURABLE_COMMIT_NO.damaged(format!("below {}", commit.commit_no), commit.durable_commit_no.to_string()));
        }
        if commit.durable_seq > frame_seq {
            return Err(DURABLE_SEQ.damaged(format!("at most {frame_seq}"), commit.durable_seq.to_string()));
        }
        Ok(commit)
    }
}

fn computed_tag(body: &[u8], salt: &Salt, offset: u64) -> [u8; 8] {
    let mut key = [0; blake3::KEY_LEN];
    key.split_at_mut(Salt::LEN).0.copy_from_slice(&salt.0);
    let mut hasher = blake3::Hasher::new_keyed(&key);
    hasher.update(&offset.to_le_bytes());
    hasher.update(body.get(..TAG.offset).unwrap_or_default());
    let mut tag = [0; 8];
    hasher.finalize_xof().fill(&mut tag);
    tag
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::salt::Stream;
    use crate::format::testing::{UID, for_each_bit_flip, for_each_truncation, hex_lines, is_damage, salt};

    const OFFSET: u64 = 0x1238;
    const FRAME_SEQ: u64 = 0x25;

    fn commit() -> Commit {
        Commit { commit_no: 0x11, first_seq: 0x22, count: 4, durable_commit_no: 0x10, durable_seq: 0x21, root: [0x33; 32] }
    }

    fn body(commit: &Commit) -> Vec<u8> {
        let mut buf = Vec::new();
        commit.encode_body(&mut buf, &salt(), OFFSET);
        buf
    }

    fn decode(body: &[u8]) -> Result<Commit, FormatError> {
        Commit::decode_body(body, &salt(), OFFSET, FRAME_SEQ)
    }

    /// The body with one field replaced under a right tag.
    fn forged(field: Field, value: &[u8]) -> Vec<u8> {
        let mut bytes = body(&commit());
        field.put(&mut bytes, value);
        let tag = computed_tag(&bytes, &salt(), OFFSET);
        TAG.put(&mut bytes, &tag);
        bytes
    }

    #[test]
    fn a_body_has_its_golden_bytes() {
        assert_eq!(
            hex_lines(&body(&commit())),
            [
                "1100000000000000220000000000000004000000000000001000000000000000",
                "2100000000000000333333333333333333333333333333333333333333333333",
                "33333333333333337f046ca4518f6820",
            ]
        );
    }

    #[test]
    fn the_tag_is_a_hash_under_the_salt_of_offset_and_body() {
        let bytes = body(&commit());
        let mut key = [0; 32];
        key[..16].copy_from_slice(&salt().0);
        let mut input = OFFSET.to_le_bytes().to_vec();
        input.extend_from_slice(&bytes[..72]);
        assert_eq!(bytes[72..], blake3::keyed_hash(&key, &input).as_bytes()[..8]);
    }

    #[test]
    fn every_bit_is_protected() {
        for_each_bit_flip(&body(&commit()), |flipped, what| assert!(is_damage(&decode(flipped)), "{what} went unnoticed"));
    }

    #[test]
    fn a_body_of_another_length_is_damage() {
        let mut bytes = body(&commit());
        for_each_truncation(&bytes, |bytes| assert!(is_damage(&decode(bytes))));
        bytes.push(0);
        assert!(is_damage(&decode(&bytes)));
    }

    #[test]
    fn a_commit_of_another_place_may_not_testify() {
        let bytes = body(&commit());
        assert!(Commit::decode_body(&bytes, &salt(), OFFSET + 8, FRAME_SEQ).is_err());
        assert!(Commit::decode_body(&bytes, &Salt::of(&UID, Stream::Entries, 2), OFFSET, FRAME_SEQ).is_err());
    }

    #[test]
    fn claims_that_cannot_be_true_and_reserved_bytes_are_refused_although_the_tag_is_right() {
        assert_eq!(decode(&forged(RESERVED, &[0; 4])), Ok(commit()));
        assert!(is_damage(&decode(&forged(RESERVED, &[0, 0, 0, 1]))));
        assert!(is_damage(&decode(&forged(DURABLE_COMMIT_NO, &0x11_u64.to_le_bytes()))));
        assert!(is_damage(&decode(&forged(DURABLE_COMMIT_NO, &u64::MAX.to_le_bytes()))));
        assert!(is_damage(&decode(&forged(DURABLE_SEQ, &0x26_u64.to_le_bytes()))));
        assert!(decode(&forged(DURABLE_SEQ, &FRAME_SEQ.to_le_bytes())).is_ok());
    }

    proptest! {
        #[test]
        fn a_body_is_read_back(
            commit_no in 1_u64.., first_seq: u64, count: u32, durable: u64, frame_seq: u64, root: [u8; 32], salt: [u8; 16], offset: u64,
        ) {
            let commit = Commit { commit_no, first_seq, count, durable_commit_no: durable % commit_no, durable_seq: durable.min(frame_seq), root };
            let mut buf = Vec::new();
            commit.encode_body(&mut buf, &Salt(salt), offset);
            prop_assert_eq!(Commit::decode_body(&buf, &Salt(salt), offset, frame_seq), Ok(commit));
        }
    }
}
