//! Entries, one a line.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::value::RawValue;
use tapelog::EventStoreEntry;

use super::payload::Shown;
use super::text::{escaped, escaped_json};
use super::time::rfc3339;

#[derive(Serialize)]
struct Line<'a> {
    seq: u64,
    ts_init: u64,
    ts_publish: u64,
    topic: &'a str,
    payload_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<&'a str>,
    entry_hash: String,
}

/// Writes the entry with all its fields as one line of JSON.
///
/// # Errors
///
/// Those of `output`.
pub fn write_json(entry: &EventStoreEntry, output: &mut impl Write) -> io::Result<()> {
    let shown = Shown::of(&entry.payload);
    let mut line = Line {
        seq: entry.seq,
        ts_init: entry.ts_init.as_u64(),
        ts_publish: entry.ts_publish.as_u64(),
        topic: entry.topic.as_str(),
        payload_type: entry.payload_type.as_str(),
        correlation_id: entry.headers.correlation_id.map(|id| id.to_string()),
        causation_id: entry.headers.causation_id.map(|id| id.to_string()),
        payload: None,
        payload_text: None,
        payload_base64: None,
        entry_hash: entry.entry_hash.to_hex(),
    };
    match &shown {
        Shown::Json(value) => line.payload = Some(value),
        Shown::Text(text) => line.payload_text = Some(text),
        Shown::Base64(text) => line.payload_base64 = Some(text),
    }
    serde_json::to_writer(&mut *output, &line)?;
    output.write_all(b"\n")
}

/// Writes number, time, topic, type and payload as one line of text.
///
/// # Errors
///
/// Those of `output`.
pub fn write_text(entry: &EventStoreEntry, output: &mut impl Write) -> io::Result<()> {
    write!(
        output,
        "{:>8}  {}  {}  {}  ",
        entry.seq,
        rfc3339(entry.ts_init),
        escaped(entry.topic.as_str()),
        escaped(entry.payload_type.as_str())
    )?;
    match Shown::of(&entry.payload) {
        Shown::Json(value) => writeln!(output, "{}", escaped_json(value.get())),
        Shown::Text(text) => writeln!(output, "{text}"),
        Shown::Base64(text) => writeln!(output, "base64:{text}"),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tapelog::{EntryHash, Headers, PayloadType, UnixNanos};
    use uuid::Uuid;

    use super::*;

    fn entry(payload: &'static [u8], headers: Headers) -> EventStoreEntry {
        EventStoreEntry::new(
            EntryHash([0xAB; 32]),
            u64::MAX,
            headers,
            "a\u{1b}b".into(),
            PayloadType::from("Type"),
            Bytes::from_static(payload),
            UnixNanos::from(1_700_000_000_000_000_001),
            UnixNanos::from(1_700_000_000_000_000_002),
        )
    }

    fn json(entry: &EventStoreEntry) -> String {
        let mut output = Vec::new();
        write_json(entry, &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    fn text(entry: &EventStoreEntry) -> String {
        let mut output = Vec::new();
        write_text(entry, &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn json_has_every_field_and_numbers_with_all_their_digits() {
        let headers = Headers { correlation_id: Some(Uuid::nil()), causation_id: Some(Uuid::max()) };
        let hash = "ab".repeat(32);
        assert_eq!(
            json(&entry(b"{\"price\": 1.10}", headers)),
            format!(
                "{{\"seq\":18446744073709551615,\"ts_init\":1700000000000000001,\"ts_publish\":1700000000000000002,\
                 \"topic\":\"a\\u001bb\",\"payload_type\":\"Type\",\
                 \"correlation_id\":\"00000000-0000-0000-0000-000000000000\",\
                 \"causation_id\":\"ffffffff-ffff-ffff-ffff-ffffffffffff\",\
                 \"payload\":{{\"price\":1.10}},\"entry_hash\":\"{hash}\"}}\n"
            )
        );
    }

    #[test]
    fn the_name_of_the_payload_says_its_form() {
        assert!(json(&entry(b"8=FIX", Headers::empty())).contains(r#""payload_text":"8=FIX","#));
        assert!(json(&entry(b"\xFF", Headers::empty())).contains(r#""payload_base64":"/w==","#));
    }

    #[test]
    fn text_is_one_line_without_control_characters() {
        assert_eq!(
            text(&entry(b"[\n1 ]", Headers::empty())),
            "18446744073709551615  2023-11-14T22:13:20.000000001Z  a\\u{1b}b  Type  [1]\n"
        );
        assert!(text(&entry(b"\xFF", Headers::empty())).ends_with("  base64:/w==\n"));
    }
}
