//! The trait through which entries are written and read.

use crate::error::EventStoreError;
use crate::model::{AppendEntry, EventStoreEntry, IndexKind, RunManifest, RunStatus, ScanDirection, SnapshotAnchor};
use crate::store::encoded_batch::EncodedBatch;

/// A store of the entries of one run at a time.
///
/// Rules that every store keeps:
///
/// - Before [`open_run`](Self::open_run) every other call is [`EventStoreError::Backend`] with a message
///   that contains `no run open`.
/// - Entries are numbered from 1 without gaps. A batch is taken as a whole or not at all, and
///   its index keys belong to it.
/// - The high-watermark covers an entry only once the entry is durable.
/// - A sealed run is read only: what would change it is [`EventStoreError::Closed`].
/// - When a call breaks several rules, the error is that of the first of these: no run open, sealed,
///   not in order, over a limit. A status that no seal accepts comes before sealed.
pub trait EventStore: Send {
    /// Begins a run, or finds one that an earlier process began.
    ///
    /// The manifest is kept with status `Running`, without `end_ts_init` and with a high-watermark of 0,
    /// whatever these were.
    ///
    /// # Errors
    ///
    /// [`EventStoreError::CrashedPredecessor`] when the run is `Running` already. If an earlier process
    /// left it so, it is loaded now and can be read, and has to be sealed. If it is this
    /// store's own, nothing changes. [`EventStoreError::InvalidId`] when an id cannot name a folder.
    /// [`EventStoreError::Backend`] when the run is sealed on disk, and for what no other variant names.
    /// [`EventStoreError::Disk`] and [`EventStoreError::Corrupted`] as their names say.
    fn open_run(&mut self, manifest: RunManifest) -> Result<(), EventStoreError>;

    /// Appends `entries` as one batch and returns the new high-watermark.
    ///
    /// The first entry to bring an index key keeps it. Hashes are stored as they are given. An empty batch
    /// changes nothing and returns the high-watermark as it is.
    ///
    /// # Errors
    ///
    /// [`EventStoreError::OutOfOrder`] with the high-watermark and the first `seq` that is not the one
    /// expected, [`EventStoreError::LimitExceeded`], [`EventStoreError::Closed`],
    /// [`EventStoreError::Disk`], [`EventStoreError::Backend`]. Nothing of the batch is kept then.
    fn append_batch(&mut self, entries: &[AppendEntry]) -> Result<u64, EventStoreError>;

    /// Appends a batch that an entry writer laid out, by the rules of [`append_batch`](Self::append_batch), and returns
    /// the new high-watermark.
    ///
    /// Provided: a store that keeps entries in its own way is given them as values. One that lays them out on disk as
    /// the batch does overrides it.
    ///
    /// # Errors
    ///
    /// Those of `append_batch`.
    fn append_encoded(&mut self, batch: &mut EncodedBatch) -> Result<u64, EventStoreError> {
        self.append_batch(&batch.to_entries())
    }

    /// Makes everything durable that was appended, and returns the high-watermark.
    ///
    /// Provided for stores whose appends are durable when they return. One that syncs later overrides it.
    ///
    /// # Errors
    ///
    /// [`EventStoreError::Disk`] and [`EventStoreError::Backend`] when it could not be made durable, now or earlier.
    fn sync_appended(&mut self) -> Result<u64, EventStoreError> {
        self.high_watermark()
    }

    /// The high-watermark, or the failure since which nothing becomes durable any more.
    ///
    /// Provided for stores whose appends are durable when they return. One that syncs later overrides it, so that
    /// whoever waits for an entry learns that it is waited for in vain.
    ///
    /// # Errors
    ///
    /// Those of [`sync_appended`](Self::sync_appended).
    fn acknowledged(&self) -> Result<u64, EventStoreError> {
        self.high_watermark()
    }

