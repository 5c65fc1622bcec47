//! The verifier of a run's entries, index keys and manifest.

use std::fmt;

use super::damage::Damage;
use super::report::{GapRange, IndexDrift, ManifestField, VerifyError, VerifyFinding, VerifyReport};
use super::walk::{Walk, is_damage};
use crate::model::{IndexKind, RunManifest};
use crate::store::EventStore;

/// Checks a run from its first entry to its last, and changes nothing.
///
/// It walks past damage and reports all of it in one pass. Its memory grows with the damage and with the number
/// of index keys, not with the number of entries.
pub struct Verifier {
    backend: Box<dyn EventStore>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Verifier").finish_non_exhaustive()
    }
}

impl Verifier {
    /// A verifier of the run that is open in `backend`.
    #[must_use]
    pub fn new(backend: Box<dyn EventStore>) -> Self {
        Self { backend }
    }

    /// The store that is verified.
    #[must_use]
    pub fn backend(&self) -> &dyn EventStore {
        self.backend.as_ref()
    }

    /// Checks every slot, every index key and the manifest.
    ///
    /// # Errors
    ///
    /// [`VerifyError::Backend`] when the store cannot be read, so that nothing can be said of the run; and when it
    /// reports damage that is no entry's and nothing else is found, so that the run is not called clean. All other
    /// damage is not an error but a finding.
    pub fn verify(&self) -> Result<VerifyReport, VerifyError> {
        let manifest = self.backend.manifest()?;
        let high_watermark = self.backend.high_watermark()?;
        let mut walk = Walk::over(self.backend(), high_watermark)?;
        let mut findings = entry_findings(&mut walk);
        for kind in IndexKind::ALL {
            self.check_index(kind, high_watermark, &walk, &mut findings)?;
        }
        check_manifest(&manifest, high_watermark, &walk, &mut findings);
        if let Some(error) = walk.unexplained.filter(|_| findings.is_empty()) {
            return Err(error.into());
        }
        Ok(VerifyReport { run_id: manifest.run_id, status: manifest.status, high_watermark, entries_scanned: walk.scanned, findings })
    }

