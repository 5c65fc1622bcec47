//! Every run is listed, whatever state it is in.

use std::ffi::OsStr;

use serde_json::Value;
use tapelog::{EventStore, RunManifest, RunStatus, SegmentBackend};

use crate::support::{Base, contents, damage_manifest, event, events, make_unknown, tapelog};

fn rows(base: &Base) -> Vec<Value> {
    tapelog(["ls", base.str(), "--json"]).expect(0).json_lines()
}

#[test]
fn a_program_gets_a_row_a_run_with_tabs_between_the_cells() {
    let base = Base::new();
    base.sealed_run("a", 5);
    let said = tapelog(["ls", base.str()]).expect(0);
    let cells: Vec<&str> = said.stdout.trim_end_matches('\n').split('\t').collect();
    let bytes: u64 = contents(&base.run("a")).iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let (start, end) = ("2023-11-14T22:13:20.000000001Z", "2023-11-14T22:13:20.000000005Z");
    assert_eq!(cells, ["default", "a", "Ended", "5", start, end, "4", &bytes.to_string(), "-", "0", "-"]);
}

#[test]
fn json_has_every_field_of_a_run() {
    let base = Base::new();
    base.sealed_run("a", 5);
    let rows = rows(&base);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["instance_id"], "default");
    assert_eq!(rows[0]["run_id"], "a");
    assert_eq!(rows[0]["path"], base.run("a").to_str().unwrap());
    assert_eq!(rows[0]["status"], "Ended");
    assert_eq!(rows[0]["live"], false);
    assert_eq!(rows[0]["entries"], 5);
    assert_eq!(rows[0]["start_ts_init"], 1_700_000_000_000_000_001_u64);
    assert_eq!(rows[0]["end_ts_init"], 1_700_000_000_000_000_005_u64);
    assert_eq!(rows[0]["segments"], 1);
    assert!(rows[0]["parent_run_id"].is_null() && rows[0]["note"].is_null());
}

#[test]
fn the_lineage_of_runs_is_listed() {
    let base = Base::new();
    for (run_id, parent) in [("a", None), ("b", Some("a")), ("c", Some("a"))] {
        let mut store = SegmentBackend::builder(base.path()).segment_len(16 << 10).build().unwrap();
        let manifest = RunManifest::new(run_id, "default");
        store.open_run(RunManifest { parent_run_id: parent.map(str::to_owned), ..manifest }).unwrap();
        store.seal(RunStatus::CrashedRecovered).unwrap();
    }
    let rows = rows(&base);
    let lineage: Vec<_> =
        rows.iter().map(|row| (row["run_id"].as_str(), row["parent_run_id"].as_str(), row["children"].as_u64())).collect();
    assert_eq!(lineage, [(Some("a"), None, Some(2)), (Some("b"), Some("a"), Some(0)), (Some("c"), Some("a"), Some(0))]);
}

#[test]
fn one_instance_can_be_listed() {
    let base = Base::new();
    base.sealed_run("a", 1);
    base.record(event(1), &["--instance", "other", "--run", "b"]).expect(0);
    assert_eq!(rows(&base).len(), 2);
    let said = tapelog(["ls", base.str(), "other"]).expect(0);
    assert!(said.stdout.starts_with("other\tb\t") && said.lines().len() == 1, "{}", said.stdout);
    tapelog(["ls", base.str(), "none"]).expect(2).told("there is no such folder");
    tapelog(["ls", base.str(), "../default"]).expect(2).told("the instance id");
}

#[test]
fn runs_are_listed_by_their_start() {
    let base = Base::new();
    base.record(event(9), &["--run", "a"]).expect(0);
    base.record(event(1), &["--run", "b"]).expect(0);
    let order: Vec<Value> = rows(&base).iter().map(|row| row["run_id"].clone()).collect();
    assert_eq!(order, ["b", "a"]);
}

#[test]
fn a_live_run_is_live_and_a_crashed_one_is_not() {
    let base = Base::new();
    let mut recording = base.record_open(&["--run", "a"]);
    recording.write(event(1));
    base.wait_for_entries("a", 1);
    let row = rows(&base).remove(0);
    assert_eq!((&row["status"], &row["live"], &row["entries"]), (&"Running".into(), &true.into(), &1.into()));
    assert!(tapelog(["ls", base.str()]).expect(0).stdout.contains("\tlive\t1\t"));
    recording.kill();
    let row = rows(&base).remove(0);
    assert_eq!((&row["status"], &row["live"], &row["entries"]), (&"Running".into(), &false.into(), &1.into()));
    assert!(row["note"].as_str().unwrap().contains("tapelog recover"), "{row}");
}

