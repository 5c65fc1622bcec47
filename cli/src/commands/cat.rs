//! `tapelog cat`: the entries of a run.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::Args;
use tapelog::{EventStore, EventStoreEntry, EventStoreError, IndexKind, RecoveredState, ScanDirection};

use crate::exit::{Failure, Verdict};
use crate::open::{Shown, open_run};
use crate::output::{Output, tell, write_entry_json, write_entry_text};
use crate::scan::Scan;

/// Show the entries of a run.
///
/// Of a run that is not sealed, what is proven durable is shown. Text shows number, `ts_init`, topic, payload
/// type and payload; JSON shows every field, one entry a line. A payload is shown as JSON where it is JSON,
/// otherwise as text where it is printable, otherwise in base64; in JSON the fields are called `payload`,
/// `payload_text` and `payload_base64`. A damaged entry is reported and passed over; the exit code is 1 then.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The folder of the run
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// The first entry to show
    #[arg(long, value_name = "SEQ", default_value_t = 1)]
    from: u64,
    /// The last entry to show [default: the last there is]
    #[arg(long, value_name = "SEQ", default_value_t = u64::MAX, hide_default_value = true)]
    to: u64,
    /// Show the last entry first
    #[arg(long)]
    reverse: bool,
    /// Show the first entry that brought this key: `client_order_id=VALUE` or `venue_order_id=VALUE`
    #[arg(long, value_name = "KIND=VALUE", value_parser = parse_key, conflicts_with_all = ["from", "to", "reverse", "limit"])]
    key: Option<(IndexKind, String)>,
    /// Show at most this many entries
    #[arg(long, value_name = "COUNT", default_value_t = u64::MAX, hide_default_value = true)]
    limit: u64,
    /// Show everything whole that is written, though a loss of power may yet take it back
    #[arg(long)]
    written: bool,
    /// Show every field, one entry a line of JSON
    #[arg(long)]
    json: bool,
}

fn parse_key(text: &str) -> Result<(IndexKind, String), String> {
    let (kind, value) = text.split_once('=').ok_or("expected KIND=VALUE")?;
    let kind = match kind {
        "client_order_id" => IndexKind::ClientOrderId,
        "venue_order_id" => IndexKind::VenueOrderId,
        name => name.parse().map_err(|_| format!("{name:?} is no kind of key: client_order_id and venue_order_id are"))?,
    };
    Ok((kind, value.to_owned()))
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let fail = |error: EventStoreError| Failure::at(&arguments.run, &error);
    let store = open_run(&arguments.run, if arguments.written { Shown::Written } else { Shown::Proven }).map_err(fail)?;
    if let Some(report) = store.recovery().filter(|report| !matches!(report.state, RecoveredState::Sealed | RecoveredState::Clean)) {
        tell(report);
    }
    let range = match &arguments.key {
        None => arguments.from.max(1)..=arguments.to.min(store.high_watermark().map_err(fail)?),
        Some((kind, key)) => {
            let found = store.lookup(*kind, key).map_err(fail)?;
            let seq = found.ok_or_else(|| Failure::new(format!("{}: no entry has the {kind} {key:?}", arguments.run.display())))?;
            seq..=seq
        }
    };
    show(arguments, &store, range)
}

fn show(arguments: &Arguments, store: &dyn EventStore, range: RangeInclusive<u64>) -> Result<Verdict, Failure> {
    let direction = if arguments.reverse { ScanDirection::Reverse } else { ScanDirection::Forward };
    let mut output = Output::new();
    let mut verdict = Verdict::Done;
    let mut left = arguments.limit;
    for item in Scan::new(store, range, direction) {
        if left == 0 || output.is_closed() {
            break;
        }
        match item {
            Ok(entry) => {
                left -= 1;
                write(arguments, &entry, &mut output)?;
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

fn write(arguments: &Arguments, entry: &EventStoreEntry, output: &mut Output) -> Result<(), Failure> {
    output.with(|writer| if arguments.json { write_entry_json(entry, writer) } else { write_entry_text(entry, writer) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_kind_and_a_value_that_may_hold_anything() {
        assert_eq!(parse_key("client_order_id=O-1"), Ok((IndexKind::ClientOrderId, "O-1".to_owned())));
        assert_eq!(parse_key("VenueOrderId=a=b"), Ok((IndexKind::VenueOrderId, "a=b".to_owned())));
        assert_eq!(parse_key("venue_order_id="), Ok((IndexKind::VenueOrderId, String::new())));
        assert!(parse_key("O-1").is_err());
        assert!(parse_key("trade_id=1").unwrap_err().contains("trade_id"));
    }
}
