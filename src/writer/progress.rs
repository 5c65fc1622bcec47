//! How far the run is durable, and who waits for that.
//!
//! Entries are counted over all runs of a writer by *tickets*, from 1: an entry's ticket is its number behind the
//! tickets of the runs before. Once the writer has halted nothing moves any more, whatever the disk still does: what
//! was not acknowledged by then never is.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;
use std::time::Instant;

use super::halt::HaltReason;
use super::submit_error::WaitError;
use super::sync::{Condvar, Mutex, MutexGuard, lock, wait, wait_timeout};
use crate::model::RunId;

/// How a writer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Halted(HaltReason),
    Closed,
}

#[derive(Debug)]
struct State {
    run_id: RunId,
    /// The ticket before the run's first.
    base: u64,
    durable: u64,
    end: Option<End>,
    sleepers: usize,
    wakers: BTreeMap<(u64, u64), Waker>,
    next_waker: u64,
}

/// The durable point of a writer.
#[derive(Debug)]
pub(super) struct Progress {
    state: Mutex<State>,
    moved: Condvar,
}

/// A waker that was left behind, by which it is found again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WakerKey(u64, u64);

impl Progress {
    /// Of a run whose last durable entry is `high_watermark`.
    pub(super) fn new(run_id: RunId, high_watermark: u64) -> Self {
        let state = State { run_id, base: 0, durable: high_watermark, end: None, sleepers: 0, wakers: BTreeMap::new(), next_waker: 0 };
        Self { state: Mutex::new(state), moved: Condvar::new() }
    }

    /// Everything up to `ticket` is durable. Of no effect once the writer has halted.
    pub(super) fn publish(&self, ticket: u64) {
        let mut state = lock(&self.state);
        if ticket <= state.durable || matches!(state.end, Some(End::Halted(_))) {
            return;
        }
        state.durable = ticket;
        let later = state.wakers.split_off(&(ticket.saturating_add(1), 0));
        let due = std::mem::replace(&mut state.wakers, later);
        self.wake(state, due);
    }

    /// The next run begins behind the last ticket of the one before.
    pub(super) fn begin_run(&self, run_id: RunId, base: u64) {
        let mut state = lock(&self.state);
        state.run_id = run_id;
        state.base = base;
    }

    /// Nothing becomes durable any more. False where that was so before.
    pub(super) fn end(&self, end: End) -> bool {
        let mut state = lock(&self.state);
        if state.end.is_some() {
            return false;
        }
        state.end = Some(end);
        let all = std::mem::take(&mut state.wakers);
        self.wake(state, all);
        true
    }

    /// Wakes who waits; nothing is locked while foreign code runs.
    fn wake(&self, state: MutexGuard<'_, State>, wakers: BTreeMap<(u64, u64), Waker>) {
        let sleepers = state.sleepers;
        drop(state);
        if sleepers > 0 {
            self.moved.notify_all();
        }
        for waker in wakers.into_values() {
            // One that panics keeps nobody else from being woken.
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }

    /// The last durable entry of the run that is written, and the run.
    pub(super) fn run(&self) -> (RunId, u64) {
        let state = lock(&self.state);
        (state.run_id.clone(), state.durable.saturating_sub(state.base))
    }

    /// The last durable entry of the run that is written.
    pub(super) fn high_watermark(&self) -> u64 {
        let state = lock(&self.state);
        state.durable.saturating_sub(state.base)
    }

    /// The last durable ticket.
    pub(super) fn durable(&self) -> u64 {
        lock(&self.state).durable
    }

    /// How the writer ended, if it did.
    pub(super) fn ended(&self) -> Option<End> {
        lock(&self.state).end.clone()
    }

    /// What is known of a ticket now; none while it is open.
    pub(super) fn poll(&self, ticket: u64) -> Option<Result<(), WaitError>> {
        lock(&self.state).settled(ticket)
    }

    /// As [`Progress::poll`], and while it is open `waker` is left behind, in place of the one under `key`.
    pub(super) fn poll_or_leave(&self, ticket: u64, key: &mut Option<WakerKey>, waker: &Waker) -> Option<Result<(), WaitError>> {
        let mut state = lock(&self.state);
        if let Some(settled) = state.settled(ticket) {
            *key = None;
            return Some(settled);
        }
        let WakerKey(_, number) = *key.get_or_insert_with(|| {
            state.next_waker += 1;
            WakerKey(ticket, state.next_waker)
        });
        let replaced = state.wakers.insert((ticket, number), waker.clone());
        drop(state);
        drop(replaced);
        None
    }

    /// Takes back a waker that was left behind.
    pub(super) fn forget(&self, key: WakerKey) {
        let forgotten = lock(&self.state).wakers.remove(&(key.0, key.1));
        drop(forgotten);
    }

    /// Waits until `ticket` is durable, for ever or until `deadline`.
    pub(super) fn wait(&self, ticket: u64, deadline: Option<Instant>) -> Result<(), WaitError> {
        let mut state = lock(&self.state);
        loop {
            if let Some(settled) = state.settled(ticket) {
                return settled;
            }
            state.sleepers += 1;
            let timed_out;
            (state, timed_out) = match deadline {
                None => (wait(&self.moved, state), false),
                Some(deadline) => wait_timeout(&self.moved, state, deadline.saturating_duration_since(Instant::now())),
            };
            state.sleepers -= 1;
            if timed_out {
                return state.settled(ticket).unwrap_or(Err(WaitError::TimedOut));
            }
        }
    }
}

impl State {
    fn settled(&self, ticket: u64) -> Option<Result<(), WaitError>> {
        if ticket <= self.durable {
            return Some(Ok(()));
        }
        match &self.end {
            None => None,
            Some(End::Closed) => Some(Err(WaitError::Closed)),
            Some(End::Halted(reason)) => Some(Err(WaitError::Halted(reason.clone()))),
        }
    }
}
