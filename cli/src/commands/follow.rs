//! `tapelog follow`: the entries of a run as they come.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clap::Args;
use tapelog::{ChainFollower, Check, EventStoreError, FollowOptions, Progress, RunReader, Visibility};

use crate::entry::Entry;
use crate::exit::{Failure, Verdict};
use crate::filter::Filter;
use crate::folder;
use crate::follow::instance::Instance;
use crate::follow::lost;
use crate::follow::notes::Notes;
use crate::open::reader_options;
use crate::output::{ENTRY_FIELDS, Format, Output, ViewArguments, tell};
use crate::printer::Printer;
use crate::signals::stop_flag;

/// How long a wait for entries goes on without a look at signals and at whoever reads the output.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How many of the entries that are there are shown first by default.
const LAST_DEFAULT: u64 = 10;

/// Show the entries of a run as they come, and go on in the run that goes on from it.
///
/// Only whole batches are shown, and only what is durable: nothing that was shown is taken back, whatever becomes of the
/// process that writes. A run that was left running is followed on once it is recovered, and then its child is; one that
/// nobody writes and whose manifest is missing is damaged, and ends it with exit code 1. When a run ends, and when another one
/// is followed, it is told on the standard error.
///
/// Ctrl-C ends it with exit code 0, also while nobody takes its output: what was written is cut then, behind a line unless
/// that is longer than 4096 bytes. A second one, more than 100 milliseconds after the first, ends it at once with exit code
/// 130.
///
/// `--from` is an entry of the first run that is followed; of every later run all entries are shown. `--to` is one of the first
/// run too, and behind it, or at the end of that run, the command ends.
///
/// Of an instance the newest run is followed, and when it has ended every other run that comes, in the order of their
/// starts; one that comes late is shown late. A run that was left running is passed over once another one is there, and what
/// else a recovery finds of it is shown later. A run that cannot be read is told on the standard error and passed over; the
/// exit code is 1 or 2 then. Text has the run before each entry, and of a RUN before the entries of each later run.
#[derive(Debug, Args)]
#[command(after_long_help = ENTRY_FIELDS)]
pub struct Arguments {
    /// The folder of a run, or of an instance: then its newest run, which is waited for if there is none, or if the folder
    /// is not there yet and its base is
    #[arg(value_name = "RUN|INSTANCE")]
    path: PathBuf,
    /// Begin with the last COUNT entries that are there, or with `all` of them; the other options choose among them
    /// [default: 10, and all where another option chooses entries]
    #[arg(short = 'n', long = "lines", value_name = "COUNT", value_parser = parse_count)]
    last: Option<u64>,
    /// Stop at the end of the run, and wait for no other
    #[arg(long)]
    until_end: bool,
    /// Show everything whole that is written, though a loss of power may yet take it back
    #[arg(long)]
    written: bool,
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
    arguments.filter.check()?;
    let view = arguments.view.view(Output::is_terminal())?;
    let stop = stop_flag().map_err(|error| Failure::new(format!("cannot listen for signals: {error}")))?;
    // Entries are counted from 1 in each run: the bounds are of the first one, and are kept below.
    let filter = arguments.filter.without_bounds();
    let mut printer = Printer::to(Output::until(Arc::clone(&stop)), &filter, view);
    let Some((folder, mut instance)) = run_to_follow(&arguments.path, &stop, &mut printer)? else { return Ok(Verdict::Done) };
    let fail = |error: EventStoreError| Failure::at(&folder, &error);
    let (from, to) = (arguments.filter.from.max(first_of_last(&folder, arguments).map_err(fail)?), arguments.filter.to);
    let ends_with_run = arguments.until_end || to < u64::MAX;
    let visibility = if arguments.written { Visibility::Written } else { Visibility::Durable };
    let options = FollowOptions { from, visibility, ..FollowOptions::default() };
    let mut follower = ChainFollower::open(&folder, options).map_err(fail)?;
    let first_run = follower.current().manifest().run_id.clone();
    let mut notes = Notes::new(first_run.clone());
    let names_all_runs = instance.is_some() || view.format == Format::Json;
    let mut is_over = from > to;
    let mut verdict = Verdict::Done;
    while !is_over && !stop.load(Ordering::Relaxed) && !printer.is_done() {
        // Of an instance every run is followed, whether or not it says that it goes on from the one before.
        if let (Some(instance), Some(_)) = (&mut instance, follower.ended()) {
            if let Some(next) = instance.next(follower.current())? {
                follower = go_on(next, options, &mut notes)?;
            } else {
                printer.flush()?;
                thread::sleep(LOOK_EVERY);
            }
            continue;
        }
        let mut failed = Ok(());
        let progress = follower.visit(LOOK_EVERY, Check::Full, |manifest, entry| {
            notes.goes_on_in(&manifest.run_id);
            let run_id = Some(manifest.run_id.as_str()).filter(|run_id| names_all_runs || *run_id != first_run);
            let shown = printer.show(&Entry { run_id, ..Entry::from(&entry) });
            is_over = entry.seq() >= to && manifest.run_id == first_run;
            match shown {
                // However much there is to catch up with, a signal ends it.
                ControlFlow::Continue(()) if is_over || stop.load(Ordering::Relaxed) => ControlFlow::Break(()),
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
        // A run without entries is gone on in too.
        notes.goes_on_in(&follower.current().manifest().run_id);
        match progress {
            Progress::Ended(end) => {
                notes.ended(&end);
                is_over = ends_with_run;
            }
            Progress::Idle if follower.ended().is_none() => {
                if !notes.is_left(|| follower.current().is_live()) {
                    continue;
                }
                let beside = instance.as_mut().filter(|_| !ends_with_run);
                let lost = if beside.is_none() { lost::verdict_of(follower.current().folder()) } else { None };
                if let Some(lost) = lost {
                    (verdict, is_over) = (lost, true);
                } else if let Some(next) = beside.map_or(Ok(None), |instance| instance.next(follower.current()))? {
                    follower = go_on(next, options, &mut notes)?;
                } else {
                    notes.waits();
                }
            }
            Progress::Idle | Progress::Shown(_) => notes.busy(),
        }
    }
    printer.finish()?;
    Ok(instance.map_or(verdict, |instance| instance.verdict().max(verdict)))
}

/// Follows another run of the instance, from an entry of it on.
fn go_on((folder, from): (PathBuf, u64), options: FollowOptions, notes: &mut Notes) -> Result<ChainFollower, Failure> {
    let follower = ChainFollower::open(&folder, FollowOptions { from, ..options }).map_err(|error| Failure::at(&folder, &error))?;
    notes.goes_on_in(&follower.current().manifest().run_id);
    Ok(follower)
}

/// The entry at which the last ones begin that are to be shown first.
fn first_of_last(folder: &Path, arguments: &Arguments) -> Result<u64, EventStoreError> {
    // The last ten of all entries may hold none of those that are asked for.
    let last = arguments.last.unwrap_or(if arguments.filter.chooses() { u64::MAX } else { LAST_DEFAULT });
    if last == u64::MAX {
        return Ok(1);
    }
    let there = RunReader::open_with(folder, reader_options(arguments.written))?.high_watermark();
    Ok(there.saturating_sub(last).saturating_add(1))
}

/// The folder of the run that is meant, and its instance where that was named; none where the wait for a run was broken off.
fn run_to_follow(path: &Path, stop: &AtomicBool, printer: &mut Printer<'_>) -> Result<Option<(PathBuf, Option<Instance>)>, Failure> {
    if !is_awaited(path)? && folder::holds_run(path).map_err(|error| cannot_open(path, &error))? {
        return Ok(Some((folder::absolute(path).map_err(|error| cannot_open(path, &error))?, None)));
    }
    let mut instance = Instance::new(path);
    let mut told = false;
    while !stop.load(Ordering::Relaxed) && !printer.is_done() {
        if folder::holds_instances(path) {
            return Err(Failure::new(format!("{}: this folder holds instances; name one of them, or a run", path.display())));
        }
        if let Some(newest) = instance.newest()? {
            return Ok(Some((newest, Some(instance))));
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

/// Whether `path` is the folder of an instance that is not there yet. A run that is not there is none of these: there are
/// runs beside it.
fn is_awaited(path: &Path) -> Result<bool, Failure> {
    let fail = |error| cannot_open(path, &error);
    if path.try_exists().map_err(fail)? {
        return Ok(false);
    }
    let absolute = std::path::absolute(path).map_err(fail)?;
    Ok(absolute.parent().is_some_and(|base| base.is_dir() && !folder::holds_runs(base) && !folder::holds_run(base).unwrap_or(false)))
}

fn cannot_open(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot open {}: {error}", path.display()))
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
