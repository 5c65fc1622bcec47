//! Spans and rates for people. Bytes and counts are `indicatif`'s.

use std::time::Duration;

use indicatif::HumanCount;

const SECOND: u64 = 1_000_000_000;

/// Two units of `nanos` nanoseconds, from the largest that it reaches: `1d 2h`, `3m 4s`; below a minute one unit.
pub fn span(nanos: u64) -> String {
    let seconds = nanos / SECOND;
    if seconds < 60 {
        return format!("{:.1?}", Duration::from_nanos(nanos));
    }
    let units = [(86_400, "d", 3_600, "h"), (3_600, "h", 60, "m"), (60, "m", 1, "s")];
    let (large, large_name, small, small_name) = units.into_iter().find(|(large, ..)| seconds >= *large).unwrap_or((60, "m", 1, "s"));
    format!("{}{large_name} {}{small_name}", seconds / large, seconds % large / small)
}

/// `count` in `nanos` nanoseconds, as a number a second; none where no time has passed.
#[expect(clippy::cast_precision_loss, reason = "a rate is shown to a few digits")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is not negative, and rounding it is meant")]
pub fn rate(count: u64, nanos: u64) -> Option<String> {
    if nanos == 0 {
        return None;
    }
    let a_second = count as f64 * SECOND as f64 / nanos as f64;
    Some(if a_second >= 100.0 { format!("{}/s", HumanCount(a_second.round() as u64)) } else { format!("{a_second:.2}/s") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_the_two_largest_units() {
        for (nanos, shown) in [
            (0, "0.0ns"),
            (1_500, "1.5\u{b5}s"),
            (59 * SECOND, "59.0s"),
            (61 * SECOND, "1m 1s"),
            (3_600 * SECOND, "1h 0m"),
            (86_399 * SECOND, "23h 59m"),
            (90_000 * SECOND, "1d 1h"),
            (u64::MAX, "213503d 23h"),
        ] {
            assert_eq!(span(nanos), shown);
        }
    }

    #[test]
    fn a_rate_is_a_number_a_second() {
        assert_eq!(rate(1_234_567, SECOND).as_deref(), Some("1,234,567/s"));
        assert_eq!(rate(1, 8 * SECOND).as_deref(), Some("0.12/s"));
        assert_eq!(rate(0, SECOND).as_deref(), Some("0.00/s"));
        assert_eq!(rate(1, 0), None);
    }
}
