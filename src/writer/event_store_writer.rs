//! The handle by which an engine submits messages.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::committer;
use super::config::{OnStall, WriterConfig};
use super::figures::{Figures, WriterStats};
use super::halt::{HaltCallback, HaltReason};
use super::intake::{After, Intake, Patience, Place, Refusal};
use super::progress::{End, Progress};
use super::receipt::Receipt;
use super::reply::{NoReply, Reply, promise};
use super::request::{NextRun, Request, Rotated};
use super::shared::Shared;
use super::submit_error::{SubmitError, TrySubmitError, WaitError};
use super::sync::{AtomicBool, Mutex, lock, thread};
use crate::error::EventStoreError;
use crate::limits::WRITER_BATCH_LEN_MIN;
use crate::model::{Clock, Draft, DraftRef, EntryDraft, RunId, SnapshotAnchor};
use crate::observe;
use crate::store::{EventStore, rules};

/// Takes messages from any number of threads and has one thread write them, in order, through a store.
///
/// A message gets its number when it is submitted, and is acknowledged when it is durable: [`Receipt`],
/// [`wait_durable`](Self::wait_durable), [`flush`](Self::flush) and [`high_watermark`](Self::high_watermark) tell. The
/// first failure of the store ends the writer: the halt callback is given the reason, once, and nothing is acknowledged
/// any more. The run is left `Running` then, and recovered at the next boot.
///
/// Dropped without [`close`](Self::close) it writes what was submitted and leaves the run `Running`; it waits for that,
/// unless it halted because of a stall, or an earlier [`shutdown`](Self::shutdown) was not done in time: then its thread may
/// wait for the disk for ever.
///
/// ```
/// use std::sync::Arc;
/// use tapelog::{EntryDraft, EventStore, EventStoreWriter, Headers, RunManifest, SegmentBackend, SystemClock, WriterConfig, noop_halt};
///
/// let base = tempfile::tempdir()?;
/// let mut store = SegmentBackend::new(base.path());
/// store.open_run(RunManifest::new("1700000000000000000-0badcafe", "trader-001"))?;
/// let writer = EventStoreWriter::spawn(Box::new(store), Arc::new(SystemClock), noop_halt(), WriterConfig::default())?;
/// let draft = |topic: &str| {
///     EntryDraft::without_indices(Headers::empty(), topic.into(), "Text".into(), b"hello".to_vec().into(), 1.into())
/// };
/// writer.submit(draft("greetings"))?;
/// let receipt = writer.submit_tracked(draft("greetings"))?;
/// assert_eq!(receipt.wait()?, 2); // Durable: it survives a loss of power.
/// assert_eq!(writer.close(draft("run.lifecycle.RunEnded"))?, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct EventStoreWriter {
    shared: Arc<Shared>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
    /// Its thread did not come to an end in time, and is not waited for.
    is_detached: AtomicBool,
}

