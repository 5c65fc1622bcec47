//! The key index of a full segment: for each key the frame of the first entry that brought it, by hash.
//!
//! A hash only proposes: the entry itself proves that it has the key. The hash is keyed by the segment's
//! salt, so that ids made to collide in one segment do not collide in any other.

use std::hash::Hasher as _;
use std::iter;

use bytes::Bytes;
use siphasher::sip::SipHasher13;

use super::FormatError;
use super::bytes::{put_u32, put_u64};
use super::field::{Field, covers};
use super::header_page::PAGE_LEN;
use super::index_header::{self, HEADER_LEN, IndexBinding};
use super::salt::Salt;
use crate::limits::{FRAME_ALIGN, SEGMENT_LEN_MAX};

const HASH: Field = Field::first("hash", 8);
const OFFSET: Field = HASH.then("offset_eighth", 4);

/// The fields of a record.
pub(crate) const FIELDS: &[Field] = &[HASH, OFFSET];

/// The length of a record.
pub(crate) const RECORD_LEN: usize = 12;

/// The first bytes of the file.
pub(crate) const MAGIC: &str = "TAPELOGK";

const _: () = {
    assert!(covers(FIELDS, RECORD_LEN));
    // Offsets are written in units of a frame's alignment, which makes 32 bits enough.
    assert!(SEGMENT_LEN_MAX / FRAME_ALIGN <= u32::MAX as u64);
};

/// Where a key occurs first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyRecord {
    /// The hash of the key and its kind.
    pub(crate) hash: u64,
    /// Where the entry's frame begins.
    pub(crate) offset: u64,
}

/// The hash of a key in the segment with this salt: SipHash-1-3 over the kind's code and the key.
///
/// The hasher is fed twice. It takes bytes as a stream, so that this equals one call over both.
#[inline]
pub(crate) fn key_hash(salt: &Salt, kind: u8, key: impl AsRef<[u8]>) -> u64 {
    let mut hasher = SipHasher13::new_with_key(&salt.0);
    hasher.write(&[kind]);
    hasher.write(key.as_ref());
    hasher.finish()
}

/// The bytes of an index with these records, which are sorted.
pub(crate) fn encode(binding: &IndexBinding, records: &[KeyRecord]) -> Vec<u8> {
    debug_assert!(records.is_sorted(), "the records of a key index are sorted");
    let mut buf = index_header::begin(MAGIC, binding, records.len(), RECORD_LEN);
    for record in records {
        debug_assert!(record.offset.is_multiple_of(FRAME_ALIGN), "a frame begins on a multiple of eight");
        put_u64(&mut buf, record.hash);
        put_u32(&mut buf, u32::try_from(record.offset / FRAME_ALIGN).unwrap_or(u32::MAX));
    }
    index_header::finish(&mut buf);
    buf
}

/// A key index that is whole and belongs to its segment.
#[derive(Debug, Clone)]
pub(crate) struct KeyIndex {
    records: Bytes,
}

impl KeyIndex {
    /// Checks an index against its segment.
    pub(crate) fn decode(mut bytes: Bytes, binding: &IndexBinding) -> Result<Self, FormatError> {
        index_header::check(&bytes, MAGIC, binding, RECORD_LEN)?;
        let this = Self { records: bytes.split_off(HEADER_LEN) };
        let mut before = KeyRecord { hash: 0, offset: 0 };
        for (index, record) in this.records_from(0).enumerate() {
            // Equal records are two keys of one entry that share a hash.
            if record < before || record.offset < PAGE_LEN as u64 || record.offset >= binding.segment_end {
                return Err(FormatError::damaged(
                    HEADER_LEN + index * RECORD_LEN,
                    "a frame of the segment, by ascending hash and offset",
                    format!("{record:?}"),
                ));
            }
            before = record;
        }
        Ok(this)
    }

    /// How many records there are.
    pub(crate) fn len(&self) -> usize {
        self.records.len() / RECORD_LEN
    }

