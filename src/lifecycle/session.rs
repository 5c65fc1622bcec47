//! A run that is being written, from its first entry to its seal.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use super::boot::Options;
use super::entries::{run_ended, run_started};
use super::housekeeping::Keeper;
use super::rotation::child_of;
use crate::error::EventStoreError;
use crate::format::file_name::MANIFEST;
use crate::limits::SEAL_TIMEOUT;
use crate::model::{RunId, RunManifest, SnapshotAnchor, UnixNanos, compute_snapshot_content_hash};
use crate::observe;
use crate::store::EventStore;
use crate::writer::{EventStoreWriter, HaltCallback, HaltReason, HaltSignal, NextRun, Rotated};

/// Notes where a snapshot is kept and what it covers: given where, and the snapshot's bytes.
pub type SnapshotAnchorer = Arc<dyn Fn(&str, &[u8]) -> Result<SnapshotAnchor, EventStoreError> + Send + Sync>;

/// The run as it is now.
#[derive(Debug)]
struct Current {
    manifest: RunManifest,
    begun: Instant,
    /// The next run, of which an attempt to prepare it failed: the next attempt is at the same one.
    next: Option<RunManifest>,
    last_rotation_error: Option<EventStoreError>,
}

/// What a session shares with the thread that keeps house.
pub(super) struct Core {
    pub(super) options: Options,
    pub(super) halt: HaltSignal,
    writer: Arc<EventStoreWriter>,
    current: Mutex<Current>,
    /// One rotation at a time, whoever asks for it.
    rotating: Mutex<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Core {
    fn now(&self) -> UnixNanos {
        self.options.clock.now()
    }

    pub(super) fn is_rotation_due(&self) -> bool {
        let age = lock(&self.current).begun.elapsed();
        self.options.rotation.is_due(self.writer.run_len(), age)
    }

    pub(super) fn space_available(&self) -> io::Result<u64> {
        self.options.storage.space_available(&self.options.base_dir)
    }

    pub(super) fn rotate(&self) -> Result<Rotated, EventStoreError> {
        let _one = lock(&self.rotating);
        let rotated = self.rotate_alone();
        lock(&self.current).last_rotation_error = rotated.as_ref().err().cloned();
        rotated
    }

    /// Whether there is no run of that name yet.
    fn is_free(&self, manifest: &RunManifest) -> bool {
        let folder = self.options.base_dir.join(&manifest.instance_id).join(&manifest.run_id);
        matches!(self.options.storage.stat(&folder.join(MANIFEST)), Ok(None))
    }

    fn rotate_alone(&self) -> Result<Rotated, EventStoreError> {
        let (parent, next) = {
            let mut current = lock(&self.current);
            (current.manifest.clone(), current.next.take())
        };
        let now = self.now();
        let manifest = next.filter(|next| self.is_free(next)).unwrap_or_else(|| child_of(&parent, now));
        let ended = run_ended(Some(&manifest.run_id), now);
        let run_started = run_started(&manifest.registered_components, now)?;
        let next = NextRun { store: Box::new(self.options.new_store()?), manifest: manifest.clone(), run_started };
        let rotated = self.writer.rotate(&ended, next);
        if rotated.is_err() {
            lock(&self.current).next = Some(manifest);
            return rotated;
        }
        let rotated = rotated?;
        let mut current = lock(&self.current);
        current.manifest = manifest;
        current.begun = Instant::now();
        Ok(rotated)
    }
}

/// A run that an engine writes: opened by [`Lifecycle::open`](super::Lifecycle::open), with `RunStarted` as its first
/// entry, and ended by [`close`](Self::close), with `RunEnded` as its last.
///
/// Dropped without `close`, as the last chance, it is ended all the same, unless the writer has halted or a panic is on
/// its way: then it is left `Running`, and the next boot recovers it and goes on from it.
pub struct RunSession {
    core: Arc<Core>,
    keeper: Option<Keeper>,
    closed: bool,
}

impl RunSession {
    pub(super) fn open(options: Options, manifest: RunManifest) -> Result<Self, EventStoreError> {
        let mut store = options.new_store()?;
        store.open_run(manifest.clone())?;
        let halt = HaltSignal::new();
        let started = run_started(&manifest.registered_components, manifest.start_ts_init)?;
        let (clock, config) = (options.clock.clone(), options.writer.clone());
        let (signal, on_halt) = (halt.callback(), options.on_halt.clone());
        let callback: HaltCallback = Arc::new(move |reason| {
            signal(reason.clone());
            if let Some(on_halt) = &on_halt {
                on_halt(reason);
            }
        });
        let writer = EventStoreWriter::spawn(Box::new(store), clock, callback, config)?;
        writer.submit(started)?;
        // A store that syncs later is not waited for, but told.
        writer.flush(options.run_started_timeout).map_err(|error| {
            if writer.halt_reason().is_none() {
                writer.detach();
            }
            let what = format!("the first entry of the run {} is not durable: {error}", manifest.run_id);
            match error {
                EventStoreError::Disk(_) => EventStoreError::Disk(what),
                _ => EventStoreError::Backend(what),
            }
        })?;
        observe::run_began(&manifest.run_id);
        let keeps = options.rotation.is_set() || options.space.is_some();
        let current = Mutex::new(Current { manifest, begun: Instant::now(), next: None, last_rotation_error: None });
        let core = Arc::new(Core { options, halt, writer: Arc::new(writer), current, rotating: Mutex::new(()) });
        let keeper = if keeps { Some(Keeper::start(core.clone())?) } else { None };
        Ok(Self { core, keeper, closed: false })
    }

