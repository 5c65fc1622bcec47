//! One entry comes out whole, found by its number or by a key.

use std::path::Path;

use crate::support::{Base, Said, command, damage_event, tapelog};

fn get(run: &Path, arguments: &[&str]) -> Said {
    tapelog([&["get".as_ref(), run.as_os_str()], arguments.iter().map(AsRef::as_ref).collect::<Vec<_>>().as_slice()].concat())
}

#[test]
fn text_has_a_line_for_each_field() {
    let base = Base::new();
    let run = base.sealed_run("a", 5);
    let said = get(&run, &["3"]).expect(0);
    let names: Vec<&str> = said.stdout.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    let before_the_keys = ["seq", "ts_init", "ts_publish", "topic", "payload_type", "correlation_id", "causation_id"];
    assert_eq!(names, [&before_the_keys[..], &["key", "key", "entry_hash", "payload"]].concat());
    assert!(said.stdout.contains("\nts_init         2023-11-14T22:13:20.000000003Z\n"), "{}", said.stdout);
    assert!(said.stdout.contains("\npayload         {\"mark\":\"event-3-mark\"}\n"), "{}", said.stdout);
    assert!(get(&run, &["3", "--time", "nanos"]).expect(0).stdout.contains("\nts_init         1700000000000000003\n"));
}

#[test]
fn json_is_the_line_that_cat_shows() {
    let base = Base::new();
    let run = base.sealed_run("a", 5);
    let all = tapelog(["cat".as_ref(), run.as_os_str(), "--json".as_ref()]).expect(0);
    for (number, line) in all.lines().iter().enumerate() {
        assert_eq!(get(&run, &[&(number + 1).to_string(), "--json"]).expect(0).lines(), [*line]);
    }
    assert_eq!(get(&run, &["2", "--json", "--json-strings"]).expect(0).json()["ts_init"], "1700000000000000002");
}

#[test]
fn raw_is_the_payload_to_the_byte() {
    let base = Base::new();
    let run = base.sealed_run("a", 2);
    assert_eq!(get(&run, &["2", "--format", "raw"]).expect(0).stdout, "{\"mark\":\"event-2-mark\"}");
}

#[test]
fn a_key_leads_to_the_first_entry_that_brought_it() {
    let base = Base::new();
    let run = base.sealed_run("a", 9);
    assert_eq!(get(&run, &["--key", "venue_order_id=V-3", "--json"]).expect(0).json()["seq"], 6);
    get(&run, &["--key", "venue_order_id=V-9"]).expect(2).told("no entry has the VenueOrderId \"V-9\"");
    get(&run, &["--key", "V-9"]).expect(2).told("expected KIND=VALUE");
    get(&run, &["5", "--key", "venue_order_id=V-3"]).expect(2).told("cannot be used with");
    get(&run, &["--key", "venue_order_id=V-3", "--key", "venue_order_id=V-4"]).expect(2).told("given more than once");
    get(&run, &[]).expect(2).told("required").told("<SEQ|--key <KIND=VALUE>>");
}

#[test]
fn an_entry_that_is_not_there_is_told_with_those_that_are() {
    let base = Base::new();
    let run = base.sealed_run("a", 5);
    for absent in ["0", "6", "18446744073709551615"] {
        let said = get(&run, &[absent]).expect(2).told(&format!("there is no entry {absent}; the run has entries 1 to 5"));
        assert_eq!(said.stdout, "");
    }
    for wrong in ["x", "1.5", "18446744073709551616"] {
        get(&run, &[wrong]).expect(2).told("SEQ");
    }
}

#[test]
fn a_damaged_entry_is_corruption_and_the_one_beside_it_is_shown() {
    let base = Base::new();
    let run = base.sealed_run("a", 100);
    damage_event(&run, 50);
    let said = get(&run, &["50"]).expect(1).told("50");
    assert_eq!(said.stdout, "");
    get(&run, &["51"]).expect(0);
}

#[test]
fn a_run_that_was_left_running_is_looked_into() {
    let base = Base::new();
    let run = base.crashed_run("a", 5);
    assert_eq!(get(&run, &["5", "--json"]).expect(0).json()["seq"], 5);
    assert_eq!(get(&run, &["5", "--json", "--written"]).expect(0).json()["seq"], 5);
    get(base.path(), &["1"]).expect(2).told("there is no run");
}

#[test]
fn a_full_disk_under_the_output_is_told() {
    let base = Base::new();
    let run = base.sealed_run("a", 1);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    assert_eq!(command(["get".as_ref(), run.as_os_str(), "1".as_ref()]).stdout(full).status().unwrap().code(), Some(2));
}
