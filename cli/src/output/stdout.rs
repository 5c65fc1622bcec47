//! The standard output.

use std::fmt::Arguments;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use serde::Serialize;

use crate::exit::Failure;

/// The standard output, buffered; what is in the buffer goes out with [`Output::finish`].
#[derive(Debug)]
pub struct Output {
    writer: BufWriter<StdoutLock<'static>>,
}

impl Output {
    /// The standard output of this process.
    pub fn new() -> Self {
        Self { writer: BufWriter::with_capacity(64 << 10, io::stdout().lock()) }
    }

    /// Whether a person looks at it.
    pub fn is_terminal() -> bool {
        io::stdout().is_terminal()
    }

    /// Writes one line.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn line(&mut self, text: Arguments<'_>) -> Result<(), Failure> {
        self.with(|writer| writeln!(writer, "{text}"))
    }

    /// Writes `value` as one line of JSON.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        self.with(|writer| {
            serde_json::to_writer(&mut *writer, value)?;
            writer.write_all(b"\n")
        })
    }

    /// Writes what `write` writes.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn with(&mut self, write: impl FnOnce(&mut BufWriter<StdoutLock<'static>>) -> io::Result<()>) -> Result<(), Failure> {
        write(&mut self.writer).map_err(|error| Failure::of_output(&error))
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
