//! What a message is refused for, and what waiting for it can end in.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use super::halt::HaltReason;
use crate::error::EventStoreError;

/// Why a message was not taken in. Nothing of it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The writer was closed, or has halted: its halt callback was given the reason.
    #[error("the writer takes no more messages")]
    Closed,
    /// The message waited too long for room, and the writer halted because of it.
    #[error("the message waited {stalled_for:?} for room, and {threshold:?} are allowed: the writer has halted")]
    HaltSignaled {
        /// How long it waited.
        stalled_for: Duration,
        /// The time that was allowed.
        threshold: Duration,
    },
    /// The message waited too long for room. The writer goes on, and it can be submitted again.
    #[error("the message waited {stalled_for:?} for room, and {threshold:?} are allowed: submit it again, or later")]
    Stalled {
        /// How long it waited.
        stalled_for: Duration,
        /// The time that was allowed.
        threshold: Duration,
    },
    /// The message is over a bound of [`crate::limits`].
    #[error(transparent)]
    Limit(EventStoreError),
}

/// Why a message was not taken in at once, with the message itself.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TrySubmitError<T> {
    /// There is no room now.
    #[error("there is no room for the message now")]
    Full(T),
    /// The writer was closed, or has halted.
    #[error("the writer takes no more messages")]
    Closed(T),
    /// The message is over a bound of [`crate::limits`].
    #[error("{error}")]
    Limit {
        /// The message.
        draft: T,
        /// What is over its bound.
        error: EventStoreError,
    },
}

impl<T> TrySubmitError<T> {
    /// The message.
    pub fn into_draft(self) -> T {
        match self {
            Self::Full(draft) | Self::Closed(draft) | Self::Limit { draft, .. } => draft,
        }
    }
}

/// Why an entry that was submitted is not known to be durable.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitError {
    /// The time is up. The entry may still become durable.
    TimedOut,
    /// The writer has halted. The entry was not acknowledged; whether it survived is found out when the run is recovered.
    Halted(HaltReason),
    /// The writer ended, or was given up, before the entry: no entry of that number became durable.
    Closed,
}

impl fmt::Display for WaitError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => formatter.write_str("the entry was not durable in time"),
            Self::Halted(reason) => write!(formatter, "the writer has halted, and the entry was not acknowledged: {reason}"),
            Self::Closed => formatter.write_str("the writer has ended, and the entry was not acknowledged"),
        }
    }
}

impl std::error::Error for WaitError {}

impl From<WaitError> for EventStoreError {
    fn from(error: WaitError) -> Self {
        match &error {
            WaitError::Halted(reason) => reason.to_error(),
            WaitError::Closed => Self::Closed,
            WaitError::TimedOut => Self::Backend(error.to_string()),
        }
    }
}

impl<T> From<TrySubmitError<T>> for EventStoreError {
    fn from(error: TrySubmitError<T>) -> Self {
        match error {
            TrySubmitError::Closed(_) => Self::Closed,
            TrySubmitError::Limit { error, .. } => error,
            TrySubmitError::Full(_) => Self::Backend("there is no room for the message now".to_owned()),
        }
    }
}

impl From<SubmitError> for EventStoreError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Closed => Self::Closed,
            SubmitError::Limit(error) => error,
            SubmitError::HaltSignaled { .. } | SubmitError::Stalled { .. } => Self::Backend(error.to_string()),
        }
    }
}
