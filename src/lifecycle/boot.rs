//! What an engine does before it trades: recover, restore, open.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::housekeeping::{LowSpace, SpaceWatch};
use super::restore::RestorePlan;
use super::rotation::RotationPolicy;
use super::session::RunSession;
use super::sweep::{RecoveryOutcome, RecoverySweep, Resume, SweepDepth, SweepProgress};
use crate::error::EventStoreError;
use crate::io::{OsStorage, Storage};
use crate::limits::RUN_STARTED_TIMEOUT_DEFAULT;
use crate::model::{Clock, RunId, RunManifest, SystemClock, UnixNanos, build_run_id, validate_id};
use crate::reader::{ReaderOptions, RunChain};
use crate::store::{SegmentBackend, SegmentBackendBuilder};
use crate::writer::{HaltCallback, WriterConfig};

type StoreOptions = Arc<dyn Fn(SegmentBackendBuilder) -> SegmentBackendBuilder + Send + Sync>;

/// What a session is made with.
#[derive(Clone)]
pub(super) struct Options {
    pub(super) base_dir: PathBuf,
    pub(super) instance_id: String,
    pub(super) storage: Arc<dyn Storage>,
    pub(super) store: StoreOptions,
    pub(super) writer: WriterConfig,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) run_started_timeout: Duration,
    pub(super) rotation: RotationPolicy,
    pub(super) space: Option<SpaceWatch>,
    pub(super) on_halt: Option<HaltCallback>,
}

impl fmt::Debug for Options {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Options");
        debug.field("base_dir", &self.base_dir).field("instance_id", &self.instance_id).field("writer", &self.writer);
        debug.field("rotation", &self.rotation).field("space", &self.space).finish_non_exhaustive()
    }
}

impl Options {
    /// A store in which no run is open.
    pub(super) fn new_store(&self) -> Result<SegmentBackend, EventStoreError> {
        let builder = SegmentBackend::builder(&self.base_dir).storage(self.storage.clone()).thread_hook(self.writer.thread_hook.clone());
        (self.store)(builder).build()
    }
}

/// How an engine uses the log, before it boots.
#[must_use = "a builder does nothing until it boots"]
pub struct LifecycleBuilder<'a> {
    options: Options,
    depth: SweepDepth,
    progress: Box<dyn FnMut(SweepProgress<'_>) + 'a>,
}

impl fmt::Debug for LifecycleBuilder<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LifecycleBuilder").field("options", &self.options).field("depth", &self.depth).finish_non_exhaustive()
    }
}

impl<'a> LifecycleBuilder<'a> {
    /// The options of the stores that write runs, by what `options` makes of the defaults.
    pub fn store(mut self, options: impl Fn(SegmentBackendBuilder) -> SegmentBackendBuilder + Send + Sync + 'static) -> Self {
        self.options.store = Arc::new(options);
        self
    }

    /// The options of the writer. Its thread hook is called on the threads of the stores too.
    pub fn writer(mut self, config: WriterConfig) -> Self {
        self.options.writer = config;
        self
    }

    /// Where the time comes from; by default from the operating system.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.options.clock = clock;
        self
    }

    /// The storage under the sweep and the stores that write; by default the operating system. What a restore plan reads is
    /// always read from the operating system's files.
    pub fn storage(mut self, storage: Arc<dyn Storage>) -> Self {
        self.options.storage = storage;
        self
    }

    /// How much the sweep at boot reads; by default everything.
    pub fn sweep(mut self, depth: SweepDepth) -> Self {
        self.depth = depth;
        self
    }

    /// Calls `progress` while the sweep reads.
    pub fn progress(mut self, progress: impl FnMut(SweepProgress<'_>) + 'a) -> Self {
        self.progress = Box::new(progress);
        self
    }

    /// How long the first entry of a run may take to be durable; by default 5 seconds.
    pub fn run_started_timeout(mut self, timeout: Duration) -> Self {
        self.options.run_started_timeout = timeout;
        self
    }

    /// When a session goes on in another run by itself; by default it does not.
    pub fn rotation(mut self, policy: RotationPolicy) -> Self {
        self.options.rotation = policy;
        self
    }

    /// Calls `callback` when the writer halts, beside giving the session's signal; see [`HaltCallback`] for when and where.
    pub fn on_halt(mut self, callback: HaltCallback) -> Self {
        self.options.on_halt = Some(callback);
        self
    }

    /// Calls `callback`, on the thread `tapelog-keeper` of the session, when less than `threshold` bytes are left to write
    /// to: looked at right after a run was opened and once a second, told once, and again when there was more in between.
    /// A panic in it is caught. It must not end the session.
    pub fn low_space(mut self, threshold: u64, callback: impl Fn(LowSpace) + Send + Sync + 'static) -> Self {
        self.options.space = Some(SpaceWatch { threshold, callback: Arc::new(callback) });
        self
    }

    /// Seals what an earlier process left running. A run that another process is writing is left alone, and one that
    /// cannot be read stops nothing; see [`Lifecycle::recovered`].
    ///
    /// # Errors
    /// `InvalidId`; options out of their bounds; where the instance's folder cannot be listed.
    pub fn boot(self) -> Result<Lifecycle, EventStoreError> {
        let Self { options, depth, progress } = self;
        validate_id("instance id", &options.instance_id)?;
        options.writer.validate()?;
        options.rotation.validate()?;
        options.new_store()?;
        let sweep = RecoverySweep::new(&options.base_dir, &options.instance_id).storage(options.storage.clone());
        let recovered = sweep.depth(depth).progress(progress).apply()?;
        Ok(Lifecycle { options, recovered, is_resumed: AtomicBool::new(false) })
    }
}

