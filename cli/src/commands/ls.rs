//! `tapelog ls`: the runs under a base folder.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::HumanBytes;
use serde::Serialize;
use tapelog::{EventStoreError, RunId, RunListing, RunManifest, RunStatus, SegmentBackend, UnixNanos, validate_id};

use crate::exit::{Failure, Verdict};
use crate::folder;
use crate::open::{open_reader, verdict_of};
use crate::output::{NumberArguments, Output, Table, TimeArguments, TimeForm, human, tell};

const JSON_FIELDS: &str = "\
JSON, one object a line (a number is a whole number, and a string with --json-strings):
  instance_id    string
  run_id         string
  path           string
  status         \"Running\", \"Ended\", \"CrashedRecovered\" or \"Quarantined\"; null where the manifest cannot be read
  live           true or false: whether a process is writing it
  entries        number or null
  start_ts_init  number or null; nanoseconds since 1970
  end_ts_init    number or null; nanoseconds since 1970
  span_nanos     number or null; from start to end
  segments       number
  bytes          number
  parent_run_id  string or null
  children       number; the runs beside it that go on from it
  note           string or null";

/// List the runs under a base folder.
///
/// On a terminal the columns have a head; a program gets the rows alone, with tabs between the cells: instance, run,
/// status, entries, start, end, span in nanoseconds, bytes, parent, children and note. What is not known is `-`; the
/// status is `live` while a process writes the run, and `unreadable` where it cannot be read, with the reason as note.
/// Of a run that is not sealed, the entries are those that are proven durable.
///
/// Exit code: 0 every run can be read, 1 one is corrupt, 2 one cannot be read or something could not be done.
#[derive(Debug, Args)]
#[command(after_long_help = JSON_FIELDS)]
pub struct Arguments {
    /// The folder that holds all runs
    #[arg(value_name = "BASE")]
    base: PathBuf,
    /// The one instance to list
    #[arg(value_name = "INSTANCE")]
    instance: Option<String>,
    /// Print one run a line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    time: TimeArguments,
    #[command(flatten)]
    numbers: NumberArguments,
}

/// One run, as far as it can be read.
#[derive(Debug, Serialize)]
struct Row {
    instance_id: String,
    run_id: String,
    path: String,
    /// The status in the manifest; none where the manifest cannot be read.
    status: Option<&'static str>,
    live: bool,
    entries: Option<u64>,
    start_ts_init: Option<u64>,
    end_ts_init: Option<u64>,
    span_nanos: Option<u64>,
    segments: u32,
    bytes: u64,
    parent_run_id: Option<String>,
    children: u64,
    /// Why something is not known, or what should be done about the run.
    note: Option<String>,
    /// What the run makes of the end.
    #[serde(skip)]
    verdict: Verdict,
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let base = &arguments.base;
    check_base(base)?;
    let instances = match &arguments.instance {
        None => instances(base)?,
        Some(instance) => {
            let folder = base.join(instance);
            validate_id("instance id", instance).map_err(Failure::new)?;
            if !folder.is_dir() {
                return Err(Failure::new(format!("{}: there is no such folder", folder.display())));
            }
            vec![instance.clone()]
        }
    };
    let mut rows = Vec::new();
    let mut verdict = Verdict::Done;
    for instance in instances {
        match SegmentBackend::scan_runs(base, &instance) {
            Ok(listings) => {
                let children = count_children(&listings);
                rows.extend(listings.into_iter().map(|listing| {
                    let children = children.get(&listing.run_id).copied().unwrap_or_default();
                    Row { children, ..Row::new(base, &instance, listing) }
                }));
            }
            Err(error) => {
                // The other instances are listed all the same.
                tell(Failure::at(base, &error).message);
                verdict = Verdict::Incomplete;
            }
        }
    }
    let verdict = rows.iter().map(|row| row.verdict).fold(verdict, Verdict::max);
    let mut output = Output::new();
    if arguments.json {
        rows.iter().try_for_each(|row| output.json(row, arguments.numbers.numbers()))?;
    } else {
        let mut table =
            Table::new(&["INSTANCE", "RUN", "STATUS", "ENTRIES", "START", "END", "SPAN", "BYTES", "PARENT", "CHILDREN", "NOTE"]);
        let terminal = Output::is_terminal();
        for row in &rows {
            table.row(row.cells(terminal, arguments.time.form()));
        }
        output.with(|writer| if terminal { table.write_columns(writer) } else { table.write_plain(writer) })?;
    }
    output.finish()?;
    if rows.is_empty() {
        tell(format_args!("{}: there is no run", base.display()));
    }
    Ok(verdict)
}

