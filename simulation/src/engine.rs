//! An engine on a simulated disk: what it does, what it was answered, and so what must be there.
//!
//! Everything happens on one thread. The background work of the store is drained step by step,
//! in an order that the schedule decides.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tapelog::{
    AppendEntry, BackgroundMode, BackgroundStep, Durability, EventStore, EventStoreError, RunStatus, SegmentBackend, SnapshotAnchor,
};

use crate::disk::node::FolderNode;
use crate::disk::{Moment, SimulatedDisk};
use crate::log::{Certainty, Expectation, Filling, INSTANCE, RunLog, entry};
use crate::oracle::check_entries;
use crate::order;
use crate::setting::{Operation, Schedule, Setting};

/// The folder under which every run is written.
pub const BASE: &str = "/runs";
/// The length of a segment, in bytes: the least that there may be.
pub const SEGMENT_LEN: u64 = 16 << 10;
/// What one small batch needs, at most, and the rest that a filling batch leaves in its segment.
const SMALL_BATCH_LEN: u64 = 400;

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
}

/// A store over a disk.
///
/// # Errors
/// Never: the options are within their bounds.
pub fn store_over(disk: &SimulatedDisk, synced: bool) -> Result<SegmentBackend, EventStoreError> {
    let durability = if synced { Durability::Synced } else { Durability::Buffered { sync_every: Duration::from_millis(1) } };
    SegmentBackend::builder(BASE)
        .segment_len(SEGMENT_LEN)
        .index_spacing(512)
        .durability(durability)
        .background(BackgroundMode::Manual)
        .storage(Arc::new(disk.clone()))
        .build()
}

impl Engine {
    /// An engine on a disk that holds the user's folder, and nothing in it.
    #[must_use]
    pub fn new(setting: Setting, seed: u64) -> Self {
        let disk = SimulatedDisk::new(seed);
        disk.put_folder(Path::new(BASE));
        Self {
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

    /// Whether an append waits for its sync.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.setting.synced
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
        }
        self.background(&mut passages)?;
        self.show_to_a_reader()?;
        Ok(passages)
    }

    /// Another process reads the run, whether it is being written or was left. What it is shown must
    /// stay, whoever loses power then.
    fn show_to_a_reader(&mut self) -> Result<(), String> {
        let Some(run) = self.runs.last_mut().filter(|run| run.expected.sealed.0 == Certainty::No) else { return Ok(()) };
        let folder = Self::folder(run);
        let store = store_over(&self.disk.for_reader(), self.setting.synced).map_err(|error| error.to_string())?;
        let reader = match store.into_read_only(&folder) {
            Ok(reader) => reader,
            Err(error) if run.expected.created == Certainty::Yes && self.disk.faults_met() == 0 => {
                return Err(format!("another process cannot read the run: {error}"));
            }
            // Where there is no run yet, or what is left of one, there is nothing to show.
            Err(_) => return Ok(()),
        };
        if reader.recovery().is_some_and(|report| report.state == tapelog::RecoveredState::AcknowledgedDamage) {
            return Err("another process is given a false verdict of damage".to_owned());
        }
        let high_watermark = reader.high_watermark().map_err(|error| error.to_string())?;
        let shown = run.commits_up_to(high_watermark);
        if run.last_seq_at(shown) != high_watermark {
            return Err(format!("another process is shown entry {high_watermark}, which is no end of a batch"));
        }
        let anchor = reader.latest_snapshot_anchor().map_err(|error| format!("another process cannot read the newest anchor: {error}"))?;
        if anchor.as_ref().is_some_and(|anchor| !run.gave_anchor(anchor)) {
            return Err(format!("another process is shown an anchor that was never given: {anchor:?}"));
        }
        check_entries(&reader, run, high_watermark)?;
        let shown = shown.max(anchor.map_or(0, |anchor| run.commits_with(&anchor)));
        run.expected.durable = run.expected.durable.max(shown);
        Ok(())
    }

