//! One recording from its first line to the sealed run.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use tapelog::{Durability, EventStoreError, RunListing, RunStatus, SegmentBackend, SystemClock, UnixNanos, build_run_id, validate_id};

use super::reader::{Batch, Message, Options, Reader};
use super::recorder::{Recorder, manifest};
use super::summary::{End, Summary};
use crate::exit::{Failure, Verdict};
use crate::input::{BadLine, Input, LINE_LEN_MAX};
use crate::output::{Progress, tell};
use crate::signals::stop_flag;

/// Batches that wait while another is made durable.
const BATCHES_WAITING: usize = 4;

/// What to record, where, and how.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The lines; `-` is the standard input.
    pub file: PathBuf,
    /// The folder that holds all runs.
    pub base: PathBuf,
    /// The trading instance.
    pub instance: String,
    /// The run's id; without it one is made of the run's start.
    pub run: Option<String>,
    /// The run's start; without it that of the first event.
    pub start: Option<UnixNanos>,
    /// Most events in a batch.
    pub batch_len: usize,
    /// When a batch is acknowledged.
    pub durability: Durability,
    /// The size of a segment, in bytes.
    pub segment_len: u64,
    /// Whether a bad line is the end.
    pub stops_at_bad_line: bool,
}

/// A recording under way.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    input: Option<Input>,
    progress: Progress,
    recorder: Option<Recorder<SegmentBackend, SystemClock>>,
    run_id: Option<String>,
    bytes_read: u64,
    bad_lines: u64,
    first_bad_line: Option<BadLine>,
}

impl Session {
    /// Checks what can be checked before anything is read or made.
    ///
    /// # Errors
    ///
    /// Ids that cannot name a folder, a run that is there already, an input that cannot be opened.
    pub fn new(settings: Settings) -> Result<Self, Failure> {
        let Settings { file, base, instance, run, .. } = &settings;
        validate_id("instance id", instance).map_err(Failure::new)?;
        if let Some(run_id) = run {
            validate_id("run id", run_id).map_err(Failure::new)?;
            refuse_existing(base, instance, run_id)?;
        }
        let input = Input::open(file).map_err(|error| Failure::new(format!("cannot open {}: {error}", file.display())))?;
        let progress = Progress::new(input.len());
        Ok(Self { settings, input: Some(input), progress, recorder: None, run_id: None, bytes_read: 0, bad_lines: 0, first_bad_line: None })
    }

    /// Records until the input ends, a line is bad or a signal comes, and seals the run.
    ///
    /// # Errors
    ///
    /// What the store refused. Bad lines and an input that breaks off are no errors of the recording.
    pub fn record(mut self) -> Result<Summary, Failure> {
        let begun = Instant::now();
        let end = self.read_all()?;
        if let Some(Err(error)) = self.recorder.as_mut().map(Recorder::seal) {
            return Err(self.broken(&error));
        }
        self.progress.finish();
        Ok(self.summary(end, begun.elapsed()))
    }

    fn read_all(&mut self) -> Result<End, Failure> {
        let Some(input) = self.input.take() else { return Ok(End::InputEnded) };
        let stop = stop_flag().map_err(|error| Failure::new(format!("cannot listen for signals: {error}")))?;
        if input.is_terminal() {
            tell("reading lines of JSON from the terminal; Ctrl-D ends them");
        }
        let options = Options {
            line_len_max: LINE_LEN_MAX,
            batch_len: self.settings.batch_len,
            stops_at_bad_line: self.settings.stops_at_bad_line,
            start: self.settings.start,
        };
        let (sender, receiver) = sync_channel(BATCHES_WAITING);
        let stop_reading = Arc::clone(&stop);
        let reader = std::thread::Builder::new()
            .name("reader".to_owned())
            .spawn(move || Reader::new(input, options).run(&stop_reading, &sender))
            .map_err(|error| Failure::new(format!("cannot start a thread: {error}")))?;
        let ended = self.take_messages(&receiver);
        let interrupted = stop.swap(true, Ordering::Relaxed);
        drop(receiver);
        let Ok(bytes_read) = reader.join() else {
            return Err(Failure::new("the thread that reads the input has failed"));
        };
        self.bytes_read = bytes_read;
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
                    if self.settings.stops_at_bad_line {
                        end = End::BadLine;
                    }
                    self.refuse(bad);
                }
                Message::Failed(error) => {
                    end = End::ReadFailed;
                    self.progress.aside(|| tell(format_args!("cannot read {}: {error}", self.settings.file.display())));
                }
            }
        }
        Ok(end)
    }

    fn append(&mut self, batch: Batch) -> Result<(), Failure> {
        let Some(first) = batch.events.first() else { return Ok(()) };
        let mut recorder = match self.recorder.take() {
            Some(recorder) => recorder,
            None => self.open(self.settings.start.unwrap_or(first.ts_init))?,
        };
        let appended = recorder.append(batch.events);
        let entries = recorder.entries();
        self.recorder = Some(recorder);
        self.progress.set(batch.bytes_read, format!("{entries} entries"));
        appended.map_err(|error| self.broken(&error))
    }

    fn open(&mut self, start: UnixNanos) -> Result<Recorder<SegmentBackend, SystemClock>, Failure> {
        let Settings { base, instance, run, durability, segment_len, .. } = &self.settings;
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
        self.progress.aside(|| tell(format_args!("{}: {bad}", self.settings.file.display())));
        self.bad_lines += 1;
        self.first_bad_line.get_or_insert(bad);
    }

    /// Whatever broke the store off, what it acknowledged is there.
    fn broken(&self, error: &EventStoreError) -> Failure {
        let entries = self.recorder.as_ref().map_or(0, Recorder::durable);
        let (base, instance) = (self.settings.base.display(), &self.settings.instance);
        let run_id = self.run_id.as_deref().unwrap_or_default();
        let message = format!(
            "{error}\nthe run {run_id} is not sealed; its first {entries} entries are durable; \
             `tapelog recover {base} {instance} --apply` seals it"
        );
        Failure { message, verdict: Verdict::of(error) }
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate is shown to a few digits")]
    fn summary(&self, end: End, elapsed: Duration) -> Summary {
        let Settings { base, instance, .. } = &self.settings;
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

/// The bytes of all files in a run's folder; a file that cannot be looked at counts for nothing.
fn folder_len(path: &Path) -> u64 {
    let files = std::fs::read_dir(path).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).filter(std::fs::Metadata::is_file).map(|metadata| metadata.len()).sum()
}
