//! How following a run ends: with its seal, however it was sealed, and not with silence.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tapelog::{
    ChainFollower, Check, EventStore, FollowOptions, Follower, Progress, RunEnd, RunManifest, RunReader, RunStatus,
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
    let intact: Vec<_> = reader.entries(.., ScanDirection::Forward).filter_map(|item| item.ok()).map(|entry| entry.seq).collect();
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
