//! The entries that every system is given: 256 bytes of payload and two keys that never repeat.

use bytes::Bytes;
use tapelog::{AppendEntry, EntryHash, EventStoreEntry, Headers, IndexKey, IndexKind, PayloadType, RunManifest, Topic, UnixNanos};

/// The payload of an entry, in bytes.
pub const PAYLOAD_LEN: usize = 256;

/// The instance under which all runs are written.
pub const INSTANCE: &str = "bench-001";

/// The manifest of a run.
#[must_use]
pub fn manifest(run_id: &str) -> RunManifest {
    RunManifest { start_ts_init: UnixNanos::from(1), ..RunManifest::new(run_id, INSTANCE) }
}

/// Makes entries one after the other, whole with their hashes.
#[derive(Debug)]
pub struct EntrySource {
    next: u64,
    topic: Topic,
    payload_type: PayloadType,
    random: u64,
}

impl Default for EntrySource {
    fn default() -> Self {
        Self {
            next: 1,
            topic: Topic::from("exec.command.SubmitOrder"),
            payload_type: PayloadType::from("SubmitOrder"),
            random: 0x9E37_79B9_7F4A_7C15,
        }
    }
}

impl EntrySource {
    /// The next batch of `len` entries.
    pub fn batch(&mut self, len: usize) -> Vec<AppendEntry> {
        (0..len).map(|_| self.entry()).collect()
    }

    /// How many entries were made so far.
    #[must_use]
    pub const fn made(&self) -> u64 {
        self.next - 1
    }

    fn entry(&mut self) -> AppendEntry {
        let seq = self.next;
        self.next += 1;
        let time = UnixNanos::from(1_700_000_000_000_000_000 + seq);
        let mut payload = Vec::with_capacity(PAYLOAD_LEN);
        while payload.len() < PAYLOAD_LEN {
            payload.extend_from_slice(&self.random().to_le_bytes());
        }
        let mut entry = EventStoreEntry::new(
            EntryHash([0; 32]),
            seq,
            Headers::empty(),
            self.topic,
            self.payload_type,
            Bytes::from(payload),
            time,
            time,
        );
        entry.entry_hash = entry.recompute_hash();
        let keys = vec![
            IndexKey::new(IndexKind::ClientOrderId, format!("O-20261121-{seq:09}")),
            IndexKey::new(IndexKind::VenueOrderId, format!("V-{seq:09}")),
        ];
        AppendEntry::new(entry, keys)
    }

    /// xorshift: bytes that no store can compress.
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}
