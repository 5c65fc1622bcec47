//! What is shown of the first run and of those behind it, and what becomes of a run that nobody ends.

use std::ffi::OsStr;

use tapelog::{EventStore, RunStatus};

use crate::follow::{Following, append, open};
use crate::support::{Base, event, tapelog};

/// Runs that go on from each other, with so many entries each.
fn runs(base: &Base, runs: &[(&str, Option<&str>, u64)]) {
    for (run_id, parent, count) in runs {
        let mut store = open(base, run_id, *parent);
        (1..=*count).for_each(|number| append(&mut store, &number.to_string()));
        store.seal(RunStatus::Ended).unwrap();
    }
}

fn next_places(following: &mut Following, count: usize) -> Vec<(String, u64)> {
    let place = |entry: serde_json::Value| (entry["run_id"].as_str().unwrap().to_owned(), entry["seq"].as_u64().unwrap());
    (0..count).map(|_| place(following.next())).collect()
}

fn places(run_id: &str, seqs: std::ops::RangeInclusive<u64>) -> Vec<(String, u64)> {
    seqs.map(|seq| (run_id.to_owned(), seq)).collect()
}

#[test]
fn the_first_entry_to_show_is_one_of_the_first_run_and_later_runs_are_shown_from_their_beginning() {
    let base = Base::new();
    runs(&base, &[("1-a", None, 5), ("2-b", Some("1-a"), 5)]);
    let mut following = Following::start(&base.run("1-a"), &["--json", "--from", "4"]);
    assert_eq!(next_places(&mut following, 7), [places("1-a", 4..=5), places("2-b", 1..=5)].concat());
    assert_eq!(following.interrupt().1, Some(0));
    // Of an instance too.
    let mut following = Following::start(&base.path().join("default"), &["--json", "--from", "4"]);
    assert_eq!(next_places(&mut following, 2), places("2-b", 4..=5));
    runs(&base, &[("3-c", None, 3)]);
    assert_eq!(next_places(&mut following, 3), places("3-c", 1..=3));
    assert_eq!(following.interrupt().1, Some(0));
}

#[test]
fn behind_the_last_entry_to_show_or_the_end_of_the_first_run_it_ends() {
    let base = Base::new();
    runs(&base, &[("1-a", None, 5), ("2-b", Some("1-a"), 5)]);
    let run = base.run("1-a");
    for (arguments, shown) in [
        (&["--to", "3"][..], 3),
        (&["--from", "2", "--to", "5"], 4),
        (&["--to", "9"], 5),
        (&["--to", "3", "--topic", "none"], 0),
        (&["-n", "1", "--to", "3"], 0),
    ] {
        let (lines, code, told) = Following::start(&run, &[&["--json"], arguments].concat()).end();
        assert_eq!((lines.len(), code), (shown, Some(0)), "{arguments:?}: {told}");
        assert!(lines.iter().all(|line| line.contains("\"run_id\":\"1-a\"")), "{lines:?}");
    }
    let mut live = open(&base, "3-c", None);
    append(&mut live, "1");
    let mut following = Following::start(&base.run("3-c"), &["--json", "--to", "2"]);
    assert_eq!(following.next_seqs(1), [1]);
    append(&mut live, "2");
    append(&mut live, "3");
    let (rest, code, _) = following.end();
    assert_eq!((rest.len(), code), (1, Some(0)));
}

#[test]
fn a_run_without_entries_is_named_as_any_other() {
    let base = Base::new();
    runs(&base, &[("1-a", None, 5), ("2-b", Some("1-a"), 0), ("3-c", Some("2-b"), 5)]);
    let mut following = Following::start(&base.run("1-a"), &["--json", "--from", "1"]);
    assert_eq!(next_places(&mut following, 10), [places("1-a", 1..=5), places("3-c", 1..=5)].concat());
    std::thread::sleep(std::time::Duration::from_millis(300));
    let (_, _, told) = following.interrupt();
    let expected = [
        "the run 1-a ended as Ended at entry 5",
        "going on in the run 2-b",
        "the run 2-b ended as Ended at entry 0",
        "going on in the run 3-c",
        "the run 3-c ended as Ended at entry 5",
    ];
    assert_eq!(told.lines().collect::<Vec<_>>(), expected.map(|line| format!("tapelog: {line}")), "{told}");
}

#[test]
fn a_run_that_was_left_running_is_passed_over_for_the_next_one_until_it_is_recovered() {
    let base = Base::new();
    base.crashed_run("a", 5);
    let mut following = Following::start(&base.path().join("default"), &["--json", "-n", "all"]);
    assert_eq!(next_places(&mut following, 5), places("a", 1..=5));
    base.record(event(9), &["--run", "b"]).expect(0);
    assert_eq!(next_places(&mut following, 1), places("b", 1..=1));
    tapelog(["recover", base.str(), "default", "--apply"]).expect(0);
    base.record(event(10), &["--run", "c"]).expect(0);
    assert_eq!(next_places(&mut following, 1), places("c", 1..=1));
    let (rest, code, told) = following.interrupt();
    assert_eq!((rest.len(), code), (0, Some(0)), "{told}");
    let place = |line: &str| told.lines().position(|told| told.contains(line)).unwrap_or_else(|| panic!("{line}: {told}"));
    assert!(place("the run a was left running; it is passed over") < place("going on in the run b"), "{told}");
    assert!(place("the run b ended as Ended at entry 1") < place("the run a ended as CrashedRecovered at entry 5"), "{told}");
}

#[test]
fn a_run_that_is_only_slow_is_not_passed_over() {
    let base = Base::new();
    let mut slow = open(&base, "a", None);
    append(&mut slow, "1");
    let mut following = Following::start(&base.path().join("default"), &["--json"]);
    assert_eq!(next_places(&mut following, 1), places("a", 1..=1));
    base.record(event(9), &["--run", "b"]).expect(0);
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    append(&mut slow, "2");
    assert_eq!(next_places(&mut following, 1), places("a", 2..=2));
    slow.seal(RunStatus::Ended).unwrap();
    assert_eq!(next_places(&mut following, 1), places("b", 1..=1));
    assert_eq!(following.interrupt().1, Some(0));
}

#[test]
fn a_run_that_nobody_writes_and_whose_manifest_is_missing_is_as_damaged_as_when_it_is_read_at_once() {
    let base = Base::new();
    let run = base.crashed_run("a", 5);
    std::fs::remove_file(run.join("MANIFEST")).unwrap();
    let read = tapelog([OsStr::new("cat"), run.as_os_str()]).expect(1);
    for arguments in [&["--until-end"][..], &[]] {
        let (lines, code, told) = Following::start(&run, arguments).end();
        assert_eq!((lines, code), (read.stdout.lines().map(str::to_owned).collect(), Some(1)), "{told}");
        assert_eq!(told, read.stderr);
    }
    // Of an instance it is passed over, and not forgotten.
    let mut following = Following::start(&base.path().join("default"), &["--json", "-n", "all"]);
    assert_eq!(next_places(&mut following, 5), places("a", 1..=5));
    base.record(event(9), &["--run", "b"]).expect(0);
    assert_eq!(next_places(&mut following, 1), places("b", 1..=1));
    let (_, code, told) = following.interrupt();
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains(&read.stderr), "{told}");
}