    /// The writer, to submit to. It can be shared with any number of threads, and does not keep the run from being
    /// closed: messages are refused from then on.
    #[must_use]
    pub fn writer(&self) -> &Arc<EventStoreWriter> {
        &self.core.writer
    }

    /// The manifest of the run that is written, as it began.
    #[must_use]
    pub fn manifest(&self) -> RunManifest {
        lock(&self.core.current).manifest.clone()
    }

    /// The run that is written.
    #[must_use]
    pub fn run_id(&self) -> RunId {
        lock(&self.core.current).manifest.run_id.clone()
    }

    /// The run that it goes on from.
    #[must_use]
    pub fn parent_run_id(&self) -> Option<RunId> {
        lock(&self.core.current).manifest.parent_run_id.clone()
    }

    /// The last durable entry of the run that is written.
    #[must_use]
    pub fn high_watermark(&self) -> u64 {
        self.core.writer.high_watermark()
    }

    /// Whether the writer has halted: nothing is acknowledged any more.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        self.core.writer.halt_reason().is_some()
    }

    /// Why it has.
    #[must_use]
    pub fn halt_reason(&self) -> Option<HaltReason> {
        self.core.writer.halt_reason()
    }

    /// The signal that is given when the writer halts, to be looked at from other threads.
    #[must_use]
    pub fn halt_signal(&self) -> HaltSignal {
        self.core.halt.clone()
    }

    /// Notes that a snapshot covers everything that was submitted before the call: where it is kept, and its bytes,
    /// whose hash is noted with it. The anchor is durable when this returns.
    ///
    /// # Errors
    /// Those of [`EventStoreWriter::record_snapshot_anchor`].
    pub fn anchor_snapshot(&self, blob_ref: &str, blob: &[u8]) -> Result<SnapshotAnchor, EventStoreError> {
        self.core.writer.record_snapshot_anchor(blob_ref, compute_snapshot_content_hash(blob))
    }

    /// As [`anchor_snapshot`](Self::anchor_snapshot), for whoever makes snapshots.
    #[must_use]
    pub fn snapshot_anchorer(&self) -> SnapshotAnchorer {
        let writer = self.core.writer.clone();
        Arc::new(move |blob_ref, blob| writer.record_snapshot_anchor(blob_ref, compute_snapshot_content_hash(blob)))
    }

    /// Ends the run and goes on in a child of it, without a gap, see [`EventStoreWriter::rotate`].
    ///
    /// # Errors
    /// Those of `rotate`.
    pub fn rotate(&self) -> Result<Rotated, EventStoreError> {
        self.core.rotate()
    }

    /// Why the last attempt to change the run failed, if it did; the session's own attempts are made again.
    #[must_use]
    pub fn last_rotation_error(&self) -> Option<EventStoreError> {
        lock(&self.core.current).last_rotation_error.clone()
    }

    /// Ends the run: everything that was submitted and `RunEnded` behind it is durable, and it is sealed as `Ended`.
    /// Answers the last entry.
    ///
    /// # Errors
    /// `Backend` where it takes more than a minute, and goes on then; the reason for which the writer halted: the run is
    /// left `Running` then, and the next boot recovers it.
    pub fn close(mut self) -> Result<u64, EventStoreError> {
        self.end()
    }

    fn end(&mut self) -> Result<u64, EventStoreError> {
        self.closed = true;
        // The run is not changed any more while it is ended.
        self.keeper = None;
        let begun = Instant::now();
        let _one = loop {
            match self.core.rotating.try_lock() {
                Ok(one) => break Some(one),
                Err(TryLockError::Poisoned(one)) => break Some(one.into_inner()),
                // A rotation that hangs is not waited for any longer; the end stands behind it then.
                Err(TryLockError::WouldBlock) if begun.elapsed() > SEAL_TIMEOUT => break None,
                Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(1)),
            }
        };
        self.core.writer.shutdown(&run_ended(None, self.core.now()), SEAL_TIMEOUT)
    }
}

impl Drop for RunSession {
    fn drop(&mut self) {
        if !self.closed && !thread::panicking() && !self.is_halted() {
            let _ = self.end();
        }
    }
}

impl fmt::Debug for RunSession {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("RunSession");
        debug.field("run_id", &self.run_id()).field("parent_run_id", &self.parent_run_id());
        debug.field("high_watermark", &self.high_watermark()).field("halted", &self.halt_reason()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Core").field("writer", &self.writer).finish_non_exhaustive()
    }
}
