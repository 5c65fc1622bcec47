//! Whole numbers in JSON: as numbers, or as strings for readers whose numbers are doubles.

use std::fmt::Display;
use std::io::{self, Write};

use clap::Args;
use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use super::text::escaped_json;

/// The option by which whole numbers become strings.
#[derive(Debug, Clone, Copy, Args)]
pub struct NumberArguments {
    /// In JSON, write whole numbers as strings, for readers that would round those beyond 2^53
    #[arg(long, requires = "json")]
    json_strings: bool,
}

impl NumberArguments {
    /// What is asked for.
    pub fn numbers(self) -> Numbers {
        if self.json_strings { Numbers::Strings } else { Numbers::Plain }
    }
}

/// How whole numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// As JSON numbers, with every digit.
    Plain,
    /// As JSON strings, with every digit.
    Strings,
}

impl Numbers {
    /// Writes `value` as compact JSON, all of which a terminal takes as text. JSON that `value` holds as text stays the
    /// same value.
    ///
    /// # Errors
    ///
    /// Those of `output`.
    pub fn write(self, value: &(impl Serialize + ?Sized), output: &mut impl Write) -> io::Result<()> {
        Ok(value.serialize(&mut Serializer::with_formatter(output, self))?)
    }
}

impl Numbers {
    fn write_whole<W: ?Sized + Write>(self, writer: &mut W, value: impl Display) -> io::Result<()> {
        match self {
            Self::Plain => write!(writer, "{value}"),
            Self::Strings => write!(writer, "\"{value}\""),
        }
    }
}

impl Formatter for Numbers {
    // Whatever becomes JSON comes through here, and names and strings of others are in most of it.
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        writer.write_all(escaped_json(fragment).as_bytes())
    }

    fn write_raw_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        writer.write_all(escaped_json(fragment).as_bytes())
    }

    fn write_u8<W: ?Sized + Write>(&mut self, writer: &mut W, value: u8) -> io::Result<()> {
        self.write_whole(writer, value)
    }

    fn write_u16<W: ?Sized + Write>(&mut self, writer: &mut W, value: u16) -> io::Result<()> {
        self.write_whole(writer, value)
    }

    fn write_u32<W: ?Sized + Write>(&mut self, writer: &mut W, value: u32) -> io::Result<()> {
        self.write_whole(writer, value)
    }

    fn write_u64<W: ?Sized + Write>(&mut self, writer: &mut W, value: u64) -> io::Result<()> {
        self.write_whole(writer, value)
    }

    fn write_i8<W: ?Sized + Write>(&mut self, writer: &mut W, value: i8) -> io::Result<()> {
        self.write_whole(writer, value)
    }

    fn write_i16<W: ?Sized + Write>(&mut self, writer: &mut W, value: i16) -> io::Result<()> {
        self.write_whole(writer, value)
    }

    fn write_i32<W: ?Sized + Write>(&mut self, writer: &mut W, value: i32) -> io::Result<()> {
        self.write_whole(writer, value)
    }

    fn write_i64<W: ?Sized + Write>(&mut self, writer: &mut W, value: i64) -> io::Result<()> {
        self.write_whole(writer, value)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[derive(Serialize)]
    struct Fields<'a> {
        whole: u64,
        negative: i64,
        small: u32,
        broken: f64,
        yes: bool,
        raw: &'a RawValue,
    }

    fn written(numbers: Numbers) -> String {
        let raw: &RawValue = serde_json::from_str("[1, 2.50]").unwrap();
        let fields = Fields { whole: u64::MAX, negative: i64::MIN, small: 7, broken: 0.5, yes: true, raw };
        let mut output = Vec::new();
        numbers.write(&fields, &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn what_a_terminal_would_act_on_is_escaped_in_names_strings_and_json_of_others() {
        let raw: &RawValue = serde_json::from_str("[\"\u{9b}\"]").unwrap();
        let names = std::collections::BTreeMap::from([("a\u{7f}", "\u{1b}\u{9b}31m\u{202e}\u{feff}\"\\")]);
        let mut output = Vec::new();
        Numbers::Plain.write(&(raw, names), &mut output).unwrap();
        let expected = r#"[["\u009b"],{"a\u007f":"\u001b\u009b31m\u202e\ufeff\"\\"}]"#;
        assert_eq!(String::from_utf8(output).unwrap(), expected);
    }

    #[test]
    fn only_whole_numbers_become_strings() {
        assert_eq!(
            written(Numbers::Plain),
            r#"{"whole":18446744073709551615,"negative":-9223372036854775808,"small":7,"broken":0.5,"yes":true,"raw":[1, 2.50]}"#
        );
        assert_eq!(
            written(Numbers::Strings),
            r#"{"whole":"18446744073709551615","negative":"-9223372036854775808","small":"7","broken":0.5,"yes":true,"raw":[1, 2.50]}"#
        );
    }
}
