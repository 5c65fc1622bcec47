//! The messages that wait for the writer thread, laid out in batches, with the requests among them.
//!
//! One short lock gives a message its number and its time and lays it out at the end of the last batch; so numbers,
//! times and places agree, and the writer thread takes whole batches without touching a message. The buffers go round:
//! at rest nothing is allocated.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::config::{OnStall, WaitStrategy, WriterConfig};
use super::request::Request;
use super::sync::{AtomicBool, Condvar, Mutex, MutexGuard, lock, thread, wait, wait_timeout};
use crate::limits::{ROTATION_STALL_MAX, WRITER_REQUESTS_MAX};
use crate::model::{Clock, Draft, EntryDraft, UnixNanos};
use crate::store::EncodedBatch;

/// The smallest frame of an entry, for which a buffer has room in its list of records.
const FRAME_LEN_LEAST: u64 = 128;

/// Where an entry was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) ticket: u64,
    pub(super) seq: u64,
}

/// Why a message was not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Closed,
    Full,
    Stalled(Duration),
}

/// How long a message waits for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    None,
    AsConfigured,
}

/// What follows on a request.
#[derive(Debug)]
pub(super) enum After<'a> {
    /// More messages of this run.
    More,
    /// Messages of another run, by its id, of which this is the first.
    NextRun(&'a str, &'a EntryDraft),
    /// Nothing.
    End,
}

/// A batch, and what is asked behind it.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) batch: EncodedBatch,
    pub(super) last_ticket: u64,
    pub(super) request: Option<Request>,
    /// When its first message came, where batches wait for more.
    begun: Option<Instant>,
}

/// What the writer thread gets.
#[derive(Debug)]
pub(super) enum Taken {
    Item(Item),
    /// Nothing came in the time that was given.
    Nothing,
    /// Nothing will come.
    End,
}

/// What the sleeping writer thread waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sleep {
    Awake,
    ForAny,
    ForFull,
}

#[derive(Debug)]
struct State {
    queue: VecDeque<Item>,
    free: Vec<EncodedBatch>,
    entries: usize,
    len: u64,
    requests: usize,
    next_seq: u64,
    next_ticket: u64,
    last_publish: UnixNanos,
    closed: bool,
    /// The run is being changed: whoever waits for room waits for that, which is no stall.
    rotating: Option<Instant>,
    /// The run that takes messages in.
    run_id: Arc<str>,
    writer: Sleep,
    /// Those who wait for room, by number, the first first: nobody overtakes, so that a large message finds room too.
    waiters: VecDeque<u64>,
    next_waiter: u64,
    stalls: u64,
}

/// How much waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) entries: usize,
    pub(super) len: u64,
    pub(super) stalls: u64,
    pub(super) submitted: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Intake {
    state: Mutex<State>,
    filled: Condvar,
    room: Condvar,
    /// Something waits: for a writer thread that looks without a lock.
    any: AtomicBool,
    limits: Limits,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    entries: usize,
    len: u64,
    batch_entries: usize,
    batch_len: u64,
    batch_latency: Duration,
    threshold: Duration,
    on_stall: OnStall,
    wait: WaitStrategy,
}

impl Limits {
    fn new_batch(self) -> EncodedBatch {
        let len = usize::try_from(self.batch_len).unwrap_or(usize::MAX);
        let most = usize::try_from(self.batch_len / FRAME_LEN_LEAST).unwrap_or(usize::MAX);
        EncodedBatch::with_capacity(len, self.batch_entries.min(most))
    }

    /// Whether a batch takes no more, or no `len` bytes more.
    fn is_full(self, batch: &EncodedBatch, len: u64) -> bool {
        batch.entry_count() >= self.batch_entries || batch.frames_len() + len > self.batch_len
    }
}

