//! How the command ends: 0 done, 1 something is corrupt, 2 could not run.

use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

use tapelog::EventStoreError;

/// What a subcommand that ran to its end found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Everything was done, and nothing is wrong.
    #[default]
    Done,
    /// Something that was asked for could not be done; it has been reported.
    Incomplete,
    /// Bytes on disk are not what was written there; it has been reported.
    Corrupt,
}

impl Verdict {
    /// The exit code that stands for it.
    pub fn exit_code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Done => 0,
            Self::Corrupt => 1,
            Self::Incomplete => 2,
        })
    }

    /// What a store's error makes of the end.
    pub fn of(error: &EventStoreError) -> Self {
        match error {
            EventStoreError::Corrupted(_) | EventStoreError::HashMismatch { .. } | EventStoreError::Gap { .. } => Self::Corrupt,
            _ => Self::Incomplete,
        }
    }
}

/// Why a subcommand could not go on.
#[derive(Debug)]
pub struct Failure {
    /// What to tell.
    pub message: String,
    /// What to make of the end.
    pub verdict: Verdict,
}

impl Failure {
    /// Something that could not be done.
    pub fn new(message: impl Display) -> Self {
        Self { message: message.to_string(), verdict: Verdict::Incomplete }
    }

    /// What a store refused or found at `path`.
    pub fn at(path: &Path, error: &EventStoreError) -> Self {
        let shown = path.display().to_string();
        let message = error.to_string();
        // Most errors name the path already.
        let message = if message.contains(&shown) { message } else { format!("{shown}: {message}") };
        Self { message, verdict: Verdict::of(error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_corruption_and_anything_else_is_not() {
        assert_eq!(Verdict::of(&EventStoreError::HashMismatch { seq: 1 }), Verdict::Corrupt);
        assert_eq!(Verdict::of(&EventStoreError::Corrupted(Box::default())), Verdict::Corrupt);
        assert_eq!(Verdict::of(&EventStoreError::Disk(String::new())), Verdict::Incomplete);
        assert_eq!(Verdict::of(&EventStoreError::Closed), Verdict::Incomplete);
    }

    #[test]
    fn a_path_is_named_once() {
        let path = Path::new("/runs/x");
        let named = EventStoreError::Backend("cannot open /runs/x: gone".to_owned());
        assert_eq!(Failure::at(path, &named).message, "cannot open /runs/x: gone");
        assert!(Failure::at(path, &EventStoreError::Closed).message.starts_with("/runs/x: "));
    }
}
