//! `tapelog recover`: what became of the runs that were left running, and sealing them.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use tapelog::{
    EventStoreError, LogPoint, PlannedRecovery, RecoveredState, RecoveryOutcome, RecoveryReport, RecoverySweep, RunStatus, SweepProgress,
    validate_id,
};

use crate::exit::{Failure, Verdict};
use crate::output::{NumberArguments, Output, Progress, escaped};

const JSON_FIELDS: &str = "\
JSON, one object (a number is a whole number, and a string with --json-strings):
  instance_id    string
  applied        true or false
  parent_run_id  string or null; with --apply, the run to go on from
  runs           array of objects:
    run_id       string
    path         string
    live         true or false
    judged_as    string or null; the status that it would be sealed with
    sealed_as    string or null; the status that it was sealed with
    error        string or null
    report       object or null:
      state          string; the verdict
      end, proven    objects with the numbers commit_no, seq, ordinal and offset
      witness        string
      discarded      object with file (string), offset and bytes (numbers); or null
      first_break    object with file (string), offset (number) and reason (string); or null
      hash_mismatch  number or null; the first entry that does not match its hash
      walked_from    number; a segment
      notes          array of strings";

/// Judge the runs of an instance that were left running, and seal them with --apply.
///
/// Without --apply nothing is changed. For each run: the verdict, how far the log is whole (E), how far it is
/// proven to have been durable (P) and by what, and what would be discarded. A run that another process writes
/// is left alone.
///
/// Exit code: 0 nothing proven durable was lost, 1 acknowledged data is damaged, 2 a run could not be read.
#[derive(Debug, Args)]
#[command(after_long_help = JSON_FIELDS)]
pub struct Arguments {
    /// The folder that holds all runs
    #[arg(value_name = "BASE")]
    base: PathBuf,
    /// The trading instance
    #[arg(value_name = "INSTANCE")]
    instance: String,
    /// Seal the runs
    #[arg(long)]
    apply: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    numbers: NumberArguments,
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let Arguments { base, instance, apply, json, numbers } = arguments;
    validate_id("instance id", instance).map_err(Failure::new)?;
    let folder = base.join(instance);
    if !folder.is_dir() {
        return Err(Failure::new(format!("{}: there is no such folder", folder.display())));
    }
    // A run is judged before it is sealed, so that what was discarded can be told.
    let progress = Progress::new(Some(0));
    let fail = |error: EventStoreError| Failure::at(base, &error);
    let planned = sweep(arguments, &progress).plan().map_err(fail)?;
    let outcome = if *apply { Some(sweep(arguments, &progress).apply().map_err(fail)?) } else { None };
    progress.finish();
    let results: Vec<RunResult<'_>> = planned.iter().map(|plan| RunResult::new(plan, outcome.as_ref())).collect();
    let mut output = Output::new();
    if *json {
        let parent = outcome.as_ref().and_then(|outcome| outcome.parent_run_id.clone());
        let runs: Vec<Value> = results.iter().map(RunResult::value).collect();
        let result = json!({ "instance_id": instance, "applied": apply, "runs": runs, "parent_run_id": parent });
        output.json(&result, numbers.numbers())?;
    } else {
        results.iter().try_for_each(|result| result.lines().iter().try_for_each(|line| output.line(format_args!("{}", escaped(line)))))?;
        if results.is_empty() {
            output.line(format_args!("no run of {instance} was left running"))?;
        } else if !apply {
            output.line(format_args!("nothing was changed; --apply seals what can be sealed"))?;
        }
    }
    output.finish()?;
    Ok(results.iter().map(RunResult::verdict).max().unwrap_or(Verdict::Done))
}

/// A sweep that moves `progress`.
fn sweep<'a>(Arguments { base, instance, .. }: &Arguments, progress: &'a Progress) -> RecoverySweep<'a> {
    RecoverySweep::new(base, instance).progress(|SweepProgress { run_id, bytes_done, bytes_total, .. }| {
        progress.set_total(bytes_total);
        progress.set(bytes_done, run_id);
    })
}

/// What became of one run.
struct RunResult<'a> {
    plan: &'a PlannedRecovery,
    done: Done<'a>,
}

/// What was done about it.
enum Done<'a> {
    /// Nothing, because nothing was to be done.
    OnlyJudged,
    /// It was left to the process that writes it.
    LeftAlone,
    /// It was sealed.
    Sealed(RunStatus),
    /// It could not be sealed.
    Failed(&'a EventStoreError),
}

impl<'a> RunResult<'a> {
    fn new(plan: &'a PlannedRecovery, outcome: Option<&'a RecoveryOutcome>) -> Self {
        let done = match outcome {
            None => Done::OnlyJudged,
            Some(outcome) => {
                let sealed = outcome.recovered.iter().find(|run| run.run_id == plan.run_id).map(|run| Done::Sealed(run.status));
                let failed = || outcome.unreadable.iter().find(|run| run.run_id == plan.run_id).map(|run| Done::Failed(&run.error));
                sealed.or_else(failed).unwrap_or(Done::LeftAlone)
            }
        };
        Self { plan, done }
    }

