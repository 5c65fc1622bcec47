//! `JSON.md` names every field that the command writes, under the subcommand that writes it.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use tapelog::{EventStore, RunManifest, RunStatus, SegmentBackend, SnapshotAnchor};

use crate::support::{Base, damage_event, event, tapelog};

const DOCUMENT: &str = include_str!("../../JSON.md");

/// The names that stand first in the rows of the tables of the section `## name`.
fn documented(name: &str) -> BTreeSet<String> {
    let section =
        DOCUMENT.split("\n## ").find(|section| section.lines().next() == Some(name)).unwrap_or_else(|| panic!("no section {name}"));
    section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(field, _)| field.to_owned()).collect()
}

/// Every name in `value`, of an object within another with a dot between. What a payload holds is none of ours.
fn names(value: &Value, within: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = if within.is_empty() { name.clone() } else { format!("{within}.{name}") };
                into.insert(name.clone());
                if name != "payload" {
                    names(value, &name, into);
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| names(value, within, into)),
        _ => {}
    }
}

/// Each object is written with fields that are all documented, and all that are documented were seen once.
#[track_caller]
fn assert_documented(section: &str, values: &[Value]) {
    let mut found = BTreeSet::new();
    for value in values {
        names(value, "", &mut found);
    }
    assert_eq!(found, documented(section), "{section}");
}

#[test]
fn the_summary_of_a_recording_is_documented() {
    let base = Base::new();
    let bad = base.record("x\n", &["--json"]).expect(2).json();
    let good = base.record(event(1), &["--json"]).expect(0).json();
    assert_documented("record", &[bad, good]);
}

#[test]
fn the_rows_of_a_listing_are_documented() {
    let base = Base::new();
    base.sealed_run("a", 1);
    assert_documented("ls", &tapelog(["ls", base.str(), "--json"]).expect(0).json_lines());
}

#[test]
fn the_fields_of_an_entry_are_documented() {
    let base = Base::new();
    let headers = r#""correlation_id":"11111111-2222-4333-8444-555555555555","causation_id":"11111111-2222-4333-8444-555555555555""#;
    let lines: String = ["e30=", "gA==", "QQ==", "/w=="]
        .iter()
        .map(|payload| format!(r#"{{"topic":"t","payload_type":"p","payload_base64":"{payload}","ts_init":1,{headers}}}"#) + "\n")
        .collect();
    base.record(lines, &["--run", "a"]).expect(0);
    let run = base.run("a");
    let mut values = Vec::new();
    for form in ["auto", "json", "hex"] {
        values.extend(
            tapelog(["cat".as_ref(), run.as_os_str(), "--json".as_ref(), "--payload".as_ref(), form.as_ref()]).expect(0).json_lines(),
        );
    }
    let keyed = base.sealed_run("b", 1);
    values.extend(tapelog(["cat".as_ref(), keyed.as_os_str(), "--json".as_ref(), "--chain".as_ref()]).expect(0).json_lines());
    assert_documented("cat, get and follow", &values);
}

#[test]
fn what_is_told_of_a_run_is_documented() {
    let base = Base::new();
    let mut store = SegmentBackend::new(base.path());
    store.open_run(RunManifest::new("b", "default")).unwrap();
    store.record_snapshot_anchor(SnapshotAnchor::new(0, "blob", "hash")).unwrap();
    store.seal(RunStatus::Ended).unwrap();
    let values: Vec<Value> = [base.sealed_run("a", 5), base.run("b")]
        .iter()
        .map(|run| {
            let told = tapelog(["info".as_ref(), run.as_os_str(), "--json".as_ref()]).expect(0).json();
            assert_eq!(told["manifest"]["instance_id"], "default");
            assert_eq!(told["path"], run.to_str().unwrap());
            told
        })
        .collect();
    assert_documented("info", &values);
}

/// Puts bytes behind the last whole batch, as a write that was cut off leaves them.
fn tear(run: &Path) {
    let path = run.join("00000001.seg");
    let mut bytes = std::fs::read(&path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap().next_multiple_of(8) + 8;
    bytes[end..end + 100].fill(7);
    std::fs::write(&path, bytes).unwrap();
}

#[test]
fn the_result_of_a_recovery_is_documented() {
    let base = Base::new();
    base.crashed_run("a", 3);
    let damaged = base.crashed_run("b", 300);
    damage_event(&damaged, 50);
    tear(&base.crashed_run("c", 3));
    let judged = tapelog(["recover", base.str(), "default", "--json"]).expect(1).json();
    let sealed = tapelog(["recover", base.str(), "default", "--json", "--apply"]).expect(1).json();
    assert_documented("recover", &[judged, sealed]);
}

#[test]
fn the_report_of_a_verification_is_documented() {
    let base = Base::new();
    let run = base.sealed_run("a", 100);
    damage_event(&run, 30);
    let report = tapelog(["verify".as_ref(), run.as_os_str(), "--json".as_ref()]).expect(1).json();
    let mut found = BTreeSet::new();
    names(&report, "", &mut found);
    let documented = documented("verify");
    // The fields of a finding depend on its kind.
    assert!(found.is_subset(&documented), "{:?}", found.difference(&documented));
    let missing: Vec<&String> = documented.difference(&found).filter(|name| !name.starts_with("findings.")).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_help_of_each_subcommand_names_its_fields() {
    for (subcommand, section) in [
        ("record", "record"),
        ("ls", "ls"),
        ("cat", "cat, get and follow"),
        ("get", "cat, get and follow"),
        ("follow", "cat, get and follow"),
        ("recover", "recover"),
        ("verify", "verify"),
    ] {
        let help = tapelog([subcommand, "--help"]).expect(0).stdout;
        let (_, fields) = help.split_once("\nJSON").unwrap();
        for field in documented(section) {
            let name = field.rsplit('.').next().unwrap();
            assert!(fields.contains(name), "{field} is not in the help of {subcommand}");
        }
    }
}
