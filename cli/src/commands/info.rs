//! `tapelog info`: what a run is and what is in it.

use std::path::PathBuf;

use clap::Args;
use tapelog::SegmentBackend;

use crate::exit::{Failure, Verdict};
use crate::folder;
use crate::info::lineage::Lineage;
use crate::info::report::Report;
use crate::info::survey::Survey;
use crate::open::{open_reader, reader_options, tell_state};
use crate::output::{NumberArguments, Output, TimeArguments, tell};

const JSON_FIELDS: &str = "JSON is one object; cli/JSON.md describes its fields.";

/// Tell what a run is and what is in it.
///
/// Its manifest and lineage, sizes, counts by topic and payload type, the time that it spans with rates and a small
/// histogram, its segments and its snapshot anchors. Every entry is read once, with its checksums. Damage, in its lineage
/// too, is reported and passed over; the exit code is 1 then.
#[derive(Debug, Args)]
#[command(after_long_help = JSON_FIELDS)]
pub struct Arguments {
    /// The folder of the run
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Look into everything whole that is written, though a loss of power may yet take it back
    #[arg(long)]
    written: bool,
    /// Leave no row of a table out
    #[arg(long)]
    all: bool,
    /// Print one object of JSON, with everything
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    time: TimeArguments,
    #[command(flatten)]
    numbers: NumberArguments,
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let path =
        folder::absolute(&arguments.run).map_err(|error| Failure::new(format!("cannot open {}: {error}", arguments.run.display())))?;
    let fail = |error| Failure::at(&path, &error);
    let reader = open_reader(&path, arguments.written).map_err(fail)?;
    let state = tell_state(reader.recovery());
    let manifest = reader.manifest();
    let (survey, of_entries) = Survey::of(&reader);
    let lineage = Lineage::of(&path, &manifest.run_id, &manifest.instance_id, reader_options(arguments.written));
    let mut verdict = state.max(of_entries).max(lineage.verdict);
    let live = !manifest.is_sealed() && SegmentBackend::is_live(&path).map_err(fail)?;
    let anchors = reader.anchors().unwrap_or_else(|error| {
        verdict = verdict.max(Verdict::of(&error));
        tell(Failure::at(&path, &error).message);
        Vec::new()
    });
    // As it was named, as in a listing.
    let report = Report::new(&arguments.run, live, &reader, &survey, lineage, anchors);
    let mut output = Output::new();
    if arguments.json {
        output.json(&report, arguments.numbers.numbers())?;
    } else {
        output.with(|writer| report.write(arguments.all, arguments.time.form(), writer))?;
    }
    output.finish()?;
    Ok(verdict)
}
