//! WATERMARK: what it proves, what it does not, and what survives of it.

use tapelog::RecoveredState;

use super::bench::{Bench, Left, same};
use crate::oracle::Oracle;

/// The commit of the last acknowledged batch rots. Nothing behind it claims it: WATERMARK does.
pub(super) fn a_witness_that_was_written_proves_what_it_tells(oracle: &mut Oracle) -> Result<(), String> {
    let mut bench = Bench::after(oracle, "synced:at-once/1/small,small")?;
    bench.kill();
    bench.damage_commit(2)?;
    bench.expect(RecoveredState::AcknowledgedDamage, 1).map(|_| ())
}

/// The same after a loss of power, which takes everything that was not synced.
pub(super) fn a_synced_witness_survives_the_loss_of_power(oracle: &mut Oracle) -> Result<(), String> {
    let mut bench = Bench::after(oracle, "synced:at-once/1/small,small")?;
    bench.lose_power(Left::Oldest);
    bench.damage_commit(2)?;
    bench.expect(RecoveredState::AcknowledgedDamage, 1).map(|_| ())
}

/// The slots take turns: the newer one is the second after two batches, and the first after three.
pub(super) fn the_newer_slot_counts_wherever_it_stands(oracle: &mut Oracle) -> Result<(), String> {
    for (history, last) in [("synced:at-once/1/small,small", 2), ("synced:at-once/1/small,small,small", 3)] {
        let mut bench = Bench::after(oracle, history)?;
        bench.kill();
        bench.damage_commit(last)?;
        bench.expect(RecoveredState::AcknowledgedDamage, last - 1)?;
    }
    Ok(())
}

/// A WATERMARK of another run, which had come further, lies in the folder.
pub(super) fn a_witness_of_another_run_proves_nothing(oracle: &mut Oracle) -> Result<(), String> {
    let foreign = Bench::after(oracle, "synced:at-once/2/small,medium,small")?.bytes("WATERMARK")?;
    let mut bench = Bench::after(oracle, "synced:at-once/1/small")?;
    bench.kill();
    bench.put("WATERMARK", &foreign)?;
    bench.expect(RecoveredState::Clean, 1).map(|_| ())
}

/// The commit rots that WATERMARK names. The walk may begin behind it, but not without a look at it.
pub(super) fn the_commit_that_a_witness_names_is_looked_at(oracle: &mut Oracle) -> Result<(), String> {
    let mut bench = Bench::after(oracle, "synced:at-once/1/small,small")?;
    bench.kill();
    bench.damage_commit(2)?;
    bench.expect(RecoveredState::AcknowledgedDamage, 1).map(|_| ())
}

/// A recovery witnesses the end that it reports twice, so that one lost slot is not the loss of a proof.
pub(super) fn both_slots_name_the_end_after_a_recovery(oracle: &mut Oracle) -> Result<(), String> {
    let mut bench = Bench::after(oracle, "synced:never/1/small,medium")?;
    bench.kill();
    drop(bench.expect(RecoveredState::Clean, 2)?);
    bench.lose_power(Left::Oldest);
    let watermark = bench.read()?.watermark.ok_or("there is no WATERMARK")?;
    let told = watermark.slots.iter().flatten().map(|slot| slot.commit_no).collect::<Vec<_>>();
    same("the slots tell of the commits", told, vec![2, 2])
}
