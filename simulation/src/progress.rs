//! How far an exploration has come, for whoever looks on.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::runner::Findings;

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// How progress is shown, on the standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Not at all.
    Silent,
    /// As a bar that moves.
    Bar,
    /// As a line from time to time, which a log can hold.
    Lines,
}

impl Progress {
    /// What suits the standard error of this process.
    #[must_use]
    pub fn of_stderr() -> Self {
        if stderr().is_terminal() { Self::Bar } else { Self::Lines }
    }

    /// Writes a line that stays, unless nobody is to be told anything.
    pub fn say(self, line: &str) {
        if self != Self::Silent {
            let _ = writeln!(stderr(), "{line}");
        }
    }

    pub(crate) fn begin(self, name: &'static str, blocks: usize) -> Teller {
        let bar = if self == Self::Bar { bar(name, blocks as u64) } else { ProgressBar::hidden() };
        Teller { progress: self, name, blocks, done: 0, told: Instant::now(), bar }
    }
}

/// Tells of one exploration.
pub(crate) struct Teller {
    progress: Progress,
    name: &'static str,
    blocks: usize,
    done: usize,
    told: Instant,
    bar: ProgressBar,
}

impl Teller {
    /// One more block of work is done.
    pub(crate) fn block(&mut self, findings: &Findings) {
        self.done += 1;
        self.bar.inc(1);
        self.bar.set_message(format!("{} disks", findings.counts.disks));
        if self.progress == Progress::Lines && self.told.elapsed() >= LINE_EVERY {
            self.told = Instant::now();
            let Self { name, blocks, done, .. } = self;
            self.progress.say(&format!("{name}: {done} of {blocks} parts, {} disks, {} broken", findings.counts.disks, findings.broken));
        }
    }

    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn bar(name: &'static str, blocks: u64) -> ProgressBar {
    let bar = ProgressBar::new(blocks);
    if let Ok(style) = ProgressStyle::with_template("{prefix:>12} {wide_bar} {pos}/{len} {msg} {eta}") {
        bar.set_style(style);
    }
    bar.set_prefix(name);
    bar
}
