//! What is told beside the entries, each thing once.

use std::time::{Duration, Instant};

use tapelog::RunEnd;

use crate::output::tell;

/// How long nobody may write a run before that is told.
const QUIET_MAX: Duration = Duration::from_secs(1);

/// What was told of the run that is followed.
#[derive(Debug)]
pub struct Notes {
    run_id: String,
    quiet_since: Option<Instant>,
    told_quiet: bool,
}

impl Notes {
    /// Nothing was told of the run yet.
    pub fn new(run_id: String) -> Self {
        Self { run_id, quiet_since: None, told_quiet: false }
    }

    /// The run is followed from now on.
    pub fn goes_on_in(&mut self, run_id: &str) {
        if self.run_id != run_id {
            tell(format_args!("going on in the run {run_id}"));
            *self = Self::new(run_id.to_owned());
        }
    }

    /// The run that is followed has ended.
    pub fn ended(&self, end: &RunEnd) {
        match end {
            RunEnd::Sealed(manifest) => {
                tell(format_args!("the run {} ended as {} at entry {}", manifest.run_id, manifest.status, manifest.high_watermark));
            }
            other => tell(format_args!("the run {} ended: {other:?}", self.run_id)),
        }
    }

    /// Something came.
    pub fn busy(&mut self) {
        (self.quiet_since, self.told_quiet) = (None, false);
    }

    /// Nothing came: where that is because nobody writes, it is told after a while.
    pub fn idle(&mut self, is_live: impl FnOnce() -> bool) {
        if self.told_quiet || self.quiet_since.get_or_insert_with(Instant::now).elapsed() < QUIET_MAX {
            return;
        }
        if is_live() {
            self.quiet_since = None;
        } else {
            tell(format_args!("no process is writing the run {}; it goes on once it is recovered", self.run_id));
            self.told_quiet = true;
        }
    }
}
