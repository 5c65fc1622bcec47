//! What a message that was taken in can be waited for with.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::progress::WakerKey;
use super::shared::Shared;
use super::submit_error::WaitError;

/// The place of an entry that was submitted, and the wait until it is durable.
///
/// It is a `Future` too, which needs no runtime of a certain kind: whoever polls it is woken by the writer thread.
/// Giving it up costs nothing.
#[must_use = "an entry is acknowledged only once its receipt says so"]
pub struct Receipt {
    shared: Arc<Shared>,
    ticket: u64,
    seq: u64,
    run_id: Arc<str>,
    waker: Option<WakerKey>,
}

impl Receipt {
    pub(super) fn new(shared: Arc<Shared>, ticket: u64, seq: u64, run_id: Arc<str>) -> Self {
        Self { shared, ticket, seq, run_id, waker: None }
    }

    /// The entry's number in its run.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The entry's run: across a rotation its number alone does not name it.
    #[must_use]
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// Whether the entry is durable, or why it will not be; none while that is open.
    #[must_use]
    pub fn poll_durable(&self) -> Option<Result<u64, WaitError>> {
        Some(self.shared.progress.poll(self.ticket)?.map(|()| self.seq))
    }

    /// Waits until the entry is durable, and answers its number.
    ///
    /// # Errors
    /// [`WaitError::Halted`] and [`WaitError::Closed`]: it is not acknowledged.
    pub fn wait(&self) -> Result<u64, WaitError> {
        self.shared.progress.wait(self.ticket, None).map(|()| self.seq)
    }

    /// As [`Receipt::wait`], at most as long as `timeout`.
    ///
    /// # Errors
    /// [`WaitError::TimedOut`] too.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<u64, WaitError> {
        let deadline = Instant::now().checked_add(timeout);
        self.shared.progress.wait(self.ticket, deadline).map(|()| self.seq)
    }
}

impl Future for Receipt {
    type Output = Result<u64, WaitError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { shared, ticket, seq, waker, .. } = self.get_mut();
        match shared.progress.poll_or_leave(*ticket, waker, context.waker()) {
            Some(settled) => Poll::Ready(settled.map(|()| *seq)),
            None => Poll::Pending,
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(key) = self.waker.take() {
            self.shared.progress.forget(key);
        }
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Receipt")
            .field("run_id", &self.run_id)
            .field("seq", &self.seq)
            .field("durable", &self.poll_durable())
            .finish_non_exhaustive()
    }
}
