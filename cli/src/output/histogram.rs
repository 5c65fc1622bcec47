//! How entries lie over time, for the terminal.
//!
//! Nothing has to be known beforehand: the times may come in any order, and the bins become wider as the span grows.
//! Memory is bounded by the number of bins, however many times there are.

use std::collections::BTreeMap;
use std::io::{self, Write};

use tapelog::UnixNanos;

use super::time::TimeForm;

/// Most bins that are kept; a bucket that is shown takes in many of them, so that its edges are nearly exact.
const BINS_MAX: u64 = 4096;

/// A block is filled in eighths, from the bottom.
const EIGHTHS: [char; 9] = [' ', '\u{2581}', '\u{2582}', '\u{2583}', '\u{2584}', '\u{2585}', '\u{2586}', '\u{2587}', '\u{2588}'];

/// Counts over time.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    /// A bin is 2^shift nanoseconds wide, and its number is the time shifted.
    shift: u32,
    bins: BTreeMap<u64, u64>,
    /// The first and the last time.
    span: Option<(u64, u64)>,
}

impl Histogram {
    /// Counts one more entry at `time`.
    pub fn add(&mut self, time: UnixNanos) {
        let time = time.as_u64();
        let (first, last) = self.span.map_or((time, time), |(first, last)| (first.min(time), last.max(time)));
        self.span = Some((first, last));
        let shift_before = self.shift;
        while (last >> self.shift) - (first >> self.shift) >= BINS_MAX {
            self.shift += 1;
        }
        if self.shift > shift_before {
            let narrower = std::mem::take(&mut self.bins);
            for (bin, count) in narrower {
                *self.bins.entry(bin >> (self.shift - shift_before)).or_default() += count;
            }
        }
        *self.bins.entry(time >> self.shift).or_default() += 1;
    }

    /// The first and the last time; none before the first entry.
    pub fn span(&self) -> Option<(UnixNanos, UnixNanos)> {
        self.span.map(|(first, last)| (UnixNanos::from(first), UnixNanos::from(last)))
    }

    /// The counts of `buckets` equal parts of the span.
    pub fn buckets(&self, buckets: usize) -> Vec<u64> {
        let mut counts = vec![0; buckets];
        let Some((first, last)) = self.span else { return counts };
        let len = u128::from(last - first) + 1;
        for (bin, count) in &self.bins {
            let since_first = (bin << self.shift).max(first) - first;
            let bucket = u128::from(since_first) * buckets as u128 / len;
            if let Some(bucket) = usize::try_from(bucket).ok().and_then(|bucket| counts.get_mut(bucket)) {
                *bucket += count;
            }
        }
        counts
    }

    /// Writes `buckets` columns of blocks that are `height` lines high, and below them when they begin and end, in
    /// `form`.
    /// Without an entry nothing is written.
    ///
    /// # Errors
    ///
    /// Those of `output`.
    pub fn write(&self, buckets: usize, height: usize, form: TimeForm, output: &mut impl Write) -> io::Result<()> {
        let Some((first, last)) = self.span() else { return Ok(()) };
        let counts = self.buckets(buckets);
        let fills: Vec<usize> = counts.iter().map(|count| fill(*count, counts.iter().copied().max().unwrap_or(0), height)).collect();
        for line in (0..height).rev() {
            let blocks: String = fills.iter().map(|fill| block(fill.saturating_sub(line * 8))).collect();
            writeln!(output, "{}", blocks.trim_end())?;
        }
        let (first, last) = (form.of(first), form.of(last));
        let gap = buckets.saturating_sub(first.len() + last.len()).max(2);
        writeln!(output, "{first}{:gap$}{last}", "")
    }
}

/// How many eighths of a block stand for `count`. Whatever is there at all can be seen.
fn fill(count: u64, most: u64, height: usize) -> usize {
    if count == 0 {
        return 0;
    }
    let fill = u128::from(count) * 8 * height as u128 / u128::from(most.max(1));
    usize::try_from(fill).unwrap_or(usize::MAX).max(1)
}

fn block(eighths: usize) -> char {
    EIGHTHS.get(eighths.min(8)).copied().unwrap_or(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(times: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::default();
        times.into_iter().for_each(|time| histogram.add(UnixNanos::from(time)));
        histogram
    }

    fn written(histogram: &Histogram, buckets: usize, height: usize) -> String {
        let mut output = Vec::new();
        histogram.write(buckets, height, TimeForm::Rfc3339, &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn every_entry_is_counted_once_in_whatever_order_they_come() {
        let times = || (0..100_000).map(|number| 1_700_000_000_000_000_000 + number * 1_000_000);
        let forward = histogram(times());
        let backward = histogram(times().rev());
        assert_eq!(forward.buckets(10).iter().sum::<u64>(), 100_000);
        assert_eq!(forward.buckets(10), backward.buckets(10));
        assert!(forward.buckets(10).iter().all(|count| count.abs_diff(10_000) < 100), "{:?}", forward.buckets(10));
    }

    #[test]
    fn the_bins_are_bounded_over_the_longest_span() {
        let histogram = histogram((0..10_000).map(|number| number * (u64::MAX / 9_999)).chain([u64::MAX]));
        assert!(histogram.bins.len() as u64 <= BINS_MAX, "{}", histogram.bins.len());
        assert_eq!(histogram.buckets(7).iter().sum::<u64>(), 10_001);
    }

    #[test]
    fn one_time_alone_has_a_place() {
        let histogram = histogram([5, 5, 5]);
        assert_eq!(histogram.buckets(4), [3, 0, 0, 0]);
        assert_eq!(histogram.span(), Some((UnixNanos::from(5), UnixNanos::from(5))));
    }

    #[test]
    fn without_an_entry_there_is_nothing_to_see() {
        assert_eq!(written(&Histogram::default(), 10, 2), "");
        assert_eq!(Histogram::default().buckets(2), [0, 0]);
    }

    #[test]
    fn columns_are_as_high_as_their_counts_and_none_that_holds_something_is_empty() {
        let times = [vec![0; 16], vec![1; 8], vec![3; 1]].concat();
        let expected = "\u{2588}\n\u{2588}\u{2588} \u{2581}\n1970-01-01T00:00:00.000000000Z  1970-01-01T00:00:00.000000003Z\n";
        assert_eq!(written(&histogram(times), 4, 2), expected);
    }

    #[test]
    fn the_end_stands_below_the_last_column() {
        let shown = written(&histogram([0, 1]), 80, 1);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[1].chars().count(), 80);
        assert!(lines[1].ends_with("000000001Z"), "{shown}");
    }
}
