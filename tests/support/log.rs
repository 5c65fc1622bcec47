//! What was given to a store, and so what it may answer.
//!
//! A damaged store may refuse to answer; it may never answer with something else than what it was
//! given: no other entry, no other first occurrence of a key, no miss of a key that is there.

use std::collections::BTreeMap;
use std::fmt::Display;

use tapelog::{
    AppendEntry, EventStore, EventStoreEntry, EventStoreError, IndexKind, RunManifest, ScanDirection, SegmentBackend, SnapshotAnchor,
};

/// Everything that was given to a store, in order.
#[derive(Debug, Clone, Default)]
pub struct Log {
    entries: Vec<EventStoreEntry>,
    /// The number of the last entry of each batch.
    ends: Vec<u64>,
    /// Anchors, each with the last entry before it.
    anchors: Vec<(u64, SnapshotAnchor)>,
    firsts: BTreeMap<(IndexKind, String), u64>,
}

/// What a store answered, of which nothing was wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    pub high_watermark: u64,
    /// The entries up to the high-watermark that it refused.
    pub unreadable: Vec<u64>,
    /// How many anchors were recorded up to the one that it answered; `None` where it refused.
    pub anchors: Option<usize>,
}

impl Log {
    pub fn push_batch(&mut self, batch: &[AppendEntry]) {
        for AppendEntry { entry, index_keys } in batch {
            assert_eq!(entry.seq, self.last_seq() + 1);
            for key in index_keys {
                self.firsts.entry((key.kind, key.key.clone())).or_insert(entry.seq);
            }
            self.entries.push(entry.clone());
        }
        self.ends.push(self.last_seq());
    }

    pub fn push_anchor(&mut self, anchor: SnapshotAnchor) {
        self.anchors.push((self.last_seq(), anchor));
    }

    pub fn last_seq(&self) -> u64 {
        self.entries.len() as u64
    }

    pub fn entries(&self) -> &[EventStoreEntry] {
        &self.entries
    }

    pub fn anchors(&self) -> usize {
        self.anchors.len()
    }

    /// How many anchors were recorded before anything behind the entry `seq` was.
    pub fn anchors_up_to(&self, seq: u64) -> usize {
        self.anchors.partition_point(|(before, _)| *before <= seq)
    }

    /// Whether a batch ends with this entry, or nothing comes before it.
    pub fn is_end_of_a_batch(&self, seq: u64) -> bool {
        seq == 0 || self.ends.binary_search(&seq).is_ok()
    }

    fn first_of(&self, kind: IndexKind, key: &str, high_watermark: u64) -> Option<u64> {
        self.firsts.get(&(kind, key.to_owned())).copied().filter(|seq| *seq <= high_watermark)
    }

    /// Checks that a store answers everything up to the entry `last`, and nothing wrong.
    pub fn assert_whole(&self, store: &dyn EventStore, last: u64, what: &dyn Display) -> Answers {
        let answers = self.assert_honest(store, what);
        assert_eq!(answers.high_watermark, last, "{what}");
        assert_eq!(answers.unreadable, [0_u64; 0], "{what}");
        assert!(answers.anchors.is_some(), "{what}: the newest anchor is refused");
        answers
    }

    /// Checks that a store answers nothing wrong, in whatever way it is asked.
    pub fn assert_honest(&self, store: &dyn EventStore, what: &dyn Display) -> Answers {
        let high_watermark = store.high_watermark().unwrap();
        assert!(high_watermark <= self.last_seq(), "{what}: the high-watermark is {high_watermark}");
        let manifest = store.manifest().unwrap();
        assert_eq!(manifest.high_watermark, high_watermark, "{what}");
        let unreadable = self.check_slots(store, high_watermark, what);
        self.check_ranges(store, high_watermark, &unreadable, what);
        self.check_keys(store, high_watermark, &unreadable, what);
        Answers { high_watermark, unreadable, anchors: self.check_anchor(store, what) }
    }

    fn check_slots(&self, store: &dyn EventStore, high_watermark: u64, what: &dyn Display) -> Vec<u64> {
        let mut unreadable = Vec::new();
        let mut gaps = Vec::new();
        for seq in 0..=high_watermark + 2 {
            match store.scan_seq(seq) {
                Ok(Some(entry)) => {
                    assert!(seq <= high_watermark, "{what}: entry {seq} lies past the high-watermark {high_watermark}");
                    assert_eq!(&entry, &self.entries[usize::try_from(seq).unwrap() - 1], "{what}");
                }
                Ok(None) => {
                    assert!(seq == 0 || seq > high_watermark, "{what}: entry {seq} of {high_watermark} passes for one that never was");
                }
                Err(error) => {
                    assert!(is_damage(&error), "{what}: entry {seq}: {error:?}");
                    assert!(0 < seq && seq <= high_watermark, "{what}: entry {seq}: {error:?}");
                    if let EventStoreError::Gap { missing, next, .. } = error {
                        assert_eq!(missing, seq, "{what}");
                        gaps.push(missing..next.min(high_watermark + 1));
                    }
                    unreadable.push(seq);
                }
            }
        }
        for missing in gaps.into_iter().flatten() {
            assert!(unreadable.contains(&missing), "{what}: entry {missing} can be read and is said to be in a gap");
        }
        unreadable
    }

