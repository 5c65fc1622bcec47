//! Those who read beside the engine and live on from one operation to the next.
//!
//! The [`Audience`] are other processes: they live on when the engine's process ends, and end with the power. The
//! [`Insiders`] are readers within the engine's process, and end with it. Whatever they show becomes the least that must
//! stay, and they never err: nothing is damaged here.

mod insiders;
mod listener;

use std::sync::Arc;

use tapelog::{Check, RunReader, ScanDirection, Visibility};

pub use insiders::Insiders;
pub use listener::Listener;

use crate::asking::check_visit;
use crate::disk::SimulatedDisk;
use crate::disk::observer::Observer;
use crate::engine::{Engine, store_on};
use crate::log::{Certainty, RunLog};
use crate::setting::Mode;

/// What is known of the store at the time, if one is open.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings {
    /// The last durable entry.
    pub durable: Option<u64>,
    /// The last written one.
    pub written: Option<u64>,
    /// Whether the run was recovered, so that the witness tells of all of it.
    pub is_recovered: bool,
    /// Whether no operation of the disk has failed.
    pub is_faultless: bool,
}

/// Other processes that read the newest run.
#[derive(Debug)]
pub struct Audience {
    observer: Observer,
    run_id: String,
    /// Follows what is durable.
    durable: Option<Listener>,
    /// Follows what is written.
    written: Option<Listener>,
    /// Opened the run's files at some time and sees them as they were then.
    reader: Option<RunReader>,
    /// Whether the run was followed from its beginning.
    is_first: bool,
}

impl Audience {
    /// Processes that begin to look at a disk.
    #[must_use]
    pub fn of(disk: &SimulatedDisk) -> Self {
        Self { observer: Observer::of(disk), run_id: String::new(), durable: None, written: None, reader: None, is_first: true }
    }

    /// The engine's process has ended, and the next one goes on with this disk.
    pub fn turn_to(&self, disk: &SimulatedDisk) {
        self.observer.turn_to(disk);
    }

    /// What is written may be gone although nobody lost power: a sync failed, and its pages have left the cache.
    pub fn forget_what_is_written(&mut self) {
        self.written = None;
    }

    /// The last entry that the follower of what is durable has shown of a run.
    #[must_use]
    pub fn shown(&self, run: &RunLog) -> Option<u64> {
        self.durable.as_ref().filter(|_| self.run_id == run.manifest.run_id).map(Listener::shown)
    }

    /// Everybody reads on. Answers the last entry that the followers have shown: of what is durable, and of what is written.
    ///
    /// # Errors
    /// What was shown and may not be, or was not and must be.
    pub fn listen(&mut self, run: &RunLog, mode: Mode, around: Surroundings) -> Result<(u64, u64), String> {
        if self.run_id != run.manifest.run_id {
            *self = Self { run_id: run.manifest.run_id.clone(), ..Self::of(&self.observer.disk()) };
        }
        if run.expected.created != Certainty::Yes {
            return Ok((0, 0));
        }
        self.begin(run, mode)?;
        let durable = self.durable.as_mut().map_or(Ok(0), |follower| follower.listen(run))?;
        let sealed = run.expected.sealed.0 == Certainty::Yes;
        if around.durable.is_some_and(|last| durable > last) {
            return Err(format!("a follower shows entry {durable}, and {:?} is the last durable one", around.durable));
        }
        if around.is_recovered && around.durable.is_some_and(|last| durable != last) {
            return Err(format!("a follower shows entry {durable} of a recovered run that ends at {:?}", around.durable));
        }
        if let Some(follower) = self.durable.as_ref().filter(|follower| sealed || follower.end().is_some()) {
            follower.check_end(run, &run.expected)?;
        }
        let written = self.written.as_mut().map_or(Ok(0), |follower| follower.listen(run))?;
        if around.is_faultless && !sealed && self.written.is_some() && around.written.is_some_and(|last| written != last) {
            return Err(format!("a follower of what is written shows entry {written}, and {:?} is the last one", around.written));
        }
        if let Some(follower) = self.written.as_ref().filter(|_| around.is_faultless && sealed) {
            follower.check_end(run, &run.expected)?;
        }
        if self.reader.is_none() && durable > 0 {
            let store = store_on(Arc::new(self.observer.clone()), mode).and_then(|store| store.into_read_only(Engine::folder(run)));
            let reader = store.and_then(|store| store.reader()).map_err(|error| format!("a reader cannot begin: {error}"))?;
            self.reader = Some(reader);
        }
        Ok((durable, written))
    }

    fn begin(&mut self, run: &RunLog, mode: Mode) -> Result<(), String> {
        if self.durable.is_some() {
            return Ok(());
        }
        // Who begins once more begins in the middle of what was shown before.
        let from = if self.is_first { 1 } else { run.last_seq_at(run.expected.durable) / 2 + 1 };
        self.is_first = false;
        self.durable = Some(Listener::begin(&self.observer, run, mode, Visibility::Durable, from)?);
        self.written = Some(Listener::begin(&self.observer, run, mode, Visibility::Written, 1)?);
        Ok(())
    }

    /// The reader that has opened the files of the run reads everything once more.
    ///
    /// # Errors
    /// What is not as it was.
    pub fn read(&self, run: Option<&RunLog>) -> Result<(), String> {
        let (Some(reader), Some(run)) = (&self.reader, run.filter(|run| run.manifest.run_id == self.run_id)) else { return Ok(()) };
        let broken = |broken| format!("a reader that was opened before: {broken}");
        check_visit(reader, run, reader.high_watermark(), ScanDirection::Forward, Check::Full).map_err(broken)
    }
}
