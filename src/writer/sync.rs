//! What threads meet at: the standard library's, or under `--cfg tapelog_shuttle` a scheduler's that tries the ways in
//! which they can meet.

use std::time::Duration;

#[cfg(not(tapelog_shuttle))]
pub(super) use std::{
    sync::{Condvar, Mutex, MutexGuard, atomic::AtomicBool},
    thread,
};

#[cfg(tapelog_shuttle)]
pub(super) use shuttle::{
    sync::{Condvar, Mutex, MutexGuard, atomic::AtomicBool},
    thread,
};

use std::sync::PoisonError;

/// Takes a lock. A thread that panicked under it has left nothing half done: what is under our locks is changed by
/// code that cannot fail.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits to be woken.
pub(super) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// Waits to be woken, at most as long as `timeout`; true where that was up.
#[cfg(not(tapelog_shuttle))]
pub(super) fn wait_timeout<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>, timeout: Duration) -> (MutexGuard<'a, T>, bool) {
    let (guard, waited) = condvar.wait_timeout(guard, timeout).unwrap_or_else(PoisonError::into_inner);
    (guard, waited.timed_out())
}

/// Waits to be woken, or finds that the time is up: the scheduler knows no time, so that either may happen at once.
#[cfg(tapelog_shuttle)]
pub(super) fn wait_timeout<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>, timeout: Duration) -> (MutexGuard<'a, T>, bool) {
    use shuttle::rand::Rng as _;
    if timeout == Duration::MAX || shuttle::rand::thread_rng().gen_bool(0.5) {
        return (wait(condvar, guard), false);
    }
    let _ = condvar;
    (guard, true)
}
