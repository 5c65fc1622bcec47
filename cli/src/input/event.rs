//! One event, out of one line.

use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tapelog::limits::{KEY_LEN_MAX, PAYLOAD_LEN_MAX, PAYLOAD_TYPE_LEN_MAX, TOPIC_LEN_MAX};
use tapelog::{Headers, IndexKey, IndexKind, PayloadType, Topic, UnixNanos};
use uuid::Uuid;

use super::time::parse_time;
use super::{Refusal, base64, json};

/// An event that can become an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Where it was published.
    pub topic: Topic,
    /// How its payload is encoded.
    pub payload_type: PayloadType,
    /// The payload as it is stored.
    pub payload: Bytes,
    /// When it came into being.
    pub ts_init: UnixNanos,
    /// The ids that tie it to others.
    pub headers: Headers,
    /// The keys under which it is found again.
    pub keys: Vec<IndexKey>,
}

/// The fields of a line as they stand there. A name that is not here is an error, as is one that occurs
/// twice: a misspelt field must not lose what it holds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    topic: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    payload_type: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    payload: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    payload_base64: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    ts_init: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    correlation_id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    causation_id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    client_order_id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    venue_order_id: Option<&'a RawValue>,
}

/// Tells a field that is `null` from one that is not there: a payload may be `null`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The event that `line` holds; none when the line is blank.
///
/// # Errors
///
/// Which field is wrong, and why.
pub fn parse_event(line: &[u8]) -> Result<Option<Event>, Refusal> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Ok(None);
    }
    let text =
        std::str::from_utf8(line).map_err(|error| Refusal::of_line(format!("not UTF-8 from byte {} on", error.valid_up_to() + 1)))?;
    if !text.starts_with('{') {
        return Err(Refusal::of_line(format!("expected a JSON object, found {}", json::shorten(text))));
    }
    let fields: Fields<'_> = serde_json::from_str(text).map_err(|error| Refusal::of_line(reason_of(&error)))?;
    Ok(Some(Event {
        topic: required_text("topic", fields.topic, TOPIC_LEN_MAX)?.as_ref().into(),
        payload_type: PayloadType::from(required_text("payload_type", fields.payload_type, PAYLOAD_TYPE_LEN_MAX)?.as_ref()),
        ts_init: parse_time(required("ts_init", fields.ts_init)?).map_err(|reason| Refusal::of_field("ts_init", reason))?,
        headers: Headers {
            correlation_id: optional_uuid("correlation_id", fields.correlation_id)?,
            causation_id: optional_uuid("causation_id", fields.causation_id)?,
        },
        keys: [
            optional_key("client_order_id", IndexKind::ClientOrderId, fields.client_order_id)?,
            optional_key("venue_order_id", IndexKind::VenueOrderId, fields.venue_order_id)?,
        ]
        .into_iter()
        .flatten()
        .collect(),
        payload: parse_payload(fields.payload, fields.payload_base64)?,
    }))
}

/// The message without its line number, which counts from the beginning of this one line.
fn reason_of(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match message.strip_suffix(&place) {
        Some(what) => format!("{what} at column {}", error.column()),
        None => message,
    }
}

fn required<'a>(field: &'static str, value: Option<&'a RawValue>) -> Result<&'a RawValue, Refusal> {
    value.ok_or_else(|| Refusal::of_field(field, "the field is missing"))
}

fn required_text<'a>(field: &'static str, value: Option<&'a RawValue>, len_max: usize) -> Result<std::borrow::Cow<'a, str>, Refusal> {
    bounded_text(field, required(field, value)?, len_max)
}

fn bounded_text<'a>(field: &'static str, value: &'a RawValue, len_max: usize) -> Result<std::borrow::Cow<'a, str>, Refusal> {
    let text = json::text(value).map_err(|reason| Refusal::of_field(field, reason))?;
    check_len(field, text.len(), len_max)?;
    Ok(text)
}

fn check_len(field: &'static str, len: usize, len_max: usize) -> Result<(), Refusal> {
    if len > len_max {
        return Err(Refusal::of_field(field, format!("{len} bytes, and the limit is {len_max}")));
    }
    Ok(())
}

