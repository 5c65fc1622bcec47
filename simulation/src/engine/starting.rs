//! What a new process does: it opens the newest run, sweeps, and goes on in a child.

use std::sync::Arc;

use tapelog::{EventStore, EventStoreError, RecoveredState, RecoverySweep, RunStatus, SegmentBackend};

use super::{BASE, Engine, Passage, check_end, is_verdict, recovered_end, store_over};
use crate::log::{Certainty, Filling, INSTANCE, RunLog};

/// What the page cache holds of a run that nobody writes.
enum Held {
    /// No run.
    Nothing,
    /// One that was left running.
    Running,
    /// One that is sealed.
    Sealed,
}

/// A run that is found sealed and relied on stays sealed.
fn take_for_sealed(run: &mut RunLog) -> Result<(), String> {
    // Whether everything is in it is seen when it is examined.
    run.expected.sealed.0 = Certainty::Yes;
    check_end(run, run.expected.sealed_at, run.expected.durable)?;
    run.expected.durable = run.expected.sealed_at;
    run.cut(run.expected.sealed_at);
    run.accepted = run.expected.sealed_at;
    Ok(())
}

impl Engine {
    /// Opens the newest run, or a new one.
    ///
    /// # Errors
    /// As [`Engine::perform`].
    pub fn open(&mut self) -> Result<Passage, String> {
        if self.store.is_some() {
            return Ok(self.passage(self.expected()));
        }
        self.faults_before = self.disk.errors_met();
        self.forget_a_child_that_never_was()?;
        match self.runs.last() {
            None => self.runs.push(RunLog::new("run-1", None)),
            Some(run) if run.expected.sealed.0 == Certainty::Yes => self.begin_child()?,
            Some(_) => {}
        }
        self.open_newest()
    }

    fn open_newest(&mut self) -> Result<Passage, String> {
        let mut store = store_over(&self.disk, self.setting.mode).map_err(|error| error.to_string())?;
        let Some(run) = self.runs.last_mut() else { return Err("no run".to_owned()) };
        if run.expected.created == Certainty::No {
            run.expected.created = Certainty::Maybe;
        }
        let during: Vec<_> = self.runs.iter().map(|run| run.expected).collect();
        let Some(run) = self.runs.last_mut() else { return Err("no run".to_owned()) };
        match store.open_run(run.manifest.clone()) {
            Ok(()) => {
                if run.expected.created == Certainty::Yes {
                    return Err(format!("{} was created, and was created once more", run.manifest.run_id));
                }
                run.cut(0);
                run.accepted = 0;
                run.expected.created = Certainty::Yes;
                self.has_opened(store)?;
            }
            Err(EventStoreError::CrashedPredecessor) => {
                let end = recovered_end(&store)?;
                check_end(run, end, run.expected.durable)?;
                run.expected.created = Certainty::Yes;
                run.cut(end);
                run.accepted = end;
                run.expected.sealed = (Certainty::No, RunStatus::Running);
                run.expected.sealed_at = 0;
                // What a recovery shows stays.
                run.expected.durable = end;
                run.expected.written = end;
                self.has_opened(store)?;
            }
            Err(error) => {
                let sealed = run.expected.sealed.0 == Certainty::Maybe && error.to_string().contains("already sealed");
                if sealed {
                    // Whether everything is in it is seen when it is examined.
                    take_for_sealed(run)?;
                    self.disk.end_process();
                } else if self.is_faulty() && !is_verdict(&error) {
                    self.disk.end_process();
                } else {
                    return Err(format!("opening failed without a fault: {error}"));
                }
            }
        }
        Ok(self.passage(during))
    }

    fn has_opened(&mut self, store: SegmentBackend) -> Result<(), String> {
        let Some(run) = self.runs.last() else { return Err("no run".to_owned()) };
        self.insiders.join(run, &store)?;
        self.store = Some(store);
        self.rely_on_the_parent()
    }

    /// Who opens a child relies on its parent's seal.
    fn rely_on_the_parent(&mut self) -> Result<(), String> {
        let parent = self.runs.iter_mut().rev().nth(1).filter(|parent| parent.expected.sealed.0 == Certainty::Maybe);
        parent.map_or(Ok(()), take_for_sealed)
    }

    /// A child of the newest run, which has not been opened yet.
    fn begin_child(&mut self) -> Result<(), String> {
        if self.listens {
            // Those who follow the parent come to its end.
            self.show_to_the_audience()?;
        }
        let next = self.runs.len() + 1;
        let parent = self.runs.last().map(|run| run.manifest.run_id.clone());
        self.runs.push(RunLog::new(&format!("run-{next}"), parent.as_deref()));
        Ok(())
    }

    /// Where the creation of a child did not come to its end before its parent's seal was confirmed, the engine begins with the
    /// parent again.
    fn forget_a_child_that_never_was(&mut self) -> Result<(), String> {
        let [.., parent, child] = self.runs.as_slice() else { return Ok(()) };
        if parent.expected.sealed.0 == Certainty::Yes || child.expected.created == Certainty::Yes {
            return Ok(());
        }
        match (self.held(child), self.held(parent)) {
            (Held::Nothing, _) => {
                self.runs.pop();
                Ok(())
            }
            (_, Held::Sealed) => Ok(()),
            _ => Err(format!("{} is there, and the seal that it names is none", child.manifest.run_id)),
        }
    }

