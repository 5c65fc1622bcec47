//! The entries of a run come out as asked for, and as they went in.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use crate::support::{Base, SAMPLE, SAMPLE_ENTRIES, SEGMENT_LEN, Said, command, contents, damage_event, events, tapelog};

fn cat(run: &Path, arguments: &[&str]) -> Said {
    tapelog([&["cat".as_ref(), run.as_os_str()], arguments.iter().map(AsRef::as_ref).collect::<Vec<_>>().as_slice()].concat())
}

fn numbers(run: &Path, arguments: &[&str]) -> Vec<u64> {
    let said = cat(run, &[arguments, &["--json"]].concat()).expect(0);
    said.json_lines().iter().map(|line| line["seq"].as_u64().unwrap()).collect()
}

fn sample(base: &Base) -> std::path::PathBuf {
    tapelog(["record", SAMPLE, "--base", base.str(), "--run", "sample", "--segment-len", SEGMENT_LEN]).expect(0);
    base.run("sample")
}

#[test]
fn a_range_is_shown_in_either_direction_and_up_to_a_limit() {
    let base = Base::new();
    let run = base.sealed_run("a", 3000);
    assert_eq!(numbers(&run, &[]), (1..=3000).collect::<Vec<_>>());
    assert_eq!(numbers(&run, &["--reverse"]), (1..=3000).rev().collect::<Vec<_>>());
    assert_eq!(numbers(&run, &["--from", "2998"]), [2998, 2999, 3000]);
    assert_eq!(numbers(&run, &["--to", "2"]), [1, 2]);
    assert_eq!(numbers(&run, &["--from", "7", "--to", "7"]), [7]);
    assert_eq!(numbers(&run, &["--from", "5", "--to", "9", "--limit", "2"]), [5, 6]);
    assert_eq!(numbers(&run, &["--from", "5", "--to", "9", "--limit", "2", "--reverse"]), [9, 8]);
    assert_eq!(numbers(&run, &["--from", "0", "--to", "1"]), [1]);
    for nothing in [["--from", "3001"], ["--limit", "0"]] {
        assert_eq!(numbers(&run, &nothing), [0; 0]);
    }
    cat(&run, &["--from", "9", "--to", "5"]).expect(2).told("--from 9 lies behind --to 5");
    cat(&run, &["--to", "0"]).expect(2).told("--to 0 leaves no entry");
    for wrong in ["-1", "x", "1.5", "18446744073709551616"] {
        cat(&run, &[&format!("--from={wrong}")]).expect(2).told("--from");
    }
}

#[test]
fn the_sample_comes_out_as_it_went_in() {
    let base = Base::new();
    let run = sample(&base);
    let shown = cat(&run, &["--json"]).expect(0);
    let recorded = std::fs::read_to_string(SAMPLE).unwrap();
    assert_eq!(shown.lines().len() as u64, SAMPLE_ENTRIES);
    for (number, (line, shown)) in recorded.lines().zip(shown.json_lines()).enumerate() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(shown["seq"], number as u64 + 1);
        for field in ["topic", "payload_type", "payload", "ts_init", "correlation_id", "causation_id"] {
            assert_eq!(shown.get(field), line.get(field), "{field} of line {}", number + 1);
        }
    }
}

#[test]
fn text_has_number_time_topic_type_and_payload() {
    let base = Base::new();
    let run = base.sealed_run("a", 1);
    let said = cat(&run, &[]).expect(0);
    assert_eq!(said.stdout, "       1  2023-11-14T22:13:20.000000001Z  events.order  OrderFilled  {\"mark\":\"event-1-mark\"}\n");
    assert_eq!(said.stderr, "");
}

#[test]
fn numbers_keep_all_their_digits() {
    let base = Base::new();
    let run = base.sealed_run("a", 1);
    assert!(cat(&run, &["--json"]).expect(0).stdout.contains("\"ts_init\":1700000000000000001,"));
}

#[test]
fn a_key_chooses_every_entry_that_brings_it_and_of_several_one_is_enough() {
    let base = Base::new();
    let run = base.sealed_run("a", 9);
    for (keys, seqs) in [
        (&["client_order_id=O-7"][..], &[7][..]),
        (&["ClientOrderId=O-7"], &[7]),
        (&["venue_order_id=V-3"], &[6, 7]),
        (&["VenueOrderId=V-0"], &[1]),
        (&["venue_order_id=V-3", "client_order_id=O-2"], &[2, 6, 7]),
        (&["venue_order_id=V-3", "client_order_id=O-7", "client_order_id=none"], &[6, 7]),
    ] {
        let arguments: Vec<&str> = keys.iter().flat_map(|key| ["--key", key]).collect();
        assert_eq!(numbers(&run, &arguments), seqs, "{keys:?}");
        let reversed: Vec<u64> = seqs.iter().rev().copied().collect();
        assert_eq!(numbers(&run, &[&arguments[..], &["--reverse"]].concat()), reversed, "{keys:?}");
    }
    assert_eq!(numbers(&run, &["--key", "venue_order_id=V-3", "--from", "7"]), [7]);
    assert_eq!(numbers(&run, &["--key", "venue_order_id=V-3", "--to", "6"]), [6]);
    assert_eq!(numbers(&run, &["--key", "venue_order_id=V-3", "--limit", "1", "--reverse"]), [7]);
    let said = cat(&run, &["--key", "client_order_id=V-3"]).expect(0).told("no entry has the ClientOrderId \"V-3\"");
    assert_eq!(said.stdout, "");
    cat(&run, &["--key", "O-7"]).expect(2).told("--key");
    cat(&run, &["--key", "trade_id=7"]).expect(2).told("trade_id");
}

