//! Runs that were left running, with a part of their witnesses lost: nobody who did not ask for it is shown what nothing
//! proves durable, and a reader and a follower show the same.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tapelog::{
    BackgroundMode, Check, EventStore, EventStoreError, FollowOptions, Follower, Progress, ReaderOptions, RecoveredState, RunReader,
    RunStatus, ScanDirection, SegmentBackend, SnapshotAnchor, Verifier, Visibility,
};

use crate::support::entries::{INSTANCE, batch, manifest};
use crate::support::folders::copy_folder;

const RUN: &str = "1-00000001";

/// A run of so many batches with four entries each, in several segments, as another process would find it if this one were
/// killed now. WATERMARK knows of nothing. Behind the last but one batch lies an anchor, and behind the last one too.
fn left_running(base: &Path, batches: u64) -> PathBuf {
    let written = tempfile::tempdir().unwrap();
    let builder = SegmentBackend::builder(written.path()).segment_len(16 << 10).background(BackgroundMode::Manual);
    let mut store = builder.build().unwrap();
    store.open_run(manifest(RUN)).unwrap();
    for number in 1..=batches {
        for step in store.background_steps() {
            if step != tapelog::BackgroundStep::WriteWatermark {
                store.run_background_step(step).unwrap();
            }
        }
        store.append_batch(&batch(number * 4 - 3, number * 4, 500)).unwrap();
    }
    store.record_snapshot_anchor(SnapshotAnchor::new(batches * 4, "blob", "hash")).unwrap();
    let folder = base.join(INSTANCE).join(RUN);
    copy_folder(store.current_path().unwrap(), &folder);
    folder
}

fn follow(folder: &Path, from: u64) -> (Vec<u64>, Option<EventStoreError>) {
    let mut seqs = Vec::new();
    let mut follower = Follower::open(folder, FollowOptions { from, ..FollowOptions::default() }).unwrap();
    loop {
        match follower.visit(Duration::ZERO, Check::Full, |view| {
            seqs.push(view.seq());
            ControlFlow::Continue(())
        }) {
            Ok(Progress::Shown(_)) => {}
            Ok(progress) => {
                assert_eq!(progress, Progress::Idle);
                return (seqs, None);
            }
            Err(error) => return (seqs, Some(error)),
        }
    }
}

/// What every way of reading shows that asked for what is durable.
fn shown(folder: &Path) -> u64 {
    let reader = RunReader::open(folder).unwrap();
    let last = reader.high_watermark();
    assert_eq!(reader.visibility(), Visibility::Durable);
    let entries: Vec<_> = reader.entries(.., ScanDirection::Forward).map(|entry| entry.unwrap().seq).collect();
    assert!(entries.iter().copied().eq(1..=last), "{entries:?}");
    assert_eq!(reader.entry(last + 1).unwrap(), None);
    assert_eq!(reader.recovery().unwrap().proven.seq, last, "what is shown is what is proven");
    let (followed, _) = follow(folder, 1);
    assert_eq!(followed, entries, "a follower shows the same");
    let from = last / 2 + 1;
    assert!(follow(folder, from).0.into_iter().eq(from..=last));
    last
}

fn written(folder: &Path) -> u64 {
    let options = ReaderOptions { visibility: Visibility::Written, ..ReaderOptions::default() };
    let reader = RunReader::open_with(folder, options).unwrap();
    assert_eq!(reader.visibility(), Visibility::Written);
    assert_eq!(SegmentBackend::open_written(folder).unwrap().reader().unwrap().visibility(), Visibility::Written);
    let last = reader.high_watermark();
    assert_eq!(reader.entries(.., ScanDirection::Forward).flatten().count() as u64, last);
    last
}

#[test]
fn the_commits_of_a_run_without_its_watermark_prove_what_stands_before_them() {
    let base = tempfile::tempdir().unwrap();
    let folder = left_running(base.path(), 12);
    for watermark in ["as it was", "lost"] {
        if watermark == "lost" {
            std::fs::remove_file(folder.join("WATERMARK")).unwrap();
        }
        // The commit of the anchor is the last one, and claims all batches.
        assert_eq!((shown(&folder), written(&folder)), (48, 48), "{watermark}");
        assert_eq!(RunReader::open(&folder).unwrap().latest_anchor().unwrap(), None, "nothing claims the anchor");
    }
    assert_eq!(follow(&folder, 1).1, None);
}

#[test]
fn of_a_run_without_its_manifest_no_more_is_shown_than_is_proven() {
    let base = tempfile::tempdir().unwrap();
    let folder = left_running(base.path(), 12);
    let manifest = std::fs::read(folder.join("MANIFEST")).unwrap();
    for found in [None, Some(vec![7; 10]), Some(vec![7; manifest.len() + 10])] {
        match &found {
            None => std::fs::remove_file(folder.join("MANIFEST")).unwrap(),
            Some(bytes) => std::fs::write(folder.join("MANIFEST"), bytes).unwrap(),
        }
        assert_eq!((shown(&folder), written(&folder)), (48, 48));
        let reader = RunReader::open(&folder).unwrap();
        assert_eq!(reader.recovery().unwrap().state, RecoveredState::AcknowledgedDamage);
        assert_eq!(reader.latest_anchor().unwrap(), None, "nothing claims the anchor");
        assert!(Verifier::new(Box::new(SegmentBackend::open_read_only(&folder).unwrap())).verify().unwrap().is_clean());
        // A follower waits for a seal, and tells that it cannot read it; what is proven it has shown before.
        let refused = follow(&folder, 1).1;
        assert_eq!(refused.is_some(), found.is_some_and(|bytes| bytes.len() > manifest.len()), "{refused:?}");
    }
}

#[test]
fn a_single_batch_that_nothing_proves_is_not_shown_whatever_else_is_lost() {
    let base = tempfile::tempdir().unwrap();
    let mut store = SegmentBackend::builder(base.path()).segment_len(64 << 10).build().unwrap();
    store.open_run(manifest(RUN)).unwrap();
    store.append_batch(&batch(1, 15, 100)).unwrap();
    store.seal(RunStatus::Ended).unwrap();
    let folder = store.current_path().unwrap().to_owned();
    drop(store);
    // With the seal everything goes that proves the batch durable: this may be all that a loss of power left.
    std::fs::remove_file(folder.join("MANIFEST")).unwrap();
    assert_eq!((shown(&folder), written(&folder)), (0, 15));
    // Whoever recovers the run decides over it, and shows what it has decided.
    let mut store = SegmentBackend::new(base.path());
    assert_eq!(store.open_run(manifest(RUN)), Err(EventStoreError::CrashedPredecessor));
    assert_eq!(store.high_watermark(), Ok(15));
}
