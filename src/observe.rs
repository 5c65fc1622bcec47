//! What is told to the `metrics` and `tracing` facades, where these features are on. Without them every call is empty.
//!
//! A thread that submits calls nothing of it, unless its message stalls.
//!
//! Metrics: `tapelog_entries_written_total`, `tapelog_bytes_written_total`, `tapelog_halts_total`, `tapelog_stalls_total` (messages
//! that waited too long), `tapelog_runs_begun_total`, `tapelog_runs_recovered_total` (by `status`) are counters;
//! `tapelog_append_seconds` is a histogram; `tapelog_entries_waiting` and `tapelog_space_available_bytes` are gauges. Events have
//! the target `tapelog::observe`: a batch at TRACE, a run that began or ended at INFO, stalls, low space and recovered runs at
//! WARN, a halt at ERROR.

use std::fmt::Display;
use std::time::Duration;

/// A batch was written.
#[inline]
pub(crate) fn batch_written(entries: usize, len: u64, took: Duration) {
    #[cfg(feature = "metrics")]
    {
        metrics::counter!("tapelog_entries_written_total").increment(entries as u64);
        metrics::counter!("tapelog_bytes_written_total").increment(len);
        metrics::histogram!("tapelog_append_seconds").record(took);
    }
    #[cfg(feature = "tracing")]
    tracing::trace!(entries, len, ?took, "batch written");
    let _ = (entries, len, took);
}

/// Entries wait.
#[inline]
pub(crate) fn waiting(entries: usize) {
    #[cfg(feature = "metrics")]
    {
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a double")]
        metrics::gauge!("tapelog_entries_waiting").set(entries as f64);
    }
    let _ = entries;
}

/// A writer stopped for good.
pub(crate) fn halted(reason: &impl Display) {
    #[cfg(feature = "metrics")]
    metrics::counter!("tapelog_halts_total").increment(1);
    #[cfg(feature = "tracing")]
    tracing::error!(%reason, "the writer has halted");
    let _ = reason;
}

/// A message found no room.
pub(crate) fn stalled(waited: Duration) {
    #[cfg(feature = "metrics")]
    metrics::counter!("tapelog_stalls_total").increment(1);
    #[cfg(feature = "tracing")]
    tracing::warn!(?waited, "a message waited for the store for too long");
    let _ = waited;
}

/// A run began.
pub(crate) fn run_began(run_id: &str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("tapelog_runs_begun_total").increment(1);
    #[cfg(feature = "tracing")]
    tracing::info!(run_id, "run begun");
    let _ = run_id;
}

/// A run was sealed.
pub(crate) fn run_ended(run_id: &str, high_watermark: u64) {
    #[cfg(feature = "tracing")]
    tracing::info!(run_id, high_watermark, "run sealed");
    let _ = (run_id, high_watermark);
}

/// A run that was left running was sealed.
pub(crate) fn run_recovered(run_id: &str, status: &impl Display) {
    #[cfg(feature = "metrics")]
    metrics::counter!("tapelog_runs_recovered_total", "status" => status.to_string()).increment(1);
    #[cfg(feature = "tracing")]
    tracing::warn!(run_id, %status, "a run that was left running was sealed");
    let _ = (run_id, status);
}

/// What is left of the file system.
pub(crate) fn space(available: u64) {
    #[cfg(feature = "metrics")]
    {
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a double")]
        metrics::gauge!("tapelog_space_available_bytes").set(available as f64);
    }
    let _ = available;
}

/// The file system is about to be full.
pub(crate) fn low_space(available: u64) {
    #[cfg(feature = "tracing")]
    tracing::warn!(available, "the file system has little space left");
    let _ = available;
}