/// An instance of an engine that has booted: what was there is sealed, and a run can be opened.
///
/// ```
/// use tapelog::{Lifecycle, RunManifest};
///
/// let base = tempfile::tempdir()?;
/// let lifecycle = Lifecycle::builder(base.path(), "trader-001").boot()?;
/// if let Some(plan) = lifecycle.restore_plan()? {
///     // Restore the state from `plan.snapshot()`, and then from each of `plan.entries()`.
///     assert!(plan.entry_count() > 0);
/// }
/// let session = lifecycle.open(RunManifest { config_hash: "c0ffee".to_owned(), ..RunManifest::default() })?;
/// assert_eq!(session.high_watermark(), 1); // The run's first entry, `RunStarted`, is durable.
/// session.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Lifecycle {
    options: Options,
    recovered: RecoveryOutcome,
    /// A run went on from the parent already.
    is_resumed: AtomicBool,
}

impl Lifecycle {
    /// The runs of an instance under a base folder. Nothing is created before a run is opened.
    pub fn builder<'a>(base_dir: impl Into<PathBuf>, instance_id: &str) -> LifecycleBuilder<'a> {
        let options = Options {
            base_dir: base_dir.into(),
            instance_id: instance_id.to_owned(),
            storage: Arc::new(OsStorage),
            store: Arc::new(|builder| builder),
            writer: WriterConfig::default(),
            clock: Arc::new(SystemClock),
            run_started_timeout: RUN_STARTED_TIMEOUT_DEFAULT,
            rotation: RotationPolicy::default(),
            space: None,
            on_halt: None,
        };
        LifecycleBuilder { options, depth: SweepDepth::default(), progress: Box::new(|_| {}) }
    }

    /// What the sweep at boot found and did.
    #[must_use]
    pub fn recovered(&self) -> &RecoveryOutcome {
        &self.recovered
    }

    /// The run from which the next one goes on: the newest, if the engine did not end it itself and no run went on from
    /// it yet, whichever boot sealed it.
    #[must_use]
    pub fn parent_run_id(&self) -> Option<&RunId> {
        match &self.recovered.resume {
            Resume::From(run_id) => Some(run_id),
            Resume::Anew | Resume::Unsafe { .. } => None,
        }
    }

    /// What the engine's state is restored from: none where it begins anew, because there is no run or because the newest
    /// one was ended by its session. To go on from a run that was ended, open it with [`RunChain::open`], make a
    /// [`RestorePlan::new`] of it, and name it as the parent in [`open`](Self::open).
    ///
    /// # Errors
    /// `Backend` where nobody can say where the engine was: the newest run is damaged, cannot be read or sealed, or is
    /// being written by another process. An engine that begins anew all the same opens a run without asking for a plan.
    /// Those of [`RunChain::open`] and [`RestorePlan::new`].
    pub fn restore_plan(&self) -> Result<Option<RestorePlan>, EventStoreError> {
        if let Resume::Unsafe { run_id, reason } = &self.recovered.resume {
            return Err(EventStoreError::Backend(format!("no state can be restored safely, because of the run {run_id}: {reason}")));
        }
        let Some(parent) = self.parent_run_id() else { return Ok(None) };
        let folder = self.options.base_dir.join(&self.options.instance_id).join(parent);
        RestorePlan::new(RunChain::open(folder, ReaderOptions::default())?).map(Some)
    }

    /// Opens a run, which goes on from [`parent_run_id`](Self::parent_run_id), and begins to write it. When this returns,
    /// its first entry, with the registered components, is durable.
    ///
    /// Of `manifest` the fields are taken that say what runs: the run's id, its parent, its instance and its times are
    /// given here. A parent that `manifest` names is kept, for an engine that chooses what it goes on from.
    ///
    /// A run is not refused because another one is being written, or because there is one that cannot be gone on from:
    /// [`restore_plan`](Self::restore_plan) tells that, and [`recovered`](Self::recovered) names the runs.
    ///
    /// # Errors
    /// Those of opening a run; `Backend` where its first entry was not durable in time, or with the reason for which the
    /// writer halted on it.
    pub fn open(&self, manifest: RunManifest) -> Result<RunSession, EventStoreError> {
        let after_newest = self.recovered.newest_start_ts_init.map_or(0, |newest| newest.as_u64().saturating_add(1));
        let start_ts_init = self.options.clock.now().max(UnixNanos::new(after_newest));
        let own = self.parent_run_id().filter(|_| !self.is_resumed.load(Ordering::SeqCst)).cloned();
        let parent_run_id = manifest.parent_run_id.clone().or(own);
        let manifest = RunManifest {
            run_id: build_run_id(start_ts_init),
            parent_run_id,
            instance_id: self.options.instance_id.clone(),
            start_ts_init,
            ..manifest
        };
        let session = RunSession::open(self.options.clone(), manifest)?;
        // Only one run goes on from another: what is opened by this boot afterwards begins anew.
        self.is_resumed.store(true, Ordering::SeqCst);
        Ok(session)
    }
}
