//! A whole day of a real market, recorded by the example `record_dbn` and read by the command.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Base, tapelog};

/// The variable that names a Databento file of order events. The file itself is no part of the project.
const FILE_VARIABLE: &str = "TAPELOG_DBN_FILE";

/// Runs the example, which is built here if it is not there yet.
fn record(file: &OsStr, base: &Base) -> String {
    let folder = Path::new(env!("CARGO_BIN_EXE_tapelog")).parent().unwrap();
    let profile = if folder.ends_with("release") { "release" } else { "test" };
    // The whole workspace is named, so that the build is the one that the tests have made already.
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--workspace", "--profile", profile, "--example", "record_dbn"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .status()
        .unwrap();
    assert!(built.success());
    let output =
        Command::new(folder.join("examples").join("record_dbn")).arg(file).args(["--base", base.str(), "--run", "day"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_whole_day_is_listed_found_by_key_and_verified() {
    let Some(file) = std::env::var_os(FILE_VARIABLE) else {
        // Written past the test's capture, so that a skipped test does not look like one that ran.
        let _ = std::io::stderr().write_all(format!("SKIPPED: {FILE_VARIABLE} names no file\n").as_bytes());
        return;
    };
    let base = Base::new();
    let summary = record(&file, &base);
    for line in ["entries  68792", "A  29216", "C  17999", "M  12233", "F  6371", "T  2973", "orders   31975 distinct ids"] {
        assert!(summary.contains(line), "{line:?} is missing: {summary}");
    }

    let run = base.path().join("databento").join("day");
    let row = tapelog(["ls", base.str(), "--json"]).expect(0).json();
    assert_eq!((&row["run_id"], &row["status"], &row["entries"]), (&"day".into(), &"Ended".into(), &68_792.into()));
    assert_eq!(row["start_ts_init"], 1_703_462_400_000_000_000_u64);
    assert_eq!(row["end_ts_init"], 1_703_548_799_446_821_072_u64);

    let verified = tapelog([OsStr::new("verify"), run.as_os_str()]).expect(0);
    assert_eq!(verified.stdout, "clean run_id=day status=Ended high_watermark=68792 entries_scanned=68792 markers=absent\n");

    // The order id stands at byte 16 of a record; the first entry that has it is the one that the key finds.
    let cat = |arguments: &[&str]| {
        let shown = [OsStr::new("cat"), OsStr::new("--json"), run.as_os_str()];
        tapelog(shown.into_iter().chain(arguments.iter().map(OsStr::new))).expect(0).json_lines()
    };
    let all = cat(&[]);
    assert_eq!(all.len(), 68_792);
    let mut first_with = std::collections::HashMap::new();
    for entry in &all {
        let record = decode_base64(entry["payload_base64"].as_str().unwrap());
        let order_id = u64::from_le_bytes(record[16..24].try_into().unwrap());
        first_with.entry(order_id).or_insert_with(|| entry["seq"].clone());
    }
    assert_eq!(first_with.len(), 31_975);
    for (order_id, seq) in first_with.iter().take(10) {
        let found = cat(&["--key", &format!("venue_order_id={order_id}")]);
        assert_eq!(found[0]["seq"], *seq, "order {order_id}");
    }
    filters_choose_what_a_program_would_choose(&all, &cat);
}

/// Each way of choosing, against the same choice made of all entries.
fn filters_choose_what_a_program_would_choose(all: &[Value], cat: &dyn Fn(&[&str]) -> Vec<Value>) {
    let time = |entry: &Value| entry["ts_init"].as_u64().unwrap();
    let chosen = |choose: &dyn Fn(&Value) -> bool| all.iter().filter(|entry| choose(entry)).cloned().collect::<Vec<_>>();
    let (since, until) = (time(&all[20_000]), time(&all[50_000]));
    let between = chosen(&|entry| (since..=until).contains(&time(entry)));
    assert!((29_000..32_000).contains(&between.len()), "{}", between.len());
    let (since_text, until_text) = (since.to_string(), until.to_string());
    assert_eq!(cat(&["--since", &since_text, "--until", &until_text]), between);
    assert_eq!(cat(&["--since", "2023-12-25T12:00:00Z"]), chosen(&|entry| time(entry) >= 1_703_505_600_000_000_000));
    let reversed = |entries: &[Value]| entries.iter().rev().cloned().collect::<Vec<_>>();
    assert_eq!(cat(&["--since", &since_text, "--until", &until_text, "--reverse"]), reversed(&between));
    assert_eq!(cat(&["--from", "30000", "--to", "30099", "--reverse"]), reversed(&all[29_999..30_099]));
    assert_eq!(cat(&["--from", "68700", "--limit", "5"]), all[68_699..68_704]);

    let types: std::collections::BTreeSet<&str> = all.iter().map(|entry| entry["payload_type"].as_str().unwrap()).collect();
    assert_eq!(types.into_iter().collect::<Vec<_>>(), ["MboMsg"]);
    assert_eq!(cat(&["--type", "Mbo*", "--topic", "data.mbo.*.ESH4"]), *all);
    assert!(cat(&["--type", "Mbo"]).is_empty() && cat(&["--topic", "data.mbo.*.ESM4"]).is_empty());

    let key = &all[40_000]["keys"][0]["key"];
    let of_key = chosen(&|entry| entry["keys"].as_array().unwrap().iter().any(|found| found["key"] == *key));
    assert!(!of_key.is_empty());
    let wanted = format!("venue_order_id={}", key.as_str().unwrap());
    assert_eq!(cat(&["--key", &wanted]), of_key);
    assert_eq!(cat(&["--key", &wanted, "--reverse"]), reversed(&of_key));
}

fn decode_base64(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}
