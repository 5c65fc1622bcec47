//! The names of the files of a run. A name is read strictly: what tapelog did not write is foreign to it.

/// The manifest.
pub(crate) const MANIFEST: &str = "MANIFEST";
/// The witness of what is durable.
pub(crate) const WATERMARK: &str = "WATERMARK";
/// The file that the writing process locks.
pub(crate) const LOCK: &str = "LOCK";
/// The folder of the sidecar.
pub(crate) const MARKERS: &str = "markers";

pub(crate) const SEGMENT_SUFFIX: &str = ".seg";
pub(crate) const SPARSE_INDEX_SUFFIX: &str = ".idx";
pub(crate) const KEY_INDEX_SUFFIX: &str = ".key";
pub(crate) const TEMPORARY_SUFFIX: &str = ".tmp";
const ORDINAL_DIGITS: usize = 8;

/// What a name in the folder of a run stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum FileName {
    /// The segment with this ordinal.
    Segment(u32),
    /// The sparse index of the segment with this ordinal.
    SparseIndex(u32),
    /// The key index of the segment with this ordinal.
    KeyIndex(u32),
    /// The manifest.
    Manifest,
    /// The witness of what is durable.
    Watermark,
    /// The file that the writing process locks.
    Lock,
    /// The folder of the sidecar.
    Markers,
    /// A file of the run that was not yet whole when it was left.
    Temporary,
    /// Anything else.
    Foreign,
}

impl FileName {
    /// What `name` stands for. It is a bare name, without a folder.
    pub(crate) fn parse(name: &str) -> Self {
        if let Some(name) = name.strip_suffix(TEMPORARY_SUFFIX) {
            return match Self::parse_whole(name) {
                Self::Segment(_) | Self::SparseIndex(_) | Self::KeyIndex(_) | Self::Manifest | Self::Watermark => Self::Temporary,
                _ => Self::Foreign,
            };
        }
        Self::parse_whole(name)
    }

    fn parse_whole(name: &str) -> Self {
        match name {
            MANIFEST => return Self::Manifest,
            WATERMARK => return Self::Watermark,
            LOCK => return Self::Lock,
            MARKERS => return Self::Markers,
            _ => {}
        }
        let Some((digits, suffix)) = name.split_at_checked(ORDINAL_DIGITS) else { return Self::Foreign };
        let Some(ordinal) = parse_ordinal(digits) else { return Self::Foreign };
        match suffix {
            SEGMENT_SUFFIX => Self::Segment(ordinal),
            SPARSE_INDEX_SUFFIX => Self::SparseIndex(ordinal),
            KEY_INDEX_SUFFIX => Self::KeyIndex(ordinal),
            _ => Self::Foreign,
        }
    }
}

fn parse_ordinal(digits: &str) -> Option<u32> {
    // The standard parser also takes a sign.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|ordinal| *ordinal != 0)
}

/// The name of the segment with this ordinal.
pub(crate) fn segment(ordinal: u32) -> String {
    numbered(ordinal, SEGMENT_SUFFIX)
}

/// The name of its sparse index.
pub(crate) fn sparse_index(ordinal: u32) -> String {
    numbered(ordinal, SPARSE_INDEX_SUFFIX)
}

/// The name of its key index.
pub(crate) fn key_index(ordinal: u32) -> String {
    numbered(ordinal, KEY_INDEX_SUFFIX)
}

/// The name under which a file is made before it takes its place.
pub(crate) fn temporary(name: &str) -> String {
    format!("{name}{TEMPORARY_SUFFIX}")
}

fn numbered(ordinal: u32, suffix: &str) -> String {
    format!("{ordinal:0ORDINAL_DIGITS$}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::ORDINAL_MAX;

    #[test]
    fn names_are_read_back() {
        for ordinal in [1, 42, ORDINAL_MAX] {
            assert_eq!(FileName::parse(&segment(ordinal)), FileName::Segment(ordinal));
            assert_eq!(FileName::parse(&sparse_index(ordinal)), FileName::SparseIndex(ordinal));
            assert_eq!(FileName::parse(&key_index(ordinal)), FileName::KeyIndex(ordinal));
        }
        assert_eq!(segment(42), "00000042.seg");
        assert_eq!(sparse_index(42), "00000042.idx");
        assert_eq!(key_index(42), "00000042.key");
        for (name, expected) in
            [(MANIFEST, FileName::Manifest), (WATERMARK, FileName::Watermark), (LOCK, FileName::Lock), (MARKERS, FileName::Markers)]
        {
            assert_eq!(FileName::parse(name), expected);
        }
    }

    #[test]
    fn a_temporary_file_is_one_of_ours_with_its_suffix() {
        for name in [segment(1), sparse_index(1), key_index(1), MANIFEST.to_owned(), WATERMARK.to_owned()] {
            assert_eq!(FileName::parse(&temporary(&name)), FileName::Temporary);
        }
        for name in ["notes.tmp", ".tmp", "LOCK.tmp", "markers.tmp", "MANIFEST.tmp.tmp", "00000000.seg.tmp"] {
            assert_eq!(FileName::parse(name), FileName::Foreign, "{name}");
        }
    }

    #[test]
    fn everything_else_is_foreign() {
        let names = [
            "",
            "1.seg",
            "0000001.seg",
            "000000001.seg",
            "00000000.seg",
            "+0000001.seg",
            "-0000001.seg",
            "0000000a.seg",
            "00000001.SEG",
            "00000001",
            "00000001.",
            "00000001.seg ",
            " 00000001.seg",
            "00000001.segx",
            "manifest",
            "Lock",
            "MARKERS",
            "١٢٣٤.seg",
            "0000000é.seg",
            "../00000001.seg",
        ];
        for name in names {
            assert_eq!(FileName::parse(name), FileName::Foreign, "{name}");
        }
    }
}
