//! What a disk holds: read by somebody who changes nothing, sealed, and swept at boot.

use std::path::Path;
use std::sync::Arc;

use tapelog::{EventStore, IndexKind, RecoveredState, RecoverySweep, RunManifest, RunStatus, SegmentBackend, Verifier};

use super::Given;
use crate::asking::{check_all_keys, check_entries};
use crate::disk::SimulatedDisk;
use crate::disk::state::DiskState;
use crate::engine::{BASE, Engine, store_over};
use crate::log::{Certainty, Expectation, INSTANCE, RunLog};
use crate::setting::Mode;

/// The runs before the newest are sealed, and stay what they are. The seal of its parent may still be taken back as long as the
/// newest run is not there.
pub(super) fn check_ancestors(disk: &SimulatedDisk, given: Given<'_>, has_child: bool) -> Result<(), String> {
    let ancestors = given.runs.iter().zip(given.expected).take(given.expected.len().saturating_sub(1));
    for (run, expected) in ancestors {
        let store = store_over(disk, given.mode).map_err(|error| error.to_string())?;
        let store = store.into_read_only(Engine::folder(run)).map_err(|error| format!("a parent cannot be read: {error}"))?;
        let status = store.manifest().map_err(|error| error.to_string())?.status;
        if status == RunStatus::Running && expected.sealed.0 == Certainty::Maybe && !has_child {
            continue;
        }
        if status != expected.sealed.1 {
            return Err(format!("{} was sealed as {}, and is {status}", run.manifest.run_id, expected.sealed.1));
        }
        check_contents(&store, run, expected.sealed_at)?;
    }
    Ok(())
}

/// How many commits a reader is shown that changes nothing.
pub(super) fn shown_to_a_reader(
    disk: &SimulatedDisk,
    folder: &Path,
    (run, expected): (&RunLog, &Expectation),
    mode: Mode,
) -> Result<Option<usize>, String> {
    let before = disk.state().fingerprint();
    let store = store_over(disk, mode).map_err(|error| error.to_string())?;
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

/// Checks that a store answers the first `end` commits of a run, and nothing else.
pub(super) fn check_contents(store: &SegmentBackend, run: &RunLog, end: usize) -> Result<(), String> {
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

/// Checks a sealed run: everything that was written is in it, every key is found, and the verifier agrees.
pub(super) fn check_sealed(disk: &SimulatedDisk, run: &RunLog, expected: &Expectation, mode: Mode) -> Result<(), String> {
    let folder = Engine::folder(run);
    let store = store_over(disk, mode).map_err(|error| error.to_string())?;
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
pub(super) fn check_sweep(state: &DiskState, run: &RunLog, end: usize) -> Result<(), String> {
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
    check_sealed(&disk, run, &sealed, Mode::Synced)
}
