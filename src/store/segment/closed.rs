//! A run that this store does not write: sealed, recovered, or opened for reading only.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Corruption, EventStoreError};
use crate::format::chain::Position;
use crate::format::file_name;
use crate::format::manifest::{ManifestFile, SealSection, SealState, SealedDamage};
use crate::io::{Lock, Storage};
use crate::model::{RunManifest, RunStatus, UnixNanos};
use crate::seeded_bug::SeededBug;
use crate::segment::batch::Claim;
use crate::segment::tip::Tip;
use crate::store::reading::handles::ReadSegment;
use crate::store::reading::segment_set::SegmentSet;
use crate::store::reading::segment_source::ReadPath;
use crate::store::recovery::judge::{Depth, Judgement, judge, point};
use crate::store::recovery::outcome::{LogPoint, RecoveredState, RecoveryReport, Witness};
use crate::store::recovery::repair::repair;
use crate::store::run_files::{FoundManifest, RunIdentity, check_folder_name, identity_from_genesis, read_manifest};
use crate::store::segment::create::holds_a_run;
use crate::store::segment::latch::Latch;
use crate::store::segment::live::end_ts_init;
use crate::store::segment::options::Options;
use crate::store::segment::run_view::{ClosedFacts, RunView, ViewState, Visibility};
use crate::store::segment::seal;

/// Why the run is not written.
#[derive(Debug)]
pub(crate) enum Closed {
    /// It is sealed. `by_path`: it was opened as such, and this store opens nothing else.
    Sealed { by_path: bool },
    /// It was left running and is recovered: it can be read and sealed.
    Recovered { judgement: Box<Judgement>, latch: Latch, _lock: Lock },
    /// It was left running or is being written, and is only read.
    ReadOnly,
}

/// A run that is only read, or read and sealed.
#[derive(Debug)]
pub(crate) struct ClosedRun {
    pub(crate) set: Arc<SegmentSet>,
    pub(crate) facts: Arc<ClosedFacts>,
    pub(crate) closed: Closed,
    max_ts_init: Option<u64>,
}

/// Who a run is, from MANIFEST or else from its first segment, and what is wrong with MANIFEST.
///
/// # Errors
/// `Corrupted` where neither tells it.
pub(crate) fn identify(storage: &dyn Storage, folder: &Path) -> Result<(RunIdentity, Option<String>), EventStoreError> {
    let (note, error) = match read_manifest(storage, folder)? {
        FoundManifest::Present(found) => {
            let note = match found.seal {
                SealState::Damaged(error) => Some(format!("the seal section of MANIFEST is damaged ({error})")),
                SealState::Absent | SealState::Present { .. } => None,
            };
            let identity = RunIdentity::from_opening(found.opening);
            check_folder_name(folder, &identity.manifest)?;
            return Ok((identity, note));
        }
        FoundManifest::Missing if !holds_a_run(storage, folder)? => {
            return Err(EventStoreError::Backend(format!("no run in {}: it holds neither a MANIFEST nor an entry", folder.display())));
        }
        FoundManifest::Missing => {
            let path = folder.join(file_name::MANIFEST);
            let error = Corruption::at(&path, 0, "the manifest of a run", "no such file").advise("copy it back if there is a copy");
            ("MANIFEST is missing; the first segment told what it was".to_owned(), error.into())
        }
        FoundManifest::Damaged(error) => (format!("MANIFEST is damaged ({error}); the first segment told what it was"), error),
    };
    match identity_from_genesis(storage, folder)? {
        Some(identity) => {
            check_folder_name(folder, &identity.manifest)?;
            Ok((identity, Some(note)))
        }
        None => Err(error),
    }
}

