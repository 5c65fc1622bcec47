//! Markers in memory: the plainest reading of the rules of [`MarkerBackend`].

use std::collections::BTreeMap;

use super::MarkerBackend;
use super::rules::{check_dict_entry, check_marker_manifest, check_seal, check_snapshot, check_writable, normalise_marker_manifest};
use crate::error::EventStoreError;
use crate::model::{DataCursorSnapshot, HiFiMarker, MarkerGap, MarkerManifest, RunStatus, StoredMarkerRecord, StreamDictEntry, StreamSlot};

/// A sidecar in memory, for tests and simulations. It forgets everything when it is dropped.
///
/// A sidecar gives way to the next one that is opened, sealed or not.
#[derive(Debug, Clone, Default)]
pub struct MemoryMarkerBackend {
    sidecar: Option<Sidecar>,
}

#[derive(Debug, Clone)]
struct Sidecar {
    manifest: MarkerManifest,
    snapshots: Vec<StoredMarkerRecord<DataCursorSnapshot>>,
    hifi: Vec<StoredMarkerRecord<HiFiMarker>>,
    gaps: Vec<StoredMarkerRecord<MarkerGap>>,
    dict: BTreeMap<StreamSlot, StoredMarkerRecord<StreamDictEntry>>,
}

impl MemoryMarkerBackend {
    /// A store without a sidecar.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn sidecar(&self) -> Result<&Sidecar, EventStoreError> {
        self.sidecar.as_ref().ok_or_else(EventStoreError::no_run_open)
    }

    fn sidecar_mut(&mut self) -> Result<&mut Sidecar, EventStoreError> {
        self.sidecar.as_mut().ok_or_else(EventStoreError::no_run_open)
    }

    fn writable(&mut self) -> Result<&mut Sidecar, EventStoreError> {
        let sidecar = self.sidecar_mut()?;
        check_writable(sidecar.manifest.status)?;
        Ok(sidecar)
    }
}

/// The records by ascending number; those of the same number stay in the order in which they came.
fn sorted<T: Clone>(records: &[StoredMarkerRecord<T>], number: impl Fn(&T) -> u64) -> Vec<StoredMarkerRecord<T>> {
    let mut sorted = records.to_vec();
    sorted.sort_by_key(|stored| number(&stored.record));
    sorted
}

fn without_hashes<T>(records: Vec<StoredMarkerRecord<T>>) -> Vec<T> {
    records.into_iter().map(|stored| stored.record).collect()
}

impl Sidecar {
    fn snapshots(&self) -> Vec<StoredMarkerRecord<DataCursorSnapshot>> {
        sorted(&self.snapshots, |snapshot| snapshot.marker_seq)
    }

    fn hifi(&self) -> Vec<StoredMarkerRecord<HiFiMarker>> {
        sorted(&self.hifi, |marker| marker.marker_seq)
    }

    fn gaps(&self) -> Vec<StoredMarkerRecord<MarkerGap>> {
        sorted(&self.gaps, |gap| gap.from_marker_seq)
    }

    fn dict(&self) -> Vec<StoredMarkerRecord<StreamDictEntry>> {
        self.dict.values().cloned().collect()
    }
}

impl MarkerBackend for MemoryMarkerBackend {
    fn open_run(&mut self, manifest: MarkerManifest) -> Result<(), EventStoreError> {
        check_marker_manifest(&manifest)?;
        self.sidecar = Some(Sidecar {
            manifest: normalise_marker_manifest(manifest),
            snapshots: Vec::new(),
            hifi: Vec::new(),
            gaps: Vec::new(),
            dict: BTreeMap::new(),
        });
        Ok(())
    }

    fn append_snapshot(&mut self, snapshot: &DataCursorSnapshot, hash: [u8; 32]) -> Result<(), EventStoreError> {
        let sidecar = self.writable()?;
        check_snapshot(snapshot)?;
        sidecar.snapshots.push(StoredMarkerRecord { record: snapshot.clone(), hash });
        sidecar.manifest.snapshot_count += 1;
        Ok(())
    }

    fn append_hifi(&mut self, marker: &HiFiMarker, hash: [u8; 32]) -> Result<(), EventStoreError> {
        let sidecar = self.writable()?;
        sidecar.hifi.push(StoredMarkerRecord { record: marker.clone(), hash });
        sidecar.manifest.hifi_count += 1;
        Ok(())
    }

