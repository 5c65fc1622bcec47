//! What a session does beside the engine: it ends runs when their time has come, and warns before the disk is full.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::session::Core;
use crate::error::EventStoreError;
use crate::limits::{HOUSEKEEPING_EVERY, ROTATION_RETRY_AFTER, SEAL_TIMEOUT, SPACE_LOOK_EVERY};
use crate::observe;

/// The name of the thread.
const THREAD_NAME: &str = "tapelog-keeper";

/// The file system of a session has less space left than was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LowSpace {
    /// The folder in which runs are written.
    pub base_dir: PathBuf,
    /// What is left, in bytes.
    pub available: u64,
    /// What was asked for, in bytes.
    pub threshold: u64,
}

/// Called when there is little space left: once, and again when it had become more in between.
#[derive(Clone)]
pub(super) struct SpaceWatch {
    pub(super) threshold: u64,
    pub(super) callback: Arc<dyn Fn(LowSpace) + Send + Sync>,
}

impl fmt::Debug for SpaceWatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SpaceWatch").field("threshold", &self.threshold).finish_non_exhaustive()
    }
}

/// The thread, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Keeper {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// `Backend` where the operating system gives no thread.
    pub(super) fn start(core: Arc<Core>) -> Result<Self, EventStoreError> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let until = stop.clone();
        let body = move || {
            // The embedder's code may panic, and the engine still needs its runs changed.
            let hook = core.options.writer.thread_hook.clone();
            let _ = catch_unwind(AssertUnwindSafe(|| hook.run(THREAD_NAME)));
            let mut keeping = Keeping::new(core);
            while !stopped(&until, HOUSEKEEPING_EVERY) {
                let _ = catch_unwind(AssertUnwindSafe(|| keeping.look()));
            }
        };
        let thread = thread::Builder::new()
            .name(THREAD_NAME.to_owned())
            .spawn(body)
            .map_err(|error| EventStoreError::Backend(format!("cannot start the thread {THREAD_NAME}: {error}")))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.1.notify_all();
        let Some(thread) = self.thread.take() else { return };
        // It may hang in a rotation, as the disk does, or be the very thread on which the session is ended.
        let begun = Instant::now();
        while !thread.is_finished() {
            if thread.thread().id() == thread::current().id() || begun.elapsed() > SEAL_TIMEOUT {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        let _ = thread.join();
    }
}

/// Waits, and says whether to stop.
fn stopped(stop: &(Mutex<bool>, Condvar), longest: Duration) -> bool {
    let guard = stop.0.lock().unwrap_or_else(PoisonError::into_inner);
    let (guard, _) = stop.1.wait_timeout_while(guard, longest, |stop| !*stop).unwrap_or_else(PoisonError::into_inner);
    *guard
}

struct Keeping {
    core: Arc<Core>,
    space_looked: Option<Instant>,
    space_was_low: bool,
    /// When a rotation may be tried again that failed.
    rotation_rests: Option<Instant>,
}

impl Keeping {
    fn new(core: Arc<Core>) -> Self {
        Self { core, space_looked: None, space_was_low: false, rotation_rests: None }
    }

    fn look(&mut self) {
        if self.core.halt.is_halted() {
            return;
        }
        self.look_at_space();
        let now = Instant::now();
        if self.core.is_rotation_due() && self.rotation_rests.is_none_or(|until| now >= until) {
            // A run that cannot be changed is written on: that the engine goes on matters more.
            self.rotation_rests = self.core.rotate().is_err().then(|| now + ROTATION_RETRY_AFTER);
        }
    }

    fn look_at_space(&mut self) {
        let Some(watch) = self.core.options.space.clone() else { return };
        if self.space_looked.is_some_and(|looked| looked.elapsed() < SPACE_LOOK_EVERY) {
            return;
        }
        self.space_looked = Some(Instant::now());
        let Ok(available) = self.core.space_available() else { return };
        observe::space(available);
        let is_low = available < watch.threshold;
        let is_news = is_low && !self.space_was_low;
        self.space_was_low = is_low;
        if is_news {
            observe::low_space(available);
            (watch.callback)(LowSpace { base_dir: self.core.options.base_dir.clone(), available, threshold: watch.threshold });
        }
    }
}
