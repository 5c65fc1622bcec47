//! `tapelog follow`: the entries of a run as they come.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use tapelog::{ChainFollower, Check, EventStoreError, FollowOptions, IndexKey, Progress, RunEnd, RunReader, SegmentBackend, Visibility};

use crate::entry::Entry;
use crate::exit::{Failure, Verdict};
use crate::filter::{Filter, parse_key};
use crate::open::{holds_run, reader_options};
use crate::output::{ENTRY_FIELDS, Format, Output, ViewArguments, tell};
use crate::printer::Printer;
use crate::signals::stop_flag;

/// How long a wait for entries goes on without a look at signals and at whoever reads the output.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How many of the entries that are there are shown first by default.
const LAST_DEFAULT: u64 = 10;
/// How long nobody may write a run before that is told.
const QUIET_MAX: Duration = Duration::from_secs(1);

/// Show the entries of a run as they come, and go on in the run that goes on from it.
///
/// Only whole batches are shown, and only what is durable: nothing that was shown is taken back, whatever becomes of the
/// process that writes. A run that was left running is followed on once it is recovered, and then its child is. When a run
/// ends, and when another one is followed, it is told on the standard error. Ctrl-C ends it with exit code 0.
#[derive(Debug, Args)]
#[command(after_long_help = ENTRY_FIELDS)]
pub struct Arguments {
    /// The folder of a run, or of an instance: then its newest run, which is waited for if there is none
    #[arg(value_name = "RUN|INSTANCE")]
    path: PathBuf,
    /// Begin with the last COUNT entries that are there, or with `all` of them; the other options choose among them
    /// [default: 10, and all with --from or --since]
    #[arg(short = 'n', long = "lines", value_name = "COUNT", value_parser = parse_count)]
    last: Option<u64>,
    /// Stop at the end of the run, and wait for no other
    #[arg(long)]
    until_end: bool,
    /// Show everything whole that is written, though a loss of power may yet take it back
    #[arg(long)]
    written: bool,
    /// Only entries that bring this key: `client_order_id=VALUE` or `venue_order_id=VALUE`. Given more than once, one of
    /// them
    #[arg(long = "key", value_name = "KIND=VALUE", value_parser = parse_key, help_heading = "Which entries")]
    keys: Vec<IndexKey>,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    view: ViewArguments,
}

fn parse_count(text: &str) -> Result<u64, String> {
    if text == "all" {
        return Ok(u64::MAX);
    }
    text.parse().map_err(|_| "neither a number nor `all`".to_owned())
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let view = arguments.view.view(Output::is_terminal())?;
    let stop = stop_flag().map_err(|error| Failure::new(format!("cannot listen for signals: {error}")))?;
    let mut printer = Printer::new(&arguments.filter, &arguments.keys, view);
    let Some(folder) = run_to_follow(&arguments.path, &stop, &mut printer)? else { return Ok(Verdict::Done) };
    let fail = |error: EventStoreError| Failure::at(&folder, &error);
    let from = arguments.filter.from.max(first_of_last(&folder, arguments).map_err(fail)?);
    let visibility = if arguments.written { Visibility::Written } else { Visibility::Durable };
    let mut follower = ChainFollower::open(&folder, FollowOptions { from, visibility, ..FollowOptions::default() }).map_err(fail)?;
    let mut notes = Notes::new(follower.current().manifest().run_id.clone());
    // Of an instance the newest run is followed, whether or not it says that it goes on from the one before.
    let is_instance = folder != arguments.path;
    let mut looked = Instant::now();
    // In text an entry has no room for its run: where another begins is told beside it.
    let names_runs = view.format == Format::Json;
    while !stop.load(Ordering::Relaxed) && !printer.is_done() {
        let mut failed = Ok(());
        let progress = follower.visit(LOOK_EVERY, Check::Full, |manifest, entry| {
            notes.goes_on_in(&manifest.run_id);
            let run_id = names_runs.then_some(manifest.run_id.as_str());
            match printer.show(&Entry { run_id, ..Entry::from(&entry) }) {
                // However much there is to catch up with, a signal ends it.
                ControlFlow::Continue(()) if stop.load(Ordering::Relaxed) => ControlFlow::Break(()),
                ControlFlow::Continue(()) => ControlFlow::Continue(()),
                ControlFlow::Break(shown) => {
                    failed = shown;
                    ControlFlow::Break(())
                }
            }
        });
        failed?;
        printer.flush()?;
        let progress = progress.map_err(|error| Failure::at(follower.current().folder(), &error))?;
        match progress {
            Progress::Ended(end) => {
                notes.ended(&end);
                if arguments.until_end {
                    break;
                }
            }
            Progress::Idle if follower.ended().is_none() => notes.idle(|| follower.current().is_live()),
            Progress::Idle if is_instance && looked.elapsed() >= QUIET_MAX => {
                let newest = newest_run(&arguments.path)?.filter(|newest| newest.file_name() != follower.current().folder().file_name());
                if let Some(newest) = newest {
                    follower = ChainFollower::open(&newest, FollowOptions { visibility, ..FollowOptions::default() })
                        .map_err(|error| Failure::at(&newest, &error))?;
                    notes.goes_on_in(&follower.current().manifest().run_id);
                }
                looked = Instant::now();
            }
            Progress::Idle | Progress::Shown(_) => notes.busy(),
        }
    }
    printer.finish()?;
    Ok(Verdict::Done)
}

