//! Entries on their way out: those that pass a filter, up to its limit.

use std::ops::ControlFlow;

use crate::entry::Entry;
use crate::exit::Failure;
use crate::filter::Filter;
use crate::output::{Output, View, write_entry};

/// Writes the entries that pass, up to the limit.
pub struct Printer<'a> {
    filter: &'a Filter,
    view: View,
    output: Output,
    left: u64,
}

impl<'a> Printer<'a> {
    /// A printer to the standard output.
    pub fn new(filter: &'a Filter, view: View) -> Self {
        Self::to(Output::new(), filter, view)
    }

    /// A printer to `output`.
    pub fn to(output: Output, filter: &'a Filter, view: View) -> Self {
        Self { filter, view, output, left: filter.limit }
    }

    /// What entries have to pass.
    pub fn filter(&self) -> &'a Filter {
        self.filter
    }

    /// Whether no entry will be written any more.
    pub fn is_done(&self) -> bool {
        self.left == 0 || self.output.is_closed()
    }

    /// Writes the entry if it passes, and breaks off when it was the last one, or none can be written.
    pub fn show(&mut self, entry: &Entry<'_>) -> ControlFlow<Result<(), Failure>> {
        if self.filter.matches(entry) && !self.is_done() {
            self.left = self.left.saturating_sub(1);
            if let Err(failure) = self.output.with(|writer| write_entry(entry, self.view, writer)) {
                return ControlFlow::Break(Err(failure));
            }
        }
        if self.is_done() { ControlFlow::Break(Ok(())) } else { ControlFlow::Continue(()) }
    }

    /// Sends on what was written, and looks whether anybody still reads it.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.output.flush()
    }

    /// Ends the output.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn finish(self) -> Result<(), Failure> {
        self.output.finish()
    }
}
