//! What can go wrong, as values.
//!
//! Every error names where it happened, what was expected, what was found and what to do next.
//! [`EventStoreError`] is the one error type of the traits; [`Corruption`] is the structured value
//! that its variant [`EventStoreError::Corrupted`] carries.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The error of every operation on a store.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EventStoreError {
    /// The operation was refused or failed for a reason that no other variant names.
    #[error("{0}")]
    Backend(String),
    /// Bytes on disk are not what was written there.
    #[error("{0}")]
    Corrupted(Box<Corruption>),
    /// The disk refused a write, a sync or the space for them.
    #[error("disk: {0}")]
    Disk(String),
    /// An entry was found whose bytes do not match its checksum or its hash.
    #[error("the entry with seq {seq} does not match its checksum or its hash; verify the run to see the extent of the damage")]
    HashMismatch {
        /// The entry's number.
        seq: u64,
    },
    /// A batch does not continue the log, and was rejected as a whole.
    #[error("seq {seq} does not continue the log, whose last entry is {high_watermark}")]
    OutOfOrder {
        /// The last entry of the log before the batch.
        high_watermark: u64,
        /// The first number in the batch that is not the one expected.
        seq: u64,
    },
    /// The run is sealed: it can be read, and nothing can be added to it.
    #[error("the run is sealed and takes no more records")]
    Closed,
    /// An entry that was acknowledged cannot be reached.
    #[error(
        "the entry with seq {missing} is missing: between {prev} and {next} {} cannot be reached",
        count_between(*.prev, *.next)
    )]
    Gap {
        /// The last number before the gap; 0 where it begins with the first entry.
        prev: u64,
        /// The number at which reading could go on.
        next: u64,
        /// The first number that was asked for and is missing.
        missing: u64,
    },
    /// The run was left running by an earlier process: read it, seal it, go on in a child run.
    #[error("the run was left running by an earlier process; seal it and go on in a child run")]
    CrashedPredecessor,
    /// Another process, or another store in this one, is writing this run.
    #[error("{} is held by another writer; a run has one writer at a time", .path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A value is over a bound of [`crate::limits`]; nothing was written.
    #[error("{what} is {found}, and the limit is {maximum}")]
    LimitExceeded {
        /// What was too large, with its unit.
        what: &'static str,
        /// The bound, inclusive.
        maximum: u64,
        /// What was asked for.
        found: u64,
    },
    /// A file has a format version that this build does not read.
    #[error(
        "{} has format version {found}, and this build reads version {supported}; use a build that reads version {found}",
        .path.display()
    )]
    UnsupportedVersion {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: u32,
        /// The version that this build reads and writes.
        supported: u32,
    },
    /// An id cannot name a folder.
    #[error("the {what} {value:?} is not valid: {reason}")]
    InvalidId {
        /// Which id: `instance id` or `run id`.
        what: &'static str,
        /// The id as it was given.
        value: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
}

fn count_between(prev: u64, next: u64) -> String {
    match next.saturating_sub(prev).saturating_sub(1) {
        1 => "one entry".to_owned(),
        count => format!("{count} entries"),
    }
}

impl EventStoreError {
    /// The error of a call that needs an open run.
    #[must_use]
    pub fn no_run_open() -> Self {
        Self::Backend("no run open: call open_run first".to_owned())
    }

    /// The error of an operation on `path` that the operating system refused.
    ///
    /// A full disk or quota, a file size limit, a device error and a read-only file system are
    /// [`EventStoreError::Disk`]; every other cause is [`EventStoreError::Backend`].
    #[must_use]
    pub fn from_io(doing: &str, path: &Path, error: &io::Error) -> Self {
        let text = format!("cannot {doing} {}: {error}", path.display());
        if is_disk_fault(error) { Self::Disk(text) } else { Self::Backend(text) }
    }
}

fn is_disk_fault(error: &io::Error) -> bool {
    use rustix::io::Errno;
    if matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge | io::ErrorKind::ReadOnlyFilesystem
    ) {
        return true;
    }
    error.raw_os_error().is_some_and(|code| {
        [Errno::NOSPC, Errno::DQUOT, Errno::FBIG, Errno::IO, Errno::ROFS].iter().any(|errno| errno.raw_os_error() == code)
    })
}

/// What was found where something else was expected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Corruption {
    /// The damaged file, where it is known.
    pub file: Option<PathBuf>,
    /// The byte at which the damage was noticed.
    pub offset: Option<u64>,
    /// The entry that it concerns.
    pub seq: Option<u64>,
    /// What ought to be there.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// What the operator should do next.
    pub advice: String,
}

impl Corruption {
    /// A corruption of `file`, noticed at `offset`.
    #[must_use]
    pub fn at(file: &Path, offset: u64, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { file: Some(file.to_owned()), offset: Some(offset), expected: expected.into(), found: found.into(), ..Self::default() }
    }

    /// The same corruption with what to do about it.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = advice.into();
        self
    }

    /// The same corruption with the entry that it concerns.
    #[must_use]
    pub fn with_seq(mut self, seq: u64) -> Self {
        self.seq = Some(seq);
        self
    }
}

impl fmt::Display for Corruption {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("corrupted")?;
        if let Some(file) = &self.file {
            write!(formatter, ": {}", file.display())?;
        }
        if let Some(offset) = self.offset {
            write!(formatter, " at byte {offset}")?;
        }
        if let Some(seq) = self.seq {
            write!(formatter, " (seq {seq})")?;
        }
        if !self.expected.is_empty() {
            write!(formatter, ": expected {}", self.expected)?;
        }
        if !self.found.is_empty() {
            write!(formatter, ", found {}", self.found)?;
        }
        if !self.advice.is_empty() {
            write!(formatter, "; {}", self.advice)?;
        }
        Ok(())
    }
}

impl From<Corruption> for EventStoreError {
    fn from(corruption: Corruption) -> Self {
        Self::Corrupted(Box::new(corruption))
    }
}

impl From<String> for Corruption {
    fn from(found: String) -> Self {
        Self { found, ..Self::default() }
    }
}

impl From<&str> for Corruption {
    fn from(found: &str) -> Self {
        Self::from(found.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_a_disk_error_and_a_missing_file_is_not() {
        let path = Path::new("/runs/x");
        for errno in [rustix::io::Errno::NOSPC, rustix::io::Errno::DQUOT, rustix::io::Errno::FBIG, rustix::io::Errno::IO] {
            let error = EventStoreError::from_io("write", path, &io::Error::from(errno));
            assert!(matches!(error, EventStoreError::Disk(_)), "{errno:?} gave {error:?}");
            assert!(error.to_string().contains("/runs/x"));
        }
        let error = EventStoreError::from_io("open", path, &io::Error::from(rustix::io::Errno::NOENT));
        assert!(matches!(error, EventStoreError::Backend(_)));
    }

    #[test]
    fn a_corruption_says_where_what_and_what_next() {
        let corruption = Corruption::at(Path::new("00000001.seg"), 4096, "an OPEN frame", "zeros").with_seq(7).advise("run tapelog verify");
        assert_eq!(
            corruption.to_string(),
            "corrupted: 00000001.seg at byte 4096 (seq 7): expected an OPEN frame, found zeros; run tapelog verify"
        );
    }
}
