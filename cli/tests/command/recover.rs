//! What was left running is judged, and sealed only when asked for.

use crate::support::{Base, contents, damage_event, event, events, tapelog};

#[test]
fn without_apply_nothing_changes() {
    let base = Base::new();
    let run = base.crashed_run("a", 5);
    let before = contents(base.path());
    let said = tapelog(["recover", base.str(), "default"]).expect(0);
    for part in [
        "a: would be sealed as CrashedRecovered",
        "  whole     up to entry 5 (commit ",
        "  proven    up to entry 5 (commit ",
        "nothing proven durable was lost",
        "nothing was changed",
        run.to_str().unwrap(),
    ] {
        assert!(said.stdout.contains(part), "{part:?} is missing: {}", said.stdout);
    }
    assert!(!said.stdout.contains("no data lost"));
    assert_eq!(contents(base.path()), before);
}

#[test]
fn with_apply_the_run_is_sealed_and_a_new_one_can_follow() {
    let base = Base::new();
    let run = base.crashed_run("a", 5);
    let said = tapelog(["recover", base.str(), "default", "--apply"]).expect(0);
    assert!(said.stdout.starts_with("a: sealed as CrashedRecovered\n"), "{}", said.stdout);
    let verified = tapelog(["verify".as_ref(), run.as_os_str()]).expect(0);
    assert_eq!(verified.stdout, "clean run_id=a status=CrashedRecovered high_watermark=5 entries_scanned=5 markers=absent\n");
    let said = tapelog(["recover", base.str(), "default", "--apply"]).expect(0);
    assert_eq!(said.stdout, "no run of default was left running\n");
    base.record(events(6..=9), &["--run", "b"]).expect(0);
}

#[test]
fn json_has_the_verdict_the_end_and_the_proof() {
    let base = Base::new();
    base.crashed_run("a", 5);
    let judged = tapelog(["recover", base.str(), "default", "--json"]).expect(0).json();
    assert_eq!((&judged["instance_id"], &judged["applied"]), (&"default".into(), &false.into()));
    assert!(judged["parent_run_id"].is_null());
    let run = &judged["runs"][0];
    assert_eq!((&run["run_id"], &run["judged_as"], &run["live"]), (&"a".into(), &"CrashedRecovered".into(), &false.into()));
    assert!(run["sealed_as"].is_null() && run["error"].is_null());
    assert_eq!((&run["report"]["end"]["seq"], &run["report"]["proven"]["seq"]), (&5.into(), &5.into()));
    assert!(run["report"]["witness"].is_string() && run["report"]["state"].is_string());
    let applied = tapelog(["recover", base.str(), "default", "--json", "--apply"]).expect(0).json();
    assert_eq!((&applied["applied"], &applied["parent_run_id"]), (&true.into(), &"a".into()));
    assert_eq!(applied["runs"][0]["sealed_as"], "CrashedRecovered");
}

#[test]
fn damage_to_acknowledged_data_is_corruption_and_its_bytes_stay() {
    let base = Base::new();
    let run = base.crashed_run("a", 300);
    damage_event(&run, 100);
    let said = tapelog(["recover", base.str(), "default"]).expect(1);
    for part in ["a: would be sealed as Quarantined", "  breaks    ", "acknowledged data is damaged"] {
        assert!(said.stdout.contains(part), "{part:?} is missing: {}", said.stdout);
    }
    tapelog(["recover", base.str(), "default", "--apply"]).expect(1);
    assert!(tapelog(["verify".as_ref(), run.as_os_str()]).expect(1).stdout.contains("status=Quarantined"));
}

#[test]
fn a_live_run_is_left_alone() {
    let base = Base::new();
    let mut recording = base.record_open(&["--run", "a"]);
    recording.write(event(1));
    base.wait_for_entries("a", 1);
    let said = tapelog(["recover", base.str(), "default"]).expect(0);
    assert!(said.stdout.starts_with("a: is being written; would be left alone\n"), "{}", said.stdout);
    let said = tapelog(["recover", base.str(), "default", "--apply"]).expect(0);
    assert!(said.stdout.starts_with("a: is being written; left alone\n"), "{}", said.stdout);
    recording.write(event(2));
    recording.end().expect(0);
    tapelog(["verify".as_ref(), base.run("a").as_os_str()]).expect(0);
}

#[test]
fn a_run_that_cannot_be_read_does_not_keep_the_others_from_being_sealed() {
    let base = Base::new();
    let broken = base.sealed_run("a", 5);
    std::fs::write(broken.join("MANIFEST"), b"nonsense").unwrap();
    std::fs::write(broken.join("00000001.seg"), vec![7; 100_000]).unwrap();
    base.crashed_run("b", 5);
    let said = tapelog(["recover", base.str(), "default", "--apply"]);
    assert!(matches!(said.code, Some(1 | 2)), "{said:#?}");
    assert!(said.stdout.contains("b: sealed as CrashedRecovered"), "{}", said.stdout);
    assert!(said.stdout.contains("a: could not be sealed"), "{}", said.stdout);
}

#[test]
fn an_instance_that_is_not_there_is_told() {
    let base = Base::new();
    tapelog(["recover", base.str(), "none"]).expect(2).told("there is no such folder");
    tapelog(["recover", base.str(), "../none"]).expect(2).told("the instance id");
    tapelog(["recover", "/nowhere/at/all", "default", "--apply"]).expect(2).told("/nowhere/at/all");
}
