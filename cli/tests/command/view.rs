//! Entries are shown in the form that is asked for, and none of them loses anything.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{Base, Said, command, tapelog};

/// A map with a text, a number beyond 2^53, bytes, NaN and a member that occurs twice.
const MAP: &[u8] =
    b"\x85\xA2px\xA41.10\xA1n\xCF\x00\x20\x00\x00\x00\x00\x00\x01\xA1b\xC4\x01\xFF\xA1f\xCB\x7F\xF8\x00\x00\x00\x00\x00\x00\xA1f\x02";
const MAP_JSON: &str = r#"{"px":"1.10","n":9007199254740993,"b":{"$base64":"/w=="},"f":"NaN","f":2}"#;

fn hex_of_map() -> String {
    MAP.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|half| char::from_digit(half.into(), 16).unwrap()).collect()
}

/// One entry of each kind of payload.
fn payloads() -> [&'static [u8]; 5] {
    [b"{\"a\":1.10}", MAP, b"8=FIX.4.4", b"\xFF\x00\x1B", b""]
}

fn run(base: &Base) -> PathBuf {
    let line = |payload: &[u8]| {
        let payload = STANDARD.encode(payload);
        format!("{{\"topic\":\"t\",\"payload_type\":\"p\",\"payload_base64\":\"{payload}\",\"ts_init\":1700000000000000001}}")
    };
    base.record(payloads().map(line).join("\n"), &["--run", "a"]).expect(0);
    base.run("a")
}

fn cat(run: &Path, arguments: &[&str]) -> Said {
    tapelog([&["cat".as_ref(), run.as_os_str()], arguments.iter().map(AsRef::as_ref).collect::<Vec<_>>().as_slice()].concat()).expect(0)
}

/// The fields of each entry whose name begins with `payload`, but for its type.
fn payload_fields(said: &Said) -> Vec<Value> {
    let of_payload = |name: &str| name.starts_with("payload") && name != "payload_type";
    let fields =
        |line: &Value| line.as_object().unwrap().iter().filter(|(name, _)| of_payload(name)).map(|(n, v)| (n.clone(), v.clone())).collect();
    said.json_lines().iter().map(fields).map(Value::Object).collect()
}

#[test]
fn automatically_each_payload_is_decoded_as_far_as_it_can_be() {
    let base = Base::new();
    let said = cat(&run(&base), &["--json"]);
    let map: Value = serde_json::from_str(MAP_JSON).unwrap();
    assert_eq!(
        payload_fields(&said),
        [
            json!({ "payload": { "a": 1.10 } }),
            json!({ "payload": map, "payload_encoding": "msgpack" }),
            json!({ "payload_text": "8=FIX.4.4" }),
            json!({ "payload_base64": "/wAb" }),
            json!({ "payload_text": "" }),
        ]
    );
    assert!(said.stdout.contains(&format!("\"payload\":{MAP_JSON},")), "{}", said.stdout);
    assert!(said.stdout.contains("\"payload\":{\"a\":1.10},"), "{}", said.stdout);
}

#[test]
fn what_does_not_decode_as_asked_for_is_shown_with_the_reason() {
    let base = Base::new();
    let run = run(&base);
    for (form, decoded) in [("json", 0), ("msgpack", 1)] {
        for (number, fields) in payload_fields(&cat(&run, &["--json", "--payload", form])).iter().enumerate() {
            if number == decoded {
                assert!(fields["payload"].is_object(), "{form}: {fields}");
                continue;
            }
            assert_eq!(fields["payload_base64"], STANDARD.encode(payloads()[number]), "{form}");
            assert!(fields["payload_error"].as_str().unwrap().starts_with("not "), "{form}: {fields}");
        }
    }
    let text = cat(&run, &["--payload", "msgpack"]);
    assert!(text.lines()[3].ends_with("  p  base64:/wAb (not MessagePack: 2 bytes stand behind the value at byte 1)"), "{}", text.stdout);
}