    /// What there is of a run, as whoever changes nothing finds it.
    fn held(&self, run: &RunLog) -> Held {
        let store = store_over(&self.disk.for_reader(), self.setting.mode).and_then(|store| store.into_read_only(Self::folder(run)));
        match store.and_then(|store| store.manifest()) {
            Ok(manifest) if manifest.is_sealed() => Held::Sealed,
            Ok(_) => Held::Running,
            Err(_) => Held::Nothing,
        }
    }

    /// A new process finds the newest run sealed, and goes on in a child of it at once.
    pub(super) fn child(&mut self, passages: &mut Vec<Passage>) -> Result<(), String> {
        if self.store.is_some() {
            passages.push(self.close());
        }
        self.faults_before = self.disk.errors_met();
        self.forget_a_child_that_never_was()?;
        let is_unsure = |run: &&RunLog| run.expected.sealed.0 == Certainty::Maybe && run.expected.created == Certainty::Yes;
        if self.runs.last().filter(is_unsure).is_some_and(|run| matches!(self.held(run), Held::Sealed)) {
            self.begin_child()?;
            passages.push(self.open_newest()?);
        } else {
            passages.push(self.open()?);
        }
        Ok(())
    }

    /// A new process sweeps, and goes on in a child of the newest run.
    pub(super) fn boot(&mut self, passages: &mut Vec<Passage>) -> Result<(), String> {
        if self.store.is_some() {
            passages.push(self.close());
        }
        self.faults_before = self.disk.errors_met();
        self.forget_a_child_that_never_was()?;
        if !self.sweep(passages)? {
            self.disk.end_process();
            return Ok(());
        }
        passages.push(self.open()?);
        passages.push(self.append(&[(110, Filling::Bytes)])?);
        Ok(())
    }

    /// Sweeps; false where a fault left the newest run as it is.
    fn sweep(&mut self, passages: &mut Vec<Passage>) -> Result<bool, String> {
        let Some(run) = self.runs.last() else { return Ok(true) };
        let held = self.held(run);
        let planned = self.plan(run)?;
        let Some(run) = self.runs.last_mut() else { return Ok(true) };
        if let Some((status, end)) = planned {
            check_end(run, end, run.expected.durable)?;
            run.expected.sealed = (Certainty::Maybe, status);
            run.expected.sealed_at = end;
        }
        let during: Vec<_> = self.runs.iter().map(|run| run.expected).collect();
        let applied = RecoverySweep::new(BASE, INSTANCE).storage(Arc::new(self.disk.clone())).apply();
        passages.push(self.passage(during));
        let outcome = match applied {
            Ok(outcome) => outcome,
            Err(error) => return self.explain("a sweep", &error).map(|()| false),
        };
        if let Some(unreadable) = outcome.unreadable.first() {
            return self.explain("a sweep", &unreadable.error).map(|()| false);
        }
        let Some(run) = self.runs.last_mut() else { return Ok(true) };
        let run_id = run.manifest.run_id.clone();
        match (planned, held) {
            (Some((status, end)), _) => {
                let swept = outcome.recovered.iter().find(|recovered| recovered.run_id == run_id).map(|recovered| recovered.status);
                if swept != Some(status) || outcome.parent_run_id.as_ref() != Some(&run_id) {
                    return Err(format!("the sweep was to seal {run_id} as {status}, and says {outcome:?}"));
                }
                run.expected.created = Certainty::Yes;
                run.expected.written = end;
                take_for_sealed(run)?;
            }
            (None, Held::Sealed) if run.expected.sealed.0 != Certainty::No => take_for_sealed(run)?,
            (None, Held::Nothing) if run.expected.created != Certainty::Yes => {}
            (None, Held::Running) if self.is_faulty() => return Ok(false),
            (None, _) => return Err(format!("the sweep leaves {run_id} as it is: {outcome:?}")),
        }
        Ok(true)
    }

    /// As what the sweep will seal the newest run, and with how many commits; none where there is nothing to seal.
    fn plan(&self, run: &RunLog) -> Result<Option<(RunStatus, usize)>, String> {
        let sweep = RecoverySweep::new(BASE, INSTANCE).storage(Arc::new(self.disk.for_reader()));
        let planned = sweep.plan().map_err(|error| format!("a sweep cannot be planned: {error}"))?;
        let Some(planned) = planned.into_iter().find(|planned| planned.run_id == run.manifest.run_id) else { return Ok(None) };
        let (status, report) = planned.verdict.map_err(|error| format!("the sweep cannot read {}: {error}", planned.run_id))?;
        if report.state == RecoveredState::AcknowledgedDamage {
            return Err(format!("false verdict: {report}"));
        }
        Ok(Some((status, usize::try_from(report.end.commit_no).map_err(|error| error.to_string())?)))
    }
}
