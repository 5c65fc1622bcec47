//! The end of a run, and what must have happened before it.

use tapelog::RecoveredState;

use super::bench::{Bench, Left, same, scan};
use super::writing::every_crash;
use crate::crash::Breadth;
use crate::explore::play::{Look, play};
use crate::oracle::Oracle;

/// A buffered run is sealed before anybody synced its segments. The power fails right behind the seal.
pub(super) fn a_sealed_run_holds_everything_that_was_written(oracle: &mut Oracle) -> Result<(), String> {
    let mut bench = Bench::after(oracle, "buffered:never/1/small,roll,small,seal")?;
    bench.lose_power(Left::Oldest);
    let last = bench.log()?.last_seq();
    let reader = bench.reader()?;
    same("the verdict", reader.recovery().map(|report| report.state), Some(RecoveredState::Sealed))?;
    same("entries", scan(&reader).map(|entries| entries.len() as u64), Ok(last))
}

/// The power fails anywhere in a seal. Where the run is sealed, its folder holds the segments of its table in their
/// lengths and no others.
pub(super) fn a_seal_stands_for_what_it_says_from_its_first_moment(oracle: &mut Oracle) -> Result<(), String> {
    every_crash(oracle, "synced:never/1/small,seal")?;
    every_crash(oracle, "buffered:never/1/small,roll,seal")
}

/// The process is killed in a seal, which the next one finds finished in the page cache. A child run begins, and the
/// power fails: the seal must not be taken back.
pub(super) fn a_seal_that_was_cut_off_is_confirmed_before_a_child_goes_on(oracle: &mut Oracle) -> Result<(), String> {
    behind_a_seal_that_was_cut_off(oracle, "reopen,reopen")
}

/// As before, and the next process reads MANIFEST and begins a child at once, without having opened the parent.
pub(super) fn a_child_names_no_seal_that_may_be_taken_back(oracle: &mut Oracle) -> Result<(), String> {
    behind_a_seal_that_was_cut_off(oracle, "child,small")
}

/// As before, and the next process sweeps. Once the sweep has returned, the run is sealed for good.
pub(super) fn a_sweep_tells_of_no_seal_that_may_be_taken_back(oracle: &mut Oracle) -> Result<(), String> {
    behind_a_seal_that_was_cut_off(oracle, "boot")
}

fn behind_a_seal_that_was_cut_off(oracle: &mut Oracle, steps: &str) -> Result<(), String> {
    for salt in 0..60 {
        let history = format!("synced:never/1/small,seal#{salt}~,{steps}");
        let look = Look { from: 3, breadth: Breadth::Sample(8), moments_of: 1, nested_of: 0 };
        play(&history.parse()?, look, oracle).map_err(|broken| format!("{history}: {broken}"))?;
    }
    Ok(())
}
