//! A point in time.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A point in time, in nanoseconds since the Unix epoch.
///
/// Serialises as a plain `u64`. The largest value lies in the year 2554.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixNanos(u64);

impl UnixNanos {
    /// The time that is `nanos` nanoseconds after the Unix epoch.
    #[must_use]
    pub const fn new(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn as_u64(&self) -> u64 {
        self.0
    }
}

impl From<u64> for UnixNanos {
    fn from(nanos: u64) -> Self {
        Self(nanos)
    }
}

impl From<UnixNanos> for u64 {
    fn from(time: UnixNanos) -> Self {
        time.0
    }
}

impl fmt::Display for UnixNanos {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_epoch() {
        assert_eq!(UnixNanos::default().as_u64(), 0);
    }

    #[test]
    fn it_serialises_as_a_plain_u64() {
        let config = bincode::config::standard();
        let time = UnixNanos::from(1_700_000_000_000_000_000);
        let bytes = bincode::serde::encode_to_vec(time, config).unwrap();
        assert_eq!(bytes, bincode::serde::encode_to_vec(time.as_u64(), config).unwrap());
        let (read, _) = bincode::serde::decode_from_slice::<UnixNanos, _>(&bytes, config).unwrap();
        assert_eq!(read, time);
    }

    #[test]
    fn it_is_shown_as_the_number() {
        assert_eq!(UnixNanos::from(42).to_string(), "42");
    }
}
