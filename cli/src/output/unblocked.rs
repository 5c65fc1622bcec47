//! Writing to the standard output without being held by a reader that takes nothing.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// How much a pipe takes at once that takes anything (`PIPE_BUF`): a write of so much does not wait.
const PIECE_LEN_MAX: usize = 4096;
/// How long a wait for the reader goes on without a look at the signals.
const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
const NO_TIME: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
/// How long a reader is still waited for after a signal.
const GRACE: Duration = Duration::from_millis(250);

/// The standard output, unbuffered.
///
/// A process that goes on after a signal must not be held by a write that nobody takes. So where the output is no file, it
/// goes out in pieces that are small enough not to wait, each once the reader takes it. A piece ends with a line where one
/// ends in it, so that what is broken off ends with a line, unless that is longer than a piece.
#[derive(Debug)]
pub struct Unblocked {
    stop: Option<Arc<AtomicBool>>,
    stopped_since: Option<Instant>,
    broken_off: bool,
}

impl Unblocked {
    /// The standard output of a process that has to end once `stop` is set.
    pub fn new(stop: Option<Arc<AtomicBool>>) -> Self {
        Self { stop: stop.filter(|_| !is_file()), stopped_since: None, broken_off: false }
    }

    /// Whether the wait for the reader was broken off.
    pub fn is_broken_off(&self) -> bool {
        self.broken_off
    }

    /// Waits until the reader takes something.
    fn wait(&mut self, stop: &AtomicBool) -> io::Result<()> {
        let stdout = io::stdout();
        loop {
            let is_stopped = stop.load(Ordering::Relaxed);
            let is_over = is_stopped && self.stopped_since.get_or_insert_with(Instant::now).elapsed() >= GRACE;
            let mut output = [PollFd::new(&stdout, PollFlags::OUT)];
            match poll(&mut output, Some(if is_over { &NO_TIME } else { &LOOK_EVERY })) {
                Ok(0) | Err(Errno::INTR) if is_over => {
                    self.broken_off = true;
                    return Err(io::Error::other("a signal came while nobody took the output"));
                }
                Ok(0) | Err(Errno::INTR) => {}
                // Where the reader has left, or the output cannot be asked, the write tells.
                Ok(_) | Err(_) => return Ok(()),
            }
        }
    }
}

impl Write for Unblocked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = match self.stop.clone() {
            None => bytes,
            Some(stop) => {
                self.wait(&stop)?;
                piece(bytes)
            }
        };
        Ok(rustix::io::write(io::stdout(), piece)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What goes out at once of `bytes`.
fn piece(bytes: &[u8]) -> &[u8] {
    let most = bytes.get(..PIECE_LEN_MAX).unwrap_or(bytes);
    let whole_lines = memchr::memrchr(b'\n', most).and_then(|last| most.get(..=last));
    whole_lines.unwrap_or(most)
}

/// A file takes what it is given, or refuses it. What cannot be asked may be anything.
fn is_file() -> bool {
    let asked = io::stdout().as_fd().try_clone_to_owned().map(File::from).and_then(|file| file.metadata());
    asked.is_ok_and(|metadata| metadata.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_ends_with_a_line_where_one_ends_in_it() {
        assert_eq!(piece(b"a\nb\nc"), b"a\nb\n");
        assert_eq!(piece(b"abc"), b"abc");
        let long = [vec![b'a'; 5000], b"\nb\n".to_vec()].concat();
        assert_eq!(piece(&long), &long[..4096]);
        assert_eq!(piece(&long[4096..]), &long[4096..]);
        assert_eq!(piece(b""), b"");
    }
}
