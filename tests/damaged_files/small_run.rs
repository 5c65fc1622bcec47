//! A run small enough to try every bit of it: three segments, two of them full, anchors, indexes, a spare.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use tapelog::{BackgroundMode, BackgroundStep, EventStore, LogPoint, RunStatus, SegmentBackend, SnapshotAnchor};
use tempfile::TempDir;

use crate::support::entries::{INSTANCE, batch, manifest};
use crate::support::folders::{copy_folder, file_names, memory_dir};
use crate::support::log::{Log, Recorder};

/// The files of the segments that hold entries.
pub const SEGMENTS: [&str; 3] = ["00000001.seg", "00000002.seg", "00000003.seg"];
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
    contents: BTreeMap<String, Vec<u8>>,
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
        assert_eq!((log.last_seq(), log.anchors()), (9, 3));
        let folder = template.path().join(INSTANCE).join(RUN);
        let contents = file_names(&folder).into_iter().map(|name| (name.clone(), fs::read(folder.join(name)).unwrap())).collect();
        Self { template, contents, log, end, witnessed_seq, is_sealed }
    }

    /// Puts the run into a base folder, in the place of whatever run was there, and returns the run's folder.
    pub fn put_into(&self, base: &Path) -> PathBuf {
        let folder = base.join(INSTANCE).join(RUN);
        if !folder.is_dir() {
            copy_folder(&self.folder(), &folder);
            return folder;
        }
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            match (kind.is_dir(), entry.file_name().to_str()) {
                (true, Some("markers")) => {}
                (true, _) => fs::remove_dir_all(entry.path()).unwrap(),
                (false, Some(name)) if kind.is_file() && self.contents.contains_key(name) => {}
                (false, _) => fs::remove_file(entry.path()).unwrap(),
            }
        }
        for (name, bytes) in &self.contents {
            let path = folder.join(name);
            // Most trials leave most files as they are, and to compare is cheaper than to write.
            if fs::read(&path).ok().as_ref() != Some(bytes) {
                fs::write(path, bytes).unwrap();
            }
        }
        folder
    }

    pub fn folder(&self) -> PathBuf {
        self.template.path().join(INSTANCE).join(RUN)
    }

    /// The files that damage can hit.
    pub fn files(&self) -> Vec<String> {
        self.contents.keys().filter(|name| *name != "LOCK").cloned().collect()
    }

    /// The entries in one of the segments, by the segment's number from 1.
    pub fn entries_in(&self, ordinal: usize) -> Vec<u64> {
        [1..=3, 4..=5, 6..=self.log.last_seq()][ordinal - 1].clone().collect()
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        self.contents[name].clone()
    }
}

/// Records nine entries and three anchors over three segments.
fn record(base: &Path, witnessed: Witnessed) -> (Recorder, u64) {
    let builder = SegmentBackend::builder(base).segment_len(SEGMENT_LEN).spares(1).index_spacing(512);
    let store = builder.background(BackgroundMode::Manual).build().unwrap();
    let mut recorder = Recorder::open(store, manifest(RUN));
    recorder.append(&batch(1, 2, 40));
    recorder.anchor(SnapshotAnchor::new(2, "blob-1", "hash-1"));
    recorder.append(&batch(3, 3, 30));
    recorder.append(&batch(4, 4, 11_300));
    recorder.append(&batch(5, 5, 20));
    recorder.append(&batch(6, 7, 30));
    recorder.anchor(SnapshotAnchor::new(7, "blob-2", "hash-2"));
    let mut witnessed_seq = 0;
    if witnessed == Witnessed::Part {
        witnessed_seq = recorder.log.last_seq();
        run_steps(&recorder.store, &[BackgroundStep::WriteWatermark, BackgroundStep::SyncWatermark]);
    }
    recorder.append(&batch(8, 8, 5));
    recorder.anchor(SnapshotAnchor::new(7, "blob-3", "hash-3"));
    recorder.append(&batch(9, 9, 60));
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
