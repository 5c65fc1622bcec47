//! The latch: after the first failure that leaves the state of the disk in doubt, nothing is
//! acknowledged any more and nothing is tried again.

use std::sync::OnceLock;

use crate::error::EventStoreError;
use crate::seeded_bug::SeededBug;

/// Closed once, for ever.
#[derive(Debug, Default)]
pub(crate) struct Latch {
    reason: OnceLock<EventStoreError>,
}

impl Latch {
    /// Closes the latch; the first reason stays. Returns the error to answer with.
    pub(crate) fn close(&self, reason: EventStoreError) -> EventStoreError {
        let _ = self.reason.set(reason.clone());
        reason
    }

    /// The error of everything that is asked after the latch closed.
    pub(crate) fn check(&self) -> Result<(), EventStoreError> {
        match self.reason.get() {
            Some(reason) if !SeededBug::LatchLeftOpen.is_on() => Err(latched(reason)),
            _ => Ok(()),
        }
    }
}

fn latched(reason: &EventStoreError) -> EventStoreError {
    let advice = "nothing is written any more since an earlier failure; open the run again to recover it";
    match reason {
        EventStoreError::Disk(text) => EventStoreError::Disk(format!("{advice}: {text}")),
        other => EventStoreError::Backend(format!("{advice}: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stays_and_keeps_its_kind() {
        let latch = Latch::default();
        latch.check().unwrap();
        latch.close(EventStoreError::Disk("first".to_owned()));
        latch.close(EventStoreError::Backend("second".to_owned()));
        let error = latch.check().unwrap_err();
        assert!(matches!(&error, EventStoreError::Disk(text) if text.contains("first")), "{error:?}");
    }
}
