//! How long commits took, in memory that does not grow with their number.

use std::time::Duration;

/// Each power of two is divided into 2^7 steps, so that a quantile is at most 0.8 % too high.
const STEPS_LOG2: u32 = 7;
const BUCKETS: usize = (64 - STEPS_LOG2 as usize + 1) << STEPS_LOG2;

/// A count of durations by their size.
#[derive(Debug, Clone)]
pub struct Latencies {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Default for Latencies {
    /// No duration yet.
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, max: 0 }
    }
}

impl Latencies {
    /// Counts one duration.
    pub fn add(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get_mut(bucket_of(nanos)) {
            *count += 1;
        }
        self.total += 1;
        self.max = self.max.max(nanos);
    }

    /// How many durations there are.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The duration that `percent` of all do not exceed; zero when there is none.
    pub fn percentile(&self, percent: u64) -> Duration {
        let rank = (u128::from(self.total) * u128::from(percent)).div_ceil(100).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += u128::from(*count);
            if seen >= rank {
                return Duration::from_nanos(upper_end(bucket).min(self.max));
            }
        }
        Duration::ZERO
    }

    /// The longest duration.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }
}

fn bucket_of(nanos: u64) -> usize {
    let shift = (u64::BITS - nanos.leading_zeros()).saturating_sub(STEPS_LOG2 + 1);
    let step = usize::try_from(nanos >> shift).unwrap_or(usize::MAX);
    // Below two times STEPS every number has a bucket of its own, and the step is the bucket.
    ((shift as usize) << STEPS_LOG2) + step
}

fn upper_end(bucket: usize) -> u64 {
    let shift = (bucket >> STEPS_LOG2).saturating_sub(1);
    let step = (bucket - (shift << STEPS_LOG2)) as u64;
    let end = ((u128::from(step) + 1) << shift) - 1;
    u64::try_from(end).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_bucket_is_in_it_and_the_next_number_is_not() {
        let mut previous = None;
        for bucket in 0..BUCKETS {
            let end = upper_end(bucket);
            assert_eq!(bucket_of(end), bucket);
            if let Some(previous) = previous {
                assert!(previous < end);
                assert_eq!(bucket_of(previous + 1), bucket);
            }
            previous = Some(end);
        }
        assert_eq!(previous, Some(u64::MAX));
    }

    #[test]
    fn a_bucket_is_narrow() {
        for nanos in [1_u64, 200, 300, 119_000, 5_669_000, 3_000_000_000, u64::MAX / 3] {
            let end = upper_end(bucket_of(nanos));
            assert!(end >= nanos && end - nanos <= nanos >> STEPS_LOG2, "{nanos} is shown as {end}");
        }
    }

    #[test]
    fn percentiles_are_those_of_the_durations() {
        let mut latencies = Latencies::default();
        for nanos in 1..=100 {
            latencies.add(Duration::from_nanos(nanos));
        }
        assert_eq!(latencies.total(), 100);
        assert_eq!(latencies.percentile(50), Duration::from_nanos(50));
        assert_eq!(latencies.percentile(99), Duration::from_nanos(99));
        assert_eq!(latencies.max(), Duration::from_nanos(100));
    }

    #[test]
    fn one_duration_is_every_percentile_and_none_is_zero() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.percentile(50), Duration::ZERO);
        latencies.add(Duration::from_nanos(777_777));
        assert_eq!(latencies.percentile(50), Duration::from_nanos(777_777));
        assert_eq!(latencies.percentile(99), Duration::from_nanos(777_777));
    }
}