impl Intake {
    /// For a run whose last entry is `high_watermark`.
    pub(super) fn new(config: &WriterConfig, run_id: &str, high_watermark: u64) -> Self {
        let limits = Limits {
            entries: config.channel_capacity,
            len: config.channel_len_max,
            batch_entries: config.max_batch_entries,
            batch_len: config.max_batch_len,
            batch_latency: config.max_batch_latency,
            threshold: config.halt_threshold,
            on_stall: config.on_stall,
            wait: config.wait_strategy,
        };
        // As many batches as can wait, and one that is being written.
        let batches = usize::try_from(limits.len / limits.batch_len).unwrap_or(usize::MAX).saturating_add(2);
        let batches = batches.min(limits.entries.saturating_add(2));
        let state = State {
            queue: VecDeque::with_capacity(batches + WRITER_REQUESTS_MAX),
            free: (0..batches).map(|_| limits.new_batch()).collect(),
            entries: 0,
            len: 0,
            requests: 0,
            next_seq: high_watermark.saturating_add(1),
            next_ticket: high_watermark.saturating_add(1),
            last_publish: UnixNanos::default(),
            closed: false,
            rotating: None,
            run_id: run_id.into(),
            writer: Sleep::Awake,
            waiters: VecDeque::with_capacity(64),
            next_waiter: 0,
            stalls: 0,
        };
        Self { state: Mutex::new(state), filled: Condvar::new(), room: Condvar::new(), any: AtomicBool::new(false), limits }
    }

    /// Takes a message in that is within the limits. What `and` makes of its run comes back with its place.
    pub(super) fn admit<T>(
        &self,
        draft: &impl Draft,
        clock: &dyn Clock,
        patience: Patience,
        and: impl FnOnce(&Arc<str>) -> T,
    ) -> Result<(Place, T), Refusal> {
        let len = EncodedBatch::len_of(draft);
        let mut state = lock(&self.state);
        let goes_in = state.waiters.is_empty() && state.has_room(self.limits, len);
        if !goes_in && !state.closed {
            state = self.wait_for_room(state, len, patience)?;
        }
        if state.closed {
            return Err(Refusal::Closed);
        }
        // The clock before anything changes: it is the embedder's code, and may panic.
        let now = clock.now();
        let place = state.take_in(self.limits, draft, len, now);
        let made = and(&state.run_id);
        self.wake_writer(state);
        Ok((place, made))
    }