/// A run or an instance in place of the base would look like a base without a run.
fn check_base(base: &Path) -> Result<(), Failure> {
    // A name with dots, or none, says nothing of where it lies.
    let path = folder::absolute(base).unwrap_or_else(|_| base.to_owned());
    let shown = base.display();
    if folder::holds_run(base).unwrap_or(false) {
        return Err(Failure::new(format!("{shown}: this folder is a run; `tapelog info {shown}` tells what is in it")));
    }
    if folder::holds_runs(base) && !folder::holds_instances(base) {
        let above = path.parent().unwrap_or(&path).display();
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        return Err(Failure::new(format!("{shown}: this folder is an instance; `tapelog ls {above} {name}` lists its runs")));
    }
    Ok(())
}

/// How many runs of an instance go on from each of its runs.
fn count_children(listings: &[RunListing]) -> HashMap<RunId, u64> {
    let mut children = HashMap::new();
    for parent in listings.iter().filter_map(|run| run.manifest.as_ref().ok()?.parent_run_id.clone()) {
        *children.entry(parent).or_default() += 1;
    }
    children
}

/// The folders that can be an instance's, by name.
fn instances(base: &Path) -> Result<Vec<String>, Failure> {
    let fail = |error: std::io::Error| Failure::new(format!("cannot list {}: {error}", base.display()));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(base).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        // A name that is no id was not made by a store, and is none of its business.
        if let Ok(name) = entry.file_name().into_string()
            && validate_id("instance id", &name).is_ok()
            && entry.path().is_dir()
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

impl Row {
    fn new(base: &Path, instance: &str, listing: RunListing) -> Self {
        let mut row = Self {
            instance_id: instance.to_owned(),
            run_id: listing.run_id,
            path: listing.path.to_string_lossy().into_owned(),
            status: None,
            live: listing.live,
            entries: None,
            start_ts_init: None,
            end_ts_init: None,
            span_nanos: None,
            segments: listing.segments,
            bytes: listing.bytes,
            parent_run_id: None,
            children: 0,
            note: None,
            verdict: Verdict::Done,
        };
        match listing.manifest {
            Ok(manifest) => row.take_manifest(base, &listing.path, manifest),
            Err(error) => row.cannot_be_read(&error),
        }
        row
    }

    fn take_manifest(&mut self, base: &Path, path: &Path, manifest: RunManifest) {
        self.status = Some(manifest.status.as_str());
        self.start_ts_init = Some(manifest.start_ts_init.as_u64());
        self.end_ts_init = manifest.end_ts_init.map(|time| time.as_u64());
        self.span_nanos = manifest.end_ts_init.map(|end| end.as_u64().saturating_sub(manifest.start_ts_init.as_u64()));
        self.parent_run_id = manifest.parent_run_id;
        if manifest.status == RunStatus::Running {
            self.look_into(base, path);
        } else {
            self.entries = Some(manifest.high_watermark);
        }
    }

    /// The manifest of a run that is not sealed does not say how far the run has come.
    fn look_into(&mut self, base: &Path, path: &Path) {
        match open_reader(path, false) {
            Ok(reader) => {
                self.entries = Some(reader.high_watermark());
                self.verdict = verdict_of(reader.recovery());
                if self.verdict == Verdict::Corrupt {
                    self.note = Some("acknowledged data is damaged".to_owned());
                } else if !self.live {
                    self.note =
                        Some(format!("left running; seal it with: tapelog recover {} {} --apply", base.display(), self.instance_id));
                }
            }
            Err(error) => self.cannot_be_read(&error),
        }
    }

    fn cannot_be_read(&mut self, error: &EventStoreError) {
        self.note = Some(error.to_string());
        self.verdict = Verdict::of(error);
    }

    fn cells(&self, terminal: bool, form: TimeForm) -> [String; 11] {
        let none = || "-".to_owned();
        let time = |nanos: Option<u64>| nanos.map_or_else(none, |nanos| form.of(UnixNanos::from(nanos)));
        [
            self.instance_id.clone(),
            self.run_id.clone(),
            if self.live { "live" } else { self.status.unwrap_or("unreadable") }.to_owned(),
            self.entries.map_or_else(none, |entries| entries.to_string()),
            time(self.start_ts_init),
            time(self.end_ts_init),
            match self.span_nanos {
                Some(nanos) if terminal => human::span(nanos),
                nanos => nanos.map_or_else(none, |nanos| nanos.to_string()),
            },
            if terminal { HumanBytes(self.bytes).to_string() } else { self.bytes.to_string() },
            self.parent_run_id.clone().unwrap_or_else(none),
            self.children.to_string(),
            self.note.clone().unwrap_or_else(none),
        ]
    }
}
