//! A damaged run opened by somebody who changes nothing, and by the engine's next start.

use tapelog::{EventStore, EventStoreError, RecoveredState, RunStatus, SegmentBackend, Verifier};

use crate::disk::SimulatedDisk;
use crate::engine::Engine;
use crate::explore::damage::answers::Answers;
use crate::explore::damage::image::path_of;
use crate::explore::damage::judge::Case;
use crate::explore::damage::table::{Verdict, Way};
use crate::log::{Filling, entry};

impl Case<'_> {
    /// By somebody who changes nothing.
    pub(super) fn read(&self) -> Result<Option<(Way, Verdict)>, String> {
        let disk = self.disk();
        let before = disk.state().fingerprint();
        let way = if self.is_sealed() { Way::SealedRun } else { Way::Reader };
        let opened = self.store(&disk)?.into_read_only(Engine::folder(self.log));
        let verdict = match opened {
            Err(error) => self.check_refusal(&error)?,
            Ok(store) => self.shown(store)?,
        };
        if disk.state().fingerprint() != before {
            return Err("something was changed".to_owned());
        }
        Ok(Some((way, verdict)))
    }

    fn shown(&self, store: SegmentBackend) -> Result<Verdict, String> {
        let report = store.recovery().cloned().ok_or("no report")?;
        let sealed = report.state == RecoveredState::Sealed;
        let end = if sealed { Some(report.end.commit_no) } else { self.check_report(&report, false)? };
        // A reader is shown what is proven durable, and no more.
        let shown = if sealed { end } else { end.map(|end| end.min(report.proven.commit_no)) };
        let answers = self.ask(&store, shown)?;
        let was_shown = if sealed { self.before.last_commit() } else { self.before.proven_claims(&|_, _| false) };
        if sealed {
            verify(store, answers)?;
        }
        Ok(match shown {
            Some(shown) if answers.refused == 0 && shown < was_shown => Verdict::TornTail,
            Some(_) if answers.refused == 0 => Verdict::Harmless,
            shown => self.verdict(shown, answers),
        })
    }

    /// By the engine's next start, and then by whoever seals the run.
    pub(super) fn reopen(&self) -> Result<Option<Verdict>, String> {
        let disk = self.disk();
        // The next start makes the lock if it is gone.
        let lock = path_of(&self.name("LOCK"));
        if disk.contents(&lock).is_none() {
            disk.put(&lock, &[]);
        }
        let before = disk.state().fingerprint();
        let mut store = self.store(&disk)?;
        let unchanged = || if disk.state().fingerprint() == before { Ok(()) } else { Err("something was changed".to_owned()) };
        match store.open_run(self.log.manifest.clone()) {
            Ok(()) if self.witnessed == 0 && !self.holds_frames() && self.is_touched("MANIFEST") => {
                let verdict = if self.before.last_commit() == 0 { Verdict::Harmless } else { Verdict::TornTail };
                return Ok(Some(verdict));
            }
            Ok(()) => return Err("the run is begun anew".to_owned()),
            Err(EventStoreError::CrashedPredecessor) => {}
            Err(error) if error.to_string().contains("already sealed") && self.is_sealed() => {
                unchanged()?;
                return Ok(None);
            }
            Err(error) => {
                unchanged()?;
                return self.check_refusal(&error).map(Some);
            }
        }
        let report = store.recovery().cloned().ok_or("no report")?;
        let end = self.check_report(&report, false)?;
        let answers = self.ask(&store, end)?;
        let refused = store.append_batch(&[entry(answers.high_watermark + 1, 10, Filling::Bytes, 1)]);
        if refused != Err(EventStoreError::CrashedPredecessor) {
            return Err(format!("a recovered run takes a batch: {refused:?}"));
        }
        let status = if end.is_none() { RunStatus::Quarantined } else { RunStatus::CrashedRecovered };
        if end.is_none() {
            if store.seal(RunStatus::CrashedRecovered).is_ok() {
                return Err("a damaged run is sealed as if it were not".to_owned());
            }
            unchanged()?;
        }
        match store.seal(status) {
            Ok(()) => {}
            Err(EventStoreError::Disk(_)) if self.unreadable => return Ok(Some(self.verdict(end, answers))),
            Err(error) => return Err(format!("the run cannot be sealed as {status}: {error}")),
        }
        drop(store);
        self.check_sealed(&disk, end, answers).map_err(|broken| format!("sealed as {status}, {broken}"))?;
        Ok(Some(self.verdict(end, answers)))
    }

    /// A run that was sealed behind a recovery answers what it answered before.
    ///
    /// # Errors
    /// Where it does not.
    pub fn check_sealed(&self, disk: &SimulatedDisk, end: Option<u64>, before: Answers) -> Result<(), String> {
        let store = self.store(disk)?.into_read_only(Engine::folder(self.log));
        let store = store.map_err(|error| format!("it cannot be opened: {error}"))?;
        let answers = self.ask(&store, end)?;
        // Of a damaged run, the newest anchor that is intact may be another one after a walk from segment 1.
        let told = |answers: Answers| (answers.high_watermark, answers.entries_refused, end.is_some() && answers.refused > 0);
        if told(answers) != told(before) && !self.unreadable {
            return Err(format!("it answers {answers:?}, and before {before:?}"));
        }
        if end.is_some() { verify(store, answers) } else { Ok(()) }
    }
}

/// The verifier finds nothing where every answer is right, and something where one is refused.
fn verify(store: SegmentBackend, answers: Answers) -> Result<(), String> {
    let report = Verifier::new(Box::new(store)).verify();
    match report {
        Ok(report) if report.is_clean() && answers.entries_refused > 0 => {
            Err(format!("the verifier finds nothing, and {} entries are refused", answers.entries_refused))
        }
        Ok(report) if !report.is_clean() && answers.refused == 0 => Err(format!("the verifier finds {report:?}, and nothing is refused")),
        Err(error) if answers.refused == 0 => Err(format!("the verifier finds {error}, and nothing is refused")),
        _ => Ok(()),
    }
}
