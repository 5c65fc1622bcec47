//! An entry as the command sees it: borrowed, whoever holds it.

use tapelog::{EntryHash, EventStoreEntry, Headers, UnixNanos};

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
    /// The encoded message.
    pub payload: &'a [u8],
    /// The hash over all of it.
    pub hash: EntryHash,
}

impl<'a> From<&'a EventStoreEntry> for Entry<'a> {
    fn from(entry: &'a EventStoreEntry) -> Self {
        Self {
            run_id: None,
            seq: entry.seq,
            ts_init: entry.ts_init,
            ts_publish: entry.ts_publish,
            topic: entry.topic.as_str(),
            payload_type: entry.payload_type.as_str(),
            headers: entry.headers,
            payload: &entry.payload,
            hash: entry.entry_hash,
        }
    }
}
