//! Every way of reading a run, and what each of them has to give.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use tapelog::{
    AppendEntry, Check, EntryView, EventStore, EventStoreEntry, EventStoreReader, FollowOptions, Follower, IndexKind, Progress, RunEnd,
    RunReader, ScanDirection, SegmentBackend, SnapshotAnchor, UnixNanos, Visibility,
};

/// What was given to a run.
#[derive(Debug, Default)]
pub struct Given {
    pub entries: Vec<AppendEntry>,
    pub anchors: Vec<SnapshotAnchor>,
}

impl Given {
    fn values(&self) -> Vec<EventStoreEntry> {
        self.entries.iter().map(|append| append.entry.clone()).collect()
    }

    pub fn last(&self) -> u64 {
        self.entries.len() as u64
    }

    fn first_with(&self, kind: IndexKind, key: &str) -> Option<u64> {
        let has = |append: &&AppendEntry| append.index_keys.iter().any(|found| found.kind == kind && found.key == key);
        self.entries.iter().find(has).map(|append| append.entry.seq)
    }

    fn keys(&self, kind: IndexKind) -> Vec<(String, u64)> {
        let mut found: Vec<(String, u64)> = Vec::new();
        for append in &self.entries {
            for key in append.index_keys.iter().filter(|key| key.kind == kind) {
                if !found.iter().any(|(seen, _)| *seen == key.key) {
                    found.push((key.key.clone(), append.entry.seq));
                }
            }
        }
        found
    }

    /// Checks that an entry as it is lent is the one that was given.
    pub fn assert_is_given(&self, view: &EntryView<'_>) {
        let given = &self.entries[usize::try_from(view.seq()).unwrap() - 1];
        let entry = &given.entry;
        assert_eq!(
            (view.seq(), view.ts_init(), view.ts_publish(), view.topic(), view.payload_type(), view.headers(), view.entry_hash()),
            (
                entry.seq,
                entry.ts_init,
                entry.ts_publish,
                entry.topic.as_str(),
                entry.payload_type.as_str(),
                entry.headers,
                entry.entry_hash
            )
        );
        assert_eq!(view.payload(), &entry.payload);
        assert_eq!(view.payload_bytes(), entry.payload);
        let keys: Vec<_> = view.keys().collect();
        assert_eq!(keys, given.index_keys.iter().map(|key| (key.kind, &*key.key)).collect::<Vec<_>>());
        assert_eq!(view.to_entry().unwrap(), *entry);
    }

    /// Checks a reader that shows everything, in whatever way it is asked.
    pub fn assert_read_by(&self, reader: &RunReader) {
        assert_eq!(reader.high_watermark(), self.last());
        let (forward, last) = (self.values(), self.last());
        let reverse: Vec<_> = forward.iter().rev().cloned().collect();
        for (direction, expected) in [(ScanDirection::Forward, &forward), (ScanDirection::Reverse, &reverse)] {
            for check in [Check::Crc, Check::Full] {
                let mut seqs = Vec::new();
                reader
                    .visit(.., direction, check, |view| {
                        self.assert_is_given(&view);
                        seqs.push(view.seq());
                        ControlFlow::<()>::Continue(())
                    })
                    .unwrap();
                assert!(seqs.iter().eq(expected.iter().map(|entry| &entry.seq)), "{direction:?} {check:?}");
            }
            let owned: Vec<_> = reader.entries(.., direction).map(|item| item.unwrap()).collect();
            assert_eq!(&owned, expected);
            for (from, to) in [(1, last / 2), (last / 3, last), (last, last), (last / 2, last / 2 + 3), (last + 1, last + 9)] {
                let (from, to) = (from.max(1), to);
                let part: Vec<_> = reader.entries(from..=to, direction).map(|item| item.unwrap()).collect();
                assert!(part.iter().eq(expected.iter().filter(|entry| (from..=to).contains(&entry.seq))), "{from}..={to} {direction:?}");
            }
        }
        for seq in 0..=last + 1 {
            let expected = seq.checked_sub(1).and_then(|index| forward.get(usize::try_from(index).unwrap()));
            assert_eq!(reader.entry(seq).unwrap().as_ref(), expected);
        }
        self.assert_found_by(reader);
    }

