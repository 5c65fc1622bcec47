//! An engine on a simulated disk: what it does, what it was answered, and so what must be there.
//!
//! Everything happens on one thread. The background work of the store is drained step by step,
//! in an order that the schedule decides. `starting` opens runs, sweeps and goes on in children, `writing` appends,
//! `ending` seals and ends processes, and `reading` asks everybody who reads beside it.

mod ending;
mod reading;
mod starting;
mod writing;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tapelog::io::Storage;
use tapelog::{BackgroundMode, BackgroundStep, Durability, EventStore, EventStoreError, SegmentBackend, limits};

use crate::audience::{Audience, Insiders};
use crate::disk::{Moment, SimulatedDisk};
use crate::log::{Certainty, Expectation, Filling, INSTANCE, RunLog};
use crate::order;
use crate::setting::{Mode, Operation, Schedule, Setting};

/// The folder under which every run is written.
pub const BASE: &str = "/runs";
/// The length of a segment, in bytes: the least that there may be.
pub const SEGMENT_LEN: u64 = 16 << 10;

/// One thing that happened, with the moments in it at which the power may fail.
#[derive(Debug)]
pub struct Passage {
    /// What was expected of each run while it happened.
    pub during: Vec<Expectation>,
    /// The moments.
    pub moments: Vec<Moment>,
}

/// An engine, its disk, and everything that it gave to its runs.
#[derive(Debug)]
pub struct Engine {
    /// The disk.
    pub disk: SimulatedDisk,
    store: Option<SegmentBackend>,
    /// The runs, the newest last.
    pub runs: Vec<RunLog>,
    setting: Setting,
    random: fastrand::Rng,
    attempts: u64,
    /// How many operations had failed before the store was opened.
    faults_before: u64,
    audience: Audience,
    insiders: Insiders,
    /// Whether those who live on between the steps read in this one: not where its process ends at a moment before.
    pub listens: bool,
    /// Whether the store is asked for everything behind each operation.
    pub asks: bool,
}

/// A store over a disk.
///
/// # Errors
/// Never: the options are within their bounds.
pub fn store_over(disk: &SimulatedDisk, mode: Mode) -> Result<SegmentBackend, EventStoreError> {
    store_on(Arc::new(disk.clone()), mode)
}

/// A store over any storage.
///
/// # Errors
/// As [`store_over`].
pub fn store_on(storage: Arc<dyn Storage>, mode: Mode) -> Result<SegmentBackend, EventStoreError> {
    let buffered = Durability::Buffered { sync_every: Duration::from_millis(1) };
    let (durability, unsynced_len_max) = match mode {
        Mode::Synced => (Durability::Synced, limits::UNSYNCED_LEN_DEFAULT),
        Mode::Buffered => (buffered, limits::UNSYNCED_LEN_DEFAULT),
        Mode::Bounded => (buffered, limits::UNSYNCED_LEN_MIN),
    };
    SegmentBackend::builder(BASE)
        .segment_len(SEGMENT_LEN)
        .index_spacing(512)
        .durability(durability)
        .unsynced_len_max(unsynced_len_max)
        .background(BackgroundMode::Manual)
        .storage(storage)
        .build()
}

impl Engine {
    /// An engine on a disk that holds the user's folder, and nothing in it.
    #[must_use]
    pub fn new(setting: Setting, seed: u64) -> Self {
        let disk = SimulatedDisk::new(seed);
        disk.put_folder(Path::new(BASE));
        Self {
            audience: Audience::of(&disk),
            insiders: Insiders::default(),
            listens: true,
            asks: true,
            disk,
            store: None,
            runs: Vec::new(),
            setting,
            random: fastrand::Rng::with_seed(seed ^ 0x5eed),
            attempts: 0,
            faults_before: 0,
        }
    }

    /// The open store.
    #[must_use]
    pub fn store(&self) -> Option<&SegmentBackend> {
        self.store.as_ref()
    }

