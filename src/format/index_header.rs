//! What the two indexes of a segment have in common: a header that binds them to the segment.
//!
//! Indexes are derived. One that is not whole, or not of exactly this segment, is rebuilt and never
//! believed, not even where it says that something is not there.

use blake3::Hasher;

use super::bytes::{len_u32, put_zeros};
use super::entry::KEY_HEADER_LEN;
use super::field::{Field, covers};
use super::salt::{Salt, Stream, Uid};
use super::{FormatError, VERSION};
use crate::seeded_bug::SeededBug;

const MAGIC: Field = Field::first("magic", 8);
const VERSION_FIELD: Field = MAGIC.then("version", 4);
const ORDINAL: Field = VERSION_FIELD.then("ordinal", 4);
const UID: Field = ORDINAL.then("uid", 16);
const SALT: Field = UID.then("salt", 16);
const SEGMENT_END: Field = SALT.then("segment_end", 8);
const COUNT: Field = SEGMENT_END.then("count", 8);
const ROOT: Field = COUNT.then("root", 32);
const CHECK: Field = ROOT.then("check", 32);
const STREAM: Field = CHECK.then("stream", 1);
const RESERVED: Field = STREAM.then("reserved", 7);

/// The fields of the header.
pub(crate) const FIELDS: &[Field] = &[MAGIC, VERSION_FIELD, ORDINAL, UID, SALT, SEGMENT_END, COUNT, ROOT, CHECK, STREAM, RESERVED];

/// The length of the header; the records lie behind it.
pub(crate) const HEADER_LEN: usize = 136;

/// The domain of the check.
pub(crate) const DOMAIN: &str = "tapelog/index/v1";

const _: () = assert!(covers(FIELDS, HEADER_LEN));

/// The segment, in the state that an index was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexBinding {
    /// The segment's stream.
    pub(crate) stream: Stream,
    /// Its run.
    pub(crate) uid: Uid,
    /// Its number.
    pub(crate) ordinal: u32,
    /// Its salt.
    pub(crate) salt: Salt,
    /// Where its last frame ends.
    pub(crate) segment_end: u64,
    /// The root at its end.
    pub(crate) root: [u8; 32],
}

/// Begins an index of `count` records: its header, with the check still to come.
pub(crate) fn begin(magic: &str, binding: &IndexBinding, count: usize, record_len: usize) -> Vec<u8> {
    let mut buf = Vec::with_capacity(HEADER_LEN + count * record_len);
    put_zeros(&mut buf, HEADER_LEN);
    MAGIC.put(&mut buf, magic.as_bytes());
    VERSION_FIELD.put(&mut buf, &VERSION.to_le_bytes());
    ORDINAL.put(&mut buf, &binding.ordinal.to_le_bytes());
    UID.put(&mut buf, &binding.uid.0);
    SALT.put(&mut buf, &binding.salt.0);
    SEGMENT_END.put(&mut buf, &binding.segment_end.to_le_bytes());
    COUNT.put(&mut buf, &u64::from(len_u32(count)).to_le_bytes());
    ROOT.put(&mut buf, &binding.root);
    STREAM.put(&mut buf, &[binding.stream.code()]);
    buf
}

/// Ends an index whose records have been appended.
pub(crate) fn finish(buf: &mut [u8]) {
    let check = computed_check(buf);
    CHECK.put(buf, &check);
}

/// Checks that an index is whole, bound to this segment, and has whole records behind its header.
pub(crate) fn check(index: &[u8], magic: &str, binding: &IndexBinding, record_len: usize) -> Result<(), FormatError> {
    let Some((_, records)) = index.split_at_checked(HEADER_LEN) else {
        return Err(FormatError::wrong_len(HEADER_LEN, index.len()));
    };
    MAGIC.magic(index, magic.as_bytes())?;
    if CHECK.array(index)? != computed_check(index) && !SeededBug::IndexChecksumUnchecked.is_on() {
        return Err(CHECK.damaged("the hash of the index", "another"));
    }
    VERSION_FIELD.version(index)?;
    RESERVED.zeros(index)?;
    // The bytes that are there bound the count, so that it is never multiplied unchecked.
    let count = COUNT.u64(index)?;
    let there = records.len() / record_len;
    if count != there as u64 || !records.len().is_multiple_of(record_len) {
        return Err(COUNT.damaged(format!("the {there} records of {} bytes", records.len()), count.to_string()));
    }
    expect(STREAM, index, &[binding.stream.code()])?;
    expect(UID, index, &binding.uid.0)?;
    expect(ORDINAL, index, &binding.ordinal.to_le_bytes())?;
    expect(SALT, index, &binding.salt.0)?;
    expect(SEGMENT_END, index, &binding.segment_end.to_le_bytes())?;
    expect(ROOT, index, &binding.root)
}

