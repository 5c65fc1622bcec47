//! `tapelog cat`: the entries of a run.

use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::Args;
use tapelog::{Check, EventStoreError, RunChain, RunReader, ScanDirection};

use crate::entry::Entry;
use crate::exit::{Failure, Verdict};
use crate::filter::Filter;
use crate::find;
use crate::open::{check_run_folder, named, open_reader, reader_options, tell_state};
use crate::output::{ENTRY_FIELDS, Output, ViewArguments, tell};
use crate::printer::Printer;

/// Show the entries of a run.
///
/// Of a run that is not sealed, what is proven durable is shown. Text shows number, `ts_init`, topic, payload
/// type and payload; JSON shows every field, one entry a line. Damage is reported, and a damaged entry passed over; the
/// exit code is 1 then.
#[derive(Debug, Args)]
#[command(after_long_help = ENTRY_FIELDS)]
pub struct Arguments {
    /// The folder of the run
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Show the runs that the run went on from too, as one history: each entry with its run
    #[arg(long)]
    chain: bool,
    /// Show the last entry first
    #[arg(long)]
    reverse: bool,
    /// Show everything whole that is written, though a loss of power may yet take it back
    #[arg(long)]
    written: bool,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    view: ViewArguments,
}

/// A run that is shown.
struct Part {
    /// Its id, where more than one run is shown.
    run_id: Option<String>,
    reader: RunReader,
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    arguments.filter.check()?;
    let view = arguments.view.view(Output::is_terminal())?;
    let parts = if arguments.chain { chain(arguments)? } else { vec![part(arguments)?] };
    let states = parts.iter().map(|part| tell_state(part.reader.recovery())).fold(Verdict::Done, Verdict::max);
    tell_unknown_keys(arguments, &parts);
    let mut printer = Printer::new(&arguments.filter, view);
    let verdict = show(arguments, parts, &mut printer)?;
    printer.finish()?;
    Ok(verdict.max(states))
}

fn part(arguments: &Arguments) -> Result<Part, Failure> {
    let reader = open_reader(&arguments.run, arguments.written).map_err(|error| Failure::at(&arguments.run, &error))?;
    Ok(Part { run_id: None, reader })
}

/// The run and its ancestors, the oldest first.
fn chain(arguments: &Arguments) -> Result<Vec<Part>, Failure> {
    let fail = |error: EventStoreError| Failure::at(&arguments.run, &error);
    check_run_folder(&arguments.run).map_err(fail)?;
    let chain = RunChain::open(named(&arguments.run).map_err(fail)?, reader_options(arguments.written)).map_err(fail)?;
    if let Some((parent, child)) = chain.missing_parent().zip(chain.runs().first()) {
        tell(format_args!("the run {} goes on from the run {parent}, which is not there; the history begins without it", child.run_id));
    }
    Ok(chain.runs().iter().map(|run| Part { run_id: Some(run.run_id.clone()), reader: run.reader.clone() }).collect())
}

fn show(arguments: &Arguments, mut parts: Vec<Part>, printer: &mut Printer<'_>) -> Result<Verdict, Failure> {
    let direction = if arguments.reverse { ScanDirection::Reverse } else { ScanDirection::Forward };
    if arguments.reverse {
        parts.reverse();
    }
    let mut verdict = Verdict::Done;
    // A part is dropped once it is shown, and with it the files that it holds open.
    for part in parts {
        let Some(range) = find::seqs(&part.reader, printer.filter()).filter(|_| !printer.is_done()) else { continue };
        let folder = part.reader.folder();
        let tell_damage = |verdict: &mut Verdict, error: &EventStoreError| {
            *verdict = (*verdict).max(Verdict::of(error));
            tell(Failure::at(&folder, error).message);
        };
        let shown = part.reader.visit_intact(
            range,
            direction,
            Check::Full,
            |entry| printer.show(&Entry { run_id: part.run_id.as_deref(), ..Entry::from(&entry) }),
            |error| {
                tell_damage(&mut verdict, error);
                ControlFlow::Continue(())
            },
        );
        match shown {
            Ok(None) => {}
            Ok(Some(broken)) => broken?,
            Err(error) => tell_damage(&mut verdict, &error),
        }
    }
    Ok(verdict)
}

/// A key that no entry brought may be misspelt. Where a look fails, whoever reads the entries meets the damage.
fn tell_unknown_keys(arguments: &Arguments, parts: &[Part]) {
    for key in &arguments.filter.keys {
        let lacks = |part: &Part| {
            let found = part.reader.lookup(key.kind, &key.key);
            // However long the chain is, the files of one run are open at a time.
            part.reader.close_files();
            found == Ok(None)
        };
        if parts.iter().all(lacks) {
            tell(find::no_entry_has(&arguments.run, key).message);
        }
    }
}
