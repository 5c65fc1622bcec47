//! What was given to a run, and so what it may answer.

use std::collections::BTreeMap;

use bytes::Bytes;
use tapelog::{
    AppendEntry, EntryHash, EventStoreEntry, Headers, IndexKey, IndexKind, PayloadType, RunManifest, RunStatus, SnapshotAnchor, Topic,
    UnixNanos,
};

/// The instance that every simulated engine writes as.
pub const INSTANCE: &str = "trader-001";

/// One commit as it was given: a batch of entries, or an anchor.
#[derive(Debug, Clone)]
pub struct GivenCommit {
    /// The last entry behind it.
    pub last_seq: u64,
    /// The anchor, where it is one.
    pub anchor: Option<SnapshotAnchor>,
}

/// What is known of a run's existence or of its seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// It has not been asked for.
    No,
    /// It was asked for, and no answer came or the answer was an error.
    Maybe,
    /// It was answered.
    Yes,
}

/// How much of a run must be there, and how much may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expectation {
    /// Whether the run was created.
    pub created: Certainty,
    /// Commits that were acknowledged or shown to anybody: a loss of power leaves them.
    pub durable: usize,
    /// Commits that were written: the end of the process leaves them.
    pub written: usize,
    /// Commits that were given at all.
    pub given: usize,
    /// Whether the run was sealed, and as what.
    pub sealed: (Certainty, RunStatus),
    /// The commits that are in it where it is sealed.
    pub sealed_at: usize,
}

impl Expectation {
    /// That a run is there with so many commits, and is not sealed.
    #[must_use]
    pub const fn open_at(commits: usize) -> Self {
        let sealed = (Certainty::No, RunStatus::Running);
        Self { created: Certainty::Yes, durable: commits, written: commits, given: commits, sealed, sealed_at: commits }
    }

    /// That a run is sealed with so many commits.
    #[must_use]
    pub const fn sealed_at(commits: usize, status: RunStatus) -> Self {
        Self { sealed: (Certainty::Yes, status), ..Self::open_at(commits) }
    }
}

/// Everything that was given to a run.
#[derive(Debug, Clone)]
pub struct RunLog {
    /// The manifest that it was opened with.
    pub manifest: RunManifest,
    entries: Vec<AppendEntry>,
    commits: Vec<GivenCommit>,
    firsts: BTreeMap<(IndexKind, String), u64>,
    /// Commits whose call was answered with success.
    pub accepted: usize,
    /// What must be there, and what may be.
    pub expected: Expectation,
}

impl RunLog {
    /// A run that is about to be opened.
    #[must_use]
    pub fn new(run_id: &str, parent: Option<&str>) -> Self {
        let manifest = RunManifest {
            start_ts_init: UnixNanos::from(1_000),
            parent_run_id: parent.map(str::to_owned),
            ..RunManifest::new(run_id, INSTANCE)
        };
        let expected = Expectation {
            created: Certainty::No,
            durable: 0,
            written: 0,
            given: 0,
            sealed: (Certainty::No, RunStatus::Running),
            sealed_at: 0,
        };
        Self { manifest, entries: Vec::new(), commits: Vec::new(), firsts: BTreeMap::new(), accepted: 0, expected }
    }

    /// Gives a batch.
    pub fn give_batch(&mut self, batch: &[AppendEntry]) {
        for append in batch {
            for key in &append.index_keys {
                self.firsts.entry((key.kind, key.key.clone())).or_insert(append.entry.seq);
            }
        }
        self.entries.extend_from_slice(batch);
        self.commits.push(GivenCommit { last_seq: self.entries.len() as u64, anchor: None });
        self.expected.given = self.commits.len();
    }

    /// Gives an anchor.
    pub fn give_anchor(&mut self, anchor: SnapshotAnchor) {
        self.commits.push(GivenCommit { last_seq: self.entries.len() as u64, anchor: Some(anchor) });
        self.expected.given = self.commits.len();
    }

    /// Everything behind the first `commits` commits is gone: it was refused, or a recovery discarded it.
    pub fn cut(&mut self, commits: usize) {
        self.commits.truncate(commits);
        let last_seq = self.last_seq_at(commits);
        self.entries.truncate(usize::try_from(last_seq).unwrap_or(usize::MAX));
        self.firsts.retain(|_, first| *first <= last_seq);
        self.expected.given = self.commits.len();
    }

    /// How many commits were given.
    #[must_use]
    pub fn commits(&self) -> usize {
        self.commits.len()
    }

