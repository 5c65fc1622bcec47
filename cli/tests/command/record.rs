//! Lines become a run that is durable and sealed; whatever is wrong with a line or an argument is told.

use std::process::Stdio;

use crate::support::{Base, SAMPLE, SAMPLE_ENTRIES, SEGMENT_LEN, Said, command, contents, damage_event, event, events, tapelog};

fn verify(base: &Base, run_id: &str) -> Said {
    tapelog(["verify".as_ref(), base.run(run_id).as_os_str()])
}

fn entries(base: &Base, run_id: &str) -> u64 {
    let said = tapelog(["verify".as_ref(), "--json".as_ref(), base.run(run_id).as_os_str()]).expect(0);
    said.json()["entries_scanned"].as_u64().unwrap()
}

fn is_empty(base: &Base) -> bool {
    !base.path().join("default").exists()
}

#[test]
fn the_sample_is_recorded_and_verifies() {
    let base = Base::new();
    let said = tapelog(["record", SAMPLE, "--base", base.str(), "--run", "sample", "--segment-len", SEGMENT_LEN]).expect(0);
    for part in ["run      sample of default", "entries  3,984 in 16 batches", "commit   p50 ", "p99 ", "max ", "entries/s", "Ended"] {
        assert!(said.stdout.contains(part), "{part:?} is missing: {}", said.stdout);
    }
    assert_eq!(said.stderr, "");
    let line = verify(&base, "sample").expect(0).stdout;
    assert_eq!(line, "clean run_id=sample status=Ended high_watermark=3984 entries_scanned=3984 markers=absent\n");
}

#[test]
fn the_summary_as_json_has_every_figure() {
    let base = Base::new();
    let said = tapelog(["record", SAMPLE, "--base", base.str(), "--instance", "trader", "--json", "--batch", "1000"]).expect(0);
    let summary = said.json();
    assert_eq!(summary["instance_id"], "trader");
    assert_eq!(summary["end"], "input-ended");
    assert_eq!(summary["entries"], SAMPLE_ENTRIES);
    assert_eq!(summary["batches"], 4);
    assert_eq!(summary["input_bytes"], std::fs::metadata(SAMPLE).unwrap().len());
    assert_eq!(summary["bad_lines"], 0);
    assert!(summary["first_bad_line"].is_null());
    let figure = |name: &str| summary[name].as_f64().unwrap();
    assert!(figure("payload_bytes") > 100_000.0 && figure("run_bytes") > figure("payload_bytes"));
    assert!(figure("seconds") > 0.0 && figure("entries_per_second") > 0.0);
    let latency = |name: &str| summary["commit_latency_ns"][name].as_u64().unwrap();
    assert!(0 < latency("p50") && latency("p50") <= latency("p99") && latency("p99") <= latency("max"));
    // The default id is the first event's time and eight digits.
    let run_id = summary["run_id"].as_str().unwrap();
    assert!(run_id.starts_with("1767623400019001070-") && run_id.len() == 28, "{run_id}");
    assert!(summary["path"].as_str().unwrap().ends_with(&format!("trader/{run_id}")));
    assert!(std::path::Path::new(summary["path"].as_str().unwrap()).is_dir());
}

#[test]
fn the_standard_input_is_read_by_default_and_by_a_hyphen() {
    let base = Base::new();
    base.record(events(1..=3), &["--run", "a"]).expect(0);
    base.record(events(1..=3), &["--run", "b", "-"]).expect(0);
    assert_eq!((entries(&base, "a"), entries(&base, "b")), (3, 3));
}

#[test]
fn a_batch_holds_no_more_than_asked_for() {
    let base = Base::new();
    let path = base.file("lines", events(1..=10));
    let said = tapelog(["record", path.to_str().unwrap(), "--base", base.str(), "--batch", "4", "--json"]).expect(0);
    assert_eq!(said.json()["batches"], 3);
    for batch in ["0", "65537", "-1", "x", "1.5"] {
        base.record(event(1), &[&format!("--batch={batch}")]).expect(2).told("--batch");
    }
}

#[test]
fn every_durability_ends_with_everything_durable() {
    let base = Base::new();
    for (run_id, how) in [("a", "synced"), ("b", "buffered"), ("c", "buffered=1ms"), ("d", "buffered=250us")] {
        base.record(events(1..=300), &["--run", run_id, "--durability", how, "--batch", "7"]).expect(0);
        assert_eq!(entries(&base, run_id), 300);
    }
    for how in ["", "none", "buffered=", "buffered=1h", "synced=1ms"] {
        base.record(event(1), &["--durability", how]).expect(2).told("--durability");
    }
}

#[test]
fn options_out_of_their_bounds_are_refused_and_leave_nothing_behind() {
    let base = Base::new();
    base.record(event(1), &["--segment-len", "5000"]).expect(2);
    base.record(event(1), &["--segment-len", "20481"]).expect(2).told("multiple of 4096");
    base.record(event(1), &["--durability", "buffered=61s"]).expect(2).told("the limit is");
    base.record(event(1), &["--durability", "buffered=1us"]).expect(2).told("must be at least");
    assert!(is_empty(&base));
}

