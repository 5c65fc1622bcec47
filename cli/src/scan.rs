//! Reading a range of entries a chunk at a time, past those that are damaged.

use std::ops::RangeInclusive;

use tapelog::{EventStore, EventStoreEntry, EventStoreError, ScanDirection};

/// Most entries that are read at a time.
const CHUNK_LEN_MAX: u64 = 1024;
/// A chunk is sized to come to at most this many bytes of payload, if entries are as large as those before.
const CHUNK_PAYLOAD_LEN: u64 = 8 << 20;
/// The first chunk is small, because nothing is known of its entries.
const FIRST_CHUNK_LEN: u64 = 8;

/// The entries of a range, in either direction. A damaged or missing entry is an error, after which reading
/// goes on behind it; any other error is the end.
pub struct Scan<'a> {
    store: &'a dyn EventStore,
    left: RangeInclusive<u64>,
    direction: ScanDirection,
    chunk_len: u64,
    /// Entries that are read one by one, because one among them is damaged.
    one_by_one: u64,
    chunk: std::vec::IntoIter<EventStoreEntry>,
}

impl<'a> Scan<'a> {
    /// The entries of `range`, which ends at the high-watermark at the latest.
    pub fn new(store: &'a dyn EventStore, range: RangeInclusive<u64>, direction: ScanDirection) -> Self {
        Self { store, left: range, direction, chunk_len: FIRST_CHUNK_LEN, one_by_one: 0, chunk: Vec::new().into_iter() }
    }

    fn next_range(&self) -> RangeInclusive<u64> {
        let len = if self.one_by_one > 0 { 1 } else { self.chunk_len };
        let (first, last) = (*self.left.start(), *self.left.end());
        match self.direction {
            ScanDirection::Forward => first..=last.min(first.saturating_add(len - 1)),
            ScanDirection::Reverse => first.max(last.saturating_sub(len - 1))..=last,
        }
    }

    /// What is left once everything up to the end of `range` is done.
    fn advance(&mut self, range: &RangeInclusive<u64>) {
        let (first, last) = (*self.left.start(), *self.left.end());
        self.left = match self.direction {
            ScanDirection::Forward => range.end().checked_add(1).map_or(nothing(), |next| next..=last),
            ScanDirection::Reverse => range.start().checked_sub(1).map_or(nothing(), |next| first..=next),
        };
    }

    fn adapt(&mut self, chunk: &[EventStoreEntry]) {
        let payload_len: u64 = chunk.iter().map(|entry| entry.payload.len() as u64).sum();
        let average = (payload_len / (chunk.len() as u64).max(1)).max(1);
        self.chunk_len = (CHUNK_PAYLOAD_LEN / average).min(self.chunk_len * 2).clamp(1, CHUNK_LEN_MAX);
    }

    /// An error of reading `range`: either the next item, or none when the range has to be read again one by one.
    fn take_error(&mut self, range: &RangeInclusive<u64>, error: EventStoreError) -> Option<EventStoreError> {
        if range.start() < range.end() {
            self.one_by_one = range.end() - range.start() + 1;
            return None;
        }
        match error {
            // A gap is told once, however long it is.
            EventStoreError::Gap { next, missing, .. } if missing < next => self.advance(&(missing..=next - 1)),
            EventStoreError::HashMismatch { .. } | EventStoreError::Gap { .. } => self.advance(range),
            _ => self.left = nothing(),
        }
        Some(error)
    }
}

#[expect(clippy::reversed_empty_ranges, reason = "a range that holds nothing is what is meant")]
fn nothing() -> RangeInclusive<u64> {
    1..=0
}

