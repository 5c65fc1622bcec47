//! The entry writer over a simulated disk: what a receipt, a wait, a flush or an anchor acknowledged survives every crash.
//!
//! The writer's thread is a real one. What it gives to its store is noted on its way there, batch by batch, since where a
//! batch ends is the writer's choice; what is acknowledged is noted once somebody who waited was told. Between the two the
//! disk is looked at, at every moment in which the power may fail.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tapelog::{
    AppendEntry, DraftRef, EncodedBatch, EntryDraft, EventStore, EventStoreEntry, EventStoreError, EventStoreWriter, Headers, IndexKind,
    ManualClock, NextRun, OnStall, RunManifest, RunStatus, ScanDirection, SegmentBackend, SnapshotAnchor, UnixNanos, WriterConfig,
    noop_halt,
};

use crate::crash::{Breadth, PowerLoss};
use crate::disk::faults::{Fault, FaultPlan};
use crate::disk::state::DiskState;
use crate::disk::{Remember, SimulatedDisk};
use crate::engine::{BASE, store_over};
use crate::log::{Certainty, Expectation, RunLog};
use crate::oracle::{Given, Oracle};
use crate::setting::Mode;

/// How often messages are submitted and waited for in one history.
const GROUPS: u64 = 10;
/// How many disks of a moment are looked at, beside the two extremes.
const CHOICES: usize = 6;
/// Longer than anything takes here.
const SOON: Duration = Duration::from_secs(30);

type Runs = Arc<Mutex<Vec<RunLog>>>;

fn lock(runs: &Runs) -> MutexGuard<'_, Vec<RunLog>> {
    runs.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A store that notes what it is given.
#[derive(Debug)]
struct Noting {
    inner: SegmentBackend,
    runs: Runs,
    run: usize,
}

impl Noting {
    fn note(&self, note: impl FnOnce(&mut RunLog)) {
        if let Some(run) = lock(&self.runs).get_mut(self.run) {
            note(run);
        }
    }
}

impl EventStore for Noting {
    fn open_run(&mut self, manifest: RunManifest) -> Result<(), EventStoreError> {
        self.note(|run| run.expected.created = Certainty::Maybe);
        self.inner.open_run(manifest)?;
        self.note(|run| run.expected.created = Certainty::Yes);
        Ok(())
    }

    fn append_batch(&mut self, entries: &[AppendEntry]) -> Result<u64, EventStoreError> {
        self.note(|run| run.give_batch(entries));
        self.inner.append_batch(entries)
    }

    fn append_encoded(&mut self, batch: &mut EncodedBatch) -> Result<u64, EventStoreError> {
        let entries = batch.to_entries();
        self.note(|run| run.give_batch(&entries));
        self.inner.append_encoded(batch)
    }

    fn sync_appended(&mut self) -> Result<u64, EventStoreError> {
        self.inner.sync_appended()
    }

    fn acknowledged(&self) -> Result<u64, EventStoreError> {
        self.inner.acknowledged()
    }

    fn prepare_run(&mut self, manifest: &RunManifest) -> Result<(), EventStoreError> {
        self.inner.prepare_run(manifest)
    }

    fn scan_range(&self, from: u64, to: u64, direction: ScanDirection) -> Result<Vec<EventStoreEntry>, EventStoreError> {
        self.inner.scan_range(from, to, direction)
    }

    fn scan_seq(&self, seq: u64) -> Result<Option<EventStoreEntry>, EventStoreError> {
        self.inner.scan_seq(seq)
    }

    fn lookup(&self, kind: IndexKind, key: &str) -> Result<Option<u64>, EventStoreError> {
        self.inner.lookup(kind, key)
    }

    fn iter_index_keys(&self, kind: IndexKind) -> Result<Vec<(String, u64)>, EventStoreError> {
        self.inner.iter_index_keys(kind)
    }

    fn record_snapshot_anchor(&mut self, anchor: SnapshotAnchor) -> Result<(), EventStoreError> {
        self.note(|run| run.give_anchor(anchor.clone()));
        self.inner.record_snapshot_anchor(anchor)
    }

    fn latest_snapshot_anchor(&self) -> Result<Option<SnapshotAnchor>, EventStoreError> {
        self.inner.latest_snapshot_anchor()
    }

    fn seal(&mut self, status: RunStatus) -> Result<(), EventStoreError> {
        self.note(|run| {
            run.expected.sealed = (Certainty::Maybe, status);
            run.expected.sealed_at = run.commits();
        });
        self.inner.seal(status)?;
        self.note(|run| {
            run.expected.sealed = (Certainty::Yes, status);
            run.expected.durable = run.commits();
        });
        Ok(())
    }

