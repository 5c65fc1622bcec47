//! Plays a history, and looks at the disks that a crash in it can leave.

use crate::crash::{Breadth, PowerLoss};
use crate::disk::Remember;
use crate::disk::faults::{FaultPlan, OperationKind};
use crate::disk::state::DiskState;
use crate::engine::{Engine, Passage};
use crate::explore::history::{End, History, Step, StepFault};
use crate::log::Expectation;
use crate::oracle::{Given, Oracle};

/// Which crashes of a history are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The first step in which crashes are looked at; the opening of the first run counts as number zero.
    pub from: usize,
    /// How the disks of one moment are chosen.
    pub breadth: Breadth,
    /// Of so many moments one is looked at.
    pub moments_of: u64,
    /// Of so many disks one is recovered with crashes in its recovery; zero for none.
    pub nested_of: u64,
}

/// How far moments were explored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Coverage {
    /// Histories that were played.
    pub histories: u64,
    /// Times that an engine was started.
    pub starts: u64,
    /// Operations of the disk that were made to fail.
    pub faults: u64,
    /// Moments at which the power fails.
    pub moments: u64,
    /// Those with more choices than were all made.
    pub sampled: u64,
    /// The most choices that a moment had of which all were made.
    pub choices_max: u64,
}

impl Coverage {
    /// Adds another worker's.
    pub fn add(&mut self, other: &Self) {
        self.histories += other.histories;
        self.starts += other.starts;
        self.faults += other.faults;
        self.moments += other.moments;
        self.sampled += other.sampled;
        self.choices_max = self.choices_max.max(other.choices_max);
    }
}

/// A history that is being played.
struct Player<'a> {
    engine: Engine,
    look: Look,
    oracle: &'a mut Oracle,
    coverage: Coverage,
    random: fastrand::Rng,
    /// Whether an operation of the disk is to fail, counted from the very first.
    is_faulty: bool,
}

/// Plays a history and looks at its crashes.
///
/// # Errors
/// The promise that is broken, with the step and the moment at which it is.
pub fn play(history: &History, look: Look, oracle: &mut Oracle) -> Result<Coverage, String> {
    let engine = Engine::new(history.setting, history.seed);
    let coverage = Coverage { histories: 1, starts: 1, ..Coverage::default() };
    let mut player =
        Player { engine, look, oracle, coverage, random: fastrand::Rng::with_seed(history.seed), is_faulty: history.fault.is_some() };
    player.remember(0);
    if let Some(StepFault { fault, at, for_ever }) = history.fault {
        player.engine.disk.set_fault(Some(FaultPlan { at, fault, for_ever }));
    }
    let opening = player.engine.open()?;
    player.look_at(&[opening]).map_err(|broken| format!("in the opening, {broken}"))?;
    for (index, step) in history.steps.iter().enumerate() {
        let number = index + 1;
        player.step(*step, number, history.seed).map_err(|broken| format!("in step {number} ({step}), {broken}"))?;
    }
    player.coverage.faults = player.engine.disk.faults_met();
    Ok(player.coverage)
}

