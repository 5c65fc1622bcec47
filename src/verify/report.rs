//! What a verifier found.

use std::fmt;

use thiserror::Error;

use crate::error::EventStoreError;
use crate::model::{IndexKind, RunId, RunStatus};

/// What a verifier found in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    /// The run, as its manifest calls it.
    pub run_id: RunId,
    /// Where the run stands in its life, as its manifest says.
    pub status: RunStatus,
    /// The number of the last entry that was acknowledged, up to which was verified.
    pub high_watermark: u64,
    /// How many slots hold something, intact or damaged.
    pub entries_scanned: u64,
    /// Everything that is not as it should be: entries and gaps by ascending number, then index keys, then the manifest.
    pub findings: Vec<VerifyFinding>,
}

impl VerifyReport {
    /// Whether everything is as it should be.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// The exit code of a command that has this report to give: 0 when it is clean, 1 when it is not.
    ///
    /// A command that could not verify at all exits with [`VerifyError::exit_code`].
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        u8::from(!self.is_clean())
    }
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifyFinding {
    /// There is something in the slot, and it is not what was written.
    HashMismatch {
        /// The slot.
        seq: u64,
    },
    /// There is nothing in these slots.
    Gap {
        /// All slots of the gap.
        range: GapRange,
    },
    /// There is an intact entry in the slot, and it is another slot's.
    SeqMismatch {
        /// The slot.
        table_key: u64,
        /// The number that the entry gives itself.
        embedded_seq: u64,
    },
    /// An index key does not lead to an intact entry.
    IndexDrift {
        /// The key's kind.
        kind: IndexKind,
        /// The key's text.
        key: String,
        /// Where it leads.
        drift: IndexDrift,
    },
    /// The manifest says something that the entries do not bear out.
    ManifestMismatch {
        /// The field in question.
        kind: ManifestField,
        /// What the manifest and what the entries say.
        reason: String,
    },
}

impl fmt::Display for VerifyFinding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HashMismatch { seq } => write!(formatter, "the entry with seq {seq} is damaged"),
            Self::Gap { range } if range.from == range.to => write!(formatter, "the entry with seq {} is missing", range.from),
            Self::Gap { range } => write!(formatter, "the entries with seq {} to {} are missing", range.from, range.to),
            Self::SeqMismatch { table_key, embedded_seq } => {
                write!(formatter, "in the place of seq {table_key} is the entry with seq {embedded_seq}")
            }
            Self::IndexDrift { kind, key, drift: IndexDrift::DanglingTarget { stored_seq } } => {
                write!(formatter, "the {kind} {key:?} leads to seq {stored_seq}, where there is no entry")
            }
            Self::IndexDrift { kind, key, drift: IndexDrift::TargetCorrupted { stored_seq } } => {
                write!(formatter, "the {kind} {key:?} leads to seq {stored_seq}, which is damaged")
            }
            Self::ManifestMismatch { reason, .. } => formatter.write_str(reason),
        }
    }
}

/// A contiguous range of missing slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GapRange {
    /// The first missing slot.
    pub from: u64,
    /// The last missing slot.
    pub to: u64,
}

/// Where an index key leads that does not lead to an intact entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IndexDrift {
    /// To a slot that is missing, or that no entry of the run can have.
    DanglingTarget {
        /// The slot.
        stored_seq: u64,
    },
    /// To a slot that is damaged or holds another slot's entry.
    TargetCorrupted {
        /// The slot.
        stored_seq: u64,
    },
}

/// A field of the manifest that the entries can bear out or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ManifestField {
    /// It is the number of the last durable entry.
    HighWatermark,
    /// No entry's `ts_init` lies before it.
    StartTsInit,
    /// In a sealed run, it is the largest `ts_init` of any entry.
    EndTsInit,
}

/// Why there is no report.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// The store could not be read far enough to say anything of the run.
    #[error("the run could not be verified: {0}")]
    Backend(#[from] EventStoreError),
}

impl VerifyError {
    /// The exit code of a command that could not verify: 2.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(findings: Vec<VerifyFinding>) -> VerifyReport {
        VerifyReport { run_id: "run".to_owned(), status: RunStatus::Ended, high_watermark: 3, entries_scanned: 3, findings }
    }

    #[test]
    fn a_report_without_findings_is_clean_and_exits_with_zero() {
        assert!(report(Vec::new()).is_clean());
        assert_eq!(report(Vec::new()).exit_code(), 0);
    }

    #[test]
    fn a_report_with_any_number_of_findings_exits_with_one() {
        for count in [1, 2, 256, 512] {
            let report = report(vec![VerifyFinding::HashMismatch { seq: 1 }; count]);
            assert!(!report.is_clean());
            assert_eq!(report.exit_code(), 1);
        }
    }

    #[test]
    fn a_run_that_could_not_be_verified_exits_with_two_and_says_why() {
        let error = VerifyError::from(EventStoreError::Disk("bad sector".to_owned()));
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("bad sector"));
    }

    #[test]
    fn every_finding_says_where_it_is() {
        let drift = |drift| VerifyFinding::IndexDrift { kind: IndexKind::VenueOrderId, key: "V-7".to_owned(), drift };
        let shown = [
            (VerifyFinding::HashMismatch { seq: 7 }, "the entry with seq 7 is damaged"),
            (VerifyFinding::Gap { range: GapRange { from: 7, to: 7 } }, "the entry with seq 7 is missing"),
            (VerifyFinding::Gap { range: GapRange { from: 7, to: 9 } }, "the entries with seq 7 to 9 are missing"),
            (VerifyFinding::SeqMismatch { table_key: 7, embedded_seq: 9 }, "in the place of seq 7 is the entry with seq 9"),
            (drift(IndexDrift::DanglingTarget { stored_seq: 7 }), "the VenueOrderId \"V-7\" leads to seq 7, where there is no entry"),
            (drift(IndexDrift::TargetCorrupted { stored_seq: 7 }), "the VenueOrderId \"V-7\" leads to seq 7, which is damaged"),
            (VerifyFinding::ManifestMismatch { kind: ManifestField::EndTsInit, reason: "why".to_owned() }, "why"),
        ];
        for (finding, text) in shown {
            assert_eq!(finding.to_string(), text);
        }
    }
}
