//! How the command ends: 0 done, 1 something is corrupt, 2 could not run.

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use tapelog::EventStoreError;

/// What a subcommand that ran to its end found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Everything was done, and nothing is wrong.
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
pub enum Failure {
    /// What to tell, and what to make of the end.
    Told(String, Verdict),
    /// Nobody reads the output any more: the end, and not a failure.
    OutputClosed,
}

impl Failure {
    /// Something that could not be done.
    pub fn new(message: impl Display) -> Self {
        Self::Told(message.to_string(), Verdict::Incomplete)
    }

    /// What a store refused or found at `path`.
    pub fn at(path: &Path, error: &EventStoreError) -> Self {
        let shown = path.display().to_string();
        let message = error.to_string();
        // Most errors name the path already.
        let told = if message.contains(&shown) { message } else { format!("{shown}: {message}") };
        Self::Told(told, Verdict::of(error))
    }

    /// A failed write to the standard output.
    pub fn of_output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::OutputClosed } else { Self::new(format!("cannot write the output: {error}")) }
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
        let Failure::Told(message, _) = Failure::at(path, &EventStoreError::Backend("cannot open /runs/x: gone".to_owned())) else {
            panic!("a store's error is told")
        };
        assert_eq!(message, "cannot open /runs/x: gone");
        let Failure::Told(message, _) = Failure::at(path, &EventStoreError::Closed) else { panic!("a store's error is told") };
        assert!(message.starts_with("/runs/x: "));
    }

    #[test]
    fn a_reader_that_left_is_no_failure() {
        assert!(matches!(Failure::of_output(&io::ErrorKind::BrokenPipe.into()), Failure::OutputClosed));
        assert!(matches!(Failure::of_output(&io::ErrorKind::StorageFull.into()), Failure::Told(_, Verdict::Incomplete)));
    }
}
