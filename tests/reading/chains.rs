//! A run and its ancestors as one history, read and followed.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tapelog::{
    ChainFollower, Check, EventStore, EventStoreError, FollowOptions, IndexKind, Progress, ReaderOptions, RunChain, RunManifest, RunStatus,
    ScanDirection, SegmentBackend, UnixNanos,
};

use crate::support::children::{child_test, given, heard, is_child, say};
use crate::support::entries::{INSTANCE, batch, entry_of, manifest};
use crate::support::folders::copy_folder;

const RUNS: [&str; 3] = ["1-00000001", "2-00000002", "3-00000003"];

fn child_of(run_id: &str, parent: Option<&str>) -> RunManifest {
    RunManifest { parent_run_id: parent.map(str::to_owned), ..manifest(run_id) }
}

fn open(base: &Path, run: usize) -> SegmentBackend {
    let mut store = SegmentBackend::builder(base).segment_len(16 << 10).build().unwrap();
    let parent = run.checked_sub(1).map(|parent| RUNS[parent]);
    store.open_run(child_of(RUNS[run], parent)).unwrap();
    store
}

fn folder(base: &Path, run: usize) -> PathBuf {
    base.join(INSTANCE).join(RUNS[run])
}

/// Three runs, each the child of the one before, with 5, 6 and 7 entries.
fn write_chain(base: &Path) {
    for run in 0..3 {
        let mut store = open(base, run);
        store.append_batch(&batch(1, 5 + run as u64, 100)).unwrap();
        store.seal(RunStatus::CrashedRecovered).unwrap();
    }
}

fn history(chain: &RunChain, direction: ScanDirection) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    chain
        .visit(direction, Check::Full, |run, view| {
            assert_eq!(view.to_entry().unwrap(), entry_of(view.seq(), 100).entry);
            found.push((run.run_id.clone(), view.seq()));
            ControlFlow::<()>::Continue(())
        })
        .unwrap();
    found
}

#[test]
fn a_chain_is_one_history_in_both_directions() {
    let base = tempfile::tempdir().unwrap();
    write_chain(base.path());
    let chain = RunChain::open(folder(base.path(), 2), ReaderOptions::default()).unwrap();
    let expected: Vec<_> = (0..3).flat_map(|run| (1..=5 + run as u64).map(move |seq| (RUNS[run].to_owned(), seq))).collect();
    assert_eq!(history(&chain, ScanDirection::Forward), expected);
    let reverse: Vec<_> = expected.iter().rev().cloned().collect();
    assert_eq!(history(&chain, ScanDirection::Reverse), reverse);
    let owned: Vec<_> =
        chain.entries(ScanDirection::Forward).map(|item| item.map(|(run, entry)| (run.clone(), entry.seq)).unwrap()).collect();
    assert_eq!(owned, expected);
    assert_eq!((chain.entry_count(), chain.missing_parent()), (18, None));
    assert_eq!(chain.runs().iter().map(|run| run.is_bound_to_parent).collect::<Vec<_>>(), [false, true, true]);
    // Every run has the key O-1; the first one had it first.
    let (run, seq) = chain.lookup(IndexKind::ClientOrderId, "O-1").unwrap().unwrap();
    assert_eq!((run.run_id.as_str(), seq), (RUNS[0], 3));
    let (run, seq) = chain.lookup(IndexKind::ClientOrderId, "O-2").unwrap().unwrap();
    assert_eq!((run.run_id.as_str(), seq), (RUNS[1], 6), "the first run has no such key");
    let (run, seq) = chain.first_at_or_after(UnixNanos::from(1_000 + 7 * 7)).unwrap().unwrap();
    assert_eq!((run.run_id.as_str(), seq), (RUNS[2], 7));
    assert_eq!(chain.first_at_or_after(UnixNanos::from(u64::MAX)).unwrap().map(|(_, seq)| seq), None);
}

#[test]
fn a_chain_whose_beginning_was_removed_says_so() {
    let base = tempfile::tempdir().unwrap();
    write_chain(base.path());
    std::fs::remove_dir_all(folder(base.path(), 0)).unwrap();
    let chain = RunChain::open(folder(base.path(), 2), ReaderOptions::default()).unwrap();
    assert_eq!((chain.runs().len(), chain.missing_parent().map(String::as_str)), (2, Some(RUNS[0])));
}

#[test]
fn a_parent_that_is_another_run_under_its_name_is_refused() {
    let base = tempfile::tempdir().unwrap();
    write_chain(base.path());
    let other = tempfile::tempdir().unwrap();
    write_chain(other.path());
    copy_folder(&folder(other.path(), 1), &folder(base.path(), 1));
    let error = RunChain::open(folder(base.path(), 2), ReaderOptions::default()).unwrap_err();
    let EventStoreError::Corrupted(corruption) = &error else { panic!("{error:?}") };
    assert!(corruption.file.as_ref().unwrap().starts_with(folder(base.path(), 1)), "{error}");
    assert!(error.to_string().contains("seal root"), "{error}");
}