    fn manifest(&self) -> Result<RunManifest, EventStoreError> {
        self.inner.manifest()
    }

    fn high_watermark(&self) -> Result<u64, EventStoreError> {
        self.inner.high_watermark()
    }
}

/// A writer whose disk is looked at.
struct Trial<'a> {
    disk: SimulatedDisk,
    mode: Mode,
    runs: Runs,
    oracle: &'a mut Oracle,
    random: fastrand::Rng,
    next: u64,
}

/// Plays the history of a seed: groups of messages that are waited for in one way or another, anchors, rotations, in
/// every third one a disk that fails, and now and then the end of the run.
///
/// # Errors
/// The promise that is broken.
pub fn explore(seed: u64, oracle: &mut Oracle) -> Result<(), String> {
    let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9) ^ 0x4ece);
    let disk = SimulatedDisk::new(seed);
    disk.put_folder(Path::new(BASE));
    disk.remember(Remember::Syncs);
    let mode = if random.u8(..3) == 0 { Mode::Buffered } else { Mode::Synced };
    if random.u8(..3) == 0 {
        let fault = random.choice(Fault::ALL).unwrap_or(Fault::Eio);
        disk.set_fault(Some(FaultPlan { at: random.u64(20..140), fault, for_ever: random.bool() }));
    }
    let mut trial = Trial { disk, mode, runs: Runs::default(), oracle, random, next: 0 };
    let Some(writer) = trial.begin()? else { return Ok(()) };
    for group in 0..GROUPS {
        trial.group(&writer).map_err(|broken| format!("in group {group} of seed {seed}, {broken}"))?;
        if writer.halt_reason().is_some() {
            break;
        }
        if trial.random.u8(..6) == 0 {
            trial.rotate(&writer).map_err(|broken| format!("in the rotation behind group {group} of seed {seed}, {broken}"))?;
        }
    }
    if trial.random.bool() {
        let _ = writer.shutdown(&draft("RunEnded"), SOON);
    }
    drop(writer);
    trial.look().map_err(|broken| format!("behind the end of seed {seed}, {broken}"))
}

fn draft(payload_type: &str) -> EntryDraft {
    EntryDraft::without_indices(Headers::empty(), "run.lifecycle".into(), payload_type.into(), Vec::new().into(), UnixNanos::new(2_000))
}

