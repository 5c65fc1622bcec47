//! Entries of 256 bytes of payload with two keys that never repeat.

use bytes::Bytes;
use tapelog::{AppendEntry, EntryHash, EventStoreEntry, Headers, IndexKey, IndexKind, PayloadType, RunManifest, Topic, UnixNanos};

/// The payload of an entry, in bytes.
pub const PAYLOAD_LEN: usize = 256;
/// About what an entry takes on disk, in bytes.
pub const ENTRY_LEN: u64 = 464;
/// The instance under which all runs are written.
pub const INSTANCE: &str = "bench-001";

/// The manifest of a run.
pub fn manifest(run_id: &str) -> RunManifest {
    RunManifest { start_ts_init: UnixNanos::from(1), ..RunManifest::new(run_id, INSTANCE) }
}

/// The key of kind `ClientOrderId` that the entry `seq` brings.
pub fn client_order_id(seq: u64) -> String {
    format!("O-20261121-{seq:09}")
}

/// Makes entries one after the other, whole with their hashes.
#[derive(Debug)]
pub struct EntrySource {
    next: u64,
    topic: Topic,
    payload_type: PayloadType,
}

impl Default for EntrySource {
    fn default() -> Self {
        Self { next: 1, topic: Topic::from("exec.command.SubmitOrder"), payload_type: PayloadType::from("SubmitOrder") }
    }
}

impl EntrySource {
    /// A source whose first entry has this number.
    pub fn starting_at(seq: u64) -> Self {
        Self { next: seq, ..Self::default() }
    }

    /// The next batch of `len` entries.
    pub fn batch(&mut self, len: usize) -> Vec<AppendEntry> {
        (0..len).map(|_| self.entry()).collect()
    }

    fn entry(&mut self) -> AppendEntry {
        let seq = self.next;
        self.next += 1;
        let time = UnixNanos::from(1_700_000_000_000_000_000 + seq);
        let payload: Vec<u8> = seq.to_le_bytes().into_iter().cycle().take(PAYLOAD_LEN).collect();
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
            IndexKey::new(IndexKind::ClientOrderId, client_order_id(seq)),
            IndexKey::new(IndexKind::VenueOrderId, format!("V-{seq:09}")),
        ];
        AppendEntry::new(entry, keys)
    }
}