#[test]
fn a_run_that_names_itself_as_parent_is_refused() {
    let base = tempfile::tempdir().unwrap();
    let mut store = SegmentBackend::new(base.path());
    store.open_run(child_of(RUNS[0], Some(RUNS[0]))).unwrap();
    store.append_batch(&batch(1, 1, 1)).unwrap();
    drop(store);
    let error = RunChain::open(folder(base.path(), 0), ReaderOptions::default()).unwrap_err();
    assert!(error.to_string().contains("its own ancestor"), "{error}");
}

#[test]
fn a_follower_goes_on_in_the_child() {
    let base = tempfile::tempdir().unwrap();
    let mut store = open(base.path(), 0);
    store.append_batch(&batch(1, 5, 100)).unwrap();
    let mut follower = ChainFollower::open(folder(base.path(), 0), FollowOptions { from: 4, ..FollowOptions::default() }).unwrap();
    let mut found = Vec::new();
    let mut poll = |follower: &mut ChainFollower, wanted: usize| {
        while found.len() < wanted {
            let progress = follower
                .visit(Duration::from_mins(1), Check::Full, |run, view| {
                    found.push((run.run_id.clone(), view.seq()));
                    ControlFlow::Continue(())
                })
                .unwrap();
            assert!(matches!(progress, Progress::Shown(_)), "{progress:?}");
        }
        assert_eq!(found.len(), wanted);
    };
    poll(&mut follower, 2);
    // A run beside it that is no child, and one that goes on from it.
    let mut stranger = SegmentBackend::new(base.path());
    stranger.open_run(manifest("9-00000009")).unwrap();
    store.seal(RunStatus::Ended).unwrap();
    let mut visit = |timeout| follower.visit(Duration::from_millis(timeout), Check::Full, |_, _| ControlFlow::Continue(())).unwrap();
    assert!(matches!(visit(60_000), Progress::Ended(_)), "the end of a run is told once");
    assert_eq!(visit(30), Progress::Idle);
    assert!(follower.ended().is_some());
    let mut child = open(base.path(), 1);
    child.append_batch(&batch(1, 6, 100)).unwrap();
    poll(&mut follower, 8);
    assert!(follower.ended().is_none());
    child.append_batch(&batch(7, 7, 100)).unwrap();
    poll(&mut follower, 9);
    let expected = [(0, 4), (0, 5), (1, 1), (1, 2), (1, 3), (1, 4), (1, 5), (1, 6), (1, 7)].map(|(run, seq)| (RUNS[run].to_owned(), seq));
    assert_eq!(found, expected);
}

/// A sealed run of `last` entries that began at `start_ts_init`.
fn write_run(base: &Path, run_id: &str, parent: Option<&str>, start_ts_init: u64, last: u64) {
    let mut store = SegmentBackend::builder(base).segment_len(16 << 10).build().unwrap();
    store.open_run(RunManifest { start_ts_init: UnixNanos::from(start_ts_init), ..child_of(run_id, parent) }).unwrap();
    store.append_batch(&batch(1, last, 100)).unwrap();
    store.seal(RunStatus::Ended).unwrap();
}

/// What is shown of an instance until nothing comes any more, and how many runs have ended.
fn followed(follower: &mut ChainFollower) -> (Vec<(String, u64)>, usize) {
    let (mut shown, mut ended) = (Vec::new(), 0);
    for _ in 0..20 {
        let progress = follower.visit(Duration::ZERO, Check::Full, |run, view| {
            shown.push((run.run_id.clone(), view.seq()));
            ControlFlow::Continue(())
        });
        match progress.unwrap() {
            Progress::Idle => return (shown, ended),
            Progress::Ended(_) => ended += 1,
            Progress::Shown(_) => {}
        }
    }
    panic!("it goes on for ever: {shown:?}")
}

fn named(entries: &[(&str, u64)]) -> Vec<(String, u64)> {
    entries.iter().map(|(run, seq)| ((*run).to_owned(), *seq)).collect()
}

