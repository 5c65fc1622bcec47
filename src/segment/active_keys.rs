//! The keys of the segment that is being written: a list that appends only, sorted when asked.
//!
//! A map of strings would cut the throughput of appends to a third, so an append only pushes a
//! hash and an offset. A look-up takes over what came since the last one and sorts it, under a lock
//! that appends never take: however long it sorts, no append waits for it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::format::key_index::KeyRecord;

/// How many unsorted records a look-up passes over before it sorts them.
const RECENT_LEN_MAX: usize = 256;

/// Hashes and offsets of the keys of one segment.
#[derive(Debug, Default)]
pub(crate) struct ActiveKeys {
    /// In the order of their offsets, all behind those of `runs`.
    recent: Mutex<Vec<KeyRecord>>,
    /// Each sorted by hash, then offset; a run is at least twice as long as the next.
    runs: Mutex<Vec<Vec<KeyRecord>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ActiveKeys {
    /// Adds the keys of a batch, in the order of their offsets.
    pub(crate) fn extend(&self, keys: &[KeyRecord]) {
        lock(&self.recent).extend_from_slice(keys);
    }

    /// The offsets under a hash, ascending.
    pub(crate) fn candidates(&self, hash: u64) -> Vec<u64> {
        let mut runs = lock(&self.runs);
        let mut found = Vec::new();
        let taken = {
            let mut recent = lock(&self.recent);
            if recent.len() > RECENT_LEN_MAX {
                std::mem::take(&mut *recent)
            } else {
                found.extend(recent.iter().filter(|record| record.hash == hash).map(|record| record.offset));
                Vec::new()
            }
        };
        take_in(&mut runs, taken);
        for run in &*runs {
            let from = run.partition_point(|record| record.hash < hash);
            found.extend(run.iter().skip(from).take_while(|record| record.hash == hash).map(|record| record.offset));
        }
        found.sort_unstable();
        found
    }

    /// All records, sorted by hash, then offset.
    pub(crate) fn sorted(&self) -> Vec<KeyRecord> {
        let mut runs = lock(&self.runs);
        let taken = std::mem::take(&mut *lock(&self.recent));
        take_in(&mut runs, taken);
        let all = merged(runs.drain(..).flatten().collect());
        runs.push(all.clone());
        all
    }
}

/// Adds a run, and merges those that have become too short for their place: each record is moved as often as the
/// number of records can be halved.
fn take_in(runs: &mut Vec<Vec<KeyRecord>>, records: Vec<KeyRecord>) {
    if records.is_empty() {
        return;
    }
    let mut last = merged(records);
    while let Some(before) = runs.pop_if(|before| before.len() < 2 * last.len()) {
        last = merged([before, last].concat());
    }
    runs.push(last);
}

fn merged(mut records: Vec<KeyRecord>) -> Vec<KeyRecord> {
    // A stable sort finds the runs that are sorted already and only merges them.
    records.sort_by_key(|record| (record.hash, record.offset));
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_ascending_across_the_sorted_and_the_recent_part() {
        let keys = ActiveKeys::default();
        for round in 0..40_u64 {
            let batch: Vec<_> = (0..100).map(|index| KeyRecord { hash: index % 7, offset: (round * 100 + index) * 8 }).collect();
            keys.extend(&batch);
            let found = keys.candidates(3);
            assert!(found.is_sorted());
            assert_eq!(found.len(), (0..(round + 1) * 100).filter(|number| (number % 100) % 7 == 3).count());
        }
        assert_eq!(keys.candidates(7), Vec::<u64>::new());
        let all = keys.sorted();
        assert_eq!(all.len(), 4000);
        assert!(all.is_sorted_by_key(|record| (record.hash, record.offset)));
    }

    #[test]
    fn the_runs_stay_few() {
        let keys = ActiveKeys::default();
        for offset in 0..200_000_u64 {
            keys.extend(&[KeyRecord { hash: offset.wrapping_mul(0x9e37_79b9_7f4a_7c15), offset }]);
            if offset % 300 == 0 {
                keys.candidates(offset);
            }
        }
        let lens: Vec<_> = lock(&keys.runs).iter().map(Vec::len).collect();
        assert!(lens.len() <= 18 && lens.is_sorted_by(|before, next| *before >= 2 * next), "{lens:?}");
    }
}
