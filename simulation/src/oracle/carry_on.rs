//! Everything that an operator does next with a run that was recovered, or begun anew.

use std::path::Path;
use std::sync::Arc;

use tapelog::{EventStore, EventStoreError, RecoveredState, RunStatus, SegmentBackend};

use super::contents::check_sealed;
use super::{Given, Opened, no_violations};
use crate::asking::check_all_keys;
use crate::disk::SimulatedDisk;
use crate::disk::state::DiskState;
use crate::engine::{BASE, Engine, store_over};
use crate::log::{Expectation, Filling, RunLog, entry};
use crate::setting::Mode;

/// A run was begun on a disk that held none, or the rest of one that was never finished.
pub(super) fn check_new_run(disk: &SimulatedDisk, mut store: SegmentBackend, run: &RunLog) -> Result<(), String> {
    let mut fresh = RunLog::new(&run.manifest.run_id, run.manifest.parent_run_id.as_deref());
    append_one(&mut store, &mut fresh)?;
    store.seal(RunStatus::Ended).map_err(|error| format!("a new run cannot be sealed: {error}"))?;
    no_violations(disk)?;
    let sealed = Expectation::sealed_at(1, RunStatus::Ended);
    check_sealed(disk, &fresh, &sealed, Mode::Synced)
}

fn append_one(store: &mut SegmentBackend, run: &mut RunLog) -> Result<(), String> {
    let batch = [entry(run.last_seq() + 1, 60, Filling::Bytes, 77)];
    store.append_batch(&batch).map_err(|error| format!("a new run takes no batch: {error}"))?;
    run.give_batch(&batch);
    Ok(())
}

/// Does with a recovered run what an operator does.
pub(super) fn carry_on(opened: Opened, run: &RunLog, given: Given<'_>) -> Result<(), String> {
    let Opened { disk, store, end, followers } = opened;
    check_locked(&disk, run, given.mode)?;
    drop(store);
    disk.end_process();
    let recovered = disk.state();
    // Once more: nothing is left to be done.
    let mut store = store_over(&disk, given.mode).map_err(|error| error.to_string())?;
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
    if let Some(mut followers) = followers {
        followers.listen_to_the_end(run, &sealed)?;
    }
    check_sealed(&disk, run, &sealed, given.mode)?;
    check_folder(&disk, run)?;
    check_indexes(&disk, &recovered, run, given.mode)?;
    check_child(&disk, run, given.mode)
}

/// Nobody else can open a run that is open.
fn check_locked(disk: &SimulatedDisk, run: &RunLog, mode: Mode) -> Result<(), String> {
    let mut second = store_over(disk, mode).map_err(|error| error.to_string())?;
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

/// The indexes of the sealed run are those that are made anew from its segments, by the engine or as a sweep makes them.
fn check_indexes(disk: &SimulatedDisk, recovered: &DiskState, run: &RunLog, mode: Mode) -> Result<(), String> {
    let folder = Engine::folder(run);
    if !names(&SimulatedDisk::with_state(recovered.clone(), 5), run).iter().any(|name| is_index(name)) {
        // The seal has made all of them anew already.
        return Ok(());
    }
    let differing = |others: &SimulatedDisk| {
        let indexes = names(others, run).into_iter().filter(|name| is_index(name)).map(|name| folder.join(name));
        indexes.filter(|path| disk.contents(path) != others.contents(path)).collect::<Vec<_>>()
    };
    let by_the_engine = differing(&with_new_indexes(recovered, run, |disk| store_over(disk, mode))?);
    if by_the_engine.is_empty() {
        return Ok(());
    }
    let sweeping = |disk: &SimulatedDisk| SegmentBackend::builder(BASE).storage(Arc::new(disk.clone())).build();
    let by_the_sweep = differing(&with_new_indexes(recovered, run, sweeping)?);
    match by_the_engine.iter().find(|path| by_the_sweep.contains(path)) {
        Some(path) => Err(format!("{} differs from the one that is made anew", path.display())),
        None => Ok(()),
    }
}

/// A recovered run that lost its indexes, and was sealed by a store.
fn with_new_indexes(
    recovered: &DiskState,
    run: &RunLog,
    store: impl FnOnce(&SimulatedDisk) -> Result<SegmentBackend, EventStoreError>,
) -> Result<SimulatedDisk, String> {
    let fresh = SimulatedDisk::with_state(recovered.clone(), 5);
    for name in names(&fresh, run).iter().filter(|name| is_index(name)) {
        fresh.take_away(&Engine::folder(run).join(name));
    }
    let mut store = store(&fresh).map_err(|error| error.to_string())?;
    // The answer is the one that was checked before.
    let _ = store.open_run(run.manifest.clone());
    store.seal(RunStatus::CrashedRecovered).map_err(|error| error.to_string())?;
    drop(store);
    Ok(fresh)
}

/// The engine goes on in a child run.
fn check_child(disk: &SimulatedDisk, run: &RunLog, mode: Mode) -> Result<(), String> {
    let mut child = RunLog::new("child", Some(&run.manifest.run_id));
    let mut store = store_over(disk, mode).map_err(|error| error.to_string())?;
    store.open_run(child.manifest.clone()).map_err(|error| format!("no child run: {error}"))?;
    append_one(&mut store, &mut child)?;
    store.seal(RunStatus::Ended).map_err(|error| format!("a child run cannot be sealed: {error}"))?;
    no_violations(disk)?;
    let sealed = Expectation::sealed_at(1, RunStatus::Ended);
    check_sealed(disk, &child, &sealed, mode)
}