    /// Waits until there is room, or the writer is closed.
    fn wait_for_room<'a>(&self, mut state: MutexGuard<'a, State>, len: u64, patience: Patience) -> Result<MutexGuard<'a, State>, Refusal> {
        state.stalls += 1;
        if patience == Patience::None {
            return Err(Refusal::Full);
        }
        let mut begun = Instant::now();
        let me = state.next_waiter;
        state.next_waiter += 1;
        state.waiters.push_back(me);
        let may_go = |state: &State| state.closed || state.waiters.front() == Some(&me) && state.has_room(self.limits, len);
        let mut outcome = Ok(());
        while !may_go(&state) {
            if state.writer == Sleep::ForFull {
                // What waits for a batch to fill waits in vain while there is no room.
                state.writer = Sleep::Awake;
                self.filled.notify_one();
            }
            let mut timed_out = false;
            if self.limits.on_stall == OnStall::Block {
                state = wait(&self.room, state);
            } else {
                let left = self.limits.threshold.saturating_sub(begun.elapsed());
                (state, timed_out) = wait_timeout(&self.room, state, left);
            }
            if state.is_rotating() {
                begun = Instant::now();
            } else if timed_out && !may_go(&state) {
                outcome = Err(Refusal::Stalled(begun.elapsed()));
                break;
            }
        }
        state.waiters.retain(|waiter| *waiter != me);
        if !state.waiters.is_empty() {
            // The next one looks whether there is room for him too.
            self.room.notify_all();
        }
        outcome.map(|()| state)
    }

    /// Whether the runs are being changed, and not for too long.
    pub(super) fn is_rotating(&self) -> bool {
        lock(&self.state).is_rotating()
    }

    /// Puts a request behind everything that was taken in, and `last` before it. Answers the ticket of the last entry
    /// before the request, and of the first entry behind it if that comes with it.
    pub(super) fn request(
        &self,
        request: Request,
        last: Option<&EntryDraft>,
        after: &After<'_>,
        clock: &dyn Clock,
    ) -> Result<u64, Refusal> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(Refusal::Closed);
        }
        let is_end = matches!(after, After::End);
        if state.requests >= WRITER_REQUESTS_MAX && !is_end || (state.rotating.is_some() && matches!(after, After::NextRun(..))) {
            return Err(Refusal::Full);
        }
        let now = clock.now();
        if let Some(last) = last {
            state.take_in(self.limits, last, EncodedBatch::len_of(last), now);
        }
        if state.queue.back().is_none_or(|item| item.request.is_some()) {
            state.begin_item(self.limits);
        }
        let last_ticket = state.next_ticket - 1;
        if let Some(item) = state.queue.back_mut() {
            item.request = Some(request);
            item.last_ticket = last_ticket;
        }
        state.requests += 1;
        match after {
            After::More => {}
            After::NextRun(run_id, first) => {
                state.rotating = Some(Instant::now());
                state.run_id = (*run_id).into();
                state.next_seq = 1;
                state.take_in(self.limits, *first, EncodedBatch::len_of(*first), now);
            }
            After::End => state.closed = true,
        }
        let ticket = state.next_ticket - 1;
        if state.closed {
            self.room.notify_all();
        }
        self.wake_writer(state);
        Ok(ticket)
    }

    /// Takes nothing in any more. What waits is still written.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        self.room.notify_all();
        self.wake_writer(state);
    }

    /// Takes nothing in any more, and gives up what waits.
    pub(super) fn abandon(&self) -> VecDeque<Item> {
        let mut state = lock(&self.state);
        state.closed = true;
        (state.entries, state.len, state.requests) = (0, 0, 0);
        let given_up = std::mem::take(&mut state.queue);
        self.room.notify_all();
        self.wake_writer(state);
        given_up
    }

    /// The run was changed.
    pub(super) fn rotated(&self) {
        let mut state = lock(&self.state);
        state.rotating = None;
        if !state.waiters.is_empty() {
            self.room.notify_all();
        }
    }

    /// How much waits.
    pub(super) fn waiting(&self) -> Waiting {
        let state = lock(&self.state);
        Waiting { entries: state.entries, len: state.len, stalls: state.stalls, submitted: state.next_ticket - 1 }
    }

    /// The place of the last entry that was taken in; its number is 0 where the run has none yet.
    pub(super) fn last(&self) -> Place {
        let state = lock(&self.state);
        Place { ticket: state.next_ticket - 1, seq: state.next_seq - 1 }
    }

    /// Unlocks, and wakes the writer thread if it sleeps for what is there now.
    fn wake_writer(&self, mut state: MutexGuard<'_, State>) {
        self.any.store(true, Ordering::Release);
        let wake = match state.writer {
            Sleep::Awake => false,
            Sleep::ForAny => true,
            Sleep::ForFull => state.closed || state.is_due(self.limits),
        };
        if wake {
            state.writer = Sleep::Awake;
        }
        drop(state);
        if wake {
            self.filled.notify_one();
        }
    }

    /// The next batch, for the writer thread. `done` is one that was written, whose memory is used again. With
    /// `patience` it waits no longer than that.
    pub(super) fn take(&self, done: Option<EncodedBatch>, patience: Option<Duration>) -> Taken {
        let done = done.map(|mut batch| {
            // A rare large entry made it larger than a batch is.
            batch.clear(usize::try_from(self.limits.batch_len).unwrap_or(usize::MAX).saturating_mul(2));
            batch
        });
        let mut state = lock(&self.state);
        if let Some(done) = done
            && state.free.len() < state.free.capacity()
        {
            state.free.push(done);
        }
        let deadline = patience.and_then(|patience| Instant::now().checked_add(patience));
        let mut spun = false;
        loop {
            let now_due = match state.queue.front() {
                None => None,
                Some(_) if state.closed || state.is_due(self.limits) => Some(Duration::ZERO),
                Some(item) => Some(item.begun.map_or(Duration::ZERO, |begun| self.limits.batch_latency.saturating_sub(begun.elapsed()))),
            };
            let (sleep, timeout) = match now_due {
                Some(Duration::ZERO) => return self.pop(state),
                Some(left) => {
                    let patience = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
                    if patience.is_some_and(|patience| patience.is_zero()) {
                        return Taken::Nothing;
                    }
                    (Sleep::ForFull, Some(patience.map_or(left, |patience| patience.min(left))))
                }
                None if state.closed => return Taken::End,
                None => {
                    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
                    if left.is_some_and(|left| left.is_zero()) {
                        return Taken::Nothing;
                    }
                    if !spun && self.limits.wait != WaitStrategy::Park {
                        self.any.store(false, Ordering::Release);
                        drop(state);
                        self.spin(left);
                        spun = self.limits.wait != WaitStrategy::Spin;
                        state = lock(&self.state);
                        continue;
                    }
                    (Sleep::ForAny, left)
                }
            };
            state.writer = sleep;
            let timed_out;
            (state, timed_out) = match timeout {
                None => (wait(&self.filled, state), false),
                Some(timeout) => wait_timeout(&self.filled, state, timeout),
            };
            state.writer = Sleep::Awake;
            if timed_out && sleep == Sleep::ForAny && state.queue.is_empty() && !state.closed {
                return Taken::Nothing;
            }
        }
    }

    /// Looks for something to come, for as long as the strategy says and at most `longest`.
    fn spin(&self, longest: Option<Duration>) {
        let own = match self.limits.wait {
            WaitStrategy::SpinThenPark { spin } => Some(spin),
            WaitStrategy::Spin | WaitStrategy::Park => None,
        };
        let limit = [own, longest].into_iter().flatten().min();
        let begun = limit.map(|_| Instant::now());
        while !self.any.load(Ordering::Acquire) {
            // The clock is asked once in a while: it costs more than a look.
            for _ in 0..64 {
                if self.any.load(Ordering::Acquire) {
                    return;
                }
                std::hint::spin_loop();
            }
            if cfg!(tapelog_shuttle) {
                thread::yield_now();
            }
            if begun.zip(limit).is_some_and(|(begun, limit)| begun.elapsed() >= limit) {
                return;
            }
        }
    }

    fn pop(&self, mut state: MutexGuard<'_, State>) -> Taken {
        let Some(item) = state.queue.pop_front() else {
            return if state.closed { Taken::End } else { Taken::Nothing };
        };
        state.entries = state.entries.saturating_sub(item.batch.entry_count());
        state.len = state.len.saturating_sub(len_of_entries(&item.batch));
        state.requests = state.requests.saturating_sub(usize::from(item.request.is_some()));
        let wake = !state.waiters.is_empty();
        drop(state);
        if wake {
            self.room.notify_all();
        }
        Taken::Item(item)
    }
}

