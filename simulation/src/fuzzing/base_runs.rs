//! Valid runs for inputs to change: three segments, two of them full, anchors, indexes and a spare.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tapelog::{BackgroundMode, BackgroundStep, EventStore, RunStatus, SegmentBackend, SegmentBackendBuilder, SnapshotAnchor};

use super::entries::{INSTANCE, batch, manifest};
use super::log::{Log, Recorder};
use crate::disk::SimulatedDisk;

/// The folder of all runs.
pub(super) const BASE: &str = "/base";
/// The run's id.
pub(super) const RUN: &str = "1000-0000000a";

/// A run, and what was given to the store that wrote it.
pub(super) struct BaseRun {
    pub(super) disk: SimulatedDisk,
    pub(super) log: Log,
}

/// The folder of the run.
pub(super) fn folder() -> PathBuf {
    Path::new(BASE).join(INSTANCE).join(RUN)
}

/// A store over a disk, with the smallest segments and without threads.
pub(super) fn builder(disk: &SimulatedDisk) -> SegmentBackendBuilder {
    SegmentBackend::builder(BASE)
        .storage(Arc::new(disk.clone()))
        .segment_len(16 << 10)
        .spares(1)
        .index_spacing(512)
        .background(BackgroundMode::Manual)
}

/// How much of a run WATERMARK proves, and whether it was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    NothingWitnessed,
    PartWitnessed,
    AllWitnessed,
    Sealed,
}

/// The runs: three whose process ended without a word, and one that was sealed.
pub(super) fn base_runs() -> &'static [BaseRun] {
    static RUNS: OnceLock<Vec<BaseRun>> = OnceLock::new();
    RUNS.get_or_init(|| [End::NothingWitnessed, End::PartWitnessed, End::AllWitnessed, End::Sealed].map(record).into())
}

fn record(end: End) -> BaseRun {
    let disk = SimulatedDisk::new(1);
    disk.put(&Path::new(BASE).join("here"), b"");
    let mut recorder = Recorder::open(builder(&disk).build().unwrap(), manifest(RUN));
    recorder.append(&batch(1, 2, 40));
    recorder.anchor(SnapshotAnchor::new(2, "blob-1", "hash-1"));
    recorder.append(&batch(3, 3, 30));
    recorder.append(&batch(4, 4, 11_300));
    recorder.append(&batch(5, 5, 20));
    recorder.append(&batch(6, 7, 30));
    recorder.anchor(SnapshotAnchor::new(7, "blob-2", "hash-2"));
    let witness = [BackgroundStep::WriteWatermark, BackgroundStep::SyncWatermark];
    if end == End::PartWitnessed {
        run_steps(&recorder.store, &witness);
    }
    recorder.append(&batch(8, 8, 5));
    recorder.anchor(SnapshotAnchor::new(7, "blob-3", "hash-3"));
    recorder.append(&batch(9, 9, 60));
    if end == End::AllWitnessed {
        run_steps(&recorder.store, &witness);
    }
    run_steps(&recorder.store, &[BackgroundStep::MakeSpare, BackgroundStep::BuildIndex, BackgroundStep::BuildIndex]);
    if end == End::Sealed {
        recorder.store.seal(RunStatus::Ended).unwrap();
    }
    // The store is still open: what is copied is what a process leaves that is killed now.
    BaseRun { disk: disk.fork(), log: recorder.log.clone() }
}

fn run_steps(store: &SegmentBackend, steps: &[BackgroundStep]) {
    for step in steps {
        assert_eq!(store.run_background_step(*step), Ok(true), "{step:?}");
    }
}
