//! The command as whoever calls it sees it: exit codes, and what it refuses.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tapelog_simulation::explore::damage::forged::Forgery;
use tapelog_simulation::explore::damage::injury::FORMS;
use tapelog_simulation::setting::{Operation, Schedule};

fn simulate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simulate"));
    command.env_remove("TAPELOG_SEEDED_BUG");
    command
}

/// Checks that a call is refused: nothing on its output, and an error that says what was expected.
fn check_refused(output: &Output, expected: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), [].as_slice()), "{error}");
    assert!(error.contains(expected), "{error}");
}

#[test]
fn what_cannot_be_played_is_no_finding() {
    for (exploration, case, expected) in [
        ("lifes", "synced:never/1/small", "exhaustive, lives, faults, damage"),
        ("lives", "synced:sometimes/1/small", "synced:never, synced:at-once"),
        ("damage", "synced:never/1/small % killed % flop run-1/MANIFEST", "flip FILE BYTE BIT"),
        ("damage", "synced:never/1/small % killed % garbage run-1/MANIFEST 0 18446744073709551615 3", "garbage ends at byte"),
    ] {
        check_refused(&simulate().args(["replay", exploration, case]).output().unwrap(), expected);
    }
}

#[test]
fn numbers_out_of_bounds_are_refused_before_anything_is_explored() {
    for arguments in [
        ["--jobs", "0", "exhaustive", "--operations", "0"],
        ["--jobs", "257", "exhaustive", "--operations", "0"],
        ["--jobs", "1", "faults", "--one-of", "0"],
        ["damage", "--seeds", "0..1", "--damages", "0"],
        ["damage", "--seeds", "0..1", "--damages", "10001"],
    ] {
        check_refused(&simulate().args(arguments).output().unwrap(), " is not in 1..=");
    }
}

#[test]
fn a_bug_that_cannot_be_switched_on_is_refused_before_anything_is_explored() {
    let refused = simulate().env("TAPELOG_SEEDED_BUG", "no-such-bug").args(["exhaustive", "--operations", "0"]).output().unwrap();
    check_refused(&refused, "TAPELOG_SEEDED_BUG is no-such-bug");
    if cfg!(not(tapelog_seeded_bugs)) {
        check_refused(&simulate().args(["bugs", "--write"]).output().unwrap(), "--cfg tapelog_seeded_bugs");
    }
}

#[test]
fn an_output_that_nobody_gets_is_no_success() {
    for arguments in [["exhaustive", "--operations", "0"], ["replay", "lives", "synced:never/1/small"]] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = simulate().args(arguments).stdout(Stdio::from(full)).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("the output cannot be written"), "{output:?}");
    }
}

#[test]
fn a_row_is_told_as_each_exploration_ends_where_there_is_no_terminal() {
    let output = simulate().args(["--json", "exhaustive", "--operations", "0"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.starts_with("exhaustive (up to 0 operations): 8 of 8 histories"), "{told}");
    assert!(output.status.success() && output.stdout.starts_with(b"{\"rows\":[{\"exploration\":\"exhaustive\""), "{output:?}");
}

/// What `replay` takes is written down where a reader looks for it, and stays so.
#[test]
fn the_document_on_reliability_lists_everything_that_a_case_is_made_of() {
    let document = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../RELIABILITY.md")).unwrap();
    let (_, section) = document.split_once("\n## 8. ").unwrap();
    let schedules = Schedule::ALL.map(|schedule| format!(":{}", schedule.name()));
    let names = Operation::ALL.map(Operation::name).into_iter().chain(Forgery::ALL.map(Forgery::name)).chain(FORMS);
    let faults = ["?eio@N", "?enospc@N", "?short@N"];
    for name in names.chain(faults).chain(schedules.iter().map(String::as_str)).chain(["synced", "buffered", "bounded"]) {
        assert!(section.contains(&format!("`{name}`")), "section 8 lacks {name}");
    }
}
