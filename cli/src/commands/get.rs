//! `tapelog get`: one entry of a run.

use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::{ArgGroup, Args};
use tapelog::{Check, EventStoreError, IndexKey, ScanDirection};

use crate::entry::Entry;
use crate::exit::{Failure, Verdict};
use crate::filter::parse_key;
use crate::find::seq_of_key;
use crate::open::{open_reader, tell_state};
use crate::output::{ENTRY_FIELDS, Output, ViewArguments, write_one_entry};

/// Show one entry of a run with all its fields.
///
/// Text has a line for each field; JSON is one object.
///
/// Exit code: 0 shown, 1 the entry or something acknowledged of its run is damaged, 2 there is no such entry, or something could not be done.
#[derive(Debug, Args)]
#[command(after_long_help = ENTRY_FIELDS, group = ArgGroup::new("entry").required(true).args(["seq", "keys"]))]
pub struct Arguments {
    /// The folder of the run
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// The entry's number
    #[arg(value_name = "SEQ")]
    seq: Option<u64>,
    /// The first entry that brought this key: `client_order_id=VALUE` or `venue_order_id=VALUE`
    #[arg(long = "key", value_name = "KIND=VALUE", value_parser = parse_key)]
    keys: Vec<IndexKey>,
    /// Look into everything whole that is written, though a loss of power may yet take it back
    #[arg(long)]
    written: bool,
    #[command(flatten)]
    view: ViewArguments,
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let Arguments { run, seq, keys, written, view } = arguments;
    if keys.len() > 1 {
        return Err(Failure::new("--key is given more than once, and one entry is shown; `tapelog cat` takes several keys"));
    }
    let fail = |error: EventStoreError| Failure::at(run, &error);
    let view = view.view(Output::is_terminal())?;
    let reader = open_reader(run, *written).map_err(fail)?;
    let verdict = tell_state(reader.recovery());
    let seq = match (keys.first(), seq) {
        (Some(key), _) => seq_of_key(&reader, run, key)?,
        (None, seq) => seq.unwrap_or_default(),
    };
    let mut output = Output::new();
    let shown = reader.visit(seq..=seq, ScanDirection::Forward, Check::Full, |entry| {
        ControlFlow::Break(output.with(|writer| write_one_entry(&Entry::from(&entry), view, writer)))
    });
    let Some(written) = shown.map_err(fail)? else {
        let last = reader.high_watermark();
        let there_is = if last == 0 { "the run has no entry".to_owned() } else { format!("the run has entries 1 to {last}") };
        return Err(Failure::new(format!("{}: there is no entry {seq}; {there_is}", run.display())));
    };
    written?;
    output.finish()?;
    Ok(verdict)
}
