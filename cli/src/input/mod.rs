//! Events from the outside: lines of JSON, one event a line.
//!
//! Nothing that a line holds can make the command fail in any other way than with the line's number,
//! the field and the reason; and nothing in a line that is accepted is lost or changed.

mod base64;
mod event;
mod json;
mod line;
mod source;
mod time;

pub use event::{Event, parse_event};
pub use json::compact;
pub use line::{Line, Lines};
pub use source::{Input, Source};
pub use time::parse_time_argument;

use std::fmt;

/// Longest line that is read, in bytes: the largest payload fits in any form, with its escapes.
pub const LINE_LEN_MAX: usize = 2 * tapelog::limits::PAYLOAD_LEN_MAX;

/// Longest reason, in characters.
const REASON_LEN_MAX: usize = 400;

/// Why a line is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The field at fault, where it is one.
    pub field: Option<&'static str>,
    /// What is wrong with it.
    pub reason: String,
}

impl Refusal {
    /// The line as a whole is at fault.
    pub fn of_line(reason: impl Into<String>) -> Self {
        Self { field: None, reason: bounded(reason.into()) }
    }

    /// One field is at fault.
    pub fn of_field(field: &'static str, reason: impl Into<String>) -> Self {
        Self { field: Some(field), reason: bounded(reason.into()) }
    }
}

/// A reason may quote the line, and a line may be long.
fn bounded(mut reason: String) -> String {
    if let Some((end, _)) = reason.char_indices().nth(REASON_LEN_MAX) {
        reason.truncate(end);
        reason.push_str("...");
    }
    reason
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field {
            Some(field) => write!(formatter, "{field}: {}", self.reason),
            None => formatter.write_str(&self.reason),
        }
    }
}

/// A line that was refused, with its number from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// The line's number.
    pub number: u64,
    /// Why it was refused.
    pub refusal: Refusal,
}

impl fmt::Display for BadLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}: {}", self.number, self.refusal)
    }
}
