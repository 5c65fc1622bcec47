//! An entry as it lies in its segment, lent to whoever visits it.

use bytes::Bytes;

use crate::error::EventStoreError;
use crate::format::entry::EntryParts;
use crate::model::{EntryHash, EventStoreEntry, Headers, IndexKind, UnixNanos};

/// How much of an entry is checked before it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Check {
    /// The checksums of its frame: bytes that have changed by accident are found.
    Crc,
    /// The checksums, and that the entry has the hash which was stored with it: an entry that was edited and
    /// given right checksums is found.
    #[default]
    Full,
}

/// An entry that is lent for the time of a visit. It is read where it lies: nothing is copied and no memory is taken.
#[derive(Debug, Clone)]
pub struct EntryView<'a> {
    seq: u64,
    parts: EntryParts<'a>,
    /// The map that the payload lies in, and where.
    shared: Option<(&'a Bytes, usize)>,
    is_checked: bool,
}

impl<'a> EntryView<'a> {
    /// A view of an entry whose checksums were right. `is_checked` says that its hash was found right too.
    pub(crate) fn new(seq: u64, parts: EntryParts<'a>, shared: Option<(&'a Bytes, usize)>, is_checked: bool) -> Self {
        Self { seq, parts, shared, is_checked }
    }

    /// The entry's number in its run, from 1.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The hash that is stored with the entry.
    #[must_use]
    pub fn entry_hash(&self) -> EntryHash {
        EntryHash(self.parts.entry_hash())
    }

    /// When the message came into being.
    #[must_use]
    pub fn ts_init(&self) -> UnixNanos {
        UnixNanos::new(self.parts.ts_init())
    }

    /// When the message was handed to the log.
    #[must_use]
    pub fn ts_publish(&self) -> UnixNanos {
        UnixNanos::new(self.parts.ts_publish())
    }

    /// The ids that tie the entry to others.
    #[must_use]
    pub fn headers(&self) -> Headers {
        self.parts.headers()
    }

    /// The topic that the message was published under.
    #[must_use]
    pub fn topic(&self) -> &'a str {
        self.parts.topic()
    }

    /// The name of the message's type.
    #[must_use]
    pub fn payload_type(&self) -> &'a str {
        self.parts.payload_type()
    }

    /// The message's bytes. They begin at a multiple of eight in the file, and in memory where the segment is mapped.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.parts.payload
    }

    /// The keys that the entry was appended with, in that order. Keys of kinds that this build does not know are left out.
    pub fn keys(&self) -> impl Iterator<Item = (IndexKind, &'a str)> + use<'a> {
        self.parts.keys().filter_map(|(code, key)| Some((IndexKind::from_code(code)?, key)))
    }

    /// The payload as a value that can be kept: it shares the map of its segment where there is one, and is a copy otherwise.
    #[must_use]
    pub fn payload_bytes(&self) -> Bytes {
        let len = self.parts.payload.len();
        let shared = self.shared.and_then(|(map, from)| {
            let to = from.checked_add(len).filter(|to| *to <= map.len())?;
            Some(map.slice(from..to))
        });
        shared.unwrap_or_else(|| Bytes::copy_from_slice(self.parts.payload))
    }

    /// Checks that the entry has the hash that is stored with it, unless that was done before.
    ///
    /// # Errors
    /// [`EventStoreError::HashMismatch`].
    pub fn check_hash(&self) -> Result<(), EventStoreError> {
        if self.is_checked || self.parts.hash(self.seq) == self.parts.entry_hash() {
            return Ok(());
        }
        Err(EventStoreError::HashMismatch { seq: self.seq })
    }

    /// The entry as a value that can be kept. Topic and payload type are interned for good, which is why the hash is
    /// checked before.
    ///
    /// # Errors
    /// As [`EntryView::check_hash`].
    pub fn to_entry(&self) -> Result<EventStoreEntry, EventStoreError> {
        self.check_hash()?;
        Ok(self.parts.to_entry(self.seq, self.payload_bytes()))
    }
}