    /// Where the frames begin whose entries may have a key with this hash, in ascending order.
    pub(crate) fn candidates(&self, hash: u64) -> impl Iterator<Item = u64> + '_ {
        self.records_from(self.lower_bound(hash)).take_while(move |record| record.hash == hash).map(|record| record.offset)
    }

    fn records_from(&self, index: usize) -> impl Iterator<Item = KeyRecord> + '_ {
        let mut rest = self.records.get(index.saturating_mul(RECORD_LEN)..).unwrap_or_default();
        iter::from_fn(move || {
            let (record, behind) = rest.split_first_chunk::<RECORD_LEN>()?;
            rest = behind;
            Some(KeyRecord { hash: HASH.u64(record).ok()?, offset: u64::from(OFFSET.u32(record).ok()?) * FRAME_ALIGN })
        })
    }

    #[inline]
    fn is_before(&self, index: usize, hash: u64) -> bool {
        let record = self.records.get(index * RECORD_LEN..).and_then(|rest| rest.first_chunk::<8>());
        record.is_some_and(|found| u64::from_le_bytes(*found) < hash)
    }

    /// The index of the first record with this hash or a larger one.
    ///
    /// Hashes are spread evenly, so that the place can be guessed to within about the square root of the
    /// count. Steps of doubling length from there find two ends, and halving what is between them ends the
    /// search. Hashes that are not spread evenly cost time and never the result.
    fn lower_bound(&self, hash: u64) -> usize {
        let count = self.len();
        let (mut low, mut high) = (0, count);
        let mut step = 1_usize << (count.max(1).ilog2() / 2);
        let mut probe = guess(hash, count);
        while low < high {
            if self.is_before(probe, hash) {
                low = probe + 1;
                if high < count {
                    break;
                }
                probe = low.saturating_add(step).min(count - 1);
            } else {
                high = probe;
                if low > 0 {
                    break;
                }
                probe = high.saturating_sub(step);
            }
            step = step.saturating_mul(2);
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if self.is_before(middle, hash) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// Where a hash would lie among `count` hashes at equal distances: below `count`, unless that is 0.
fn guess(hash: u64, count: usize) -> usize {
    let place = (u128::from(hash) * count as u128) >> 64;
    usize::try_from(place).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::salt::Stream;
    use crate::format::testing::{UID, for_each_bit_flip, for_each_truncation, hex, hex_lines, is_damage, salt};

    fn binding() -> IndexBinding {
        IndexBinding { stream: Stream::Entries, uid: UID, ordinal: 1, salt: salt(), segment_end: 1 << 32, root: [0x33; 32] }
    }

    fn records() -> Vec<KeyRecord> {
        [(0x0102_0304_0506_0708, 4256), (0x0102_0304_0506_0708, 8352), (u64::MAX, 4256)]
            .map(|(hash, offset)| KeyRecord { hash, offset })
            .to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<KeyIndex, FormatError> {
        KeyIndex::decode(Bytes::copy_from_slice(bytes), &binding())
    }

    /// `SipHash` with one round a word and three at the end, as its paper describes it.
    fn plain_sip_hash_1_3(key: [u8; 16], input: &[u8]) -> u64 {
        fn round(v: &mut [u64; 4]) {
            v[0] = v[0].wrapping_add(v[1]);
            v[2] = v[2].wrapping_add(v[3]);
            v[1] = v[1].rotate_left(13) ^ v[0];
            v[3] = v[3].rotate_left(16) ^ v[2];
            v[0] = v[0].rotate_left(32);
            v[2] = v[2].wrapping_add(v[1]);
            v[0] = v[0].wrapping_add(v[3]);
            v[1] = v[1].rotate_left(17) ^ v[2];
            v[3] = v[3].rotate_left(21) ^ v[0];
            v[2] = v[2].rotate_left(32);
        }
        let [low, high] = [0, 8].map(|at| u64::from_le_bytes(key[at..at + 8].try_into().unwrap()));
        let mut v = [low ^ 0x736f_6d65_7073_6575, high ^ 0x646f_7261_6e64_6f6d, low ^ 0x6c79_6765_6e65_7261, high ^ 0x7465_6462_7974_6573];
        let mut padded = input.to_vec();
        padded.resize(input.len() / 8 * 8 + 7, 0);
        padded.push(u8::try_from(input.len() % 256).unwrap());
        for word in padded.chunks(8) {
            let word = u64::from_le_bytes(word.try_into().unwrap());
            v[3] ^= word;
            round(&mut v);
            v[0] ^= word;
        }
        v[2] ^= 0xFF;
        for _ in 0..3 {
            round(&mut v);
        }
        v[0] ^ v[1] ^ v[2] ^ v[3]
    }

    #[test]
    fn an_index_has_its_golden_bytes() {
        assert_eq!(
            hex_lines(&encode(&binding(), &records())[HEADER_LEN..]),
            ["080706050403020114020000080706050403020114040000ffffffffffffffff", "14020000"]
        );
        assert_eq!(
            hex_lines(&encode(&binding(), &records())[..HEADER_LEN]),
            [
                "544150454c4f474b0100000001000000000102030405060708090a0b0c0d0e0f",
                "52154d173252780718e9bc385abdd1db00000000010000000300000000000000",
                "3333333333333333333333333333333333333333333333333333333333333333",
                "ac92a851864814761d1beacb1fc5e1ea83847c9d28c46c793c68d99668149f31",
                "0100000000000000",
            ]
        );
    }

    #[test]
    fn a_key_hash_has_its_golden_value() {
        assert_eq!(hex(&key_hash(&salt(), 1, "O-20260101-000001").to_be_bytes()), "ad975809124ae9f4");
    }

    #[test]
    fn a_key_hash_is_plain_sip_hash_over_kind_and_key() {
        for len in 0..40 {
            let key = "abcdefghijklmnopqrstuvwxyz0123456789ABCD".split_at(len).0;
            for kind in [0, 1, 2, 255] {
                let input = [&[kind][..], key.as_bytes()].concat();
                assert_eq!(key_hash(&salt(), kind, key), plain_sip_hash_1_3(salt().0, &input));
            }
        }
    }

    #[test]
    fn a_key_hash_without_a_salt_is_that_of_the_standard_library() {
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write(b"\x01key");
        assert_eq!(key_hash(&Salt([0; 16]), 1, "key"), hasher.finish());
    }

    #[test]
    fn candidates_are_all_frames_with_the_hash_and_no_others() {
        let index = decode(&encode(&binding(), &records())).unwrap();
        let candidates = |hash| index.candidates(hash).collect::<Vec<_>>();
        assert_eq!(candidates(0x0102_0304_0506_0708), [4256, 8352]);
        assert_eq!(candidates(u64::MAX), [4256]);
        for hash in [0, 0x0102_0304_0506_0707, 0x0102_0304_0506_0709, u64::MAX - 1] {
            assert_eq!(candidates(hash), []);
        }
        assert_eq!(index.len(), 3);
    }

    #[test]
    fn an_empty_index_has_no_candidates() {
        let index = decode(&encode(&binding(), &[])).unwrap();
        assert_eq!(index.candidates(0).chain(index.candidates(u64::MAX)).count(), 0);
    }

    #[test]
    fn every_bit_is_protected() {
        for_each_bit_flip(&encode(&binding(), &records()), |flipped, what| assert!(is_damage(&decode(flipped)), "{what} went unnoticed"));
    }

    #[test]
    fn an_index_cut_short_is_damage() {
        for_each_truncation(&encode(&binding(), &records()), |bytes| assert!(is_damage(&decode(bytes))));
    }

    #[test]
    fn records_out_of_order_or_outside_the_segment_are_refused_although_the_check_is_right() {
        for (at, hash, offset) in [(1, 7, 8352_u32), (1, 0x0102_0304_0506_0708, 4248), (2, u64::MAX, 4088), (2, u64::MAX, 0)] {
            let mut bytes = encode(&binding(), &records());
            let record = &mut bytes[HEADER_LEN + at * RECORD_LEN..];
            HASH.put(record, &hash.to_le_bytes());
            OFFSET.put(record, &(offset / 8).to_le_bytes());
            index_header::finish(&mut bytes);
            assert!(is_damage(&decode(&bytes)), "{hash:x} {offset}");
        }
        let short = IndexBinding { segment_end: 8352, ..binding() };
        assert!(is_damage(&KeyIndex::decode(encode(&short, &records()).into(), &short)));
    }

    #[test]
    fn the_last_frame_of_the_largest_segment_can_be_named() {
        let record = KeyRecord { hash: 1, offset: SEGMENT_LEN_MAX - 8 };
        let index = decode(&encode(&binding(), &[record])).unwrap();
        assert_eq!(index.candidates(1).collect::<Vec<_>>(), [SEGMENT_LEN_MAX - 8]);
    }

    proptest! {
        #[test]
        fn candidates_are_those_of_a_search_one_by_one(
            hashes in proptest::collection::vec(prop_oneof![any::<u64>(), 0_u64..8, u64::MAX - 8.., Just(1 << 63)], 0..600),
            others in proptest::collection::vec(any::<u64>(), 0..20),
        ) {
            let mut records: Vec<_> =
                hashes.iter().zip(0_u64..).map(|(hash, index)| KeyRecord { hash: *hash, offset: 4096 + 8 * index }).collect();
            records.sort_unstable();
            let index = decode(&encode(&binding(), &records)).unwrap();
            prop_assert_eq!(index.len(), records.len());
            for hash in hashes.into_iter().chain(others).flat_map(|hash| [hash.wrapping_sub(1), hash, hash.wrapping_add(1)]) {
                let expected: Vec<_> = records.iter().filter(|record| record.hash == hash).map(|record| record.offset).collect();
                prop_assert_eq!(index.candidates(hash).collect::<Vec<_>>(), expected);
            }
        }
    }
}