/// The segments of a judged run; of a damaged one, of everything in it that is intact up to what was `acknowledged`.
fn judged_set(
    storage: &Arc<dyn Storage>,
    folder: &Path,
    judgement: &Judgement,
    acknowledged: Option<Claim>,
    options: Options,
    read_path: ReadPath,
) -> Result<JudgedSet, EventStoreError> {
    let identity = Arc::new(judgement.identity.clone());
    let new_set =
        |segments| SegmentSet::new(storage.clone(), folder.to_owned(), identity.clone(), read_path, options.index_spacing, segments);
    let chained: Vec<_> = judgement.chain.iter().map(|segment| chained_segment(segment.ordinal, segment.base, &segment.end)).collect();
    let Some(acknowledged) = acknowledged else {
        return Ok(JudgedSet { set: new_set(chained), anchor: judgement.end.state.anchor, max_ts_init: max_ts_init(&judgement.end) });
    };
    let end_ordinal = judgement.end.position.ordinal;
    let mut segments: Vec<_> = chained.into_iter().filter(|segment| segment.ordinal < end_ordinal).collect();
    let whole = if acknowledged.commit_no < judgement.end.state.commit_no { judgement.proven_tip } else { judgement.end };
    let mut anchor = whole.state.anchor;
    let mut largest = max_ts_init(&judgement.end);
    let probe = new_set(Vec::new()).damaged(acknowledged.seq);
    for listed in judgement.listed.iter().filter(|listed| listed.ordinal >= end_ordinal) {
        let mut segment = ReadSegment {
            ordinal: listed.ordinal,
            chained: false,
            base: None,
            first_seq: 1,
            last_seq: 0,
            end: listed.len,
            end_root: None,
            pending: None,
        };
        let salvage = probe.handle(&segment)?.salvage(acknowledged.seq)?;
        if let Some((first, last)) = salvage.seqs().next().zip(salvage.seqs().last()) {
            (segment.first_seq, segment.last_seq) = (first.seq, last.seq);
        }
        if let Some(offset) = salvage.newest_anchor(acknowledged.commit_no) {
            anchor = Some(Position { ordinal: listed.ordinal, offset });
        }
        largest = largest.max(salvage.max_ts_init);
        segments.push(segment);
    }
    // A number is written once; a segment that repeats earlier numbers is out of its place.
    segments.sort_by_key(|segment| (segment.first_seq, segment.last_seq));
    Ok(JudgedSet { set: new_set(segments).damaged(acknowledged.seq), anchor, max_ts_init: largest })
}

struct JudgedSet {
    set: SegmentSet,
    anchor: Option<Position>,
    max_ts_init: Option<u64>,
}

fn max_ts_init(tip: &Tip) -> Option<u64> {
    end_ts_init(tip).map(|nanos| nanos.as_u64())
}

fn chained_segment(ordinal: u32, base: Tip, end: &Tip) -> ReadSegment {
    ReadSegment {
        ordinal,
        chained: true,
        base: Some(base),
        first_seq: base.state.seq + 1,
        last_seq: end.state.seq,
        end: end.position.offset,
        end_root: Some(end.state.root),
        pending: None,
    }
}

