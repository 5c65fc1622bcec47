//! How one message came from another.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The ids that tie a message to others. Both are optional, and replay never invents one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Headers {
    /// Shared by all messages that belong to one logical action.
    pub correlation_id: Option<Uuid>,
    /// The message that this one is a direct consequence of.
    pub causation_id: Option<Uuid>,
}

impl Headers {
    /// Headers without any id.
    #[must_use]
    pub const fn empty() -> Self {
        Self { correlation_id: None, causation_id: None }
    }

    /// Whether no id is set.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.correlation_id.is_none() && self.causation_id.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_empty() {
        assert!(Headers::default().is_empty());
        assert_eq!(Headers::default(), Headers::empty());
    }

    #[test]
    fn either_id_makes_them_not_empty() {
        assert!(!Headers { correlation_id: Some(Uuid::nil()), causation_id: None }.is_empty());
        assert!(!Headers { correlation_id: None, causation_id: Some(Uuid::nil()) }.is_empty());
    }
}
