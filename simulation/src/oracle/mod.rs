//! What must hold of a disk after a crash.
//!
//! The store is opened on the disk as a new process opens it. What it then answers is compared with
//! what was given: a prefix of the commits, no shorter than what was acknowledged or shown, no longer
//! than what was given, and never a verdict of damage. Then everything that an operator would do
//! next is done: opening it once more, also behind another loss of power, sealing it, reading and verifying what was sealed,
//! making its indexes again, sweeping it at boot, and going on in a child run. Followers read before, between and behind all
//! of this.

mod carry_on;
mod contents;
mod followers;

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use tapelog::{EventStore, EventStoreError, RecoveredState, RunStatus, SegmentBackend};

use crate::crash::{Breadth, PowerLoss};
use crate::disk::state::DiskState;
use crate::disk::{Moment, Remember, SimulatedDisk};
use crate::engine::{Engine, check_end, recovered_end, store_over};
use crate::log::{Certainty, Expectation, RunLog};
use crate::order;
use crate::setting::Mode;
use carry_on::{carry_on, check_new_run};
use contents::{check_ancestors, check_contents, check_sealed, check_sweep, shown_to_a_reader};
use followers::Followers;

/// One disk of so many is also swept at boot, walked in full.
const SWEPT_OF: u64 = 8;
/// How many disks are looked at that a loss of power leaves behind a recovery, beside the two extremes.
const AGAIN_CHOICES: usize = 4;

/// What a crash left, and what was found in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Found {
    /// No run: it was not created yet.
    NoRun,
    /// A run that was left running, with so many commits.
    Recovered(usize),
    /// A run that is sealed.
    Sealed,
}

/// How many disks were looked at, and how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Disks that a crash can leave, each a different choice of what survived.
    pub disks: u64,
    /// Those that differ in a byte or a name from every one that the worker had seen, each opened by a new process.
    pub opened: u64,
    /// Recovered disks that differ, each sealed, read, verified and gone on from.
    pub carried_on: u64,
    /// Boot sweeps over a whole run.
    pub swept: u64,
    /// Disks left by a crash in a recovery or in a seal behind a recovery.
    pub crashed_again: u64,
}

impl Counts {
    /// Adds another worker's.
    pub fn add(&mut self, other: &Self) {
        self.disks += other.disks;
        self.opened += other.opened;
        self.carried_on += other.carried_on;
        self.swept += other.swept;
        self.crashed_again += other.crashed_again;
    }
}

/// The judge of disks, with what it has seen already.
#[derive(Debug, Default)]
pub struct Oracle {
    opened: HashMap<u64, Found>,
    carried_on: HashSet<u64>,
    /// Disks that a loss of power leaves right behind a recovery, with the end that they were recovered to once more.
    again: HashMap<u64, usize>,
    /// What was counted.
    pub counts: Counts,
}

/// What was given to an engine's runs, and what is expected of them at some moment.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// The runs.
    pub runs: &'a [RunLog],
    /// What is expected of each; a run without an expectation did not exist yet.
    pub expected: &'a [Expectation],
    /// When an append is acknowledged.
    pub mode: Mode,
    /// Whether no operation of the disk has failed: a length or a name of which a sync failed is uncertain for ever,
    /// which does no harm where a table says what counts.
    pub faultless: bool,
}

impl<'a> Given<'a> {
    fn newest(&self) -> Option<(&'a RunLog, &'a Expectation)> {
        let index = self.expected.len().checked_sub(1)?;
        Some((self.runs.get(index)?, self.expected.get(index)?))
    }
}

/// A hash of the disk and of everything that an answer is compared with and that is not compared anew:
/// the same disk is another question once another run is the newest, or something else was sealed.
fn question(state: &DiskState, given: Given<'_>, killed: bool) -> u64 {
    let mut hasher = DefaultHasher::new();
    (state.fingerprint(), given.mode, given.faultless, killed).hash(&mut hasher);
    for (run, expected) in given.runs.iter().zip(given.expected) {
        let (certainty, status) = expected.sealed;
        (certainty as u8, status, expected.created as u8, expected.sealed_at).hash(&mut hasher);
        if certainty != Certainty::No {
            (run.last_seq_at(expected.sealed_at), run.anchor_at(expected.sealed_at)).hash(&mut hasher);
        }
    }
    hasher.finish()
}

/// Where an examination left the disk.
struct Opened {
    disk: SimulatedDisk,
    store: SegmentBackend,
    end: usize,
    followers: Option<Followers>,
}

