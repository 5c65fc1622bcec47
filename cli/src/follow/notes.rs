//! What is told beside the entries, each thing once.

use std::time::{Duration, Instant};

use tapelog::RunEnd;

use crate::output::tell;

/// How long nothing may come from a run before it is looked whether anybody writes it.
const QUIET_MAX: Duration = Duration::from_secs(1);

/// What was told of the run that is followed.
#[derive(Debug)]
pub struct Notes {
    run_id: String,
    quiet_since: Option<Instant>,
    is_left: bool,
    told_left: bool,
}

impl Notes {
    /// Nothing was told of the run yet.
    pub fn new(run_id: String) -> Self {
        Self { run_id, quiet_since: None, is_left: false, told_left: false }
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
        (self.quiet_since, self.is_left, self.told_left) = (None, false, false);
    }

    /// Nothing came: whether that is because nobody has written the run for a while.
    pub fn is_left(&mut self, is_live: impl FnOnce() -> bool) -> bool {
        if !self.is_left && self.quiet_since.get_or_insert_with(Instant::now).elapsed() >= QUIET_MAX {
            self.is_left = !is_live();
            self.quiet_since = None;
        }
        self.is_left
    }

    /// Nobody writes the run, and it is waited for.
    pub fn waits(&mut self) {
        if !self.told_left {
            tell(format_args!("no process is writing the run {}; it goes on once it is recovered", self.run_id));
            self.told_left = true;
        }
    }
}
