//! What the benchmarks stand on: entries, runs, and a folder on the disk.

#![allow(dead_code, reason = "each benchmark uses a part of it")]

pub mod entries;
pub mod no_disk;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tapelog::{Durability, EventStore, EventStoreError, SegmentBackend};
use tempfile::TempDir;

use entries::{EntrySource, manifest};

/// A new folder, removed when it is dropped: under `TAPELOG_BENCH_DIR` if that is set, else beside what cargo builds.
pub fn scratch() -> TempDir {
    let parent = std::env::var_os("TAPELOG_BENCH_DIR").map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    std::fs::create_dir_all(&parent).unwrap();
    tempfile::Builder::new().prefix("tapelog-bench-").tempdir_in(&parent).unwrap()
}

/// Writes a run of this many entries and leaves it open.
pub fn write_run(base: &Path, run_id: &str, entries: u64) -> SegmentBackend {
    let durability = Durability::Buffered { sync_every: Duration::from_millis(50) };
    let mut store = SegmentBackend::builder(base).durability(durability).build().unwrap();
    store.open_run(manifest(run_id)).unwrap();
    let mut source = EntrySource::default();
    for _ in 0..entries.div_ceil(500) {
        store.append_batch(&source.batch(500)).unwrap();
    }
    store.sync().unwrap();
    store
}

/// Opens a run that was left running.
pub fn reopen(base: &Path, run_id: &str) -> SegmentBackend {
    let mut store = SegmentBackend::new(base);
    assert_eq!(store.open_run(manifest(run_id)), Err(EventStoreError::CrashedPredecessor));
    store
}
