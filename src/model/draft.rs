//! A message that is to be captured: an entry without the place and the times that the log gives it.

use bytes::Bytes;

use super::{Headers, IndexKey, IndexKind, PayloadType, Topic, UnixNanos};

/// A message for the log, as a value of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryDraft {
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
    /// The keys under which the entry is found again.
    pub index_keys: Vec<IndexKey>,
}

impl EntryDraft {
    /// A draft that is found by its number alone.
    #[must_use]
    pub const fn without_indices(headers: Headers, topic: Topic, payload_type: PayloadType, payload: Bytes, ts_init: UnixNanos) -> Self {
        Self { headers, topic, payload_type, payload, ts_init, index_keys: Vec::new() }
    }
}

/// A message for the log that the caller lends, so that nothing is allocated and nothing is interned.
///
/// ```
/// use tapelog::{DraftRef, IndexKind};
///
/// let draft = DraftRef {
///     index_keys: &[(IndexKind::ClientOrderId, "O-1")],
///     ..DraftRef::new("exec.command", "SubmitOrder", b"{}", 1_700_000_000_000_000_000.into())
/// };
/// assert_eq!(draft.payload, b"{}");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DraftRef<'a> {
    /// The ids that tie the message to others.
    pub headers: Headers,
    /// Where the message was published.
    pub topic: &'a str,
    /// How the payload is encoded.
    pub payload_type: &'a str,
    /// The encoded message.
    pub payload: &'a [u8],
    /// When the message came into being, by the engine's clock.
    pub ts_init: UnixNanos,
    /// The keys under which the entry is found again.
    pub index_keys: &'a [(IndexKind, &'a str)],
}

impl<'a> DraftRef<'a> {
    /// A draft without ids and without keys.
    #[must_use]
    pub const fn new(topic: &'a str, payload_type: &'a str, payload: &'a [u8], ts_init: UnixNanos) -> Self {
        let headers = Headers { correlation_id: None, causation_id: None };
        Self { headers, topic, payload_type, payload, ts_init, index_keys: &[] }
    }
}

/// What both kinds of draft are to the log.
pub(crate) trait Draft {
    /// All but the keys.
    fn fields(&self) -> DraftRef<'_>;

    /// The keys, as often as they are asked for.
    fn keys(&self) -> impl Iterator<Item = (IndexKind, &str)> + Clone;
}

impl Draft for EntryDraft {
    fn fields(&self) -> DraftRef<'_> {
        let Self { headers, topic, payload_type, payload, ts_init, index_keys: _ } = self;
        DraftRef { headers: *headers, ..DraftRef::new(topic.as_str(), payload_type.as_str(), payload, *ts_init) }
    }

    fn keys(&self) -> impl Iterator<Item = (IndexKind, &str)> + Clone {
        self.index_keys.iter().map(|key| (key.kind, key.key.as_str()))
    }
}

impl Draft for DraftRef<'_> {
    fn fields(&self) -> DraftRef<'_> {
        *self
    }

    fn keys(&self) -> impl Iterator<Item = (IndexKind, &str)> + Clone {
        self.index_keys.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owned_draft_is_the_same_as_the_lent_one() {
        let keys = [(IndexKind::ClientOrderId, "O-1"), (IndexKind::VenueOrderId, "V-2")];
        let lent = DraftRef { index_keys: &keys, ..DraftRef::new("topic", "type", b"payload", UnixNanos::new(7)) };
        let mut owned =
            EntryDraft::without_indices(Headers::empty(), "topic".into(), "type".into(), Bytes::from_static(b"payload"), UnixNanos::new(7));
        assert_eq!(owned.keys().count(), 0);
        owned.index_keys = keys.iter().map(|(kind, key)| IndexKey::new(*kind, (*key).to_owned())).collect();
        assert_eq!(owned.fields(), DraftRef { index_keys: &[], ..lent });
        assert_eq!(owned.keys().collect::<Vec<_>>(), lent.keys().collect::<Vec<_>>());
    }
}
