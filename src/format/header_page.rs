//! The header page: the first 4096 bytes of a segment, written before the segment is used and never again.
//!
//! The same 40 bytes stand at 0 and at 2048, each copy within one 512-byte sector, so that the loss of
//! a sector costs one copy at most. All other bytes are zero.

use super::bytes::{check_len, check_zeros};
use super::field::{Field, covers};
use super::salt::{Salt, Stream, Uid};
use super::{FormatError, VERSION};
use crate::limits::{BLOCK_LEN, ORDINAL_MAX};

const MAGIC_FIELD: Field = Field::first("magic", 8);
const VERSION_FIELD: Field = MAGIC_FIELD.then("version", 4);
const STREAM: Field = VERSION_FIELD.then("stream", 1);
const RESERVED: Field = STREAM.then("reserved", 3);
const UID: Field = RESERVED.then("uid", 16);
const ORDINAL: Field = UID.then("ordinal", 4);
const CRC: Field = ORDINAL.then("crc", 4);

/// The fields of one copy.
pub(crate) const FIELDS: &[Field] = &[MAGIC_FIELD, VERSION_FIELD, STREAM, RESERVED, UID, ORDINAL, CRC];

const FIRST_COPY: Field = Field::first("copy_1", COPY_LEN);
const FIRST_REST: Field = FIRST_COPY.then("zeros_1", COPY_DISTANCE - COPY_LEN);
const SECOND_COPY: Field = FIRST_REST.then("copy_2", COPY_LEN);
const SECOND_REST: Field = SECOND_COPY.then("zeros_2", COPY_DISTANCE - COPY_LEN);

/// The fields of the page.
pub(crate) const PAGE_FIELDS: &[Field] = &[FIRST_COPY, FIRST_REST, SECOND_COPY, SECOND_REST];

/// The first bytes of a segment.
pub(crate) const MAGIC: &str = "TAPELOGS";

/// The length of one copy.
pub(crate) const COPY_LEN: usize = 40;

/// The length of the page: a segment's first frame lies behind it.
pub(crate) const PAGE_LEN: usize = 4096;

const COPY_DISTANCE: usize = PAGE_LEN / 2;

const _: () = {
    assert!(covers(FIELDS, COPY_LEN));
    assert!(covers(PAGE_FIELDS, PAGE_LEN));
    assert!(PAGE_LEN as u64 == BLOCK_LEN);
    assert!(COPY_LEN <= 512 && COPY_DISTANCE.is_multiple_of(512));
};

/// What names a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeaderPage {
    /// The stream that the segment belongs to.
    pub(crate) stream: Stream,
    /// The run that it belongs to.
    pub(crate) uid: Uid,
    /// Its number in the stream, from 1.
    pub(crate) ordinal: u32,
}

impl HeaderPage {
    /// The segment's salt.
    pub(crate) fn salt(&self) -> Salt {
        Salt::of(&self.uid, self.stream, self.ordinal)
    }

    /// The page's bytes.
    pub(crate) fn encode(&self) -> Box<[u8; PAGE_LEN]> {
        let mut copy = [0; COPY_LEN];
        MAGIC_FIELD.put(&mut copy, MAGIC.as_bytes());
        VERSION_FIELD.put(&mut copy, &VERSION.to_le_bytes());
        STREAM.put(&mut copy, &[self.stream.code()]);
        UID.put(&mut copy, &self.uid.0);
        ORDINAL.put(&mut copy, &self.ordinal.to_le_bytes());
        let crc = computed_crc(&copy);
        CRC.put(&mut copy, &crc.to_le_bytes());
        let mut page = Box::new([0; PAGE_LEN]);
        FIRST_COPY.put(page.as_mut_slice(), &copy);
        SECOND_COPY.put(page.as_mut_slice(), &copy);
        page
    }