#[test]
fn a_bad_line_stops_and_what_was_read_before_it_is_durable() {
    for bad_line in [2, 150, 300] {
        let base = Base::new();
        let lines: String = (1..=300).map(|number| if number == bad_line { "nonsense\n".to_owned() } else { event(number) }).collect();
        let said = base.record(&lines, &["--run", "a", "--json"]).expect(2);
        assert_eq!(said.stderr, format!("tapelog: -: line {bad_line}: expected a JSON object, found nonsense\n"));
        let summary = said.json();
        assert_eq!(summary["end"], "bad-line");
        assert_eq!(summary["entries"], bad_line - 1);
        assert_eq!(summary["first_bad_line"]["line"], bad_line);
        assert_eq!(entries(&base, "a"), bad_line - 1);
        assert!(verify(&base, "a").expect(0).stdout.contains("status=Ended"));
    }
}

#[test]
fn a_bad_first_line_leaves_no_run_behind() {
    let base = Base::new();
    let said = base.record("{}\n", &["--json"]).expect(2).told("line 1: topic: the field is missing");
    assert!(said.json()["run_id"].is_null());
    assert!(is_empty(&base));
}

#[test]
fn a_bad_line_names_its_field() {
    let base = Base::new();
    let good = event(1);
    for (from, to, told) in [
        ("1700000000000000001", "-5", "line 1: ts_init: expected whole nanoseconds"),
        ("1700000000000000001", "\"2023-02-30T00:00:00Z\"", "line 1: ts_init: 2023-02-30T00:00:00Z is not an RFC 3339 time"),
        ("\"V-0\"", "17", "line 1: venue_order_id: expected a string, found 17"),
        ("\"venue_order_id\"", "\"venue_oder_id\"", "line 1: unknown field `venue_oder_id`"),
        ("\"payload\"", "\"payload_base64\"", "line 1: payload_base64: expected a string"),
    ] {
        let line = good.replace(from, to);
        assert_ne!(line, good);
        base.record(&line, &[]).expect(2).told(told);
    }
    let said = base.record(good.replace("venue_order_id", &"x".repeat(1 << 20)), &[]).expect(2).told("unknown field `xxx");
    assert!(said.stderr.len() < 1000, "{} bytes are told", said.stderr.len());
    base.record(b"{\"topic\":\"\xFF\"}\n", &[]).expect(2).told("line 1: not UTF-8 from byte 11 on");
    base.record("\u{1b}[31mred\n", &[]).expect(2).told("found \\u{1b}[31mred");
    assert!(is_empty(&base));
}

#[test]
fn bad_lines_can_be_skipped_and_are_all_told() {
    let base = Base::new();
    let lines = format!("bad\n{}\n{{}}\n{}[]\n", event(1), event(2));
    let said = base.record(&lines, &["--run", "a", "--on-error", "skip", "--json"]).expect(0);
    let told: Vec<&str> = said.stderr.lines().map(|line| line.split(": ").nth(2).unwrap()).collect();
    assert_eq!(told, ["line 1", "line 4", "line 6"]);
    assert_eq!(said.json()["bad_lines"], 3);
    assert_eq!(said.json()["end"], "input-ended");
    assert_eq!(entries(&base, "a"), 2);
    base.record(&lines, &["--on-error", "ignore"]).expect(2).told("--on-error");
}

#[test]
fn a_line_over_the_limit_is_told_and_the_next_one_is_recorded() {
    let base = Base::new();
    let mut lines = vec![b'x'; 33 << 20];
    lines.push(b'\n');
    lines.extend(event(1).bytes());
    base.record(&lines, &["--run", "a", "--on-error", "skip"])
        .expect(0)
        .told("line 1: 34603008 bytes, and the limit of a line is 33554432");
    assert_eq!(entries(&base, "a"), 1);
}

#[test]
fn an_input_without_events_makes_no_run() {
    let base = Base::new();
    for lines in ["", "\n", " \n\t\n\r\n"] {
        let said = base.record(lines, &[]).expect(0);
        assert!(said.stdout.starts_with("no event was read"), "{}", said.stdout);
    }
    assert!(is_empty(&base));
}

#[test]
fn an_event_before_the_start_is_refused_unless_the_start_is_given() {
    let base = Base::new();
    let lines = event(2) + &event(1);
    base.record(&lines, &["--run", "a"]).expect(2).told("line 2: ts_init: 1700000000000000001 lies before the run's start");
    base.record(&lines, &["--run", "b", "--start", "1700000000000000000"]).expect(0);
    base.record(&lines, &["--run", "c", "--start", "2023-11-14T22:13:20Z"]).expect(0);
    base.record(&lines, &["--start", "2023-13"]).expect(2).told("--start");
    for run_id in ["a", "b", "c"] {
        verify(&base, run_id).expect(0);
    }
}