    fn append_gap(&mut self, gap: &MarkerGap, hash: [u8; 32]) -> Result<(), EventStoreError> {
        let sidecar = self.writable()?;
        sidecar.gaps.push(StoredMarkerRecord { record: *gap, hash });
        sidecar.manifest.gap_count += 1;
        Ok(())
    }

    fn put_dict(&mut self, entry: &StreamDictEntry, hash: [u8; 32]) -> Result<(), EventStoreError> {
        let sidecar = self.writable()?;
        check_dict_entry(entry)?;
        sidecar.dict.entry(entry.slot).or_insert_with(|| StoredMarkerRecord { record: entry.clone(), hash });
        sidecar.manifest.dict_count = sidecar.dict.len() as u64;
        Ok(())
    }

    fn scan_snapshots(&self) -> Result<Vec<DataCursorSnapshot>, EventStoreError> {
        Ok(without_hashes(self.sidecar()?.snapshots()))
    }

    fn scan_hifi(&self) -> Result<Vec<HiFiMarker>, EventStoreError> {
        Ok(without_hashes(self.sidecar()?.hifi()))
    }

    fn scan_gaps(&self) -> Result<Vec<MarkerGap>, EventStoreError> {
        Ok(without_hashes(self.sidecar()?.gaps()))
    }

    fn scan_dict(&self) -> Result<Vec<StreamDictEntry>, EventStoreError> {
        Ok(without_hashes(self.sidecar()?.dict()))
    }

    fn scan_snapshot_records(&self) -> Result<Option<Vec<StoredMarkerRecord<DataCursorSnapshot>>>, EventStoreError> {
        Ok(Some(self.sidecar()?.snapshots()))
    }

    fn scan_hifi_records(&self) -> Result<Option<Vec<StoredMarkerRecord<HiFiMarker>>>, EventStoreError> {
        Ok(Some(self.sidecar()?.hifi()))
    }

    fn scan_gap_records(&self) -> Result<Option<Vec<StoredMarkerRecord<MarkerGap>>>, EventStoreError> {
        Ok(Some(self.sidecar()?.gaps()))
    }

    fn scan_dict_records(&self) -> Result<Option<Vec<StoredMarkerRecord<StreamDictEntry>>>, EventStoreError> {
        Ok(Some(self.sidecar()?.dict()))
    }

    fn seal(&mut self, status: RunStatus) -> Result<(), EventStoreError> {
        let sidecar = self.sidecar_mut()?;
        check_seal(sidecar.manifest.status, status)?;
        sidecar.manifest.status = status;
        Ok(())
    }

