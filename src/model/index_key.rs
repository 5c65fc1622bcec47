//! What is appended, under which keys it is found again, and in which order it is read.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::EventStoreEntry;

/// What an index key names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum IndexKind {
    /// The order's id at the engine.
    ClientOrderId,
    /// The order's id at the venue.
    VenueOrderId,
}

impl IndexKind {
    /// Every kind, by ascending code.
    pub const ALL: [Self; 2] = [Self::ClientOrderId, Self::VenueOrderId];

    /// The kind's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientOrderId => "ClientOrderId",
            Self::VenueOrderId => "VenueOrderId",
        }
    }

    /// The number that stands for the kind on disk. It never changes and is never zero.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::ClientOrderId => 1,
            Self::VenueOrderId => 2,
        }
    }

    /// The kind that `code` stands for, if this build knows it.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::ClientOrderId),
            2 => Some(Self::VenueOrderId),
            _ => None,
        }
    }
}

impl fmt::Display for IndexKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for IndexKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or_else(|| format!("{name:?} is not the name of an index kind"))
    }
}

/// A key under which an entry is found again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IndexKey {
    /// What the key names.
    pub kind: IndexKind,
    /// The key's text.
    pub key: String,
}

impl IndexKey {
    /// The key `key` of this kind.
    #[must_use]
    pub const fn new(kind: IndexKind, key: String) -> Self {
        Self { kind, key }
    }
}

/// An entry to append, with the keys that become durable together with it.
///
/// The first entry of a run that brings a key keeps it: later ones with the same key change nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendEntry {
    /// The entry.
    pub entry: EventStoreEntry,
    /// The keys under which the entry is to be found.
    pub index_keys: Vec<IndexKey>,
}

impl AppendEntry {
    /// An entry with keys.
    #[must_use]
    pub const fn new(entry: EventStoreEntry, index_keys: Vec<IndexKey>) -> Self {
        Self { entry, index_keys }
    }

    /// An entry that is found by its `seq` only.
    #[must_use]
    pub const fn without_indices(entry: EventStoreEntry) -> Self {
        Self { entry, index_keys: Vec::new() }
    }
}

/// The order in which a scan returns entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ScanDirection {
    /// By ascending `seq`.
    Forward,
    /// By descending `seq`.
    Reverse,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_on_disk_are_pinned() {
        assert_eq!(IndexKind::ClientOrderId.code(), 1);
        assert_eq!(IndexKind::VenueOrderId.code(), 2);
    }

    #[test]
    fn codes_and_names_lead_back_to_their_kind() {
        for kind in IndexKind::ALL {
            assert_eq!(IndexKind::from_code(kind.code()), Some(kind));
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
    }

    #[test]
    fn every_code_that_stands_for_a_kind_is_in_the_list_of_all() {
        let known: Vec<_> = (0..=u8::MAX).filter_map(IndexKind::from_code).collect();
        assert_eq!(known, IndexKind::ALL);
    }

    #[test]
    fn an_unknown_name_is_refused_and_shown() {
        let error = "PositionId".parse::<IndexKind>().unwrap_err();
        assert!(error.contains("PositionId"));
    }
}