    /// Does ahead of time what opening a run with this manifest needs, as far as it takes long. The run does not exist
    /// by it, and [`open_run`](Self::open_run) is called with the same manifest afterwards.
    ///
    /// Provided: there is nothing to do.
    ///
    /// # Errors
    ///
    /// Those of `open_run`. It can be opened without it all the same.
    fn prepare_run(&mut self, manifest: &RunManifest) -> Result<(), EventStoreError> {
        let _ = manifest;
        Ok(())
    }

    /// The largest batch, in bytes as it lies on disk, that the store takes at its usual cost; larger ones are taken too.
    ///
    /// Provided: there is no such bound.
    fn batch_len_preferred(&self) -> u64 {
        u64::MAX
    }

    /// How often an append had to wait for a file that was not prepared yet; 0 where nothing is prepared.
    fn spares_missed(&self) -> u64 {
        0
    }

    /// The entries from `from` to `to`, both inclusive, in the order of `direction`.
    ///
    /// What lies past the high-watermark is left out. The result is empty when `from` is 0 or greater than `to`.
    ///
    /// # Errors
    ///
    /// [`EventStoreError::HashMismatch`] for an entry that is damaged. [`EventStoreError::Gap`] for one that is
    /// missing; then all from `missing` up to and without `next` are. [`EventStoreError::Corrupted`] for damage
    /// that is not one entry's. [`EventStoreError::Backend`] and [`EventStoreError::Disk`] when it cannot be read.
    fn scan_range(&self, from: u64, to: u64, direction: ScanDirection) -> Result<Vec<EventStoreEntry>, EventStoreError>;

    /// The entry with the number `seq`; none when `seq` is 0 or past the high-watermark.
    ///
    /// # Errors
    ///
    /// Those of [`scan_range`](Self::scan_range).
    fn scan_seq(&self, seq: u64) -> Result<Option<EventStoreEntry>, EventStoreError>;

    /// The entries from `from` to `to`, each as [`scan_seq`](Self::scan_seq) finds it.
    ///
    /// Provided for stores that read many entries faster together than one by one, and that reach each of them
    /// the same way in both cases; such a store overrides it. What verifies a run reads through it.
    ///
    /// # Errors
    ///
    /// The first error of `scan_seq`, and [`EventStoreError::Gap`] where it finds nothing.
    fn scan_slots(&self, from: u64, to: u64) -> Result<Vec<EventStoreEntry>, EventStoreError> {
        let mut entries = Vec::new();
        for seq in from..=to {
            let missing = EventStoreError::Gap { prev: seq.saturating_sub(1), next: seq.saturating_add(1), missing: seq };
            entries.push(self.scan_seq(seq)?.ok_or(missing)?);
        }
        Ok(entries)
    }

    /// The number of the first entry that brought this key.
    ///
    /// # Errors
    ///
    /// [`EventStoreError::Backend`], [`EventStoreError::Disk`] and [`EventStoreError::Corrupted`].
    fn lookup(&self, kind: IndexKind, key: &str) -> Result<Option<u64>, EventStoreError>;

    /// All keys of a kind, each once, with the first entry that brought it. The order is the store's choice.
    ///
    /// # Errors
    ///
    /// Those of [`lookup`](Self::lookup).
    fn iter_index_keys(&self, kind: IndexKind) -> Result<Vec<(String, u64)>, EventStoreError>;

    /// Notes that a snapshot covers the run up to an entry. It takes the place of the anchor before.
    ///
    /// An entry writer takes an error of this for a failure of the store, and halts: over a store that keeps no anchors, none
    /// may be asked for.
    ///
    /// # Errors
    ///
    /// [`EventStoreError::Backend`] when the anchor lies past the high-watermark or before the latest anchor,
    /// or when the store keeps no anchors, as it is unless it overrides this;
    /// [`EventStoreError::Closed`], [`EventStoreError::LimitExceeded`], [`EventStoreError::Disk`].
    fn record_snapshot_anchor(&mut self, anchor: SnapshotAnchor) -> Result<(), EventStoreError> {
        let _ = anchor;
        Err(anchors_not_supported())
    }

