//! The standard output.

use std::fmt::Arguments;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;

use super::numbers::Numbers;
use super::unblocked::Unblocked;
use crate::exit::Failure;

/// How much is gathered before it goes out.
const GATHERED_LEN: usize = 64 << 10;

/// The standard output, buffered; what is in the buffer goes out with [`Output::finish`].
///
/// Once its reader has left, or a signal has ended the wait for a reader that takes nothing, whatever is written vanishes
/// quietly: the verdict of the command does not depend on who reads it.
#[derive(Debug)]
pub struct Output {
    /// Whole lines, so that what goes out breaks off between lines where it has to.
    gathered: Vec<u8>,
    writer: Unblocked,
    closed: bool,
}

impl Output {
    /// The standard output of this process. A signal ends the process, whether or not the output is taken.
    pub fn new() -> Self {
        Self::over(Unblocked::new(None))
    }

    /// The standard output of a process that goes on after a signal, which sets `stop`: then nobody is waited for who does
    /// not take the output.
    pub fn until(stop: Arc<AtomicBool>) -> Self {
        Self::over(Unblocked::new(Some(stop)))
    }

    fn over(writer: Unblocked) -> Self {
        Self { gathered: Vec::new(), writer, closed: false }
    }

    /// Whether a person looks at it.
    pub fn is_terminal() -> bool {
        io::stdout().is_terminal()
    }

    /// Whether nobody takes it any more.
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

    /// Writes what `write` writes: whole lines, or bytes that have none.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn with(&mut self, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
        let written = write(&mut self.gathered);
        self.judge(written)?;
        if self.gathered.len() >= GATHERED_LEN { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
        let sent = self.writer.write_all(&self.gathered);
        self.gathered.clear();
        self.judge(sent)
    }

    fn judge(&mut self, written: io::Result<()>) -> Result<(), Failure> {
        match written {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe || self.writer.is_broken_off() => {
                self.closed = true;
                Ok(())
            }
            Err(error) => Err(Failure::new(format!("cannot write the output: {error}"))),
        }
    }

    /// Writes out what is in the buffer, and looks whether the reader has left although nothing was written.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.send()?;
        let stdout = io::stdout();
        let mut output = [PollFd::new(&stdout, PollFlags::empty())];
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
        self.send()
    }
}
