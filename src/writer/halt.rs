//! Why a writer stopped for good, and who is told.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::error::EventStoreError;

/// Why a writer stopped: after it nothing is acknowledged any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HaltReason {
    /// A message could not be taken in for too long, because the store did not get on.
    BackpressureStall {
        /// How long it had waited.
        stalled_for: Duration,
        /// The time that was allowed.
        threshold: Duration,
    },
    /// The disk refused a write, a sync or the space for them.
    BackendDisk(String),
    /// The store found bytes that are not what was written there.
    BackendCorrupted(String),
    /// The store failed, or panicked, in another way.
    BackendError(String),
}

impl HaltReason {
    /// The reason that stands for an error of the store.
    #[must_use]
    pub fn from_backend_error(error: &EventStoreError) -> Self {
        match error {
            EventStoreError::Disk(text) => Self::BackendDisk(text.clone()),
            EventStoreError::Corrupted(corruption) => Self::BackendCorrupted(corruption.to_string()),
            other => Self::BackendError(other.to_string()),
        }
    }

    /// The error that stands for the reason.
    pub(super) fn to_error(&self) -> EventStoreError {
        match self {
            Self::BackendDisk(text) => EventStoreError::Disk(format!("the writer has halted: {text}")),
            Self::BackendCorrupted(_) | Self::BackendError(_) | Self::BackpressureStall { .. } => {
                EventStoreError::Backend(format!("the writer has halted: {self}"))
            }
        }
    }
}

impl fmt::Display for HaltReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BackpressureStall { stalled_for, threshold } => {
                write!(formatter, "a message waited {stalled_for:?} for the store to take it, and {threshold:?} are allowed")
            }
            Self::BackendDisk(text) => write!(formatter, "disk: {text}"),
            Self::BackendCorrupted(text) | Self::BackendError(text) => formatter.write_str(text),
        }
    }
}

impl std::error::Error for HaltReason {}

/// Called once, with the first reason for which a writer stops.
///
/// It is called on the writer thread, or, where a message waited too long, on the thread that submitted it. Nothing is
/// locked meanwhile, and a panic in it is caught and dropped. It must not wait for the writer.
pub type HaltCallback = Arc<dyn Fn(HaltReason) + Send + Sync>;

/// A callback that does nothing.
#[must_use]
pub fn noop_halt() -> HaltCallback {
    Arc::new(|_| {})
}

/// Remembers the first reason for which a writer stopped, for an engine that looks instead of being called.
#[derive(Debug, Clone, Default)]
pub struct HaltSignal {
    reason: Arc<OnceLock<HaltReason>>,
}

impl HaltSignal {
    /// A signal that was not given.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The callback that gives it. The first reason stays.
    #[must_use]
    pub fn callback(&self) -> HaltCallback {
        let reason = self.reason.clone();
        Arc::new(move |first| {
            let _ = reason.set(first);
        })
    }

    /// Whether it was given.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        self.reason.get().is_some()
    }

    /// The first reason, if it was given.
    #[must_use]
    pub fn reason(&self) -> Option<HaltReason> {
        self.reason.get().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Corruption;

    #[test]
    fn an_error_of_the_store_has_its_kind_of_reason() {
        let corruption = Corruption::at(std::path::Path::new("file"), 7, "this", "that".to_owned());
        for (error, expected) in [
            (EventStoreError::Disk("full".to_owned()), HaltReason::BackendDisk("full".to_owned())),
            (corruption.clone().into(), HaltReason::BackendCorrupted(corruption.to_string())),
            (EventStoreError::Closed, HaltReason::BackendError(EventStoreError::Closed.to_string())),
        ] {
            assert_eq!(HaltReason::from_backend_error(&error), expected);
        }
    }

    #[test]
    fn the_first_reason_stays() {
        let signal = HaltSignal::new();
        assert!(!signal.is_halted() && signal.reason().is_none());
        signal.callback()(HaltReason::BackendDisk("first".to_owned()));
        signal.clone().callback()(HaltReason::BackendDisk("second".to_owned()));
        assert!(signal.is_halted());
        assert_eq!(signal.reason(), Some(HaltReason::BackendDisk("first".to_owned())));
        noop_halt()(HaltReason::BackendDisk("third".to_owned()));
    }
}
