//! Of a run, exactly the entries that are asked for are shown.

use std::path::{Path, PathBuf};

use crate::support::{Base, Said, tapelog};

const CORRELATED: &str = "11111111-2222-4333-8444-555555555555";

fn cat(run: &Path, arguments: &[&str]) -> Said {
    tapelog([&["cat".as_ref(), run.as_os_str()], arguments.iter().map(AsRef::as_ref).collect::<Vec<_>>().as_slice()].concat())
}

fn numbers(run: &Path, arguments: &[&str]) -> Vec<u64> {
    let said = cat(run, &[arguments, &["--json"]].concat()).expect(0);
    said.json_lines().iter().map(|line| line["seq"].as_u64().unwrap()).collect()
}

/// Six entries, whose times do not ascend.
fn mixed(base: &Base) -> PathBuf {
    let line = |(topic, payload_type, time, correlation): (&str, &str, u64, Option<&str>)| {
        let correlation = correlation.map_or("null".to_owned(), |id| format!("\"{id}\""));
        format!(
            "{{\"topic\":\"{topic}\",\"payload_type\":\"{payload_type}\",\"payload\":1,\"ts_init\":{time},\
             \"correlation_id\":{correlation},\"client_order_id\":\"O-1\"}}"
        )
    };
    let lines = [
        ("events.order.BTC", "OrderFilled", 1000, Some(CORRELATED)),
        ("events.order.ETH", "OrderAccepted", 3000, None),
        ("events.position.BTC", "PositionOpened", 2000, Some(CORRELATED)),
        ("exec.command", "SubmitOrder", 5000, None),
        ("events.order.BTC", "OrderCanceled", 4000, None),
        ("events.order.BTC", "OrderFilled", 1500, None),
    ];
    base.record(lines.map(line).join("\n"), &["--run", "mixed"]).expect(0);
    base.run("mixed")
}

#[test]
fn globs_choose_topics_and_types_and_one_of_several_is_enough() {
    let base = Base::new();
    let run = mixed(&base);
    assert_eq!(numbers(&run, &["--topic", "events.order.*"]), [1, 2, 5, 6]);
    assert_eq!(numbers(&run, &["--topic", "events.order.ETH", "--topic", "exec.*"]), [2, 4]);
    assert_eq!(numbers(&run, &["--type", "Order*"]), [1, 2, 5, 6]);
    assert_eq!(numbers(&run, &["--type", "Order*ed", "--topic", "*.BTC"]), [1, 5, 6]);
    assert_eq!(numbers(&run, &["--type", "orderfilled"]), [0; 0]);
    assert_eq!(numbers(&run, &["--topic", "events.order.?TC", "--reverse", "--limit", "2"]), [6, 5]);
}

#[test]
fn a_span_of_time_has_both_its_ends_and_is_not_cut_short_by_times_that_do_not_ascend() {
    let base = Base::new();
    let run = mixed(&base);
    assert_eq!(numbers(&run, &["--since", "2000"]), [2, 3, 4, 5]);
    assert_eq!(numbers(&run, &["--until", "2000"]), [1, 3, 6]);
    assert_eq!(numbers(&run, &["--since", "1500", "--until", "3000"]), [2, 3, 6]);
    assert_eq!(numbers(&run, &["--since", "1970-01-01T00:00:00.000004Z", "--until", "1970-01-01T01:00:00.000004+01:00"]), [5]);
    assert_eq!(numbers(&run, &["--since", "1970-01-01", "--until", "1970-01-01 00:00:00.000002"]), [1, 3, 6]);
    cat(&run, &["--since", "3000", "--until", "2000"]).expect(2).told("lies behind --until 1970-01-01T00:00:00.000002000Z");
}

#[test]
fn a_correlation_chooses_what_belongs_to_one_action() {
    let base = Base::new();
    let run = mixed(&base);
    assert_eq!(numbers(&run, &["--correlation", CORRELATED]), [1, 3]);
    assert_eq!(numbers(&run, &["--correlation", CORRELATED, "--from", "2"]), [3]);
    assert_eq!(numbers(&run, &["--correlation", "00000000-0000-0000-0000-000000000000"]), [0; 0]);
}

#[test]
fn a_limit_counts_what_is_shown() {
    let base = Base::new();
    let run = mixed(&base);
    assert_eq!(numbers(&run, &["--type", "OrderFilled", "--limit", "2"]), [1, 6]);
    assert_eq!(numbers(&run, &["--type", "OrderFilled", "--limit", "0"]), [0; 0]);
}

#[test]
fn the_entries_of_a_key_have_to_pass_the_other_options_too() {
    let base = Base::new();
    let run = mixed(&base);
    assert_eq!(numbers(&run, &["--key", "client_order_id=O-1", "--type", "Order*"]), [1, 2, 5, 6]);
    assert_eq!(numbers(&run, &["--key", "client_order_id=O-1", "--since", "2000"]), [2, 3, 4, 5]);
    assert_eq!(numbers(&run, &["--key", "client_order_id=O-1", "--until", "1500", "--reverse"]), [6, 1]);
}

#[test]
fn a_malformed_value_is_told_before_anything_is_read() {
    for (arguments, part) in [
        (["--since", "yesterday"], "is not an RFC 3339 time, such as"),
        (["--until", "2016-12-31T23:59:60Z"], "leap second"),
        (["--since", "99999999999999999999"], "do not fit 64 bits"),
        (["--topic", "events.["], "not a glob"),
        (["--type", "a**b"], "not a glob"),
        (["--correlation", "1234"], "not a UUID"),
        (["--key", "order=1"], "no kind of key"),
        (["--from", "first"], "--from"),
        (["--limit", "1.5"], "invalid digit"),
        (["--payload", "xml"], "possible values: auto, json, msgpack, text, hex, none"),
        (["--format", "csv"], "possible values: text, json, raw"),
        (["--time", "unix"], "possible values: rfc3339, nanos"),
    ] {
        let said = cat(Path::new("/nowhere"), &arguments).expect(2).told(part).told(arguments[0]);
        assert_eq!(said.stdout, "");
    }
}
