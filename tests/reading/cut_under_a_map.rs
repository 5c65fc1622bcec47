//! What a map cannot promise: a file that is cut under it ends the process by a signal, and is no error value. This is why
//! runs that are not one's own are read by position, unless maps are asked for.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
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
    let folder = PathBuf::from(given("TAPELOG_TEST_RUN"));
    let store = |read_path: Option<ReadPath>| {
        let builder = SegmentBackend::builder(folder.join("../.."));
        let builder = if let Some(path) = read_path { builder.read_path(path) } else { builder };
        builder.build().unwrap().into_read_only(&folder).unwrap().reader().unwrap()
    };
    let reader = |read_path| RunReader::open_with(&folder, ReaderOptions { visibility: Visibility::Durable, read_path }).unwrap();
    let reader = match given("TAPELOG_TEST_OPENING").as_str() {
        "a reader that maps" => reader(ReadPath::Map),
        "a store that maps" => store(Some(ReadPath::Map)),
        "a reader by position" => reader(ReadPath::Positional),
        "a reader as it is" => RunReader::open(&folder).unwrap(),
        "a reader that leaves the path open" => reader(ReadPath::default()),
        "a store as it is" => store(None),
        "a sealed run" => SegmentBackend::open_sealed(folder.join("../.."), INSTANCE, RUN).unwrap().reader().unwrap(),
        "a sealed file" => SegmentBackend::open_sealed_file(&folder).unwrap().reader().unwrap(),
        other => panic!("{other}"),
    };
    let last = reader.segments()[0].last_seq;
    assert!(reader.entry(last).unwrap().is_some());
    File::options().write(true).open(folder.join("00000001.seg")).unwrap().set_len(4096).unwrap();
    let error = reader.entry(last).unwrap_err();
    say(&error.to_string());
}

fn read_in_a_child(opening: &str) -> (Option<i32>, Vec<String>) {
    let base = tempfile::tempdir().unwrap();
    let mut store = SegmentBackend::builder(base.path()).segment_len(64 << 10).build().unwrap();
    store.open_run(manifest(RUN)).unwrap();
    store.append_batch(&batch(1, 300, 300)).unwrap();
    store.append_batch(&batch(301, 400, 300)).unwrap();
    store.seal(RunStatus::Ended).unwrap();
    let mut command = child_test("reading::cut_under_a_map::reads_a_file_that_is_cut_under_it");
    command.env("TAPELOG_TEST_RUN", base.path().join(INSTANCE).join(RUN)).env("TAPELOG_TEST_OPENING", opening);
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap().lines().filter_map(heard).map(str::to_owned).collect();
    (output.status.signal(), said)
}

#[test]
fn a_file_cut_under_a_map_is_a_signal() {
    for opening in ["a reader that maps", "a store that maps"] {
        assert_eq!(read_in_a_child(opening), (Some(SIGBUS), vec![]), "{opening}");
    }
}

#[test]
fn a_file_cut_under_a_reader_that_asked_for_no_maps_is_an_error() {
    let openings = [
        "a reader by position",
        "a reader as it is",
        "a reader that leaves the path open",
        "a store as it is",
        "a sealed run",
        "a sealed file",
    ];
    for opening in openings {
        let (signal, said) = read_in_a_child(opening);
        assert_eq!(signal, None, "{opening}");
        assert!(said.len() == 1 && said[0].contains("missing"), "{opening}: {said:?}");
    }
}
