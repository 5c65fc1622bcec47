//! What the appending thread and the background share: the published tuple, the latch, the lanes.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::error::EventStoreError;
use crate::io::Storage;
use crate::model::RunManifest;
use crate::segment::active::ActiveSegment;
use crate::segment::tip::Tip;
use crate::store::reading::handles::ReadSegment;
use crate::store::recovery::watermark_file::WatermarkFile;
use crate::store::run_files::RunIdentity;
use crate::store::segment::background::shelf::Shelf;
use crate::store::segment::background::watchers::Watchers;
use crate::store::segment::latch::Latch;
use crate::store::segment::options::Options;

/// A full segment that is waiting for its indexes. Its image goes when they are made, on the
/// background thread: giving back its memory takes milliseconds.
#[derive(Debug)]
pub(crate) struct IndexJob {
    pub(crate) segment: ReadSegment,
    pub(crate) active: Arc<ActiveSegment>,
    /// The last commit in the segment: the job may be done once that is durable.
    pub(crate) last_commit_no: u64,
}

/// What a buffered run has written and not yet synced.
#[derive(Debug)]
pub(crate) struct Unsynced {
    /// The end of what is written.
    pub(crate) written: Tip,
    /// The segments that hold it, ascending.
    pub(crate) segments: VecDeque<Arc<ActiveSegment>>,
    /// How many bytes wait.
    pub(crate) bytes: u64,
}

/// The watermark file and what was put into it.
#[derive(Debug)]
pub(crate) struct WitnessLane {
    pub(crate) file: WatermarkFile,
    pub(crate) written_commit_no: u64,
    pub(crate) synced_commit_no: u64,
}

/// What is durable, and who waits for more.
#[derive(Debug)]
struct Published {
    /// The published tuple: everything that is durable, visible all at once.
    tip: Tip,
    /// How many threads wait. To wake nobody costs a system call, and an append that is synced wakes nobody.
    waiting: usize,
}

/// What wakes the witness thread.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    pub(crate) stop: bool,
    /// A roll or a close asks for a synced watermark.
    pub(crate) sync_watermark: bool,
    /// An append waits for what was written to be synced.
    pub(crate) sync_written: bool,
}

/// The state of a run that is being written.
#[derive(Debug)]
pub(crate) struct RunShared {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) folder: PathBuf,
    pub(crate) identity: Arc<RunIdentity>,
    pub(crate) options: Options,
    pub(crate) latch: Latch,
    pub(crate) shelf: Shelf,
    durable: Mutex<Published>,
    /// The commit number of the published tuple, for a glance without the lock.
    durable_commit_no: AtomicU64,
    durable_changed: Condvar,
    pub(crate) index_lane: Mutex<VecDeque<IndexJob>>,
    pub(crate) index_wake: Condvar,
    pub(crate) index_stop: AtomicBool,
    pub(crate) witness: Mutex<WitnessLane>,
    pub(crate) unsynced: Mutex<Unsynced>,
    /// Held while what was written is synced and published.
    pub(crate) sync_gate: Mutex<()>,
    pub(crate) signal: Mutex<Signal>,
    pub(crate) signal_wake: Condvar,
    /// The witness thread sleeps until it is woken.
    pub(crate) parked: AtomicBool,
    /// Readers that wait for more.
    pub(crate) watchers: Watchers,
    ending: OnceLock<Ending>,
}

/// How the writing of a run ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// It was sealed.
    Sealed(Box<RunManifest>),
    /// The store was dropped: the run stays as it is until it is recovered.
    Left,
}

