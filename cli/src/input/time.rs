//! A point in time: whole nanoseconds since the epoch, or RFC 3339.

use jiff::Timestamp;
use serde_json::value::RawValue;
use tapelog::UnixNanos;

use super::json;

/// The time that a JSON value stands for.
///
/// # Errors
///
/// Why it stands for none.
pub fn parse_time(value: &RawValue) -> Result<UnixNanos, String> {
    let text = value.get();
    if text.starts_with('"') {
        return parse_rfc3339(&json::text(value)?);
    }
    if !is_whole(text) {
        return Err(format!("expected whole nanoseconds since 1970 or an RFC 3339 text, found {}", json::shorten(text)));
    }
    parse_nanos(text)
}

/// The time that an argument stands for, which has no quotes by which to tell the two forms apart.
///
/// # Errors
///
/// Why it stands for none.
pub fn parse_time_argument(text: &str) -> Result<UnixNanos, String> {
    if is_whole(text) { parse_nanos(text) } else { parse_rfc3339(&completed(text)) }
}

/// RFC 3339 for what people type: a day alone begins at midnight, a space may stand for the `T`, and without an offset
/// it is UTC, as all times that are shown.
fn completed(text: &str) -> String {
    let is_day = |text: &str| {
        text.bytes().enumerate().all(|(index, byte)| if matches!(index, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() })
    };
    let Some((day, time)) = text.split_at_checked(10).filter(|(day, _)| is_day(day)) else { return text.to_owned() };
    if time.is_empty() {
        return format!("{day}T00:00:00Z");
    }
    let Some(time) = time.strip_prefix([' ', 'T', 't']) else { return text.to_owned() };
    let has_offset = time.contains(['Z', 'z', '+', '-']);
    format!("{day}T{time}{}", if has_offset { "" } else { "Z" })
}

