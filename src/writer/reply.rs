//! An answer that one thread waits for and another gives, once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::sync::{Condvar, Mutex, lock, wait, wait_timeout};

#[derive(Debug)]
enum Answer<T> {
    Awaited,
    Given(T),
    /// Whoever was to give it is gone, or it was taken.
    Gone,
}

#[derive(Debug)]
struct Slot<T> {
    answer: Mutex<Answer<T>>,
    settled: Condvar,
}

/// The side that answers. Dropped without an answer, it tells the other side that there will be none.
#[derive(Debug)]
pub(super) struct Promise<T>(Option<Arc<Slot<T>>>);

/// The side that waits.
#[derive(Debug)]
pub(super) struct Reply<T>(Arc<Slot<T>>);

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoReply {
    TimedOut,
    Gone,
}

/// A promise and its reply.
pub(super) fn promise<T>() -> (Promise<T>, Reply<T>) {
    let slot = Arc::new(Slot { answer: Mutex::new(Answer::Awaited), settled: Condvar::new() });
    (Promise(Some(slot.clone())), Reply(slot))
}

impl<T> Promise<T> {
    /// Gives the answer.
    pub(super) fn keep(mut self, answer: T) {
        if let Some(slot) = self.0.take() {
            settle(&slot, Answer::Given(answer));
        }
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        if let Some(slot) = self.0.take() {
            settle(&slot, Answer::Gone);
        }
    }
}

fn settle<T>(slot: &Slot<T>, answer: Answer<T>) {
    *lock(&slot.answer) = answer;
    slot.settled.notify_all();
}

impl<T> Reply<T> {
    /// Waits for the answer, for ever or as long as `timeout`.
    pub(super) fn wait(&self, timeout: Option<Duration>) -> Result<T, NoReply> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut answer = lock(&self.0.answer);
        loop {
            match std::mem::replace(&mut *answer, Answer::Gone) {
                Answer::Given(given) => return Ok(given),
                Answer::Gone => return Err(NoReply::Gone),
                Answer::Awaited => *answer = Answer::Awaited,
            }
            answer = match deadline {
                None => wait(&self.0.settled, answer),
                Some(deadline) => {
                    let (answer, timed_out) = wait_timeout(&self.0.settled, answer, deadline.saturating_duration_since(Instant::now()));
                    if timed_out && matches!(*answer, Answer::Awaited) {
                        return Err(NoReply::TimedOut);
                    }
                    answer
                }
            };
        }
    }
}

#[cfg(all(test, not(tapelog_shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reaches_the_thread_that_waits() {
        let (promise, reply) = promise();
        let waiting = std::thread::spawn(move || reply.wait(None));
        promise.keep(7);
        assert_eq!(waiting.join().unwrap(), Ok(7));
    }

    #[test]
    fn a_promise_that_is_dropped_ends_the_wait() {
        let (promise, reply) = promise::<u64>();
        let waiting = std::thread::spawn(move || reply.wait(None));
        drop(promise);
        assert_eq!(waiting.join().unwrap(), Err(NoReply::Gone));
    }

    #[test]
    fn a_wait_has_its_end_and_the_answer_is_still_awaited() {
        let (promise, reply) = promise();
        assert_eq!(reply.wait(Some(Duration::from_millis(1))), Err(NoReply::TimedOut));
        promise.keep(3);
        assert_eq!(reply.wait(Some(Duration::ZERO)), Ok(3));
    }
}
