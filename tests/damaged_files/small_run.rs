//! A run small enough to try every bit of it: three segments, two of them full, anchors, indexes, a spare.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use tapelog::{BackgroundMode, BackgroundStep, EventStore, LogPoint, RunStatus, SegmentBackend, SnapshotAnchor};
use tempfile::TempDir;

use crate::support::entries::{INSTANCE, batch, manifest};
use crate::support::folders::{copy_folder, file_names, memory_dir};
use crate::support::log::{Log, Recorder};

pub const RUN: &str = "1000-0000000a";
/// The length of a segment, the smallest there is.
pub const SEGMENT_LEN: u64 = 16 << 10;

/// How much of a run WATERMARK proves to have been durable when the process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witnessed {
    All,
    /// The first two batches of the last segment, and not the rest.
    Part,
    Nothing,
}

/// The files of a run, and what was given to the store that wrote them.
pub struct SmallRun {
    template: TempDir,
    pub log: Log,
    /// The end of the log.
    pub end: LogPoint,
    /// The last entry that WATERMARK proves.
    pub witnessed_seq: u64,
    pub is_sealed: bool,
}

impl SmallRun {
    /// A run whose process ended without a word.
    pub fn crashed(witnessed: Witnessed) -> Self {
        let aside = memory_dir();
        let (recorder, witnessed_seq) = record(aside.path(), witnessed);
        let folder = recorder.store.current_path().unwrap();
        // The store is still open: what is copied is what a process leaves that is killed now.
        Self::of(folder, recorder.log.clone(), witnessed_seq, false)
    }

    /// A run that was sealed.
    pub fn sealed() -> Self {
        let aside = memory_dir();
        let (mut recorder, _) = record(aside.path(), Witnessed::All);
        recorder.store.seal(RunStatus::Ended).unwrap();
        let folder = recorder.store.current_path().unwrap();
        let last_seq = recorder.log.last_seq();
        Self::of(folder, recorder.log.clone(), last_seq, true)
    }

    fn of(folder: &Path, log: Log, witnessed_seq: u64, is_sealed: bool) -> Self {
        let template = memory_dir();
        copy_folder(folder, &template.path().join(INSTANCE).join(RUN));
        let store = SegmentBackend::open_written(template.path().join(INSTANCE).join(RUN)).unwrap();
        let end = store.recovery().unwrap().end;
        assert_eq!((end.ordinal, end.seq), (3, log.last_seq()), "the run has its three segments");
        Self { template, log, end, witnessed_seq, is_sealed }
    }

    /// Puts the run into a base folder, in the place of whatever was there, and returns the run's folder.
    pub fn put_into(&self, base: &Path) -> PathBuf {
        copy_folder(self.template.path(), base);
        base.join(INSTANCE).join(RUN)
    }

    pub fn folder(&self) -> PathBuf {
        self.template.path().join(INSTANCE).join(RUN)
    }

    /// The files that damage can hit.
    pub fn files(&self) -> Vec<String> {
        file_names(&self.folder()).into_iter().filter(|name| name != "LOCK").collect()
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder().join(name)).unwrap()
    }
}

/// Records 15 entries and three anchors over three segments.
fn record(base: &Path, witnessed: Witnessed) -> (Recorder, u64) {
    let builder = SegmentBackend::builder(base).segment_len(SEGMENT_LEN).spares(1).index_spacing(512);
    let store = builder.background(BackgroundMode::Manual).build().unwrap();
    let mut recorder = Recorder::open(store, manifest(RUN));
    recorder.append(&batch(1, 3, 40));
    recorder.anchor(SnapshotAnchor::new(2, "blob-1", "hash-1"));
    recorder.append(&batch(4, 5, 30));
    recorder.append(&batch(6, 6, 10_900));
    recorder.append(&batch(7, 7, 20));
    recorder.append(&batch(8, 10, 30));
    recorder.anchor(SnapshotAnchor::new(10, "blob-2", "hash-2"));
    let mut witnessed_seq = 0;
    if witnessed == Witnessed::Part {
        witnessed_seq = recorder.log.last_seq();
        run_steps(&recorder.store, &[BackgroundStep::WriteWatermark, BackgroundStep::SyncWatermark]);
    }
    recorder.append(&batch(11, 11, 50));
    recorder.append(&batch(12, 14, 10));
    recorder.anchor(SnapshotAnchor::new(12, "blob-3", "hash-3"));
    recorder.append(&batch(15, 15, 60));
    if witnessed == Witnessed::All {
        witnessed_seq = recorder.log.last_seq();
        run_steps(&recorder.store, &[BackgroundStep::WriteWatermark, BackgroundStep::SyncWatermark]);
    }
    run_steps(&recorder.store, &[BackgroundStep::MakeSpare, BackgroundStep::BuildIndex, BackgroundStep::BuildIndex]);
    (recorder, witnessed_seq)
}

fn run_steps(store: &SegmentBackend, steps: &[BackgroundStep]) {
    for step in steps {
        assert_eq!(store.run_background_step(*step), Ok(true), "{step:?}");
    }
}

/// The runs of bytes in a file that are not zero, with gaps of up to 16 zeros taken in.
pub fn written_ranges(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for at in (0..bytes.len()).filter(|at| bytes[*at] != 0) {
        match ranges.last_mut() {
            Some(last) if at - last.end <= 16 => last.end = at + 1,
            _ => ranges.push(at..at + 1),
        }
    }
    ranges
}
