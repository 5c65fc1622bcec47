//! What must hold of a disk after a crash.
//!
//! The store is opened on the disk as a new process opens it. What it then answers is compared with
//! what was given: a prefix of the commits, no shorter than what was acknowledged or shown, no longer
//! than what was given, and never a verdict of damage. Then everything that an operator would do
//! next is done: opening it once more, sealing it, reading and verifying what was sealed, making its
//! indexes again, sweeping it at boot, and going on in a child run.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

use tapelog::{
    EventStore, EventStoreError, IndexKind, RecoveredState, RecoverySweep, RunManifest, RunStatus, ScanDirection, SegmentBackend, Verifier,
};

use crate::disk::state::DiskState;
use crate::disk::{Moment, Remember, SimulatedDisk};
use crate::engine::{BASE, Engine, check_end, recovered_end, store_over};
use crate::log::{Certainty, Expectation, Filling, INSTANCE, RunLog, entry};
use crate::order;

/// One disk of so many is also swept at boot, walked in full.
const SWEPT_OF: u64 = 8;

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
    /// Whether an append waits for its sync.
    pub synced: bool,
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
    (state.fingerprint(), given.synced, given.faultless, killed).hash(&mut hasher);
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
}

impl Oracle {
    /// Forgets what it has seen, and keeps what it counted.
    pub fn forget(&mut self) {
        self.opened.clear();
        self.carried_on.clear();
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
        let shown = shown_to_a_reader(&disk, &folder, (run, expected), given.synced)?;
        let mut store = store_over(&disk, given.synced).map_err(|error| error.to_string())?;
        let found = match store.open_run(run.manifest.clone()) {
            Ok(()) => Found::NoRun,
            Err(EventStoreError::CrashedPredecessor) => Found::Recovered(recovered_end(&store)?),
            Err(error) if expected.sealed.0 != Certainty::No && error.to_string().contains("already sealed") => Found::Sealed,
            Err(error) => return Err(format!("{} cannot be opened: {error}", run.manifest.run_id)),
        };
        check_found(found, run, expected, least)?;
        check_ancestors(&disk, given)?;
        match found {
            Found::NoRun => check_new_run(&disk, store, run)?,
            Found::Sealed => {
                check_sealed(&disk, run, expected, given.synced)?;
                if given.faultless {
                    order::check_sealed_segments(&disk, &folder)?;
                }
            }
            Found::Recovered(end) => {
                if shown.is_some_and(|shown| shown > end) {
                    return Err(format!("a reader was shown {shown:?} commits before the recovery, which ends at {end}"));
                }
                check_contents(&store, run, end)?;
                no_violations(&disk)?;
                if fingerprint.is_multiple_of(SWEPT_OF) {
                    self.counts.swept += 1;
                    check_sweep(state, run, end)?;
                }
                let recovered = disk.state().fingerprint();
                if self.carried_on.insert(recovered) {
                    self.counts.carried_on += 1;
                    carry_on(Opened { disk, store, end }, run, given)?;
                }
            }
        }
        Ok(found)
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
        let mut store = store_over(&disk, given.synced).map_err(|error| error.to_string())?;
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

/// The runs before the newest are sealed, and stay what they are.
fn check_ancestors(disk: &SimulatedDisk, given: Given<'_>) -> Result<(), String> {
    let ancestors = given.runs.iter().zip(given.expected).take(given.expected.len().saturating_sub(1));
    for (run, expected) in ancestors {
        let store = store_over(disk, given.synced).map_err(|error| error.to_string())?;
        let store = store.into_read_only(Engine::folder(run)).map_err(|error| format!("a parent cannot be read: {error}"))?;
        let status = store.manifest().map_err(|error| error.to_string())?.status;
        if status != expected.sealed.1 {
            return Err(format!("{} was sealed as {}, and is {status}", run.manifest.run_id, expected.sealed.1));
        }
        check_contents(&store, run, expected.sealed_at)?;
    }
    Ok(())
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

/// How many commits a reader is shown that changes nothing.
fn shown_to_a_reader(
    disk: &SimulatedDisk,
    folder: &Path,
    (run, expected): (&RunLog, &Expectation),
    synced: bool,
) -> Result<Option<usize>, String> {
    let before = disk.state().fingerprint();
    let store = store_over(disk, synced).map_err(|error| error.to_string())?;
    let reader = match store.into_read_only(folder) {
        Ok(reader) => reader,
        Err(error) if expected.created == Certainty::Yes => {
            return Err(format!("a reader cannot open {}: {error}", run.manifest.run_id));
        }
        Err(_) => return Ok(None),
    };
    if reader.recovery().is_some_and(|report| report.state == RecoveredState::AcknowledgedDamage) {
        return Err("a reader is given a false verdict of damage".to_owned());
    }
    let high_watermark = reader.high_watermark().map_err(|error| error.to_string())?;
    let commits = run.commits_up_to(high_watermark);
    if run.last_seq_at(commits) != high_watermark {
        return Err(format!("a reader is shown entry {high_watermark}, which is no end of a batch"));
    }
    let anchor = reader.latest_snapshot_anchor().map_err(|error| format!("a reader cannot read the newest anchor: {error}"))?;
    if let Some(anchor) = &anchor
        && !run.gave_anchor(anchor)
    {
        return Err(format!("a reader is shown an anchor that was never given: {anchor:?}"));
    }
    let commits = commits.max(anchor.map_or(0, |anchor| run.commits_with(&anchor)));
    check_entries(&reader, run, high_watermark)?;
    if disk.state().fingerprint() != before {
        return Err("a reader changed the disk".to_owned());
    }
    Ok(Some(commits))
}

pub(crate) fn check_entries(store: &SegmentBackend, run: &RunLog, high_watermark: u64) -> Result<(), String> {
    let entries = store.scan_range(1, u64::MAX, ScanDirection::Forward).map_err(|error| format!("the entries cannot be read: {error}"))?;
    if entries.len() as u64 != high_watermark || !entries.iter().eq(run.entries_up_to(high_watermark)) {
        return Err(format!("a wrong entry: {} entries were read up to {high_watermark}, and differ from those given", entries.len()));
    }
    Ok(())
}

/// Checks that a store answers the first `end` commits of a run, and nothing else.
fn check_contents(store: &SegmentBackend, run: &RunLog, end: usize) -> Result<(), String> {
    let last_seq = run.last_seq_at(end);
    let high_watermark = store.high_watermark().map_err(|error| error.to_string())?;
    if high_watermark != last_seq {
        return Err(format!("{end} commits end at entry {last_seq}, and the high-watermark is {high_watermark}"));
    }
    check_entries(store, run, last_seq)?;
    let anchor = store.latest_snapshot_anchor().map_err(|error| format!("the newest anchor cannot be read: {error}"))?;
    if anchor.as_ref() != run.anchor_at(end) {
        return Err(format!("the newest anchor is {anchor:?}, and {:?} was given", run.anchor_at(end)));
    }
    for kind in [IndexKind::ClientOrderId, IndexKind::VenueOrderId] {
        let keys: Vec<_> = run.first_keys(kind, last_seq).collect();
        for (key, first) in keys.first().into_iter().chain(keys.last()) {
            let found = store.lookup(kind, key).map_err(|error| format!("the key {key} cannot be looked up: {error}"))?;
            if found != Some(*first) {
                return Err(format!("the key {key} is found at {found:?}, and was first given at {first}"));
            }
        }
    }
    Ok(())
}

fn check_all_keys(store: &SegmentBackend, run: &RunLog, last_seq: u64) -> Result<(), String> {
    for kind in IndexKind::ALL {
        let mut found = store.iter_index_keys(kind).map_err(|error| format!("the keys of {kind} cannot be read: {error}"))?;
        found.sort();
        let given = run.first_keys(kind, last_seq);
        if !found.iter().map(|(key, seq)| (key.as_str(), *seq)).eq(given) {
            return Err(format!("the keys of {kind} are not those given: {found:?}"));
        }
        for (key, first) in run.first_keys(kind, last_seq) {
            if store.lookup(kind, key) != Ok(Some(first)) {
                return Err(format!("the key {key} is found at {:?}, and was first given at {first}", store.lookup(kind, key)));
            }
        }
        if store.lookup(kind, "no such key") != Ok(None) {
            return Err("a key is found that was never given".to_owned());
        }
    }
    Ok(())
}

/// A run was begun on a disk that held none, or the rest of one that was never finished.
fn check_new_run(disk: &SimulatedDisk, mut store: SegmentBackend, run: &RunLog) -> Result<(), String> {
    let mut fresh = RunLog::new(&run.manifest.run_id, run.manifest.parent_run_id.as_deref());
    append_one(&mut store, &mut fresh)?;
    store.seal(RunStatus::Ended).map_err(|error| format!("a new run cannot be sealed: {error}"))?;
    no_violations(disk)?;
    let sealed = Expectation::sealed_at(1, RunStatus::Ended);
    check_sealed(disk, &fresh, &sealed, true)
}

fn append_one(store: &mut SegmentBackend, run: &mut RunLog) -> Result<(), String> {
    let batch = [entry(run.last_seq() + 1, 60, Filling::Bytes, 77)];
    store.append_batch(&batch).map_err(|error| format!("a new run takes no batch: {error}"))?;
    run.give_batch(&batch);
    Ok(())
}

/// Checks a sealed run: everything that was written is in it, every key is found, and the verifier agrees.
fn check_sealed(disk: &SimulatedDisk, run: &RunLog, expected: &Expectation, synced: bool) -> Result<(), String> {
    let folder = Engine::folder(run);
    let store = store_over(disk, synced).map_err(|error| error.to_string())?;
    let store = store.into_read_only(&folder).map_err(|error| format!("a sealed run cannot be opened: {error}"))?;
    let manifest: RunManifest = store.manifest().map_err(|error| error.to_string())?;
    let end = expected.sealed_at;
    if manifest.status != expected.sealed.1 {
        return Err(format!("sealed as {}, and found as {}", expected.sealed.1, manifest.status));
    }
    check_contents(&store, run, end)?;
    check_all_keys(&store, run, run.last_seq_at(end))?;
    let report = Verifier::new(Box::new(store)).verify().map_err(|error| format!("a sealed run cannot be verified: {error}"))?;
    if !report.is_clean() {
        return Err(format!("the verifier finds something in a sealed run: {report:?}"));
    }
    Ok(())
}

/// A whole walk at boot comes to the same end as the quick opening.
fn check_sweep(state: &DiskState, run: &RunLog, end: usize) -> Result<(), String> {
    let disk = SimulatedDisk::with_state(state.clone(), 3);
    let outcome = RecoverySweep::new(BASE, INSTANCE).storage(Arc::new(disk.clone())).apply().map_err(|error| error.to_string())?;
    if let Some(unreadable) = outcome.unreadable.first() {
        return Err(format!("the sweep cannot read {}: {}", unreadable.run_id, unreadable.error));
    }
    let swept = outcome.recovered.iter().find(|recovered| recovered.run_id == run.manifest.run_id);
    if swept.map(|recovered| recovered.status) != Some(RunStatus::CrashedRecovered) {
        return Err(format!("the sweep does not recover {}: {outcome:?}", run.manifest.run_id));
    }
    let sealed = Expectation::sealed_at(end, RunStatus::CrashedRecovered);
    check_sealed(&disk, run, &sealed, true)
}

/// Does with a recovered run what an operator does.
fn carry_on(opened: Opened, run: &RunLog, given: Given<'_>) -> Result<(), String> {
    let Opened { disk, store, end } = opened;
    check_locked(&disk, run, given.synced)?;
    drop(store);
    disk.end_process();
    let recovered = disk.state();
    // Once more: nothing is left to be done.
    let mut store = store_over(&disk, given.synced).map_err(|error| error.to_string())?;
    let again = store.open_run(run.manifest.clone());
    if again != Err(EventStoreError::CrashedPredecessor) {
        return Err(format!("a recovered run is opened once more: {again:?}"));
    }
    let report = store.recovery().ok_or("no report of a second recovery")?;
    if report.end.commit_no != end as u64 || report.state != RecoveredState::Clean || report.proven.commit_no != end as u64 {
        return Err(format!("a second recovery does not find what the first one left: {report}"));
    }
    check_all_keys(&store, run, run.last_seq_at(end))?;
    let refused = store.append_batch(&[entry(run.last_seq_at(end) + 1, 10, Filling::Bytes, 1)]);
    if refused != Err(EventStoreError::CrashedPredecessor) {
        return Err(format!("a recovered run takes a batch: {refused:?}"));
    }
    store.seal(RunStatus::CrashedRecovered).map_err(|error| format!("a recovered run cannot be sealed: {error}"))?;
    drop(store);
    no_violations(&disk)?;
    let sealed = Expectation::sealed_at(end, RunStatus::CrashedRecovered);
    check_sealed(&disk, run, &sealed, given.synced)?;
    check_folder(&disk, run)?;
    check_indexes(&disk, recovered, run, given.synced)?;
    check_child(&disk, run, given.synced)
}

/// Nobody else can open a run that is open.
fn check_locked(disk: &SimulatedDisk, run: &RunLog, synced: bool) -> Result<(), String> {
    let mut second = store_over(disk, synced).map_err(|error| error.to_string())?;
    match second.open_run(run.manifest.clone()) {
        Err(EventStoreError::Locked { .. }) => Ok(()),
        other => Err(format!("a run that is open is opened a second time: {other:?}")),
    }
}

/// The names of a run's files.
fn names(disk: &SimulatedDisk, run: &RunLog) -> Vec<String> {
    let folder = Engine::folder(run);
    let files = disk.files().into_iter().filter(|path| path.parent() == Some(&folder));
    files.filter_map(|path| path.file_name().map(|name| name.to_string_lossy().into_owned())).collect()
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == extension)
}

fn is_index(name: &str) -> bool {
    has_extension(name, "idx") || has_extension(name, "key")
}

/// A sealed folder holds the manifest, the lock, and the segments with their indexes.
fn check_folder(disk: &SimulatedDisk, run: &RunLog) -> Result<(), String> {
    let names = names(disk, run);
    let segments = names.iter().filter(|name| has_extension(name, "seg")).count();
    let mut expected: Vec<_> =
        (1..=segments).flat_map(|ordinal| ["seg", "idx", "key"].map(|kind| format!("{ordinal:08}.{kind}"))).collect();
    expected.extend(["LOCK".to_owned(), "MANIFEST".to_owned()]);
    expected.sort();
    if names != expected {
        return Err(format!("a sealed folder holds {names:?}"));
    }
    Ok(())
}

/// The indexes of the sealed run are those that are made anew from its segments.
fn check_indexes(disk: &SimulatedDisk, recovered: DiskState, run: &RunLog, synced: bool) -> Result<(), String> {
    let folder = Engine::folder(run);
    let fresh = SimulatedDisk::with_state(recovered, 5);
    let mut removed = 0;
    for name in names(&fresh, run).iter().filter(|name| is_index(name)) {
        removed += usize::from(fresh.take_away(&folder.join(name)));
    }
    if removed == 0 {
        // The seal has made all of them anew already.
        return Ok(());
    }
    let mut store = store_over(&fresh, synced).map_err(|error| error.to_string())?;
    // The answer is the one that was checked before.
    let _ = store.open_run(run.manifest.clone());
    store.seal(RunStatus::CrashedRecovered).map_err(|error| error.to_string())?;
    for name in names(&fresh, run).iter().filter(|name| is_index(name)) {
        let path = folder.join(name);
        if disk.contents(&path) != fresh.contents(&path) {
            return Err(format!("{name} differs from the one that is made anew"));
        }
    }
    Ok(())
}

/// The engine goes on in a child run.
fn check_child(disk: &SimulatedDisk, run: &RunLog, synced: bool) -> Result<(), String> {
    let mut child = RunLog::new("child", Some(&run.manifest.run_id));
    let mut store = store_over(disk, synced).map_err(|error| error.to_string())?;
    store.open_run(child.manifest.clone()).map_err(|error| format!("no child run: {error}"))?;
    append_one(&mut store, &mut child)?;
    store.seal(RunStatus::Ended).map_err(|error| format!("a child run cannot be sealed: {error}"))?;
    no_violations(disk)?;
    let sealed = Expectation::sealed_at(1, RunStatus::Ended);
    check_sealed(disk, &child, &sealed, synced)
}