impl Oracle {
    /// Forgets what it has seen, and keeps what it counted.
    pub fn forget(&mut self) {
        self.opened.clear();
        self.carried_on.clear();
        self.again.clear();
    }

    /// Looks at a disk that a crash left. `killed`: only the process ended, so that what was written is there.
    ///
    /// # Errors
    /// The promise that is broken.
    pub fn examine(&mut self, state: &DiskState, given: Given<'_>, killed: bool) -> Result<Found, String> {
        self.counts.disks += 1;
        let Some((run, expected)) = given.newest() else { return Ok(Found::NoRun) };
        let least = if killed { expected.written.max(expected.durable) } else { expected.durable };
        let fingerprint = question(state, given, killed);
        if let Some(found) = self.opened.get(&fingerprint) {
            return check_found(*found, run, expected, least).map(|()| *found);
        }
        self.counts.opened += 1;
        let found = self.open(state, given, (run, expected, least), fingerprint)?;
        self.opened.insert(fingerprint, found);
        Ok(found)
    }

    fn open(
        &mut self,
        state: &DiskState,
        given: Given<'_>,
        (run, expected, least): (&RunLog, &Expectation, usize),
        fingerprint: u64,
    ) -> Result<Found, String> {
        let disk = SimulatedDisk::with_state(state.clone(), fingerprint);
        let folder = Engine::folder(run);
        let shown = shown_to_a_reader(&disk, &folder, (run, expected), given.mode)?;
        let mut followers = Followers::begin(&disk, run, expected, given.mode)?;
        if let (Some(followers), Some(shown)) = (&mut followers, shown) {
            followers.listen_to_what_is_left(run, shown)?;
        }
        let mut store = store_over(&disk, given.mode).map_err(|error| error.to_string())?;
        let found = match store.open_run(run.manifest.clone()) {
            Ok(()) => Found::NoRun,
            Err(EventStoreError::CrashedPredecessor) => Found::Recovered(recovered_end(&store)?),
            Err(error) if expected.sealed.0 != Certainty::No && error.to_string().contains("already sealed") => Found::Sealed,
            Err(error) => return Err(format!("{} cannot be opened: {error}", run.manifest.run_id)),
        };
        check_found(found, run, expected, least)?;
        check_ancestors(&disk, given, found != Found::NoRun)?;
        match found {
            Found::NoRun => check_new_run(&disk, store, run)?,
            Found::Sealed => {
                if let Some(mut followers) = followers {
                    followers.listen_to_the_end(run, expected)?;
                }
                check_sealed(&disk, run, expected, given.mode)?;
                if given.faultless {
                    order::check_sealed_segments(&disk, &folder)?;
                }
            }
            Found::Recovered(end) => {
                if shown.is_some_and(|shown| shown > end) {
                    return Err(format!("a reader was shown {shown:?} commits before the recovery, which ends at {end}"));
                }
                check_contents(&store, run, end)?;
                if let Some(followers) = &mut followers {
                    followers.listen_to_what_was_recovered(run, end)?;
                }
                self.recover_again(&disk, run, end, given)?;
                no_violations(&disk)?;
                if fingerprint.is_multiple_of(SWEPT_OF) {
                    self.counts.swept += 1;
                    check_sweep(state, run, end)?;
                }
                let recovered = disk.state().fingerprint();
                if self.carried_on.insert(recovered) {
                    self.counts.carried_on += 1;
                    carry_on(Opened { disk, store, end, followers }, run, given)?;
                }
            }
        }
        Ok(found)
    }

    /// The power fails right behind a recovery that has returned: nothing is left to be done on any disk that this leaves.
    fn recover_again(&mut self, disk: &SimulatedDisk, run: &RunLog, end: usize, given: Given<'_>) -> Result<(), String> {
        let state = disk.state();
        let power_loss = PowerLoss::of(&state);
        if power_loss.choices_max() == Some(1) {
            return Ok(());
        }
        let mut random = fastrand::Rng::with_seed(end as u64);
        let looked = power_loss.for_each(Breadth::Sample(AGAIN_CHOICES), &mut random, |choice| {
            let image = state.after_power_loss(choice);
            self.counts.crashed_again += 1;
            let fingerprint = image.fingerprint();
            if self.again.get(&fingerprint) == Some(&end) {
                return Ok(());
            }
            check_again(&image, run, end, given).map_err(|broken| format!("behind the recovery, leaving {choice:?}: {broken}"))?;
            self.again.insert(fingerprint, end);
            Ok(())
        });
        looked.map(|_| ())
    }

