//! One damaged run, opened in every way there is.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::path::Path;

use tapelog::{EventStore, EventStoreError, RecoveredState, RunStatus, SegmentBackend, Verifier, recover_predecessors};
use tempfile::TempDir;

use super::small_run::{RUN, SmallRun};
use crate::support::entries::{INSTANCE, batch, manifest};
use crate::support::folders::{file_names, has_extension, memory_dir};
use crate::support::log::Answers;

/// What one way of opening a damaged run came to: a verdict and answers, or a refusal.
pub type Opened = Result<(RecoveredState, Answers), EventStoreError>;

/// What every way of opening a damaged run came to.
#[derive(Debug)]
pub struct Outcome {
    pub read_only: Opened,
    /// As read by who asked for everything that is written.
    pub written: Opened,
    pub recovered: Opened,
    /// What the sweep sealed it as; `None` where it found nothing to do.
    pub swept: Result<Option<RunStatus>, EventStoreError>,
}

/// A folder in which one damaged run after the other is tried.
pub struct Trial<'a> {
    run: &'a SmallRun,
    base: TempDir,
}

impl<'a> Trial<'a> {
    pub fn of(run: &'a SmallRun) -> Self {
        Self { run, base: memory_dir() }
    }

    /// Opens the run with this damage in every way.
    pub fn everything(&self, damage: &dyn Fn(&Path), what: &dyn Display) -> Outcome {
        let outcome = Outcome {
            read_only: self.read_only(damage, what),
            written: self.written(damage, what),
            recovered: self.recover_and_seal(damage, what),
            swept: self.sweep(damage, what),
        };
        if let (Ok((_, read_only)), Ok((_, recovered))) = (&outcome.read_only, &outcome.recovered) {
            assert!(read_only.high_watermark <= recovered.high_watermark, "{what}: {outcome:?}");
        }
        outcome
    }

    /// Reads the run without changing anything, and verifies it.
    pub fn read_only(&self, damage: &dyn Fn(&Path), what: &dyn Display) -> Opened {
        let folder = self.run.put_into(self.base.path());
        damage(&folder);
        let before = contents(&folder);
        let opened = self.look(&folder, what);
        if let Ok((_, answers)) = &opened {
            let report = Verifier::new(Box::new(SegmentBackend::open_read_only(&folder).unwrap())).verify();
            let report = report.unwrap_or_else(|error| panic!("{what}: not verified: {error}"));
            assert_eq!(report.is_clean(), answers.unreadable.is_empty(), "{what}: {report:?}, {answers:?}");
        }
        assert_eq!(before, contents(&folder), "{what}: reading changed the files");
        opened
    }

    fn written(&self, damage: &dyn Fn(&Path), what: &dyn Display) -> Opened {
        let folder = self.run.put_into(self.base.path());
        damage(&folder);
        self.look_at_all(&folder, what)
    }

    /// Reads what is in a folder.
    pub fn look(&self, folder: &Path, what: &dyn Display) -> Opened {
        let store = refused(SegmentBackend::open_read_only(folder), what)?;
        let answers = self.run.log.assert_honest(&store, &format!("{what}, read-only"));
        Ok((store.recovery().unwrap().state, answers))
    }

    /// Reads what is in a folder, also what nothing proves durable.
    pub fn look_at_all(&self, folder: &Path, what: &dyn Display) -> Opened {
        let store = refused(SegmentBackend::open_written(folder), what)?;
        let answers = self.run.log.assert_honest(&store, &format!("{what}, written"));
        Ok((store.recovery().unwrap().state, answers))
    }

    /// Recovers the run by name, without sealing it.
    pub fn recover(
        &self,
        damage: &dyn Fn(&Path),
        what: &dyn Display,
    ) -> Result<(SegmentBackend, RecoveredState, Answers), EventStoreError> {
        let folder = self.run.put_into(self.base.path());
        damage(&folder);
        let before = segments(&folder);
        let mut store = SegmentBackend::builder(self.base.path()).index_spacing(512).build().unwrap();
        match store.open_run(manifest(RUN)) {
            Err(EventStoreError::CrashedPredecessor) => {}
            Ok(()) => panic!("{what}: a new run was begun over an old one"),
            Err(error) => {
                assert_eq!(before, segments(&folder), "{what}: a run that was refused was changed");
                return Err(refusal(error, what));
            }
        }
        let state = store.recovery().unwrap().state;
        if state == RecoveredState::AcknowledgedDamage {
            assert_eq!(before, segments(&folder), "{what}: damaged segments were changed");
        }
        let answers = self.run.log.assert_honest(&store, &format!("{what}, recovered"));
        let next = answers.high_watermark + 1;
        assert_eq!(store.append_batch(&batch(next, next, 1)), Err(EventStoreError::CrashedPredecessor), "{what}");
        Ok((store, state, answers))
    }

