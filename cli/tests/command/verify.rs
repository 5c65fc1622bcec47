//! 0 is clean, 1 is corrupt, 2 could not run.

use std::path::Path;
use std::process::Stdio;

use crate::support::{Base, Said, command, contents, damage_event, event, tapelog};

fn verify(run: &Path, arguments: &[&str]) -> Said {
    tapelog([&["verify".as_ref(), run.as_os_str()], arguments.iter().map(AsRef::as_ref).collect::<Vec<_>>().as_slice()].concat())
}

#[test]
fn a_clean_run_is_one_line() {
    let base = Base::new();
    let run = base.sealed_run("a", 5);
    let before = contents(&run);
    let said = verify(&run, &[]).expect(0);
    assert_eq!(said.stdout, "clean run_id=a status=Ended high_watermark=5 entries_scanned=5 markers=absent\n");
    assert_eq!(said.stderr, "");
    assert_eq!(contents(&run), before);
}

#[test]
fn a_corrupt_run_has_a_line_for_each_finding() {
    let base = Base::new();
    let run = base.sealed_run("a", 100);
    damage_event(&run, 30);
    damage_event(&run, 60);
    let said = verify(&run, &[]).expect(1);
    let lines = said.lines();
    assert!(
        lines[0].starts_with("corrupt run_id=a status=Ended high_watermark=100 entries_scanned=100 markers=absent findings="),
        "{}",
        lines[0]
    );
    let count: usize = lines[0].rsplit('=').next().unwrap().parse().unwrap();
    assert_eq!(lines.len(), 1 + count);
    for seq in ["seq 30", "seq 60"] {
        assert!(lines[1..].iter().any(|line| line.starts_with("  ") && line.contains(seq)), "{lines:#?}");
    }
}

#[test]
fn the_report_as_json_says_the_same() {
    let base = Base::new();
    let run = base.sealed_run("a", 100);
    let report = verify(&run, &["--json"]).expect(0).json();
    assert_eq!((&report["result"], &report["findings"]), (&"clean".into(), &serde_json::json!([])));
    damage_event(&run, 30);
    let report = verify(&run, &["--json"]).expect(1).json();
    assert_eq!(report["result"], "corrupt");
    assert_eq!(report["run_id"], "a");
    assert_eq!(report["status"], "Ended");
    assert_eq!(report["high_watermark"], 100);
    let findings = report["findings"].as_array().unwrap();
    assert!(findings.iter().any(|finding| finding["kind"] == "HashMismatch" && finding["seq"] == 30), "{findings:#?}");
    assert!(findings.iter().all(|finding| finding["message"].is_string()));
}

#[test]
fn a_run_that_was_left_running_is_judged_and_not_changed() {
    let base = Base::new();
    let run = base.crashed_run("a", 5);
    let before = contents(&run);
    let said = verify(&run, &[]).expect(0).told("nothing proven durable was lost");
    assert_eq!(said.stdout, "clean run_id=a status=Running high_watermark=5 entries_scanned=5 markers=absent\n");
    assert!(verify(&run, &["--json"]).expect(0).json()["recovery"].is_string());
    assert_eq!(contents(&run), before);
}

#[test]
fn damage_in_a_run_that_was_left_running_is_corruption() {
    let base = Base::new();
    let run = base.crashed_run("a", 200);
    damage_event(&run, 50);
    let said = verify(&run, &[]).expect(1);
    assert!(said.stdout.starts_with("corrupt run_id=a status=Running "), "{}", said.stdout);
}

#[test]
fn a_recovery_is_not_foreseen_to_be_clean_where_something_was_found() {
    let base = Base::new();
    let run = base.crashed_run("a", 200);
    // Before the newest witness, where opening the run does not look.
    damage_event(&run, 50);
    let said = verify(&run, &["--json"]).expect(1).told("Quarantined");
    assert!(!said.stderr.contains("clean") && !said.stderr.contains("nothing proven durable was lost"), "{}", said.stderr);
    let report = said.json();
    assert!(report["recovery"].as_str().unwrap().contains("Quarantined"), "{report}");
    // And a recovery says the same.
    let planned = tapelog(["recover", base.str(), "default", "--json"]).expect(1).json();
    assert_eq!(planned["runs"][0]["judged_as"], "Quarantined");
}

#[test]
fn a_run_whose_manifest_and_segments_are_lost_is_corrupt() {
    let base = Base::new();
    let run = base.sealed_run("a", 5);
    std::fs::write(run.join("MANIFEST"), b"nonsense").unwrap();
    std::fs::write(run.join("00000001.seg"), vec![7; 100_000]).unwrap();
    let said = verify(&run, &[]).expect(1);
    assert!(said.stdout.starts_with("corrupt "), "{}", said.stdout);
    assert_eq!(verify(&run, &["--json"]).expect(1).json()["result"], "corrupt");
}

#[test]
fn what_is_no_run_could_not_be_verified() {
    let base = Base::new();
    verify(Path::new("/nowhere/at/all"), &[]).expect(2).told("/nowhere/at/all");
    verify(base.path(), &[]).expect(2).told(base.str());
    let file = base.file("file", "text");
    let said = verify(&file, &["--json"]).expect(2).told("file");
    assert_eq!(said.stdout, "");
}

#[test]
fn the_verdict_does_not_depend_on_who_reads_it() {
    let base = Base::new();
    let run = base.sealed_run("a", 5);
    damage_event(&run, 3);
    let mut child = command(["verify".as_ref(), run.as_os_str()]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_live_run_verifies() {
    let base = Base::new();
    let mut recording = base.record_open(&["--run", "a"]);
    recording.write(event(1));
    base.wait_for_entries("a", 1);
    let said = verify(&base.run("a"), &[]).expect(0);
    assert!(said.stdout.starts_with("clean run_id=a status=Running high_watermark=1 "), "{}", said.stdout);
    recording.end().expect(0);
}