/// Locks a mutex; a thread that panicked while it held it left nothing half done that matters.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RunShared {
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        folder: PathBuf,
        identity: Arc<RunIdentity>,
        options: Options,
        shelf: Shelf,
        watermark: WatermarkFile,
    ) -> Self {
        let start = identity.start();
        Self {
            storage,
            folder,
            identity,
            options,
            latch: Latch::default(),
            shelf,
            durable: Mutex::new(Published { tip: start, waiting: 0 }),
            durable_commit_no: AtomicU64::new(0),
            durable_changed: Condvar::new(),
            index_lane: Mutex::default(),
            index_wake: Condvar::new(),
            index_stop: AtomicBool::new(false),
            witness: Mutex::new(WitnessLane { file: watermark, written_commit_no: 0, synced_commit_no: 0 }),
            unsynced: Mutex::new(Unsynced { written: start, segments: VecDeque::new(), bytes: 0 }),
            sync_gate: Mutex::new(()),
            signal: Mutex::default(),
            signal_wake: Condvar::new(),
            parked: AtomicBool::new(false),
            watchers: Watchers::default(),
            ending: OnceLock::new(),
        }
    }

    /// The manifest as it stands: while a run is open only the high-watermark moves.
    pub(crate) fn manifest(&self) -> RunManifest {
        match self.ending.get() {
            Some(Ending::Sealed(manifest)) => (**manifest).clone(),
            Some(Ending::Left) | None => RunManifest { high_watermark: self.durable().state.seq, ..self.identity.manifest.clone() },
        }
    }

    /// What is written, durable or not. In a run whose appends sync there is no difference to tell.
    pub(crate) fn written(&self) -> Tip {
        let durable = self.durable();
        let written = lock(&self.unsynced).written;
        if written.state.commit_no > durable.state.commit_no { written } else { durable }
    }

    /// Says how the writing of the run ended, and wakes whoever waits for more.
    pub(crate) fn end(&self, ending: Ending) {
        let _ = self.ending.set(ending);
        self.watchers.wake();
    }

    /// How the writing of the run ended, if it has.
    pub(crate) fn ending(&self) -> Option<&Ending> {
        self.ending.get()
    }

    /// What is durable.
    pub(crate) fn durable(&self) -> Tip {
        lock(&self.durable).tip
    }

    pub(crate) fn durable_commit_no(&self) -> u64 {
        self.durable_commit_no.load(Ordering::Acquire)
    }

    /// Publishes what a sync made durable, and lets the indexes of segments that are durable now be made.
    pub(crate) fn publish(&self, tip: Tip) {
        let waiting = {
            let mut durable = lock(&self.durable);
            // What is durable never becomes less.
            if tip.state.commit_no > durable.tip.state.commit_no {
                durable.tip = tip;
                self.durable_commit_no.store(tip.state.commit_no, Ordering::SeqCst);
            }
            durable.waiting
        };
        if waiting > 0 {
            self.durable_changed.notify_all();
        }
        if self.parked.swap(false, Ordering::SeqCst) {
            // The lock orders this after the sleeper's last look.
            drop(lock(&self.signal));
            self.signal_wake.notify_all();
            // At rest they are woken at once. Under load the witness does it, so that it costs appends nothing.
            self.watchers.wake();
        }
    }

    /// Hands a full segment over for its indexes.
    pub(crate) fn queue_index(&self, job: IndexJob) {
        lock(&self.index_lane).push_back(job);
        self.index_wake.notify_all();
    }

    /// Wakes the preparing thread: a spare was taken, a segment became durable, or it is to end.
    pub(crate) fn wake_preparer(&self) {
        // The lock orders this after the sleeper's last look.
        drop(lock(&self.index_lane));
        self.index_wake.notify_all();
    }

    /// Asks the witness thread for something.
    pub(crate) fn ask(&self, change: impl FnOnce(&mut Signal)) {
        change(&mut lock(&self.signal));
        self.parked.store(false, Ordering::SeqCst);
        self.signal_wake.notify_all();
    }

    /// Waits until the commit is durable or the latch has closed.
    ///
    /// # Errors
    /// Why it cannot become durable any more.
    pub(crate) fn wait_durable(&self, commit_no: u64) -> Result<(), EventStoreError> {
        let mut durable = lock(&self.durable);
        while durable.tip.state.commit_no < commit_no {
            self.latch.check()?;
            durable.waiting += 1;
            let waited = self.durable_changed.wait_timeout(durable, Duration::from_millis(20));
            durable = waited.unwrap_or_else(PoisonError::into_inner).0;
            durable.waiting -= 1;
        }
        Ok(())
    }
}