#[test]
fn hexadecimal_is_every_byte_and_none_is_no_byte() {
    let base = Base::new();
    let run = run(&base);
    let expected = ["7b2261223a312e31307d", &hex_of_map(), "383d4649582e342e34", "ff001b", ""].map(|hex| json!({ "payload_hex": hex }));
    assert_eq!(payload_fields(&cat(&run, &["--json", "--payload", "hex"])), expected);
    assert!(cat(&run, &["--payload", "hex"]).lines()[3].ends_with("  t  p  hex:ff001b"));
    assert!(payload_fields(&cat(&run, &["--json", "--payload", "none"])).iter().all(|fields| *fields == json!({})));
    assert!(cat(&run, &["--payload", "none"]).lines().iter().all(|line| line.ends_with("Z  t  p")));
}

#[test]
fn raw_is_the_payloads_to_the_byte_one_behind_the_other() {
    let base = Base::new();
    let output = command(["cat".as_ref(), run(&base).as_os_str(), "--format".as_ref(), "raw".as_ref()]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, payloads().concat());
}

#[test]
fn json_is_a_format_and_no_other_beside_it() {
    let base = Base::new();
    let run = run(&base);
    assert_eq!(cat(&run, &["--format", "json"]).stdout, cat(&run, &["--json"]).stdout);
    for contradiction in
        [&["--format", "text", "--json"][..], &["--json", "--format", "raw"], &["--json", "--time", "nanos"], &["--json-strings"]]
    {
        let run = [OsStr::new("cat"), run.as_os_str()];
        tapelog(run.into_iter().chain(contradiction.iter().map(OsStr::new))).expect(2).told("--");
    }
    for subcommand in ["ls", "verify"] {
        tapelog([subcommand, base.str(), "--json-strings"]).expect(2).told("--json");
    }
    tapelog(["ls", base.str(), "--json", "--time", "nanos"]).expect(2).told("cannot be used with");
}

#[test]
fn whole_numbers_are_strings_only_for_those_who_ask() {
    let base = Base::new();
    let run = run(&base);
    let plain = &cat(&run, &["--json"]).json_lines()[1];
    assert_eq!((&plain["seq"], &plain["ts_init"]), (&json!(2), &json!(1_700_000_000_000_000_001_u64)));
    let strings = &cat(&run, &["--json", "--json-strings"]).json_lines()[1];
    assert_eq!((&strings["seq"], &strings["ts_init"]), (&json!("2"), &json!("1700000000000000001")));
    assert!(strings["ts_publish"].is_string());
    assert_eq!((&strings["payload"]["n"], &strings["payload"]["f"]), (&json!("9007199254740993"), &json!(2)));
}

#[test]
fn every_command_with_json_can_write_strings() {
    let base = Base::new();
    let summary = base.record(crate::support::events(1..=3), &["--run", "a", "--json", "--json-strings"]).expect(0).json();
    assert_eq!(summary["entries"], "3");
    assert!(summary["seconds"].is_f64());
    let row = tapelog(["ls", base.str(), "--json", "--json-strings"]).expect(0).json();
    assert_eq!((&row["entries"], &row["start_ts_init"], &row["segments"]), (&json!("3"), &json!("1700000000000000001"), &json!("1")));
    let report = tapelog(["verify".as_ref(), base.run("a").as_os_str(), "--json".as_ref(), "--json-strings".as_ref()]).expect(0).json();
    assert_eq!(report["high_watermark"], "3");
    base.crashed_run("b", 2);
    let judged = tapelog(["recover", base.str(), "default", "--json", "--json-strings"]).expect(0).json();
    assert_eq!(judged["runs"][0]["report"]["end"]["seq"], "2");
}

#[test]
fn a_time_is_shown_in_either_form() {
    let base = Base::new();
    let run = run(&base);
    assert!(cat(&run, &["--time", "rfc3339"]).lines()[0].contains("  2023-11-14T22:13:20.000000001Z  "));
    assert!(cat(&run, &["--time", "nanos"]).lines()[0].contains("  1700000000000000001  "));
}

#[test]
fn no_colour_is_in_a_pipe_whatever_the_environment_asks_for() {
    let base = Base::new();
    let run = run(&base);
    for (name, value) in [("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1"), ("FORCE_COLOR", "1")] {
        for format in ["text", "json"] {
            let output =
                command(["cat".as_ref(), run.as_os_str(), "--format".as_ref(), format.as_ref()]).env(name, value).output().unwrap();
            assert!(!output.stdout.contains(&0x1B) && !output.stderr.contains(&0x1B), "{name}");
        }
    }
}