impl Iterator for Scan<'_> {
    type Item = Result<EventStoreEntry, EventStoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.chunk.next() {
                return Some(Ok(entry));
            }
            if self.left.is_empty() {
                return None;
            }
            let range = self.next_range();
            let read = self.store.scan_range(*range.start(), *range.end(), self.direction);
            self.one_by_one = self.one_by_one.saturating_sub(1);
            match read {
                Ok(chunk) => {
                    self.advance(&range);
                    self.adapt(&chunk);
                    self.chunk = chunk.into_iter();
                }
                Err(error) => {
                    if let Some(error) = self.take_error(&range, error) {
                        return Some(Err(error));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bytes::Bytes;
    use tapelog::{AppendEntry, EntryHash, Headers, IndexKind, PayloadType, RunManifest, RunStatus, UnixNanos};

    use super::*;

    /// A store of `len` entries, of which some are damaged and some are missing.
    struct Holed {
        len: u64,
        damaged: BTreeSet<u64>,
        missing: RangeInclusive<u64>,
        payload_len: usize,
        unreadable_from: Option<u64>,
    }

    impl Holed {
        fn new(len: u64) -> Self {
            Self { len, damaged: BTreeSet::new(), missing: nothing(), payload_len: 1, unreadable_from: None }
        }

        fn entry(&self, seq: u64) -> Result<EventStoreEntry, EventStoreError> {
            if self.unreadable_from.is_some_and(|from| seq >= from) {
                return Err(EventStoreError::Disk("bad sector".to_owned()));
            }
            if self.damaged.contains(&seq) {
                return Err(EventStoreError::HashMismatch { seq });
            }
            if self.missing.contains(&seq) {
                let (prev, next) = (*self.missing.start() - 1, *self.missing.end() + 1);
                return Err(EventStoreError::Gap { prev, next, missing: *self.missing.start() });
            }
            let payload = Bytes::from(vec![0; self.payload_len]);
            let time = UnixNanos::default();
            Ok(EventStoreEntry::new(EntryHash([0; 32]), seq, Headers::empty(), "t".into(), PayloadType::from("p"), payload, time, time))
        }

        fn found(&self, range: RangeInclusive<u64>, direction: ScanDirection) -> Vec<Result<u64, EventStoreError>> {
            Scan::new(self, range, direction).map(|item| item.map(|entry| entry.seq)).collect()
        }
    }

    impl EventStore for Holed {
        fn open_run(&mut self, _: RunManifest) -> Result<(), EventStoreError> {
            unreachable!()
        }
        fn append_batch(&mut self, _: &[AppendEntry]) -> Result<u64, EventStoreError> {
            unreachable!()
        }
        fn scan_range(&self, from: u64, to: u64, direction: ScanDirection) -> Result<Vec<EventStoreEntry>, EventStoreError> {
            assert!(to - from < CHUNK_LEN_MAX);
            let range = from..=to.min(self.len);
            match direction {
                ScanDirection::Forward => range.map(|seq| self.entry(seq)).collect(),
                ScanDirection::Reverse => range.rev().map(|seq| self.entry(seq)).collect(),
            }
        }
        fn scan_seq(&self, _: u64) -> Result<Option<EventStoreEntry>, EventStoreError> {
            unreachable!()
        }
        fn lookup(&self, _: IndexKind, _: &str) -> Result<Option<u64>, EventStoreError> {
            unreachable!()
        }
        fn iter_index_keys(&self, _: IndexKind) -> Result<Vec<(String, u64)>, EventStoreError> {
            unreachable!()
        }
        fn seal(&mut self, _: RunStatus) -> Result<(), EventStoreError> {
            unreachable!()
        }
        fn manifest(&self) -> Result<RunManifest, EventStoreError> {
            unreachable!()
        }
        fn high_watermark(&self) -> Result<u64, EventStoreError> {
            Ok(self.len)
        }
    }

    fn intact(range: impl Iterator<Item = u64>) -> Vec<Result<u64, EventStoreError>> {
        range.map(Ok).collect()
    }

    #[test]
    fn a_range_comes_whole_in_either_direction() {
        let store = Holed::new(5000);
        assert_eq!(store.found(1..=5000, ScanDirection::Forward), intact(1..=5000));
        assert_eq!(store.found(1..=5000, ScanDirection::Reverse), intact((1..=5000).rev()));
        assert_eq!(store.found(70..=70, ScanDirection::Reverse), intact(70..=70));
        assert_eq!(store.found(nothing(), ScanDirection::Forward), []);
    }

    #[test]
    fn what_stands_around_a_damaged_entry_is_shown() {
        let mut store = Holed::new(300);
        store.damaged = BTreeSet::from([1, 150, 151, 300]);
        let item = |seq| if store.damaged.contains(&seq) { Err(EventStoreError::HashMismatch { seq }) } else { Ok(seq) };
        assert_eq!(store.found(1..=300, ScanDirection::Forward), (1..=300).map(item).collect::<Vec<_>>());
        assert_eq!(store.found(1..=300, ScanDirection::Reverse), (1..=300).rev().map(item).collect::<Vec<_>>());
    }

    #[test]
    fn a_gap_is_told_once() {
        let mut store = Holed::new(300);
        store.missing = 100..=199;
        let gap = Err(EventStoreError::Gap { prev: 99, next: 200, missing: 100 });
        let expected = [intact(1..=99), vec![gap.clone()], intact(200..=300)].concat();
        assert_eq!(store.found(1..=300, ScanDirection::Forward), expected);
        let expected = [intact((200..=300).rev()), vec![gap], intact((1..=99).rev())].concat();
        assert_eq!(store.found(1..=300, ScanDirection::Reverse), expected);
    }

    #[test]
    fn any_other_error_is_the_end() {
        let mut store = Holed::new(300);
        store.unreadable_from = Some(100);
        let expected = [intact(1..=99), vec![Err(EventStoreError::Disk("bad sector".to_owned()))]].concat();
        assert_eq!(store.found(1..=300, ScanDirection::Forward), expected);
    }

    #[test]
    fn large_payloads_are_read_a_few_at_a_time() {
        let mut store = Holed::new(200);
        store.payload_len = 1 << 20;
        let mut scan = Scan::new(&store, 1..=200, ScanDirection::Forward);
        while scan.next().is_some() {}
        assert!(scan.chunk_len <= 8, "{} entries at a time", scan.chunk_len);
    }

    #[test]
    fn the_last_number_there_is_ends_the_range() {
        let store = Holed::new(u64::MAX);
        assert_eq!(store.found(u64::MAX - 2..=u64::MAX, ScanDirection::Forward), intact(u64::MAX - 2..=u64::MAX));
    }
}
