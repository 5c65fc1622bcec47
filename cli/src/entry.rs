//! An entry as the command sees it: borrowed, whoever holds it.

use std::io;

use tapelog::{EntryHash, EntryView, Headers, IndexKey, IndexKind, UnixNanos};

/// The fields of one entry. Filters and output take nothing else, so that every way of reading can feed them.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The run that holds it, where more than one run is shown.
    pub run_id: Option<&'a str>,
    /// Its number in its run.
    pub seq: u64,
    /// When the message came into being.
    pub ts_init: UnixNanos,
    /// When the log took the message in.
    pub ts_publish: UnixNanos,
    /// Where it was published.
    pub topic: &'a str,
    /// How its payload is encoded.
    pub payload_type: &'a str,
    /// The ids that tie it to others.
    pub headers: Headers,
    /// The keys that it brought.
    pub keys: Keys<'a>,
    /// The encoded message.
    pub payload: &'a [u8],
    /// The hash over all of it.
    pub hash: EntryHash,
}

impl<'a> From<&'a EntryView<'a>> for Entry<'a> {
    fn from(view: &'a EntryView<'a>) -> Self {
        Self {
            run_id: None,
            seq: view.seq(),
            ts_init: view.ts_init(),
            ts_publish: view.ts_publish(),
            topic: view.topic(),
            payload_type: view.payload_type(),
            headers: view.headers(),
            keys: Keys::Lent(view),
            payload: view.payload(),
            hash: view.entry_hash(),
        }
    }
}

/// The keys of an entry, where they lie.
#[derive(Debug, Clone, Copy)]
pub enum Keys<'a> {
    /// In the entry that is lent.
    Lent(&'a EntryView<'a>),
    /// In a list, for tests of what is done with an entry.
    #[cfg(test)]
    Listed(&'a [(IndexKind, &'a str)]),
}

impl Keys<'_> {
    /// Whether the entry brought one of `wanted`.
    pub fn bring_one_of(self, wanted: &[IndexKey]) -> bool {
        let is_wanted = |(kind, key)| wanted.iter().any(|wanted| wanted.kind == kind && wanted.key == key);
        match self {
            Self::Lent(view) => view.keys().any(is_wanted),
            #[cfg(test)]
            Self::Listed(keys) => keys.iter().copied().any(is_wanted),
        }
    }

    /// Hands every key to `visit`, in the order in which they were brought.
    ///
    /// # Errors
    ///
    /// Those of `visit`.
    pub fn try_for_each(self, mut visit: impl FnMut(IndexKind, &str) -> io::Result<()>) -> io::Result<()> {
        match self {
            Self::Lent(view) => view.keys().try_for_each(|(kind, key)| visit(kind, key)),
            #[cfg(test)]
            Self::Listed(keys) => keys.iter().try_for_each(|(kind, key)| visit(*kind, key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_that_is_wanted_only_with_its_kind() {
        let keys = Keys::Listed(&[(IndexKind::ClientOrderId, "O-1"), (IndexKind::VenueOrderId, "V-1")]);
        let wanted = |kind, key: &str| IndexKey::new(kind, key.to_owned());
        assert!(keys.bring_one_of(&[wanted(IndexKind::ClientOrderId, "O-2"), wanted(IndexKind::VenueOrderId, "V-1")]));
        assert!(!keys.bring_one_of(&[wanted(IndexKind::VenueOrderId, "O-1"), wanted(IndexKind::ClientOrderId, "O-")]));
        assert!(!keys.bring_one_of(&[]));
    }
}
