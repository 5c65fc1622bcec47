//! Small values for the tests of stores and of what is built on them.

use bytes::Bytes;
use ustr::Ustr;

use crate::model::{
    AppendEntry, EntryHash, EventStoreEntry, Headers, IndexKey, IndexKind, MarkerManifest, RunManifest, RunStatus, UnixNanos,
};

pub(crate) fn manifest(run_id: &str) -> RunManifest {
    RunManifest {
        binary_hash: "b1".to_owned(),
        crate_versions: "c1".to_owned(),
        config_hash: "f1".to_owned(),
        ..RunManifest::new(run_id, "trader-001")
    }
}

pub(crate) fn marker_manifest(run_id: &str) -> MarkerManifest {
    MarkerManifest {
        run_id: run_id.to_owned(),
        enabled_classes: Vec::new(),
        high_fidelity: false,
        snapshot_count: 0,
        hifi_count: 0,
        gap_count: 0,
        dict_count: 0,
        status: RunStatus::Running,
    }
}

/// An intact entry.
pub(crate) fn entry(seq: u64, ts_init: u64) -> EventStoreEntry {
    let mut entry = EventStoreEntry::new(
        EntryHash([0; 32]),
        seq,
        Headers::empty(),
        "exec.command".into(),
        Ustr::from("SubmitOrder"),
        Bytes::from(seq.to_be_bytes().to_vec()),
        UnixNanos::from(ts_init),
        UnixNanos::from(ts_init.saturating_add(1)),
    );
    entry.entry_hash = entry.recompute_hash();
    entry
}

pub(crate) fn append(seq: u64, ts_init: u64) -> AppendEntry {
    AppendEntry::without_indices(entry(seq, ts_init))
}

pub(crate) fn append_with_keys(seq: u64, ts_init: u64, keys: &[(IndexKind, &str)]) -> AppendEntry {
    AppendEntry::new(entry(seq, ts_init), keys.iter().map(|(kind, key)| IndexKey::new(*kind, (*key).to_owned())).collect())
}
