//! Entries in memory: the plainest reading of the rules of [`EventStore`].

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::EventStore;
use super::rules::{check_anchor, check_append, check_manifest, check_seal, check_writable, normalise_manifest};
use crate::error::EventStoreError;
use crate::model::{AppendEntry, EventStoreEntry, IndexKey, IndexKind, RunManifest, RunStatus, ScanDirection, SnapshotAnchor};

/// A store in memory, for tests and simulations. It counts everything as durable, and forgets it when it is dropped.
///
/// A sealed run gives way to the next one that is opened.
#[derive(Debug, Clone, Default)]
pub struct MemoryBackend {
    run: Option<Run>,
}

#[derive(Debug, Clone)]
struct Run {
    manifest: RunManifest,
    // The entry with the number n is at n - 1: every batch was checked to continue the log.
    entries: Vec<EventStoreEntry>,
    first_seqs: BTreeMap<IndexKind, IndexMap<String, u64>>,
    anchor: Option<SnapshotAnchor>,
}

impl MemoryBackend {
    /// A store without a run.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn run(&self) -> Result<&Run, EventStoreError> {
        self.run.as_ref().ok_or_else(EventStoreError::no_run_open)
    }

    fn run_mut(&mut self) -> Result<&mut Run, EventStoreError> {
        self.run.as_mut().ok_or_else(EventStoreError::no_run_open)
    }
}

impl Run {
    fn high_watermark(&self) -> u64 {
        self.entries.len() as u64
    }

    /// The entries from `from` to `to`, as far as they are there.
    fn entries_between(&self, from: u64, to: u64) -> &[EventStoreEntry] {
        // On a platform with shorter pointers no entry has a number that does not fit one.
        let start = from.checked_sub(1).and_then(|before| usize::try_from(before).ok());
        let end = usize::try_from(to).unwrap_or(usize::MAX).min(self.entries.len());
        start.and_then(|start| self.entries.get(start..end)).unwrap_or_default()
    }
}

fn check_hash(entry: &EventStoreEntry) -> Result<(), EventStoreError> {
    if entry.recompute_hash() == entry.entry_hash { Ok(()) } else { Err(EventStoreError::HashMismatch { seq: entry.seq }) }
}

impl EventStore for MemoryBackend {
    fn open_run(&mut self, manifest: RunManifest) -> Result<(), EventStoreError> {
        if self.run.as_ref().is_some_and(|run| !run.manifest.is_sealed()) {
            return Err(EventStoreError::CrashedPredecessor);
        }
        check_manifest(&manifest)?;
        self.run = Some(Run { manifest: normalise_manifest(manifest), entries: Vec::new(), first_seqs: BTreeMap::new(), anchor: None });
        Ok(())
    }

    fn append_batch(&mut self, entries: &[AppendEntry]) -> Result<u64, EventStoreError> {
        let run = self.run_mut()?;
        check_append(run.manifest.status, run.high_watermark(), entries)?;
        for AppendEntry { entry, index_keys } in entries {
            for IndexKey { kind, key } in index_keys {
                run.first_seqs.entry(*kind).or_default().entry(key.clone()).or_insert(entry.seq);
            }
            run.entries.push(entry.clone());
        }
        run.manifest.high_watermark = run.high_watermark();
        Ok(run.high_watermark())
    }

    fn scan_range(&self, from: u64, to: u64, direction: ScanDirection) -> Result<Vec<EventStoreEntry>, EventStoreError> {
        let found = self.run()?.entries_between(from, to);
        found.iter().try_for_each(check_hash)?;
        Ok(match direction {
            ScanDirection::Forward => found.to_vec(),
            ScanDirection::Reverse => found.iter().rev().cloned().collect(),
        })
    }

    fn scan_seq(&self, seq: u64) -> Result<Option<EventStoreEntry>, EventStoreError> {
        let Some(entry) = self.run()?.entries_between(seq, seq).first() else {
            return Ok(None);
        };
        check_hash(entry)?;
        Ok(Some(entry.clone()))
    }

    fn lookup(&self, kind: IndexKind, key: &str) -> Result<Option<u64>, EventStoreError> {
        Ok(self.run()?.first_seqs.get(&kind).and_then(|seqs| seqs.get(key)).copied())
    }