/// How long an index with this header is; none where it says more than an index of the segment can hold.
pub(crate) fn whole_len(header: &[u8], binding: &IndexBinding, record_len: usize) -> Option<u64> {
    // A record is an entry's or a key's, and each key takes so much of the segment at least.
    let count = COUNT.u64(header).ok().filter(|count| *count <= binding.segment_end / KEY_HEADER_LEN as u64)?;
    count.checked_mul(record_len as u64)?.checked_add(HEADER_LEN as u64)
}

fn expect(field: Field, index: &[u8], bound: &[u8]) -> Result<(), FormatError> {
    let fits = field.slice(index)? == bound || SeededBug::IndexBelievedUnbound.is_on();
    if fits { Ok(()) } else { Err(field.damaged("that of the segment", "that of another one or of another state")) }
}

fn computed_check(index: &[u8]) -> [u8; 32] {
    let mut hasher = Hasher::new();
    hasher.update(DOMAIN.as_bytes());
    hasher.update(index.get(..CHECK.offset).unwrap_or_default());
    hasher.update(index.get(CHECK.end()..).unwrap_or_default());
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::testing::{self, for_each_bit_flip, for_each_truncation, hex_lines, is_damage};

    const TEST_MAGIC: &str = "TAPELOGT";

    fn binding() -> IndexBinding {
        IndexBinding {
            stream: Stream::Entries,
            uid: testing::UID,
            ordinal: 1,
            salt: testing::salt(),
            segment_end: 0x2128,
            root: [0x33; 32],
        }
    }

    fn index() -> Vec<u8> {
        let mut buf = begin(TEST_MAGIC, &binding(), 2, 4);
        buf.extend_from_slice(b"aaaabbbb");
        finish(&mut buf);
        buf
    }

    fn forged(field: Field, value: &[u8]) -> Vec<u8> {
        let mut buf = index();
        field.put(&mut buf, value);
        finish(&mut buf);
        buf
    }

    fn check_bound(index: &[u8]) -> Result<(), FormatError> {
        check(index, TEST_MAGIC, &binding(), 4)
    }

    #[test]
    fn an_index_has_its_golden_bytes() {
        let index = index();
        assert_eq!(
            hex_lines(&index),
            [
                "544150454c4f47540100000001000000000102030405060708090a0b0c0d0e0f",
                "52154d173252780718e9bc385abdd1db28210000000000000200000000000000",
                "3333333333333333333333333333333333333333333333333333333333333333",
                "b1626b85c5fff9074b7d20a8396c03dc65f9f17fc2d0bb72bf87a6fc6ef8ffd7",
                "01000000000000006161616162626262",
            ]
        );
        let input = [DOMAIN.as_bytes(), &index[..96], &index[128..]].concat();
        assert_eq!(&index[96..128], blake3::hash(&input).as_bytes());
        assert_eq!(check_bound(&index), Ok(()));
    }

    #[test]
    fn every_bit_is_protected() {
        for_each_bit_flip(&index(), |flipped, what| assert!(is_damage(&check_bound(flipped)), "{what} went unnoticed"));
    }

    #[test]
    fn an_index_of_another_length_is_damage() {
        let mut index = index();
        for_each_truncation(&index, |bytes| assert!(is_damage(&check_bound(bytes))));
        index.push(0);
        assert!(is_damage(&check_bound(&index)));
    }

    #[test]
    fn an_index_of_anything_else_is_refused() {
        let same = binding();
        let others = [
            IndexBinding { stream: Stream::Markers, ..same },
            IndexBinding { uid: Uid([9; 16]), ..same },
            IndexBinding { ordinal: 2, ..same },
            IndexBinding { salt: Salt([9; 16]), ..same },
            IndexBinding { segment_end: 0x2130, ..same },
            IndexBinding { root: [9; 32], ..same },
        ];
        for other in others {
            assert!(is_damage(&check(&index(), TEST_MAGIC, &other, 4)), "{other:?}");
        }
        assert!(is_damage(&check(&index(), "TAPELOGX", &same, 4)));
    }

    #[test]
    fn counts_and_reserved_bytes_that_do_not_fit_are_refused_although_the_check_is_right() {
        for count in [0, 1, 3, 1 << 62, u64::MAX] {
            assert!(is_damage(&check_bound(&forged(COUNT, &count.to_le_bytes()))));
        }
        assert!(is_damage(&check_bound(&forged(RESERVED, &[0, 0, 0, 0, 0, 0, 1]))));
        assert!(is_damage(&check(&index(), TEST_MAGIC, &binding(), 3)));
    }

    #[test]
    fn an_unknown_version_is_reported_as_such_if_the_check_is_right() {
        let mut index = forged(VERSION_FIELD, &2_u32.to_le_bytes());
        assert_eq!(check_bound(&index), Err(FormatError::UnknownVersion { found: 2, supported: 1 }));
        CHECK.put(&mut index, &[0; 32]);
        assert!(is_damage(&check_bound(&index)));
    }
}
