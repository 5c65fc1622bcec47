//! The standard output.

use std::fmt::Arguments;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;

use super::numbers::Numbers;
use crate::exit::Failure;

/// The standard output, buffered; what is in the buffer goes out with [`Output::finish`].
///
/// Once its reader has left, whatever is written vanishes quietly: the verdict of the command does not depend
/// on who reads it.
#[derive(Debug)]
pub struct Output {
    writer: BufWriter<StdoutLock<'static>>,
    closed: bool,
}

impl Output {
    /// The standard output of this process.
    pub fn new() -> Self {
        Self { writer: BufWriter::with_capacity(64 << 10, io::stdout().lock()), closed: false }
    }

    /// Whether a person looks at it.
    pub fn is_terminal() -> bool {
        io::stdout().is_terminal()
    }

    /// Whether its reader has left.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Writes one line.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn line(&mut self, text: Arguments<'_>) -> Result<(), Failure> {
        self.with(|writer| writeln!(writer, "{text}"))
    }

    /// Writes `value` as one line of JSON, with whole numbers as `numbers` says.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn json(&mut self, value: &impl Serialize, numbers: Numbers) -> Result<(), Failure> {
        self.with(|writer| {
            numbers.write(value, writer)?;
            writer.write_all(b"\n")
        })
    }

    /// Writes what `write` writes.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn with(&mut self, write: impl FnOnce(&mut BufWriter<StdoutLock<'static>>) -> io::Result<()>) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
        match write(&mut self.writer) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.closed = true,
            Err(error) => return Err(Failure::new(format!("cannot write the output: {error}"))),
            Ok(()) => {}
        }
        Ok(())
    }

    /// Writes out what is in the buffer, and looks whether the reader has left although nothing was written.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.with(Write::flush)?;
        let mut output = [PollFd::new(self.writer.get_ref(), PollFlags::empty())];
        // Whoever cannot be asked is still there.
        let asked = poll(&mut output, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        if asked.is_ok() && output.iter().any(|output| output.revents().intersects(PollFlags::ERR)) {
            self.closed = true;
        }
        Ok(())
    }

    /// Writes out what is still in the buffer.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn finish(mut self) -> Result<(), Failure> {
        self.with(Write::flush)
    }
}
