//! Readers within the engine's process: a reader of its own run, and a tail that waits for it.

use std::ops::ControlFlow;
use std::time::Duration;

use tapelog::{Check, Progress, RunEnd, RunReader, ScanDirection, SegmentBackend, Tail, Visibility};

use crate::asking::{check_visit, is_given};
use crate::log::{Certainty, RunLog};

/// A reader and a tail of one life of a run.
#[derive(Debug)]
struct Insider {
    run_id: String,
    reader: RunReader,
    tail: Tail,
    /// Whether this life wrote the run.
    is_writer: bool,
}

/// Those of the store that is open, and of the one that was open before.
#[derive(Debug, Default)]
pub struct Insiders {
    members: Vec<Insider>,
}

impl Insiders {
    /// A store was opened.
    ///
    /// # Errors
    /// Where it has no reader.
    pub fn join(&mut self, run: &RunLog, store: &SegmentBackend) -> Result<(), String> {
        let reader = store.reader().map_err(|error| format!("an open run has no reader: {error}"))?;
        let tail = reader.tail(1, Visibility::Durable);
        if self.members.len() > 1 {
            self.members.remove(0);
        }
        self.members.push(Insider { run_id: run.manifest.run_id.clone(), reader, tail, is_writer: store.recovery().is_none() });
        Ok(())
    }

    /// They read on. What they show becomes the least that must stay.
    ///
    /// # Errors
    /// What they show and may not, or do not and must.
    pub fn listen(&mut self, runs: &mut [RunLog], is_open: bool, is_faulty: bool) -> Result<(), String> {
        let newest = self.members.len().saturating_sub(1);
        for (index, member) in self.members.iter_mut().enumerate() {
            let Some(run) = runs.iter_mut().find(|run| run.manifest.run_id == member.run_id) else { continue };
            let is_current = is_open && index == newest;
            member.listen(run, is_current, is_faulty)?;
        }
        Ok(())
    }
}

impl Insider {
    fn listen(&mut self, run: &mut RunLog, is_current: bool, is_faulty: bool) -> Result<(), String> {
        let high_watermark = self.reader.high_watermark();
        let commits = run.commits_up_to(high_watermark);
        if run.last_seq_at(commits) != high_watermark {
            return Err(format!("a reader of the open run is shown entry {high_watermark}, which is no end of a batch"));
        }
        let broken = |broken| format!("a reader of the open run: {broken}");
        check_visit(&self.reader, run, high_watermark, ScanDirection::Forward, Check::Full).map_err(broken)?;
        check_visit(&self.reader, run, high_watermark, ScanDirection::Reverse, Check::Crc).map_err(broken)?;
        let end = self.take(run)?;
        if self.tail.next_seq() != high_watermark + 1 {
            return Err(format!("a tail comes to entry {}, and {high_watermark} is the last one", self.tail.next_seq() - 1));
        }
        run.expected.durable = run.expected.durable.max(commits);
        let is_sealed = run.expected.sealed.0 == Certainty::Yes;
        match end {
            None if is_current && self.is_writer && !is_sealed => Ok(()),
            Some(RunEnd::Failed(_)) if is_faulty => Ok(()),
            Some(RunEnd::Left) if !is_current || !self.is_writer => Ok(()),
            Some(RunEnd::Sealed(manifest)) if run.expected.sealed.0 != Certainty::No && manifest.high_watermark == high_watermark => Ok(()),
            end => Err(format!("a tail at entry {high_watermark} is told: {end:?}")),
        }
    }

    /// Takes what has come; answers how the run ended, if it has.
    fn take(&mut self, run: &RunLog) -> Result<Option<RunEnd>, String> {
        loop {
            let mut next = self.tail.next_seq();
            let mut wrong = None;
            let progress = self.tail.visit(Duration::ZERO, Check::Full, |view| {
                if wrong.is_none() && (view.seq() != next || !run.entry(next).is_some_and(|entry| is_given(&view, entry))) {
                    wrong = Some(view.seq());
                }
                next = view.seq() + 1;
                ControlFlow::Continue(())
            });
            if let Some(wrong) = wrong {
                return Err(format!("a tail shows entry {wrong}, which is not what was given"));
            }
            match progress.map_err(|error| format!("a tail fails: {error}"))? {
                Progress::Shown(_) => {}
                Progress::Idle => return Ok(None),
                Progress::Ended(end) => return Ok(Some(end)),
            }
        }
    }
}
