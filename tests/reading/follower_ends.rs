//! How following a run ends: with its seal, however it was sealed, and not with silence.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tapelog::{
    ChainFollower, Check, EventStore, EventStoreError, FollowOptions, Follower, Progress, RunEnd, RunManifest, RunReader, RunStatus,
    ScanDirection, SegmentBackend, recover_predecessors,
};

use crate::support::entries::{INSTANCE, batch, entry_of, manifest};

const RUN: &str = "1-00000001";
const CHILD: &str = "2-00000002";

fn store(base: &Path) -> SegmentBackend {
    SegmentBackend::builder(base).segment_len(16 << 10).build().unwrap()
}

/// Six batches of one entry each, of which the fourth is damaged, left by a process that ended.
fn left_damaged(base: &Path) -> PathBuf {
    let mut store = store(base);
    store.open_run(manifest(RUN)).unwrap();
    for seq in 1..=6 {
        store.append_batch(&batch(seq, seq, 100)).unwrap();
    }
    let folder = store.current_path().unwrap().to_owned();
    drop(store);
    let segment = folder.join("00000001.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    let payload = entry_of(4, 100).entry.payload;
    let at = bytes.windows(100).position(|window| window == payload.as_ref()).unwrap();
    bytes[at] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    folder
}

/// What a follower shows until it has come to its end, and the manifest that the end tells.
fn followed_to_the_end(follower: &mut Follower) -> (Vec<u64>, Box<RunManifest>) {
    let mut seqs = Vec::new();
    for _ in 0..9 {
        let progress = follower.visit(Duration::ZERO, Check::Full, |view| {
            seqs.push(view.seq());
            ControlFlow::Continue(())
        });
        if let Progress::Ended(RunEnd::Sealed(manifest)) = progress.unwrap() {
            return (seqs, manifest);
        }
    }
    panic!("shown are {seqs:?}, and there is no end")
}

#[test]
fn a_follower_of_a_quarantined_run_comes_to_its_end_at_the_break() {
    let base = tempfile::tempdir().unwrap();
    let folder = left_damaged(base.path());
    let mut before = Follower::open(&folder, FollowOptions::default()).unwrap();
    let recovered = recover_predecessors(base.path(), INSTANCE).unwrap();
    assert_eq!(recovered.recovered[0].status, RunStatus::Quarantined);
    assert!(folder.join("WATERMARK").exists(), "it is evidence, and stays");
    let mut behind = Follower::open(&folder, FollowOptions { from: 6, ..FollowOptions::default() }).unwrap();
    for (follower, expected) in [
        (&mut before, vec![1, 2, 3]),
        (&mut Follower::open(&folder, FollowOptions::default()).unwrap(), vec![1, 2, 3]),
        (&mut behind, vec![]),
    ] {
        let (shown, manifest) = followed_to_the_end(follower);
        assert_eq!((shown, manifest.status, manifest.high_watermark), (expected, RunStatus::Quarantined, 6));
    }
    // What is intact behind the break is read, and not followed.
    let reader = RunReader::open(&folder).unwrap();
    let intact: Vec<_> = reader.entries(.., ScanDirection::Forward).filter_map(Result::ok).map(|entry| entry.seq).collect();
    assert_eq!(intact, [1, 2, 3, 5, 6]);
}

#[test]
fn a_follower_goes_on_in_the_child_of_a_quarantined_run() {
    let base = tempfile::tempdir().unwrap();
    let folder = left_damaged(base.path());
    recover_predecessors(base.path(), INSTANCE).unwrap();
    let mut child = store(base.path());
    child.open_run(RunManifest { parent_run_id: Some(RUN.to_owned()), ..manifest(CHILD) }).unwrap();
    child.append_batch(&batch(1, 2, 100)).unwrap();
    child.seal(RunStatus::Ended).unwrap();
    let mut follower = ChainFollower::open(&folder, FollowOptions::default()).unwrap();
    let (mut shown, mut ends) = (Vec::new(), Vec::new());
    for _ in 0..9 {
        let progress = follower.visit(Duration::ZERO, Check::Full, |run, view| {
            shown.push((run.run_id.clone(), view.seq()));
            ControlFlow::Continue(())
        });
        if let Progress::Ended(RunEnd::Sealed(manifest)) = progress.unwrap() {
            ends.push(manifest.status);
        }
    }
    assert_eq!(shown, [(RUN, 1), (RUN, 2), (RUN, 3), (CHILD, 1), (CHILD, 2)].map(|(run, seq)| (run.to_owned(), seq)));
    assert_eq!(ends, [RunStatus::Quarantined, RunStatus::Ended]);
}

/// Idle says that nothing came yet: that there is no such run any more is an error, and is told at every visit.
fn refused(follower: &mut Follower) -> EventStoreError {
    let mut visit = || follower.visit(Duration::from_millis(20), Check::Full, |_| ControlFlow::Continue(()));
    let error = visit().unwrap_err();
    assert_eq!(visit().unwrap_err(), error);
    error
}

#[test]
fn a_run_that_is_moved_away_or_removed_while_it_is_followed_is_an_error() {
    let base = tempfile::tempdir().unwrap();
    let mut store = store(base.path());
    store.open_run(manifest(RUN)).unwrap();
    store.append_batch(&batch(1, 3, 100)).unwrap();
    let folder = store.current_path().unwrap().to_owned();
    let mut follower = Follower::open(&folder, FollowOptions::default()).unwrap();
    assert_eq!(follower.next_entry(Duration::from_mins(1)).unwrap().map(|entry| entry.seq), Some(1));
    store.append_batch(&batch(4, 60, 900)).unwrap();
    store.seal(RunStatus::Ended).unwrap();
    let elsewhere = base.path().join("elsewhere");
    std::fs::rename(&folder, &elsewhere).unwrap();
    let error = refused(&mut follower);
    assert!(matches!(&error, EventStoreError::Backend(text) if text.contains("is gone") && text.contains(RUN)), "{error}");
    std::fs::rename(&elsewhere, &folder).unwrap();
    let (shown, manifest) = followed_to_the_end(&mut follower);
    assert_eq!((shown.last(), manifest.high_watermark), (Some(&60), 60), "once it is back it goes on");
    std::fs::remove_file(folder.join("MANIFEST")).unwrap();
    let error = refused(&mut follower);
    let EventStoreError::Corrupted(corruption) = &error else { panic!("{error:?}") };
    assert_eq!(corruption.file, Some(folder.join("MANIFEST")));
}

#[test]
fn another_run_in_the_place_of_the_one_that_is_followed_does_not_pass_for_it() {
    for is_sealed in [true, false] {
        let (base, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut first = store(base.path());
        first.open_run(manifest(RUN)).unwrap();
        first.append_batch(&batch(1, 3, 100)).unwrap();
        let folder = first.current_path().unwrap().to_owned();
        drop(first);
        let mut follower = Follower::open(&folder, FollowOptions::default()).unwrap();
        let mut another = store(other.path());
        another.open_run(manifest(RUN)).unwrap();
        another.append_batch(&batch(1, 9, 100)).unwrap();
        let in_its_place = another.current_path().unwrap().to_owned();
        if is_sealed {
            another.seal(RunStatus::CrashedRecovered).unwrap();
        }
        drop(another);
        std::fs::remove_dir_all(&folder).unwrap();
        std::fs::rename(in_its_place, &folder).unwrap();
        let error = refused(&mut follower);
        let EventStoreError::Corrupted(corruption) = &error else { panic!("{error:?}") };
        assert_eq!(corruption.file, Some(folder.join("MANIFEST")), "sealed: {is_sealed}");
    }
}
