//! A file whose every read and write is scripted.

use std::collections::VecDeque;
use std::io;
use std::sync::Mutex;

use bytes::Bytes;

use super::File;

/// What one read or write does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Moves {
    /// As many bytes as it can.
    All,
    /// At most so many.
    Bytes(usize),
    /// None, and claims so many.
    Claims(usize),
    /// None: a signal came.
    Interrupted,
    /// None: it fails.
    Fails(io::ErrorKind),
}

/// A file in memory that follows a script, and then moves all that it can.
#[derive(Debug)]
pub(super) struct ScriptedFile {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    bytes: Vec<u8>,
    script: VecDeque<Moves>,
    calls: Vec<(u64, usize)>,
}

impl ScriptedFile {
    pub(super) fn new(bytes: &[u8], script: impl IntoIterator<Item = Moves>) -> Self {
        Self { state: Mutex::new(State { bytes: bytes.to_vec(), script: script.into_iter().collect(), calls: Vec::new() }) }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.state.lock().unwrap().bytes.clone()
    }

    /// The offset and the length asked for, of every call so far.
    pub(super) fn calls(&self) -> Vec<(u64, usize)> {
        self.state.lock().unwrap().calls.clone()
    }
}

impl State {
    /// How many of `len` bytes the next call moves, or what it answers without moving any.
    fn next(&mut self, offset: u64, len: usize) -> Result<usize, io::Result<usize>> {
        self.calls.push((offset, len));
        match self.script.pop_front().unwrap_or(Moves::All) {
            Moves::All => Ok(len),
            Moves::Bytes(most) => Ok(len.min(most)),
            Moves::Claims(claimed) => Err(Ok(claimed)),
            Moves::Interrupted => Err(Err(io::ErrorKind::Interrupted.into())),
            Moves::Fails(kind) => Err(Err(kind.into())),
        }
    }
}

impl File for ScriptedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.state.lock().unwrap();
        let len = match state.next(offset, buffer.len()) {
            Ok(len) => len,
            Err(answer) => return answer,
        };
        let from = usize::try_from(offset).unwrap().min(state.bytes.len());
        let there = &state.bytes[from..];
        let len = len.min(there.len());
        buffer[..len].copy_from_slice(&there[..len]);
        Ok(len)
    }

    fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.state.lock().unwrap();
        let len = match state.next(offset, buffer.len()) {
            Ok(len) => len,
            Err(answer) => return answer,
        };
        let from = usize::try_from(offset).unwrap();
        let end = state.bytes.len().max(from + len);
        state.bytes.resize(end, 0);
        state.bytes[from..from + len].copy_from_slice(&buffer[..len]);
        Ok(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.state.lock().unwrap().bytes.resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().unwrap().bytes.len() as u64)
    }

    fn map(&self, len: u64) -> io::Result<Bytes> {
        Ok(Bytes::copy_from_slice(&self.state.lock().unwrap().bytes[..usize::try_from(len).unwrap()]))
    }
}
