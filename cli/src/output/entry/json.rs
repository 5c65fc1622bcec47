//! An entry as one line of JSON.

use std::io::{self, Write};

use crate::entry::Entry;
use crate::output::object::Object;
use crate::output::payload::Shown;
use crate::output::view::View;

/// Writes the entry with all its fields as one line of JSON.
///
/// # Errors
///
/// Those of `output`.
pub fn write(entry: &Entry<'_>, view: View, output: &mut impl Write) -> io::Result<()> {
    let mut object = Object::new(output, view.numbers);
    if let Some(run_id) = entry.run_id {
        object.text("run_id", run_id)?;
    }
    object.number("seq", entry.seq)?;
    object.number("ts_init", entry.ts_init.as_u64())?;
    object.number("ts_publish", entry.ts_publish.as_u64())?;
    object.text("topic", entry.topic)?;
    object.text("payload_type", entry.payload_type)?;
    if let Some(id) = entry.headers.correlation_id {
        object.text("correlation_id", &id.to_string())?;
    }
    if let Some(id) = entry.headers.causation_id {
        object.text("causation_id", &id.to_string())?;
    }
    object.list("keys", |list| {
        entry.keys.try_for_each(|kind, key| {
            list.object(|object| {
                object.text("kind", kind.as_str())?;
                object.text("key", key)
            })
        })
    })?;
    Shown::of(entry.payload, view.payload, view.numbers).write_json(&mut object)?;
    object.text("entry_hash", &entry.hash.to_hex())?;
    object.end()?;
    output.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use tapelog::{Headers, IndexKind};
    use uuid::Uuid;

    use super::super::fixtures::{entry, view, written};
    use crate::entry::{Entry, Keys};
    use crate::output::numbers::Numbers;
    use crate::output::payload::PayloadForm;
    use crate::output::view::{Format, View};

    #[test]
    fn json_has_every_field_and_numbers_with_all_their_digits() {
        let headers = Headers { correlation_id: Some(Uuid::nil()), causation_id: Some(Uuid::max()) };
        let keys = Keys::Listed(&[(IndexKind::ClientOrderId, "O\u{9b}1"), (IndexKind::VenueOrderId, "V")]);
        let hash = "ab".repeat(32);
        assert_eq!(
            written(&Entry { headers, keys, ..entry(b"{\"price\": 1.10}") }, view(Format::Json)),
            format!(
                "{{\"seq\":18446744073709551615,\"ts_init\":1700000000000000001,\"ts_publish\":1700000000000000002,\
                 \"topic\":\"a\\u001bb\",\"payload_type\":\"Type\",\
                 \"correlation_id\":\"00000000-0000-0000-0000-000000000000\",\
                 \"causation_id\":\"ffffffff-ffff-ffff-ffff-ffffffffffff\",\
                 \"keys\":[{{\"kind\":\"ClientOrderId\",\"key\":\"O\\u009b1\"}},{{\"kind\":\"VenueOrderId\",\"key\":\"V\"}}],\
                 \"payload\":{{\"price\":1.10}},\"entry_hash\":\"{hash}\"}}\n"
            )
        );
    }

    #[test]
    fn as_strings_numbers_of_ours_are_quoted_and_json_of_others_is_not() {
        let view = View { numbers: Numbers::Strings, payload: PayloadForm::Json, ..view(Format::Json) };
        let line = written(&entry(b"{\"a\":9007199254740993}"), view);
        assert!(line.starts_with(r#"{"seq":"18446744073709551615","ts_init":"1700000000000000001","ts_publish":"1700000000000000002","#));
        assert!(line.contains(r#""payload":{"a":9007199254740993}"#), "{line}");
    }

    #[test]
    fn the_run_is_told_where_more_than_one_is_shown() {
        assert!(written(&Entry { run_id: Some("r-1"), ..entry(b"1") }, view(Format::Json)).starts_with(r#"{"run_id":"r-1","seq":"#));
    }
}