impl Trial<'_> {
    /// A store for the next run, whose parent is the newest.
    fn store(&self) -> Result<(Noting, RunManifest), String> {
        let mut runs = lock(&self.runs);
        let parent = runs.last().map(|run| run.manifest.run_id.clone());
        let run = RunLog::new(&format!("1000-{:08x}", runs.len() + 1), parent.as_deref());
        let manifest = run.manifest.clone();
        runs.push(run);
        let inner = store_over(&self.disk, self.mode).map_err(|error| error.to_string())?;
        Ok((Noting { inner, runs: self.runs.clone(), run: runs.len() - 1 }, manifest))
    }

    /// The first run and its writer; none where the disk fails before.
    fn begin(&mut self) -> Result<Option<EventStoreWriter>, String> {
        let (mut store, manifest) = self.store()?;
        if store.open_run(manifest).is_err() {
            self.look()?;
            return Ok(None);
        }
        let config = WriterConfig { on_stall: OnStall::Block, max_batch_entries: self.random.usize(1..5), ..WriterConfig::default() };
        let clock = Arc::new(ManualClock::new(UnixNanos::new(5)));
        EventStoreWriter::spawn(Box::new(store), clock, noop_halt(), config).map(Some).map_err(|error| error.to_string())
    }

    /// Submits a few messages, and waits for them in one of the ways that there are, or not at all.
    fn group(&mut self, writer: &EventStoreWriter) -> Result<(), String> {
        let mut receipts = Vec::new();
        for _ in 0..self.random.u64(1..6) {
            self.next += 1;
            let payload = vec![self.next.to_le_bytes()[0]; self.random.usize(..600)];
            let key = format!("O-{}", self.next % 7);
            let keys = [(IndexKind::ClientOrderId, key.as_str())];
            let message =
                DraftRef { index_keys: &keys, ..DraftRef::new("exec.command", "SubmitOrder", &payload, UnixNanos::new(1_000 + self.next)) };
            match writer.submit_tracked_ref(&message) {
                Ok(receipt) => receipts.push(receipt),
                Err(_) => break,
            }
        }
        let Some(last) = receipts.last() else { return self.look() };
        // Nobody syncs a buffered run here before it is asked for.
        let way = if self.mode == Mode::Synced { self.random.u8(..6) } else { self.random.u8(3..6) };
        let acknowledged = match way {
            0 => last.wait_timeout(SOON).ok(),
            1 => writer.wait_durable(last.seq(), SOON).is_ok().then(|| last.seq()),
            2 => receipts.iter().filter_map(|receipt| receipt.wait_timeout(SOON).ok()).max(),
            3 => writer.flush(SOON).ok(),
            4 => writer.record_snapshot_anchor(format!("blob-{}", self.next), "hash").ok().map(|anchor| anchor.high_watermark),
            // What becomes of these is found out by the next.
            _ => None,
        };
        if let Some(seq) = acknowledged {
            let is_anchor = way == 4;
            if let Some(run) = lock(&self.runs).last_mut() {
                let commits = run.commits_up_to(seq);
                let durable = if is_anchor { run.commits() } else { commits };
                run.expected.durable = run.expected.durable.max(durable);
            }
        }
        let settled = receipts.iter().filter(|receipt| matches!(receipt.poll_durable(), Some(Ok(_)))).map(tapelog::Receipt::seq).max();
        if settled > Some(writer.high_watermark()) {
            return Err(format!("the entry {settled:?} is acknowledged, and the high-watermark is {}", writer.high_watermark()));
        }
        self.look()
    }

    /// Goes on in a child run.
    fn rotate(&mut self, writer: &EventStoreWriter) -> Result<(), String> {
        let (store, manifest) = self.store()?;
        let next = NextRun { store: Box::new(store), manifest, run_started: draft("RunStarted") };
        match writer.rotate(&draft("RunEnded"), next) {
            Ok(_) => {
                if let Some(run) = lock(&self.runs).last_mut() {
                    run.expected.durable = run.expected.durable.max(1);
                }
            }
            // A run that could not be prepared was never asked for.
            Err(_) if writer.halt_reason().is_none() => drop(lock(&self.runs).pop()),
            Err(_) => {}
        }
        self.look()
    }

    /// Looks at what a crash can leave at the moments that have passed, and now.
    fn look(&mut self) -> Result<(), String> {
        let moments = self.disk.take_moments();
        // The disk first: what it holds was noted before.
        let state = self.disk.state();
        let runs = lock(&self.runs).clone();
        let now: Vec<_> = runs.iter().map(expectation).collect();
        // What was acknowledged meanwhile had not been at these moments, for all that is known.
        let during: Vec<_> = now
            .iter()
            .map(|now| {
                let created = if now.created == Certainty::Yes { Certainty::Maybe } else { now.created };
                let sealed = if now.sealed.0 == Certainty::Yes { (Certainty::Maybe, now.sealed.1) } else { now.sealed };
                Expectation { durable: 0, written: 0, created, sealed, ..*now }
            })
            .collect();
        let step = (moments.len() / 4).max(1);
        for moment in moments.iter().step_by(step) {
            self.moment(&runs, &during, &moment.state)?;
        }
        self.moment(&runs, &now, &state)
    }

    fn moment(&mut self, runs: &[RunLog], expected: &[Expectation], state: &DiskState) -> Result<(), String> {
        let faultless = self.disk.faults_met() == 0;
        let given = Given { runs, expected, mode: self.mode, faultless };
        self.oracle.examine(state, given, true).map_err(|broken| format!("the process killed: {broken}"))?;
        let Self { oracle, random, .. } = self;
        let seen = PowerLoss::of(state).for_each(Breadth::Sample(CHOICES), random, |choice| {
            let image = state.after_power_loss(choice);
            oracle.examine(&image, given, false).map(|_| ()).map_err(|broken| format!("the power failing, leaving {choice:?}: {broken}"))
        });
        seen.map(|_| ())
    }
}

/// What must be there of a run: no process is alive that could tell what was written beyond that.
fn expectation(run: &RunLog) -> Expectation {
    Expectation { written: run.expected.durable, ..run.expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_writer_acknowledged_survives_every_crash() {
        let mut oracle = Oracle::default();
        for seed in 0..60 {
            assert_eq!(explore(seed, &mut oracle), Ok(()));
        }
        assert!(oracle.counts.disks > 5_000, "{:?}", oracle.counts);
    }
}
