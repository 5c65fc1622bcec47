//! What must hold of a damaged run, however it is opened.

use tapelog::{EventStoreError, RecoveredState, RecoveryReport, SegmentBackend};

use crate::disk::SimulatedDisk;
use crate::engine::store_over;
use crate::explore::damage::answers::{Answers, Expected};
use crate::explore::damage::edited::EditedKeys;
use crate::explore::damage::image::{Image, read_run};
use crate::explore::damage::injury::Injured;
use crate::explore::damage::place;
use crate::explore::damage::sweep;
use crate::explore::damage::table::{DamageTable, Verdict, Way};
use crate::log::RunLog;
use crate::second_reader::{Run, segment_name};

/// What was edited so that the checksums next to it still fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Edited {
    /// A claim, so that a witness lies.
    pub claims: bool,
    /// The keys of entries, or which entry stands where.
    pub keys: bool,
}

/// A damaged run: what it was, what was done to it, and what is left of it.
pub struct Case<'a> {
    /// The disk before the damage.
    pub image: &'a Image,
    /// What was done.
    pub injured: &'a Injured,
    /// Which run.
    pub index: usize,
    /// Everything that was given to it.
    pub log: &'a RunLog,
    /// What an independent reader found in it.
    pub before: &'a Run,
    /// What an independent reader finds in it now.
    pub after: Option<Run>,
    /// The last commit that an intact witness claims to have been durable.
    pub witnessed: u64,
    /// The last entry up to it.
    pub witnessed_seq: u64,
    /// Whether anything of the run cannot be read.
    pub unreadable: bool,
    /// What was edited so that the checksums next to it still fit.
    pub edited: Edited,
}

impl<'a> Case<'a> {
    /// The run `index` of a damaged disk.
    ///
    /// # Errors
    /// Where the witnesses of the undamaged run claim what is not there.
    pub fn new(image: &'a Image, injured: &'a Injured, index: usize, edited: Edited) -> Result<Option<Self>, String> {
        let (Some(log), Some(before)) = (image.runs.get(index), image.readings.get(index)) else { return Ok(None) };
        let run_id = &log.manifest.run_id;
        let unreadable = injured.unreadable.iter().any(|(file, _)| file.split_once('/').is_some_and(|(run, _)| run == run_id));
        let name = |file: &str| format!("{run_id}/{file}");
        let seal = before.manifest.as_ref().and_then(|manifest| manifest.seal.as_ref());
        let seal = seal.filter(|_| !injured.touches_file(image, &name("MANIFEST")));
        let witnessed = seal.map_or_else(
            || {
                before.proven_claims(&|file, range| {
                    let place = usize::try_from(range.start).unwrap_or(0)..usize::try_from(range.end).unwrap_or(usize::MAX);
                    injured.touches(image, &name(file), &place)
                })
            },
            |seal| seal.last_commit_no,
        );
        let witnessed_seq = match witnessed {
            0 => 0,
            _ => before.batch(witnessed).map(|(_, batch)| batch.last_seq).ok_or("a witness claims what is not there")?,
        };
        let after = read_run(&injured.files, run_id);
        Ok(Some(Self { image, injured, index, log, before, after, witnessed, witnessed_seq, unreadable, edited }))
    }

    /// A file of the run, as the image names it.
    #[must_use]
    pub fn name(&self, file: &str) -> String {
        format!("{}/{file}", self.log.manifest.run_id)
    }

    pub(super) fn is_touched(&self, file: &str) -> bool {
        self.injured.touches_file(self.image, &self.name(file))
    }

    /// Whether the frame of an entry is as it was.
    fn is_intact(&self, seq: u64) -> bool {
        self.before.batches().any(|(ordinal, batch)| {
            let record = batch.records.iter().find(|record| record.seq == seq && record.kind == crate::second_reader::kind::ENTRY);
            record.is_some_and(|record| !self.injured.touches(self.image, &self.name(&segment_name(ordinal)), &record.range))
        })
    }

    pub(super) fn disk(&self) -> SimulatedDisk {
        self.injured.disk(self.image)
    }

    /// An open store over a disk, with no run open.
    ///
    /// # Errors
    /// Never: the options are within their bounds.
    pub fn store(&self, disk: &SimulatedDisk) -> Result<SegmentBackend, String> {
        store_over(disk, self.image.mode).map_err(|error| error.to_string())
    }

    /// Whether MANIFEST says that the run is sealed.
    pub(super) fn is_sealed(&self) -> bool {
        let manifest = self.after.as_ref().and_then(|run| run.manifest.as_ref());
        manifest.is_some_and(|manifest| manifest.seal.is_some())
    }

