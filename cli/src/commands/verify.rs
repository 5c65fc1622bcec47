//! `tapelog verify`: whether a run is what was written.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};
use tapelog::{
    EventStoreError, IndexDrift, RecoveredState, RecoveryReport, RunStatus, SegmentBackend, Verifier, VerifyFinding, VerifyReport,
};

use crate::exit::{Failure, Verdict};
use crate::open::open_store;
use crate::output::{NumberArguments, Output, escaped, tell};

const JSON_FIELDS: &str = "\
JSON, one object (a number is a whole number, and a string with --json-strings):
  result           \"clean\" or \"corrupt\"
  run_id           string or null
  status           string or null
  high_watermark   number or null
  entries_scanned  number
  markers          \"absent\" or \"unchecked\"
  recovery         string or null; of a run that is not sealed, what a recovery would find, the findings considered
  findings         array of objects with kind and message (strings), and by kind:
    HashMismatch      seq (number)
    Gap               from, to (numbers)
    SeqMismatch       table_key, embedded_seq (numbers)
    IndexDrift        index_kind, key, drift (strings), stored_seq (number)
    ManifestMismatch  field (string)";

/// Verify a run, and change nothing.
///
/// The first line is `clean` or `corrupt` with what was verified; each finding has a line of its own. A run that
/// is not sealed is verified as far as it is proven durable, and what its recovery would find is told on the
/// standard error.
///
/// Exit code: 0 clean, 1 corrupt, 2 could not run.
#[derive(Debug, Args)]
#[command(after_long_help = JSON_FIELDS)]
pub struct Arguments {
    /// The folder of the run
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    numbers: NumberArguments,
}

/// What is reported. What could not be learned is none.
#[derive(Debug, Serialize)]
struct Report {
    result: &'static str,
    run_id: Option<String>,
    status: Option<&'static str>,
    high_watermark: Option<u64>,
    entries_scanned: u64,
    markers: &'static str,
    findings: Vec<Value>,
    recovery: Option<String>,
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let path = &arguments.path;
    let (mut report, messages) = match open_store(path) {
        Ok(store) => verify(path, store)?,
        Err(EventStoreError::Corrupted(corruption)) => damaged_beyond_opening(corruption.to_string()),
        Err(error) => return Err(Failure::at(path, &error)),
    };
    report.markers = markers(path);
    write(&report, &messages, arguments)?;
    Ok(if report.findings.is_empty() { Verdict::Done } else { Verdict::Corrupt })
}

fn verify(path: &Path, store: SegmentBackend) -> Result<(Report, Vec<String>), Failure> {
    let recovery = store.recovery().cloned();
    let verified = Verifier::new(Box::new(store)).verify();
    let VerifyReport { run_id, status, high_watermark, entries_scanned, findings } =
        verified.map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    let mut messages: Vec<String> = findings.iter().map(ToString::to_string).collect();
    let mut values: Vec<Value> = findings.iter().map(finding_value).collect();
    let mut told = None;
    if let Some(recovery) = recovery {
        if recovery.state == RecoveredState::AcknowledgedDamage {
            messages.push(recovery.to_string());
            values.push(json!({ "kind": "AcknowledgedDamage", "message": recovery.to_string() }));
        }
        if recovery.state == RecoveredState::Sealed {
            recovery.notes.iter().for_each(tell);
        } else {
            let text = foreseen(&recovery, &findings);
            tell(&text);
            told = Some(text);
        }
    }
    let report = Report {
        result: if values.is_empty() { "clean" } else { "corrupt" },
        run_id: Some(run_id),
        status: Some(status.as_str()),
        high_watermark: Some(high_watermark),
        entries_scanned,
        markers: "",
        findings: values,
        recovery: told,
    };
    Ok((report, messages))
}

/// What a recovery would make of a run that is not sealed. Opening the run has judged what was written since the newest
/// witness of what is durable; a recovery reads everything, and so finds what was found here.
fn foreseen(recovery: &RecoveryReport, findings: &[VerifyFinding]) -> String {
    if findings.is_empty() || recovery.state == RecoveredState::AcknowledgedDamage {
        return recovery.to_string();
    }
    let is_of_an_entry = |finding: &VerifyFinding| {
        matches!(finding, VerifyFinding::HashMismatch { .. } | VerifyFinding::Gap { .. } | VerifyFinding::SeqMismatch { .. })
    };
    if findings.iter().any(is_of_an_entry) {
        format!("acknowledged data is damaged: by these findings a recovery would seal the run as {}", RunStatus::Quarantined)
    } else {
        "a recovery judges the entries, and these findings are not about them".to_owned()
    }
}

fn damaged_beyond_opening(message: String) -> (Report, Vec<String>) {
    let report = Report {
        result: "corrupt",
        run_id: None,
        status: None,
        high_watermark: None,
        entries_scanned: 0,
        markers: "",
        findings: vec![json!({ "kind": "Unreadable", "message": message })],
        recovery: None,
    };
    (report, vec![message])
}

/// The sidecar is there when it has a manifest. It is not looked into yet.
fn markers(path: &Path) -> &'static str {
    if path.join("markers").join("MANIFEST").exists() { "unchecked" } else { "absent" }
}

fn finding_value(finding: &VerifyFinding) -> Value {
    let mut value = match finding {
        VerifyFinding::HashMismatch { seq } => json!({ "kind": "HashMismatch", "seq": seq }),
        VerifyFinding::Gap { range } => json!({ "kind": "Gap", "from": range.from, "to": range.to }),
        VerifyFinding::SeqMismatch { table_key, embedded_seq } => {
            json!({ "kind": "SeqMismatch", "table_key": table_key, "embedded_seq": embedded_seq })
        }
        VerifyFinding::IndexDrift { kind, key, drift } => {
            let (drift, stored_seq) = match drift {
                IndexDrift::DanglingTarget { stored_seq } => ("DanglingTarget", stored_seq),
                IndexDrift::TargetCorrupted { stored_seq } => ("TargetCorrupted", stored_seq),
            };
            json!({ "kind": "IndexDrift", "index_kind": kind.as_str(), "key": key, "drift": drift, "stored_seq": stored_seq })
        }
        VerifyFinding::ManifestMismatch { kind, .. } => json!({ "kind": "ManifestMismatch", "field": format!("{kind:?}") }),
    };
    if let Value::Object(fields) = &mut value {
        fields.insert("message".to_owned(), Value::String(finding.to_string()));
    }
    value
}

fn write(report: &Report, messages: &[String], arguments: &Arguments) -> Result<(), Failure> {
    let mut output = Output::new();
    if arguments.json {
        output.json(report, arguments.numbers.numbers())?;
        return output.finish();
    }
    let Report { result, run_id, status, high_watermark, entries_scanned, markers, .. } = report;
    let run_id = run_id.as_deref().unwrap_or("-");
    let status = status.unwrap_or("-");
    let high_watermark = high_watermark.map_or("-".to_owned(), |seq| seq.to_string());
    let findings = if messages.is_empty() { String::new() } else { format!(" findings={}", messages.len()) };
    output.line(format_args!(
        "{result} run_id={} status={status} high_watermark={high_watermark} entries_scanned={entries_scanned} markers={markers}{findings}",
        escaped(run_id)
    ))?;
    for message in messages {
        output.line(format_args!("  {}", escaped(message)))?;
    }
    output.finish()
}