/// A field that is `null` is one that is not there.
fn given(value: Option<&RawValue>) -> Option<&RawValue> {
    value.filter(|value| value.get() != "null")
}

fn optional_uuid(field: &'static str, value: Option<&RawValue>) -> Result<Option<Uuid>, Refusal> {
    let Some(value) = given(value) else { return Ok(None) };
    let text = json::text(value).map_err(|reason| Refusal::of_field(field, reason))?;
    Uuid::try_parse(&text).map(Some).map_err(|error| Refusal::of_field(field, format!("{} is not a UUID: {error}", json::shorten(&text))))
}

fn optional_key(field: &'static str, kind: IndexKind, value: Option<&RawValue>) -> Result<Option<IndexKey>, Refusal> {
    let Some(value) = given(value) else { return Ok(None) };
    Ok(Some(IndexKey::new(kind, bounded_text(field, value, KEY_LEN_MAX)?.into_owned())))
}

fn parse_payload(value: Option<&RawValue>, in_base64: Option<&RawValue>) -> Result<Bytes, Refusal> {
    let (field, payload) = match (value, in_base64) {
        (Some(value), None) => ("payload", json::compact(value)),
        (None, Some(text)) => {
            let field = "payload_base64";
            let text = json::text(text).map_err(|reason| Refusal::of_field(field, reason))?;
            (field, base64::decode(&text).map_err(|reason| Refusal::of_field(field, reason))?)
        }
        (Some(_), Some(_)) => return Err(Refusal::of_field("payload", "the line has payload_base64 too, and an event has one payload")),
        (None, None) => return Err(Refusal::of_field("payload", "the field is missing, and payload_base64 too")),
    };
    check_len(field, payload.len(), PAYLOAD_LEN_MAX)?;
    Ok(payload.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(line: &str) -> Event {
        parse_event(line.as_bytes()).unwrap().unwrap()
    }

    fn refusal(line: &str) -> Refusal {
        parse_event(line.as_bytes()).unwrap_err()
    }

    /// The smallest event, with `more` after its fields.
    fn with(more: &str) -> String {
        format!(r#"{{"topic":"t","payload_type":"p","payload":1,"ts_init":1{more}}}"#)
    }

    #[test]
    fn every_field_arrives() {
        let event = event(
            r#"{"topic":"exec.command","payload_type":"SubmitOrder","payload":{"price": 1.10},"ts_init":1700000000000000000,
               "correlation_id":"11111111-2222-4333-8444-555555555555","causation_id":"66666666-7777-4888-8999-aaaaaaaaaaaa",
               "client_order_id":"O-1","venue_order_id":"V-1"}"#,
        );
        assert_eq!(event.topic.as_str(), "exec.command");
        assert_eq!(event.payload_type.as_str(), "SubmitOrder");
        assert_eq!(event.payload, r#"{"price":1.10}"#);
        assert_eq!(event.ts_init.as_u64(), 1_700_000_000_000_000_000);
        assert_eq!(event.headers.correlation_id.unwrap().to_string(), "11111111-2222-4333-8444-555555555555");
        assert_eq!(event.headers.causation_id.unwrap().to_string(), "66666666-7777-4888-8999-aaaaaaaaaaaa");
        let keys = [IndexKey::new(IndexKind::ClientOrderId, "O-1".to_owned()), IndexKey::new(IndexKind::VenueOrderId, "V-1".to_owned())];
        assert_eq!(event.keys, keys);
    }

    #[test]
    fn a_blank_line_is_no_event() {
        for line in ["", " ", "\t\r"] {
            assert_eq!(parse_event(line.as_bytes()), Ok(None));
        }
    }

    #[test]
    fn an_optional_field_may_be_absent_or_null() {
        let event = event(&with(r#","correlation_id":null,"causation_id":null,"client_order_id":null"#));
        assert!(event.headers.is_empty());
        assert!(event.keys.is_empty());
    }

    #[test]
    fn a_payload_of_null_is_a_payload() {
        assert_eq!(event(r#"{"topic":"t","payload_type":"p","payload":null,"ts_init":1}"#).payload, "null");
    }

    #[test]
    fn base64_is_stored_as_the_bytes_it_stands_for() {
        let line = r#"{"topic":"t","payload_type":"p","payload_base64":"AAEC","ts_init":1}"#;
        assert_eq!(event(line).payload.as_ref(), [0, 1, 2]);
    }

    #[test]
    fn a_line_that_is_not_an_object_is_refused() {
        for line in ["[1]", r#"["t","p",1,null,1]"#, "null", "\u{feff}{}", "topic=t", "1"] {
            assert!(refusal(line).reason.contains("expected a JSON object"), "{line}: {}", refusal(line));
        }
    }

    #[test]
    fn broken_json_is_refused_with_its_column() {
        assert!(refusal(r#"{"topic":"t""#).reason.contains("column 12"), "{}", refusal(r#"{"topic":"t""#));
        assert!(refusal(&format!("{} x", with(""))).reason.contains("trailing characters"));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused_with_their_place() {
        assert_eq!(parse_event(b"{\"a\":\"\xFF\"}").unwrap_err().reason, "not UTF-8 from byte 7 on");
    }

    #[test]
    fn a_misspelt_or_repeated_field_is_refused() {
        assert!(refusal(&with(r#","corelation_id":"x""#)).reason.contains("corelation_id"));
        assert!(refusal(&with(r#","ts_init":2"#)).reason.contains("ts_init"));
    }

    #[test]
    fn a_missing_or_wrong_field_is_named() {
        let long = "k".repeat(KEY_LEN_MAX + 1);
        for (line, field, part) in [
            (r#"{"payload_type":"p","payload":1,"ts_init":1}"#, "topic", "missing"),
            (r#"{"topic":null,"payload_type":"p","payload":1,"ts_init":1}"#, "topic", "found null"),
            (r#"{"topic":"t","payload_type":7,"payload":1,"ts_init":1}"#, "payload_type", "found 7"),
            (r#"{"topic":"t","payload_type":"p","ts_init":1}"#, "payload", "missing"),
            (r#"{"topic":"t","payload_type":"p","payload":1,"payload_base64":"","ts_init":1}"#, "payload", "one payload"),
            (r#"{"topic":"t","payload_type":"p","payload_base64":"!","ts_init":1}"#, "payload_base64", "not base64"),
            (r#"{"topic":"t","payload_type":"p","payload_base64":7,"ts_init":1}"#, "payload_base64", "found 7"),
            (r#"{"topic":"t","payload_type":"p","payload":1}"#, "ts_init", "missing"),
            (r#"{"topic":"t","payload_type":"p","payload":1,"ts_init":-1}"#, "ts_init", "found -1"),
            (&with(r#","correlation_id":"x""#), "correlation_id", "not a UUID"),
            (&with(r#","causation_id":5"#), "causation_id", "found 5"),
            (&with(r#","venue_order_id":5"#), "venue_order_id", "found 5"),
            (&with(&format!(r#","client_order_id":"{long}""#)), "client_order_id", "1025 bytes, and the limit is 1024"),
        ] {
            let refusal = refusal(line);
            assert_eq!(refusal.field, Some(field), "{line}");
            assert!(refusal.reason.contains(part), "{line}: {refusal}");
        }
    }

    #[test]
    fn a_payload_over_the_limit_is_refused_in_either_form() {
        let text = "A".repeat(PAYLOAD_LEN_MAX);
        let line = format!(r#"{{"topic":"t","payload_type":"p","payload":"{text}","ts_init":1}}"#);
        assert_eq!(refusal(&line).field, Some("payload"));
        let line = format!(r#"{{"topic":"t","payload_type":"p","payload_base64":"{text}{text}","ts_init":1}}"#);
        assert_eq!(refusal(&line).field, Some("payload_base64"));
    }

    #[test]
    fn deep_nesting_is_no_danger() {
        let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let line = format!(r#"{{"topic":"t","payload_type":"p","payload":{nested},"ts_init":1}}"#);
        assert_eq!(event(&line).payload, nested);
    }
}
