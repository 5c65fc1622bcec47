//! The writer thread: it takes batches in their order, has the store write them, and does what is asked among them.
//!
//! It commits at once when nothing more waits; what comes meanwhile is the next batch. The first failure ends it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use super::halt::HaltReason;
use super::intake::{Item, Taken};
use super::progress::End;
use super::request::{Request, Rotated};
use super::shared::Shared;
use crate::error::EventStoreError;
use crate::limits::ACKNOWLEDGE_EVERY;
use crate::model::{RunManifest, RunStatus, SnapshotAnchor};
use crate::observe;
use crate::store::EventStore;

/// The name of the writer thread.
pub(super) const THREAD_NAME: &str = "tapelog-writer";

type Store = Box<dyn EventStore + Send>;

/// The body of the writer thread.
pub(super) fn run(store: Store, shared: Arc<Shared>) {
    // A run that was opened with entries in it has given their tickets already.
    let written = shared.first_ticket;
    let mut committer = Committer { store, base: 0, written, shared };
    let shared = committer.shared.clone();
    let ended = guarded(|| {
        shared.config.thread_hook.run(THREAD_NAME);
        committer.run()
    });
    match ended {
        Ok(Ok(())) => {
            shared.progress.end(End::Closed);
        }
        Ok(Err(reason)) => shared.halt(reason),
        Err(panic) => shared.halt(HaltReason::BackendError(format!("the writer thread panicked: {}", text_of(&*panic)))),
    }
    // A store that panicked once may do so again.
    let _ = guarded(move || drop(committer));
}

#[cfg(not(tapelog_shuttle))]
fn guarded<T>(body: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    catch_unwind(AssertUnwindSafe(body))
}

/// The scheduler ends its threads by panics of its own, which must not be caught.
#[cfg(tapelog_shuttle)]
fn guarded<T>(body: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    let _ = (AssertUnwindSafe(()), catch_unwind::<fn(), ()>);
    Ok(body())
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}

struct Committer {
    store: Store,
    shared: Arc<Shared>,
    /// The ticket before the run's first.
    base: u64,
    /// The last ticket that was written.
    written: u64,
}

/// Why a step could not be done.
struct Failure {
    reason: HaltReason,
    error: EventStoreError,
}

impl From<EventStoreError> for Failure {
    fn from(error: EventStoreError) -> Self {
        Self { reason: HaltReason::from_backend_error(&error), error }
    }
}

impl Committer {
    fn run(&mut self) -> Result<(), HaltReason> {
        let mut done = None;
        loop {
            let behind = self.shared.progress.durable() < self.written;
            match self.shared.intake.take(done.take(), behind.then_some(ACKNOWLEDGE_EVERY)) {
                Taken::Item(mut item) => {
                    let request = item.request.take();
                    if let Err(failure) = self.write(&mut item) {
                        // The promise of the request is dropped behind the halt, which has the reason.
                        self.shared.halt(failure.reason.clone());
                        return Err(failure.reason);
                    }
                    done = Some(item.batch);
                    if self.shared.progress.ended().is_some() {
                        // A message stalled meanwhile, and whoever submitted it halted the writer: nothing more is done.
                        return Ok(());
                    }
                    if let Some(request) = request
                        && self.answer(request)?
                    {
                        return Ok(());
                    }
                }
                Taken::Nothing => self.follow().map_err(|failure| failure.reason)?,
                Taken::End => {
                    if behind {
                        self.sync().map_err(|failure| failure.reason)?;
                    }
                    return Ok(());
                }
            }
            if self.shared.progress.ended().is_some() {
                // A message stalled, and the writer was halted by the thread that submitted it.
                return Ok(());
            }
        }
    }

    fn write(&mut self, item: &mut Item) -> Result<(), Failure> {
        if item.batch.is_empty() {
            return Ok(());
        }
        let (entries, len) = (item.batch.entry_count(), item.batch.frames_len());
        let begun = Instant::now();
        let high_watermark = self.store.append_encoded(&mut item.batch)?;
        let took = begun.elapsed();
        self.written = item.last_ticket;
        self.publish(high_watermark);
        self.shared.figures.batch(entries, len, took, self.store.spares_missed());
        observe::batch_written(entries, len, took);
        if cfg!(feature = "metrics") {
            observe::waiting(self.shared.intake.waiting().entries);
        }
        Ok(())
    }

    /// What the store says is durable, is.
    fn publish(&self, high_watermark: u64) {
        self.shared.progress.publish(self.base.saturating_add(high_watermark).min(self.written));
    }

    /// Finds out what became durable since the last append.
    fn follow(&self) -> Result<(), Failure> {
        let high_watermark = self.store.acknowledged()?;
        self.publish(high_watermark);
        Ok(())
    }

    fn sync(&mut self) -> Result<u64, Failure> {
        let high_watermark = self.store.sync_appended()?;
        self.publish(high_watermark);
        Ok(high_watermark)
    }

    /// Does what is asked and answers it. True where it was the last.
    fn answer(&mut self, request: Request) -> Result<bool, HaltReason> {
        match request {
            Request::Sync { promise } => {
                let done = self.sync();
                self.settle(done, |answer| promise.keep(answer))
            }
            Request::Anchor { blob_ref, content_hash, promise } => {
                let done = self.anchor(blob_ref, content_hash);
                self.settle(done, |answer| promise.keep(answer))
            }
            Request::Seal { promise } => {
                let done = self.seal();
                self.settle(done, |answer| promise.keep(answer))?;
                Ok(true)
            }
            Request::Rotate { next, promise } => {
                let (store, manifest) = *next;
                let done = self.rotate(store, manifest);
                self.settle(done, |answer| promise.keep(answer))
            }
        }
    }

    /// Halts before the answer is given, so that whoever has it finds the writer halted.
    fn settle<T>(&self, done: Result<T, Failure>, keep: impl FnOnce(Result<T, EventStoreError>)) -> Result<bool, HaltReason> {
        match done {
            Ok(value) => {
                // Nothing is acknowledged behind a halt, wherever that came from.
                let answer = match self.shared.progress.ended() {
                    Some(End::Halted(reason)) => Err(reason.to_error()),
                    Some(End::Closed) | None => Ok(value),
                };
                keep(answer);
                Ok(false)
            }
            Err(Failure { reason, error }) => {
                self.shared.halt(reason.clone());
                keep(Err(error));
                Err(reason)
            }
        }
    }

    fn anchor(&mut self, blob_ref: String, content_hash: String) -> Result<SnapshotAnchor, Failure> {
        let high_watermark = self.sync()?;
        let anchor = SnapshotAnchor::new(high_watermark, blob_ref, content_hash);
        self.store.record_snapshot_anchor(anchor.clone())?;
        Ok(anchor)
    }

    fn seal(&mut self) -> Result<u64, Failure> {
        let high_watermark = self.sync()?;
        self.store.seal(RunStatus::Ended)?;
        observe::run_ended(&self.shared.progress.run().0, high_watermark);
        Ok(high_watermark)
    }

    fn rotate(&mut self, store: Store, manifest: RunManifest) -> Result<Rotated, Failure> {
        let (ended, _) = self.shared.progress.run();
        let ended_high_watermark = self.seal()?;
        let begun = manifest.run_id.clone();
        self.store = store;
        self.store.open_run(manifest)?;
        self.base = self.written;
        self.shared.progress.begin_run(begun.clone(), self.base);
        self.shared.figures.rotated();
        self.shared.intake.rotated();
        observe::run_began(&begun);
        Ok(Rotated { ended, ended_high_watermark, begun })
    }
}
