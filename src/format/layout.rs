//! The layout as data, for tools and for the test that holds FORMAT.md against the code.

use super::{
    anchor, commit, entry, envelope, frame, genesis, header_page, index_header, key_index, manifest, marker, open, root, salt,
    sparse_index, watermark,
};

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
        for list in [MAGICS, DOMAINS] {
            assert!(distinct(list.iter().map(|(name, _)| name)) && distinct(list.iter().map(|(_, value)| value)));
        }
        assert!(distinct(KINDS.iter().map(|(name, _)| name)) && distinct(KINDS.iter().map(|(_, code)| code)));
    }
}
