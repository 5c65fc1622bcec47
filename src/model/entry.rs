//! One captured message.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use ustr::Ustr;

use super::{EntryHash, Headers, UnixNanos, compute_entry_hash};

/// The name of an encoding, by which a reader finds the decoder of a payload.
///
/// Interned: each distinct text is kept in memory for the life of the process.
pub type PayloadType = Ustr;

/// The bus topic on which a message was captured.
///
/// Interned: each distinct text is kept in memory for the life of the process, and copying or
/// comparing topics costs as much as copying or comparing pointers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Topic(Ustr);

impl Topic {
    /// The topic's text.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        self.0.as_str()
    }
}

impl Deref for Topic {
    type Target = Ustr;

    fn deref(&self) -> &Ustr {
        &self.0
    }
}

impl AsRef<str> for Topic {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl From<&str> for Topic {
    fn from(text: &str) -> Self {
        Self(Ustr::from(text))
    }
}

impl From<&String> for Topic {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<String> for Topic {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<Ustr> for Topic {
    fn from(text: Ustr) -> Self {
        Self(text)
    }
}

impl From<Topic> for Ustr {
    fn from(topic: Topic) -> Self {
        topic.0
    }
}

/// One captured message with its place in the log.
///
/// `seq` alone orders replay; the two timestamps describe the message and order nothing. A store keeps
/// `entry_hash` as it was given and compares it with the other fields when the entry is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventStoreEntry {
    /// The hash of all other fields, see [`compute_entry_hash`].
    pub entry_hash: EntryHash,
    /// The entry's number in its run, from 1 and without gaps.
    pub seq: u64,
    /// The ids that tie the message to others.
    pub headers: Headers,
    /// Where the message was published.
    pub topic: Topic,
    /// How the payload is encoded.
    pub payload_type: PayloadType,
    /// The encoded message.
    pub payload: Bytes,
    /// When the message came into being, by the engine's clock.
    pub ts_init: UnixNanos,
    /// When the log took the message in.
    pub ts_publish: UnixNanos,
}

impl EventStoreEntry {
    /// An entry with these fields. The hash is taken as it is given.
    #[must_use]
    #[expect(clippy::too_many_arguments, reason = "the arguments are the fields, and engines call it with all of them")]
    pub fn new(
        entry_hash: EntryHash,
        seq: u64,
        headers: Headers,
        topic: Topic,
        payload_type: PayloadType,
        payload: Bytes,
        ts_init: UnixNanos,
        ts_publish: UnixNanos,
    ) -> Self {
        Self { entry_hash, seq, headers, topic, payload_type, payload, ts_init, ts_publish }
    }

    /// The hash that the fields have now; an intact entry's `entry_hash` equals it.
    #[must_use]
    pub fn recompute_hash(&self) -> EntryHash {
        compute_entry_hash(
            self.seq,
            self.ts_init,
            self.ts_publish,
            self.topic.as_str(),
            self.payload_type.as_str(),
            &self.payload,
            &self.headers,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> EventStoreEntry {
        let mut entry = EventStoreEntry::new(
            EntryHash([0; 32]),
            7,
            Headers::empty(),
            "events.order".into(),
            PayloadType::from("OrderFilled"),
            Bytes::from_static(b"payload"),
            UnixNanos::from(10),
            UnixNanos::from(11),
        );
        entry.entry_hash = entry.recompute_hash();
        entry
    }

    #[test]
    fn a_changed_field_no_longer_matches_the_stored_hash() {
        let mut entry = entry();
        assert_eq!(entry.recompute_hash(), entry.entry_hash);
        entry.seq = 8;
        assert_ne!(entry.recompute_hash(), entry.entry_hash);
    }

    #[test]
    fn an_entry_survives_serialisation() {
        let config = bincode::config::standard();
        let bytes = bincode::serde::encode_to_vec(entry(), config).unwrap();
        let (read, _) = bincode::serde::decode_from_slice::<EventStoreEntry, _>(&bytes, config).unwrap();
        assert_eq!(read, entry());
    }

    #[test]
    fn topics_of_the_same_text_are_equal_however_they_were_made() {
        let topic: Topic = "exec.command".into();
        assert_eq!(topic, Topic::from(String::from("exec.command")));
        assert_eq!(topic, Topic::from(Ustr::from("exec.command")));
        assert_eq!(topic.as_ref(), "exec.command");
        assert_eq!(topic.to_string(), "exec.command");
    }

    #[test]
    fn topics_are_ordered_by_their_text() {
        // Interned after its successor, so that an order by address would be the other way round.
        let later: Topic = "order-test.b".into();
        let earlier: Topic = "order-test.a".into();
        assert!(earlier < later);
    }
}