    fn iter_index_keys(&self, kind: IndexKind) -> Result<Vec<(String, u64)>, EventStoreError> {
        let keys = self.run()?.first_seqs.get(&kind);
        Ok(keys.into_iter().flatten().map(|(key, seq)| (key.clone(), *seq)).collect())
    }

    fn record_snapshot_anchor(&mut self, anchor: SnapshotAnchor) -> Result<(), EventStoreError> {
        let run = self.run_mut()?;
        check_writable(run.manifest.status)?;
        check_anchor(&anchor, run.high_watermark(), run.anchor.as_ref())?;
        run.anchor = Some(anchor);
        Ok(())
    }

    fn latest_snapshot_anchor(&self) -> Result<Option<SnapshotAnchor>, EventStoreError> {
        Ok(self.run()?.anchor.clone())
    }

    fn seal(&mut self, status: RunStatus) -> Result<(), EventStoreError> {
        let run = self.run_mut()?;
        check_seal(run.manifest.status, status)?;
        run.manifest.status = status;
        run.manifest.end_ts_init = run.entries.iter().map(|entry| entry.ts_init).max();
        Ok(())
    }

    fn manifest(&self) -> Result<RunManifest, EventStoreError> {
        Ok(self.run()?.manifest.clone())
    }

    fn high_watermark(&self) -> Result<u64, EventStoreError> {
        Ok(self.run()?.high_watermark())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::KEY_LEN_MAX;
    use crate::model::UnixNanos;
    use crate::store::fixtures::{append, append_with_keys, entry, manifest};

    const CLIENT: IndexKind = IndexKind::ClientOrderId;
    const VENUE: IndexKind = IndexKind::VenueOrderId;

    fn open() -> MemoryBackend {
        let mut store = MemoryBackend::new();
        store.open_run(manifest("run-1")).unwrap();
        store
    }

    fn with_entries(count: u64) -> MemoryBackend {
        let mut store = open();
        let batch: Vec<_> = (1..=count).map(|seq| append(seq, seq * 10)).collect();
        store.append_batch(&batch).unwrap();
        store
    }

    fn seqs(result: Result<Vec<EventStoreEntry>, EventStoreError>) -> Vec<u64> {
        result.unwrap().iter().map(|entry| entry.seq).collect()
    }

    fn assert_backend<T: std::fmt::Debug>(result: Result<T, EventStoreError>, part: &str) {
        match result {
            Err(EventStoreError::Backend(text)) => assert!(text.contains(part), "{text:?} does not contain {part:?}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_call_without_a_run_says_so() {
        let mut store = MemoryBackend::new();
        assert_backend(store.append_batch(&[append(1, 1)]), "no run open");
        assert_backend(store.append_batch(&[]), "no run open");
        assert_backend(store.scan_range(1, 1, ScanDirection::Forward), "no run open");
        assert_backend(store.scan_range(0, 0, ScanDirection::Forward), "no run open");
        assert_backend(store.scan_seq(1), "no run open");
        assert_backend(store.scan_seq(0), "no run open");
        assert_backend(store.lookup(CLIENT, "O-1"), "no run open");
        assert_backend(store.iter_index_keys(CLIENT), "no run open");
        assert_backend(store.record_snapshot_anchor(SnapshotAnchor::new(0, "", "")), "no run open");
        assert_backend(store.latest_snapshot_anchor(), "no run open");
        assert_backend(store.seal(RunStatus::Ended), "no run open");
        assert_backend(store.seal(RunStatus::Running), "no run open");
        assert_backend(store.manifest(), "no run open");
        assert_backend(store.high_watermark(), "no run open");
    }

    #[test]
    fn a_run_begins_running_and_empty_whatever_its_manifest_says() {
        let mut given = manifest("run-1");
        given.status = RunStatus::Ended;
        given.end_ts_init = Some(UnixNanos::from(5));
        given.high_watermark = 7;
        let mut store = MemoryBackend::new();
        store.open_run(given).unwrap();
        assert_eq!(store.manifest(), Ok(manifest("run-1")));
        assert_eq!(store.high_watermark(), Ok(0));
    }

    #[test]
    fn a_run_whose_id_cannot_name_a_folder_is_not_opened() {
        let mut store = MemoryBackend::new();
        assert!(matches!(store.open_run(manifest("../run")), Err(EventStoreError::InvalidId { .. })));
        assert_backend(store.high_watermark(), "no run open");
    }

    #[test]
    fn opening_over_a_live_run_changes_nothing() {
        let mut store = with_entries(2);
        assert_eq!(store.open_run(manifest("run-2")), Err(EventStoreError::CrashedPredecessor));
        assert_eq!(store.manifest().unwrap().run_id, "run-1");
        assert_eq!(store.append_batch(&[append(3, 30)]), Ok(3));
    }

    #[test]
    fn a_sealed_run_gives_way_to_a_new_one_that_holds_nothing_of_it() {
        let mut store = open();
        store.append_batch(&[append_with_keys(1, 10, &[(CLIENT, "O-1")])]).unwrap();
        store.record_snapshot_anchor(SnapshotAnchor::new(1, "blob", "hash")).unwrap();
        store.seal(RunStatus::Ended).unwrap();
        store.open_run(manifest("run-2")).unwrap();
        assert_eq!(store.manifest(), Ok(manifest("run-2")));
        assert_eq!(store.scan_seq(1), Ok(None));
        assert_eq!(store.lookup(CLIENT, "O-1"), Ok(None));
        assert_eq!(store.latest_snapshot_anchor(), Ok(None));
        assert_eq!(store.append_batch(&[append(1, 1)]), Ok(1));
    }

    #[test]
    fn a_batch_moves_the_high_watermark_to_its_last_entry() {
        let mut store = open();
        assert_eq!(store.append_batch(&[append(1, 10), append(2, 11)]), Ok(2));
        assert_eq!(store.append_batch(&[append(3, 12)]), Ok(3));
        assert_eq!(store.high_watermark(), Ok(3));
    }

    #[test]
    fn the_manifest_of_a_live_run_follows_the_high_watermark() {
        let store = with_entries(3);
        assert_eq!(store.manifest().unwrap().high_watermark, 3);
        assert_eq!(store.manifest().unwrap().end_ts_init, None);
    }

    #[test]
    fn an_empty_batch_returns_the_high_watermark_and_changes_nothing() {
        let mut store = with_entries(2);
        assert_eq!(store.append_batch(&[]), Ok(2));
        assert_eq!(store.high_watermark(), Ok(2));
    }

    #[test]
    fn a_batch_out_of_order_leaves_neither_entries_nor_keys() {
        let mut store = with_entries(1);
        let batch = [append_with_keys(2, 11, &[(CLIENT, "O-2")]), append_with_keys(4, 12, &[(VENUE, "V-4")])];
        assert_eq!(store.append_batch(&batch), Err(EventStoreError::OutOfOrder { high_watermark: 1, seq: 4 }));
        assert_eq!(store.high_watermark(), Ok(1));
        assert_eq!(store.scan_seq(2), Ok(None));
        assert_eq!(store.lookup(CLIENT, "O-2"), Ok(None));
        assert_eq!(store.iter_index_keys(VENUE), Ok(Vec::new()));
    }

    #[test]
    fn a_run_does_not_begin_with_zero_or_two() {
        for seq in [0, 2] {
            assert_eq!(open().append_batch(&[append(seq, 1)]), Err(EventStoreError::OutOfOrder { high_watermark: 0, seq }));
        }
    }

    #[test]
    fn a_batch_with_one_entry_over_a_limit_is_refused_as_a_whole() {
        let mut store = open();
        let long = "k".repeat(KEY_LEN_MAX + 1);
        let batch = [append_with_keys(1, 1, &[(CLIENT, "O-1")]), append_with_keys(2, 2, &[(CLIENT, &long)])];
        assert!(matches!(store.append_batch(&batch), Err(EventStoreError::LimitExceeded { .. })));
        assert_eq!(store.high_watermark(), Ok(0));
        assert_eq!(store.lookup(CLIENT, "O-1"), Ok(None));
    }

    #[test]
    fn entries_come_back_as_they_were_given() {
        let store = with_entries(2);
        assert_eq!(store.scan_seq(2), Ok(Some(entry(2, 20))));
        assert_eq!(store.scan_range(1, 2, ScanDirection::Forward), Ok(vec![entry(1, 10), entry(2, 20)]));
    }

    #[test]
    fn a_range_is_inclusive_and_clipped_to_the_high_watermark() {
        let store = with_entries(5);
        let range = |from, to| seqs(store.scan_range(from, to, ScanDirection::Forward));
        assert_eq!(range(2, 4), [2, 3, 4]);
        assert_eq!(range(3, 3), [3]);
        assert_eq!(range(4, 9), [4, 5]);
        assert_eq!(range(1, u64::MAX), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_range_in_reverse_is_the_same_range_from_its_end() {
        let store = with_entries(5);
        assert_eq!(seqs(store.scan_range(2, 4, ScanDirection::Reverse)), [4, 3, 2]);
        assert_eq!(seqs(store.scan_range(4, u64::MAX, ScanDirection::Reverse)), [5, 4]);
    }

    #[test]
    fn a_range_from_zero_or_back_to_front_or_past_the_end_is_empty() {
        let store = with_entries(5);
        for (from, to) in [(0, 0), (0, 5), (0, u64::MAX), (4, 3), (u64::MAX, 1), (6, 9), (u64::MAX, u64::MAX)] {
            for direction in [ScanDirection::Forward, ScanDirection::Reverse] {
                assert!(seqs(store.scan_range(from, to, direction)).is_empty(), "{from}..={to}");
            }
        }
        assert!(seqs(open().scan_range(1, 5, ScanDirection::Forward)).is_empty());
    }

    #[test]
    fn there_is_no_entry_zero_and_none_past_the_high_watermark() {
        let store = with_entries(2);
        for seq in [0, 3, u64::MAX] {
            assert_eq!(store.scan_seq(seq), Ok(None));
        }
    }

    #[test]
    fn an_entry_whose_hash_was_wrong_when_given_is_taken_and_refused_on_reading() {
        let mut store = with_entries(1);
        let mut damaged = append(2, 20);
        damaged.entry.entry_hash.0[0] ^= 1;
        assert_eq!(store.append_batch(&[damaged, append(3, 30)]), Ok(3));
        assert_eq!(store.scan_seq(2), Err(EventStoreError::HashMismatch { seq: 2 }));
        for direction in [ScanDirection::Forward, ScanDirection::Reverse] {
            assert_eq!(store.scan_range(1, 3, direction), Err(EventStoreError::HashMismatch { seq: 2 }));
        }
        assert_eq!(seqs(store.scan_range(3, 3, ScanDirection::Forward)), [3]);
    }

    #[test]
    fn the_first_entry_that_brings_a_key_keeps_it() {
        let mut store = open();
        store.append_batch(&[append_with_keys(1, 1, &[(CLIENT, "A")]), append_with_keys(2, 2, &[(CLIENT, "A"), (CLIENT, "B")])]).unwrap();
        store.append_batch(&[append_with_keys(3, 3, &[(CLIENT, "A"), (CLIENT, "B"), (CLIENT, "C")])]).unwrap();
        assert_eq!(store.lookup(CLIENT, "A"), Ok(Some(1)));
        assert_eq!(store.lookup(CLIENT, "B"), Ok(Some(2)));
        assert_eq!(store.lookup(CLIENT, "C"), Ok(Some(3)));
        assert_eq!(store.lookup(CLIENT, "D"), Ok(None));
    }

    #[test]
    fn keys_of_different_kinds_are_different_keys() {
        let mut store = open();
        store.append_batch(&[append_with_keys(1, 1, &[(CLIENT, "X")]), append_with_keys(2, 2, &[(VENUE, "X")])]).unwrap();
        assert_eq!(store.lookup(CLIENT, "X"), Ok(Some(1)));
        assert_eq!(store.lookup(VENUE, "X"), Ok(Some(2)));
    }

    #[test]
    fn every_key_of_a_kind_is_listed_once_with_its_first_entry() {
        let mut store = open();
        store
            .append_batch(&[
                append_with_keys(1, 1, &[(CLIENT, "B"), (VENUE, "V")]),
                append_with_keys(2, 2, &[(CLIENT, "A"), (CLIENT, "B")]),
            ])
            .unwrap();
        let mut keys = store.iter_index_keys(CLIENT).unwrap();
        keys.sort();
        assert_eq!(keys, [("A".to_owned(), 2), ("B".to_owned(), 1)]);
        assert_eq!(store.iter_index_keys(VENUE), Ok(vec![("V".to_owned(), 1)]));
    }

    #[test]
    fn the_latest_anchor_is_the_one_that_was_recorded_last() {
        let mut store = with_entries(3);
        assert_eq!(store.latest_snapshot_anchor(), Ok(None));
        for anchor in [SnapshotAnchor::new(1, "one", "h1"), SnapshotAnchor::new(3, "two", "h2"), SnapshotAnchor::new(3, "three", "h3")] {
            store.record_snapshot_anchor(anchor.clone()).unwrap();
            assert_eq!(store.latest_snapshot_anchor(), Ok(Some(anchor)));
        }
    }

    #[test]
    fn a_refused_anchor_leaves_the_one_before() {
        let mut store = with_entries(3);
        let kept = SnapshotAnchor::new(2, "kept", "hash");
        store.record_snapshot_anchor(kept.clone()).unwrap();
        assert_backend(store.record_snapshot_anchor(SnapshotAnchor::new(4, "past", "hash")), "4");
        assert_backend(store.record_snapshot_anchor(SnapshotAnchor::new(1, "back", "hash")), "latest");
        assert_eq!(store.latest_snapshot_anchor(), Ok(Some(kept)));
    }

    #[test]
    fn sealing_as_running_seals_nothing() {
        let mut store = with_entries(1);
        assert_backend(store.seal(RunStatus::Running), "Running");
        assert_eq!(store.append_batch(&[append(2, 20)]), Ok(2));
    }

    #[test]
    fn a_seal_records_its_status_the_last_entry_and_the_largest_time() {
        for status in [RunStatus::Ended, RunStatus::CrashedRecovered, RunStatus::Quarantined] {
            let mut store = open();
            store.append_batch(&[append(1, 10), append(2, 30), append(3, 20)]).unwrap();
            store.seal(status).unwrap();
            let sealed = store.manifest().unwrap();
            assert_eq!((sealed.status, sealed.high_watermark, sealed.end_ts_init), (status, 3, Some(UnixNanos::from(30))));
        }
    }

    #[test]
    fn an_empty_run_is_sealed_without_an_end_time() {
        let mut store = open();
        store.seal(RunStatus::CrashedRecovered).unwrap();
        let sealed = store.manifest().unwrap();
        assert_eq!((sealed.high_watermark, sealed.end_ts_init), (0, None));
    }

    #[test]
    fn a_run_whose_only_time_is_the_epoch_has_an_end_time() {
        let mut store = open();
        store.append_batch(&[append(1, 0)]).unwrap();
        store.seal(RunStatus::Ended).unwrap();
        assert_eq!(store.manifest().unwrap().end_ts_init, Some(UnixNanos::from(0)));
    }

    #[test]
    fn a_sealed_run_is_closed_to_all_that_would_change_it() {
        let mut store = with_entries(2);
        store.seal(RunStatus::Ended).unwrap();
        let sealed = store.manifest();
        assert_eq!(store.append_batch(&[append(3, 30)]), Err(EventStoreError::Closed));
        assert_eq!(store.append_batch(&[append(9, 30)]), Err(EventStoreError::Closed));
        assert_eq!(store.append_batch(&[]), Err(EventStoreError::Closed));
        assert_eq!(store.record_snapshot_anchor(SnapshotAnchor::new(9, "", "")), Err(EventStoreError::Closed));
        assert_eq!(store.seal(RunStatus::Quarantined), Err(EventStoreError::Closed));
        assert_eq!(store.manifest(), sealed);
    }

    #[test]
    fn a_sealed_run_is_still_read() {
        let mut store = open();
        store.append_batch(&[append_with_keys(1, 10, &[(CLIENT, "O-1")])]).unwrap();
        store.record_snapshot_anchor(SnapshotAnchor::new(1, "blob", "hash")).unwrap();
        store.seal(RunStatus::Ended).unwrap();
        assert_eq!(seqs(store.scan_range(1, 1, ScanDirection::Forward)), [1]);
        assert_eq!(store.lookup(CLIENT, "O-1"), Ok(Some(1)));
        assert!(store.latest_snapshot_anchor().unwrap().is_some());
        assert_eq!(store.high_watermark(), Ok(1));
    }
}
