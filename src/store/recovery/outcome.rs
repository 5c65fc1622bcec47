//! The outcome of a recovery as a value.

use std::fmt;
use std::path::PathBuf;

/// What a run turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecoveredState {
    /// It was sealed; there was nothing to recover.
    Sealed,
    /// Everything that was written is whole.
    Clean,
    /// What lies behind the last whole batch was discarded; nothing proven durable is in it.
    TornTail,
    /// Something that is proven to have been durable is damaged or missing. Nothing was changed.
    AcknowledgedDamage,
}

impl RecoveredState {
    /// The name, in words that a report can show.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Clean => "clean",
            Self::TornTail => "torn tail",
            Self::AcknowledgedDamage => "acknowledged data damaged",
        }
    }
}

impl fmt::Display for RecoveredState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A point in a log, right behind a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LogPoint {
    /// The commit's number, from 1; 0 before the first.
    pub commit_no: u64,
    /// The last entry's number.
    pub seq: u64,
    /// The segment, from 1; 0 where it is not known or nothing was committed.
    pub ordinal: u32,
    /// The byte behind the commit; 0 where it is not known or nothing was committed.
    pub offset: u64,
}

/// What proves that a point was durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Witness {
    /// Nothing does: no batch is proven to have been durable.
    #[default]
    None,
    /// A slot of WATERMARK.
    Watermark,
    /// A later commit, which claims it.
    Commit {
        /// The segment of that commit.
        ordinal: u32,
        /// Where its frame begins.
        offset: u64,
    },
}

impl fmt::Display for Witness {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => formatter.write_str("nothing"),
            Self::Watermark => formatter.write_str("WATERMARK"),
            Self::Commit { ordinal, offset } => write!(formatter, "the commit in segment {ordinal} at byte {offset}"),
        }
    }
}

/// What a recovery discards: everything behind the last whole batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discarded {
    /// The first file in which something is discarded.
    pub file: PathBuf,
    /// The first byte in it that is.
    pub offset: u64,
    /// How many bytes, from the first to the last that was not zero in each file, added up.
    pub bytes: u64,
    /// In how many files.
    pub files: u32,
}

/// Where the chain of whole batches breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakPoint {
    /// The file.
    pub file: PathBuf,
    /// Its segment number.
    pub ordinal: u32,
    /// The first byte that does not fit.
    pub offset: u64,
    /// What was found there.
    pub reason: String,
}

/// The outcome of opening a run that was left running.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// The verdict.
    pub state: RecoveredState,
    /// The end of the whole chain (E).
    pub end: LogPoint,
    /// The highest point that is proven to have been durable (P); its place is known only where WATERMARK tells it.
    pub proven: LogPoint,
    /// What proves it.
    pub witness: Witness,
    /// What lies behind the end and was, or would be, discarded.
    pub discarded: Option<Discarded>,
    /// Where the chain breaks, if it does so in the middle of something.
    pub first_break: Option<BreakPoint>,
    /// The segment at which reading began; what lies before it was not read again.
    pub walked_from: u32,
    /// The first entry whose hash is wrong, where the run was read with its hashes.
    pub hash_mismatch: Option<u64>,
    /// Whatever else an operator should know: files that are missing or damaged without harm, unknown records.
    pub notes: Vec<String>,
}

impl fmt::Display for RecoveryReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}: the log is whole up to entry {} (commit {}); entry {} (commit {}) is proven durable by {}",
            self.state, self.end.seq, self.end.commit_no, self.proven.seq, self.proven.commit_no, self.witness
        )?;
        match self.state {
            RecoveredState::AcknowledgedDamage => formatter.write_str("; nothing was changed, and what is intact can be read")?,
            RecoveredState::TornTail => {
                if let Some(discarded) = &self.discarded {
                    write!(formatter, "; {} bytes behind {} byte {}", discarded.bytes, discarded.file.display(), discarded.offset)?;
                    formatter.write_str(" belong to no whole batch; nothing proven durable was lost")?;
                }
            }
            RecoveredState::Clean | RecoveredState::Sealed => formatter.write_str("; nothing proven durable was lost")?,
        }
        if let Some(point) = &self.first_break {
            write!(formatter, "; the chain breaks in {} at byte {}: {}", point.file.display(), point.offset, point.reason)?;
        }
        if let Some(seq) = self.hash_mismatch {
            write!(formatter, "; the entry {seq} does not match its hash")?;
        }
        for note in &self.notes {
            write!(formatter, "; note: {note}")?;
        }
        Ok(())
    }
}