#[test]
fn what_lies_before_the_first_entry_of_a_key_is_not_read() {
    let base = Base::new();
    let run = base.sealed_run("a", 1000);
    damage_event(&run, 500);
    for direction in [&[][..], &["--reverse"]] {
        cat(&run, &[&["--key", "client_order_id=O-700"], direction].concat()).expect(0);
        cat(&run, &[&["--key", "client_order_id=O-300"], direction].concat()).expect(1).told("500");
    }
}

#[test]
fn a_reader_that_leaves_ends_it_quietly() {
    let base = Base::new();
    let run = sample(&base);
    let mut child = command(["cat".as_ref(), run.as_os_str()]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::with_capacity(100, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(line.starts_with("       1  "));
}

#[test]
fn a_full_disk_under_the_output_is_told() {
    let base = Base::new();
    let run = sample(&base);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command(["cat".as_ref(), run.as_os_str()]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write the output"));
}

#[test]
fn a_damaged_entry_is_told_and_what_is_intact_is_shown() {
    let base = Base::new();
    let run = base.sealed_run("a", 1000);
    damage_event(&run, 500);
    let said = cat(&run, &["--json"]).expect(1).told("500");
    let shown: Vec<u64> = said.json_lines().iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert_eq!(shown, (1..=1000).filter(|seq| *seq != 500).collect::<Vec<_>>());
    let said = cat(&run, &["--json", "--reverse", "--limit", "600"]).expect(1);
    assert_eq!(said.lines().len(), 600);
    cat(&run, &["--to", "499"]).expect(0);
}

#[test]
fn a_run_that_was_left_running_is_shown_and_not_changed() {
    let base = Base::new();
    let run = base.crashed_run("a", 5);
    let before = contents(&run);
    assert_eq!(numbers(&run, &[]), [1, 2, 3, 4, 5]);
    assert_eq!(numbers(&run, &["--written"]), [1, 2, 3, 4, 5]);
    assert_eq!(numbers(&run, &["--key", "client_order_id=O-4"]), [4]);
    assert_eq!(contents(&run), before);
}

#[test]
fn a_live_run_can_be_followed() {
    let base = Base::new();
    let mut recording = base.record_open(&["--run", "a"]);
    recording.write(events(1..=3));
    base.wait_for_entries("a", 3);
    assert_eq!(numbers(&base.run("a"), &["--written"]), [1, 2, 3]);
    recording.write(events(4..=5));
    base.wait_for_entries("a", 5);
    recording.end().expect(0);
    assert_eq!(numbers(&base.run("a"), &["--written"]), [1, 2, 3, 4, 5]);
}

#[test]
fn what_is_no_run_is_told() {
    let base = Base::new();
    cat(Path::new("/nowhere/at/all"), &[]).expect(2).told("/nowhere/at/all");
    cat(base.path(), &[]).expect(2).told(base.str());
    let file = base.file("file", "text");
    cat(&file, &[]).expect(2).told("file");
    cat(&file, &["--written"]).expect(2).told("file");
}

#[test]
fn a_chain_is_one_history_in_both_directions_and_tells_each_run() {
    use tapelog::{EventStore, RunManifest, RunStatus, SegmentBackend};
    let base = Base::new();
    base.sealed_run("a", 3);
    let mut store = SegmentBackend::builder(base.path()).segment_len(16 << 10).build().unwrap();
    store.open_run(RunManifest { parent_run_id: Some("a".to_owned()), ..RunManifest::new("b", "default") }).unwrap();
    let entries = SegmentBackend::open_sealed(base.path(), "default", "a").unwrap();
    let entries = entries.scan_range(1, 2, tapelog::ScanDirection::Forward).unwrap();
    let key = || vec![tapelog::IndexKey::new(tapelog::IndexKind::VenueOrderId, "V-1".to_owned())];
    let keys = [key(), Vec::new()];
    let batch: Vec<_> = entries.into_iter().zip(keys).map(|(entry, keys)| tapelog::AppendEntry::new(entry, keys)).collect();
    store.append_batch(&batch).unwrap();
    store.seal(RunStatus::Ended).unwrap();
    let run = base.run("b");
    let shown = |arguments: &[&str]| {
        let all = [
            &["cat".as_ref(), run.as_os_str(), "--chain".as_ref(), "--json".as_ref()][..],
            &arguments.iter().map(AsRef::as_ref).collect::<Vec<_>>(),
        ];
        let said = tapelog(all.concat()).expect(0);
        said.json_lines().iter().map(|entry| format!("{}{}", entry["run_id"].as_str().unwrap(), entry["seq"])).collect::<Vec<_>>()
    };
    assert_eq!(shown(&[]), ["a1", "a2", "a3", "b1", "b2"]);
    assert_eq!(shown(&["--reverse"]), ["b2", "b1", "a3", "a2", "a1"]);
    assert_eq!(shown(&["--from", "2", "--limit", "3"]), ["a2", "a3", "b2"]);
    assert_eq!(shown(&["--key", "client_order_id=O-2", "--key", "venue_order_id=V-1"]), ["a2", "a3", "b1"]);
    assert_eq!(shown(&["--key", "venue_order_id=V-1", "--reverse"]), ["b1", "a3", "a2"]);
    std::fs::remove_dir_all(base.run("a")).unwrap();
    let said = tapelog(["cat".as_ref(), run.as_os_str(), "--chain".as_ref()]).expect(0).told("the run a, which is not there");
    assert!(said.lines().len() == 2 && said.stdout.contains('b'), "{}", said.stdout);
}
