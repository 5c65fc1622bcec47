//! What a recording came to.

use std::io::{self, Write};
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;

use super::latency::Latencies;
use crate::input::BadLine;
use crate::output::escaped;

/// Why reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The input has nothing more.
    InputEnded,
    /// A signal asked for it.
    Interrupted,
    /// A line was bad, and bad lines are not skipped.
    BadLine,
    /// The input could not be read any further.
    ReadFailed,
}

impl End {
    fn as_str(self) -> &'static str {
        match self {
            Self::InputEnded => "the input ended",
            Self::Interrupted => "interrupted",
            Self::BadLine => "a bad line",
            Self::ReadFailed => "the input could not be read any further",
        }
    }
}

/// What a recording came to.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// The instance.
    pub instance_id: String,
    /// The run; none when there was no event, and so no run.
    pub run_id: Option<String>,
    /// The run's folder; a path that is not UTF-8 is shown as nearly as text can.
    pub path: Option<String>,
    /// Why reading ended.
    pub end: End,
    /// How many entries the run holds.
    pub entries: u64,
    /// How many batches they were appended in.
    pub batches: u64,
    /// How many bytes of input were read.
    pub input_bytes: u64,
    /// How many bytes of payload the run holds.
    pub payload_bytes: u64,
    /// How many bytes the run's folder takes.
    pub run_bytes: u64,
    /// From the first byte to the sealed run.
    pub seconds: f64,
    /// How many entries became durable a second.
    pub entries_per_second: f64,
    /// How long batches took to be acknowledged.
    pub commit_latency_ns: CommitLatency,
    /// How many lines were refused.
    pub bad_lines: u64,
    /// The first line that was refused.
    pub first_bad_line: Option<FirstBadLine>,
}

/// How long batches took to be acknowledged, in nanoseconds.
#[derive(Debug, Serialize)]
pub struct CommitLatency {
    p50: u64,
    p99: u64,
    max: u64,
}

/// The first line that was refused.
#[derive(Debug, Serialize)]
pub struct FirstBadLine {
    line: u64,
    field: Option<&'static str>,
    reason: String,
}

impl From<&BadLine> for FirstBadLine {
    fn from(bad: &BadLine) -> Self {
        Self { line: bad.number, field: bad.refusal.field, reason: bad.refusal.reason.clone() }
    }
}

impl From<&Latencies> for CommitLatency {
    fn from(latencies: &Latencies) -> Self {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self { p50: nanos(latencies.percentile(50)), p99: nanos(latencies.percentile(99)), max: nanos(latencies.max()) }
    }
}

impl Summary {
    /// The summary for a person.
    ///
    /// # Errors
    ///
    /// Those of `output`.
    pub fn write_text(&self, output: &mut impl Write) -> io::Result<()> {
        let (Some(run_id), Some(path)) = (&self.run_id, &self.path) else {
            return writeln!(output, "no event was read, and no run was made ({})", self.end.as_str());
        };
        let CommitLatency { p50, p99, max } = self.commit_latency_ns;
        let shown = |nanos| format!("{:.1?}", Duration::from_nanos(nanos));
        writeln!(output, "run      {run_id} of {}", self.instance_id)?;
        writeln!(output, "path     {}", escaped(path))?;
        writeln!(output, "sealed   Ended: {}", self.end.as_str())?;
        writeln!(output, "entries  {} in {} batches", HumanCount(self.entries), HumanCount(self.batches))?;
        writeln!(
            output,
            "bytes    {} read, {} of payload, {} on disk",
            HumanBytes(self.input_bytes),
            HumanBytes(self.payload_bytes),
            HumanBytes(self.run_bytes)
        )?;
        writeln!(output, "seconds  {:.3}, {:.0} entries/s", self.seconds, self.entries_per_second)?;
        writeln!(output, "commit   p50 {}, p99 {}, max {}", shown(p50), shown(p99), shown(max))?;
        if self.bad_lines > 0 {
            let noun = if self.bad_lines == 1 { "line" } else { "lines" };
            writeln!(output, "refused  {} {noun}", HumanCount(self.bad_lines))?;
        }
        Ok(())
    }
}