    fn verdict(&self) -> Verdict {
        let judged = match &self.plan.verdict {
            Ok((RunStatus::Quarantined, _)) => Verdict::Corrupt,
            Ok(_) => Verdict::Done,
            Err(error) => Verdict::of(error),
        };
        match &self.done {
            Done::Sealed(RunStatus::Quarantined) => Verdict::Corrupt,
            Done::Failed(error) => judged.max(Verdict::of(error)),
            _ => judged,
        }
    }

    fn headline(&self) -> String {
        let what = match (&self.done, &self.plan.verdict) {
            (Done::Failed(_), _) => "could not be sealed".to_owned(),
            (Done::Sealed(status), _) => format!("sealed as {status}"),
            (Done::LeftAlone, _) => "is being written; left alone".to_owned(),
            (Done::OnlyJudged, _) if self.plan.live => "is being written; would be left alone".to_owned(),
            (Done::OnlyJudged, Ok((status, _))) => format!("would be sealed as {status}"),
            (Done::OnlyJudged, Err(_)) => "cannot be read".to_owned(),
        };
        format!("{}: {what}", self.plan.run_id)
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.headline(), format!("  path      {}", self.plan.path.display())];
        if let Done::Failed(error) = &self.done {
            lines.push(format!("  failed    {error}"));
        }
        match &self.plan.verdict {
            Ok((_, report)) => lines.extend(report_lines(report)),
            Err(error) => lines.push(format!("  error     {error}")),
        }
        lines
    }

    fn value(&self) -> Value {
        let (sealed_as, failed) = match &self.done {
            Done::Sealed(status) => (Some(status.as_str()), None),
            Done::Failed(error) => (None, Some(error.to_string())),
            Done::OnlyJudged | Done::LeftAlone => (None, None),
        };
        let (status, report, error) = match &self.plan.verdict {
            Ok((status, report)) => (Some(status.as_str()), Some(report_value(report)), None),
            Err(error) => (None, None, Some(error.to_string())),
        };
        json!({
            "run_id": self.plan.run_id,
            "path": self.plan.path.to_string_lossy(),
            "live": self.plan.live,
            "judged_as": status,
            "sealed_as": sealed_as,
            "report": report,
            "error": failed.or(error),
        })
    }
}

fn report_lines(report: &RecoveryReport) -> Vec<String> {
    let place = |point: &LogPoint| match point.offset {
        0 => String::new(),
        offset => format!(", segment {} byte {offset}", point.ordinal),
    };
    let reach = |point: &LogPoint| format!("up to entry {} (commit {}{})", point.seq, point.commit_no, place(point));
    let mut lines = vec![
        format!("  verdict   {}", report.state),
        format!("  whole     {}", reach(&report.end)),
        format!("  proven    {}, by {}", reach(&report.proven), report.witness),
    ];
    if let Some(point) = &report.first_break {
        lines.push(format!("  breaks    {} at byte {}: {}", point.file.display(), point.offset, point.reason));
    }
    if let Some(discarded) = &report.discarded {
        let (file, offset) = (discarded.file.display(), discarded.offset);
        lines.push(match report.state {
            RecoveredState::AcknowledgedDamage => format!("  kept      {} bytes from {file} byte {offset} on", discarded.bytes),
            _ => format!("  discards  {} bytes from {file} byte {offset} on, which belong to no whole batch", discarded.bytes),
        });
    }
    if let Some(seq) = report.hash_mismatch {
        lines.push(format!("  hash      the entry with seq {seq} does not match its hash"));
    }
    lines.extend(report.notes.iter().map(|note| format!("  note      {note}")));
    lines.push(match report.state {
        RecoveredState::AcknowledgedDamage => "  so        acknowledged data is damaged; every byte stays where it is".to_owned(),
        _ if report.hash_mismatch.is_some() => "  so        acknowledged data is damaged; every byte stays where it is".to_owned(),
        _ => "  so        nothing proven durable was lost".to_owned(),
    });
    lines
}

fn report_value(report: &RecoveryReport) -> Value {
    let point =
        |point: &LogPoint| json!({ "commit_no": point.commit_no, "seq": point.seq, "ordinal": point.ordinal, "offset": point.offset });
    json!({
        "state": report.state.as_str(),
        "end": point(&report.end),
        "proven": point(&report.proven),
        "witness": report.witness.to_string(),
        "discarded": report.discarded.as_ref().map(|discarded| {
            json!({ "file": discarded.file.to_string_lossy(), "offset": discarded.offset, "bytes": discarded.bytes })
        }),
        "first_break": report.first_break.as_ref().map(|point| {
            json!({ "file": point.file.to_string_lossy(), "offset": point.offset, "reason": point.reason })
        }),
        "hash_mismatch": report.hash_mismatch,
        "walked_from": report.walked_from,
        "notes": report.notes,
    })
}