#[test]
fn payloads_are_kept_to_the_byte() {
    let base = Base::new();
    let line = |payload: &str| format!("{{\"topic\":\"t\",\"payload_type\":\"p\",\"ts_init\":1,{payload}}}\n");
    let lines = [
        line("\"payload\": { \"b\": 1.10, \"a\": 12345678901234567890123, \"a\": [ ] }"),
        line("\"payload_base64\":\"AP8Q\""),
        line("\"payload_base64\":\"OD1GSVg=\""),
        line("\"payload\":null"),
    ];
    base.record(lines.concat(), &["--run", "a"]).expect(0);
    let said = tapelog(["cat".as_ref(), "--json".as_ref(), base.run("a").as_os_str()]).expect(0);
    let shown = [
        r#""payload":{"b":1.10,"a":12345678901234567890123,"a":[]},"#,
        r#""payload_base64":"AP8Q","#,
        r#""payload_text":"8=FIX","#,
        r#""payload":null,"#,
    ];
    for (line, shown) in said.lines().into_iter().zip(shown) {
        assert!(line.contains(shown), "{shown} is not in {line}");
    }
}

#[test]
fn an_input_that_cannot_be_read_is_told() {
    let base = Base::new();
    tapelog(["record", "/nowhere/at/all", "--base", base.str()]).expect(2).told("cannot open /nowhere/at/all");
    tapelog(["record", base.str(), "--base", base.str()]).expect(2).told(&format!("cannot read {}", base.str()));
    assert!(is_empty(&base));
}

#[test]
fn a_folder_that_cannot_be_written_is_told() {
    let base = Base::new();
    let file = base.file("file", "");
    let below_a_file = file.join("base");
    tapelog(["record".as_ref(), SAMPLE.as_ref(), "--base".as_ref(), below_a_file.as_os_str()]).expect(2).told("file");
    // Nobody can make a folder there, not even an administrator.
    tapelog(["record", SAMPLE, "--base", "/proc/tapelog"]).expect(2).told("/proc/tapelog");
}

#[test]
fn ids_that_lead_elsewhere_are_refused_before_anything_is_made() {
    let base = Base::new();
    for id in ["../x", "..", "a/b", "", "/etc", ".hidden", "a b", "con", "\u{e9}"] {
        base.record(event(1), &["--instance", id]).expect(2).told("the instance id");
        base.record(event(1), &["--run", id]).expect(2).told("the run id");
    }
    assert_eq!(std::fs::read_dir(base.path()).unwrap().count(), 0);
}

#[test]
fn a_run_that_is_there_already_is_not_touched() {
    let base = Base::new();
    let run = base.sealed_run("a", 5);
    let before = contents(&run);
    base.record(event(9), &["--run", "a"]).expect(2).told("there already and sealed (Ended)");
    assert_eq!(contents(&run), before);
}

#[test]
fn a_run_that_was_left_running_is_not_touched() {
    let base = Base::new();
    let run = base.crashed_run("a", 5);
    let before = contents(&run);
    let remedy = format!("tapelog recover {} default --apply", base.str());
    base.record(event(9), &["--run", "a"]).expect(2).told("was left running").told(&remedy);
    assert_eq!(contents(&run), before);
}

#[test]
fn a_damaged_run_is_not_recorded_into() {
    let base = Base::new();
    let run = base.sealed_run("a", 5);
    damage_event(&run, 3);
    std::fs::write(run.join("MANIFEST"), b"nonsense").unwrap();
    let before = contents(&run);
    base.record(event(9), &["--run", "a"]).expect(2);
    assert_eq!(contents(&run), before);
}

#[test]
fn a_second_writer_is_refused_and_the_first_goes_on() {
    let base = Base::new();
    let mut first = base.record_open(&["--run", "a"]);
    first.write(event(1));
    base.wait_for_entries("a", 1);
    base.record(event(9), &["--run", "a"]).expect(2).told("being written by another process");
    first.write(event(2));
    first.end().expect(0);
    assert_eq!(entries(&base, "a"), 2);
}

#[test]
fn an_event_from_a_pipe_is_not_held_back_for_the_next() {
    let base = Base::new();
    let mut recording = base.record_open(&["--run", "a", "--batch", "1000"]);
    for number in 1..=3 {
        recording.write(event(number));
        base.wait_for_entries("a", number);
    }
    recording.end().expect(0);
}

#[test]
fn a_full_disk_is_an_error_and_what_was_acknowledged_stays() {
    let base = Base::new();
    // No file may grow over 512 KiB: the spares of small segments fit, and the one that a large batch needs does not.
    let lines = base.file("lines", events(1..=200) + &event(201).replace("event-201-mark", &"x".repeat(700 << 10)));
    let script = "ulimit -f 1024; exec \"$0\" record \"$1\" --base \"$2\" --run a --batch 100 --segment-len 262144";
    let output = std::process::Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_tapelog"), lines.to_str().unwrap(), base.str()])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("disk: ") && told.contains("its first 200 entries are durable"), "{told}");
    tapelog(["recover", base.str(), "default", "--apply"]).expect(0);
    assert_eq!(entries(&base, "a"), 200);
}

#[test]
fn a_summary_that_cannot_be_written_is_told_and_the_run_is_sealed() {
    let base = Base::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command(["record", SAMPLE, "--base", base.str(), "--run", "a"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write the output"));
    assert_eq!(entries(&base, "a"), SAMPLE_ENTRIES);
}