#[test]
fn a_run_that_cannot_be_read_is_listed_with_the_reason() {
    let base = Base::new();
    base.sealed_run("a", 5);
    let broken = base.sealed_run("b", 5);
    std::fs::write(broken.join("MANIFEST"), b"nonsense").unwrap();
    std::fs::write(broken.join("00000001.seg"), vec![7; 100_000]).unwrap();
    let rows = tapelog(["ls", base.str(), "--json"]).expect(1).json_lines();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[1]["run_id"], "b");
    assert!(rows[1]["status"].is_null() && rows[1]["note"].is_string(), "{}", rows[1]);
    assert!(tapelog(["ls", base.str()]).expect(1).stdout.contains("\tunreadable\t"));
}

#[test]
fn what_is_no_run_is_left_out() {
    let base = Base::new();
    base.file("default", "a file with an instance's name");
    std::fs::create_dir_all(base.path().join("instance/empty")).unwrap();
    std::fs::create_dir_all(base.path().join(".hidden/run")).unwrap();
    std::fs::create_dir_all(base.path().join("lost+found")).unwrap();
    let said = tapelog(["ls", base.str()]).expect(0).told("there is no run");
    assert_eq!(said.stdout, "");
}

#[test]
fn a_base_that_is_not_there_or_no_folder_is_told() {
    let base = Base::new();
    tapelog(["ls", "/nowhere/at/all"]).expect(2).told("cannot list /nowhere/at/all");
    let file = base.file("file", "");
    tapelog(["ls".as_ref(), file.as_os_str()]).expect(2).told("cannot list ");
}

#[test]
fn a_run_of_another_version_is_not_corrupt_and_one_whose_manifest_is_damaged_is() {
    let base = Base::new();
    base.sealed_run("a", 5);
    make_unknown(&base.sealed_run("b", 5));
    assert!(tapelog(["ls", base.str()]).expect(2).stdout.contains("has format version 9"));
    // Five batches, of which the last is claimed by the seal alone, and that is lost.
    base.record(events(1..=5), &["--run", "c", "--batch", "1"]).expect(0);
    let damaged = base.run("c");
    damage_manifest(&damaged);
    let rows = tapelog(["ls", base.str(), "--json"]).expect(1).json_lines();
    // The first segment tells what the run is, and how it ended is lost.
    assert_eq!((&rows[1]["run_id"], &rows[1]["status"]), (&"c".into(), &"Running".into()));
    assert_eq!(rows[1]["note"], "acknowledged data is damaged");
    for arguments in [&["cat"][..], &["get", "3"], &["info"]] {
        let path = [damaged.as_os_str()];
        let all = [&[arguments[0].as_ref()], &path[..], &arguments[1..].iter().map(AsRef::as_ref).collect::<Vec<_>>()].concat();
        assert!(!tapelog(all).expect(1).told("acknowledged data damaged").stdout.is_empty(), "{arguments:?}");
    }
    let shown = |arguments: &[&str]| {
        let all = [OsStr::new("cat"), damaged.as_os_str()].into_iter().chain(arguments.iter().map(OsStr::new));
        tapelog(all).expect(1).lines().len()
    };
    assert_eq!((shown(&[]), shown(&["--written"])), (4, 5));
}

#[test]
fn a_folder_that_is_no_base_is_named_for_what_it_is() {
    let base = Base::new();
    base.sealed_run("a", 1);
    let newest = base.sealed_run("b", 1);
    let instance = base.path().join("default");
    tapelog(["ls".as_ref(), instance.as_os_str()]).expect(2).told(&format!("is an instance; `tapelog ls {} default`", base.str()));
    tapelog(["ls".as_ref(), newest.as_os_str()]).expect(2).told("is a run; `tapelog info ");
    for arguments in [&["cat"][..], &["get", "1"], &["info"]] {
        let told = format!("it is an instance, and its newest run is {}", newest.display());
        let all = [&[arguments[0].as_ref(), instance.as_os_str()], &arguments[1..].iter().map(AsRef::as_ref).collect::<Vec<_>>()[..]];
        tapelog(all.concat()).expect(2).told(&told);
    }
    tapelog(["cat", base.str()]).expect(2).told("it holds instances");
}