/// The entry at which the last ones begin that are to be shown first.
fn first_of_last(folder: &Path, arguments: &Arguments) -> Result<u64, EventStoreError> {
    let begins_itself = arguments.filter.from > 1 || arguments.filter.since.is_some();
    let last = arguments.last.unwrap_or(if begins_itself { u64::MAX } else { LAST_DEFAULT });
    if last == u64::MAX {
        return Ok(1);
    }
    let there = RunReader::open_with(folder, reader_options(arguments.written))?.high_watermark();
    Ok(there.saturating_sub(last).saturating_add(1))
}

/// The folder of the run that is meant; none where the wait for one was broken off.
fn run_to_follow(path: &Path, stop: &AtomicBool, printer: &mut Printer<'_>) -> Result<Option<PathBuf>, Failure> {
    let fail = |error: std::io::Error| Failure::new(format!("cannot open {}: {error}", path.display()));
    if holds_run(path).map_err(fail)? {
        return Ok(Some(path.to_owned()));
    }
    let mut told = false;
    while !stop.load(Ordering::Relaxed) && !printer.is_done() {
        if holds_instances(path) {
            return Err(Failure::new(format!("{}: this folder holds instances; name one of them, or a run", path.display())));
        }
        if let Some(newest) = newest_run(path)? {
            return Ok(Some(newest));
        }
        if !told {
            tell(format_args!("{}: there is no run yet; waiting for one", path.display()));
            told = true;
        }
        printer.flush()?;
        thread::sleep(LOOK_EVERY);
    }
    Ok(None)
}

/// The newest run of an instance that can be read.
fn newest_run(instance: &Path) -> Result<Option<PathBuf>, Failure> {
    let path = std::path::absolute(instance).map_err(|error| Failure::new(format!("cannot open {}: {error}", instance.display())))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let base = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let runs = SegmentBackend::scan_runs(&base, &name).map_err(|error| Failure::at(&path, &error))?;
    Ok(runs.into_iter().rfind(|run| run.manifest.is_ok()).map(|run| run.path))
}

/// Whether there are runs two levels below a folder, as there are below a base.
fn holds_instances(folder: &Path) -> bool {
    let folders =
        |path: &Path| std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    folders(folder).any(|instance| folders(&instance).any(|run| holds_run(&run).unwrap_or(false)))
}

/// What is told beside the entries, each thing once.
struct Notes {
    run_id: String,
    quiet_since: Option<Instant>,
    told_quiet: bool,
}

impl Notes {
    fn new(run_id: String) -> Self {
        Self { run_id, quiet_since: None, told_quiet: false }
    }

    fn goes_on_in(&mut self, run_id: &str) {
        if self.run_id != run_id {
            tell(format_args!("going on in the run {run_id}"));
            *self = Self::new(run_id.to_owned());
        }
    }

    fn ended(&self, end: &RunEnd) {
        match end {
            RunEnd::Sealed(manifest) => {
                tell(format_args!("the run {} ended as {} at entry {}", self.run_id, manifest.status, manifest.high_watermark));
            }
            other => tell(format_args!("the run {} ended: {other:?}", self.run_id)),
        }
    }

    fn busy(&mut self) {
        (self.quiet_since, self.told_quiet) = (None, false);
    }

    /// Nothing came: where that is because nobody writes, it is told after a while.
    fn idle(&mut self, is_live: impl FnOnce() -> bool) {
        if self.told_quiet || self.quiet_since.get_or_insert_with(Instant::now).elapsed() < QUIET_MAX {
            return;
        }
        if is_live() {
            self.quiet_since = None;
        } else {
            tell(format_args!("no process is writing the run {}; it goes on once it is recovered", self.run_id));
            self.told_quiet = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_a_number_or_all() {
        assert_eq!(parse_count("0"), Ok(0));
        assert_eq!(parse_count("all"), Ok(u64::MAX));
        assert!(parse_count("-1").is_err() && parse_count("some").is_err());
    }
}
