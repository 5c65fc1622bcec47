//! Reading beside the writer, in its process and in others.

use std::ops::ControlFlow;
use std::time::Duration;

use tapelog::{Check, EventStore, EventStoreError, FollowOptions, IndexKind, ScanDirection, Visibility};

use super::bench::{Bench, expect_error, same};
use crate::oracle::Oracle;

/// Two batches of a buffered run are written, and the first of them is durable.
const HALF_DURABLE: &str = "buffered:never/1/small,anchor,medium";

/// A reader of the open run sees what is durable grow, and not what is written.
pub(super) fn a_reader_beside_the_writer_is_shown_what_is_durable(oracle: &mut Oracle) -> Result<(), String> {
    let bench = Bench::after(oracle, HALF_DURABLE)?;
    let store = bench.engine.store().ok_or("no store")?;
    let reader = store.reader().map_err(|error| error.to_string())?;
    let count = || {
        let mut count = 0;
        let visited = reader.visit(.., ScanDirection::Reverse, Check::Full, |_| {
            count += 1;
            ControlFlow::<()>::Continue(())
        });
        visited.map(|_| count)
    };
    same("a reader is lent", count(), Ok(1))?;
    same("a sync makes durable up to", store.sync(), Ok(4))?;
    same("a reader is lent", count(), Ok(4))
}

/// A tail that waits for what is durable is not given what is written.
pub(super) fn a_tail_is_shown_what_is_durable(oracle: &mut Oracle) -> Result<(), String> {
    let bench = Bench::after(oracle, HALF_DURABLE)?;
    let store = bench.engine.store().ok_or("no store")?;
    let reader = store.reader().map_err(|error| error.to_string())?;
    let mut tail = reader.tail(1, Visibility::Durable);
    let mut seqs = Vec::new();
    while let Some(entry) = tail.next_entry(Duration::ZERO).map_err(|error| error.to_string())? {
        seqs.push(entry.seq);
    }
    same("a tail shows", seqs, vec![1])
}

/// The keys of entries that are not durable are not there yet.
pub(super) fn a_look_up_finds_no_key_that_may_be_taken_back(oracle: &mut Oracle) -> Result<(), String> {
    let bench = Bench::after(oracle, HALF_DURABLE)?;
    let (store, run) = (bench.engine.store().ok_or("no store")?, bench.log()?);
    for (key, first) in run.first_keys(IndexKind::ClientOrderId, run.last_seq()) {
        let expected = Some(first).filter(|first| *first <= 1);
        same(&format!("the key {key} is found at"), store.lookup(IndexKind::ClientOrderId, key), Ok(expected))?;
    }
    Ok(())
}

/// What a follower shows at once, and how it ends.
fn follow(bench: &mut Bench<'_>, visibility: Visibility) -> Result<(u64, Result<(), EventStoreError>), String> {
    let options = FollowOptions { visibility, ..FollowOptions::default() };
    let follower = bench.store()?.follow(bench.folder()?, options);
    let mut follower = follower.map_err(|error| format!("the run cannot be followed: {error}"))?;
    let mut shown = 0;
    // What does not fit is looked at once more before anything is said.
    for _ in 0..3 {
        let visited = follower.visit(Duration::ZERO, Check::Full, |view| {
            shown = view.seq();
            ControlFlow::Continue(())
        });
        if let Err(error) = visited {
            return Ok((shown, Err(error)));
        }
    }
    Ok((shown, Ok(())))
}

/// A writer has written more than it has synced. A follower stops where WATERMARK does, unless it asked for what is written.
pub(super) fn a_follower_stops_at_what_the_writer_says_is_durable(oracle: &mut Oracle) -> Result<(), String> {
    let mut bench = Bench::after(oracle, HALF_DURABLE)?;
    let store = bench.engine.store().ok_or("no store")?;
    let witnessed = store.run_background_step(tapelog::BackgroundStep::WriteWatermark);
    same("WATERMARK is written", witnessed, Ok(true))?;
    same("a follower shows", follow(&mut bench, Visibility::Durable)?, (1, Ok(())))?;
    same("a follower of what is written shows", follow(&mut bench, Visibility::Written)?, (4, Ok(())))
}

/// The commit of a durable batch rots: its entries are whole, and nothing says that they are all. They are not shown, and the
/// follower says that something is wrong.
pub(super) fn a_follower_shows_nothing_of_a_batch_that_is_not_whole(oracle: &mut Oracle) -> Result<(), String> {
    let mut bench = Bench::after(oracle, "synced:at-once/1/small,medium,small")?;
    bench.damage_commit(2)?;
    let (shown, end) = follow(&mut bench, Visibility::Durable)?;
    same("a follower shows", shown, 1)?;
    expect_error("a durable batch is not whole", end, |error| matches!(error, EventStoreError::Corrupted(_)))?;
    // Of what is merely written, a batch that is not whole is one that is still being written.
    let mut bench = Bench::after(oracle, "buffered:never/1/small,medium")?;
    bench.damage_commit(2)?;
    same("a follower of what is written shows", follow(&mut bench, Visibility::Written)?, (1, Ok(())))
}
