//! Where the lines come from: a file, a pipe or a terminal.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Stdin};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Bytes that may be there now or arrive later.
pub trait Source: Read {
    /// Waits until a read would not block, `wait` at the longest; whether it would not.
    ///
    /// # Errors
    ///
    /// What the operating system says. A signal that arrives ends the wait and is no error.
    fn ready(&mut self, wait: Duration) -> io::Result<bool>;
}

/// A file, or the standard input.
#[derive(Debug)]
pub enum Input {
    /// A file, which may be a named pipe.
    File(File),
    /// The standard input.
    Stdin(Stdin),
}

impl Input {
    /// The file at `path`; `-` is the standard input.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::Stdin(io::stdin()));
        }
        File::open(path).map(Self::File)
    }

    /// Whether a person types it.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Stdin(stdin) if stdin.is_terminal())
    }

    /// The length in bytes, where it is known beforehand.
    pub fn len(&self) -> Option<u64> {
        let Self::File(file) = self else { return None };
        file.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len())
    }
}

impl Read for Input {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(into),
            // The descriptor is read directly: bytes that a buffer took in would not show in `ready`.
            Self::Stdin(stdin) => rustix::io::read(stdin.as_fd(), into).map_err(io::Error::from),
        }
    }
}

impl Source for Input {
    fn ready(&mut self, wait: Duration) -> io::Result<bool> {
        let descriptor = match &*self {
            Self::File(file) => file.as_fd(),
            Self::Stdin(stdin) => stdin.as_fd(),
        };
        let timeout = Timespec::try_from(wait).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        match poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&timeout)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
