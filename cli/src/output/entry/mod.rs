//! Entries, in the form that is asked for.

mod json;
mod text;

use std::io::{self, Write};

use super::view::{Format, View};
use crate::entry::Entry;

/// Writes the entry as one of many: a line of text, a line of JSON, or the payload's bytes alone.
///
/// # Errors
///
/// Those of `output`.
pub fn write_entry(entry: &Entry<'_>, view: View, output: &mut impl Write) -> io::Result<()> {
    match view.format {
        Format::Text => text::write_line(entry, view, output),
        Format::Json => json::write(entry, view, output),
        Format::Raw => output.write_all(entry.payload),
    }
}

/// Writes the one entry that was asked for: every field has a line of its own in text.
///
/// # Errors
///
/// Those of `output`.
pub fn write_one_entry(entry: &Entry<'_>, view: View, output: &mut impl Write) -> io::Result<()> {
    match view.format {
        Format::Text => text::write_fields(entry, view, output),
        Format::Json | Format::Raw => write_entry(entry, view, output),
    }
}

#[cfg(test)]
mod fixtures {
    use tapelog::{EntryHash, Headers, UnixNanos};

    use super::*;
    use crate::entry::Keys;
    use crate::output::numbers::Numbers;
    use crate::output::payload::PayloadForm;
    use crate::output::time::TimeForm;

    pub fn view(format: Format) -> View {
        View { format, payload: PayloadForm::Auto, time: TimeForm::Rfc3339, numbers: Numbers::Plain }
    }

    pub fn entry(payload: &[u8]) -> Entry<'_> {
        Entry {
            run_id: None,
            seq: u64::MAX,
            ts_init: UnixNanos::from(1_700_000_000_000_000_001),
            ts_publish: UnixNanos::from(1_700_000_000_000_000_002),
            topic: "a\u{1b}b",
            payload_type: "Type",
            headers: Headers::empty(),
            keys: Keys::Listed(&[]),
            payload,
            hash: EntryHash([0xAB; 32]),
        }
    }

    pub fn written(entry: &Entry<'_>, view: View) -> String {
        let mut output = Vec::new();
        write_entry(entry, view, &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn raw_is_the_payload_and_nothing_else() {
        let mut output = Vec::new();
        for payload in [&b"\xFF\x00"[..], b"", b"{\"a\": 1}"] {
            write_entry(&entry(payload), view(Format::Raw), &mut output).unwrap();
            write_one_entry(&entry(payload), view(Format::Raw), &mut output).unwrap();
        }
        assert_eq!(output, b"\xFF\x00\xFF\x00{\"a\": 1}{\"a\": 1}");
    }
}
