//! Why bytes are not the structure that they should be.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use crate::error::{Corruption, EventStoreError};

/// What is wrong with the bytes of a structure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FormatError {
    /// The bytes are not what was written.
    Damaged {
        /// The byte within the structure at which it was noticed.
        offset: u64,
        /// What ought to be there.
        expected: Cow<'static, str>,
        /// What is there.
        found: Cow<'static, str>,
    },
    /// The bytes are whole, and of a version that this build does not read.
    UnknownVersion {
        /// The version in the bytes.
        found: u32,
        /// The version that this build reads.
        supported: u32,
    },
}

impl fmt::Display for FormatError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { offset, expected, found } => write!(formatter, "expected {expected} at byte {offset} of it, found {found}"),
            Self::UnknownVersion { found, supported } => write!(formatter, "version {found}, and this build reads version {supported}"),
        }
    }
}

impl FormatError {
    /// Damage that was noticed at `offset` within the structure.
    #[cold]
    pub(crate) fn damaged(offset: usize, expected: impl Into<Cow<'static, str>>, found: impl Into<Cow<'static, str>>) -> Self {
        Self::Damaged { offset: offset as u64, expected: expected.into(), found: found.into() }
    }

    /// A structure that should be `expected` bytes long and is not.
    #[cold]
    pub(crate) fn wrong_len(expected: usize, found: usize) -> Self {
        Self::damaged(expected.min(found), format!("{expected} bytes"), format!("{found} bytes"))
    }

    /// The same error of a structure that begins `base` bytes further on in what encloses it.
    #[must_use]
    pub(crate) fn shifted(self, base: usize) -> Self {
        match self {
            Self::Damaged { offset, expected, found } => Self::Damaged { offset: offset.saturating_add(base as u64), expected, found },
            version @ Self::UnknownVersion { .. } => version,
        }
    }

    /// The error of a file in which the structure begins at `base`.
    pub(crate) fn into_error(self, file: &Path, base: u64) -> EventStoreError {
        match self {
            Self::Damaged { offset, expected, found } => Corruption::at(file, base.saturating_add(offset), expected, found)
                .advise("keep the file as it is, and run `tapelog verify` to see the extent of the damage")
                .into(),
            Self::UnknownVersion { found, supported } => EventStoreError::UnsupportedVersion { path: file.to_owned(), found, supported },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_shown_with_its_place_in_the_file() {
        let error = FormatError::damaged(8, "a", "b").shifted(100).into_error(Path::new("x.seg"), 4096);
        assert!(error.to_string().starts_with("corrupted: x.seg at byte 4204: expected a, found b; "), "{error}");
    }

    #[test]
    fn an_unknown_version_names_both_versions() {
        let error = FormatError::UnknownVersion { found: 7, supported: 1 }.shifted(8).into_error(Path::new("x.seg"), 0);
        assert_eq!(error, EventStoreError::UnsupportedVersion { path: "x.seg".into(), found: 7, supported: 1 });
    }
}
