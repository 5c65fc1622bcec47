//! The way of a batch to the disk, and what must have happened before it is acknowledged.

use tapelog::{EventStore, IndexKind, RecoveredState};

use super::bench::{Bench, Left, same};
use crate::crash::{Breadth, PowerLoss};
use crate::disk::Remember;
use crate::engine::Engine;
use crate::setting::{Mode, Setting};
use crate::explore::history::History;
use crate::explore::play::{Look, play};
use crate::oracle::{Given, Oracle};

/// Most choices of one moment that are all made; a family of them stands for more.
const CHOICES_MAX: u64 = 64;

/// Every crash in the last step of a history.
pub(super) fn every_crash(oracle: &mut Oracle, history: &str) -> Result<(), String> {
    let history: History = history.parse()?;
    let look = Look { from: history.steps.len(), breadth: Breadth::Exhaustive(CHOICES_MAX), moments_of: 1, nested_of: 16 };
    play(&history, look, oracle).map(|_| ())
}

/// The least that a loss of power leaves is what was acknowledged: every batch that was waited for, and every anchor.
pub(super) fn an_acknowledged_batch_survives_the_loss_of_power(oracle: &mut Oracle) -> Result<(), String> {
    for (history, commits) in [("synced:never/1/small,medium", 2), ("buffered:never/1/small,anchor", 2), ("buffered:at-once/1/small,roll", 3)]
    {
        let mut bench = Bench::after(oracle, history)?;
        bench.lose_power(Left::Oldest);
        bench.expect(RecoveredState::Clean, commits)?;
        bench.examine(false)?;
    }
    Ok(())
}

/// A batch does not fit a segment. Its segment is made longer first, and the batch is written once that length is durable.
pub(super) fn a_batch_larger_than_a_segment_lies_within_the_durable_length(oracle: &mut Oracle) -> Result<(), String> {
    every_crash(oracle, "synced:never/1/jumbo")?;
    every_crash(oracle, "buffered:at-once/1/small,jumbo")
}

/// The first process is killed anywhere in the creation of a run. The next one finds some of the folders, opens the run,
/// and then the power fails.
pub(super) fn a_folder_that_an_earlier_process_made_is_made_durable(oracle: &mut Oracle) -> Result<(), String> {
    let mut first = Engine::new(Setting::DEFAULT, 1);
    first.disk.remember(Remember::SyncsAndChanges);
    let opening = first.open()?;
    for moment in opening.moments {
        let mut next = Engine::new(Setting::DEFAULT, 1);
        next.runs.clone_from(&first.runs);
        let disk = next.disk.with_contents(moment.state);
        next.end_at(disk, &opening.during);
        next.open()?;
        let (state, expected) = (next.disk.state(), next.expected());
        let given = Given { runs: &next.runs, expected: &expected, mode: Mode::Synced, faultless: true };
        let mut random = fastrand::Rng::with_seed(1);
        let see = |choice: &[usize]| oracle.examine(&state.after_power_loss(choice), given, false).map(|_| ());
        PowerLoss::of(&state).for_each(Breadth::Sample(8), &mut random, see)?;
    }
    Ok(())
}

/// Each operation of an append fails once. What was acknowledged before stays, what fails is not acknowledged, and nothing
/// is acknowledged behind it.
pub(super) fn a_failed_sync_closes_the_store(oracle: &mut Oracle) -> Result<(), String> {
    for at in 0..6 {
        for steps in ["small,small?eio@{},small,roll,reopen,small", "buffered"] {
            let history = match steps {
                "buffered" => format!("buffered:at-once/1/small,medium?eio@{at},small,roll,reopen"),
                steps => format!("synced:at-once/1/{}", steps.replace("{}", &at.to_string())),
            };
            let look = Look { from: 2, breadth: Breadth::Sample(8), moments_of: 1, nested_of: 0 };
            play(&history.parse()?, look, oracle).map_err(|broken| format!("{history}: {broken}"))?;
        }
    }
    Ok(())
}

/// Each operation of the steps in the background fails once, the writes of WATERMARK among them. Nothing is accepted behind it.
pub(super) fn a_failed_write_of_the_witness_closes_the_store(oracle: &mut Oracle) -> Result<(), String> {
    for at in 0..6 {
        for steps in ["small,anchor,seal,reopen", "anchor,small,seal,reopen", "seal,reopen"] {
            let history = format!("synced:at-once/1/small,small?eio@{at},{steps}");
            let look = Look { from: 2, breadth: Breadth::Sample(2), moments_of: 4, nested_of: 0 };
            play(&history.parse()?, look, oracle).map_err(|broken| format!("{history}: {broken}"))?;
        }
    }
    Ok(())
}

