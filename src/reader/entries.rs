//! Entries as values, read a chunk at a time.

use std::collections::VecDeque;
use std::iter::FusedIterator;
use std::ops::ControlFlow;

use crate::error::EventStoreError;
use crate::model::{EventStoreEntry, ScanDirection};
use crate::reader::resume::behind;
use crate::reader::run_reader::RunReader;
use crate::store::Check;

/// Most entries that are read at a time.
const CHUNK_ENTRIES_MAX: usize = 1024;
/// Payload bytes after which a chunk is full.
const CHUNK_PAYLOAD_LEN: usize = 1 << 20;

/// The entries of a range, see [`RunReader::entries`].
#[derive(Debug, Clone)]
pub struct Entries {
    reader: RunReader,
    /// What is still to be read; nothing where `from` lies behind `to`.
    from: u64,
    to: u64,
    direction: ScanDirection,
    chunk: VecDeque<EventStoreEntry>,
    /// What is told once the chunk is empty.
    error: Option<EventStoreError>,
}

impl Entries {
    pub(crate) fn new(reader: RunReader, from: u64, to: u64, direction: ScanDirection) -> Self {
        Self { reader, from, to, direction, chunk: VecDeque::new(), error: None }
    }

    fn read_chunk(&mut self) {
        let (chunk, mut payload_len) = (&mut self.chunk, 0);
        let mut refused = None;
        let visited = self.reader.visit(self.from..=self.to, self.direction, Check::Full, |view| {
            match view.to_entry() {
                Ok(entry) => chunk.push_back(entry),
                Err(error) => {
                    refused = Some(error);
                    return ControlFlow::Break(());
                }
            }
            payload_len += view.payload().len();
            if chunk.len() >= CHUNK_ENTRIES_MAX || payload_len >= CHUNK_PAYLOAD_LEN {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        self.error = refused.or(visited.err());
        let next = match (&self.error, self.chunk.back()) {
            (Some(error), _) => behind(error, self.direction),
            (None, Some(last)) => match self.direction {
                ScanDirection::Forward => last.seq.checked_add(1),
                ScanDirection::Reverse => last.seq.checked_sub(1),
            },
            (None, None) => None,
        };
        match (next, self.direction) {
            (Some(next), ScanDirection::Forward) => self.from = next,
            (Some(next), ScanDirection::Reverse) => self.to = next,
            (None, _) => (self.from, self.to) = (1, 0),
        }
    }
}

impl Iterator for Entries {
    type Item = Result<EventStoreEntry, EventStoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.chunk.is_empty() && self.error.is_none() && self.from > 0 && self.from <= self.to {
            self.read_chunk();
        }
        match self.chunk.pop_front() {
            Some(entry) => Some(Ok(entry)),
            None => self.error.take().map(Err),
        }
    }
}

impl FusedIterator for Entries {}
