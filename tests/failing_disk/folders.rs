//! The folder vanishes, may not be written, or belongs to another writer.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use tapelog::{BackgroundStep, EventStore, EventStoreError, RunStatus, SegmentBackend, recover_predecessors};

use super::bench::{Bench, RUN, assert_refused};
use crate::support::children::{child_test, child_test_after, given, heard, is_child, say};
use crate::support::entries::{INSTANCE, batch, manifest};
use crate::support::log::Recorder;

#[test]
fn a_folder_that_is_moved_away_ends_all_writing_and_takes_what_was_acknowledged_with_it() {
    let bench = Bench::new();
    let mut recorder = bench.recorder();
    recorder.append(&batch(1, 9, 900));
    let away = bench.base().join("away");
    fs::rename(bench.base().join(INSTANCE), &away).unwrap();
    // What is open is still written; the first thing that needs the folder's name finds it gone.
    recorder.append(&batch(10, 10, 10));
    let refused = recorder.store.append_batch(&batch(11, 19, 900));
    assert!(matches!(&refused, Err(EventStoreError::Disk(text)) if text.contains(RUN)), "{refused:?}");
    assert_refused(recorder.store.append_batch(&batch(11, 11, 10)), "the folder is gone");
    assert_refused(recorder.store.seal(RunStatus::Ended), "the folder is gone");
    recorder.log.assert_whole(&recorder.store, 10, &"the folder is gone");
    fs::rename(&away, bench.base().join(INSTANCE)).unwrap();
    bench.assert_latched(recorder, "the folder is back");
}

#[test]
fn a_folder_that_is_removed_is_an_error_and_nothing_else() {
    let bench = Bench::new();
    let mut recorder = Recorder::open(bench.builder().build().unwrap(), manifest(RUN));
    recorder.append(&batch(1, 9, 900));
    fs::remove_dir_all(bench.base().join(INSTANCE)).unwrap();
    let mut refused = Ok(0);
    for _ in 0..10 {
        let next = recorder.store.stats().written + 1;
        refused = recorder.store.append_batch(&batch(next, next + 8, 900));
        if refused.is_err() {
            break;
        }
    }
    assert!(matches!(&refused, Err(EventStoreError::Disk(_))), "{refused:?}");
    let next = recorder.store.stats().written + 1;
    assert_refused(recorder.store.append_batch(&batch(next, next, 1)), "the folder is removed");
    assert!(recorder.store.seal(RunStatus::Ended).is_err());
    // A read of what is gone is an error as well.
    for seq in 1..next {
        assert!(!matches!(recorder.store.scan_seq(seq), Ok(None)), "entry {seq} was acknowledged");
    }
    drop(recorder.store);
    assert!(!bench.folder().exists(), "nothing was made anew");
}

#[test]
fn a_base_that_is_a_file_is_refused_with_its_name() {
    let bench = Bench::new();
    fs::write(bench.base().join(INSTANCE), b"a file").unwrap();
    let refused = bench.by_hand().build().unwrap().open_run(manifest(RUN));
    assert!(matches!(&refused, Err(EventStoreError::Backend(text)) if text.contains(INSTANCE)), "{refused:?}");
    assert_eq!(fs::read(bench.base().join(INSTANCE)).unwrap(), b"a file");
}

/// The child, which is nobody in particular: finds a base that it may not write, and then a run's folder
/// that may not be written any more.
#[test]
#[ignore = "runs in a child process"]
fn works_in_folders_that_may_not_be_written() {
    if !is_child() {
        return;
    }
    let base = Path::new(&given("TAPELOG_TEST_BASE")).to_owned();
    let closed = base.join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(closed.join("probe"), b"").is_ok() {
        return say("may write everywhere");
    }
    let refused = SegmentBackend::new(&closed).open_run(manifest(RUN));
    assert!(matches!(&refused, Err(EventStoreError::Backend(text)) if text.contains("closed") && text.contains("denied")), "{refused:?}");

    let builder = SegmentBackend::builder(&base).segment_len(16 << 10).spares(1).background(tapelog::BackgroundMode::Manual);
    let mut recorder = Recorder::open(builder.build().unwrap(), manifest(RUN));
    recorder.append(&batch(1, 9, 900));
    let folder = base.join(INSTANCE).join(RUN);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o500)).unwrap();
    let refused = recorder.store.append_batch(&batch(10, 19, 900));
    assert!(matches!(&refused, Err(EventStoreError::Disk(text)) if text.contains("denied")), "{refused:?}");
    recorder.append(&batch(10, 10, 10));
    assert!(recorder.store.seal(RunStatus::Ended).is_err(), "a seal needs the folder");
    drop(recorder.store);
    let mut store = SegmentBackend::new(&base);
    assert_eq!(store.open_run(manifest(RUN)), Err(EventStoreError::CrashedPredecessor), "a recovery writes files, and no names");
    recorder.log.assert_whole(&store, 10, &"the folder may not be written");
    assert!(matches!(store.seal(RunStatus::CrashedRecovered), Err(EventStoreError::Backend(text)) if text.contains("denied")));
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    store.seal(RunStatus::CrashedRecovered).unwrap();
    recorder.log.assert_whole(&SegmentBackend::open_sealed(&base, INSTANCE, RUN).unwrap(), 10, &"the folder may be written again");
    say("done");
}

