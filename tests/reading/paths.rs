//! The ways to name a run's folder: it is the same run by each of them, and a folder with another name is refused.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tapelog::{
    ChainFollower, Check, EventStore, EventStoreError, FollowOptions, Follower, Progress, ReadPath, ReaderOptions, RunChain, RunManifest,
    RunReader, RunStatus, SegmentBackend,
};

use crate::support::children::{child_test, heard, is_child, say};
use crate::support::entries::{INSTANCE, batch, manifest};

const PARENT: &str = "1-00000001";
const RUN: &str = "2-00000002";

/// A run of three entries and its child of five.
fn write_runs(base: &Path) -> PathBuf {
    for (run_id, parent, last) in [(PARENT, None, 3), (RUN, Some(PARENT), 5)] {
        let mut store = SegmentBackend::builder(base).segment_len(16 << 10).build().unwrap();
        store.open_run(RunManifest { parent_run_id: parent.map(str::to_owned), ..manifest(run_id) }).unwrap();
        store.append_batch(&batch(1, last, 100)).unwrap();
        store.seal(RunStatus::CrashedRecovered).unwrap();
    }
    base.join(INSTANCE).join(RUN)
}

/// Opens the run in every way there is. Names no file by itself: the path is as it is given.
fn assert_opened(path: &Path) {
    let mapped = ReaderOptions { read_path: ReadPath::Map, ..ReaderOptions::default() };
    let store = || SegmentBackend::new("elsewhere");
    for opened in [
        SegmentBackend::open_read_only(path),
        SegmentBackend::open_written(path),
        SegmentBackend::open_sealed_file(path),
        store().into_read_only(path),
        store().into_written(path),
    ] {
        assert_eq!(opened.unwrap().high_watermark().unwrap(), 5, "{}", path.display());
    }
    assert_eq!(RunReader::open(path).unwrap().high_watermark(), 5);
    assert_eq!(RunReader::open_with(path, mapped).unwrap().high_watermark(), 5);
    assert!(!SegmentBackend::is_live(path).unwrap());
    for mut follower in [Follower::open(path, FollowOptions::default()), store().follow(path, FollowOptions::default())].map(Result::unwrap)
    {
        let shown = follower.visit(Duration::ZERO, Check::Full, |_| std::ops::ControlFlow::Continue(())).unwrap();
        assert_eq!(shown, Progress::Shown(5), "{}", path.display());
    }
    let chain = RunChain::open(path, ReaderOptions::default()).unwrap();
    assert_eq!(chain.entry_count(), 8, "the parent stands beside {}", path.display());
}

#[test]
fn a_run_is_the_same_by_every_name_of_its_folder() {
    let base = tempfile::tempdir().unwrap();
    let folder = write_runs(base.path());
    let link = base.path().join("link");
    std::os::unix::fs::symlink(&folder, &link).unwrap();
    for path in [folder.clone(), folder.join("MANIFEST"), folder.join("markers/.."), folder.join("."), link.clone(), link.join("MANIFEST")]
    {
        assert_opened(&path);
    }
}

#[test]
fn the_children_of_a_run_are_found_beside_its_folder_and_not_beside_a_link_to_it() {
    let base = tempfile::tempdir().unwrap();
    let folder = write_runs(base.path());
    let link = base.path().join("link");
    std::os::unix::fs::symlink(folder.with_file_name(PARENT), &link).unwrap();
    let mut follower = ChainFollower::open(&link, FollowOptions::default()).unwrap();
    let mut runs = Vec::new();
    for _ in 0..4 {
        follower
            .visit(Duration::ZERO, Check::Full, |manifest, view| {
                runs.push((manifest.run_id.clone(), view.seq()));
                std::ops::ControlFlow::Continue(())
            })
            .unwrap();
    }
    assert_eq!(runs.last(), Some(&(RUN.to_owned(), 5)));
}

/// The child: opens the run in whose folder it was started.
#[test]
#[ignore = "runs in a child process"]
fn opens_the_folder_that_it_stands_in() {
    if !is_child() {
        return;
    }
    for path in [".", "MANIFEST", "./MANIFEST", "markers/.."] {
        assert_opened(Path::new(path));
    }
    say("opened");
}

#[test]
fn a_run_can_be_named_from_within_its_folder() {
    let base = tempfile::tempdir().unwrap();
    let folder = write_runs(base.path());
    let mut command = child_test("reading::paths::opens_the_folder_that_it_stands_in");
    let output = command.current_dir(folder).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.lines().filter_map(heard).eq(["opened"]), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_folder_that_was_renamed_is_refused_by_every_name() {
    let base = tempfile::tempdir().unwrap();
    let folder = write_runs(base.path());
    let renamed = folder.with_file_name("3-00000003");
    std::fs::rename(&folder, &renamed).unwrap();
    // A link with the run's own name changes nothing: what the folder is called counts.
    std::os::unix::fs::symlink(&renamed, &folder).unwrap();
    for path in [renamed.clone(), renamed.join("MANIFEST"), folder] {
        let error = RunReader::open(&path).unwrap_err();
        assert!(matches!(&error, EventStoreError::Corrupted(_)), "{error}");
        assert!(error.to_string().contains(r#"expected the manifest of the run "3-00000003""#), "{error}");
    }
}
