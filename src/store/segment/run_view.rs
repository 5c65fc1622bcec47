//! What is read of a run, whoever writes it: the store's own, one that is sealed, one that is judged.
//!
//! A view is cheap to clone and can be used on any thread beside the store that writes.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::error::EventStoreError;
use crate::format::chain::Position;
use crate::model::{EventStoreEntry, RunManifest, ScanDirection, SnapshotAnchor};
use crate::seeded_bug::SeededBug;
use crate::store::reading::entry_view::{Check, EntryView};
use crate::store::reading::segment_set::{Bound, SegmentSet};
use crate::store::reading::visit::Range;
use crate::store::recovery::outcome::RecoveryReport;
use crate::store::segment::background::shared::RunShared;

/// Which entries of a run that is being written are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Visibility {
    /// Those that are durable: what was shown is never taken back.
    #[default]
    Durable,
    /// Everything whole that is written. What is not durable yet may be gone after a loss of power.
    Written,
}

/// A run as a reader sees it.
#[derive(Debug, Clone)]
pub(crate) struct RunView {
    pub(crate) set: Arc<SegmentSet>,
    pub(crate) state: ViewState,
}

/// Where the run stands.
#[derive(Debug, Clone)]
pub(crate) enum ViewState {
    /// It is being written in this process.
    Live(Arc<RunShared>),
    /// It does not change any more, or is seen as it was when it was opened.
    Closed(Arc<ClosedFacts>),
}

/// What is known of a run that does not change any more.
#[derive(Debug, Clone)]
pub(crate) struct ClosedFacts {
    pub(crate) manifest: RunManifest,
    pub(crate) anchor: Option<Position>,
    pub(crate) report: RecoveryReport,
    /// Which entries are shown up to the manifest's high-watermark.
    pub(crate) shown: Visibility,
    /// Whether the run was opened only to be read and was not sealed: somebody else may be writing it.
    pub(crate) is_snapshot: bool,
}

impl RunView {
    /// The manifest as it stands.
    pub(crate) fn manifest(&self) -> RunManifest {
        match &self.state {
            ViewState::Live(shared) => shared.manifest(),
            ViewState::Closed(facts) => facts.manifest.clone(),
        }
    }

    /// The end of what is shown, and the newest anchor before it, sampled together.
    pub(crate) fn sample(&self, visibility: Visibility) -> (Bound, Option<Position>) {
        match &self.state {
            ViewState::Live(shared) => {
                let tip = match visibility {
                    Visibility::Durable => shared.durable(),
                    Visibility::Written => shared.written(),
                };
                (Bound::at(&tip), tip.state.anchor)
            }
            ViewState::Closed(facts) => (Bound::of_closed(facts.manifest.high_watermark), facts.anchor),
        }
    }

    /// The end of what is durable.
    pub(crate) fn bound(&self) -> Bound {
        self.sample(Visibility::Durable).0
    }

    /// The entries `from..=to` as values, in the order of `direction`; what lies past the high-watermark is left out.
    pub(crate) fn scan(&self, from: u64, to: u64, direction: ScanDirection) -> Result<Vec<EventStoreEntry>, EventStoreError> {
        match range(from, to, self.bound(), Check::Full) {
            Some(range) => self.set.scan(range, direction),
            None => Ok(Vec::new()),
        }
    }

    /// Lends the entries `from..=to` up to the bound.
    pub(crate) fn visit<V>(
        &self,
        (from, to): (u64, u64),
        bound: Bound,
        direction: ScanDirection,
        check: Check,
        visit: V,
    ) -> Result<ControlFlow<()>, EventStoreError>
    where
        V: FnMut(EntryView<'_>) -> ControlFlow<()>,
    {
        match range(from, to, bound, check) {
            Some(range) => self.set.visit(range, direction, visit),
            None => Ok(ControlFlow::Continue(())),
        }
    }

    pub(crate) fn lookup(&self, kind: u8, key: &str) -> Result<Option<u64>, EventStoreError> {
        let shown = if SeededBug::KeysOfWritten.is_on() { Visibility::Written } else { Visibility::Durable };
        self.set.lookup(kind, key, self.sample(shown).0)
    }

    /// Every key of a kind with the first entry that has it, in the order of these entries.
    pub(crate) fn for_each_first_key(
        &self,
        kind: u8,
        bound: Bound,
        mut visit: impl FnMut(&str, u64) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, EventStoreError> {
        let mut seen = HashSet::new();
        self.set.for_each_key(kind, bound, |seq, key| {
            if seen.contains(key) {
                return ControlFlow::Continue(());
            }
            seen.insert(key.to_owned());
            visit(key, seq)
        })
    }

    pub(crate) fn latest_anchor(&self, visibility: Visibility) -> Result<Option<SnapshotAnchor>, EventStoreError> {
        let (bound, anchor) = self.sample(visibility);
        anchor.map(|position| self.set.anchor_at(position, bound)).transpose()
    }

    pub(crate) fn anchors(&self, visibility: Visibility) -> Result<Vec<SnapshotAnchor>, EventStoreError> {
        let (bound, anchor) = self.sample(visibility);
        self.set.anchors(anchor, bound)
    }
}

fn range(from: u64, to: u64, bound: Bound, check: Check) -> Option<Range> {
    let to = to.min(bound.seq);
    (from > 0 && from <= to).then_some(Range { from, to, bound, check })
}
