//! The busiest second of a run.

use std::collections::BTreeMap;

use serde::Serialize;
use tapelog::UnixNanos;

/// A part is one second long, until there are too many of them.
const SECOND_NANOS: u64 = 1_000_000_000;
/// Most parts that are kept: more than a day of seconds in each of which something came.
const PARTS_MAX: usize = 1 << 17;

/// Counts by the second of `ts_init`, in whatever order the entries come.
///
/// Memory is bounded: where there are too many seconds, parts twice as long are counted from then on.
#[derive(Debug, Clone)]
pub struct Busiest {
    nanos: u64,
    parts: BTreeMap<u64, u64>,
    parts_max: usize,
}

/// The part of the time in which most entries came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Peak {
    /// How many came in it.
    pub entries: u64,
    /// When it begins, in nanoseconds since 1970.
    pub from_ts_init: u64,
    /// How long it is: a second, or a second doubled where the run has too many of them.
    pub nanos: u64,
}

impl Default for Busiest {
    fn default() -> Self {
        Self { nanos: SECOND_NANOS, parts: BTreeMap::new(), parts_max: PARTS_MAX }
    }
}

impl Busiest {
    /// Counts one more entry at `time`.
    pub fn add(&mut self, time: UnixNanos) {
        *self.parts.entry(time.as_u64() / self.nanos).or_default() += 1;
        while self.parts.len() > self.parts_max {
            self.nanos = self.nanos.saturating_mul(2);
            for (part, count) in std::mem::take(&mut self.parts) {
                *self.parts.entry(part / 2).or_default() += count;
            }
        }
    }

    /// The part with most entries, the first of equals; none before the first entry.
    pub fn peak(&self) -> Option<Peak> {
        let (part, entries) = self.parts.iter().rev().max_by_key(|(_, count)| **count)?;
        Some(Peak { entries: *entries, from_ts_init: part.saturating_mul(self.nanos), nanos: self.nanos })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peak_of(parts_max: usize, times: impl IntoIterator<Item = u64>) -> Option<Peak> {
        let mut busiest = Busiest { parts_max, ..Busiest::default() };
        times.into_iter().for_each(|time| busiest.add(UnixNanos::from(time)));
        busiest.peak()
    }

    #[test]
    fn the_first_second_with_most_entries_is_the_peak_in_whatever_order_they_come() {
        let times = [5_000_000_000, 1_000_000_000, 1_999_999_999, 3_000_000_000, 3_500_000_000];
        let expected = Some(Peak { entries: 2, from_ts_init: SECOND_NANOS, nanos: SECOND_NANOS });
        assert_eq!(peak_of(PARTS_MAX, times), expected);
        assert_eq!(peak_of(PARTS_MAX, times.into_iter().rev()), expected);
        assert_eq!(peak_of(PARTS_MAX, []), None);
    }

    #[test]
    fn parts_become_longer_instead_of_more() {
        let times = (0..64).map(|second| second * SECOND_NANOS);
        assert_eq!(peak_of(8, times), Some(Peak { entries: 8, from_ts_init: 0, nanos: 8 * SECOND_NANOS }));
        assert_eq!(peak_of(1, [0, u64::MAX]).map(|peak| peak.entries), Some(2));
    }
}