    /// What the page says, by whichever copy is whole. The rest of the page is not looked at.
    pub(crate) fn decode(page: &[u8]) -> Result<Self, FormatError> {
        match (decode_copy(page, FIRST_COPY), decode_copy(page, SECOND_COPY)) {
            (Ok(header), _) | (_, Ok(header)) => Ok(header),
            // A version that can be read says more than damage in the other copy.
            (Err(FormatError::Damaged { .. }), Err(version @ FormatError::UnknownVersion { .. })) => Err(version),
            (Err(error), _) => Err(error),
        }
    }

    /// Whether a copy in the page is whole and says this.
    pub(crate) fn stands_in(&self, page: &[u8]) -> bool {
        [FIRST_COPY, SECOND_COPY].into_iter().any(|copy| decode_copy(page, copy).is_ok_and(|found| found == *self))
    }

    /// Everything that is wrong with the page.
    pub(crate) fn check_whole(page: &[u8]) -> Vec<FormatError> {
        let mut errors: Vec<_> = check_len(page, PAGE_LEN).err().into_iter().collect();
        let first = decode_copy(page, FIRST_COPY);
        let second = decode_copy(page, SECOND_COPY);
        if let (Ok(first), Ok(second)) = (&first, &second)
            && first != second
        {
            errors.push(SECOND_COPY.damaged("the same as the first copy", "another segment's"));
        }
        errors.extend([first, second].into_iter().filter_map(Result::err));
        for rest in [FIRST_REST, SECOND_REST] {
            let bytes = page.get(rest.offset..rest.end().min(page.len())).unwrap_or_default();
            errors.extend(check_zeros(bytes, rest.offset).err());
        }
        errors
    }
}

fn computed_crc(copy: &[u8]) -> u32 {
    crc32fast::hash(copy.get(..CRC.offset).unwrap_or_default())
}

fn decode_copy(page: &[u8], place: Field) -> Result<HeaderPage, FormatError> {
    let copy = place.slice(page)?;
    decode_fields(copy).map_err(|error| error.shifted(place.offset))
}

