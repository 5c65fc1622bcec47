//! A damaged run under the sweep at boot, which walks it from its first byte with every hash.

use std::sync::Arc;

use tapelog::{EventStoreError, RecoverySweep, RunStatus};

use crate::disk::SimulatedDisk;
use crate::engine::{BASE, Engine};
use crate::explore::damage::judge::Case;
use crate::explore::damage::table::Verdict;
use crate::log::INSTANCE;

fn sweep(disk: &SimulatedDisk) -> RecoverySweep<'static> {
    RecoverySweep::new(BASE, INSTANCE).storage(Arc::new(disk.clone()))
}

/// Judges a run as the sweep does, and then lets the sweep seal it; none where it is sealed already.
///
/// # Errors
/// The promise that is broken.
pub fn judge(case: &Case<'_>) -> Result<Option<Verdict>, String> {
    let disk = case.injured.disk(case.image);
    let before = disk.state().fingerprint();
    let plans = sweep(&disk).plan().map_err(|error| error.to_string())?;
    if disk.state().fingerprint() != before {
        return Err("its plan changes something".to_owned());
    }
    let Some(plan) = plans.into_iter().find(|plan| plan.run_id == case.log.manifest.run_id) else { return Ok(None) };
    let (planned, report) = match plan.verdict {
        Ok(verdict) => verdict,
        Err(error) => return case.check_refusal(&error).map(Some),
    };
    let end = case.check_report(&report, true)?;
    let outcome = sweep(&disk).apply().map_err(|error| error.to_string())?;
    if let Some(unreadable) = outcome.unreadable.iter().find(|unreadable| unreadable.run_id == case.log.manifest.run_id) {
        // What can be judged and not be sealed is a disk that cannot be read.
        return match &unreadable.error {
            EventStoreError::Disk(_) if case.unreadable => Ok(Some(Verdict::Refused)),
            error => Err(format!("it can judge the run and not seal it: {error}")),
        };
    }
    let swept = outcome.recovered.iter().find(|recovered| recovered.run_id == case.log.manifest.run_id);
    let status = swept.map(|recovered| recovered.status).ok_or("the run is left out")?;
    if status != planned {
        return Err(format!("it plans to seal the run as {planned}, and seals it as {status}"));
    }
    if end.is_none() && status != RunStatus::Quarantined {
        return Err(format!("the run is damaged, and sealed as {status}"));
    }
    let store = case.store(&disk)?.into_read_only(Engine::folder(case.log)).map_err(|error| error.to_string())?;
    let answers = case.ask(&store, end)?;
    if status != RunStatus::Quarantined && answers.refused > 0 {
        return Err(format!("the run is sealed as {status}, and {} answers are errors", answers.refused));
    }
    if status == RunStatus::Quarantined && end.is_some() {
        // The chain is whole, and the hash of an entry is not.
        return Ok(Some(Verdict::AtOpening));
    }
    Ok(Some(case.verdict(end, answers)))
}
