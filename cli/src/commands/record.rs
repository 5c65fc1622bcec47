//! `tapelog record`: lines of JSON become a sealed run.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use tapelog::{Durability, RunListing, RunStatus, SegmentBackend, SystemClock, UnixNanos, build_run_id, validate_id};

use crate::exit::{Failure, Verdict};
use crate::input::{BadLine, Input, LINE_LEN_MAX, parse_rfc3339};
use crate::output::{Output, Progress, tell};
use crate::record::{Batch, End, Message, Options, Reader, Recorder, Summary, manifest};
use crate::signals::stop_flag;

/// Batches that wait while another is made durable.
const BATCHES_WAITING: usize = 4;

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

/// Record lines of JSON, one event a line, as a run.
///
/// When reading ends, whether the input has ended, a line is bad or Ctrl-C was pressed, all that was read is
/// durable and the run is sealed.
///
/// Exit code: 0 recorded, 2 a line was bad under `--on-error stop`, or something could not be done.
#[derive(Debug, Args)]
#[command(after_help = FIELDS)]
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
    #[arg(long, value_name = "TIME", value_parser = parse_start)]
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
}

/// What to do at a line that is no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnError {
    /// End there, with exit code 2
    Stop,
    /// Tell of it and go on
    Skip,
}

fn parse_start(text: &str) -> Result<UnixNanos, String> {
    match text.parse() {
        Ok(nanos) => Ok(UnixNanos::new(nanos)),
        Err(_) => parse_rfc3339(text),
    }
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
    validate_id("instance id", &arguments.instance).map_err(Failure::new)?;
    if let Some(run_id) = &arguments.run {
        validate_id("run id", run_id).map_err(Failure::new)?;
        refuse_existing(&arguments.base, &arguments.instance, run_id)?;
    }
    let input = Input::open(&arguments.file).map_err(|error| Failure::new(format!("cannot open {}: {error}", arguments.file.display())))?;
    if input.is_terminal() {
        tell("reading lines of JSON from the terminal; Ctrl-D ends them");
    }
    let stop = stop_flag().map_err(|error| Failure::new(format!("cannot listen for signals: {error}")))?;
    let progress = Progress::new(input.len());
    let mut recording = Recording { arguments, progress, recorder: None, run_id: None, bytes_read: 0, bad_lines: 0, first_bad_line: None };
    let begun = Instant::now();
    let end = recording.record(input, &stop)?;
    recording.seal()?;
    recording.progress.finish();
    let mut output = Output::new();
    let summary = recording.summary(end, begun.elapsed());
    if arguments.json {
        output.json(&summary)?;
    } else {
        output.with(|writer| summary.write_text(writer))?;
    }
    output.finish()?;
    Ok(if matches!(end, End::BadLine | End::ReadFailed) { Verdict::Incomplete } else { Verdict::Done })
}

/// A run that is there already is refused before any input is read.
fn refuse_existing(base: &Path, instance: &str, run_id: &str) -> Result<(), Failure> {
    let path = SegmentBackend::new(base).run_path(instance, run_id);
    if !path.is_dir() {
        return Ok(());
    }
    let listed = SegmentBackend::scan_runs(base, instance).map_err(|error| Failure::at(base, &error))?;
    let Some(RunListing { live, manifest, .. }) = listed.into_iter().find(|listing| listing.run_id == run_id) else { return Ok(()) };
    let manifest = manifest.map_err(|error| Failure::at(&path, &error))?;
    let path = path.display();
    Err(Failure::new(match manifest.status {
        RunStatus::Running if live => format!("{path}: the run is being written by another process; choose another --run"),
        RunStatus::Running => format!(
            "{path}: the run was left running; seal it with `tapelog recover {} {instance} --apply`, and record into another --run",
            base.display()
        ),
        status => format!("{path}: the run is there already and sealed ({status}); choose another --run"),
    }))
}

/// A recording under way.
struct Recording<'a> {
    arguments: &'a Arguments,
    progress: Progress,
    recorder: Option<Recorder<SegmentBackend, SystemClock>>,
    run_id: Option<String>,
    bytes_read: u64,
    bad_lines: u64,
    first_bad_line: Option<BadLine>,
}