fn decode_fields(copy: &[u8]) -> Result<HeaderPage, FormatError> {
    MAGIC_FIELD.magic(copy, MAGIC.as_bytes())?;
    CRC.crc(copy, computed_crc(copy))?;
    VERSION_FIELD.version(copy)?;
    RESERVED.zeros(copy)?;
    let stream = STREAM.u8(copy)?;
    let stream = Stream::from_code(stream).ok_or_else(|| STREAM.damaged("1 or 2", stream.to_string()))?;
    let ordinal = ORDINAL.u32(copy)?;
    if ordinal == 0 || ordinal > ORDINAL_MAX {
        return Err(ORDINAL.damaged(format!("1 to {ORDINAL_MAX}"), ordinal.to_string()));
    }
    Ok(HeaderPage { stream, uid: Uid(UID.array(copy)?), ordinal })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::testing::{self, for_each_bit_flip, for_each_truncation, hex_lines, is_damage};

    fn header() -> HeaderPage {
        HeaderPage { stream: Stream::Markers, uid: testing::UID, ordinal: 0x0403_0201 }
    }

    /// The page with one field of its first copy replaced under a right checksum, and without a second copy.
    fn forged(field: Field, value: &[u8]) -> Vec<u8> {
        let mut page = header().encode().to_vec();
        field.put(&mut page, value);
        let crc = computed_crc(&page[..COPY_LEN]);
        CRC.put(&mut page, &crc.to_le_bytes());
        SECOND_COPY.put(&mut page, &[0; COPY_LEN]);
        page
    }

    #[test]
    fn a_page_has_its_golden_bytes() {
        let page = header().encode();
        assert_eq!(hex_lines(&page[..40]), ["544150454c4f47530100000002000000000102030405060708090a0b0c0d0e0f", "01020304448b6ea1"]);
        assert_eq!(page[2048..2088], page[..40]);
        assert!(page[40..2048].iter().chain(&page[2088..]).all(|byte| *byte == 0));
    }

    #[test]
    fn a_page_is_read_back() {
        for stream in [Stream::Entries, Stream::Markers] {
            for ordinal in [1, 2, ORDINAL_MAX] {
                let header = HeaderPage { stream, ordinal, ..header() };
                assert_eq!(HeaderPage::decode(header.encode().as_slice()), Ok(header));
                assert_eq!(HeaderPage::check_whole(header.encode().as_slice()), []);
                assert_eq!(header.salt(), Salt::of(&header.uid, stream, ordinal));
            }
        }
    }

    #[test]
    fn either_copy_is_enough() {
        for lost in [FIRST_COPY, SECOND_COPY] {
            let mut page = header().encode();
            lost.put(page.as_mut_slice(), &[0xFF; COPY_LEN]);
            assert_eq!(HeaderPage::decode(page.as_slice()), Ok(header()));
            assert_eq!(HeaderPage::check_whole(page.as_slice()).len(), 1);
        }
    }

    #[test]
    fn another_segments_copy_beside_the_right_one_costs_nothing() {
        let other = HeaderPage { ordinal: 7, ..header() };
        for misplaced in [FIRST_COPY, SECOND_COPY] {
            let mut page = header().encode();
            misplaced.put(page.as_mut_slice(), &other.encode()[..COPY_LEN]);
            assert!(header().stands_in(page.as_slice()));
            assert_eq!(HeaderPage::check_whole(page.as_slice()).len(), 1, "it is reported all the same");
        }
        assert!(!header().stands_in(other.encode().as_slice()));
    }

    #[test]
    fn every_bit_of_the_page_is_protected() {
        let page = header().encode();
        for_each_bit_flip(page.as_slice(), |flipped, what| {
            assert_eq!(HeaderPage::check_whole(flipped).len(), 1, "{what} went unnoticed");
            assert_eq!(HeaderPage::decode(flipped), Ok(header()));
        });
        for_each_bit_flip(&page[..COPY_LEN], |flipped, what| assert!(is_damage(&HeaderPage::decode(flipped)), "{what} went unnoticed"));
    }

    #[test]
    fn a_page_cut_short_is_damage_or_read_by_its_first_copy() {
        for_each_truncation(header().encode().as_slice(), |bytes| {
            assert_eq!(HeaderPage::decode(bytes).is_ok(), bytes.len() >= COPY_LEN);
            assert!(!HeaderPage::check_whole(bytes).is_empty());
        });
    }

    #[test]
    fn an_unknown_version_is_reported_as_such() {
        let version = FormatError::UnknownVersion { found: 2, supported: 1 };
        let page = forged(VERSION_FIELD, &2_u32.to_le_bytes());
        assert_eq!(HeaderPage::decode(&page), Err(version.clone()));
        let mut swapped = page[2048..].to_vec();
        swapped.extend_from_slice(&page[..2048]);
        assert_eq!(HeaderPage::decode(&swapped), Err(version));
    }

    #[test]
    fn a_version_without_a_right_checksum_is_damage() {
        let mut page = forged(VERSION_FIELD, &2_u32.to_le_bytes());
        CRC.put(&mut page, &[0; 4]);
        assert!(is_damage(&HeaderPage::decode(&page)));
    }

    #[test]
    fn values_that_no_writer_writes_are_refused() {
        for (field, value) in [
            (RESERVED, vec![0, 0, 1]),
            (STREAM, vec![0]),
            (STREAM, vec![3]),
            (ORDINAL, vec![0; 4]),
            (ORDINAL, (ORDINAL_MAX + 1).to_le_bytes().to_vec()),
        ] {
            assert!(is_damage(&HeaderPage::decode(&forged(field, &value))), "{} {value:?}", field.name);
        }
    }

    #[test]
    fn copies_that_differ_are_reported() {
        let mut page = header().encode();
        let other = HeaderPage { ordinal: 7, ..header() }.encode();
        SECOND_COPY.put(page.as_mut_slice(), &other[..COPY_LEN]);
        assert_eq!(HeaderPage::check_whole(page.as_slice()).len(), 1);
    }
}
