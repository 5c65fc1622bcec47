//! tapelog with its defaults: every batch is synced before it is acknowledged.

use std::os::unix::fs::FileExt;
use std::path::Path;

use tapelog::{AppendEntry, EventStore, EventStoreError, IndexKind, LogPoint, SegmentBackend};

use crate::Failure;
use crate::entries::{EntrySource, INSTANCE, manifest};
use crate::systems::System;

/// A run that is being written.
#[derive(Debug)]
pub struct Tapelog {
    store: SegmentBackend,
}

impl Tapelog {
    /// Begins a run.
    ///
    /// # Errors
    /// What the store reports.
    pub fn new(folder: &Path) -> Result<Self, Failure> {
        let mut store = SegmentBackend::new(folder.join("tapelog"));
        store.open_run(manifest("1-00000001"))?;
        Ok(Self { store })
    }
}

impl System for Tapelog {
    fn name(&self) -> &'static str {
        "tapelog, Synced"
    }

    fn commit(&mut self, batch: &[AppendEntry]) -> Result<(), Failure> {
        self.store.append_batch(batch)?;
        Ok(())
    }

    fn held(&self) -> Result<Option<u64>, Failure> {
        let keys = IndexKind::ALL.map(|kind| self.store.iter_index_keys(kind).map(|keys| keys.len() as u64));
        let [client, venue] = keys;
        Ok(Some(self.store.high_watermark()?.min(client?).min(venue?)))
    }
}

/// The bytes of one batch of `batch_len` entries as they lie on disk: what the second of two batches adds to a run.
///
/// # Errors
/// What the store or the file system reports.
pub fn sample(folder: &Path, batch_len: usize) -> Result<Vec<u8>, Failure> {
    let base = folder.join("sample");
    let ends = [1, 2].map(|batches| end_of_run(&base, batches, batch_len));
    let [Ok(first), Ok(second)] = ends else {
        let errors: Vec<_> = ends.into_iter().filter_map(Result::err).collect();
        return Err(format!("no sample of a batch could be made: {errors:?}").into());
    };
    let path = SegmentBackend::new(&base).run_path(INSTANCE, "2-00000001").join(format!("{:08}.seg", second.ordinal));
    let mut bytes = vec![0; usize::try_from(second.offset - first.offset)?];
    std::fs::File::open(path)?.read_exact_at(&mut bytes, first.offset)?;
    std::fs::remove_dir_all(&base)?;
    Ok(bytes)
}

/// Where a run ends that has this many batches.
fn end_of_run(base: &Path, batches: usize, batch_len: usize) -> Result<LogPoint, Failure> {
    let manifest = manifest(&format!("{batches}-00000001"));
    let mut entries = EntrySource::default();
    let mut store = SegmentBackend::new(base);
    store.open_run(manifest.clone())?;
    for _ in 0..batches {
        store.append_batch(&entries.batch(batch_len))?;
    }
    drop(store);
    let mut store = SegmentBackend::new(base);
    match store.open_run(manifest) {
        Err(EventStoreError::CrashedPredecessor) => {}
        other => return Err(format!("a run that was left open was opened with {other:?}").into()),
    }
    Ok(store.recovery().ok_or("a recovered run says nothing of its recovery")?.end)
}
