//! The layout as data, for tools and for the test that holds FORMAT.md against the code.

use super::marker::dict::class_code;
use super::marker::gap::reason_code;
use super::salt::Stream;
use super::{
    anchor, commit, entry, envelope, file_name, frame, genesis, header_page, index_header, key_index, manifest, marker, open, root, salt,
    sparse_index, watermark,
};
use crate::model::{DataClass, IndexKind, MarkerGapReason};

pub use super::field::Field;

/// The version of every structure that this build reads and writes.
pub const VERSION: u32 = super::VERSION;

/// A structure on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Structure {
    /// The structure's name, as FORMAT.md gives it.
    pub name: &'static str,
    /// Its fields, in the order of their offsets.
    pub fields: &'static [Field],
    /// Its length in bytes; none where it varies.
    pub len: Option<usize>,
}

/// The magic that a structure begins with, by the structure's name.
pub const MAGICS: &[(&str, &str)] = &[
    ("header page copy", header_page::MAGIC),
    ("opening section", manifest::OPENING_MAGIC),
    ("seal section", manifest::SEAL_MAGIC),
    ("ANCHOR", anchor::MAGIC),
    ("watermark slot", watermark::MAGIC),
    ("sparse index", sparse_index::MAGIC),
    ("key index", key_index::MAGIC),
];

/// The kinds of frames, by name.
pub const KINDS: &[(&str, u8)] = frame::Kind::NAMES;

/// The text that each hash begins with, by what is hashed.
pub const DOMAINS: &[(&str, &str)] = &[
    ("salt", salt::DOMAIN),
    ("root zero", root::DOMAIN_ZERO),
    ("root", root::DOMAIN),
    ("seal root", manifest::SEAL_DOMAIN),
    ("index check", index_header::DOMAIN),
];

/// The names and the endings of the files of a run, by what they stand for.
pub const FILE_NAMES: &[(&str, &str)] = &[
    ("manifest", file_name::MANIFEST),
    ("watermark", file_name::WATERMARK),
    ("lock", file_name::LOCK),
    ("sidecar", file_name::MARKERS),
    ("segment ending", file_name::SEGMENT_SUFFIX),
    ("sparse index ending", file_name::SPARSE_INDEX_SUFFIX),
    ("key index ending", file_name::KEY_INDEX_SUFFIX),
    ("unfinished ending", file_name::TEMPORARY_SUFFIX),
];

/// The numbers that stand for something in a field, by group and name.
pub const CODES: &[(&str, &[(&str, u8)])] = &[
    ("stream", &[("entries", Stream::Entries.code()), ("markers", Stream::Markers.code())]),
    ("header flag", &[("correlation id", entry::HAS_CORRELATION_ID), ("causation id", entry::HAS_CAUSATION_ID)]),
    (
        "index kind",
        &[
            (IndexKind::ClientOrderId.as_str(), IndexKind::ClientOrderId.code()),
            (IndexKind::VenueOrderId.as_str(), IndexKind::VenueOrderId.code()),
        ],
    ),
    (
        "data class",
        &[
            (DataClass::BookDeltas.as_str(), class_code(DataClass::BookDeltas)),
            (DataClass::BookDepth10.as_str(), class_code(DataClass::BookDepth10)),
            (DataClass::Quote.as_str(), class_code(DataClass::Quote)),
            (DataClass::Trade.as_str(), class_code(DataClass::Trade)),
            (DataClass::Bar.as_str(), class_code(DataClass::Bar)),
        ],
    ),
    ("gap reason", &[("overflow", reason_code(MarkerGapReason::Overflow)), ("writer closed", reason_code(MarkerGapReason::WriterClosed))]),
];

/// Every structure.
#[must_use]
pub fn structures() -> &'static [Structure] {
    STRUCTURES
}

const STRUCTURES: &[Structure] = &[
    fixed("header page", header_page::PAGE_FIELDS, header_page::PAGE_LEN),
    fixed("header page copy", header_page::FIELDS, header_page::COPY_LEN),
    varying("frame", frame::FIELDS),
    fixed("OPEN", open::FIELDS, open::BODY_LEN),
    varying("GENESIS", genesis::FIELDS),
    varying("ENTRY", entry::FIELDS),
    varying("ENTRY key", entry::KEY_FIELDS),
    fixed("COMMIT", commit::FIELDS, commit::BODY_LEN),
    varying("SNAPSHOT", marker::snapshot::FIELDS),
    fixed("SNAPSHOT cursor", marker::snapshot::CURSOR_FIELDS, marker::snapshot::CURSOR_LEN),
    fixed("HIFI", marker::hifi::FIELDS, marker::hifi::BODY_LEN),
    varying("DICT", marker::dict::FIELDS),
    fixed("GAP", marker::gap::FIELDS, marker::gap::BODY_LEN),
    varying("root of an entry", root::ENTRY_FIELDS),
    varying("root of a record", root::RECORD_FIELDS),
    varying("envelope", envelope::FIELDS),
    varying("MANIFEST", manifest::FIELDS),
    fixed("watermark slot", watermark::FIELDS, watermark::SLOT_LEN),
    fixed("index header", index_header::FIELDS, index_header::HEADER_LEN),
    fixed("sparse index record", sparse_index::FIELDS, sparse_index::RECORD_LEN),
    fixed("key index record", key_index::FIELDS, key_index::RECORD_LEN),
];

const fn fixed(name: &'static str, fields: &'static [Field], len: usize) -> Structure {
    Structure { name, fields, len: Some(len) }
}

const fn varying(name: &'static str, fields: &'static [Field]) -> Structure {
    Structure { name, fields, len: None }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn fields_follow_each_other_and_fill_their_structure() {
        for structure in structures() {
            let mut end = 0;
            for field in structure.fields {
                assert_eq!(field.offset, end, "{} of {}", field.name, structure.name);
                end = field.end();
            }
            assert!(structure.len.is_none_or(|len| len == end), "{} ends at {end}", structure.name);
            let varies = structure.fields.iter().any(|field| field.len == 0);
            assert_eq!(structure.len.is_none(), varies, "{}", structure.name);
        }
    }

    #[test]
    fn no_name_and_no_value_is_given_twice() {
        fn distinct<T: Eq + std::hash::Hash>(values: impl Iterator<Item = T> + Clone) -> bool {
            values.clone().collect::<HashSet<_>>().len() == values.count()
        }
        assert!(distinct(structures().iter().map(|structure| structure.name)));
        assert!(structures().iter().all(|structure| distinct(structure.fields.iter().map(|field| field.name))));
        for list in [MAGICS, DOMAINS, FILE_NAMES] {
            assert!(distinct(list.iter().map(|(name, _)| name)) && distinct(list.iter().map(|(_, value)| value)));
        }
        assert!(distinct(CODES.iter().map(|(group, _)| group)));
        for codes in CODES.iter().map(|(_, codes)| *codes).chain([KINDS]) {
            assert!(distinct(codes.iter().map(|(name, _)| name)) && distinct(codes.iter().map(|(_, code)| code)));
        }
    }

    #[test]
    fn every_value_with_a_code_is_in_its_group() {
        let group = |name: &str| CODES.iter().find(|(group, _)| *group == name).unwrap().1;
        assert!(group("index kind").iter().map(|(name, _)| *name).eq(IndexKind::ALL.map(IndexKind::as_str)));
        assert!(group("data class").iter().map(|(name, _)| *name).eq(DataClass::ALL.map(DataClass::as_str)));
        assert_eq!(group("stream").len(), (0..=u8::MAX).filter_map(Stream::from_code).count());
    }
}
