//! The runs of an instance one after the other, each at most once.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use tapelog::{Check, EventStoreError, FollowOptions, Follower, RunId, RunListing};

use crate::exit::{Failure, Verdict};
use crate::folder;
use crate::follow::lost;
use crate::output::tell;

/// How long a run that cannot be read is left alone before it is looked at again: it may just be being made.
const SETTLE: Duration = Duration::from_millis(100);
/// How many times as long as a look has taken it rests at least: a folder of many runs takes long to look through.
const REST_PER_LOOK: u32 = 20;

/// The runs of an instance, and which of them are done with.
#[derive(Debug)]
pub struct Instance {
    path: PathBuf,
    /// Runs that were shown or passed over, and those that were there before the first one.
    done: HashSet<RunId>,
    /// Runs that were left running when another one was gone on with, and the next entry of each: there may be more of it
    /// once it is recovered.
    left: HashMap<RunId, u64>,
    /// When the folder is looked through again.
    rests_until: Option<Instant>,
    verdict: Verdict,
}

impl Instance {
    /// The instance in a folder, which need not be there yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), done: HashSet::new(), left: HashMap::new(), rests_until: None, verdict: Verdict::Done }
    }

    /// What the runs that were passed over make of the end.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The newest run that can be read; those before it are done with. None where there is no run yet.
    ///
    /// # Errors
    ///
    /// Where the folder cannot be listed, or holds runs of which none can be read: then why the newest cannot.
    pub fn newest(&mut self) -> Result<Option<PathBuf>, Failure> {
        let runs = self.look()?;
        let mut failures = Vec::new();
        let mut newest = None;
        for run in runs.iter().rev() {
            match open_to_follow(run) {
                Ok(()) => {
                    newest = Some(run.path.clone());
                    break;
                }
                Err(error) => failures.push((run.run_id.clone(), Failure::at(&run.path, &error))),
            }
        }
        self.done.extend(runs.into_iter().map(|run| run.run_id));
        // When a run began that cannot be read is told by its id alone.
        failures.sort_by(|(left, _), (right, _)| right.cmp(left));
        let mut failures = failures.into_iter().map(|(_, failure)| failure);
        let first = if newest.is_none() { failures.next() } else { None };
        failures.for_each(|failure| tell_passed_over(&failure.message));
        first.map_or(Ok(newest), Err)
    }

    /// The run to show once `current` has ended, or was left running, and its first entry to show: one that goes on from it,
    /// else the next one in the order in which runs are listed, else one that came later than its place in that order; before
    /// all of these the rest of one that was left running and is recovered now. None where all are done with.
    ///
    /// # Errors
    ///
    /// Where the folder cannot be listed.
    pub fn next(&mut self, current: &Follower) -> Result<Option<(PathBuf, u64)>, Failure> {
        if self.rests_until.is_some_and(|until| Instant::now() < until) {
            return Ok(None);
        }
        let begun = Instant::now();
        let runs = self.look()?;
        let run_id = &current.manifest().run_id;
        let is_left = current.ended().is_none();
        // Whoever began the next run may have recovered this one before.
        let goes_on = is_left && !runs.iter().any(|run| run.run_id == *run_id && is_left_running(run));
        let next = if goes_on { None } else { self.recovered(&runs).or_else(|| self.unseen(&runs, run_id).map(|path| (path, 1))) };
        if next.is_none() {
            self.rests_until = Instant::now().checked_add(begun.elapsed() * REST_PER_LOOK);
        } else if is_left {
            tell(format_args!("the run {run_id} was left running; it is passed over until it is recovered"));
            self.verdict = self.verdict.max(lost::verdict_of(current.folder()).unwrap_or_default());
            self.left.insert(run_id.clone(), current.next_seq());
        }
        Ok(next)
    }

    /// A run that was left running and is recovered now, and where it goes on.
    fn recovered(&mut self, runs: &[RunListing]) -> Option<(PathBuf, u64)> {
        let is_sealed = |run: &&RunListing| run.manifest.as_ref().is_ok_and(tapelog::RunManifest::is_sealed);
        let run = runs.iter().filter(is_sealed).find(|run| self.left.contains_key(&run.run_id))?;
        let next_seq = self.left.remove(&run.run_id)?;
        Some((run.path.clone(), next_seq))
    }

    /// A run of which nothing was shown. Those that cannot be read are told and passed over.
    fn unseen(&mut self, runs: &[RunListing], current: &str) -> Option<PathBuf> {
        for run in runs.iter().filter(|run| run.manifest.is_err()) {
            if self.done.insert(run.run_id.clone())
                && let Err(error) = &run.manifest
            {
                self.pass_over(&run.path, error);
            }
        }
        while let Some(run) = choose(runs, current, &self.done) {
            self.done.insert(run.run_id.clone());
            match open_to_follow(run) {
                Ok(()) => return Some(run.path.clone()),
                Err(error) => self.pass_over(&run.path, &error),
            }
        }
        None
    }

    /// Tells that the run at `path` is not shown, and why.
    fn pass_over(&mut self, path: &Path, error: &EventStoreError) {
        let failure = Failure::at(path, error);
        tell_passed_over(&failure.message);
        self.verdict = self.verdict.max(failure.verdict);
    }

    fn look(&self) -> Result<Vec<RunListing>, Failure> {
        let runs = folder::runs_of(&self.path)?;
        if runs.iter().all(|run| run.manifest.is_ok() || self.done.contains(&run.run_id)) {
            return Ok(runs);
        }
        thread::sleep(SETTLE);
        folder::runs_of(&self.path)
    }
}

/// Whether the run can be followed: one that can be listed may have a manifest that is damaged.
fn open_to_follow(run: &RunListing) -> Result<(), EventStoreError> {
    run.manifest.clone()?;
    let attempt = || {
        let mut follower = Follower::open(&run.path, FollowOptions::default())?;
        follower.visit(Duration::ZERO, Check::Crc, |_| ControlFlow::Break(())).map(drop)
    };
    attempt().or_else(|_| {
        thread::sleep(SETTLE);
        attempt()
    })
}

fn is_left_running(run: &RunListing) -> bool {
    !run.live && run.manifest.as_ref().is_ok_and(|manifest| !manifest.is_sealed())
}

fn tell_passed_over(message: &str) {
    tell(format_args!("a run is passed over: {message}"));
}

fn choose<'a>(runs: &'a [RunListing], current: &str, done: &HashSet<RunId>) -> Option<&'a RunListing> {
    let is_left = |run: &&RunListing| run.manifest.is_ok() && !done.contains(&run.run_id);
    let goes_on = |run: &&RunListing| run.manifest.as_ref().is_ok_and(|manifest| manifest.parent_run_id.as_deref() == Some(current));
    let place = runs.iter().position(|run| run.run_id == current).unwrap_or(0);
    let child = runs.iter().filter(is_left).find(goes_on);
    child.or_else(|| runs.iter().skip(place).find(is_left)).or_else(|| runs.iter().find(is_left))
}
