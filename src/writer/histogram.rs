//! A histogram of fixed size, whose buckets become wider as values grow.

use std::fmt;

/// Eight buckets between a power of two and the next: a bucket is at most an eighth of its values wide.
const STEPS_BITS: u32 = 3;
const STEPS: usize = 1 << STEPS_BITS;
const BUCKETS: usize = (64 - STEPS_BITS as usize + 1) * STEPS;

/// How often values came, by their size, to an eighth of a value.
#[derive(Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: Box<[u64; BUCKETS]>,
    count: u64,
    sum: u128,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: Box::new([0; BUCKETS]), count: 0, sum: 0, max: 0 }
    }
}

impl Histogram {
    /// Counts `value` once more.
    pub(crate) fn record(&mut self, value: u64) {
        if let Some(count) = self.counts.get_mut(bucket_of(value)) {
            *count += 1;
        }
        self.count += 1;
        self.sum += u128::from(value);
        self.max = self.max.max(value);
    }

    /// How many values there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The largest value; 0 where there is none.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The mean, rounded down; 0 where there is no value.
    #[must_use]
    pub fn mean(&self) -> u64 {
        self.sum.checked_div(u128::from(self.count)).and_then(|mean| u64::try_from(mean).ok()).unwrap_or_default()
    }

    /// The value that `percent` of a hundred do not exceed, to an eighth of it; 0 where there is no value. What is
    /// outside 0 to 100 is taken as the nearer of them.
    #[must_use]
    pub fn percentile(&self, percent: f64) -> u64 {
        let percent = if percent.is_nan() { 100.0 } else { percent.clamp(0.0, 100.0) };
        #[expect(clippy::cast_precision_loss, reason = "the rank of a percentile is a matter of few digits")]
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies between 0 and the count")]
        let rank = ((self.count as f64 * percent / 100.0).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return last_of(bucket).min(self.max);
            }
        }
        self.max
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Histogram");
        debug.field("count", &self.count).field("mean", &self.mean());
        debug.field("p50", &self.percentile(50.0)).field("p99", &self.percentile(99.0)).field("max", &self.max).finish_non_exhaustive()
    }
}

fn bucket_of(value: u64) -> usize {
    let Some(magnitude) = value.checked_ilog2().filter(|magnitude| *magnitude >= STEPS_BITS) else {
        return usize::try_from(value).unwrap_or_default();
    };
    let shift = magnitude - STEPS_BITS;
    let step = usize::try_from(value >> shift).unwrap_or_default() - STEPS;
    (shift as usize + 1) * STEPS + step
}

/// The largest value of a bucket.
fn last_of(bucket: usize) -> u64 {
    if bucket < STEPS {
        return bucket as u64;
    }
    let (shift, step) = (bucket / STEPS - 1, bucket % STEPS);
    let above = (((STEPS + step) as u128) + 1) << shift;
    u64::try_from(above - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn small_values_are_exact_and_the_largest_has_a_bucket() {
        for value in 0..16 {
            assert_eq!(last_of(bucket_of(value)), value);
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        assert_eq!(last_of(BUCKETS - 1), u64::MAX);
    }

    #[test]
    fn without_a_value_everything_is_zero() {
        let histogram = Histogram::default();
        assert_eq!((histogram.count(), histogram.max(), histogram.mean(), histogram.percentile(50.0)), (0, 0, 0, 0));
    }

    #[test]
    fn percentiles_mean_and_maximum_are_those_of_the_values() {
        let mut histogram = Histogram::default();
        (1..=1_000).for_each(|value| histogram.record(value));
        assert_eq!((histogram.count(), histogram.max(), histogram.mean()), (1_000, 1_000, 500));
        for (percent, exact) in [(0.0, 1), (50.0, 500), (99.0, 990), (100.0, 1_000), (f64::NAN, 1_000), (-5.0, 1), (200.0, 1_000)] {
            let found = histogram.percentile(percent);
            assert!(found >= exact && found <= exact + exact / 8, "{percent}: {found}");
        }
    }

    proptest! {
        #[test]
        fn a_bucket_is_at_most_an_eighth_wide(value: u64) {
            let last = last_of(bucket_of(value));
            prop_assert!(last >= value && last - value <= value / 8, "{} {}", value, last);
        }
    }
}
