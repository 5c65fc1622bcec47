//! The two threads that drain the lanes.
//!
//! One prepares: spares first, then indexes. The other witnesses: it puts the durable point into
//! WATERMARK within a millisecond, syncs that after 50 ms of idling, once a second under load, and
//! when it is asked to, and it does the syncs of a buffered run. Zero-filling and syncing are on
//! different threads, so that making a spare never delays an acknowledgement.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::error::EventStoreError;
use crate::limits::{WATERMARK_IDLE, WATERMARK_SYNC_EVERY, WATERMARK_WRITE_EVERY};
use crate::model::ThreadHook;
use crate::store::segment::background::BackgroundStep;
use crate::store::segment::background::shared::{RunShared, lock};
use crate::store::segment::options::Durability;

/// How long the witness sleeps at most while nothing happens; it is woken earlier by every change.
const PARKED_WAKE: Duration = Duration::from_secs(1);

/// The threads of a run; stopped and joined by [`Threads::stop`] or on drop.
#[derive(Debug)]
pub(crate) struct Threads {
    shared: Arc<RunShared>,
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Starts both threads.
    ///
    /// # Errors
    /// Where the operating system gives no thread.
    pub(crate) fn start(shared: &Arc<RunShared>, hook: &ThreadHook) -> Result<Self, EventStoreError> {
        let mut threads = Self { shared: shared.clone(), handles: Vec::new() };
        threads.spawn("tapelog-prepare", hook, prepare)?;
        threads.spawn("tapelog-witness", hook, witness)?;
        Ok(threads)
    }

    fn spawn(&mut self, name: &'static str, hook: &ThreadHook, body: fn(&RunShared)) -> Result<(), EventStoreError> {
        let (shared, hook) = (self.shared.clone(), hook.clone());
        let run = move || {
            let _farewell = Farewell(&shared);
            hook.run(name);
            body(&shared);
        };
        let spawned = thread::Builder::new().name(name.to_owned()).spawn(run);
        let handle = spawned.map_err(|error| EventStoreError::from_io("start a thread for", &self.shared.folder, &error))?;
        self.handles.push(handle);
        Ok(())
    }

    /// Asks the threads to end and waits for them.
    pub(crate) fn stop(&mut self) {
        self.shared.shelf.close();
        self.shared.index_stop.store(true, Ordering::SeqCst);
        self.shared.wake_preparer();
        self.shared.ask(|signal| signal.stop = true);
        for handle in self.handles.drain(..) {
            // A thread that panicked has nothing more to do; the store goes on without it.
            let _ = handle.join();
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Tells the run when a thread ends: by panic the state is in doubt, and however it ends nobody makes
/// spares any more.
struct Farewell<'a>(&'a RunShared);

impl Drop for Farewell<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.latch.close(EventStoreError::Backend("a background thread of the store panicked".to_owned()));
        }
        self.0.shelf.close();
        self.0.wake_preparer();
        self.0.watchers.wake();
    }
}

/// Makes spares and indexes until it is stopped.
fn prepare(shared: &RunShared) {
    loop {
        match shared.run(BackgroundStep::MakeSpare) {
            Ok(true) => continue,
            Ok(false) => {}
            Err(_) => return,
        }
        match shared.run(BackgroundStep::BuildIndex) {
            Ok(true) => continue,
            Ok(false) => {}
            Err(_) => return,
        }
        let mut lane = lock(&shared.index_lane);
        while shared.shelf.wanted().is_none() && !shared.is_due(&lane) {
            if shared.index_stop.load(Ordering::SeqCst) || shared.latch.check().is_err() {
                return;
            }
            lane = shared.index_wake.wait(lane).unwrap_or_else(PoisonError::into_inner);
        }
        if shared.index_stop.load(Ordering::SeqCst) {
            return;
        }
    }
}

/// Keeps WATERMARK up to date, and syncs a buffered run, until it is stopped.
fn witness(shared: &RunShared) {
    let sync_every = match shared.options.durability {
        Durability::Buffered { sync_every } => Some(sync_every),
        Durability::Synced => None,
    };
    let mut last_change = Instant::now();
    let mut last_watermark_sync = Instant::now();
    let mut last_sync = Instant::now();
    loop {
        let (stop, sync_watermark, sync_written) = {
            let mut signal = lock(&shared.signal);
            (signal.stop, std::mem::take(&mut signal.sync_watermark), std::mem::take(&mut signal.sync_written))
        };
        if stop {
            return;
        }
        let due = sync_every.is_some_and(|every| last_sync.elapsed() >= every);
        if sync_written || due {
            last_sync = Instant::now();
            if shared.run(BackgroundStep::SyncWritten).is_err() {
                return;
            }
        }
        match shared.run(BackgroundStep::WriteWatermark) {
            Ok(true) => {
                last_change = Instant::now();
                shared.watchers.wake();
            }
            Ok(false) => {}
            Err(_) => return,
        }
        let idle = last_change.elapsed() >= WATERMARK_IDLE;
        if sync_watermark || idle || last_watermark_sync.elapsed() >= WATERMARK_SYNC_EVERY {
            match shared.run(BackgroundStep::SyncWatermark) {
                Ok(true) => last_watermark_sync = Instant::now(),
                Ok(false) => {}
                Err(_) => return,
            }
        }
        pause(shared, idle, sync_every);
    }
}

/// Sleeps for a millisecond under load, and until something happens when there was nothing for a while.
fn pause(shared: &RunShared, idle: bool, sync_every: Option<Duration>) {
    let signal = lock(&shared.signal);
    if signal.stop || signal.sync_watermark || signal.sync_written {
        return;
    }
    let park = idle && sync_every.is_none();
    if park {
        shared.parked.store(true, Ordering::SeqCst);
        let behind = lock(&shared.witness).written_commit_no < shared.durable_commit_no();
        if behind {
            shared.parked.store(false, Ordering::SeqCst);
            return;
        }
    }
    let busy = sync_every.map_or(WATERMARK_WRITE_EVERY, |every| every.min(WATERMARK_WRITE_EVERY));
    let wait = if park { PARKED_WAKE } else { busy };
    drop(shared.signal_wake.wait_timeout(signal, wait).unwrap_or_else(PoisonError::into_inner));
    shared.parked.store(false, Ordering::SeqCst);
}