    /// When an append is acknowledged.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.setting.mode
    }

    /// What is expected of each run now.
    #[must_use]
    pub fn expected(&self) -> Vec<Expectation> {
        self.runs.iter().map(|run| run.expected).collect()
    }

    /// The folder of a run.
    #[must_use]
    pub fn folder(run: &RunLog) -> PathBuf {
        PathBuf::from(BASE).join(INSTANCE).join(&run.manifest.run_id)
    }

    fn passage(&self, during: Vec<Expectation>) -> Passage {
        Passage { during, moments: self.disk.take_moments() }
    }

    /// Does one operation, and then the background work that the schedule puts behind it.
    ///
    /// # Errors
    /// What the engine was answered although nothing can explain it. Errors that a fault explains are
    /// taken for what they say.
    pub fn perform(&mut self, operation: Operation) -> Result<Vec<Passage>, String> {
        let mut passages = Vec::new();
        match operation {
            Operation::Small => passages.push(self.append(&[(110, Filling::Bytes)])?),
            Operation::Medium => passages.push(self.append(&[(90, Filling::Bytes), (400, Filling::Bytes), (90, Filling::Bytes)])?),
            Operation::Large => passages.push(self.append(&[(4_300, Filling::Ends), (100, Filling::Bytes)])?),
            Operation::Jumbo => passages.push(self.append(&[(14_000, Filling::Ends), (9_000, Filling::Ends)])?),
            Operation::Anchor => passages.push(self.anchor()?),
            Operation::Roll => self.roll(&mut passages)?,
            Operation::Seal => passages.push(self.seal()?),
            Operation::Drop => passages.push(self.close()),
            Operation::Reopen => {
                if self.store.is_some() {
                    passages.push(self.close());
                }
                passages.push(self.open()?);
            }
            Operation::Kill => self.kill(),
            Operation::Evict => self.evict(),
            Operation::Boot => self.boot(&mut passages)?,
            Operation::Child => self.child(&mut passages)?,
        }
        self.background(&mut passages)?;
        self.ask_everybody()?;
        Ok(passages)
    }

    /// Decides what is random from here on.
    pub fn reseed(&mut self, seed: u64) {
        self.random = fastrand::Rng::with_seed(seed);
    }

    /// Whether a fault was met since the store was opened.
    fn is_faulty(&self) -> bool {
        self.disk.errors_met() > self.faults_before || self.disk.is_off()
    }

    /// Whether an error may be: a fault was met, or the run was left running by an earlier process.
    fn explain(&self, what: &str, error: &EventStoreError) -> Result<(), String> {
        match error {
            EventStoreError::CrashedPredecessor if self.is_recovered() => Ok(()),
            EventStoreError::Closed if self.runs.last().is_some_and(|run| run.expected.sealed.0 == Certainty::Yes) => Ok(()),
            error if self.is_faulty() && !is_verdict(error) => Ok(()),
            error => Err(format!("{what} failed without a fault: {error}")),
        }
    }

    fn is_recovered(&self) -> bool {
        self.store.as_ref().is_some_and(|store| store.recovery().is_some())
    }

    fn background(&mut self, passages: &mut Vec<Passage>) -> Result<(), String> {
        let steps_max = match self.setting.schedule {
            Schedule::Never => 0,
            Schedule::AtOnce => usize::MAX,
            Schedule::Seeded => self.random.usize(..4),
        };
        for _ in 0..steps_max {
            self.ask_whoever_reads()?;
            let Some(store) = &self.store else { break };
            let steps = store.background_steps();
            let index = if self.setting.schedule == Schedule::Seeded { self.random.usize(..steps.len().max(1)) } else { 0 };
            let Some(step) = steps.get(index) else { break };
            let (during, condemned) = (self.expected(), self.condemned());
            let answer = store.run_background_step(*step);
            passages.push(self.passage(during));
            self.note_high_watermark(condemned.as_ref())?;
            match answer {
                Ok(_) => {
                    if let Some(run) = self.runs.last().filter(|_| *step == BackgroundStep::BuildIndex) {
                        order::check_indexes(&self.disk, &Self::folder(run), run.expected.durable)?;
                    }
                }
                Err(error) => {
                    self.explain("a background step", &error)?;
                    break;
                }
            }
        }
        self.check_progress()
    }

    /// Once all background work is done, everything that was accepted is durable.
    fn check_progress(&self) -> Result<(), String> {
        let (Some(store), Some(run)) = (&self.store, self.runs.last()) else { return Ok(()) };
        let is_done = self.setting.schedule == Schedule::AtOnce && !self.is_faulty() && !self.is_recovered();
        let high_watermark = store.high_watermark().map_err(|error| error.to_string())?;
        if is_done && high_watermark != run.last_seq_at(run.accepted) {
            return Err(format!("all background work is done, and the high-watermark {high_watermark} is not the last entry"));
        }
        Ok(())
    }
}

/// Whether an error says of the bytes on the disk that they are not what was written.
fn is_verdict(error: &EventStoreError) -> bool {
    matches!(
        error,
        EventStoreError::Corrupted(_)
            | EventStoreError::HashMismatch { .. }
            | EventStoreError::Gap { .. }
            | EventStoreError::OutOfOrder { .. }
    )
}

/// How many commits a recovered store found.
///
/// # Errors
/// A verdict of damage, or no verdict at all.
pub fn recovered_end(store: &SegmentBackend) -> Result<usize, String> {
    let report = store.recovery().ok_or("a recovered store has no report")?;
    if report.state == tapelog::RecoveredState::AcknowledgedDamage {
        return Err(format!("false verdict: {report}"));
    }
    usize::try_from(report.end.commit_no).map_err(|error| error.to_string())
}

/// Checks that a recovery ends within what must and what may be there.
///
/// # Errors
/// A loss, or a batch that was never given.
pub fn check_end(run: &RunLog, end: usize, least: usize) -> Result<(), String> {
    if end < least {
        return Err(format!("lost: commit {least} was acknowledged or shown, and the log ends at {end}"));
    }
    if end > run.commits() {
        return Err(format!("resurrected: {} commits were given, and the log ends at {end}", run.commits()));
    }
    Ok(())
}