/// Whoever runs the tests as root may write everywhere: the child is somebody else then.
#[test]
fn a_folder_that_may_not_be_written_is_an_error_and_costs_nothing_acknowledged() {
    let base = tempfile::tempdir().unwrap();
    let name = "failing_disk::folders::works_in_folders_that_may_not_be_written";
    let is_root = fs::metadata(base.path()).unwrap().uid() == 0;
    let mut command = if is_root {
        if Command::new("setpriv").arg("--version").output().is_err() {
            eprintln!("skipped: root may write everywhere, and there is no setpriv to be somebody else");
            return;
        }
        fs::set_permissions(base.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let shell = child_test_after("umask 022", name);
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(shell.get_program()).args(shell.get_args());
        command.envs(shell.get_envs().filter_map(|(name, value)| value.map(|value| (name, value))));
        command
    } else {
        child_test(name)
    };
    let output = command.env("TAPELOG_TEST_BASE", base.path()).stdin(Stdio::null()).output().unwrap();
    let said: Vec<_> = String::from_utf8_lossy(&output.stdout).lines().filter_map(heard).map(str::to_owned).collect();
    if !output.status.success() && said.is_empty() && String::from_utf8_lossy(&output.stderr).contains("ermission denied") && is_root {
        eprintln!("skipped: nobody else than root may run the tests here");
        return;
    }
    assert!(output.status.success(), "{output:?}");
    if said == ["may write everywhere"] {
        eprintln!("skipped: the permissions of folders mean nothing to this user");
    } else {
        assert_eq!(said, ["done"], "{output:?}");
    }
}

/// The child: a writer that holds its run until its input ends.
#[test]
#[ignore = "runs in a child process"]
fn writes_until_its_input_ends() {
    if !is_child() {
        return;
    }
    let mut store = SegmentBackend::builder(given("TAPELOG_TEST_BASE")).segment_len(16 << 10).build().unwrap();
    store.open_run(manifest(RUN)).unwrap();
    store.append_batch(&batch(1, 5, 100)).unwrap();
    say("open");
    std::io::stdin().lines().for_each(drop);
    store.append_batch(&batch(6, 7, 100)).unwrap();
}

fn assert_locked(base: &Path) {
    let refused = SegmentBackend::new(base).open_run(manifest(RUN));
    assert!(matches!(&refused, Err(EventStoreError::Locked { path }) if path.ends_with("LOCK")), "{refused:?}");
    let swept = recover_predecessors(base, INSTANCE).unwrap();
    assert_eq!((swept.live, swept.recovered.len(), swept.unreadable.len()), (vec![RUN.to_owned()], 0, 0));
}

#[test]
fn a_second_writer_is_refused_in_another_process() {
    let base = tempfile::tempdir().unwrap();
    let mut command = child_test("failing_disk::folders::writes_until_its_input_ends");
    let command = command.env("TAPELOG_TEST_BASE", base.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| heard(&line) == Some("open")));
    assert_locked(base.path());
    let reader = SegmentBackend::open_read_only(base.path().join(INSTANCE).join(RUN)).unwrap();
    assert!(reader.high_watermark().unwrap() <= 5);
    drop(child.stdin.take());
    assert!(lines.count() > 0);
    assert!(child.wait().unwrap().success(), "the first writer was not disturbed");
    let mut store = SegmentBackend::new(base.path());
    assert_eq!(store.open_run(manifest(RUN)), Err(EventStoreError::CrashedPredecessor));
    assert_eq!(store.high_watermark(), Ok(7));
}

#[test]
fn a_second_writer_is_refused_in_the_same_process() {
    let bench = Bench::new();
    let mut recorder = bench.recorder();
    recorder.append(&batch(1, 3, 100));
    assert_locked(bench.base());
    recorder.append(&batch(4, 5, 100));
    recorder.store.run_background_step(BackgroundStep::WriteWatermark).unwrap();
    drop(recorder.store);
    let mut first = bench.by_hand().build().unwrap();
    assert_eq!(first.open_run(manifest(RUN)), Err(EventStoreError::CrashedPredecessor));
    assert_locked(bench.base());
    first.seal(RunStatus::CrashedRecovered).unwrap();
    recorder.log.assert_whole(&first, 5, &"sealed");
}
