//! Entries and manifests for tests, made from a number so that they can be told apart.

use bytes::Bytes;
use tapelog::{AppendEntry, EntryHash, EventStoreEntry, Headers, IndexKey, IndexKind, PayloadType, RunManifest, UnixNanos};
use uuid::Uuid;

/// The instance that the tests write as.
pub const INSTANCE: &str = "trader-001";

/// The manifest of a run.
pub fn manifest(run_id: &str) -> RunManifest {
    RunManifest { start_ts_init: UnixNanos::from(1_000), ..RunManifest::new(run_id, INSTANCE) }
}

/// An intact entry with a payload of `payload_len` bytes; its keys depend on its number, and some of them repeat.
pub fn entry_of(seq: u64, payload_len: usize) -> AppendEntry {
    let payload: Vec<u8> = (seq * 31..).take(payload_len).map(|number| number.to_le_bytes()[0]).collect();
    let headers = Headers {
        correlation_id: seq.is_multiple_of(3).then(|| Uuid::from_u128(u128::from(seq))),
        causation_id: seq.is_multiple_of(2).then(|| Uuid::from_u128(u128::from(seq) << 64)),
    };
    let mut entry = EventStoreEntry::new(
        EntryHash([0; 32]),
        seq,
        headers,
        if seq.is_multiple_of(2) { "exec.command.SubmitOrder".into() } else { "events.order".into() },
        PayloadType::from("SubmitOrder"),
        Bytes::from(payload),
        UnixNanos::from(1_000 + seq * 7 % 5_000),
        UnixNanos::from(1_000 + seq * 7),
    );
    entry.entry_hash = entry.recompute_hash();
    let mut keys = vec![IndexKey::new(IndexKind::ClientOrderId, format!("O-{}", seq / 3))];
    if seq.is_multiple_of(4) {
        keys.push(IndexKey::new(IndexKind::VenueOrderId, format!("V-{}", seq / 12)));
        keys.push(IndexKey::new(IndexKind::ClientOrderId, format!("V-{}", seq / 12)));
    }
    AppendEntry::new(entry, keys)
}

/// The entries `from..=to`, each with a payload of `payload_len` bytes.
pub fn batch(from: u64, to: u64, payload_len: usize) -> Vec<AppendEntry> {
    (from..=to).map(|seq| entry_of(seq, payload_len)).collect()
}