    fn check_ranges(&self, store: &dyn EventStore, high_watermark: u64, unreadable: &[u64], what: &dyn Display) {
        let middle = high_watermark / 2;
        for (from, to) in [(1, u64::MAX), (1, middle), (middle, high_watermark + 3)] {
            let asked = from.max(1)..=to.min(high_watermark);
            let is_readable = !unreadable.iter().any(|seq| asked.contains(seq));
            for direction in [ScanDirection::Forward, ScanDirection::Reverse] {
                match store.scan_range(from, to, direction) {
                    Ok(mut entries) => {
                        assert!(is_readable || from == 0, "{what}: {from}..={to} has unreadable entries and was answered");
                        if direction == ScanDirection::Reverse {
                            entries.reverse();
                        }
                        let expected = if from == 0 { &[] } else { self.slice(*asked.start(), *asked.end()) };
                        assert_eq!(entries, expected, "{what}: {from}..={to}");
                    }
                    Err(error) => assert!(is_damage(&error) && !is_readable, "{what}: {from}..={to}: {error:?}"),
                }
            }
        }
    }

    fn slice(&self, from: u64, to: u64) -> &[EventStoreEntry] {
        let range = usize::try_from(from).unwrap() - 1..usize::try_from(to).unwrap();
        self.entries.get(range).unwrap_or_default()
    }

    fn check_keys(&self, store: &dyn EventStore, high_watermark: u64, unreadable: &[u64], what: &dyn Display) {
        let strange = [(IndexKind::ClientOrderId, "no such key".to_owned()), (IndexKind::VenueOrderId, String::new())];
        for (kind, key) in self.firsts.keys().chain(&strange) {
            match store.lookup(*kind, key) {
                Ok(found) => assert_eq!(found, self.first_of(*kind, key, high_watermark), "{what}: {kind} {key:?}"),
                Err(error) => {
                    assert!(is_damage(&error), "{what}: {kind} {key:?}: {error:?}");
                    assert_ne!(unreadable, [0_u64; 0], "{what}: every entry is intact, and {kind} {key:?} is not told: {error:?}");
                }
            }
        }
        for kind in IndexKind::ALL {
            match store.iter_index_keys(kind) {
                Ok(mut keys) => {
                    keys.sort();
                    let of_kind = self.firsts.iter().filter(|((found, _), seq)| *found == kind && **seq <= high_watermark);
                    let expected: Vec<_> = of_kind.map(|((_, key), seq)| (key.clone(), *seq)).collect();
                    assert_eq!(keys, expected, "{what}: the keys of {kind}");
                }
                Err(error) => {
                    assert!(is_damage(&error), "{what}: the keys of {kind}: {error:?}");
                    assert_ne!(unreadable, [0_u64; 0], "{what}: every entry is intact, and the keys of {kind} are not told: {error:?}");
                }
            }
        }
    }

    fn check_anchor(&self, store: &dyn EventStore, what: &dyn Display) -> Option<usize> {
        match store.latest_snapshot_anchor() {
            Ok(None) => Some(0),
            Ok(Some(found)) => {
                let index = self.anchors.iter().position(|(_, anchor)| *anchor == found);
                Some(1 + index.unwrap_or_else(|| panic!("{what}: {found:?} was never recorded")))
            }
            Err(error) => {
                assert!(is_damage(&error), "{what}: {error:?}");
                None
            }
        }
    }
}

/// Whether the error says that something is damaged, and where, instead of answering.
pub fn is_damage(error: &EventStoreError) -> bool {
    matches!(error, EventStoreError::HashMismatch { .. } | EventStoreError::Gap { .. } | EventStoreError::Corrupted(_))
}

/// A store that is written together with the log of what it was given.
pub struct Recorder {
    pub store: SegmentBackend,
    pub log: Log,
}

impl Recorder {
    /// Opens a new run.
    pub fn open(mut store: SegmentBackend, manifest: RunManifest) -> Self {
        store.open_run(manifest).unwrap();
        Self { store, log: Log::default() }
    }

    pub fn append(&mut self, batch: &[AppendEntry]) {
        self.store.append_batch(batch).unwrap();
        self.log.push_batch(batch);
    }

    pub fn anchor(&mut self, anchor: SnapshotAnchor) {
        self.store.record_snapshot_anchor(anchor.clone()).unwrap();
        self.log.push_anchor(anchor);
    }
}
