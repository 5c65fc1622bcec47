//! Bytes that are not what was written, with right checksums next to them or with none.

use tapelog::{EventStore, EventStoreError, RecoveredState};

use super::bench::{Bench, expect_error, first_record, flip, same, scan};
use crate::oracle::Oracle;
use crate::second_reader::forge::{Numbers, change_commit_no, change_count, exchange_records, flip_key, flip_payload};

/// The checksum of a header rots and nothing else: the frame might be one of another place.
pub(super) fn a_header_with_another_checksum_is_no_frame(oracle: &mut Oracle) -> Result<(), String> {
    let mut bench = Bench::after(oracle, "synced:never/1/small,small,small")?;
    bench.kill();
    bench.change_batch(2, |bytes, _, batch| flip(bytes, batch.start))?;
    bench.expect(RecoveredState::AcknowledgedDamage, 1).map(|_| ())
}

/// A bit appears in the zeros behind a body, which no checksum covers.
pub(super) fn bytes_behind_a_body_are_noticed(oracle: &mut Oracle) -> Result<(), String> {
    let mut bench = Bench::after(oracle, "synced:never/1/small,medium,small")?;
    bench.kill();
    bench.change_batch(2, |bytes, _, batch| {
        let padded = batch.records.iter().find(|record| record.body.end < record.range.end)?;
        flip(bytes, padded.body.end)
    })?;
    bench.expect(RecoveredState::AcknowledgedDamage, 1).map(|_| ())
}

/// The keys of an entry in a sealed run rot. The entry's hash does not cover them: the checksum of the body does.
pub(super) fn a_body_with_another_checksum_is_not_served(oracle: &mut Oracle) -> Result<(), String> {
    let mut bench = Bench::after(oracle, "synced:never/1/small,small,seal")?;
    bench.kill();
    bench.change_batch(2, |bytes, salt, batch| {
        let checksum = bytes.get(batch.start + 4..batch.start + 8)?.to_vec();
        flip_key(bytes, salt, first_record(batch)?, 5)?;
        // The body fits neither the checksum that was stored nor its header the one that covers it.
        bytes.get_mut(batch.start + 4..batch.start + 8)?.copy_from_slice(&checksum);
        crate::second_reader::forge::repair_header(bytes, salt, batch.start)
    })?;
    let reader = bench.reader()?;
    expect_error("an entry with a damaged body is served", scan(&reader), |error| *error == EventStoreError::HashMismatch { seq: 2 })
}

/// A key is altered and every checksum around it put right: the root of the batch tells.
pub(super) fn keys_that_were_altered_under_right_checksums_are_noticed(oracle: &mut Oracle) -> Result<(), String> {
    let mut bench = Bench::after(oracle, "synced:never/1/small,small,small")?;
    bench.kill();
    bench.change_batch(2, |bytes, salt, batch| flip_key(bytes, salt, first_record(batch)?, 7))?;
    bench.expect(RecoveredState::AcknowledgedDamage, 1).map(|_| ())
}

/// Two entries of a batch change places and numbers: the root of the batch tells.
pub(super) fn records_that_were_exchanged_under_right_checksums_are_noticed(oracle: &mut Oracle) -> Result<(), String> {
    let mut bench = Bench::after(oracle, "synced:never/1/small,medium,small")?;
    bench.kill();
    bench.change_batch(2, |bytes, salt, batch| exchange_records(bytes, salt, batch, 0, 2, Numbers::Contiguous))?;
    bench.expect(RecoveredState::AcknowledgedDamage, 1).map(|_| ())
}

/// The last commit states another number of records, under a root and checksums that fit. No witness tells of it yet.
pub(super) fn a_count_that_does_not_fit_ends_the_log(oracle: &mut Oracle) -> Result<(), String> {
    let mut bench = Bench::after(oracle, "synced:never/1/small,medium")?;
    bench.kill();
    bench.change_batch(2, |bytes, salt, batch| change_count(bytes, salt, batch, 7))?;
    bench.expect(RecoveredState::TornTail, 1).map(|_| ())
}

/// The last commit states a number that skips others, under a root and checksums that fit.
pub(super) fn a_commit_number_that_does_not_follow_ends_the_log(oracle: &mut Oracle) -> Result<(), String> {
    let mut bench = Bench::after(oracle, "synced:never/1/small,medium")?;
    bench.kill();
    bench.change_batch(2, |bytes, salt, batch| change_commit_no(bytes, salt, batch, 7))?;
    bench.expect(RecoveredState::TornTail, 1).map(|_| ())
}

/// A payload is altered and every checksum put right. The root covers the stored hash, so that the batch is accepted:
/// whoever reads the entry computes its hash.
pub(super) fn a_payload_that_is_not_what_its_hash_says_is_not_served(oracle: &mut Oracle) -> Result<(), String> {
    let mut bench = Bench::after(oracle, "synced:never/1/small,small,small")?;
    bench.kill();
    bench.change_batch(2, |bytes, salt, batch| flip_payload(bytes, salt, first_record(batch)?, 9))?;
    let store = bench.expect(RecoveredState::Clean, 3)?;
    expect_error("an altered entry is served", scan(&store), |error| *error == EventStoreError::HashMismatch { seq: 2 })?;
    same("what is before it is served", store.scan_seq(1).map(|entry| entry.is_some()), Ok(true))?;
    same("what is behind it is served", store.scan_seq(3).map(|entry| entry.is_some()), Ok(true))
}