impl Recording<'_> {
    fn record(&mut self, input: Input, stop: &Arc<AtomicBool>) -> Result<End, Failure> {
        let options = Options {
            line_len_max: LINE_LEN_MAX,
            batch_len: self.arguments.batch as usize,
            stops_at_bad_line: self.arguments.on_error == OnError::Stop,
            start: self.arguments.start,
        };
        let (sender, receiver) = sync_channel(BATCHES_WAITING);
        let stop_reading = Arc::clone(stop);
        let reader = std::thread::Builder::new()
            .name("reader".to_owned())
            .spawn(move || Reader::new(input, options).run(&stop_reading, &sender))
            .map_err(|error| Failure::new(format!("cannot start a thread: {error}")))?;
        let ended = self.take_messages(&receiver);
        let interrupted = stop.swap(true, Ordering::Relaxed);
        drop(receiver);
        if reader.join().is_err() {
            return Err(Failure::new("the thread that reads the input has failed"));
        }
        Ok(match ended? {
            End::InputEnded if interrupted => End::Interrupted,
            end => end,
        })
    }

    fn take_messages(&mut self, receiver: &Receiver<Message>) -> Result<End, Failure> {
        let mut end = End::InputEnded;
        for message in receiver {
            match message {
                Message::Batch(batch) => self.append(batch)?,
                Message::Bad(bad) => {
                    if self.arguments.on_error == OnError::Stop {
                        end = End::BadLine;
                    }
                    self.refuse(bad);
                }
                Message::Failed(error) => {
                    end = End::ReadFailed;
                    self.progress.aside(|| tell(format_args!("cannot read {}: {error}", self.arguments.file.display())));
                }
            }
        }
        Ok(end)
    }

    fn append(&mut self, batch: Batch) -> Result<(), Failure> {
        let Some(first) = batch.events.first() else { return Ok(()) };
        let mut recorder = match self.recorder.take() {
            Some(recorder) => recorder,
            None => self.open(self.arguments.start.unwrap_or(first.ts_init))?,
        };
        let appended = recorder.append(batch.events);
        let entries = recorder.entries();
        self.recorder = Some(recorder);
        self.bytes_read = batch.bytes_read;
        self.progress.set(self.bytes_read, format!("{entries} entries"));
        appended.map_err(|error| self.broken(&error))
    }

    fn open(&mut self, start: UnixNanos) -> Result<Recorder<SegmentBackend, SystemClock>, Failure> {
        let Arguments { base, instance, run, durability, segment_len, .. } = self.arguments;
        let run_id = run.clone().unwrap_or_else(|| build_run_id(start));
        let store = SegmentBackend::builder(base)
            .segment_len(*segment_len)
            .durability(*durability)
            .build()
            .map_err(|error| Failure::at(base, &error))?;
        let path = store.run_path(instance, &run_id);
        let recorder =
            Recorder::open(store, SystemClock, manifest(instance, &run_id, start)).map_err(|error| Failure::at(&path, &error))?;
        self.run_id = Some(run_id);
        Ok(recorder)
    }

    fn refuse(&mut self, bad: BadLine) {
        self.progress.aside(|| tell(format_args!("{}: {bad}", self.arguments.file.display())));
        self.bad_lines += 1;
        self.first_bad_line.get_or_insert(bad);
    }

    /// Whatever broke the store off, what it acknowledged is there.
    fn broken(&self, error: &tapelog::EventStoreError) -> Failure {
        let entries = self.recorder.as_ref().map_or(0, Recorder::durable);
        let (base, instance) = (self.arguments.base.display(), &self.arguments.instance);
        let run_id = self.run_id.as_deref().unwrap_or_default();
        Failure::Told(
            format!(
                "{error}\nthe run {run_id} is not sealed; its first {entries} entries are durable; \
                 `tapelog recover {base} {instance} --apply` seals it"
            ),
            Verdict::of(error),
        )
    }

    fn seal(&mut self) -> Result<(), Failure> {
        match self.recorder.as_mut().map(Recorder::seal) {
            Some(Err(error)) => Err(self.broken(&error)),
            _ => Ok(()),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate is shown to a few digits")]
    fn summary(&self, end: End, elapsed: Duration) -> Summary {
        let Arguments { base, instance, .. } = self.arguments;
        let path = self.run_id.as_ref().map(|run_id| SegmentBackend::new(base).run_path(instance, run_id));
        let recorder = self.recorder.as_ref();
        let entries = recorder.map_or(0, Recorder::entries);
        let latencies = recorder.map(Recorder::latencies).cloned().unwrap_or_default();
        let seconds = elapsed.as_secs_f64();
        Summary {
            instance_id: instance.clone(),
            run_id: self.run_id.clone(),
            end,
            entries,
            batches: latencies.total(),
            input_bytes: self.bytes_read,
            payload_bytes: recorder.map_or(0, Recorder::payload_bytes),
            run_bytes: path.as_deref().map_or(0, folder_len),
            path: path.map(|path| path.to_string_lossy().into_owned()),
            seconds,
            entries_per_second: if seconds > 0.0 { entries as f64 / seconds } else { 0.0 },
            commit_latency_ns: (&latencies).into(),
            bad_lines: self.bad_lines,
            first_bad_line: self.first_bad_line.as_ref().map(Into::into),
        }
    }
}

/// The bytes of all files in a run's folder; a file that cannot be looked at counts for nothing.
fn folder_len(path: &Path) -> u64 {
    let files = std::fs::read_dir(path).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).filter(std::fs::Metadata::is_file).map(|metadata| metadata.len()).sum()
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

    #[test]
    fn a_start_is_nanoseconds_or_rfc3339() {
        assert_eq!(parse_start("17"), Ok(UnixNanos::from(17)));
        assert_eq!(parse_start("1970-01-01T00:00:01Z"), Ok(UnixNanos::from(1_000_000_000)));
        assert!(parse_start("tomorrow").is_err());
    }
}