    /// The anchor recorded last; none when there is none yet.
    ///
    /// # Errors
    ///
    /// [`EventStoreError::Backend`] when the store keeps no anchors, as it is unless it overrides this, and when
    /// it cannot be read.
    fn latest_snapshot_anchor(&self) -> Result<Option<SnapshotAnchor>, EventStoreError> {
        Err(anchors_not_supported())
    }

    /// Ends the run for good.
    ///
    /// The manifest gets `status`, the high-watermark, and the largest `ts_init` as `end_ts_init` if there is any
    /// entry.
    ///
    /// # Errors
    ///
    /// [`EventStoreError::Backend`] when `status` is `Running`, [`EventStoreError::Closed`] when the run is sealed,
    /// [`EventStoreError::Disk`]. The run is not sealed then.
    fn seal(&mut self, status: RunStatus) -> Result<(), EventStoreError>;

    /// The run's manifest. While the run is open, its high-watermark follows what is appended.
    ///
    /// # Errors
    ///
    /// [`EventStoreError::Backend`] when no run is open.
    fn manifest(&self) -> Result<RunManifest, EventStoreError>;

    /// The number of the last durable entry; 0 when there is none.
    ///
    /// # Errors
    ///
    /// [`EventStoreError::Backend`] when no run is open.
    fn high_watermark(&self) -> Result<u64, EventStoreError>;
}

fn anchors_not_supported() -> EventStoreError {
    EventStoreError::Backend("snapshot anchors are not supported by this store".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store with nothing but what the trait demands: slot 2 of 3 is missing.
    struct Bare;

    impl EventStore for Bare {
        fn open_run(&mut self, _: RunManifest) -> Result<(), EventStoreError> {
            Ok(())
        }

        fn append_batch(&mut self, _: &[AppendEntry]) -> Result<u64, EventStoreError> {
            Ok(0)
        }

        fn scan_range(&self, _: u64, _: u64, _: ScanDirection) -> Result<Vec<EventStoreEntry>, EventStoreError> {
            Ok(Vec::new())
        }

        fn scan_seq(&self, seq: u64) -> Result<Option<EventStoreEntry>, EventStoreError> {
            Ok((seq != 2).then(|| crate::store::fixtures::entry(seq, 10)))
        }

        fn lookup(&self, _: IndexKind, _: &str) -> Result<Option<u64>, EventStoreError> {
            Ok(None)
        }

        fn iter_index_keys(&self, _: IndexKind) -> Result<Vec<(String, u64)>, EventStoreError> {
            Ok(Vec::new())
        }

        fn seal(&mut self, _: RunStatus) -> Result<(), EventStoreError> {
            Ok(())
        }

        fn manifest(&self) -> Result<RunManifest, EventStoreError> {
            Ok(crate::store::fixtures::manifest("run"))
        }

        fn high_watermark(&self) -> Result<u64, EventStoreError> {
            Ok(3)
        }
    }

    #[test]
    fn a_store_that_says_nothing_of_anchors_refuses_them() {
        let refused = |error| matches!(error, EventStoreError::Backend(text) if text.contains("not supported"));
        assert!(refused(Bare.record_snapshot_anchor(SnapshotAnchor::new(0, "blob", "hash")).unwrap_err()));
        assert!(refused(Bare.latest_snapshot_anchor().unwrap_err()));
    }

    #[test]
    fn the_provided_slots_are_those_that_scan_seq_finds() {
        let seqs: Vec<_> = Bare.scan_slots(3, 5).unwrap().iter().map(|entry| entry.seq).collect();
        assert_eq!(seqs, [3, 4, 5]);
    }

    #[test]
    fn a_slot_in_which_scan_seq_finds_nothing_is_a_gap() {
        assert_eq!(Bare.scan_slots(1, 3), Err(EventStoreError::Gap { prev: 1, next: 3, missing: 2 }));
    }
}
