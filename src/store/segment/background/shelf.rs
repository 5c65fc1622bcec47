//! Spares that are ready, and the answer to an append that finds none.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};

use crate::error::EventStoreError;
use crate::segment::spare::Spare;

/// Spares in the order of their ordinals.
#[derive(Debug)]
pub(crate) struct Shelf {
    state: Mutex<ShelfState>,
    changed: Condvar,
}

#[derive(Debug)]
struct ShelfState {
    ready: VecDeque<Spare>,
    next_ordinal: u32,
    target: usize,
    failure: Option<EventStoreError>,
    closed: bool,
    missed: u64,
}

impl Shelf {
    /// A shelf that holds `ready` and wants `target` spares on it.
    pub(crate) fn new(ready: VecDeque<Spare>, target: usize) -> Self {
        let next_ordinal = ready.back().map_or(1, |spare| spare.page.ordinal + 1);
        let state = ShelfState { ready, next_ordinal, target, failure: None, closed: false, missed: 0 };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, ShelfState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ordinal of the spare that should be made now, if one should.
    pub(crate) fn wanted(&self) -> Option<u32> {
        let state = self.lock();
        (state.ready.len() < state.target && state.failure.is_none() && !state.closed).then_some(state.next_ordinal)
    }

    /// A spare was made.
    pub(crate) fn put(&self, spare: Spare) {
        let mut state = self.lock();
        state.next_ordinal = spare.page.ordinal + 1;
        state.ready.push_back(spare);
        drop(state);
        self.changed.notify_all();
    }

    /// A spare could not be made. It is tried again when the next one that is ready is taken; an append that finds none ready
    /// is told, and then it is tried again too.
    pub(crate) fn fail(&self, error: EventStoreError) {
        self.lock().failure = Some(error);
        self.changed.notify_all();
    }

    /// The next spare if one is ready. Where making another one failed meanwhile, that is tried again now: a disk that was
    /// full may have been freed, and a whole segment is left to write until the answer matters.
    pub(crate) fn try_take(&self) -> Option<Spare> {
        let mut state = self.lock();
        let spare = state.ready.pop_front();
        if spare.is_some() {
            state.failure = None;
        }
        drop(state);
        if spare.is_some() {
            self.changed.notify_all();
        }
        spare
    }

    /// An append found the shelf empty.
    pub(crate) fn note_missed(&self) {
        self.lock().missed += 1;
    }

    /// How often an append had to wait for a spare.
    pub(crate) fn missed(&self) -> u64 {
        self.lock().missed
    }

    /// The next spare, waiting for one that is being made.
    ///
    /// # Errors
    /// Why the last one could not be made. The failure is taken: making one is tried again.
    pub(crate) fn take(&self) -> Result<Spare, EventStoreError> {
        let mut state = self.lock();
        loop {
            if let Some(spare) = state.ready.pop_front() {
                drop(state);
                self.changed.notify_all();
                return Ok(spare);
            }
            if let Some(error) = state.failure.take() {
                drop(state);
                self.changed.notify_all();
                return Err(error);
            }
            if state.closed {
                return Err(EventStoreError::Backend("the store is closing and makes no more segments".to_owned()));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// No more spares are made; whoever waits is woken.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Takes off everything that is left, in the order of the ordinals.
    pub(crate) fn drain(&self) -> Vec<Spare> {
        self.lock().ready.drain(..).collect()
    }
}
