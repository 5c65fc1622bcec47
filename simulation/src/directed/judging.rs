//! A torn tail or damaged records: what the judge has to tell apart.

use tapelog::{EventStore, RecoveredState, RunStatus};

use super::bench::{Bench, Left, flip};
use crate::oracle::Oracle;
use crate::second_reader::HEADER_PAGE_LEN;
use crate::second_reader::forge::{Repaired, raise_claim};

/// A bit rots in a batch that was acknowledged. No WATERMARK tells of it, but a whole commit behind it claims it.
pub(super) fn a_damaged_batch_before_a_whole_commit_is_damage(oracle: &mut Oracle) -> Result<(), String> {
    let mut bench = Bench::after(oracle, "synced:never/1/small,medium,small")?;
    bench.kill();
    bench.damage_batch(2)?;
    let store = bench.expect(RecoveredState::AcknowledgedDamage, 1)?;
    super::bench::same("the high-watermark stays", store.high_watermark(), Ok(4))
}

/// The last batch of a full segment rots. Only commits in the next segment claim it.
pub(super) fn claims_of_later_segments_count(oracle: &mut Oracle) -> Result<(), String> {
    let mut bench = Bench::after(oracle, "synced:never/1/small,roll,small")?;
    bench.kill();
    let last = bench.read()?.last_commit_in_segment(1).ok_or("no segment was filled")?;
    bench.damage_batch(last)?;
    bench.expect(RecoveredState::AcknowledgedDamage, last - 1).map(|_| ())
}

/// An anchor rots that WATERMARK tells of. It has no entry of its own, so that only its commit is missing.
pub(super) fn a_damaged_anchor_is_damage(oracle: &mut Oracle) -> Result<(), String> {
    let mut bench = Bench::after(oracle, "synced:at-once/1/small,anchor")?;
    bench.kill();
    bench.damage_commit(2)?;
    bench.expect(RecoveredState::AcknowledgedDamage, 1).map(|_| ())
}

/// A commit claims what nobody claimed: its bytes rotted, and then with checksums that somebody put right but not the tag.
/// Its batch is a torn tail, and sound batches before it are not condemned for what it says.
pub(super) fn a_commit_that_was_never_whole_claims_nothing(oracle: &mut Oracle) -> Result<(), String> {
    for repaired in [Repaired::Nothing, Repaired::Checksums] {
        let mut bench = Bench::after(oracle, "synced:never/1/small,small")?;
        bench.kill();
        bench.change_batch(2, |bytes, salt, batch| raise_claim(bytes, salt, batch, (9, 9), repaired))?;
        bench.expect(RecoveredState::TornTail, 1)?;
    }
    Ok(())
}

/// A buffered run loses the end of a full segment, and the segment behind it survives. Nothing of that was acknowledged;
/// what does not continue the log is no part of it.
pub(super) fn a_segment_behind_lost_batches_is_discarded(oracle: &mut Oracle) -> Result<(), String> {
    let mut bench = Bench::after(oracle, "buffered:never/1/small,small,roll")?;
    let last = bench.read()?.last_commit_in_segment(1).ok_or("no segment was filled")?;
    bench.lose_power(Left::Newest);
    bench.change_batch(last, |bytes, _, batch| {
        bytes.get_mut(batch.start..batch.end)?.fill(0);
        Some(())
    })?;
    let store = bench.expect(RecoveredState::TornTail, last - 1)?;
    super::bench::same("entries", super::bench::scan(&store).map(|entries| entries.len() as u64), store.high_watermark())
}

/// A full segment is shorter than what the next one continues.
pub(super) fn a_full_segment_that_was_cut_short_is_damage(oracle: &mut Oracle) -> Result<(), String> {
    let mut bench = Bench::after(oracle, "synced:at-once/1/small,roll,small")?;
    bench.kill();
    let last = bench.read()?.last_commit_in_segment(1).ok_or("no segment was filled")?;
    let (_, batch) = bench.read()?.batch(last).map(|(ordinal, batch)| (ordinal, batch.start)).ok_or("no batch")?;
    bench.change("00000001.seg", |bytes| {
        bytes.truncate(batch);
        Some(())
    })?;
    bench.expect(RecoveredState::AcknowledgedDamage, last - 1).map(|_| ())
}

/// Both copies in the header page of a full segment are lost.
pub(super) fn a_segment_that_lost_its_header_page_is_damage(oracle: &mut Oracle) -> Result<(), String> {
    let mut bench = Bench::after(oracle, "synced:at-once/1/small,roll")?;
    bench.kill();
    let end = bench.read()?.last_commit();
    bench.change("00000001.seg", |bytes| {
        bytes.get_mut(..HEADER_PAGE_LEN)?.fill(0);
        Some(())
    })?;
    bench.expect(RecoveredState::AcknowledgedDamage, end).map(|_| ())
}

/// Damage cannot be sealed away: such a run is quarantined or stays as it is.
pub(super) fn a_damaged_run_is_sealed_as_quarantined_only(oracle: &mut Oracle) -> Result<(), String> {
    let mut bench = Bench::after(oracle, "synced:never/1/small,small,small")?;
    bench.kill();
    bench.damage_batch(2)?;
    let mut store = bench.expect(RecoveredState::AcknowledgedDamage, 1)?;
    for status in [RunStatus::Ended, RunStatus::CrashedRecovered] {
        super::bench::expect_error("damage is sealed as if there were none", store.seal(status), |_| true)?;
    }
    store.seal(RunStatus::Quarantined).map_err(|error| format!("a damaged run cannot be quarantined: {error}"))
}

/// A buffered run loses a batch in the middle. What lies behind it, in two segments, is discarded, and is not there again
/// when the power fails once more.
pub(super) fn what_was_discarded_never_comes_back(oracle: &mut Oracle) -> Result<(), String> {
    let mut bench = Bench::after(oracle, "buffered:never/1/small,small,roll,roll")?;
    bench.lose_power(Left::Newest);
    bench.change_batch(2, |bytes, _, batch| {
        bytes.get_mut(batch.start..batch.end)?.fill(0);
        Some(())
    })?;
    drop(bench.expect(RecoveredState::TornTail, 1)?);
    bench.lose_power(Left::Oldest);
    let run = bench.read()?;
    let behind = run.segments.values().filter(|segment| segment.identity.ordinal > 1 && segment.written);
    super::bench::same("segments that still hold what was discarded", behind.count(), 0)?;
    bench.expect(RecoveredState::Clean, 1).map(|_| ())
}

/// A reader of a buffered run whose last batches are not synced: the next loss of power may take them.
pub(super) fn a_reader_is_shown_what_is_proven_only(oracle: &mut Oracle) -> Result<(), String> {
    let mut bench = Bench::after(oracle, "buffered:never/1/small,medium")?;
    bench.kill();
    let reader = bench.reader()?;
    super::bench::same("a reader is shown", reader.high_watermark(), Ok(0))?;
    // The bytes are whole; it is only that nobody has said that they stay.
    bench.change_batch(2, |bytes, _, batch| flip(bytes, batch.start))?;
    let reader = bench.reader()?;
    super::bench::same("a reader is shown", reader.high_watermark(), Ok(0))
}
