//! Followers of a disk that a crash left: they were there before the next process, and stay to the end.

use tapelog::Visibility;

use crate::audience::Listener;
use crate::disk::SimulatedDisk;
use crate::disk::observer::Observer;
use crate::log::{Certainty, Expectation, RunLog};
use crate::setting::Mode;

/// One that follows what is durable, and one that follows what is written.
pub(super) struct Followers {
    durable: Listener,
    written: Listener,
}

impl Followers {
    /// Begins to follow a run; none where it is not there yet.
    pub(super) fn begin(disk: &SimulatedDisk, run: &RunLog, expected: &Expectation, mode: Mode) -> Result<Option<Self>, String> {
        let observer = Observer::of(disk);
        let begin = |visibility| Listener::begin(&observer, run, mode, visibility, 1);
        match (begin(Visibility::Durable), begin(Visibility::Written)) {
            (Ok(durable), Ok(written)) => Ok(Some(Self { durable, written })),
            (Err(broken), _) | (_, Err(broken)) if expected.created == Certainty::Yes => Err(broken),
            _ => Ok(None),
        }
    }

    /// Nobody has recovered the run. A reader was shown so many commits, and a follower may not be shown more.
    pub(super) fn listen_to_what_is_left(&mut self, run: &RunLog, shown: usize) -> Result<(), String> {
        let followed = run.commits_up_to(self.durable.listen(run)?);
        if followed > shown {
            return Err(format!("a follower is shown commit {followed}, and a reader no more than {shown}"));
        }
        self.written.listen(run).map(|_| ())
    }

    /// A recovery found so many commits: what it witnesses is shown, and what it discards was never shown as written.
    pub(super) fn listen_to_what_was_recovered(&mut self, run: &RunLog, end: usize) -> Result<(), String> {
        let expected = run.last_seq_at(end);
        let before = self.written.shown();
        let (durable, written) = (self.durable.listen(run)?, self.written.listen(run)?);
        if (durable, before, written) != (expected, expected, expected) {
            return Err(format!(
                "a recovery ends at entry {expected}, and its followers show {durable} as durable, {before} as written before it, and {written}"
            ));
        }
        Ok(())
    }

    /// The run is sealed.
    pub(super) fn listen_to_the_end(&mut self, run: &RunLog, expected: &Expectation) -> Result<(), String> {
        for follower in [&mut self.durable, &mut self.written] {
            follower.listen(run)?;
            follower.check_end(run, expected)?;
        }
        Ok(())
    }
}