    fn manifest(&self) -> Result<MarkerManifest, EventStoreError> {
        Ok(self.sidecar()?.manifest.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{SNAPSHOT_CURSORS_MAX, STREAM_IDENTIFIER_LEN_MAX};
    use crate::model::{DataClass, MarkerGapReason, StreamCursor, UnixNanos};
    use crate::store::fixtures::marker_manifest;

    fn open() -> MemoryMarkerBackend {
        let mut store = MemoryMarkerBackend::new();
        store.open_run(marker_manifest("run-1")).unwrap();
        store
    }

    fn snapshot(marker_seq: u64) -> DataCursorSnapshot {
        DataCursorSnapshot { marker_seq, event_seq_before: 0, ts_init: UnixNanos::from(marker_seq), advanced: Vec::new() }
    }

    fn hifi(marker_seq: u64) -> HiFiMarker {
        HiFiMarker {
            marker_seq,
            event_seq_before: 0,
            slot: 0,
            ts_event: UnixNanos::from(1),
            ts_init: UnixNanos::from(2),
            same_ts_ordinal: 0,
            record_fingerprint: [7; 32],
        }
    }

    fn gap(from_marker_seq: u64) -> MarkerGap {
        MarkerGap { from_marker_seq, to_marker_seq: from_marker_seq, reason: MarkerGapReason::Overflow }
    }

    fn dict(slot: StreamSlot, identifier: &str) -> StreamDictEntry {
        StreamDictEntry { slot, data_cls: DataClass::Quote, identifier: identifier.to_owned() }
    }

    fn counts(store: &MemoryMarkerBackend) -> [u64; 4] {
        let manifest = store.manifest().unwrap();
        [manifest.snapshot_count, manifest.hifi_count, manifest.gap_count, manifest.dict_count]
    }

    fn assert_backend<T: std::fmt::Debug>(result: Result<T, EventStoreError>, part: &str) {
        match result {
            Err(EventStoreError::Backend(text)) => assert!(text.contains(part), "{text:?} does not contain {part:?}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_call_without_a_run_says_so() {
        let mut store = MemoryMarkerBackend::new();
        assert_backend(store.append_snapshot(&snapshot(1), [0; 32]), "no run open");
        assert_backend(store.append_hifi(&hifi(1), [0; 32]), "no run open");
        assert_backend(store.append_gap(&gap(1), [0; 32]), "no run open");
        assert_backend(store.put_dict(&dict(0, "A"), [0; 32]), "no run open");
        assert_backend(store.scan_snapshots(), "no run open");
        assert_backend(store.scan_hifi(), "no run open");
        assert_backend(store.scan_gaps(), "no run open");
        assert_backend(store.scan_dict(), "no run open");
        assert_backend(store.scan_snapshot_records(), "no run open");
        assert_backend(store.scan_hifi_records(), "no run open");
        assert_backend(store.scan_gap_records(), "no run open");
        assert_backend(store.scan_dict_records(), "no run open");
        assert_backend(store.seal(RunStatus::Ended), "no run open");
        assert_backend(store.manifest(), "no run open");
    }

    #[test]
    fn a_sidecar_begins_running_and_empty_and_keeps_its_classes_and_mode() {
        let classes = MarkerManifest { enabled_classes: vec![DataClass::Trade], high_fidelity: true, ..marker_manifest("run-1") };
        let given =
            MarkerManifest { snapshot_count: 1, hifi_count: 2, gap_count: 3, dict_count: 4, status: RunStatus::Ended, ..classes.clone() };
        let mut store = MemoryMarkerBackend::new();
        store.open_run(given).unwrap();
        assert_eq!(store.manifest(), Ok(classes));
    }

    #[test]
    fn a_sidecar_whose_run_id_cannot_name_a_folder_is_not_opened() {
        let mut store = MemoryMarkerBackend::new();
        assert!(matches!(store.open_run(marker_manifest("..")), Err(EventStoreError::InvalidId { .. })));
        assert_backend(store.manifest(), "no run open");
    }

    #[test]
    fn an_unsealed_sidecar_gives_way_to_a_new_one_that_holds_nothing_of_it() {
        let mut store = open();
        store.append_snapshot(&snapshot(1), [0; 32]).unwrap();
        store.append_hifi(&hifi(2), [0; 32]).unwrap();
        store.append_gap(&gap(3), [0; 32]).unwrap();
        store.put_dict(&dict(0, "A"), [0; 32]).unwrap();
        store.open_run(marker_manifest("run-2")).unwrap();
        assert_eq!(store.manifest(), Ok(marker_manifest("run-2")));
        assert!(store.scan_snapshots().unwrap().is_empty() && store.scan_hifi().unwrap().is_empty());
        assert!(store.scan_gaps().unwrap().is_empty() && store.scan_dict().unwrap().is_empty());
    }

    #[test]
    fn counts_follow_what_is_appended() {
        let mut store = open();
        store.append_snapshot(&snapshot(1), [0; 32]).unwrap();
        assert_eq!(counts(&store), [1, 0, 0, 0]);
        store.append_hifi(&hifi(2), [0; 32]).unwrap();
        store.append_hifi(&hifi(3), [0; 32]).unwrap();
        assert_eq!(counts(&store), [1, 2, 0, 0]);
        store.append_gap(&gap(4), [0; 32]).unwrap();
        assert_eq!(counts(&store), [1, 2, 1, 0]);
        store.put_dict(&dict(0, "A"), [0; 32]).unwrap();
        store.put_dict(&dict(1, "B"), [0; 32]).unwrap();
        assert_eq!(counts(&store), [1, 2, 1, 2]);
    }

    #[test]
    fn scans_are_sorted_whatever_the_order_in_which_records_came() {
        let mut store = open();
        for number in [3, 1, 2] {
            store.append_snapshot(&snapshot(number), [0; 32]).unwrap();
            store.append_hifi(&hifi(number), [0; 32]).unwrap();
            store.append_gap(&gap(number), [0; 32]).unwrap();
            store.put_dict(&dict(u32::try_from(number).unwrap(), "X"), [0; 32]).unwrap();
        }
        assert_eq!(store.scan_snapshots(), Ok(vec![snapshot(1), snapshot(2), snapshot(3)]));
        assert_eq!(store.scan_hifi(), Ok(vec![hifi(1), hifi(2), hifi(3)]));
        assert_eq!(store.scan_gaps(), Ok(vec![gap(1), gap(2), gap(3)]));
        assert_eq!(store.scan_dict(), Ok(vec![dict(1, "X"), dict(2, "X"), dict(3, "X")]));
    }

    #[test]
    fn records_come_back_with_the_hashes_that_were_given() {
        let mut store = open();
        store.append_snapshot(&snapshot(1), [1; 32]).unwrap();
        store.append_hifi(&hifi(2), [2; 32]).unwrap();
        store.append_gap(&gap(3), [3; 32]).unwrap();
        store.put_dict(&dict(0, "A"), [4; 32]).unwrap();
        assert_eq!(store.scan_snapshot_records(), Ok(Some(vec![StoredMarkerRecord { record: snapshot(1), hash: [1; 32] }])));
        assert_eq!(store.scan_hifi_records(), Ok(Some(vec![StoredMarkerRecord { record: hifi(2), hash: [2; 32] }])));
        assert_eq!(store.scan_gap_records(), Ok(Some(vec![StoredMarkerRecord { record: gap(3), hash: [3; 32] }])));
        assert_eq!(store.scan_dict_records(), Ok(Some(vec![StoredMarkerRecord { record: dict(0, "A"), hash: [4; 32] }])));
    }

    #[test]
    fn two_records_of_one_number_are_both_kept_for_a_verifier_to_judge() {
        let mut store = open();
        store.append_snapshot(&snapshot(1), [1; 32]).unwrap();
        store.append_snapshot(&snapshot(1), [2; 32]).unwrap();
        let hashes: Vec<_> = store.scan_snapshot_records().unwrap().unwrap().iter().map(|stored| stored.hash[0]).collect();
        assert_eq!(hashes, [1, 2]);
        assert_eq!(counts(&store), [2, 0, 0, 0]);
    }

    #[test]
    fn the_first_to_say_what_a_slot_stands_for_is_believed() {
        let mut store = open();
        store.put_dict(&dict(5, "first"), [1; 32]).unwrap();
        store.put_dict(&dict(5, "second"), [2; 32]).unwrap();
        assert_eq!(store.scan_dict_records(), Ok(Some(vec![StoredMarkerRecord { record: dict(5, "first"), hash: [1; 32] }])));
        assert_eq!(counts(&store), [0, 0, 0, 1]);
    }

    #[test]
    fn a_record_over_a_limit_is_refused_and_not_counted() {
        let mut store = open();
        let cursor = StreamCursor { slot: 0, ts_init_hi: UnixNanos::default(), count: 0 };
        let large = DataCursorSnapshot { advanced: vec![cursor; SNAPSHOT_CURSORS_MAX + 1], ..snapshot(1) };
        assert!(matches!(store.append_snapshot(&large, [0; 32]), Err(EventStoreError::LimitExceeded { .. })));
        let long = dict(0, &"i".repeat(STREAM_IDENTIFIER_LEN_MAX + 1));
        assert!(matches!(store.put_dict(&long, [0; 32]), Err(EventStoreError::LimitExceeded { .. })));
        assert_eq!(counts(&store), [0, 0, 0, 0]);
    }

    #[test]
    fn sealing_as_running_seals_nothing() {
        let mut store = open();
        assert_backend(store.seal(RunStatus::Running), "Running");
        assert_eq!(store.append_gap(&gap(1), [0; 32]), Ok(()));
    }

    #[test]
    fn a_sealed_sidecar_is_closed_to_all_that_would_change_it() {
        let mut store = open();
        store.append_snapshot(&snapshot(1), [0; 32]).unwrap();
        store.seal(RunStatus::CrashedRecovered).unwrap();
        let sealed = store.manifest();
        assert_eq!(sealed.as_ref().unwrap().status, RunStatus::CrashedRecovered);
        assert_eq!(store.append_snapshot(&snapshot(2), [0; 32]), Err(EventStoreError::Closed));
        assert_eq!(store.append_hifi(&hifi(2), [0; 32]), Err(EventStoreError::Closed));
        assert_eq!(store.append_gap(&gap(2), [0; 32]), Err(EventStoreError::Closed));
        assert_eq!(store.put_dict(&dict(0, "A"), [0; 32]), Err(EventStoreError::Closed));
        assert_eq!(store.seal(RunStatus::Ended), Err(EventStoreError::Closed));
        assert_eq!(store.manifest(), sealed);
        assert_eq!(store.scan_snapshots(), Ok(vec![snapshot(1)]));
    }
}