/// Batches of a buffered run wait for a sync that nobody asks for, and the next one would pass the bound.
pub(super) fn an_append_that_would_pass_the_bound_waits_for_a_sync(oracle: &mut Oracle) -> Result<(), String> {
    let mut bench = Bench::after(oracle, "bounded:never/1/roll,roll,roll")?;
    let stats = bench.engine.store().ok_or("no store")?.stats();
    same("the last written entry", stats.written, 6)?;
    same("the last durable entry", stats.durable, 4)?;
    bench.lose_power(Left::Oldest);
    bench.expect(RecoveredState::Clean, 4)?;
    bench.examine(false)?;
    every_crash(oracle, "bounded:never/1/roll,roll,roll")
}

/// A sync fails, and its pages count as clean from then on: the page cache shows what the disk never got, until the
/// pages leave it. Whoever opens the run reports the batch, and so has to write it again.
pub(super) fn a_failed_sync_that_dropped_its_pages_is_rewritten_by_recovery(oracle: &mut Oracle) -> Result<(), String> {
    for at in 0..4 {
        for seed in 1..4 {
            let history = format!("synced:never/{seed}/small,medium?eio@{at},reopen,evict,reopen,seal");
            let look = Look { from: 2, breadth: Breadth::Sample(8), moments_of: 1, nested_of: 0 };
            play(&history.parse()?, look, oracle).map_err(|broken| format!("{history}: {broken}"))?;
        }
    }
    Ok(())
}

/// A write moves fewer bytes than it was given, and says so.
pub(super) fn a_write_that_took_a_part_is_continued(oracle: &mut Oracle) -> Result<(), String> {
    for at in 0..4 {
        let history = format!("synced:never/1/small,large?short@{at},small");
        let look = Look { from: 2, breadth: Breadth::Sample(8), moments_of: 1, nested_of: 0 };
        play(&history.parse()?, look, oracle).map_err(|broken| format!("{history}: {broken}"))?;
    }
    Ok(())
}

/// A read brings fewer bytes than it was asked for, once and from then on, while a run is judged.
pub(super) fn a_read_that_brought_a_part_is_continued(oracle: &mut Oracle) -> Result<(), String> {
    for at in 0..40 {
        for ever in ["", "+"] {
            let history = format!("synced:never/1/small,medium,kill,reopen?short@{at}{ever},seal");
            let look = Look { from: 4, breadth: Breadth::Sample(2), moments_of: 4, nested_of: 0 };
            play(&history.parse()?, look, oracle).map_err(|broken| format!("{history}: {broken}"))?;
        }
    }
    Ok(())
}

/// The spares that a run began with are used up, and one more is made and written. A loss of power must leave its name.
pub(super) fn a_segment_that_is_written_has_a_durable_name(oracle: &mut Oracle) -> Result<(), String> {
    let mut bench = Bench::after(oracle, "synced:never/1/roll,roll,roll")?;
    let commits = bench.log()?.commits() as u64;
    bench.lose_power(Left::Oldest);
    bench.expect(RecoveredState::Clean, commits).map(|_| ())
}

/// Each operation fails once in which a segment is filled and another one made. Where it was the sync of the folder, no
/// name in it is certain any more, and nothing may be acknowledged that depends on one.
pub(super) fn a_failed_sync_of_the_folder_closes_the_store(oracle: &mut Oracle) -> Result<(), String> {
    for at in 0..30 {
        let history = format!("synced:never/1/roll,roll?eio@{at},small,roll,reopen");
        let look = Look { from: 2, breadth: Breadth::Sample(4), moments_of: 2, nested_of: 0 };
        play(&history.parse()?, look, oracle).map_err(|broken| format!("{history}: {broken}"))?;
    }
    Ok(())
}

/// A buffered run fills a segment that nobody has synced yet. Its indexes have to wait.
pub(super) fn a_full_segment_gets_its_indexes_once_it_is_durable(oracle: &mut Oracle) -> Result<(), String> {
    let mut bench = Bench::after(oracle, "buffered:never/1/small,roll")?;
    let store = bench.engine.store().ok_or("no store")?;
    let early = store.background_steps().contains(&tapelog::BackgroundStep::BuildIndex);
    same("an index is due before its segment is durable", early, false)?;
    bench.oracle().counts.disks += 1;
    every_crash(oracle, "buffered:at-once/1/small,roll")
}

/// Entries share a key, in one segment and across two. The first of them is the one that a look-up answers, while the run
/// is being written and when it is sealed.
pub(super) fn the_first_entry_with_a_key_is_the_one_that_is_found(oracle: &mut Oracle) -> Result<(), String> {
    for history in ["synced:never/1/medium,medium", "synced:at-once/1/medium,roll,medium", "synced:at-once/1/small,medium,roll,small,seal"]
    {
        let mut bench = Bench::after(oracle, history)?;
        bench.oracle().counts.disks += 1;
        let (store, run) = (bench.engine.store().ok_or("no store")?, bench.log()?);
        for kind in IndexKind::ALL {
            for (key, first) in run.first_keys(kind, run.last_seq()) {
                same(&format!("the key {key} is found at"), store.lookup(kind, key), Ok(Some(first)))?;
            }
        }
    }
    Ok(())
}
