//! What a map cannot promise: a file that is cut under it ends the process by a signal, and is no error value. This is why
//! runs that are not one's own are read by position.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;

use tapelog::{EventStore, ReadPath, ReaderOptions, RunReader, RunStatus, SegmentBackend, Visibility};

use crate::support::children::{child_test, given, heard, is_child, say};
use crate::support::entries::{INSTANCE, batch, manifest};

const RUN: &str = "1-00000001";
/// What the operating system sends to who reads a mapped page behind the end of its file.
const SIGBUS: i32 = 7;

/// The child: reads the last entry of a segment that is cut under it.
#[test]
#[ignore = "runs in a child process"]
fn reads_a_file_that_is_cut_under_it() {
    if !is_child() {
        return;
    }
    let read_path = if given("TAPELOG_TEST_READ_PATH") == "map" { ReadPath::Map } else { ReadPath::Positional };
    let folder = given("TAPELOG_TEST_RUN");
    let reader = RunReader::open_with(&folder, ReaderOptions { visibility: Visibility::Durable, read_path }).unwrap();
    let last = reader.segments()[0].last_seq;
    assert!(reader.entry(last).unwrap().is_some());
    File::options().write(true).open(Path::new(&folder).join("00000001.seg")).unwrap().set_len(4096).unwrap();
    let error = reader.entry(last).unwrap_err();
    say(&error.to_string());
}

fn read_in_a_child(read_path: &str) -> (Option<i32>, Vec<String>) {
    let base = tempfile::tempdir().unwrap();
    let mut store = SegmentBackend::builder(base.path()).segment_len(64 << 10).build().unwrap();
    store.open_run(manifest(RUN)).unwrap();
    store.append_batch(&batch(1, 300, 300)).unwrap();
    store.append_batch(&batch(301, 400, 300)).unwrap();
    store.seal(RunStatus::Ended).unwrap();
    let mut command = child_test("reading::cut_under_a_map::reads_a_file_that_is_cut_under_it");
    command.env("TAPELOG_TEST_RUN", base.path().join(INSTANCE).join(RUN)).env("TAPELOG_TEST_READ_PATH", read_path);
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap().lines().filter_map(heard).map(str::to_owned).collect();
    (output.status.signal(), said)
}

#[test]
fn a_file_cut_under_a_map_is_a_signal() {
    assert_eq!(read_in_a_child("map"), (Some(SIGBUS), vec![]));
}

#[test]
fn a_file_cut_under_positional_reads_is_an_error() {
    let (signal, said) = read_in_a_child("positional");
    assert_eq!(signal, None);
    assert!(said.len() == 1 && said[0].contains("missing"), "{said:?}");
}