#[test]
fn runs_that_are_each_others_parents_are_followed_once() {
    let base = tempfile::tempdir().unwrap();
    write_run(base.path(), "1-a", Some("2-b"), 1_000, 3);
    write_run(base.path(), "2-b", Some("1-a"), 1_000, 2);
    let folder = base.path().join(INSTANCE).join("1-a");
    let mut follower = ChainFollower::open(folder, FollowOptions::default()).unwrap();
    assert_eq!(followed(&mut follower), (named(&[("1-a", 1), ("1-a", 2), ("1-a", 3), ("2-b", 1), ("2-b", 2)]), 2));
    // One that goes on from the second is no way back, and is followed.
    write_run(base.path(), "0-c", Some("2-b"), 3_000, 1);
    assert_eq!(followed(&mut follower), (named(&[("0-c", 1)]), 1));
}

#[test]
fn of_several_children_the_one_that_began_first_is_followed() {
    let base = tempfile::tempdir().unwrap();
    write_run(base.path(), "5-a", None, 1_000, 1);
    write_run(base.path(), "1-later", Some("5-a"), 3_000, 1);
    write_run(base.path(), "7-z", Some("5-a"), 2_000, 1);
    write_run(base.path(), "7-b", Some("5-a"), 2_000, 1);
    let mut follower = ChainFollower::open(base.path().join(INSTANCE).join("5-a"), FollowOptions::default()).unwrap();
    assert_eq!(followed(&mut follower), (named(&[("5-a", 1), ("7-b", 1)]), 2));
}

/// The child: follows a run by its name alone, and goes elsewhere in the middle of it.
#[test]
#[ignore = "runs in a child process"]
fn follows_a_run_by_its_name_alone() {
    if !is_child() {
        return;
    }
    std::env::set_current_dir(given("TAPELOG_TEST_INSTANCE")).unwrap();
    let mut follower = ChainFollower::open("1-a", FollowOptions::default()).unwrap();
    std::env::set_current_dir("/").unwrap();
    for (run, seq) in followed(&mut follower).0 {
        say(&format!("{run}:{seq}"));
    }
}

#[test]
fn a_run_that_is_followed_by_its_name_alone_leads_to_its_child() {
    let base = tempfile::tempdir().unwrap();
    write_run(base.path(), "1-a", None, 1_000, 2);
    write_run(base.path(), "2-b", Some("1-a"), 2_000, 1);
    let mut command = child_test("reading::chains::follows_a_run_by_its_name_alone");
    let output = command.env("TAPELOG_TEST_INSTANCE", base.path().join(INSTANCE)).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.lines().filter_map(heard).collect::<Vec<_>>(), ["1-a:1", "1-a:2", "2-b:1"]);
}

/// The child, in which nobody else opens files: says how many are open while a long chain is read and searched.
#[test]
#[ignore = "runs in a child process"]
fn reads_a_long_chain() {
    if !is_child() {
        return;
    }
    let open_files = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let chain = RunChain::open(given("TAPELOG_TEST_RUN"), ReaderOptions::default()).unwrap();
    let before = open_files();
    let mut most = 0;
    for item in chain.entries(ScanDirection::Forward).chain(chain.entries(ScanDirection::Reverse)) {
        item.unwrap();
        most = most.max(open_files());
    }
    for number in 1..=40 {
        let found = chain.first_at_or_after(UnixNanos::from(10_000 * number)).unwrap().unwrap();
        assert_eq!((found.0.run_id.clone(), found.1), (format!("{number}-a"), 1));
        assert!(found.0.reader.entry(1).unwrap().is_some());
        most = most.max(open_files());
    }
    assert!(chain.lookup(IndexKind::ClientOrderId, "nobody's").unwrap().is_none());
    say(&format!("{} {}", most - before, open_files() - before));
}

#[test]
fn the_files_of_one_run_of_a_long_chain_are_open_at_a_time() {
    let base = tempfile::tempdir().unwrap();
    for number in 1..=40_u64 {
        let mut store = SegmentBackend::builder(base.path()).segment_len(16 << 10).build().unwrap();
        let parent = (number > 1).then(|| format!("{}-a", number - 1));
        store.open_run(child_of(&format!("{number}-a"), parent.as_deref())).unwrap();
        let mut entries = batch(1, 40, 900);
        for append in &mut entries {
            append.entry.ts_init = UnixNanos::from(10_000 * number);
            append.entry.entry_hash = append.entry.recompute_hash();
        }
        for batch in entries.chunks(8) {
            store.append_batch(batch).unwrap();
        }
        store.seal(RunStatus::Ended).unwrap();
    }
    let mut command = child_test("reading::chains::reads_a_long_chain");
    let run = base.path().join(INSTANCE).join("40-a");
    let output = command.env("TAPELOG_TEST_RUN", run).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let counts: Vec<_> = said.lines().find_map(heard).unwrap().split(' ').map(|count| count.parse::<usize>().unwrap()).collect();
    // A run has three segments or four, and the next one is opened before the last one that was found is closed.
    assert!(counts[0] <= 10 && counts[1] == 0, "{counts:?}");
}
