//! A bar on the terminal; without a terminal on the standard error, nothing.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

// The templates are in no colour. One that is wrong leaves the default bar, and the tests find it.
const BAR: &str = "{bar:30} {percent:>3}%  {bytes}/{total_bytes}  {msg}  {eta} left";
const COUNT: &str = "{spinner} {bytes} in {elapsed}  {msg}";

/// How far a long work has come, in bytes.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// The progress of `total` bytes, where the total is known.
    pub fn new(total: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(10));
        if let Ok(style) = ProgressStyle::with_template(if total.is_some() { BAR } else { COUNT }) {
            bar.set_style(style);
        }
        if total.is_none() {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self { bar }
    }

    /// `done` bytes are done, and what they came to.
    pub fn set(&self, done: u64, came_to: impl Into<String>) {
        if !self.bar.is_hidden() {
            self.bar.set_position(done);
            self.bar.set_message(came_to.into());
        }
    }

    /// The whole has this many bytes.
    pub fn set_total(&self, total: u64) {
        self.bar.set_length(total);
    }

    /// Does `work` while the bar is out of the way, so that a line it tells does not run into the bar.
    pub fn aside<T>(&self, work: impl FnOnce() -> T) -> T {
        self.bar.suspend(work)
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_right() {
        for template in [BAR, COUNT] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