    fn check_index(&self, kind: IndexKind, high_watermark: u64, walk: &Walk, findings: &mut Vec<VerifyFinding>) -> Result<(), VerifyError> {
        let mut keys = match self.backend.iter_index_keys(kind) {
            Ok(keys) => keys,
            // A store that reads its keys out of the entries fails on damage that has been reported already.
            Err(error) if is_damage(&error) && !findings.is_empty() => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        keys.retain(|(_, stored_seq)| drift_of(*stored_seq, high_watermark, walk).is_some());
        keys.sort_unstable_by(|(left_key, left_seq), (right_key, right_seq)| (left_seq, left_key).cmp(&(right_seq, right_key)));
        findings.extend(keys.into_iter().filter_map(|(key, stored_seq)| {
            drift_of(stored_seq, high_watermark, walk).map(|drift| VerifyFinding::IndexDrift { kind, key, drift })
        }));
        Ok(())
    }
}

/// What is wrong with the slots, by ascending slot.
fn entry_findings(walk: &mut Walk) -> Vec<VerifyFinding> {
    let mut findings = std::mem::take(&mut walk.damaged_entries);
    findings.extend(walk.damage.missing().map(|(from, to)| VerifyFinding::Gap { range: GapRange { from, to } }));
    findings.sort_by_key(|finding| match finding {
        VerifyFinding::HashMismatch { seq } => *seq,
        VerifyFinding::Gap { range } => range.from,
        VerifyFinding::SeqMismatch { table_key, .. } => *table_key,
        VerifyFinding::IndexDrift { .. } | VerifyFinding::ManifestMismatch { .. } => u64::MAX,
    });
    findings
}

fn drift_of(stored_seq: u64, high_watermark: u64, walk: &Walk) -> Option<IndexDrift> {
    if stored_seq == 0 || stored_seq > high_watermark {
        return Some(IndexDrift::DanglingTarget { stored_seq });
    }
    walk.damage.at(stored_seq).map(|damage| match damage {
        Damage::Missing => IndexDrift::DanglingTarget { stored_seq },
        Damage::Corrupted => IndexDrift::TargetCorrupted { stored_seq },
    })
}

fn check_manifest(manifest: &RunManifest, high_watermark: u64, walk: &Walk, findings: &mut Vec<VerifyFinding>) {
    let mut report = |kind, reason| findings.push(VerifyFinding::ManifestMismatch { kind, reason });
    if manifest.high_watermark != high_watermark {
        let reason =
            format!("the manifest's high_watermark is {}, and the last durable entry is {high_watermark}", manifest.high_watermark);
        report(ManifestField::HighWatermark, reason);
    }
    let start = manifest.start_ts_init;
    if let Some((earliest, _)) = walk.ts_init.filter(|(earliest, _)| start > *earliest) {
        report(ManifestField::StartTsInit, format!("the manifest's start_ts_init is {start}, and an entry's ts_init is {earliest}"));
    }
    if !manifest.is_sealed() {
        return;
    }
    match (manifest.end_ts_init, walk.ts_init) {
        (Some(end), Some((_, latest))) if end != latest => {
            report(
                ManifestField::EndTsInit,
                format!("the manifest's end_ts_init is {end}, and the largest ts_init of any entry is {latest}"),
            );
        }
        (None, Some((_, latest))) => {
            let reason = format!("the manifest's end_ts_init is missing, and the largest ts_init of any entry is {latest}");
            report(ManifestField::EndTsInit, reason);
        }
        (Some(end), None) => {
            report(ManifestField::EndTsInit, format!("the manifest's end_ts_init is {end}, and the run is empty of intact entries"));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::error::{Corruption, EventStoreError};
    use crate::model::{AppendEntry, EventStoreEntry, RunStatus, ScanDirection, UnixNanos};
    use crate::store::MemoryBackend;
    use crate::store::fixtures::{append, append_with_keys, entry, manifest};

    const CLIENT: IndexKind = IndexKind::ClientOrderId;
    const VENUE: IndexKind = IndexKind::VenueOrderId;

    type Slot = Result<Option<EventStoreEntry>, EventStoreError>;

    /// An intact store in memory with a script of what else it is to answer.
    #[derive(Default)]
    struct Faulty {
        intact: MemoryBackend,
        slots: BTreeMap<u64, Slot>,
        index: BTreeMap<IndexKind, Result<Vec<(String, u64)>, EventStoreError>>,
        high_watermark: Option<u64>,
        manifest: Option<fn(&mut RunManifest)>,
        between_entries: Option<EventStoreError>,
        slots_read_alone: Arc<AtomicU64>,
    }

    impl Faulty {
        /// A sealed run of `count` entries, each with a client order id, at the times 10, 20, ...
        fn sealed(count: u64) -> Self {
            let mut intact = MemoryBackend::new();
            intact.open_run(manifest("run-1")).unwrap();
            let batch: Vec<_> = (1..=count).map(|seq| append_with_keys(seq, seq * 10, &[(CLIENT, &format!("O-{seq}"))])).collect();
            intact.append_batch(&batch).unwrap();
            intact.seal(RunStatus::Ended).unwrap();
            Self { intact, ..Self::default() }
        }

        fn slot(mut self, seq: u64, answer: Slot) -> Self {
            self.slots.insert(seq, answer);
            self
        }

        fn gap(self, seq: u64) -> Self {
            self.slot(seq, Err(EventStoreError::Gap { prev: seq - 1, next: seq + 1, missing: seq }))
        }

        fn mismatch(self, seq: u64) -> Self {
            self.slot(seq, Err(EventStoreError::HashMismatch { seq }))
        }

        fn without_index(mut self) -> Self {
            self.index.insert(CLIENT, Ok(Vec::new()));
            self
        }

        fn with_index(mut self, kind: IndexKind, keys: &[(&str, u64)]) -> Self {
            self.index.insert(kind, Ok(keys.iter().map(|(key, seq)| ((*key).to_owned(), *seq)).collect()));
            self
        }

        fn with_manifest(mut self, change: fn(&mut RunManifest)) -> Self {
            self.manifest = Some(change);
            self
        }

        fn with_high_watermark(mut self, high_watermark: u64) -> Self {
            self.high_watermark = Some(high_watermark);
            self
        }

        fn verify(self) -> Result<VerifyReport, VerifyError> {
            Verifier::new(Box::new(self)).verify()
        }

        fn report(self) -> VerifyReport {
            self.verify().unwrap()
        }

        fn findings(self) -> Vec<VerifyFinding> {
            self.report().findings
        }
    }

    impl EventStore for Faulty {
        fn open_run(&mut self, _: RunManifest) -> Result<(), EventStoreError> {
            unreachable!("a verifier changes nothing")
        }

        fn append_batch(&mut self, _: &[AppendEntry]) -> Result<u64, EventStoreError> {
            unreachable!("a verifier changes nothing")
        }

        fn scan_range(&self, from: u64, to: u64, direction: ScanDirection) -> Result<Vec<EventStoreEntry>, EventStoreError> {
            self.intact.scan_range(from, to, direction)
        }

        fn scan_seq(&self, seq: u64) -> Slot {
            self.slots_read_alone.fetch_add(1, Ordering::Relaxed);
            self.slots.get(&seq).cloned().unwrap_or_else(|| self.intact.scan_seq(seq))
        }

        fn scan_slots(&self, from: u64, to: u64) -> Result<Vec<EventStoreEntry>, EventStoreError> {
            if let Some(error) = &self.between_entries {
                return Err(error.clone());
            }
            if let Some((_, answer)) = self.slots.range(from..=to).next() {
                return answer.clone().map(Vec::from_iter);
            }
            self.intact.scan_range(from, to, ScanDirection::Forward)
        }

        fn lookup(&self, kind: IndexKind, key: &str) -> Result<Option<u64>, EventStoreError> {
            self.intact.lookup(kind, key)
        }

        fn iter_index_keys(&self, kind: IndexKind) -> Result<Vec<(String, u64)>, EventStoreError> {
            self.index.get(&kind).cloned().unwrap_or_else(|| self.intact.iter_index_keys(kind))
        }

        fn seal(&mut self, _: RunStatus) -> Result<(), EventStoreError> {
            unreachable!("a verifier changes nothing")
        }

        fn manifest(&self) -> Result<RunManifest, EventStoreError> {
            let mut manifest = self.intact.manifest()?;
            if let Some(change) = self.manifest {
                change(&mut manifest);
            }
            // A script with another watermark is about the entries, so the manifest agrees with it.
            manifest.high_watermark = self.high_watermark.unwrap_or(manifest.high_watermark);
            Ok(manifest)
        }

        fn high_watermark(&self) -> Result<u64, EventStoreError> {
            self.high_watermark.map_or_else(|| self.intact.high_watermark(), Ok)
        }
    }

    /// A store that overrides nothing which the trait provides, and reads its slots otherwise than its ranges.
    struct Misplaced(MemoryBackend);

    impl EventStore for Misplaced {
        fn open_run(&mut self, manifest: RunManifest) -> Result<(), EventStoreError> {
            self.0.open_run(manifest)
        }

        fn append_batch(&mut self, entries: &[AppendEntry]) -> Result<u64, EventStoreError> {
            self.0.append_batch(entries)
        }

        fn scan_range(&self, from: u64, to: u64, direction: ScanDirection) -> Result<Vec<EventStoreEntry>, EventStoreError> {
            self.0.scan_range(from, to, direction)
        }

        fn scan_seq(&self, seq: u64) -> Slot {
            if seq == 2 { Ok(Some(entry(99, 20))) } else { self.0.scan_seq(seq) }
        }

        fn lookup(&self, kind: IndexKind, key: &str) -> Result<Option<u64>, EventStoreError> {
            self.0.lookup(kind, key)
        }

        fn iter_index_keys(&self, kind: IndexKind) -> Result<Vec<(String, u64)>, EventStoreError> {
            self.0.iter_index_keys(kind)
        }

        fn seal(&mut self, status: RunStatus) -> Result<(), EventStoreError> {
            self.0.seal(status)
        }

        fn manifest(&self) -> Result<RunManifest, EventStoreError> {
            self.0.manifest()
        }

        fn high_watermark(&self) -> Result<u64, EventStoreError> {
            self.0.high_watermark()
        }
    }

    fn gap(from: u64, to: u64) -> VerifyFinding {
        VerifyFinding::Gap { range: GapRange { from, to } }
    }

    fn dangling(kind: IndexKind, key: &str, stored_seq: u64) -> VerifyFinding {
        VerifyFinding::IndexDrift { kind, key: key.to_owned(), drift: IndexDrift::DanglingTarget { stored_seq } }
    }

    fn corrupted(kind: IndexKind, key: &str, stored_seq: u64) -> VerifyFinding {
        VerifyFinding::IndexDrift { kind, key: key.to_owned(), drift: IndexDrift::TargetCorrupted { stored_seq } }
    }

    fn assert_manifest_finding(findings: &[VerifyFinding], field: ManifestField, parts: &[&str]) {
        match findings {
            [VerifyFinding::ManifestMismatch { kind, reason }] if *kind == field => {
                for part in parts {
                    assert!(reason.contains(part), "{reason:?} does not contain {part:?}");
                }
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_intact_sealed_run_is_clean() {
        let report = Faulty::sealed(3).report();
        assert_eq!(
            report,
            VerifyReport {
                run_id: "run-1".to_owned(),
                status: RunStatus::Ended,
                high_watermark: 3,
                entries_scanned: 3,
                findings: Vec::new()
            }
        );
    }

    #[test]
    fn an_intact_live_run_is_clean() {
        let mut store = MemoryBackend::new();
        store.open_run(manifest("run-1")).unwrap();
        store.append_batch(&[append(1, 10), append(2, 20)]).unwrap();
        let report = Verifier::new(Box::new(store)).verify().unwrap();
        assert!(report.is_clean(), "{:?}", report.findings);
        assert_eq!((report.status, report.entries_scanned), (RunStatus::Running, 2));
    }

    #[test]
    fn an_empty_sealed_run_is_clean() {
        let report = Faulty::sealed(0).report();
        assert!(report.is_clean(), "{:?}", report.findings);
        assert_eq!((report.high_watermark, report.entries_scanned), (0, 0));
    }

    #[test]
    fn a_clean_run_is_read_in_chunks_and_no_slot_alone() {
        let store = Faulty::sealed(5000);
        let alone = Arc::clone(&store.slots_read_alone);
        assert_eq!(store.report().entries_scanned, 5000);
        assert_eq!(alone.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn one_damaged_slot_costs_no_more_than_its_chunk_slot_by_slot() {
        let store = Faulty::sealed(5000).mismatch(4000);
        let alone = Arc::clone(&store.slots_read_alone);
        assert_eq!(store.without_index().findings(), [VerifyFinding::HashMismatch { seq: 4000 }]);
        assert!(alone.load(Ordering::Relaxed) <= 1024);
    }

    #[test]
    fn an_entry_with_a_wrong_hash_is_found_and_counted() {
        let mut store = MemoryBackend::new();
        store.open_run(manifest("run-1")).unwrap();
        let mut damaged = append(2, 20);
        damaged.entry.payload = bytes::Bytes::from_static(b"other");
        store.append_batch(&[append(1, 10), damaged, append(3, 30)]).unwrap();
        store.seal(RunStatus::Ended).unwrap();
        let report = Verifier::new(Box::new(store)).verify().unwrap();
        assert_eq!(report.findings, [VerifyFinding::HashMismatch { seq: 2 }]);
        assert_eq!(report.entries_scanned, 3);
    }

    #[test]
    fn a_corrupted_slot_is_there_but_unreadable() {
        let corruption = Corruption::from("half a frame").with_seq(2).into();
        let report = Faulty::sealed(3).slot(2, Err(corruption)).without_index().report();
        assert_eq!(report.findings, [VerifyFinding::HashMismatch { seq: 2 }]);
        assert_eq!(report.entries_scanned, 3);
    }

    #[test]
    fn a_missing_slot_is_a_gap_and_not_counted() {
        for answer in [Ok(None), Err(EventStoreError::Gap { prev: 1, next: 3, missing: 2 })] {
            let report = Faulty::sealed(3).slot(2, answer).without_index().report();
            assert_eq!(report.findings, [gap(2, 2)]);
            assert_eq!(report.entries_scanned, 2);
        }
    }

    #[test]
    fn missing_slots_in_a_row_are_one_gap_and_others_another() {
        let findings = Faulty::sealed(9).gap(2).gap(3).gap(4).gap(6).slot(7, Ok(None)).without_index().findings();
        assert_eq!(findings, [gap(2, 4), gap(6, 7)]);
    }

    #[test]
    fn a_gap_across_chunks_is_one_gap() {
        let store = (60..=200).fold(Faulty::sealed(300), Faulty::gap).without_index();
        assert_eq!(store.findings(), [gap(60, 200)]);
    }

    #[test]
    fn a_gap_at_the_beginning_and_one_at_the_end_are_reported() {
        let findings = Faulty::sealed(5).gap(1).gap(5).with_manifest(|manifest| manifest.end_ts_init = Some(UnixNanos::from(40)));
        assert_eq!(findings.without_index().findings(), [gap(1, 1), gap(5, 5)]);
    }

    #[test]
    fn a_run_shorter_than_its_high_watermark_ends_in_a_gap() {
        let report = Faulty::sealed(3).with_high_watermark(1500).report();
        assert_eq!(report.findings, [gap(4, 1500)]);
        assert_eq!((report.high_watermark, report.entries_scanned), (1500, 3));
    }

    #[test]
    fn a_gap_that_says_where_it_ends_is_not_walked() {
        let absurd = EventStoreError::Gap { prev: 3, next: u64::MAX, missing: 4 };
        let store = Faulty::sealed(3).with_high_watermark(u64::MAX).slot(4, Err(absurd)).slot(u64::MAX, Ok(Some(entry(u64::MAX, 30))));
        let alone = Arc::clone(&store.slots_read_alone);
        assert_eq!(store.findings(), [gap(4, u64::MAX - 1)]);
        assert!(alone.load(Ordering::Relaxed) < 200);
    }

    #[test]
    fn a_gap_that_claims_to_end_past_the_high_watermark_ends_there() {
        let trailing = EventStoreError::Gap { prev: 3, next: u64::MAX, missing: 4 };
        assert_eq!(Faulty::sealed(3).with_high_watermark(10).slot(4, Err(trailing)).findings(), [gap(4, 10)]);
    }

    #[test]
    fn a_gap_that_speaks_of_other_slots_is_believed_only_of_the_slot_that_was_read() {
        for (next, missing) in [(0, 2), (1, 2), (2, 2), (9, 1), (9, 5)] {
            let answer = Err(EventStoreError::Gap { prev: 0, next, missing });
            assert_eq!(Faulty::sealed(9).slot(2, answer).without_index().findings(), [gap(2, 2)], "next {next}, missing {missing}");
        }
    }

    #[test]
    fn an_entry_in_the_place_of_another_is_found_and_counted() {
        let report = Faulty::sealed(3).slot(2, Ok(Some(entry(99, 20)))).without_index().report();
        assert_eq!(report.findings, [VerifyFinding::SeqMismatch { table_key: 2, embedded_seq: 99 }]);
        assert_eq!(report.entries_scanned, 3);
    }

    #[test]
    fn a_store_that_only_reads_slots_is_verified_slot_by_slot() {
        let mut store = Misplaced(MemoryBackend::new());
        store.open_run(manifest("run-1")).unwrap();
        store.append_batch(&[append(1, 10), append_with_keys(2, 20, &[(CLIENT, "O-2")]), append(3, 30)]).unwrap();
        store.seal(RunStatus::Ended).unwrap();
        let report = Verifier::new(Box::new(store)).verify().unwrap();
        assert_eq!(report.findings, [VerifyFinding::SeqMismatch { table_key: 2, embedded_seq: 99 }, corrupted(CLIENT, "O-2", 2)]);
    }

    #[test]
    fn all_damage_is_reported_in_one_pass_by_ascending_slot() {
        let report = Faulty::sealed(9)
            .mismatch(2)
            .gap(3)
            .gap(4)
            .slot(5, Ok(Some(entry(1, 10))))
            .slot(6, Err(Corruption::from("rubbish").into()))
            .gap(8)
            .without_index()
            .report();
        assert_eq!(
            report.findings,
            [
                VerifyFinding::HashMismatch { seq: 2 },
                gap(3, 4),
                VerifyFinding::SeqMismatch { table_key: 5, embedded_seq: 1 },
                VerifyFinding::HashMismatch { seq: 6 },
                gap(8, 8),
            ]
        );
        assert_eq!(report.entries_scanned, 6);
    }

    #[test]
    fn a_run_of_which_nothing_is_left_is_one_gap() {
        let store = (1..=5).fold(Faulty::sealed(5), Faulty::gap).without_index().with_manifest(|manifest| manifest.end_ts_init = None);
        let report = store.report();
        assert_eq!(report.findings, [gap(1, 5)]);
        assert_eq!(report.entries_scanned, 0);
    }

    #[test]
    fn a_key_that_leads_to_no_entry_is_dangling() {
        let keys = [("none", 0), ("missing", 2), ("past", 4), ("far", u64::MAX), ("intact", 3)];
        let findings = Faulty::sealed(3).gap(2).with_index(CLIENT, &keys).findings();
        let expected = [
            gap(2, 2),
            dangling(CLIENT, "none", 0),
            dangling(CLIENT, "missing", 2),
            dangling(CLIENT, "past", 4),
            dangling(CLIENT, "far", u64::MAX),
        ];
        assert_eq!(findings, expected);
    }

    #[test]
    fn a_key_that_leads_to_a_damaged_slot_is_reported_as_such() {
        let store = Faulty::sealed(4).mismatch(2).slot(3, Ok(Some(entry(99, 30)))).without_index();
        let findings = store.with_index(VENUE, &[("V-2", 2), ("V-3", 3), ("V-4", 4)]).findings();
        assert_eq!(findings[2..], [corrupted(VENUE, "V-2", 2), corrupted(VENUE, "V-3", 3)]);
    }

    #[test]
    fn an_index_that_fails_on_reported_damage_hides_nothing_else() {
        let mut store = Faulty::sealed(3).mismatch(2).with_index(VENUE, &[("V-9", 9)]);
        store.index.insert(CLIENT, Err(EventStoreError::HashMismatch { seq: 2 }));
        assert_eq!(store.findings(), [VerifyFinding::HashMismatch { seq: 2 }, dangling(VENUE, "V-9", 9)]);
    }

    #[test]
    fn an_index_that_fails_though_every_entry_is_intact_leaves_no_report() {
        let error = EventStoreError::from(Corruption::from("the key index"));
        let mut store = Faulty::sealed(3);
        store.index.insert(VENUE, Err(error.clone()));
        assert_eq!(store.verify(), Err(VerifyError::Backend(error)));
    }

    #[test]
    fn damage_between_intact_entries_does_not_pass_for_a_clean_run() {
        let error = EventStoreError::from(Corruption::from("padding that is not zero"));
        let mut store = Faulty::sealed(3);
        store.between_entries = Some(error.clone());
        assert_eq!(store.verify(), Err(VerifyError::Backend(error)));
    }

    #[test]
    fn damage_between_entries_does_not_keep_other_damage_from_being_reported() {
        let mut store = Faulty::sealed(300).mismatch(2).without_index();
        store.between_entries = Some(Corruption::from("padding that is not zero").into());
        assert_eq!(store.findings(), [VerifyFinding::HashMismatch { seq: 2 }]);
    }

    #[test]
    fn a_manifest_with_another_high_watermark_is_reported_with_both() {
        let mut store = Faulty::sealed(3);
        store.manifest = Some(|manifest| manifest.high_watermark = 7);
        assert_manifest_finding(&store.findings(), ManifestField::HighWatermark, &["7", "3"]);
    }

    #[test]
    fn a_start_after_the_earliest_entry_is_reported_with_both() {
        let store = Faulty::sealed(3).with_manifest(|manifest| manifest.start_ts_init = UnixNanos::from(15));
        assert_manifest_finding(&store.findings(), ManifestField::StartTsInit, &["15", "10"]);
    }

    #[test]
    fn a_start_at_or_before_the_earliest_entry_is_right() {
        for change in [
            |manifest: &mut RunManifest| manifest.start_ts_init = UnixNanos::from(10),
            |manifest: &mut RunManifest| manifest.start_ts_init = UnixNanos::from(9),
        ] {
            assert!(Faulty::sealed(3).with_manifest(change).report().is_clean());
        }
    }

    #[test]
    fn an_end_before_or_after_the_latest_entry_is_reported_with_both() {
        let early = Faulty::sealed(3).with_manifest(|manifest| manifest.end_ts_init = Some(UnixNanos::from(29)));
        assert_manifest_finding(&early.findings(), ManifestField::EndTsInit, &["29", "30"]);
        let late = Faulty::sealed(3).with_manifest(|manifest| manifest.end_ts_init = Some(UnixNanos::from(31)));
        assert_manifest_finding(&late.findings(), ManifestField::EndTsInit, &["31", "30"]);
    }

    #[test]
    fn a_missing_end_is_reported() {
        let store = Faulty::sealed(3).with_manifest(|manifest| manifest.end_ts_init = None);
        assert_manifest_finding(&store.findings(), ManifestField::EndTsInit, &["missing", "30"]);
    }

    #[test]
    fn an_end_of_an_empty_run_is_reported() {
        let store = Faulty::sealed(0).with_manifest(|manifest| manifest.end_ts_init = Some(UnixNanos::from(5)));
        assert_manifest_finding(&store.findings(), ManifestField::EndTsInit, &["empty", "5"]);
    }

    #[test]
    fn the_end_of_a_live_run_is_not_known_and_not_checked() {
        for change in [
            |manifest: &mut RunManifest| (manifest.status, manifest.end_ts_init) = (RunStatus::Running, None),
            |manifest: &mut RunManifest| (manifest.status, manifest.end_ts_init) = (RunStatus::Running, Some(UnixNanos::from(1))),
        ] {
            assert!(Faulty::sealed(3).with_manifest(change).report().is_clean());
        }
    }

    #[test]
    fn the_times_of_damaged_entries_are_not_believed() {
        let store = Faulty::sealed(3).slot(2, Ok(Some(entry(99, 1_000)))).without_index();
        assert_eq!(store.findings(), [VerifyFinding::SeqMismatch { table_key: 2, embedded_seq: 99 }]);
    }

    #[test]
    fn what_keeps_the_store_from_being_read_is_an_error_and_not_a_finding() {
        assert_eq!(Verifier::new(Box::new(MemoryBackend::new())).verify(), Err(VerifyError::Backend(EventStoreError::no_run_open())));
        let error = EventStoreError::Disk("bad sector".to_owned());
        assert_eq!(Faulty::sealed(3).slot(2, Err(error.clone())).verify(), Err(VerifyError::Backend(error)));
    }

    #[test]
    fn the_verified_store_can_be_looked_at() {
        let verifier = Verifier::new(Box::new(Faulty::sealed(2)));
        assert_eq!(verifier.backend().high_watermark(), Ok(2));
    }
}