/// What is random in a step. The first number drawn decides the engine's background steps.
#[must_use]
pub fn random_of(seed: u64, step: Step) -> fastrand::Rng {
    fastrand::Rng::with_seed(seed ^ step.salt.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

impl Player<'_> {
    fn remember(&self, number: usize) {
        let remember = if number >= self.look.from { Remember::SyncsAndChanges } else { Remember::Nothing };
        self.engine.disk.remember(remember);
    }

    fn step(&mut self, step: Step, number: usize, seed: u64) -> Result<(), String> {
        self.random = random_of(seed, step);
        self.engine.reseed(self.random.u64(..));
        self.remember(if step.end.is_some() { number.max(self.look.from) } else { number });
        if let Some(fault) = step.fault {
            let at = self.engine.disk.operations().saturating_add(fault.at);
            self.engine.disk.set_fault(Some(FaultPlan { at, fault: fault.fault, for_ever: fault.for_ever }));
        }
        // In a step that does not come to its end, who lives on would have seen what was never there.
        self.engine.listens = step.end.is_none();
        // What comes before the fault is asked in the history without it.
        self.engine.asks = number >= self.look.from && (!self.is_faulty || self.engine.disk.faults_met() > 0);
        let passages = self.engine.perform(step.operation)?;
        self.engine.listens = true;
        if step.fault.is_some_and(|fault| fault.for_ever) {
            // A disk that fails for ever is replaced: the next step finds it whole again.
            self.engine.disk.set_fault(None);
        }
        if number >= self.look.from {
            self.look_at(&passages)?;
            let (expected, state) = (self.engine.expected(), self.engine.disk.state());
            self.moment(&expected, &state, None)?;
        }
        if let Some(violation) = self.engine.disk.violations().first() {
            return Err(format!("order of operations: {violation}"));
        }
        if let Some(end) = step.end {
            self.end(end, passages);
        }
        Ok(())
    }

    /// The process ends at one of the moments of a step, and the engine's next life begins with one of
    /// the disks that this can leave.
    fn end(&mut self, end: End, passages: Vec<Passage>) {
        let mut moments: Vec<_> = passages
            .into_iter()
            .flat_map(|passage| passage.moments.into_iter().map(move |moment| (passage.during.clone(), moment.state)))
            .collect();
        moments.push((self.engine.expected(), self.engine.disk.state()));
        let (expected, state) = moments.swap_remove(self.random.usize(..moments.len()));
        self.coverage.starts += 1;
        if end == End::Kill {
            let disk = self.engine.disk.with_contents(state);
            self.engine.kill_at(disk, &expected);
            return;
        }
        let mut image = state.clone();
        // The last of a few choices: the first ones are the extremes.
        let count = self.random.usize(1..5);
        let _ = PowerLoss::of(&state).for_each(Breadth::Sample(count), &mut self.random, |choice| {
            image = state.after_power_loss(choice);
            Ok::<_, String>(())
        });
        let disk = self.engine.disk.with_contents(image);
        let left: Vec<_> = expected.iter().map(|expected| Expectation { written: expected.durable, ..*expected }).collect();
        self.engine.end_at(disk, &left);
    }

    fn look_at(&mut self, passages: &[Passage]) -> Result<(), String> {
        for passage in passages {
            for moment in &passage.moments {
                if self.look.moments_of > 1 && self.random.u64(..self.look.moments_of) > 0 {
                    continue;
                }
                let broken = |broken| format!("before operation {} of the disk ({:?}), {broken}", moment.operation, moment.kind);
                self.moment(&passage.during, &moment.state, Some(moment.kind)).map_err(broken)?;
            }
        }
        Ok(())
    }

    /// Looks at the disks that a crash can leave at one moment. A process may be killed before any
    /// change; a loss of power is looked at right before a sync and at the end.
    fn moment(&mut self, expected: &[Expectation], state: &DiskState, kind: Option<OperationKind>) -> Result<(), String> {
        let faultless = self.engine.disk.faults_met() == 0;
        let given = Given { runs: &self.engine.runs, expected, mode: self.engine.mode(), faultless };
        self.oracle.examine(state, given, true).map_err(|broken| format!("the process killed: {broken}"))?;
        if self.look.nested_of > 0 && self.random.u64(..self.look.nested_of) == 0 {
            let again = |broken| format!("the process killed, and the power failing in the recovery: {broken}");
            crash_again(state, given, self.oracle, &mut self.random.fork()).map_err(again)?;
        }
        if kind.is_some_and(OperationKind::is_change) {
            return Ok(());
        }
        self.coverage.moments += 1;
        let power_loss = PowerLoss::of(state);
        let Self { look, oracle, random, .. } = self;
        let mut nested = random.fork();
        let all = power_loss.for_each(look.breadth, random, |choice| {
            let image = state.after_power_loss(choice);
            let broken = |broken| format!("the power failing and leaving the versions {choice:?}: {broken}");
            oracle.examine(&image, given, false).map_err(broken)?;
            if look.nested_of > 0 && nested.u64(..look.nested_of) == 0 {
                let again = |broken| format!("the power failing, leaving the versions {choice:?}, and failing again: {broken}");
                crash_again(&image, given, oracle, &mut nested).map_err(again)?;
            }
            Ok::<_, String>(())
        })?;
        if all {
            self.coverage.choices_max = self.coverage.choices_max.max(power_loss.choices_max().unwrap_or_default());
        } else {
            self.coverage.sampled += 1;
        }
        Ok(())
    }
}

/// Looks at crashes in the recovery of a disk and in the seal behind it.
fn crash_again(image: &DiskState, given: Given<'_>, oracle: &mut Oracle, random: &mut fastrand::Rng) -> Result<(), String> {
    oracle.examine_recovery(image, given, |moment, see| {
        let power_loss = PowerLoss::of(&moment.state);
        power_loss.for_each(Breadth::Sample(6), random, |choice| see(&moment.state.after_power_loss(choice))).map(|_| ())
    })
}