    /// Whether the independent reader judges the run damaged.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        let Some(after) = &self.after else { return true };
        let manifest_lost = after.manifest.as_ref().is_none_or(|manifest| manifest.goes_on && manifest.seal.is_none());
        manifest_lost || after.last_commit() < after.proven_claims(&|_, _| false) || !after.pages_lost.is_empty()
    }

    /// What a store must answer. `end` is the last commit that it says is whole, where it does not say that the run is damaged.
    ///
    /// # Errors
    /// A wrong answer, or one in silence.
    pub fn ask(&self, store: &SegmentBackend, end: Option<u64>) -> Result<Answers, String> {
        let end = end.and_then(|end| usize::try_from(end).ok());
        let is_intact = |seq| self.is_intact(seq);
        let edited = self.after.as_ref().filter(|_| self.edited.keys);
        let edited = edited.map(|run| EditedKeys::read(run, &self.log.manifest.run_id, &self.injured.files));
        let expected = Expected {
            log: self.log,
            least_seq: self.witnessed_seq,
            is_intact: &is_intact,
            unreadable: self.unreadable,
            edited: edited.as_ref(),
            anchor: end.map(|end| self.log.anchor_at(end)),
        };
        expected.ask(store)
    }

    /// Checks that a refusal to open is one that the damage explains.
    ///
    /// # Errors
    /// Where it is not.
    pub fn check_refusal(&self, error: &EventStoreError) -> Result<Verdict, String> {
        // GENESIS takes the place of a lost MANIFEST, but not of one that belongs to another run.
        let is_foreign = self.after.as_ref().and_then(|run| run.manifest.as_ref()).is_some_and(|manifest| manifest.uid != self.before.uid);
        let is_unknown = self.is_touched("MANIFEST") && (is_foreign || !self.has_genesis());
        let by_manifest = matches!(error, EventStoreError::Corrupted(_)) && is_unknown;
        let by_disk = matches!(error, EventStoreError::Disk(_)) && self.unreadable;
        let is_missing = error.to_string().contains("neither a MANIFEST nor an entry") && !self.holds_frames() && self.witnessed == 0;
        if by_manifest || by_disk || is_missing {
            return Ok(Verdict::Refused);
        }
        Err(format!("the run is refused without a reason: {error:?}"))
    }

    /// Whether segment 1 still says which run it is.
    fn has_genesis(&self) -> bool {
        let genesis = self.before.segments.get(&1).and_then(|first| first.genesis.as_ref());
        genesis.is_some_and(|genesis| !self.injured.touches(self.image, &self.name(&segment_name(1)), &(0..genesis.end)))
    }

    /// Whether anything but zeros stands behind the header page of a segment.
    pub(super) fn holds_frames(&self) -> bool {
        self.after.as_ref().is_some_and(|run| run.segments.values().any(|segment| !segment.is_spare()))
    }

    /// Checks a report against what must be, and answers the end of the log where the run is not damaged.
    ///
    /// # Errors
    /// A false verdict, or a silent loss.
    pub fn check_report(&self, report: &RecoveryReport, whole_walk: bool) -> Result<Option<u64>, String> {
        let found = self.after.as_ref().map(|run| (run.last_commit(), run.proven_claims(&|_, _| false)));
        let damaged = report.state == RecoveredState::AcknowledgedDamage;
        if damaged && !self.is_damaged() {
            return Err(format!("a false verdict: the independent reader finds E and P {found:?}, and the report is {report}"));
        }
        let (end, proven) = (report.end.commit_no, report.proven.commit_no);
        if (whole_walk || !self.is_damaged()) && !self.unreadable && found != Some((end, proven)) {
            return Err(format!("the independent reader finds E and P {found:?}, and the report is {report}"));
        }
        if whole_walk && damaged != self.is_damaged() && !self.unreadable {
            return Err(format!("damage is not reported: {report}"));
        }
        if damaged {
            return Ok(None);
        }
        if end < self.witnessed {
            return Err(format!("silently shorter: commit {} is claimed by an intact witness, and the report is {report}", self.witnessed));
        }
        Ok(Some(end))
    }

    /// The verdict of a run that was opened.
    #[must_use]
    pub fn verdict(&self, end: Option<u64>, answers: Answers) -> Verdict {
        match end {
            None => Verdict::AtOpening,
            Some(_) if answers.refused > 0 => Verdict::OnReading,
            Some(end) if end < self.before.last_commit() => Verdict::TornTail,
            Some(_) => Verdict::Harmless,
        }
    }

    /// Opens the run in every way that there is.
    ///
    /// # Errors
    /// The promise that is broken.
    pub fn judge(&self, class: &str, table: &mut DamageTable) -> Result<(), String> {
        self.check_no_false_damage()?;
        let place = place::of(self);
        let mut note = |way, verdict| table.note(way, class, verdict, &place);
        if let Some((way, verdict)) = self.read().map_err(|broken| format!("to a reader, {broken}"))? {
            note(way, verdict);
        }
        if let Some(verdict) = self.reopen().map_err(|broken| format!("opened again, {broken}"))? {
            note(Way::QuickOpening, verdict);
        }
        if let Some(verdict) = sweep::judge(self).map_err(|broken| format!("swept at boot, {broken}"))? {
            note(Way::FullWalk, verdict);
        }
        Ok(())
    }

    /// Where only what nothing proves durable is damaged, the independent reader sees no damage either.
    fn check_no_false_damage(&self) -> Result<(), String> {
        let proven = self.before.proven_claims(&|_, _| false);
        if self.is_touched("MANIFEST") || self.unreadable || self.edited.claims {
            return Ok(());
        }
        for (ordinal, segment) in &self.before.segments {
            let name = self.name(&segment_name(*ordinal));
            let touched = |range: std::ops::Range<usize>| self.injured.touches(self.image, &name, &range);
            let first = segment.batches.first().map_or(segment.len, |batch| batch.start);
            let is_proven = |commit_no: Option<u64>| commit_no.is_some_and(|commit_no| commit_no <= proven);
            let batches = segment.batches.iter().filter(|batch| is_proven(Some(batch.commit_no)));
            if touched(0..4096)
                || (is_proven(segment.batches.first().map(|batch| batch.commit_no)) && touched(4096..first))
                || batches.clone().any(|batch| touched(batch.start..batch.end))
            {
                return Ok(());
            }
        }
        if self.is_damaged() {
            Err("only what nothing proves durable is damaged, and the rule condemns the run".to_owned())
        } else {
            Ok(())
        }
    }
}
