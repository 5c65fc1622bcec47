//! How entries are shown: the options that `cat`, `get` and `follow` share.

use clap::{Args, ValueEnum};

use super::numbers::{NumberArguments, Numbers};
use super::payload::PayloadForm;
use super::time::{TimeArguments, TimeForm};
use crate::exit::Failure;

/// What every line of JSON holds, for the long help.
pub const ENTRY_FIELDS: &str = "\
JSON, one entry a line, fields in this order (a number is a whole number, and a string with --json-strings):
  run_id            string; the run, with cat --chain and follow
  seq               number; the entry's place in its run, from 1
  ts_init           number; nanoseconds since 1970
  ts_publish        number; nanoseconds since 1970
  topic             string
  payload_type      string
  correlation_id    string, a UUID; absent without one
  causation_id      string, a UUID; absent without one
  keys              array of objects with kind (\"ClientOrderId\" or \"VenueOrderId\") and key (string)
  payload           any JSON: the payload, or the same value in JSON if it was MessagePack
  payload_encoding  \"msgpack\"; only beside a payload that was MessagePack
  payload_text      string; instead of payload, if it is printable text
  payload_base64    string; instead of payload, if it is anything else
  payload_hex       string; instead of payload, with --payload hex
  payload_error     string; beside payload_base64, why it is not what --payload asked for
  entry_hash        string; 64 hexadecimal digits

MessagePack in JSON: bytes are {\"$base64\":\"...\"}, extensions {\"$ext\":[type,\"base64\"]}, and what JSON has no number for
is \"NaN\", \"inf\" or \"-inf\". A key that is not text is the JSON of its value. Members keep their order, and repeated ones
stay. Whole numbers keep every digit; with --json-strings those beyond 2^53 are strings.";

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// Every field, one entry a line of JSON
    Json,
    /// The bytes of the payloads and nothing else, one behind the other
    Raw,
}

/// How entries are shown.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "How to show them")]
pub struct ViewArguments {
    /// The form of the output
    #[arg(long, value_enum, default_value_t = Format::Text, overrides_with = "json")]
    format: Format,
    /// The same as `--format json`
    #[arg(long, overrides_with = "format")]
    json: bool,
    /// The form of the payload, in text and in JSON
    #[arg(long, value_name = "FORM", value_enum, default_value_t = PayloadForm::Auto)]
    payload: PayloadForm,
    #[command(flatten)]
    time: TimeArguments,
    #[command(flatten)]
    numbers: NumberArguments,
}

/// How entries are shown, as settled.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// The form of the output.
    pub format: Format,
    /// The form of the payload.
    pub payload: PayloadForm,
    /// The form of times in text.
    pub time: TimeForm,
    /// The form of whole numbers in JSON.
    pub numbers: Numbers,
}

impl ViewArguments {
    /// What is asked for.
    ///
    /// # Errors
    ///
    /// Raw bytes are not written to a terminal, which would act on them.
    pub fn view(self, terminal: bool) -> Result<View, Failure> {
        let format = if self.json { Format::Json } else { self.format };
        if format == Format::Raw && terminal {
            return Err(Failure::new("raw payloads are not for a terminal, which would act on them; send them to a file or a pipe"));
        }
        Ok(View { format, payload: self.payload, time: self.time.form(), numbers: self.numbers.numbers() })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    #[command(args_override_self = true)]
    struct CommandLine {
        #[command(flatten)]
        view: ViewArguments,
    }

    fn view(arguments: &[&str], terminal: bool) -> Result<View, Failure> {
        CommandLine::try_parse_from([&["x"], arguments].concat()).unwrap_or_else(|error| panic!("{error}")).view.view(terminal)
    }

    fn format(arguments: &[&str]) -> Format {
        view(arguments, false).unwrap().format
    }

    #[test]
    fn of_two_formats_the_last_counts() {
        assert_eq!(format(&[]), Format::Text);
        assert_eq!(format(&["--json"]), Format::Json);
        assert_eq!(format(&["--format", "raw", "--json"]), Format::Json);
        assert_eq!(format(&["--json", "--format", "raw"]), Format::Raw);
        assert_eq!(format(&["--json", "--json", "--format", "raw", "--format", "text"]), Format::Text);
    }

    #[test]
    fn raw_bytes_are_kept_from_a_terminal() {
        assert!(view(&["--format", "raw"], true).unwrap_err().message.contains("a file or a pipe"));
        assert!(view(&["--json"], true).is_ok());
    }
}
