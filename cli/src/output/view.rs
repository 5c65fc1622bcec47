//! How entries are shown: the options that `cat`, `get` and `follow` share.

use clap::{Args, ValueEnum};

use super::numbers::Numbers;
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
  payload_text      string; instead of payload, if it is printable text, or with --payload text
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
    /// The form of the output [default: text]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The same as `--format json`
    #[arg(long)]
    json: bool,
    /// The form of the payload, in text and in JSON [default: auto]
    #[arg(long, value_name = "FORM", value_enum)]
    payload: Option<PayloadForm>,
    #[command(flatten)]
    time: TimeArguments,
    /// In JSON, write whole numbers as strings, for readers that would round those beyond 2^53
    #[arg(long)]
    json_strings: bool,
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
    /// Where options contradict each other. And raw bytes are not written to a terminal, which would act on them.
    pub fn view(self, terminal: bool) -> Result<View, Failure> {
        let refuse = |message: &str| Err(Failure::new(message));
        let format = match (self.json, self.format) {
            (true, Some(Format::Text | Format::Raw)) => {
                return refuse("--json is --format json, and another --format is given; leave out one");
            }
            (true, _) => Format::Json,
            (false, format) => format.unwrap_or(Format::Text),
        };
        if format == Format::Raw && self.payload.is_some() {
            return refuse("--format raw is the payloads to the byte, and --payload changes their form; leave out one");
        }
        if format != Format::Text && self.time.is_given() {
            return refuse("--time is the form of times in text, and the output is none; leave it out");
        }
        if format != Format::Json && self.json_strings {
            return refuse("--json-strings is a form of JSON, and the output is none; add --json or leave it out");
        }
        if format == Format::Raw && terminal {
            return Err(Failure::new("raw payloads are not for a terminal, which would act on them; send them to a file or a pipe"));
        }
        let numbers = if self.json_strings { Numbers::Strings } else { Numbers::Plain };
        Ok(View { format, payload: self.payload.unwrap_or(PayloadForm::Auto), time: self.time.form(), numbers })
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
    fn json_is_a_format_and_of_two_formats_the_last_counts() {
        assert_eq!(format(&[]), Format::Text);
        assert_eq!(format(&["--json"]), Format::Json);
        assert_eq!(format(&["--format", "json", "--json"]), Format::Json);
        assert_eq!(format(&["--format", "raw", "--format", "text"]), Format::Text);
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        for (arguments, part) in [
            (&["--format", "raw", "--json"][..], "another --format"),
            (&["--json", "--format", "text"], "another --format"),
            (&["--format", "raw", "--payload", "hex"], "leave out one"),
            (&["--format", "raw", "--time", "nanos"], "times in text"),
            (&["--format", "json", "--time", "nanos"], "times in text"),
            (&["--json-strings"], "--json-strings"),
            (&["--format", "raw", "--json-strings"], "--json-strings"),
        ] {
            assert!(view(arguments, false).unwrap_err().message.contains(part), "{arguments:?}");
        }
        assert!(view(&["--format", "json", "--json-strings", "--payload", "hex"], false).is_ok());
    }

    #[test]
    fn raw_bytes_are_kept_from_a_terminal() {
        assert!(view(&["--format", "raw"], true).unwrap_err().message.contains("a file or a pipe"));
        assert!(view(&["--json"], true).is_ok());
    }
}
