//! When a session ends its run to go on in another, and what that other one is.

use std::time::Duration;

use crate::error::EventStoreError;
use crate::limits::{ROTATION_AGE_MIN, ROTATION_LEN_MIN, ROTATION_TIME_SLACK};
use crate::model::{RunManifest, UnixNanos, build_run_id};

/// When a session goes on in another run by itself. By default it does not.
///
/// Only whole runs are ever removed, so that an engine that never stops has to change its run to free its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RotationPolicy {
    /// Once as many bytes of batches were written to the run: 64 KiB or more.
    pub len_max: Option<u64>,
    /// Once it is as old: a second or more.
    pub age_max: Option<Duration>,
}

impl RotationPolicy {
    /// Checks each bound.
    ///
    /// # Errors
    /// `Backend`, naming the bound, its value and the least one.
    pub fn validate(&self) -> Result<(), EventStoreError> {
        let too_small = |what: &str, found: String, least: String| {
            Err(EventStoreError::Backend(format!("{what} at which a run is ended is {found}, and must be at least {least}")))
        };
        match self {
            Self { len_max: Some(len), .. } if *len < ROTATION_LEN_MIN => {
                too_small("the length in bytes", len.to_string(), ROTATION_LEN_MIN.to_string())
            }
            Self { age_max: Some(age), .. } if *age < ROTATION_AGE_MIN => {
                too_small("the age", format!("{age:?}"), format!("{ROTATION_AGE_MIN:?}"))
            }
            Self { .. } => Ok(()),
        }
    }

    /// Whether a run of this length and age has come to its end.
    pub(super) fn is_due(&self, len: u64, age: Duration) -> bool {
        self.len_max.is_some_and(|len_max| len >= len_max) || self.age_max.is_some_and(|age_max| age >= age_max)
    }

    pub(super) fn is_set(&self) -> bool {
        self.len_max.is_some() || self.age_max.is_some()
    }
}

/// The run that goes on from `parent`, begun at `now`.
///
/// Its messages come into being before they are submitted, and the first ones before the run does: its `start_ts_init`,
/// before which no entry's time lies, leaves them a minute.
pub(super) fn child_of(parent: &RunManifest, now: UnixNanos) -> RunManifest {
    let slack = u64::try_from(ROTATION_TIME_SLACK.as_nanos()).unwrap_or(u64::MAX);
    let after_parent = parent.start_ts_init.as_u64().saturating_add(1);
    let start_ts_init = UnixNanos::new(now.as_u64().saturating_sub(slack).max(after_parent));
    // The name tells when it was, and sorts behind that of the run before, though the clock stood still.
    let named = now.max(start_ts_init);
    RunManifest { run_id: build_run_id(named), parent_run_id: Some(parent.run_id.clone()), start_ts_init, ..parent.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_due_by_either_of_its_bounds() {
        let policy = RotationPolicy { len_max: Some(1 << 20), age_max: Some(Duration::from_mins(1)) };
        policy.validate().unwrap();
        let due = |len, seconds| policy.is_due(len, Duration::from_secs(seconds));
        assert_eq!([due((1 << 20) - 1, 59), due(1 << 20, 0), due(0, 60)], [false, true, true]);
        assert!(!RotationPolicy::default().is_due(u64::MAX, Duration::MAX));
    }

    #[test]
    fn a_child_begins_behind_its_parent_and_leaves_its_first_messages_time() {
        let minute = 60_000_000_000;
        let parent = RunManifest { start_ts_init: UnixNanos::new(10 * minute), ..RunManifest::new("10-a", "trader-001") };
        for (now, start) in [(20 * minute, 19 * minute), (10 * minute + 5, 10 * minute + 1), (3, 10 * minute + 1)] {
            let child = child_of(&parent, UnixNanos::new(now));
            assert_eq!((child.start_ts_init.as_u64(), child.parent_run_id.as_deref()), (start, Some("10-a")));
            assert!(child.run_id.starts_with(&format!("{}-", now.max(start))), "{}", child.run_id);
        }
    }

    #[test]
    fn bounds_that_would_rotate_without_rest_are_refused() {
        for policy in [
            RotationPolicy { len_max: Some(ROTATION_LEN_MIN - 1), age_max: None },
            RotationPolicy { len_max: None, age_max: Some(Duration::from_millis(999)) },
        ] {
            assert!(policy.validate().unwrap_err().to_string().contains("at least"), "{policy:?}");
        }
    }
}