    /// Checks the ways to find an entry, and the anchors.
    fn assert_found_by(&self, reader: &RunReader) {
        for kind in IndexKind::ALL {
            let mut keys = Vec::new();
            reader
                .for_each_index_key(kind, |key, seq| {
                    keys.push((key.to_owned(), seq));
                    ControlFlow::<()>::Continue(())
                })
                .unwrap();
            assert_eq!(keys, self.keys(kind));
            for (key, seq) in &keys {
                assert_eq!(reader.lookup(kind, key).unwrap(), Some(*seq));
                assert_eq!(self.first_with(kind, key), Some(*seq));
            }
            assert_eq!(reader.lookup(kind, "nobody's").unwrap(), None);
        }
        let mut times: Vec<_> = self.entries.iter().map(|append| append.entry.ts_init.as_u64()).collect();
        times.extend([0, u64::MAX]);
        for time in times.iter().flat_map(|time| [time.saturating_sub(1), *time, time.saturating_add(1)]) {
            let expected = self.entries.iter().find(|append| append.entry.ts_init.as_u64() >= time).map(|append| append.entry.seq);
            assert_eq!(reader.first_at_or_after(UnixNanos::from(time)).unwrap(), expected, "the first entry at {time}");
        }
        assert_eq!(reader.anchors().unwrap(), self.anchors);
        assert_eq!(reader.latest_anchor().unwrap().as_ref(), self.anchors.last());
        let held: u64 = reader.segments().iter().map(|segment| (segment.last_seq + 1).saturating_sub(segment.first_seq)).sum();
        assert_eq!(held, self.last());
    }

    /// Checks a store through the trait, with chunks of several sizes.
    pub fn assert_read_through<B: EventStore>(&self, store: B) -> B {
        let reader = EventStoreReader::new(store);
        let forward = self.values();
        for chunk_size in [0, 1, 3, 1024] {
            let scanned: Vec<_> =
                reader.scan_range_chunked(1, u64::MAX, ScanDirection::Forward, chunk_size).map(|item| item.unwrap()).collect();
            assert_eq!(scanned, forward);
            let mut scanned: Vec<_> =
                reader.scan_range_chunked(1, u64::MAX, ScanDirection::Reverse, chunk_size).map(|item| item.unwrap()).collect();
            scanned.reverse();
            assert_eq!(scanned, forward);
        }
        reader.into_inner()
    }

    /// Checks what a follower of the files shows that begins at each of a few entries, until nothing comes any more.
    pub fn assert_followed(&self, folder: &Path, visibility: Visibility, is_sealed: bool) {
        for from in [1, 2, self.last() / 2, self.last(), self.last() + 1] {
            let from = from.max(1);
            let mut follower = Follower::open(folder, FollowOptions { from, visibility, ..FollowOptions::default() }).unwrap();
            let mut next = from;
            loop {
                let progress = follower
                    .visit(Duration::ZERO, Check::Full, |view| {
                        assert_eq!(view.seq(), next);
                        self.assert_is_given(&view);
                        next += 1;
                        // Broken off now and then, it goes on where it was.
                        if next.is_multiple_of(5) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                    })
                    .unwrap();
                match progress {
                    Progress::Shown(_) => {}
                    Progress::Idle => {
                        assert!(!is_sealed, "a follower of a sealed run comes to its end");
                        break;
                    }
                    Progress::Ended(RunEnd::Sealed(manifest)) => {
                        assert!(is_sealed);
                        assert_eq!(manifest.high_watermark, self.last());
                        break;
                    }
                    Progress::Ended(end) => panic!("{end:?}"),
                }
            }
            assert_eq!(next, from.max(self.last() + 1), "followed from {from}");
            assert_eq!(follower.next_seq(), next);
        }
        let mut follower = Follower::open(folder, FollowOptions { visibility, ..FollowOptions::default() }).unwrap();
        let mut owned = Vec::new();
        while let Some(entry) = follower.next_entry(Duration::ZERO).unwrap() {
            owned.push(entry);
        }
        assert_eq!(owned, self.values());
    }

    /// Checks a tail of the store that writes, or has written.
    pub fn assert_tailed(&self, store: &SegmentBackend, from: u64, visibility: Visibility) {
        let mut tail = store.reader().unwrap().tail(from, visibility);
        let mut next = from;
        while let Some(entry) = tail.next_entry(Duration::ZERO).unwrap() {
            assert_eq!(entry, self.entries[usize::try_from(next).unwrap() - 1].entry);
            next += 1;
        }
        assert_eq!(next, from.max(self.last() + 1));
    }
}