impl EventStoreWriter {
    /// A writer over a store in which a run is open, with a thread of its own.
    ///
    /// # Errors
    /// Those of [`WriterConfig::validate`]; those of the store where no run is open; `Backend` where the operating
    /// system gives no thread.
    pub fn spawn(
        backend: Box<dyn EventStore + Send>,
        clock: Arc<dyn Clock>,
        halt: HaltCallback,
        config: WriterConfig,
    ) -> Result<Self, EventStoreError> {
        config.validate()?;
        let batch_len = config.max_batch_len.min(backend.batch_len_preferred().max(WRITER_BATCH_LEN_MIN));
        let config = WriterConfig { max_batch_len: batch_len, ..config };
        let high_watermark = backend.high_watermark()?;
        let run_id = backend.manifest()?.run_id;
        let shared = Arc::new(Shared {
            clock,
            intake: Intake::new(&config, &run_id, high_watermark),
            progress: Progress::new(run_id, high_watermark),
            figures: Figures::default(),
            halt_callback: halt,
            first_ticket: high_watermark,
            config,
        });
        let for_thread = shared.clone();
        let thread = thread::Builder::new()
            .name(committer::THREAD_NAME.to_owned())
            .spawn(move || committer::run(backend, for_thread))
            .map_err(|error| EventStoreError::Backend(format!("cannot start the writer thread: {error}")))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)), is_detached: AtomicBool::new(false) })
    }

    /// Takes a message in. It waits while there is no room, see [`WriterConfig::halt_threshold`].
    ///
    /// # Errors
    /// See [`SubmitError`].
    #[expect(clippy::needless_pass_by_value, reason = "the engine gives the message away; it is dropped on its own thread")]
    pub fn submit(&self, draft: EntryDraft) -> Result<(), SubmitError> {
        self.place(&draft, |_| ()).map(|_| ())
    }

    /// As [`submit`](Self::submit), of a message that is lent: nothing is allocated and nothing is interned.
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub fn submit_ref(&self, draft: &DraftRef<'_>) -> Result<(), SubmitError> {
        self.place(draft, |_| ()).map(|_| ())
    }

    /// Takes a message in if there is room now, and gives it back otherwise.
    ///
    /// # Errors
    /// See [`TrySubmitError`]; each holds the message.
    #[expect(clippy::result_large_err, reason = "the error is the message that comes back")]
    pub fn try_submit(&self, draft: EntryDraft) -> Result<(), TrySubmitError<EntryDraft>> {
        match self.try_place(&draft) {
            Ok(()) => Ok(()),
            Err(TrySubmitError::Full(())) => Err(TrySubmitError::Full(draft)),
            Err(TrySubmitError::Closed(())) => Err(TrySubmitError::Closed(draft)),
            Err(TrySubmitError::Limit { draft: (), error }) => Err(TrySubmitError::Limit { draft, error }),
        }
    }

    /// As [`try_submit`](Self::try_submit), of a message that is lent.
    ///
    /// # Errors
    /// See [`TrySubmitError`].
    pub fn try_submit_ref(&self, draft: &DraftRef<'_>) -> Result<(), TrySubmitError<()>> {
        self.try_place(draft)
    }

    /// As [`submit`](Self::submit), and answers with what the entry can be waited for with.
    ///
    /// # Errors
    /// See [`SubmitError`].
    #[expect(clippy::needless_pass_by_value, reason = "as for `submit`")]
    pub fn submit_tracked(&self, draft: EntryDraft) -> Result<Receipt, SubmitError> {
        self.place(&draft, Arc::clone).map(|(place, run_id)| self.receipt(place, run_id))
    }

    /// As [`submit_tracked`](Self::submit_tracked), of a message that is lent.
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub fn submit_tracked_ref(&self, draft: &DraftRef<'_>) -> Result<Receipt, SubmitError> {
        self.place(draft, Arc::clone).map(|(place, run_id)| self.receipt(place, run_id))
    }

    /// Takes a message in, waits until it is durable, and answers its number.
    ///
    /// # Errors
    /// Those of [`submit`](Self::submit) and of [`Receipt::wait`].
    pub fn submit_and_wait(&self, draft: EntryDraft) -> Result<u64, EventStoreError> {
        Ok(self.submit_tracked(draft)?.wait()?)
    }

    fn receipt(&self, place: Place, run_id: Arc<str>) -> Receipt {
        Receipt::new(self.shared.clone(), place.ticket, place.seq, run_id)
    }

    #[inline]
    fn place<T>(&self, draft: &impl Draft, and: impl FnOnce(&Arc<str>) -> T) -> Result<(Place, T), SubmitError> {
        rules::check_draft(draft).map_err(SubmitError::Limit)?;
        let admitted = self.shared.intake.admit(draft, &*self.shared.clock, Patience::AsConfigured, and);
        admitted.map_err(|refusal| self.refused(refusal))
    }

    fn try_place(&self, draft: &impl Draft) -> Result<(), TrySubmitError<()>> {
        rules::check_draft(draft).map_err(|error| TrySubmitError::Limit { draft: (), error })?;
        self.shared.intake.admit(draft, &*self.shared.clock, Patience::None, |_| ()).map(|_| ()).map_err(|refusal| match refusal {
            Refusal::Closed => TrySubmitError::Closed(()),
            Refusal::Full | Refusal::Stalled(_) => TrySubmitError::Full(()),
        })
    }

    /// What is to become of a message that was not taken in.
    #[cold]
    fn refused(&self, refusal: Refusal) -> SubmitError {
        let Refusal::Stalled(stalled_for) = refusal else { return SubmitError::Closed };
        let threshold = self.shared.config.halt_threshold;
        observe::stalled(stalled_for);
        if self.shared.config.on_stall != OnStall::Halt {
            return SubmitError::Stalled { stalled_for, threshold };
        }
        self.shared.halt(HaltReason::BackpressureStall { stalled_for, threshold });
        SubmitError::HaltSignaled { stalled_for, threshold }
    }

    /// The last durable entry of the run that is written; 0 where there is none.
    #[must_use]
    pub fn high_watermark(&self) -> u64 {
        self.shared.progress.high_watermark()
    }

    /// The run that is written. While the runs are changed, messages are taken in for the next one already: of which run
    /// an entry is, its [`Receipt`] knows.
    #[must_use]
    pub fn run_id(&self) -> RunId {
        self.shared.progress.run().0
    }

    /// The last entry that was submitted to the run that takes messages in; 0 where there is none.
    #[must_use]
    pub fn last_submitted(&self) -> u64 {
        self.shared.intake.last().seq
    }

    /// Why the writer halted, if it did.
    #[must_use]
    pub fn halt_reason(&self) -> Option<HaltReason> {
        match self.shared.progress.ended() {
            Some(End::Halted(reason)) => Some(reason),
            Some(End::Closed) | None => None,
        }
    }

    /// Figures of the writer.
    #[must_use]
    pub fn stats(&self) -> WriterStats {
        let waiting = self.shared.intake.waiting();
        WriterStats {
            submitted: waiting.submitted - self.shared.first_ticket,
            durable: self.shared.progress.durable() - self.shared.first_ticket,
            waiting: waiting.entries as u64,
            waiting_len: waiting.len,
            stalls: waiting.stalls,
            ..self.shared.figures.stats()
        }
    }

    /// Bytes that were written to the run that is open.
    pub(crate) fn run_len(&self) -> u64 {
        self.shared.figures.run_len()
    }

    /// Waits until the entry `seq` is durable, at most as long as `timeout`. It is an entry of the run that takes
    /// messages in; across a rotation a [`Receipt`] knows its run.
    ///
    /// # Errors
    /// See [`WaitError`].
    pub fn wait_durable(&self, seq: u64, timeout: Duration) -> Result<(), WaitError> {
        let last = self.shared.intake.last();
        // The run's first ticket follows from where its last entry stands.
        let ticket = seq.saturating_add(last.ticket.saturating_sub(last.seq));
        self.shared.progress.wait(ticket, Instant::now().checked_add(timeout))
    }

    /// Makes everything durable that was submitted before the call, and answers the high-watermark.
    ///
    /// # Errors
    /// `Backend` where it takes longer than `timeout`, and goes on then; `Closed`; the reason for which the writer halted.
    pub fn flush(&self, timeout: Duration) -> Result<u64, EventStoreError> {
        self.sync(Some(timeout))
    }

    fn sync(&self, timeout: Option<Duration>) -> Result<u64, EventStoreError> {
        let (promise, reply) = promise();
        self.request(Request::Sync { promise }, None, &After::More)?;
        self.reply(&reply, timeout, "flush")
    }

    /// Notes that a snapshot covers everything that was submitted before the call: that is made durable first. The
    /// anchor is durable when this returns.
    ///
    /// It waits as long as entries become durable before it. Where none does for as long as a message may wait for room, what
    /// happens is the same as to that, see [`WriterConfig::on_stall`].
    ///
    /// # Errors
    /// `LimitExceeded` for a text that is too long, which stops nothing; `Backend` where it took too long; `Closed`; the
    /// reason for which the writer halted, which an error of the store in recording it is too.
    pub fn record_snapshot_anchor(
        &self,
        blob_ref: impl Into<String>,
        content_hash: impl Into<String>,
    ) -> Result<SnapshotAnchor, EventStoreError> {
        let (blob_ref, content_hash) = (blob_ref.into(), content_hash.into());
        rules::check_anchor_texts(&blob_ref, &content_hash)?;
        let (promise, reply) = promise();
        let begun = Instant::now();
        self.request(Request::Anchor { blob_ref, content_hash, promise }, None, &After::More)?;
        let threshold = self.shared.config.halt_threshold;
        let patience = (self.shared.config.on_stall != OnStall::Block).then_some(threshold);
        let mut durable = self.shared.progress.durable();
        loop {
            match reply.wait(patience) {
                Ok(answer) => return answer,
                Err(NoReply::Gone) => return Err(self.shared.ended_error()),
                Err(NoReply::TimedOut) => {}
            }
            // However much stands before it, a store that gets on has not stalled.
            let before = std::mem::replace(&mut durable, self.shared.progress.durable());
            if durable == before && !self.shared.intake.is_rotating() {
                let stalled_for = begun.elapsed();
                if self.shared.config.on_stall == OnStall::Halt {
                    self.shared.halt(HaltReason::BackpressureStall { stalled_for, threshold });
                }
                return Err(EventStoreError::Backend(format!(
                    "the snapshot anchor waited {stalled_for:?}, and for {threshold:?} nothing became durable"
                )));
            }
        }
    }

    /// Ends the run and goes on in another, without a gap: what is submitted before the call, and `run_ended` behind it,
    /// belongs to the run that ends; what is submitted from then on to the next one, behind its `run_started`.
    ///
    /// The next run's files are prepared on the calling thread first. Nothing is refused meanwhile, and messages that
    /// wait for room while the runs are changed do not count as stalled. When this returns, the run that ended is sealed
    /// as `Ended` and the first entry of the next one is durable.
    ///
    /// # Errors
    /// Where the next run cannot be prepared: the writer goes on in the run that it has. `LimitExceeded` for a message
    /// over a bound, `Backend` where another rotation is under way, `Closed`. Any later failure halts the writer.
    pub fn rotate(&self, run_ended: &EntryDraft, next: NextRun) -> Result<Rotated, EventStoreError> {
        let NextRun { mut store, manifest, run_started } = next;
        rules::check_draft(run_ended)?;
        rules::check_draft(&run_started)?;
        if self.shared.progress.ended().is_some() {
            return Err(self.shared.ended_error());
        }
        store.prepare_run(&manifest)?;
        let (promise, reply) = promise();
        let run_id = manifest.run_id.clone();
        let request = Request::Rotate { next: Box::new((store, manifest)), promise };
        let first = self.request(request, Some(run_ended), &After::NextRun(&run_id, &run_started))?;
        let rotated = self.reply(&reply, None, "rotate")?;
        if self.shared.progress.poll(first).is_none() {
            // A store that syncs later is not waited for, but told.
            let _ = self.sync(None);
        }
        self.shared.progress.wait(first, None)?;
        Ok(rotated)
    }

    /// Ends the run: what was submitted is written, `run_ended` is its last entry, and it is sealed as `Ended`. Answers
    /// its high-watermark. Messages are refused from then on.
    ///
    /// # Errors
    /// `Backend` where it takes longer than `timeout`: it goes on. `Closed` where it was closed before; the reason for
    /// which the writer halted.
    pub fn shutdown(&self, run_ended: &EntryDraft, timeout: Duration) -> Result<u64, EventStoreError> {
        self.seal(run_ended, Some(timeout))
    }

    /// As [`shutdown`](Self::shutdown), however long it takes, and waits for the end of the writer thread.
    ///
    /// # Errors
    /// Those of `shutdown`.
    #[expect(clippy::needless_pass_by_value, reason = "as for `submit`")]
    pub fn close(self, run_ended: EntryDraft) -> Result<u64, EventStoreError> {
        // Dropped afterwards, it is closed and joined, also where its end was refused.
        self.seal(&run_ended, None)
    }

    fn seal(&self, run_ended: &EntryDraft, timeout: Option<Duration>) -> Result<u64, EventStoreError> {
        rules::check_draft(run_ended)?;
        let (promise, reply) = promise();
        self.request(Request::Seal { promise }, Some(run_ended), &After::End)?;
        let sealed = self.reply(&reply, timeout, "shut down");
        if sealed.is_err() && self.shared.progress.ended().is_none() {
            self.detach();
        }
        sealed
    }

    /// Its thread is not waited for any more: it may hang.
    pub(crate) fn detach(&self) {
        self.is_detached.store(true, Ordering::Relaxed);
    }

    fn request(&self, request: Request, last: Option<&EntryDraft>, after: &After<'_>) -> Result<u64, EventStoreError> {
        self.shared.intake.request(request, last, after, &*self.shared.clock).map_err(|refusal| match refusal {
            Refusal::Closed => self.shared.ended_error(),
            Refusal::Full | Refusal::Stalled(_) => EventStoreError::Backend(
                "too many requests wait for the writer, or another rotation is under way; try again when they are done".to_owned(),
            ),
        })
    }

    fn reply<T>(&self, reply: &Reply<Result<T, EventStoreError>>, timeout: Option<Duration>, doing: &str) -> Result<T, EventStoreError> {
        match reply.wait(timeout) {
            Ok(answer) => answer,
            Err(NoReply::Gone) => Err(self.shared.ended_error()),
            Err(NoReply::TimedOut) => {
                let timeout = timeout.unwrap_or_default();
                Err(EventStoreError::Backend(format!("cannot {doing} within {timeout:?}; it goes on in the background")))
            }
        }
    }

    fn join(&self) {
        let thread = lock(&self.thread).take();
        // Dropped in a callback on its own thread it cannot be waited for.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id()) {
            let _ = thread.join();
        }
    }
}

impl Drop for EventStoreWriter {
    fn drop(&mut self) {
        self.shared.intake.close();
        let stalled = matches!(self.shared.progress.ended(), Some(End::Halted(HaltReason::BackpressureStall { .. })));
        if !stalled && !self.is_detached.load(Ordering::Relaxed) {
            self.join();
        }
    }
}

impl fmt::Debug for EventStoreWriter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (run_id, high_watermark) = self.shared.progress.run();
        let mut debug = formatter.debug_struct("EventStoreWriter");
        debug.field("run_id", &run_id).field("high_watermark", &high_watermark);
        debug.field("waiting", &self.shared.intake.waiting().entries).field("ended", &self.shared.progress.ended());
        debug.finish_non_exhaustive()
    }
}