    /// Opens the newest run, or a new one.
    ///
    /// # Errors
    /// As [`Engine::perform`].
    pub fn open(&mut self) -> Result<Passage, String> {
        if self.store.is_some() {
            return Ok(self.passage(self.expected()));
        }
        self.faults_before = self.disk.errors_met();
        let next = self.runs.len() + 1;
        match self.runs.last() {
            None => self.runs.push(RunLog::new("run-1", None)),
            Some(run) if run.expected.sealed.0 == Certainty::Yes => {
                let parent = run.manifest.run_id.clone();
                self.runs.push(RunLog::new(&format!("run-{next}"), Some(&parent)));
            }
            Some(_) => {}
        }
        let mut store = store_over(&self.disk, self.setting.synced).map_err(|error| error.to_string())?;
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
                self.store = Some(store);
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
                self.store = Some(store);
            }
            Err(error) => {
                let sealed = run.expected.sealed.0 == Certainty::Maybe && error.to_string().contains("already sealed");
                if sealed {
                    // Whether everything is in it is seen when it is examined.
                    run.expected.sealed.0 = Certainty::Yes;
                    check_end(run, run.expected.sealed_at, run.expected.durable)?;
                    run.expected.durable = run.expected.sealed_at;
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

    fn append(&mut self, entries: &[(usize, Filling)]) -> Result<Passage, String> {
        let (Some(store), Some(run)) = (&mut self.store, self.runs.last_mut()) else {
            return Ok(self.passage(self.expected()));
        };
        self.attempts += 1;
        // What was given in vain may still be on the disk, unless something else takes its numbers now.
        let before = run.clone();
        run.cut(run.accepted);
        let first = run.last_seq() + 1;
        let batch: Vec<AppendEntry> =
            (first..).zip(entries).map(|(seq, (len, filling))| entry(seq, *len, *filling, self.attempts)).collect();
        let refused = store.recovery().is_some();
        if !refused {
            run.give_batch(&batch);
        }
        let during: Vec<_> = self.runs.iter().map(|run| run.expected).collect();
        let answer = store.append_batch(&batch);
        let outcome = match answer {
            Ok(high_watermark) => {
                let Some(run) = self.runs.last_mut() else { return Err("no run".to_owned()) };
                run.accepted = run.commits();
                run.expected.written = run.commits();
                if self.setting.synced && high_watermark != run.last_seq() {
                    return Err(format!("entry {} was appended, and the high-watermark is {high_watermark}", run.last_seq()));
                }
                Ok(())
            }
            Err(error) => {
                self.put_back(before, &error);
                self.explain("an append", &error)
            }
        };
        outcome?;
        self.note_high_watermark()?;
        Ok(self.passage(during))
    }

    /// A store whose latch is closed has written nothing: what was given in vain before is still what may be there.
    fn put_back(&mut self, before: RunLog, error: &EventStoreError) {
        if error.to_string().contains("nothing is written any more")
            && let Some(run) = self.runs.last_mut()
        {
            *run = before;
        }
    }

    /// What the high-watermark covers is acknowledged.
    fn note_high_watermark(&mut self) -> Result<(), String> {
        let (Some(store), Some(run)) = (&self.store, self.runs.last_mut()) else { return Ok(()) };
        let high_watermark = store.high_watermark().map_err(|error| error.to_string())?;
        if high_watermark > run.last_seq() {
            return Err(format!("the high-watermark is {high_watermark}, and the last entry given {}", run.last_seq()));
        }
        let commits = run.commits_up_to(high_watermark);
        if run.last_seq_at(commits) != high_watermark {
            return Err(format!("the high-watermark {high_watermark} is no end of a batch"));
        }
        run.expected.durable = run.expected.durable.max(commits);
        Ok(())
    }

    fn anchor(&mut self) -> Result<Passage, String> {
        let (Some(store), Some(run)) = (&mut self.store, self.runs.last_mut()) else {
            return Ok(self.passage(self.expected()));
        };
        self.attempts += 1;
        let before = run.clone();
        run.cut(run.accepted);
        let anchor = SnapshotAnchor::new(run.last_seq(), format!("snapshot-{}", self.attempts), format!("blake3:{:064x}", self.attempts));
        let refused = store.recovery().is_some();
        if !refused {
            run.give_anchor(anchor.clone());
        }
        let during: Vec<_> = self.runs.iter().map(|run| run.expected).collect();
        let answer = store.record_snapshot_anchor(anchor);
        match answer {
            Ok(()) => {
                let Some(run) = self.runs.last_mut() else { return Err("no run".to_owned()) };
                run.accepted = run.commits();
                run.expected.written = run.commits();
                run.expected.durable = run.commits();
            }
            Err(error) => {
                self.put_back(before, &error);
                self.explain("an anchor", &error)?;
            }
        }
        self.note_high_watermark()?;
        Ok(self.passage(during))
    }

    /// Fills the active segment and begins the next one.
    fn roll(&mut self, passages: &mut Vec<Passage>) -> Result<(), String> {
        if self.store.is_none() || self.is_recovered() {
            return Ok(());
        }
        let room = self.room();
        if room > SMALL_BATCH_LEN {
            let len = usize::try_from(room - SMALL_BATCH_LEN).map_err(|error| error.to_string())?;
            passages.push(self.append(&[(len, Filling::Zeros)])?);
        }
        passages.push(self.append(&[(110, Filling::Bytes)])?);
        Ok(())
    }

    /// The bytes that are left in the segment that is being written.
    fn room(&self) -> u64 {
        let Some(run) = self.runs.last() else { return 0 };
        let state = self.disk.state();
        let folder = state.find(&Self::folder(run)).and_then(|node| state.folder(node));
        let segments = folder
            .into_iter()
            .flat_map(FolderNode::names)
            .filter(|(name, _)| Path::new(name).extension().is_some_and(|extension| extension == "seg"));
        let written = segments.filter_map(|(_, node)| state.file(node)).filter_map(|file| {
            let contents = file.contents();
            contents.get(4_096..)?.iter().rposition(|byte| *byte != 0).map(|last| file.len() - 4_096 - last as u64 - 1)
        });
        written.last().unwrap_or(SEGMENT_LEN - 4_096 - 1_200)
    }

    fn seal(&mut self) -> Result<Passage, String> {
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
        Ok(self.passage(during))
    }

    fn close(&mut self) -> Passage {
        let during = self.expected();
        self.store = None;
        self.disk.end_process();
        self.passage(during)
    }

    /// The process ends without another word.
    pub fn kill(&mut self) {
        self.go_on_with(self.disk.for_next_process());
    }

    /// What a failed sync left on the disk shows: it need not be what was written.
    fn evict(&mut self) {
        self.disk.evict();
        if self.is_faulty()
            && let Some(run) = self.runs.last_mut()
        {
            run.expected.written = run.expected.durable;
        }
    }

    /// Decides what is random from here on.
    pub fn reseed(&mut self, seed: u64) {
        self.random = fastrand::Rng::with_seed(seed);
    }

    /// The process ended at a moment at which so much was expected, and left `disk`.
    pub fn end_at(&mut self, disk: SimulatedDisk, expected: &[Expectation]) {
        self.go_on_with(disk);
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
        let old = std::mem::replace(&mut self.disk, disk);
        // What the old store does when it is dropped reaches nobody any more.
        old.cut_power_at(0);
        self.store = None;
    }

    fn background(&mut self, passages: &mut Vec<Passage>) -> Result<(), String> {
        let steps_max = match self.setting.schedule {
            Schedule::Never => 0,
            Schedule::AtOnce => usize::MAX,
            Schedule::Seeded => self.random.usize(..4),
        };
        for _ in 0..steps_max {
            self.show_to_a_reader()?;
            let Some(store) = &self.store else { break };
            let steps = store.background_steps();
            let index = if self.setting.schedule == Schedule::Seeded { self.random.usize(..steps.len().max(1)) } else { 0 };
            let Some(step) = steps.get(index) else { break };
            let during = self.expected();
            let answer = store.run_background_step(*step);
            passages.push(self.passage(during));
            self.note_high_watermark()?;
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