/// The bytes of a batch without its commit, as they were counted when its entries were taken in.
fn len_of_entries(batch: &EncodedBatch) -> u64 {
    batch.frames_len() - EncodedBatch::default().frames_len()
}

impl State {
    fn has_room(&self, limits: Limits, len: u64) -> bool {
        self.entries < limits.entries && (self.len + len <= limits.len || self.entries == 0)
    }

    /// Whether the first batch waits for nothing: it is full, it has a request behind it, or more stand behind it.
    fn is_due(&self, limits: Limits) -> bool {
        self.queue.len() > 1
            || !self.waiters.is_empty()
            || self.queue.front().is_some_and(|item| item.request.is_some() || limits.is_full(&item.batch, FRAME_LEN_LEAST))
    }

    fn is_rotating(&self) -> bool {
        self.rotating.is_some_and(|since| since.elapsed() < ROTATION_STALL_MAX)
    }

    fn begin_item(&mut self, limits: Limits) {
        let batch = self.free.pop().unwrap_or_else(|| limits.new_batch());
        let begun = (!limits.batch_latency.is_zero()).then(Instant::now);
        self.queue.push_back(Item { batch, last_ticket: self.next_ticket - 1, request: None, begun });
    }

    fn take_in(&mut self, limits: Limits, draft: &impl Draft, len: u64, now: UnixNanos) -> Place {
        let ts_publish = now.max(self.last_publish);
        let takes = |item: &Item| item.request.is_none() && (item.batch.is_empty() || !limits.is_full(&item.batch, len));
        if !self.queue.back().is_some_and(takes) {
            self.begin_item(limits);
        }
        let place = Place { ticket: self.next_ticket, seq: self.next_seq };
        if let Some(item) = self.queue.back_mut() {
            item.batch.push(draft, place.seq, ts_publish);
            item.last_ticket = place.ticket;
            self.last_publish = ts_publish;
            self.next_seq += 1;
            self.next_ticket += 1;
            self.entries += 1;
            self.len += len;
        }
        place
    }
}
