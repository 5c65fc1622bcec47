//! An entry as text: one line among others, or a line for each field.

use std::io::{self, Write};

use crate::entry::Entry;
use crate::output::payload::Shown;
use crate::output::text::escaped;
use crate::output::view::View;

/// Writes number, time, topic, type and payload as one line of text, behind the run where more than one is shown.
///
/// # Errors
///
/// Those of `output`.
pub fn write_line(entry: &Entry<'_>, view: View, output: &mut impl Write) -> io::Result<()> {
    let time = view.time.of(entry.ts_init);
    if let Some(run_id) = entry.run_id {
        write!(output, "{}  ", escaped(run_id))?;
    }
    write!(output, "{:>8}  {time}  {}  {}", entry.seq, escaped(entry.topic), escaped(entry.payload_type))?;
    let shown = Shown::of(entry.payload, view.payload, view.numbers);
    if shown != Shown::Nothing {
        output.write_all(b"  ")?;
    }
    shown.write_text(output)?;
    output.write_all(b"\n")
}

/// Writes every field with its name as a line of text, and each key as a line. Of the ids that tie the entry to others,
/// one that it does not have is a dash.
///
/// # Errors
///
/// Those of `output`.
pub fn write_fields(entry: &Entry<'_>, view: View, output: &mut impl Write) -> io::Result<()> {
    let or_dash = |id: Option<uuid::Uuid>| id.map_or_else(|| "-".to_owned(), |id| id.to_string());
    if let Some(run_id) = entry.run_id {
        writeln!(output, "run_id          {}", escaped(run_id))?;
    }
    writeln!(output, "seq             {}", entry.seq)?;
    writeln!(output, "ts_init         {}", view.time.of(entry.ts_init))?;
    writeln!(output, "ts_publish      {}", view.time.of(entry.ts_publish))?;
    writeln!(output, "topic           {}", escaped(entry.topic))?;
    writeln!(output, "payload_type    {}", escaped(entry.payload_type))?;
    writeln!(output, "correlation_id  {}", or_dash(entry.headers.correlation_id))?;
    writeln!(output, "causation_id    {}", or_dash(entry.headers.causation_id))?;
    entry.keys.try_for_each(|kind, key| writeln!(output, "key             {kind}={}", escaped(key)))?;
    writeln!(output, "entry_hash      {}", entry.hash)?;
    let shown = Shown::of(entry.payload, view.payload, view.numbers);
    if shown == Shown::Nothing {
        return Ok(());
    }
    write!(output, "payload         ")?;
    shown.write_text(output)?;
    output.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use tapelog::IndexKind;

    use super::super::fixtures::{entry, view, written};
    use super::*;
    use crate::entry::Keys;
    use crate::output::payload::PayloadForm;
    use crate::output::time::TimeForm;
    use crate::output::view::Format;

    #[test]
    fn a_line_has_no_control_characters() {
        let line = |payload| written(&entry(payload), view(Format::Text));
        assert_eq!(line(b"[\n1 ]"), "18446744073709551615  2023-11-14T22:13:20.000000001Z  a\\u{1b}b  Type  [1]\n");
        assert!(line(b"\xFF").ends_with("  base64:/w==\n"));
    }

    #[test]
    fn the_run_stands_first_where_more_than_one_is_shown() {
        let line = written(&Entry { run_id: Some("r-1"), ..entry(b"1") }, view(Format::Text));
        assert!(line.starts_with("r-1  18446744073709551615  2023"), "{line}");
    }

    #[test]
    fn time_and_payload_are_as_asked_for() {
        let view = View { payload: PayloadForm::None, time: TimeForm::Nanos, ..view(Format::Text) };
        assert_eq!(written(&entry(b"1"), view), "18446744073709551615  1700000000000000001  a\\u{1b}b  Type\n");
    }

    #[test]
    fn every_field_has_a_line() {
        let mut output = Vec::new();
        let keys = Keys::Listed(&[(IndexKind::ClientOrderId, "O\t1"), (IndexKind::VenueOrderId, "V")]);
        write_fields(&Entry { keys, ..entry(b"{\"a\": 1}") }, view(Format::Text), &mut output).unwrap();
        let hash = "ab".repeat(32);
        assert_eq!(
            String::from_utf8(output).unwrap(),
            format!(
                "seq             18446744073709551615\nts_init         2023-11-14T22:13:20.000000001Z\n\
                 ts_publish      2023-11-14T22:13:20.000000002Z\ntopic           a\\u{{1b}}b\npayload_type    Type\n\
                 correlation_id  -\ncausation_id    -\nkey             ClientOrderId=O\\u{{9}}1\n\
                 key             VenueOrderId=V\nentry_hash      {hash}\npayload         {{\"a\":1}}\n"
            )
        );
    }
}