    fn recover_and_seal(&self, damage: &dyn Fn(&Path), what: &dyn Display) -> Opened {
        let (mut store, state, answers) = match self.recover(damage, what) {
            Err(EventStoreError::Backend(text)) if text.contains("already sealed") => return self.opened_as_sealed(what, None),
            recovered => recovered?,
        };
        let status = if state == RecoveredState::AcknowledgedDamage {
            let refused = store.seal(RunStatus::CrashedRecovered);
            assert!(matches!(&refused, Err(EventStoreError::Backend(text)) if text.contains("Quarantined")), "{what}: {refused:?}");
            RunStatus::Quarantined
        } else {
            RunStatus::CrashedRecovered
        };
        store.seal(status).unwrap_or_else(|error| panic!("{what}: not sealed: {error}"));
        let sealed = self.run.log.assert_honest(&store, &format!("{what}, just sealed"));
        assert_eq!(sealed, answers, "{what}: the seal changed what is answered");
        drop(store);
        let reopened = self.opened_as_sealed(what, Some(status)).unwrap_or_else(|error| panic!("{what}: a sealed run is refused: {error}"));
        assert_eq!(reopened.1, answers, "{what}: the sealed run answers otherwise");
        Ok((state, answers))
    }

    /// Opens the run as the sealed one that it says it is.
    fn opened_as_sealed(&self, what: &dyn Display, status: Option<RunStatus>) -> Opened {
        let store = refused(SegmentBackend::open_sealed(self.base.path(), INSTANCE, RUN), what)?;
        if let Some(status) = status {
            assert_eq!(store.manifest().unwrap().status, status, "{what}");
        }
        let answers = self.run.log.assert_honest(&store, &format!("{what}, sealed"));
        Ok((store.recovery().unwrap().state, answers))
    }

    /// Sweeps at boot.
    pub fn sweep(&self, damage: &dyn Fn(&Path), what: &dyn Display) -> Result<Option<RunStatus>, EventStoreError> {
        let folder = self.run.put_into(self.base.path());
        damage(&folder);
        let mut outcome = recover_predecessors(self.base.path(), INSTANCE).unwrap_or_else(|error| panic!("{what}: no sweep: {error}"));
        assert_eq!(outcome.live, [""; 0], "{what}");
        if let Some(unreadable) = outcome.unreadable.pop() {
            assert_eq!(outcome.recovered, [], "{what}");
            return Err(refusal(unreadable.error, what));
        }
        let status = outcome.recovered.first().map(|run| run.status);
        if let Some(status) = status {
            assert_eq!(outcome.parent_run_id.is_some(), status == RunStatus::CrashedRecovered, "{what}");
            let (state, _) = self.opened_as_sealed(what, Some(status)).unwrap_or_else(|error| panic!("{what}: swept and refused: {error}"));
            if state == RecoveredState::AcknowledgedDamage {
                assert_eq!(status, RunStatus::Quarantined, "{what}");
            }
        }
        Ok(status)
    }
}

/// A refusal has to say what is wrong in a way that a program can tell.
fn refusal(error: EventStoreError, what: &dyn Display) -> EventStoreError {
    let typed = match &error {
        EventStoreError::Corrupted(corruption) => corruption.file.is_some() && !corruption.found.is_empty(),
        EventStoreError::UnsupportedVersion { .. } => true,
        EventStoreError::Backend(text) => text.contains(RUN),
        _ => false,
    };
    assert!(typed, "{what}: {error:?}");
    error
}

fn refused<T>(result: Result<T, EventStoreError>, what: &dyn Display) -> Result<T, EventStoreError> {
    result.map_err(|error| refusal(error, what))
}

/// Every file of a run by name.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    file_names(folder).into_iter().map(|name| (name.clone(), fs::read(folder.join(name)).unwrap())).collect()
}

/// The segments of a run by name: what a verdict of damage must leave as it is.
fn segments(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = contents(folder);
    files.retain(|name, _| has_extension(name, "seg"));
    files
}
