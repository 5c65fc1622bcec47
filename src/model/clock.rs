//! Where the time comes from.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::UnixNanos;

/// A source of the time, chosen by the engine, so that a simulated engine writes simulated times.
pub trait Clock: Send + Sync + Debug {
    /// The time now. It may stand still or go back; who needs it monotonic sees to that himself.
    fn now(&self) -> UnixNanos;
}

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    /// The time now; the epoch when the system's clock is set to before it.
    fn now(&self) -> UnixNanos {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixNanos::new(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// A clock that moves only when it is told to, for tests.
#[derive(Debug, Default)]
pub struct ManualClock {
    nanos: AtomicU64,
}

impl ManualClock {
    /// A clock that shows `time`.
    #[must_use]
    pub const fn new(time: UnixNanos) -> Self {
        Self { nanos: AtomicU64::new(time.as_u64()) }
    }

    /// Puts the clock to `time`, which may lie before the time it shows.
    pub fn set(&self, time: UnixNanos) {
        self.nanos.store(time.as_u64(), Ordering::SeqCst);
    }

    /// Moves the clock forward by `nanos` nanoseconds, at most to the last time there is.
    pub fn advance(&self, nanos: u64) {
        let _ = self.nanos.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| Some(now.saturating_add(nanos)));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixNanos {
        UnixNanos::new(self.nanos.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_is_past_the_year_2020() {
        assert!(SystemClock.now().as_u64() > 1_577_836_800_000_000_000);
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::new(UnixNanos::from(5));
        assert_eq!(clock.now().as_u64(), 5);
        clock.advance(7);
        assert_eq!(clock.now().as_u64(), 12);
        clock.set(UnixNanos::from(3));
        assert_eq!(clock.now().as_u64(), 3);
    }

    #[test]
    fn a_manual_clock_stops_at_the_last_time_there_is() {
        let clock = ManualClock::new(UnixNanos::from(u64::MAX - 1));
        clock.advance(5);
        assert_eq!(clock.now().as_u64(), u64::MAX);
    }
}
