//! `tapelog cat`: the entries of a run.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::Args;
use tapelog::{EventStore, EventStoreError, ScanDirection};

use crate::entry::Entry;
use crate::exit::{Failure, Verdict};
use crate::filter::Filter;
use crate::find::seq_of_key;
use crate::open::{Shown, open_run, tell_state};
use crate::output::{ENTRY_FIELDS, Output, View, ViewArguments, tell, write_entry};
use crate::scan::Scan;

/// Show the entries of a run.
///
/// Of a run that is not sealed, what is proven durable is shown. Text shows number, `ts_init`, topic, payload
/// type and payload; JSON shows every field, one entry a line. A damaged entry is reported and passed over; the exit
/// code is 1 then.
#[derive(Debug, Args)]
#[command(after_long_help = ENTRY_FIELDS)]
pub struct Arguments {
    /// The folder of the run
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Show the last entry first
    #[arg(long, conflicts_with = "key")]
    reverse: bool,
    /// Show everything whole that is written, though a loss of power may yet take it back
    #[arg(long)]
    written: bool,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    view: ViewArguments,
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let fail = |error: EventStoreError| Failure::at(&arguments.run, &error);
    let view = arguments.view.view(Output::is_terminal())?;
    let shown = if arguments.written { Shown::Written } else { Shown::Proven };
    let store = open_run(&arguments.run, shown).map_err(fail)?;
    tell_state(&store);
    let range = match &arguments.filter.key {
        None => arguments.filter.seqs(store.high_watermark().map_err(fail)?),
        Some(key) => {
            let seq = seq_of_key(&store, &arguments.run, key)?;
            seq..=seq
        }
    };
    show(arguments, view, &store, range)
}

fn show(arguments: &Arguments, view: View, store: &dyn EventStore, range: RangeInclusive<u64>) -> Result<Verdict, Failure> {
    let direction = if arguments.reverse { ScanDirection::Reverse } else { ScanDirection::Forward };
    let mut output = Output::new();
    let mut verdict = Verdict::Done;
    let mut left = arguments.filter.limit;
    for item in Scan::new(store, range, direction) {
        if left == 0 || output.is_closed() {
            break;
        }
        match item {
            Ok(entry) => {
                let entry = Entry::from(&entry);
                if arguments.filter.matches(&entry) {
                    left -= 1;
                    output.with(|writer| write_entry(&entry, view, writer))?;
                }
            }
            Err(error) => {
                verdict = verdict.max(Verdict::of(&error));
                tell(format_args!("{}: {error}", arguments.run.display()));
            }
        }
    }
    output.finish()?;
    Ok(verdict)
}
