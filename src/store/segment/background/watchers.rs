//! Readers that wait for a run to go on.
//!
//! Waking costs a system call, and an appending thread that pays it for every batch is slowed down by whoever
//! watches. So appends wake nobody while the run is under load: the witness does, once a millisecond. A run at
//! rest wakes its watchers with the first batch.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Those who wait, and how they are woken.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    waiting: AtomicUsize,
    gate: Mutex<()>,
    woken: Condvar,
}

impl Watchers {
    /// Wakes everybody who waits. Without anybody it is one look at a number.
    pub(crate) fn wake(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            // The gate orders this after the sleeper's last look.
            drop(self.gate.lock().unwrap_or_else(PoisonError::into_inner));
            self.woken.notify_all();
        }
    }

    /// Waits until `is_over` holds, but not longer than `timeout`; answers whether it does.
    ///
    /// What `is_over` looks at has to change before [`Watchers::wake`] is called.
    pub(crate) fn wait(&self, timeout: Duration, is_over: impl Fn() -> bool) -> bool {
        if is_over() {
            return true;
        }
        let deadline = Instant::now().checked_add(timeout);
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let over = loop {
            if is_over() {
                break true;
            }
            let left = deadline.map_or(timeout, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break false;
            }
            gate = self.woken.wait_timeout(gate, left).unwrap_or_else(PoisonError::into_inner).0;
        };
        drop(gate);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        over
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;
    use std::thread;

    use super::*;

    #[test]
    fn no_change_is_slept_through() {
        let watchers = Arc::new(Watchers::default());
        let number = Arc::new(AtomicU64::new(0));
        let sleepers: Vec<_> = (0..3)
            .map(|_| {
                let (watchers, number) = (watchers.clone(), number.clone());
                thread::spawn(move || {
                    (1..=1000).all(|next| watchers.wait(Duration::from_secs(20), || number.load(Ordering::SeqCst) >= next))
                })
            })
            .collect();
        for _ in 0..1000 {
            number.fetch_add(1, Ordering::SeqCst);
            watchers.wake();
        }
        for sleeper in sleepers {
            assert!(sleeper.join().unwrap());
        }
    }

    #[test]
    fn a_wait_ends_with_its_time() {
        let watchers = Watchers::default();
        assert!(!watchers.wait(Duration::from_millis(5), || false));
        assert!(watchers.wait(Duration::ZERO, || true));
        assert_eq!(watchers.waiting.load(Ordering::SeqCst), 0);
    }
}
