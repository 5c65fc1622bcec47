//! Readers and followers of a folder in which anything may lie.

use std::ops::ControlFlow;
use std::time::Duration;

use tapelog::{Check, EventStoreEntry, EventStoreError, FollowOptions, Progress, ScanDirection, SegmentBackend, Visibility};

use super::base_runs::folder;

/// How often a follower looks: the second time it tells of damage that it gave the benefit of the doubt before.
const LOOKS: usize = 4;

/// Asks a reader in both directions, past damage: it shows what the store shows, and tells of everything else.
pub(super) fn ask_reader(store: &SegmentBackend, given: &[EventStoreEntry], unreadable: &[u64]) {
    let reader = store.reader().unwrap();
    for direction in [ScanDirection::Forward, ScanDirection::Reverse] {
        let (mut seqs, mut told) = (Vec::new(), 0);
        let visited = reader.visit_intact(
            ..,
            direction,
            Check::Full,
            |view| {
                assert_eq!(view.to_entry().as_ref(), Ok(&given[usize::try_from(view.seq()).unwrap() - 1]));
                seqs.push(view.seq());
                ControlFlow::<()>::Continue(())
            },
            |_| {
                told += 1;
                ControlFlow::Continue(())
            },
        );
        if direction == ScanDirection::Reverse {
            seqs.reverse();
        }
        assert!(seqs.is_sorted_by(|before, next| before < next), "{seqs:?}");
        assert!(told <= unreadable.len(), "{told} times damage was told, of {unreadable:?}");
        if visited.is_ok() {
            let readable: Vec<_> = (1..=reader.high_watermark()).filter(|seq| !unreadable.contains(seq)).collect();
            assert_eq!(seqs, readable, "{direction:?}");
        }
    }
}

/// Follows the run from its first entry: what is shown is a beginning of it, whole and in order. Answers what was refused.
pub(super) fn follow(store: &SegmentBackend, visibility: Visibility, given: Option<&[EventStoreEntry]>) -> Vec<EventStoreError> {
    let options = FollowOptions { visibility, ..FollowOptions::default() };
    let mut follower = match store.follow(folder(), options) {
        Ok(follower) => follower,
        Err(error) => return vec![error],
    };
    let (mut next, mut refused) = (1, Vec::new());
    for _ in 0..LOOKS {
        let progress = follower.visit(Duration::ZERO, Check::Full, |view| {
            assert_eq!(view.seq(), next, "an entry is missing or doubled");
            let entry = view.to_entry().unwrap();
            if let Some(expected) = given.and_then(|given| given.get(usize::try_from(next).unwrap() - 1)) {
                assert_eq!(entry, *expected);
            }
            next += 1;
            ControlFlow::Continue(())
        });
        match progress {
            Ok(Progress::Shown(_) | Progress::Idle) => {}
            Ok(Progress::Ended(_)) => break,
            Err(EventStoreError::HashMismatch { seq }) => assert_eq!(seq, next),
            Err(error) => refused.push(error),
        }
    }
    refused
}