    /// The last entry that was given.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.entries.len() as u64
    }

    /// The last entry behind the first `commits` commits.
    #[must_use]
    pub fn last_seq_at(&self, commits: usize) -> u64 {
        commits.checked_sub(1).and_then(|index| self.commits.get(index)).map_or(0, |commit| commit.last_seq)
    }

    /// How many commits there are up to the last batch that ends at or before the entry `seq`.
    #[must_use]
    pub fn commits_up_to(&self, seq: u64) -> usize {
        let batches = self.commits.iter().enumerate().filter(|(_, commit)| commit.anchor.is_none() && commit.last_seq <= seq);
        batches.map(|(index, _)| index + 1).next_back().unwrap_or_default()
    }

    /// The newest anchor within the first `commits` commits.
    #[must_use]
    pub fn anchor_at(&self, commits: usize) -> Option<&SnapshotAnchor> {
        self.commits.iter().take(commits).rev().find_map(|commit| commit.anchor.as_ref())
    }

    /// Whether this anchor was ever given.
    #[must_use]
    pub fn gave_anchor(&self, anchor: &SnapshotAnchor) -> bool {
        self.commits.iter().any(|commit| commit.anchor.as_ref() == Some(anchor))
    }

    /// How many commits there are up to this anchor.
    #[must_use]
    pub fn commits_with(&self, anchor: &SnapshotAnchor) -> usize {
        self.commits.iter().position(|commit| commit.anchor.as_ref() == Some(anchor)).map_or(0, |index| index + 1)
    }

    /// The entries that were given, up to `seq`.
    #[must_use]
    pub fn entries_up_to(&self, seq: u64) -> impl ExactSizeIterator<Item = &EventStoreEntry> {
        self.entries.iter().take(usize::try_from(seq).unwrap_or(usize::MAX)).map(|append| &append.entry)
    }

    /// The entry with a number.
    #[must_use]
    pub fn entry(&self, seq: u64) -> Option<&EventStoreEntry> {
        let index = usize::try_from(seq.checked_sub(1)?).ok()?;
        self.entries.get(index).map(|append| &append.entry)
    }

    /// The bytes of the payloads behind the entry `from` up to the entry `to`.
    #[must_use]
    pub fn payload_len(&self, from: u64, to: u64) -> u64 {
        (from + 1..=to).filter_map(|seq| self.entry(seq)).map(|entry| entry.payload.len() as u64).sum()
    }

    /// The keys of a kind with their first occurrences up to the entry `seq`, in the order of the keys.
    pub fn first_keys(&self, kind: IndexKind, seq: u64) -> impl Iterator<Item = (&str, u64)> {
        self.firsts.iter().filter(move |((of, _), first)| *of == kind && **first <= seq).map(|((_, key), first)| (key.as_str(), *first))
    }
}

/// What a payload is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filling {
    /// Bytes that differ everywhere, so that every sector of them matters.
    Bytes,
    /// Bytes at both ends and zeros between, so that few sectors differ from what was there before.
    Ends,
    /// Zeros.
    Zeros,
}

/// An intact entry. `attempt` tells apart what was given again under a number that was refused or lost before.
#[must_use]
pub fn entry(seq: u64, payload_len: usize, filling: Filling, attempt: u64) -> AppendEntry {
    let mut random = fastrand::Rng::with_seed(seq.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (attempt << 40) ^ payload_len as u64);
    let mut payload = vec![0_u8; payload_len];
    match filling {
        Filling::Bytes => random.fill(&mut payload),
        Filling::Ends => {
            let end = payload_len.min(600);
            payload.iter_mut().take(end).for_each(|byte| *byte = random.u8(1..));
            payload.iter_mut().rev().take(end).for_each(|byte| *byte = random.u8(1..));
        }
        Filling::Zeros => {}
    }
    let mut entry = EventStoreEntry::new(
        EntryHash([0; 32]),
        seq,
        Headers::empty(),
        if seq.is_multiple_of(2) { Topic::from("exec.command.SubmitOrder") } else { Topic::from("events.order") },
        PayloadType::from("SubmitOrder"),
        Bytes::from(payload),
        UnixNanos::from(1_000 + seq * 7 % 5_000),
        UnixNanos::from(1_000 + seq * 7),
    );
    entry.entry_hash = entry.recompute_hash();
    // Some keys repeat, so that it matters which entry was the first.
    let mut keys = vec![IndexKey::new(IndexKind::ClientOrderId, format!("O-{}", seq / 3))];
    if seq.is_multiple_of(2) {
        keys.push(IndexKey::new(IndexKind::VenueOrderId, format!("V-{}", seq / 6)));
    }
    AppendEntry::new(entry, keys)
}
