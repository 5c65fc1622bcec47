//! The keys of the segment that is being written: a list that appends only, sorted when asked.
//!
//! A map of strings would cut the throughput of appends to a third, so an append only pushes a
//! hash and an offset. A look-up sorts what came since the last one and merges it in.

use crate::format::key_index::KeyRecord;

/// How many unsorted records a look-up passes over before it merges them.
const RECENT_LEN_MAX: usize = 256;

/// Hashes and offsets of the keys of one segment.
#[derive(Debug, Default)]
pub(crate) struct ActiveKeys {
    /// Sorted by hash, then offset.
    sorted: Vec<KeyRecord>,
    /// In the order of their offsets, all behind those of `sorted`.
    recent: Vec<KeyRecord>,
}

impl ActiveKeys {
    /// Adds the keys of a batch, in the order of their offsets.
    pub(crate) fn extend(&mut self, keys: &[KeyRecord]) {
        self.recent.extend_from_slice(keys);
    }

    /// The offsets under a hash, ascending.
    pub(crate) fn candidates(&mut self, hash: u64) -> Vec<u64> {
        if self.recent.len() > RECENT_LEN_MAX {
            self.merge();
        }
        let from = self.sorted.partition_point(|record| record.hash < hash);
        let sorted = self.sorted.iter().skip(from).take_while(|record| record.hash == hash);
        let recent = self.recent.iter().filter(|record| record.hash == hash);
        sorted.chain(recent).map(|record| record.offset).collect()
    }

    /// All records, sorted by hash, then offset.
    pub(crate) fn sorted(&mut self) -> &[KeyRecord] {
        self.merge();
        &self.sorted
    }

    fn merge(&mut self) {
        self.sorted.append(&mut self.recent);
        // A stable merge sort finds the long sorted run at the front and only merges into it.
        self.sorted.sort_by_key(|record| (record.hash, record.offset));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_ascending_across_the_sorted_and_the_recent_part() {
        let mut keys = ActiveKeys::default();
        for round in 0..10_u64 {
            let batch: Vec<_> = (0..100).map(|index| KeyRecord { hash: index % 7, offset: (round * 100 + index) * 8 }).collect();
            keys.extend(&batch);
            let found = keys.candidates(3);
            assert!(found.is_sorted());
            assert_eq!(found.len(), (0..(round + 1) * 100).filter(|number| (number % 100) % 7 == 3).count());
        }
        assert_eq!(keys.candidates(7), Vec::<u64>::new());
        let all = keys.sorted();
        assert_eq!(all.len(), 1000);
        assert!(all.is_sorted_by_key(|record| (record.hash, record.offset)));
    }
}
