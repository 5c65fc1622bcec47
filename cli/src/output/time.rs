//! Points in time, out.

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use tapelog::UnixNanos;

/// The form of times in text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TimeForm {
    /// RFC 3339 in UTC, with nine digits of the second
    Rfc3339,
    /// Whole nanoseconds since 1970
    Nanos,
}

/// The option by which the form of times in text is chosen.
#[derive(Debug, Clone, Copy, Args)]
pub struct TimeArguments {
    /// The form of times in text [default: rfc3339]
    #[arg(long, value_name = "FORM", value_enum, conflicts_with = "json")]
    time: Option<TimeForm>,
}

impl TimeArguments {
    /// What is asked for.
    pub fn form(self) -> TimeForm {
        self.time.unwrap_or(TimeForm::Rfc3339)
    }

    /// Whether a form is asked for.
    pub fn is_given(self) -> bool {
        self.time.is_some()
    }
}

impl TimeForm {
    /// `time` in this form.
    pub fn of(self, time: UnixNanos) -> String {
        match self {
            Self::Rfc3339 => rfc3339(time),
            Self::Nanos => time.to_string(),
        }
    }
}

/// `time` as RFC 3339 in UTC, with all nine digits of the nanoseconds.
fn rfc3339(time: UnixNanos) -> String {
    match Timestamp::from_nanosecond(i128::from(time.as_u64())) {
        Ok(timestamp) => format!("{timestamp:.9}"),
        Err(_) => time.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_shown_to_the_nanosecond() {
        assert_eq!(rfc3339(UnixNanos::from(0)), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(rfc3339(UnixNanos::from(1_700_000_000_000_000_001)), "2023-11-14T22:13:20.000000001Z");
        assert_eq!(rfc3339(UnixNanos::from(u64::MAX)), "2554-07-21T23:34:33.709551615Z");
    }

    #[test]
    fn either_form_is_exact() {
        let time = UnixNanos::from(1_700_000_000_000_000_001);
        assert_eq!(TimeForm::Rfc3339.of(time), "2023-11-14T22:13:20.000000001Z");
        assert_eq!(TimeForm::Nanos.of(time), "1700000000000000001");
    }
}