fn is_whole(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn parse_nanos(digits: &str) -> Result<UnixNanos, String> {
    digits.parse().map(UnixNanos::new).map_err(|_| format!("{} nanoseconds do not fit 64 bits", json::shorten(digits)))
}

/// The time that RFC 3339 `text` stands for.
///
/// # Errors
///
/// Why it stands for none.
fn parse_rfc3339(text: &str) -> Result<UnixNanos, String> {
    check_shape(text)?;
    let time: Timestamp = text.parse().map_err(|error| format!("{} is not an RFC 3339 time: {error}", json::shorten(text)))?;
    u64::try_from(time.as_nanosecond())
        .map(UnixNanos::new)
        .map_err(|_| format!("{text} lies outside of 1970 to 2554, which 64 bits of nanoseconds span"))
}

/// The parser takes more than RFC 3339 has, and makes of a leap second the second before it.
fn check_shape(text: &str) -> Result<(), String> {
    if !has_shape(text) {
        return Err(format!(
            "{} is not an RFC 3339 time, such as 2026-01-05T14:30:00.000000001Z or 2026-01-05T16:30:00+02:00",
            json::shorten(text)
        ));
    }
    if text.get(17..19) == Some("60") {
        return Err(format!("{} is a leap second, which has no place of its own among the nanoseconds since 1970", json::shorten(text)));
    }
    Ok(())
}

/// Whether `text` is a date and a time with an offset, as RFC 3339 writes them; whether there is such a day is not judged.
fn has_shape(text: &str) -> bool {
    let Some((_, rest)) = text.split_at_checked(19).filter(|(time, _)| fits(time, "0000-00-00T00:00:00")) else { return false };
    let fraction = rest.strip_prefix('.');
    let offset = fraction.map_or(rest, |fraction| fraction.trim_start_matches(|digit: char| digit.is_ascii_digit()));
    if fraction.is_some_and(|fraction| fraction.len() == offset.len()) {
        return false;
    }
    let is_offset = |offset: &str| fits(offset, "00:00") && offset.get(..2) < Some("24") && offset.get(3..) < Some("60");
    matches!(offset, "Z" | "z") || offset.strip_prefix(['+', '-']).is_some_and(is_offset)
}

/// Whether `text` is as long as `shape` and has a digit wherever that has one, and else the same letters.
fn fits(text: &str, shape: &str) -> bool {
    let fit = |(byte, wanted): (u8, u8)| if wanted == b'0' { byte.is_ascii_digit() } else { byte.eq_ignore_ascii_case(&wanted) };
    text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(fit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(json: &str) -> Result<u64, String> {
        parse_time(&RawValue::from_string(json.to_owned()).unwrap()).map(|time| time.as_u64())
    }

    #[test]
    fn whole_nanoseconds_are_taken_as_they_are() {
        assert_eq!(time("0"), Ok(0));
        assert_eq!(time("1700000000000000001"), Ok(1_700_000_000_000_000_001));
        assert_eq!(time("18446744073709551615"), Ok(u64::MAX));
    }

    #[test]
    fn rfc3339_is_exact_to_the_nanosecond() {
        assert_eq!(time(r#""1970-01-01T00:00:00Z""#), Ok(0));
        assert_eq!(time(r#""2023-11-14T22:13:20.000000001Z""#), Ok(1_700_000_000_000_000_001));
        assert_eq!(time(r#""2023-11-15T00:13:20.000000001+02:00""#), Ok(1_700_000_000_000_000_001));
    }

    #[test]
    fn an_argument_is_either_form_without_quotes() {
        assert_eq!(parse_time_argument("17"), Ok(UnixNanos::from(17)));
        assert_eq!(parse_time_argument("1970-01-01T00:00:01Z"), Ok(UnixNanos::from(1_000_000_000)));
        for (text, full) in [
            ("2026-01-05", "2026-01-05T00:00:00Z"),
            ("2026-01-05 15:00:00", "2026-01-05T15:00:00Z"),
            ("2026-01-05T15:00:00.5", "2026-01-05T15:00:00.5Z"),
            ("2026-01-05 15:00:00+02:00", "2026-01-05T13:00:00Z"),
            ("2026-01-05 15:00:00Z", "2026-01-05T15:00:00Z"),
            ("2026-01-05t15:00:00z", "2026-01-05T15:00:00Z"),
            ("2026-01-05T15:00:00-00:00", "2026-01-05T15:00:00Z"),
            ("2026-01-05T15:00:00.123456789+23:59", "2026-01-04T15:01:00.123456789Z"),
        ] {
            assert_eq!(parse_time_argument(text), parse_rfc3339(full), "{text}");
            assert!(parse_time_argument(text).is_ok(), "{text}");
        }
        for wrong in [
            "2026-13-01",
            "2026-01-05x",
            "2026-01-05 15",
            "2026-01-05 ",
            "2026-01-05[UTC]",
            "2026-01-05Z",
            "2026-01-05 15:00:00+25:00",
            "2026-01-05T15:00:00+02",
            "2026-01-05T15:00:00+0200",
            "2026-01-05T15:00:00+02:00:30",
            "2026-01-05T15:00:00,5",
            "2026-01-05T15:00:00,5Z",
        ] {
            assert!(parse_time_argument(wrong).is_err(), "{wrong}");
        }
        assert!(parse_time_argument("18446744073709551616").unwrap_err().contains("do not fit 64 bits"));
        for wrong in ["", "tomorrow", "-1", "+1", "1.5", "1e9", "\"17\""] {
            assert!(parse_time_argument(wrong).unwrap_err().contains("is not an RFC 3339 time"), "{wrong}");
        }
    }

    #[test]
    fn what_would_be_rounded_or_cut_is_refused() {
        for json in [
            "1.5",
            "1.7e18",
            "1E3",
            "-1",
            "18446744073709551616",
            "true",
            "[1]",
            r#""""#,
            r#""1700000000000000000""#,
            r#""yesterday""#,
            r#""2023-11-14T22:13:20""#,
            r#""2023-11-14T22:13:20.0000000001Z""#,
            r#""1969-12-31T23:59:59Z""#,
            r#""2600-01-01T00:00:00Z""#,
            r#""2016-12-31T23:59:60Z""#,
            r#""20231114T221320Z""#,
            r#""2023-11-14 22:13:20Z""#,
            r#""2023-11-14T22:13:20Z[UTC]""#,
            r#""2023-11-14""#,
            r#""2023-11-14T22:13:20+25:00""#,
            r#""2023-11-14T22:13:20+24:00""#,
            r#""2023-11-14T22:13:20+02:60""#,
            r#""2023-11-14T22:13:20+02""#,
            r#""2023-11-14T22:13:20-0200""#,
            r#""2023-11-14T22:13:20+02:00:30""#,
            r#""2023-11-14T22:13:20+2:00""#,
            r#""2023-11-14T22:13:20,5Z""#,
            r#""2023-11-14T22:13:20.Z""#,
            r#""2023-11-14T22:13:20 Z""#,
            r#""2023-11-14T22:13:20ZZ""#,
            r#""2023-11-14T22:13:20Z ""#,
            r#"" 2023-11-14T22:13:20Z""#,
            r#""2023-11-31T22:13:20Z""#,
            "\"\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\"",
        ] {
            assert!(time(json).is_err(), "{json} was taken");
        }
    }
}
