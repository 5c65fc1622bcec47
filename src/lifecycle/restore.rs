//! From which snapshot an engine restores its state, and with which entries behind it.

use crate::error::EventStoreError;
use crate::model::{EventStoreEntry, RunId, ScanDirection, SnapshotAnchor};
use crate::reader::{ChainRun, RunChain};

/// The newest snapshot of a history, and the run whose anchor it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotOfRun {
    /// The run.
    pub run_id: RunId,
    /// The anchor: where the snapshot is, its hash, and the last entry of the run that it covers.
    pub anchor: SnapshotAnchor,
}

/// What an engine restores its state from: the newest snapshot of a run or of those before it, and every entry behind it.
///
/// Runs that were rotated are one history, so that the snapshot may be an ancestor's.
#[derive(Debug, Clone)]
pub struct RestorePlan {
    chain: RunChain,
    snapshot: Option<SnapshotOfRun>,
    /// The run at which entries begin, by its place in the chain, and the first entry of it.
    from: (usize, u64),
}

impl RestorePlan {
    /// Finds the newest snapshot of a history.
    ///
    /// # Errors
    /// Those of reading an anchor; `Corrupted` where one covers more than its run has.
    pub fn new(chain: RunChain) -> Result<Self, EventStoreError> {
        for (index, run) in chain.runs().iter().enumerate().rev() {
            if let Some(anchor) = anchor_of(run)? {
                let from = (index, anchor.high_watermark.saturating_add(1));
                let snapshot = Some(SnapshotOfRun { run_id: run.run_id.clone(), anchor });
                return Ok(Self { chain, snapshot, from });
            }
        }
        Ok(Self { chain, snapshot: None, from: (0, 1) })
    }

    /// The snapshot to begin with; without one the state is restored from entries alone.
    #[must_use]
    pub fn snapshot(&self) -> Option<&SnapshotOfRun> {
        self.snapshot.as_ref()
    }

    /// The runs, the oldest first, those before the snapshot included.
    #[must_use]
    pub fn chain(&self) -> &RunChain {
        &self.chain
    }

    /// How many entries have to be replayed.
    #[must_use]
    pub fn entry_count(&self) -> u64 {
        let (first, seq) = self.from;
        let counts = self.chain.runs().iter().skip(first).map(|run| run.reader.high_watermark());
        counts.sum::<u64>().saturating_sub(seq - 1)
    }

    /// The entries behind the snapshot, the oldest first, each with its run. A damaged entry is an item that is an error.
    ///
    /// Where [`RunChain::missing_parent`] is some and there is no snapshot, they are not the whole history.
    pub fn entries(&self) -> impl Iterator<Item = Result<(&RunId, EventStoreEntry), EventStoreError>> {
        let (first, seq) = self.from;
        self.chain.runs().iter().enumerate().skip(first).flat_map(move |(index, run)| {
            let from = if index == first { seq } else { 1 };
            run.reader.entries(from.., ScanDirection::Forward).map(|item| item.map(|entry| (&run.run_id, entry)))
        })
    }
}

fn anchor_of(run: &ChainRun) -> Result<Option<SnapshotAnchor>, EventStoreError> {
    let anchor = run.reader.latest_anchor()?;
    let last = run.reader.high_watermark();
    match anchor {
        Some(anchor) if anchor.high_watermark > last => {
            let expected = format!("a snapshot of at most the {last} entries that the run has");
            let found = format!("one of {}", anchor.high_watermark);
            Err(crate::error::Corruption::at(&run.reader.folder(), 0, expected, found).into())
        }
        anchor => Ok(anchor),
    }
}
