//! `tapelog record`: lines of JSON become a sealed run.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tapelog::{Durability, UnixNanos};

use crate::exit::{Failure, Verdict};
use crate::input::parse_time_argument;
use crate::output::{NumberArguments, Output};
use crate::record::{End, Session, Settings};

const FIELDS: &str = "\
Fields of a line:
  topic            text
  payload_type     text
  payload          any JSON; stored as its text without the space between tokens
  payload_base64   instead of payload: text in base64; stored as the bytes it stands for
  ts_init          whole nanoseconds since 1970, or RFC 3339 text
  correlation_id   UUID, optional
  causation_id     UUID, optional
  client_order_id  text, optional; the entry is found by it
  venue_order_id   text, optional; the entry is found by it

Any other field is an error. An optional field may be null. Blank lines are passed over.";

const JSON_FIELDS: &str = "\
JSON, one object (a number is a whole number, and a string with --json-strings):
  instance_id         string
  run_id              string; null when no event was read, so that there is no run
  path                string; null likewise
  end                 \"input-ended\", \"interrupted\", \"bad-line\" or \"read-failed\"
  entries             number
  batches             number
  input_bytes         number
  payload_bytes       number
  run_bytes           number; what the run's folder takes
  seconds             decimal
  entries_per_second  decimal
  commit_latency_ns   object with the numbers p50, p99 and max
  bad_lines           number
  first_bad_line      object with line (number), field (string or null) and reason (string); or null";

/// Record lines of JSON, one event a line, as a run.
///
/// When reading ends, whether the input has ended, a line is bad or Ctrl-C was pressed, all that was read is
/// durable and the run is sealed.
///
/// Exit code: 0 recorded, 2 a line was bad under `--on-error stop`, or something could not be done.
#[derive(Debug, Args)]
#[command(after_help = FIELDS, after_long_help = format!("{FIELDS}\n\n{JSON_FIELDS}"))]
pub struct Arguments {
    /// The lines; `-` is the standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// The folder that holds all runs; it is made if need be
    #[arg(long, value_name = "DIR")]
    base: PathBuf,
    /// The trading instance that the run belongs to
    #[arg(long, value_name = "NAME", default_value = "default")]
    instance: String,
    /// The run's id, which must be new [default: made of the first event's `ts_init`]
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// When the run begins; no event may lie before it [default: the first event's `ts_init`]
    #[arg(long, value_name = "TIME", value_parser = parse_time_argument)]
    start: Option<UnixNanos>,
    /// Most events that become durable together; fewer do when no more input waits
    #[arg(long, value_name = "COUNT", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: u32,
    /// `synced`: each batch is on disk before the next begins. `buffered` or `buffered=TIME` (such as `5ms`):
    /// it is there when TIME has passed [default TIME: 10ms]
    #[arg(long, value_name = "HOW", default_value = "synced", value_parser = parse_durability)]
    durability: Durability,
    /// The size of a segment file, in bytes: a multiple of 4096
    #[arg(long, value_name = "BYTES", default_value_t = tapelog::limits::SEGMENT_LEN_DEFAULT)]
    segment_len: u64,
    /// What to do at a line that is no event
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = OnError::Stop)]
    on_error: OnError,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    numbers: NumberArguments,
}

/// What to do at a line that is no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnError {
    /// End there, with exit code 2
    Stop,
    /// Tell of it and go on
    Skip,
}

fn parse_durability(text: &str) -> Result<Durability, String> {
    let sync_every = match text.split_once('=') {
        None if text == "synced" => return Ok(Durability::Synced),
        None if text == "buffered" => Duration::from_millis(10),
        Some(("buffered", time)) => parse_duration(time)?,
        _ => return Err("expected synced, buffered or buffered=TIME".to_owned()),
    };
    Ok(Durability::Buffered { sync_every })
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|first: char| first.is_ascii_digit()).len();
    let (count, unit) = text.split_at(digits);
    let micros: u64 = match unit {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        _ => return Err(format!("{text:?} is not a whole number with the unit us, ms or s")),
    };
    let count: u64 = count.parse().map_err(|_| format!("{text:?} does not begin with a whole number"))?;
    Ok(Duration::from_micros(count.saturating_mul(micros)))
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let recorded = Session::new(arguments.settings())?.record()?;
    let mut output = Output::new();
    if arguments.json {
        output.json(&recorded, arguments.numbers.numbers())?;
    } else {
        output.with(|writer| recorded.write_text(writer))?;
    }
    output.finish()?;
    Ok(if matches!(recorded.end, End::BadLine | End::ReadFailed) { Verdict::Incomplete } else { Verdict::Done })
}

impl Arguments {
    fn settings(&self) -> Settings {
        Settings {
            file: self.file.clone(),
            base: self.base.clone(),
            instance: self.instance.clone(),
            run: self.run.clone(),
            start: self.start,
            batch_len: self.batch as usize,
            durability: self.durability,
            segment_len: self.segment_len,
            stops_at_bad_line: self.on_error == OnError::Stop,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durability_is_synced_or_buffered_with_a_time() {
        let buffered = |sync_every| Ok(Durability::Buffered { sync_every });
        assert_eq!(parse_durability("synced"), Ok(Durability::Synced));
        assert_eq!(parse_durability("buffered"), buffered(Duration::from_millis(10)));
        assert_eq!(parse_durability("buffered=250us"), buffered(Duration::from_micros(250)));
        assert_eq!(parse_durability("buffered=5ms"), buffered(Duration::from_millis(5)));
        assert_eq!(parse_durability("buffered=2s"), buffered(Duration::from_secs(2)));
        for text in ["", "sync", "synced=5ms", "buffered=", "buffered=5", "buffered=ms", "buffered=-5ms", "buffered=5 ms", "buffered=5m"] {
            assert!(parse_durability(text).is_err(), "{text} was taken");
        }
    }
}
