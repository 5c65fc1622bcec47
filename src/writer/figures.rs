//! What a writer tells of itself.

use std::time::Duration;

use super::histogram::Histogram;
use super::sync::{Mutex, lock};

/// Figures of a writer, since it began.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct WriterStats {
    /// Messages that were taken in.
    pub submitted: u64,
    /// Of them, those that are durable.
    pub durable: u64,
    /// Messages that wait to be written, without those that are being written now.
    pub waiting: u64,
    /// The bytes that these take.
    pub waiting_len: u64,
    /// Batches that were written.
    pub batches: u64,
    /// Bytes of batches that were written to the run that is open, as they lie on disk.
    pub run_len: u64,
    /// The entries of a batch.
    pub batch_entries: Histogram,
    /// The bytes of a batch.
    pub batch_len: Histogram,
    /// How long the store took for a batch, in nanoseconds: to write it, and to sync it where appends are durable.
    pub append_nanos: Histogram,
    /// How often a message found no room and waited or was refused.
    pub stalls: u64,
    /// How often an append of the run that is open had to wait for a file that was not prepared yet.
    pub spares_missed: u64,
    /// Runs that the writer has ended to go on in another.
    pub rotations: u64,
}

#[derive(Debug, Default)]
struct Batches {
    count: u64,
    run_len: u64,
    spares_missed: u64,
    rotations: u64,
    entries: Histogram,
    len: Histogram,
    nanos: Histogram,
}

/// What the writer thread counts. It is locked once a batch, and never by a thread that submits.
#[derive(Debug, Default)]
pub(super) struct Figures {
    batches: Mutex<Batches>,
}

impl Figures {
    /// A batch was written.
    pub(super) fn batch(&self, entries: usize, len: u64, took: Duration, spares_missed: u64) {
        let mut batches = lock(&self.batches);
        batches.count += 1;
        batches.run_len += len;
        batches.spares_missed = spares_missed;
        batches.entries.record(entries as u64);
        batches.len.record(len);
        batches.nanos.record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Another run is written from now on.
    pub(super) fn rotated(&self) {
        let mut batches = lock(&self.batches);
        batches.rotations += 1;
        (batches.run_len, batches.spares_missed) = (0, 0);
    }

    /// Bytes that were written to the run that is open.
    pub(super) fn run_len(&self) -> u64 {
        lock(&self.batches).run_len
    }

    /// What was counted, as far as it is counted here.
    pub(super) fn stats(&self) -> WriterStats {
        let batches = lock(&self.batches);
        WriterStats {
            batches: batches.count,
            run_len: batches.run_len,
            spares_missed: batches.spares_missed,
            rotations: batches.rotations,
            batch_entries: batches.entries.clone(),
            batch_len: batches.len.clone(),
            append_nanos: batches.nanos.clone(),
            ..WriterStats::default()
        }
    }
}
