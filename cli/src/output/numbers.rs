//! Whole numbers in JSON: as numbers, or as strings for readers whose numbers are doubles.

use std::fmt::Display;
use std::io::{self, Write};

use clap::Args;
use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

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
    /// Writes `value` as compact JSON. JSON that `value` holds as text stays as it is.
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