    /// Looks at every disk that a crash in the recovery of `state`, or in the seal behind it, leaves.
    ///
    /// # Errors
    /// The promise that is broken.
    pub fn examine_recovery(
        &mut self,
        state: &DiskState,
        given: Given<'_>,
        mut images: impl FnMut(&Moment, &mut dyn FnMut(&DiskState) -> Result<(), String>) -> Result<(), String>,
    ) -> Result<(), String> {
        let Some((run, expected)) = given.newest() else { return Ok(()) };
        let disk = SimulatedDisk::with_state(state.clone(), 1);
        disk.remember(Remember::Syncs);
        let mut store = store_over(&disk, given.mode).map_err(|error| error.to_string())?;
        if store.open_run(run.manifest.clone()) != Err(EventStoreError::CrashedPredecessor) {
            return Ok(());
        }
        let end = recovered_end(&store)?;
        let mut phases = vec![(disk.take_moments(), *expected)];
        let exposed = Expectation::open_at(end);
        phases.push((
            vec![Moment { operation: disk.operations(), kind: crate::disk::faults::OperationKind::SyncFile, state: disk.state() }],
            exposed,
        ));
        store.seal(RunStatus::CrashedRecovered).map_err(|error| format!("a recovered run cannot be sealed: {error}"))?;
        phases.push((disk.take_moments(), Expectation { sealed: (Certainty::Maybe, RunStatus::CrashedRecovered), ..exposed }));
        let mut runs: Vec<_> = given.runs.iter().take(given.expected.len()).cloned().collect();
        let mut all = given.expected.to_vec();
        for (index, (moments, expected)) in phases.iter().enumerate() {
            if index > 0 {
                runs.iter_mut().last().into_iter().for_each(|run| run.cut(end));
            }
            all.iter_mut().last().into_iter().for_each(|newest| *newest = *expected);
            let given = Given { runs: &runs, expected: &all, ..given };
            for moment in moments {
                images(moment, &mut |state| {
                    self.counts.crashed_again += 1;
                    self.examine(state, given, false).map(|_| ())
                })?;
            }
        }
        Ok(())
    }
}

fn check_found(found: Found, run: &RunLog, expected: &Expectation, least: usize) -> Result<(), String> {
    match found {
        Found::NoRun if expected.created == Certainty::Yes => Err(format!("{} was created, and is not there", run.manifest.run_id)),
        Found::Recovered(_) | Found::Sealed if expected.created == Certainty::No => {
            Err(format!("{} was never created, and is there", run.manifest.run_id))
        }
        Found::Sealed if expected.sealed.0 == Certainty::No => Err(format!("{} was never sealed, and is", run.manifest.run_id)),
        Found::Recovered(_) if expected.sealed.0 == Certainty::Yes => Err(format!("{} was sealed, and is not", run.manifest.run_id)),
        Found::Recovered(end) => {
            check_end(run, end, least)?;
            if end > expected.given {
                return Err(format!("resurrected: {} commits had been given, and the log ends at {end}", expected.given));
            }
            Ok(())
        }
        Found::Sealed if expected.sealed_at < least => {
            Err(format!("lost: commit {least} was acknowledged or shown, and the seal holds {}", expected.sealed_at))
        }
        Found::NoRun | Found::Sealed => Ok(()),
    }
}

fn no_violations(disk: &SimulatedDisk) -> Result<(), String> {
    match disk.violations().first() {
        None => Ok(()),
        Some(violation) => Err(format!("order of operations: {violation}")),
    }
}

/// A second recovery finds what the first one left, and nothing to do.
fn check_again(image: &DiskState, run: &RunLog, end: usize, given: Given<'_>) -> Result<(), String> {
    let disk = SimulatedDisk::with_state(image.clone(), 7);
    let mut store = store_over(&disk, given.mode).map_err(|error| error.to_string())?;
    let again = store.open_run(run.manifest.clone());
    if again != Err(EventStoreError::CrashedPredecessor) {
        return Err(format!("a recovered run is opened once more: {again:?}"));
    }
    let report = store.recovery().ok_or("no report of a second recovery")?;
    // What a failed sync left may come back, and is discarded once more; it says nothing of what counts.
    let is_clean = report.state == RecoveredState::Clean || !given.faultless && report.state == RecoveredState::TornTail;
    if report.end.commit_no != end as u64 || !is_clean || report.proven.commit_no != end as u64 {
        return Err(format!("a second recovery was to find commit {end}, and says: {report}"));
    }
    Ok(())
}
