//! Careless edits after which every checksum next to them fits again.

use std::fmt;
use std::str::FromStr;

use crate::explore::damage::image::Files;
use crate::second_reader::forge::{
    Numbers, Repaired, change_base_root, change_commit_no, change_count, drop_record, enlarge_body, exchange_records, flip_key,
    flip_payload, raise_claim, repair_slot,
};
use crate::second_reader::{BatchPlace, Run, Salt, ordinal_of};

/// What is edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Forgery {
    /// A byte of an entry's key section.
    Key,
    /// A byte of an entry's payload.
    Payload,
    /// The count in a commit.
    Count,
    /// The number of a commit.
    CommitNumber,
    /// The claim of a commit, above what it may claim.
    Claim,
    /// The claim of a commit, lower than it was: a lie that nothing inside the folder can tell.
    LowClaim,
    /// A record is left out.
    Dropped,
    /// Two records have changed places, each with its number.
    Exchanged,
    /// Two records have changed places and numbers.
    Renumbered,
    /// A body has no end within the file.
    Enlarged,
    /// The root in OPEN.
    BaseRoot,
    /// The root in a slot of WATERMARK.
    SlotRoot,
}

impl Forgery {
    /// Every forgery.
    pub const ALL: [Self; 12] = [
        Self::Key,
        Self::Payload,
        Self::Count,
        Self::CommitNumber,
        Self::Claim,
        Self::LowClaim,
        Self::Dropped,
        Self::Exchanged,
        Self::Renumbered,
        Self::Enlarged,
        Self::BaseRoot,
        Self::SlotRoot,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Payload => "payload",
            Self::Count => "count",
            Self::CommitNumber => "commit-number",
            Self::Claim => "claim",
            Self::LowClaim => "low-claim",
            Self::Dropped => "dropped",
            Self::Exchanged => "exchanged",
            Self::Renumbered => "renumbered",
            Self::Enlarged => "enlarged",
            Self::BaseRoot => "base-root",
            Self::SlotRoot => "slot-root",
        }
    }
}

impl fmt::Display for Forgery {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Forgery {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|forgery| forgery.name() == name)
            .ok_or_else(|| format!("{name:?} is no forgery: expected one of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// Forges the batch `commit_no` in a segment, or slot `nth` of WATERMARK; none where that does not apply.
#[must_use]
pub fn forge(forgery: Forgery, run: &Run, files: &mut Files, file: &str, commit_no: u64, nth: usize) -> Option<()> {
    let bytes = files.get_mut(file)?;
    if forgery == Forgery::SlotRoot {
        *bytes.get_mut((nth % 2) * 4096 + 80)? ^= 1;
        return repair_slot(bytes, nth % 2, None);
    }
    let segment = run.segments.get(&ordinal_of(file.rsplit('/').next()?)?)?;
    let batch = segment.batches.iter().find(|batch| batch.commit_no == commit_no)?;
    forge_batch(forgery, bytes, segment.salt, batch, nth)
}

fn forge_batch(forgery: Forgery, bytes: &mut [u8], salt: Salt, batch: &BatchPlace, nth: usize) -> Option<()> {
    let record = batch.records.get(nth.checked_rem(batch.records.len())?)?;
    let exchange = |bytes: &mut [u8], numbers| exchange_records(bytes, salt, batch, 0, batch.records.len() - 1, numbers);
    let touched = match forgery {
        Forgery::Key => flip_key(bytes, salt, record, nth),
        Forgery::Payload => flip_payload(bytes, salt, record, nth),
        Forgery::Count => change_count(bytes, salt, batch, batch.count + 1),
        Forgery::CommitNumber => change_commit_no(bytes, salt, batch, batch.commit_no + 1),
        Forgery::Claim => raise_claim(bytes, salt, batch, (batch.commit_no, batch.last_seq), Repaired::All),
        Forgery::LowClaim => raise_claim(bytes, salt, batch, (0, 0), Repaired::All),
        Forgery::Dropped => drop_record(bytes, batch, 1),
        Forgery::Exchanged => exchange(bytes, Numbers::Carried),
        Forgery::Renumbered => exchange(bytes, Numbers::Contiguous),
        Forgery::Enlarged => enlarge_body(bytes, salt, record),
        Forgery::BaseRoot => change_base_root(bytes, salt),
        Forgery::SlotRoot => None,
    };
    touched.map(|_| ())
}
