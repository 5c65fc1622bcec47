//! The end of a run and of a process.

use tapelog::{EventStore, RunStatus};

use super::writing::refuse_if;
use super::{Engine, Passage};
use crate::audience::{Audience, Insiders};
use crate::disk::SimulatedDisk;
use crate::log::{Certainty, Expectation};

impl Engine {
    pub(super) fn seal(&mut self) -> Result<Passage, String> {
        let condemned = self.condemned();
        let (Some(store), Some(run)) = (&mut self.store, self.runs.last_mut()) else {
            return Ok(self.passage(self.expected()));
        };
        if run.expected.sealed.0 == Certainty::Yes {
            return Ok(self.passage(self.expected()));
        }
        let status = if store.recovery().is_some() { RunStatus::CrashedRecovered } else { RunStatus::Ended };
        run.expected.sealed = (Certainty::Maybe, status);
        run.expected.sealed_at = run.accepted;
        let during: Vec<_> = self.runs.iter().map(|run| run.expected).collect();
        match store.seal(status) {
            Ok(()) => {
                refuse_if(condemned.as_ref(), "a seal is made")?;
                let Some(run) = self.runs.last_mut() else { return Err("no run".to_owned()) };
                run.cut(run.accepted);
                run.expected.durable = run.commits();
                run.expected.sealed = (Certainty::Yes, status);
                let high_watermark = self.store.as_ref().and_then(|store| store.high_watermark().ok());
                let Some(run) = self.runs.last() else { return Err("no run".to_owned()) };
                if high_watermark != Some(run.last_seq()) {
                    return Err(format!("sealed with the high-watermark {high_watermark:?} behind entry {}", run.last_seq()));
                }
            }
            Err(error) => self.explain("a seal", &error)?,
        }
        self.note_high_watermark(condemned.as_ref())?;
        Ok(self.passage(during))
    }

    pub(super) fn close(&mut self) -> Passage {
        let during = self.expected();
        self.store = None;
        self.disk.end_process();
        self.passage(during)
    }

    /// The process ends without another word.
    pub fn kill(&mut self) {
        self.replace(self.disk.for_next_process());
        self.audience.turn_to(&self.disk);
    }

    /// What a failed sync left on the disk shows: it need not be what was written.
    pub(super) fn evict(&mut self) {
        self.disk.evict();
        if self.is_faulty()
            && let Some(run) = self.runs.last_mut()
        {
            run.expected.written = run.expected.durable;
            self.audience.forget_what_is_written();
        }
    }

    /// The power failed at a moment at which so much was expected, and left `disk`.
    pub fn end_at(&mut self, disk: SimulatedDisk, expected: &[Expectation]) {
        self.go_on_with(disk);
        self.expect_of_the_rest(expected);
    }

    /// The process was killed at a moment at which so much was expected, and left `disk`. Other processes live on.
    pub fn kill_at(&mut self, disk: SimulatedDisk, expected: &[Expectation]) {
        self.replace(disk);
        self.audience.turn_to(&self.disk);
        self.expect_of_the_rest(expected);
    }

    fn expect_of_the_rest(&mut self, expected: &[Expectation]) {
        self.runs.truncate(expected.len());
        for (run, expected) in self.runs.iter_mut().zip(expected) {
            run.expected = *expected;
            if expected.created == Certainty::No {
                run.expected.created = Certainty::Maybe;
            }
        }
    }

    /// The machine starts again with another disk: what a loss of power made of the old one.
    pub fn go_on_with(&mut self, disk: SimulatedDisk) {
        self.replace(disk);
        self.audience = Audience::of(&self.disk);
    }

    fn replace(&mut self, disk: SimulatedDisk) {
        let old = std::mem::replace(&mut self.disk, disk);
        // What the old store does when it is dropped reaches nobody any more.
        old.cut_power_at(0);
        self.store = None;
        self.insiders = Insiders::default();
    }
}