impl ClosedRun {
    /// Recovers a run that was left running: judges it and, where only a torn tail is to be
    /// discarded, repairs it. The lock of its folder is held.
    pub(crate) fn recover(
        storage: &Arc<dyn Storage>,
        folder: &Path,
        options: Options,
        lock: Lock,
        depth: Depth,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self, EventStoreError> {
        let (identity, note) = identify(&**storage, folder)?;
        let judgement = judge(&**storage, folder, &identity, note, depth, progress)?;
        if !judgement.damaged {
            repair(&**storage, folder, &judgement)?;
        }
        let acknowledged = judgement.acknowledged();
        let judged = judged_set(storage, folder, &judgement, judgement.damaged.then_some(acknowledged), options, options.own_read_path())?;
        let high_watermark = acknowledged.seq;
        let facts = ClosedFacts {
            manifest: RunManifest { high_watermark, ..judgement.identity.manifest.clone() },
            anchor: judged.anchor,
            report: judgement.report().clone(),
            shown: Visibility::Durable,
            is_snapshot: false,
        };
        Ok(Self {
            set: Arc::new(judged.set),
            facts: Arc::new(facts),
            max_ts_init: judged.max_ts_init,
            closed: Closed::Recovered { judgement: Box::new(judgement), latch: Latch::default(), _lock: lock },
        })
    }

    /// Opens a run that is not sealed for reading, without changing anything.
    pub(crate) fn read_only(
        storage: &Arc<dyn Storage>,
        folder: &Path,
        options: Options,
        depth: Depth,
        shown: Visibility,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self, EventStoreError> {
        let (identity, note) = identify(&**storage, folder)?;
        let judgement = judge(&**storage, folder, &identity, note, depth, progress)?;
        // What is whole and nothing proves durable is shown to nobody who did not ask for it, in a damaged run either:
        // a loss of power may take it back.
        let shows_all = shown == Visibility::Written || SeededBug::UnprovenShown.is_on();
        let acknowledged = judgement.damaged.then(|| if shows_all { judgement.acknowledged() } else { judgement.proven });
        // Files of a run that somebody else may be writing or cutting are never mapped.
        let judged = judged_set(storage, folder, &judgement, acknowledged, options, ReadPath::Positional)?;
        let tip = if shows_all { judgement.end } else { judgement.proven_tip };
        let (anchor, high_watermark) = match acknowledged {
            Some(acknowledged) => (judged.anchor, acknowledged.seq),
            None => (tip.state.anchor, tip.state.seq),
        };
        let facts = ClosedFacts {
            manifest: RunManifest { high_watermark, ..judgement.identity.manifest.clone() },
            anchor,
            report: judgement.report().clone(),
            shown,
            is_snapshot: true,
        };
        Ok(Self { set: Arc::new(judged.set), facts: Arc::new(facts), max_ts_init: judged.max_ts_init, closed: Closed::ReadOnly })
    }

    /// Opens a sealed run.
    pub(crate) fn sealed(
        storage: &Arc<dyn Storage>,
        folder: &Path,
        options: Options,
        found: ManifestFile<RunManifest>,
        by_path: bool,
    ) -> Result<Self, EventStoreError> {
        let SealState::Present { section, .. } = found.seal else {
            return Err(EventStoreError::Backend(format!("the run in {} is not sealed", folder.display())));
        };
        let identity = RunIdentity::from_opening(found.opening);
        check_folder_name(folder, &identity.manifest)?;
        let manifest = sealed_manifest(&identity.manifest, &section);
        let closed = Closed::Sealed { by_path };
        if let Some(damage) = &section.damage {
            let judgement = judge(&**storage, folder, &identity, None, Depth::Full, &mut |_| {})?;
            // What the seal says was acknowledged, whatever its witnesses have become since.
            let acknowledged = Claim { commit_no: damage.end_commit_no.max(damage.proven_commit_no), seq: section.high_watermark };
            let judged = judged_set(storage, folder, &judgement, Some(acknowledged), options, ReadPath::Positional)?;
            let report = RecoveryReport { state: RecoveredState::AcknowledgedDamage, ..judgement.report().clone() };
            let facts = ClosedFacts { manifest, anchor: judged.anchor, report, shown: Visibility::Durable, is_snapshot: false };
            return Ok(Self { set: Arc::new(judged.set), facts: Arc::new(facts), closed, max_ts_init: judged.max_ts_init });
        }
        if let Some(fault) = seal::table_fault(&section) {
            let path = folder.join(file_name::MANIFEST);
            let corruption = Corruption::at(&path, identity.opening.len() as u64, "a seal whose segments hold its entries", fault);
            return Err(corruption.advise("keep the file as it is, and copy it back if there is a copy").into());
        }
        let read_path = if section.status == RunStatus::Quarantined { ReadPath::Positional } else { options.foreign_read_path() };
        let set = SegmentSet::new(
            storage.clone(),
            folder.to_owned(),
            Arc::new(identity),
            read_path,
            options.index_spacing,
            sealed_segments(&section),
        );
        Ok(Self { set: Arc::new(set), facts: Arc::new(sealed_facts(manifest, &section)), closed, max_ts_init: section.end_ts_init })
    }

    /// A run that this store wrote and has sealed.
    pub(crate) fn from_sealed(set: Arc<SegmentSet>, manifest: RunManifest, section: &SealSection) -> Self {
        set.close_files();
        Self {
            set,
            facts: Arc::new(sealed_facts(manifest, section)),
            closed: Closed::Sealed { by_path: false },
            max_ts_init: section.end_ts_init,
        }
    }

    /// The run as a reader sees it.
    pub(crate) fn view(&self) -> RunView {
        RunView { set: self.set.clone(), state: ViewState::Closed(self.facts.clone()) }
    }

    pub(crate) fn high_watermark(&self) -> u64 {
        self.facts.manifest.high_watermark
    }

    /// Seals a recovered run.
    pub(crate) fn seal(&mut self, storage: &dyn Storage, options: Options, status: RunStatus) -> Result<(), EventStoreError> {
        let Closed::Recovered { judgement, latch, .. } = &self.closed else {
            return Err(self.refuse_writes());
        };
        latch.check()?;
        if judgement.damaged && status != RunStatus::Quarantined && !SeededBug::DamageSealedAsSound.is_on() {
            return Err(EventStoreError::Backend(format!(
                "acknowledged data of the run in {} is damaged: it can only be sealed as {}, not as {status}",
                self.set.folder().display(),
                RunStatus::Quarantined
            )));
        }
        let section = self.seal_steps(storage, options, status, judgement).map_err(|error| latch.close(error))?;
        let manifest = sealed_manifest(&self.facts.manifest, &section);
        self.facts = Arc::new(ClosedFacts { manifest, ..(*self.facts).clone() });
        self.closed = Closed::Sealed { by_path: false };
        Ok(())
    }

    fn seal_steps(
        &self,
        storage: &dyn Storage,
        options: Options,
        status: RunStatus,
        judgement: &Judgement,
    ) -> Result<SealSection, EventStoreError> {
        let folder = self.set.folder();
        let section = SealSection {
            status,
            high_watermark: self.high_watermark(),
            end_ts_init: self.max_ts_init,
            last_commit_no: judgement.end.state.commit_no,
            walked_from_ordinal: judgement.report().walked_from,
            segments: Vec::new(),
            final_root: judgement.end.state.root,
            anchor: self.facts.anchor.map(|position| (position.ordinal, position.offset)),
            damage: None,
        };
        if judgement.damaged {
            let section = SealSection { damage: Some(sealed_damage(judgement)), ..section };
            seal::write_manifest(storage, folder, self.set.identity(), &section)?;
            return Ok(section);
        }
        seal::remove_spares(storage, folder, judgement.end.position.ordinal)?;
        seal::cut_by_name(storage, folder, &judgement.end)?;
        self.set.close_files();
        if options.indexes {
            seal::make_missing_indexes(storage, &self.set)?;
        }
        let section = SealSection { segments: seal::segment_table(&self.set.full(), &judgement.end), ..section };
        seal::write_manifest(storage, folder, self.set.identity(), &section)?;
        // The run is sealed: a WATERMARK that stays is ignored, and removing it can be left to anybody.
        let _ = seal::remove_watermark(storage, folder);
        Ok(section)
    }

    /// The error of an append to this run.
    pub(crate) fn refuse_writes(&self) -> EventStoreError {
        match &self.closed {
            Closed::Sealed { .. } => EventStoreError::Closed,
            Closed::Recovered { .. } => EventStoreError::CrashedPredecessor,
            Closed::ReadOnly => EventStoreError::Backend(format!("the run in {} was opened for reading only", self.set.folder().display())),
        }
    }
}

/// The manifest of a sealed run: the opening manifest with what the seal adds.
pub(crate) fn sealed_manifest(opening: &RunManifest, section: &SealSection) -> RunManifest {
    RunManifest {
        status: section.status,
        high_watermark: section.high_watermark,
        end_ts_init: section.end_ts_init.map(UnixNanos::from),
        ..opening.clone()
    }
}

fn sealed_segments(section: &SealSection) -> Vec<ReadSegment> {
    let mut before = 0;
    let rows = section.segments.iter().map(|row| {
        let first_seq = before + 1;
        before = row.last_seq;
        ReadSegment {
            ordinal: row.ordinal,
            chained: true,
            base: None,
            first_seq,
            last_seq: row.last_seq,
            end: row.len,
            end_root: Some(row.root),
            pending: None,
        }
    });
    rows.collect()
}

fn sealed_facts(manifest: RunManifest, section: &SealSection) -> ClosedFacts {
    let anchor = section.anchor.map(|(ordinal, offset)| Position { ordinal, offset });
    ClosedFacts { manifest, anchor, report: sealed_report(section), shown: Visibility::Durable, is_snapshot: false }
}

fn sealed_report(section: &SealSection) -> RecoveryReport {
    let last = section.segments.last();
    let end = LogPoint {
        commit_no: section.last_commit_no,
        seq: section.high_watermark,
        ordinal: last.map_or(0, |row| row.ordinal),
        offset: last.map_or(0, |row| row.len),
    };
    RecoveryReport {
        state: RecoveredState::Sealed,
        end,
        proven: end,
        witness: Witness::None,
        discarded: None,
        first_break: None,
        walked_from: section.walked_from_ordinal,
        hash_mismatch: None,
        notes: Vec::new(),
    }
}

fn sealed_damage(judgement: &Judgement) -> SealedDamage {
    let report = judgement.report();
    let end = point(&judgement.end);
    let first_break = report.first_break.as_ref();
    SealedDamage {
        end_commit_no: end.commit_no,
        end_seq: end.seq,
        proven_commit_no: judgement.proven.commit_no,
        proven_seq: judgement.proven.seq,
        break_ordinal: first_break.map_or(0, |point| point.ordinal),
        break_offset: first_break.map_or(0, |point| point.offset),
        reason: first_break.map_or_else(String::new, |point| point.reason.clone()),
    }
}
