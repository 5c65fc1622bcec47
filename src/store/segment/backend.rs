//! The store of runs in segment files: what it can open, list and tell.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Corruption, EventStoreError};
use crate::format::file_name;
use crate::format::manifest::{ManifestFile, SealState};
use crate::io::{Lock, LockState, OsStorage, Storage};
use crate::model::{RunManifest, RunStatus, ThreadHook, validate_id};
use crate::seeded_bug::{SeededBug, unless};
use crate::segment::tip::FIRST_FRAME;
use crate::store::reading::segment_source::ReadPath;
use crate::store::recovery::judge::Depth;
use crate::store::recovery::outcome::RecoveryReport;
use crate::store::run_files::{FoundManifest, check_folder_name, read_manifest};
use crate::store::segment::background::BackgroundStep;
use crate::store::segment::background::shared::{Ending, RunShared};
use crate::store::segment::closed::{self, ClosedRun};
use crate::store::segment::create::{self, Prepared};
use crate::store::segment::listing::{self, RunListing};
use crate::store::segment::live::LiveRun;
use crate::store::segment::options::{Options, SegmentBackendBuilder};
use crate::store::segment::run_view::{RunView, Visibility};
use crate::store::segment::seal;

/// The store of runs in segment files.
///
/// A run is the folder `<base>/<instance_id>/<run_id>/`. The store writes one run at a time, or
/// recovers one, or reads one that is sealed.
///
/// ```
/// use tapelog::{EventStore, RunManifest, RunStatus, SegmentBackend};
///
/// let base = tempfile::tempdir()?;
/// let mut store = SegmentBackend::new(base.path());
/// store.open_run(RunManifest::new("1700000000000000000-0badcafe", "trader-001"))?;
/// assert_eq!(store.high_watermark()?, 0);
/// store.seal(RunStatus::Ended)?;
/// assert_eq!(SegmentBackend::list_runs(base.path(), "trader-001")?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SegmentBackend {
    base_dir: PathBuf,
    pub(super) options: Options,
    pub(super) storage: Arc<dyn Storage>,
    pub(super) state: State,
    /// The files of a run that will be opened next.
    prepared: Option<PreparedRun>,
    thread_hook: ThreadHook,
}

/// The files of a run that does not exist yet, under its lock. Given up, they are removed.
#[derive(Debug)]
struct PreparedRun {
    storage: Arc<dyn Storage>,
    folder: PathBuf,
    ready: Option<(Lock, Prepared)>,
}

impl Drop for PreparedRun {
    fn drop(&mut self) {
        if let Some((_lock, files)) = self.ready.take() {
            drop(files);
            // What stays is removed by the next run of that name.
            let _ = create::remove_leftovers(&*self.storage, &self.folder);
        }
    }
}

#[derive(Debug)]
pub(super) enum State {
    Empty,
    Live(Box<LiveRun>),
    Closed(Box<ClosedRun>),
}

/// Figures of the run that is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SegmentStats {
    /// The last entry that is written, durable or not.
    pub written: u64,
    /// The last entry that is durable.
    pub durable: u64,
    /// How often an append found no spare ready and waited for one.
    pub spares_missed: u64,
}

impl SegmentBackend {
    /// A store under `base_dir` with the default options. Nothing is created before a run is opened.
    #[must_use]
    pub fn new(base_dir: impl Into<PathBuf>) -> Self {
        Self::with_options(base_dir.into(), Options::default(), Arc::new(OsStorage))
    }

    /// A builder for a store under `base_dir` with options of one's own.
    pub fn builder(base_dir: impl Into<PathBuf>) -> SegmentBackendBuilder {
        SegmentBackendBuilder::new(base_dir.into())
    }

    pub(crate) fn with_options(base_dir: PathBuf, options: Options, storage: Arc<dyn Storage>) -> Self {
        Self { base_dir, options, storage, state: State::Empty, prepared: None, thread_hook: ThreadHook::default() }
    }

    pub(super) fn with_thread_hook(self, thread_hook: ThreadHook) -> Self {
        Self { thread_hook, ..self }
    }

    /// The folder of an instance's runs: `<base>/<instance_id>`.
    #[must_use]
    pub fn run_dir(&self, instance_id: &str) -> PathBuf {
        self.base_dir.join(instance_id)
    }

    /// The folder of a run: `<base>/<instance_id>/<run_id>`.
    #[must_use]
    pub fn run_path(&self, instance_id: &str, run_id: &str) -> PathBuf {
        self.run_dir(instance_id).join(run_id)
    }

    /// The folder of the open run.
    ///
    /// # Errors
    /// `Backend` where no run is open.
    pub fn current_path(&self) -> Result<&Path, EventStoreError> {
        match &self.state {
            State::Empty => Err(EventStoreError::no_run_open()),
            State::Live(run) => Ok(run.set.folder()),
            State::Closed(run) => Ok(run.set.folder()),
        }
    }

    /// Opens a sealed run for reading, by position: whatever happens to its files is an error value.
    ///
    /// Through maps it is read by a store that was built with [`ReadPath::Map`] and opens it with
    /// [`SegmentBackend::into_read_only`].
    ///
    /// # Errors
    /// `InvalidId` for an id that cannot name a folder, and as [`SegmentBackend::open_sealed_file`].
    pub fn open_sealed(base_dir: impl Into<PathBuf>, instance_id: &str, run_id: &str) -> Result<Self, EventStoreError> {
        validate_id("instance id", instance_id)?;
        validate_id("run id", run_id)?;
        let store = Self::new(base_dir);
        let path = store.run_path(instance_id, run_id);
        store.open_sealed_folder(&path)
    }

    /// Opens the sealed run in a folder, or beside a MANIFEST, for reading, as [`SegmentBackend::open_sealed`] does.
    ///
    /// # Errors
    /// `Backend` where there is no run or it is not sealed, `Corrupted` where its manifest cannot be
    /// read, `UnsupportedVersion` where this build does not know its format.
    pub fn open_sealed_file(path: impl Into<PathBuf>) -> Result<Self, EventStoreError> {
        let path = run_folder(&OsStorage, &path.into());
        Self::new(base_of(&path)).open_sealed_folder(&path)
    }

    /// Opens the run in a folder for reading, whatever state it is in, and changes nothing.
    ///
    /// Of a run that is not sealed, or whose seal cannot be read, what is proven durable is shown, and
    /// nothing that a loss of power may take back. [`SegmentBackend::recovery`] tells what else was found. Files are read by position, so that whatever happens to them
    /// meanwhile is an error value.
    ///
    /// # Errors
    /// As [`SegmentBackend::open_sealed_file`], except that the run need not be sealed.
    pub fn open_read_only(path: impl Into<PathBuf>) -> Result<Self, EventStoreError> {
        let path = run_folder(&OsStorage, &path.into());
        Self::new(base_of(&path)).open_folder(&path, Visibility::Durable)
    }

    /// As [`SegmentBackend::open_read_only`], and shows everything whole that is written. What is
    /// not proven durable may be gone after a loss of power.
    ///
    /// # Errors
    /// As [`SegmentBackend::open_read_only`].
    pub fn open_written(path: impl Into<PathBuf>) -> Result<Self, EventStoreError> {
        let path = run_folder(&OsStorage, &path.into());
        Self::new(base_of(&path)).open_folder(&path, Visibility::Written)
    }

    /// Opens the run in a folder for reading; the files of a sealed one are mapped.
    pub(crate) fn open_mapped(path: &Path, visibility: Visibility) -> Result<Self, EventStoreError> {
        let path = run_folder(&OsStorage, path);
        let options = Options { read_path: Some(ReadPath::Map), ..Options::default() };
        Self::with_options(base_of(&path), options, Arc::new(OsStorage)).open_folder(&path, visibility)
    }

    /// Opens the run in a folder for reading, over this store's storage and with its options: by position, unless the
    /// store was built with [`ReadPath::Map`], which maps the files of a sealed run.
    ///
    /// # Errors
    /// As [`SegmentBackend::open_read_only`].
    pub fn into_read_only(self, path: impl AsRef<Path>) -> Result<Self, EventStoreError> {
        let path = run_folder(&*self.storage, path.as_ref());
        self.open_folder(&path, Visibility::Durable)
    }

    /// As [`SegmentBackend::into_read_only`], and shows everything whole that is written, as
    /// [`SegmentBackend::open_written`] does.
    ///
    /// # Errors
    /// As [`SegmentBackend::open_read_only`].
    pub fn into_written(self, path: impl AsRef<Path>) -> Result<Self, EventStoreError> {
        let path = run_folder(&*self.storage, path.as_ref());
        self.open_folder(&path, Visibility::Written)
    }

    fn open_sealed_folder(mut self, folder: &Path) -> Result<Self, EventStoreError> {
        let found = self.present_manifest(folder)?;
        match &found.seal {
            SealState::Present { .. } => {}
            SealState::Absent => {
                let status = found.opening.manifest.status;
                return Err(EventStoreError::Backend(format!(
                    "the run in {} is not sealed, its status is {status}: recover it, or open it read-only",
                    folder.display()
                )));
            }
            SealState::Damaged(error) => {
                let path = folder.join(file_name::MANIFEST);
                let corruption = Corruption::at(&path, found.opening.bytes.len() as u64, "a seal section", error.to_string());
                return Err(corruption.advise("recover the run: it is judged again from its segments").into());
            }
        }
        let run = ClosedRun::sealed(&self.storage, folder, self.options, *found, true)?;
        self.state = State::Closed(Box::new(run));
        Ok(self)
    }

    fn open_folder(mut self, folder: &Path, shown: Visibility) -> Result<Self, EventStoreError> {
        let found = read_manifest(&*self.storage, folder)?;
        if let FoundManifest::Present(found) = found
            && matches!(found.seal, SealState::Present { .. })
        {
            let run = ClosedRun::sealed(&self.storage, folder, self.options, *found, true)?;
            self.state = State::Closed(Box::new(run));
            return Ok(self);
        }
        let lock_path = folder.join(file_name::LOCK);
        let state = self.storage.lock_state(&lock_path).map_err(|error| EventStoreError::from_io("look at", &lock_path, &error))?;
        let depth = match (state, shown) {
            (LockState::Held, Visibility::Durable) => Depth::Live,
            (LockState::Held, Visibility::Written) => Depth::LiveWritten,
            (LockState::Free, _) => Depth::Tail,
        };
        let run = ClosedRun::read_only(&self.storage, folder, self.options, depth, shown, &mut |_| {})?;
        self.state = State::Closed(Box::new(run));
        Ok(self)
    }

    fn present_manifest(&self, folder: &Path) -> Result<Box<ManifestFile<RunManifest>>, EventStoreError> {
        match read_manifest(&*self.storage, folder)? {
            FoundManifest::Present(found) => Ok(found),
            FoundManifest::Missing => Err(EventStoreError::Backend(format!("no run in {}: it holds no MANIFEST", folder.display()))),
            FoundManifest::Damaged(error) => Err(error),
        }
    }

    /// The manifests of an instance's runs, sorted by `start_ts_init`.
    ///
    /// # Errors
    /// `InvalidId`, and the first run that cannot be read; [`SegmentBackend::scan_runs`] lists those too.
    pub fn list_runs(base_dir: &Path, instance_id: &str) -> Result<Vec<RunManifest>, EventStoreError> {
        Self::scan_runs(base_dir, instance_id)?.into_iter().map(|listing| listing.manifest).collect()
    }

    /// Every run of an instance, those that cannot be read included.
    ///
    /// # Errors
    /// `InvalidId`, and where the instance's folder cannot be listed; a missing folder holds no runs.
    pub fn scan_runs(base_dir: &Path, instance_id: &str) -> Result<Vec<RunListing>, EventStoreError> {
        validate_id("instance id", instance_id)?;
        listing::scan_runs(&OsStorage, &base_dir.join(instance_id))
    }

    /// Every run of an instance under this store's base and over its storage.
    pub(crate) fn runs_of(&self, instance_id: &str) -> Result<Vec<RunListing>, EventStoreError> {
        validate_id("instance id", instance_id)?;
        listing::scan_runs(&*self.storage, &self.run_dir(instance_id))
    }

    /// Removes what is left of runs of an instance that never began.
    pub(crate) fn remove_unfounded(&self, instance_id: &str) -> Result<(), EventStoreError> {
        validate_id("instance id", instance_id)?;
        listing::remove_unfounded(&*self.storage, &self.run_dir(instance_id))
    }

    /// Whether a process holds the lock of the run in a folder, and so is writing or recovering it.
    ///
    /// # Errors
    /// Where that cannot be found out.
    pub fn is_live(path: impl AsRef<Path>) -> Result<bool, EventStoreError> {
        let lock = run_folder(&OsStorage, path.as_ref()).join(file_name::LOCK);
        let state = OsStorage.lock_state(&lock).map_err(|error| EventStoreError::from_io("look at", &lock, &error))?;
        Ok(state == LockState::Held)
    }

    /// What opening the run found: of a run that was recovered, that is read only, or that is sealed.
    #[must_use]
    pub fn recovery(&self) -> Option<&RecoveryReport> {
        match &self.state {
            State::Closed(run) => Some(&run.facts.report),
            State::Empty | State::Live(_) => None,
        }
    }

    /// Figures of the run that is being written; zeros where none is.
    #[must_use]
    pub fn stats(&self) -> SegmentStats {
        match &self.state {
            State::Live(run) => {
                SegmentStats { written: run.written_seq(), durable: run.high_watermark(), spares_missed: run.shared.shelf.missed() }
            }
            State::Empty | State::Closed(_) => SegmentStats::default(),
        }
    }

    /// Makes everything durable that a buffered run has written.
    ///
    /// # Errors
    /// `Backend` where no run is open, and the failure that closed the latch.
    pub fn sync(&self) -> Result<u64, EventStoreError> {
        match &self.state {
            State::Empty => Err(EventStoreError::no_run_open()),
            State::Live(run) => {
                run.shared.latch.check()?;
                run.sync_all()?;
                Ok(run.high_watermark())
            }
            State::Closed(run) => Ok(run.high_watermark()),
        }
    }

    /// The background steps that have something to do now.
    #[must_use]
    pub fn background_steps(&self) -> Vec<BackgroundStep> {
        match &self.state {
            State::Live(run) => run.shared.runnable(),
            State::Empty | State::Closed(_) => Vec::new(),
        }
    }

    /// Does one background step; false where it has nothing to do.
    ///
    /// For a store whose background is [`BackgroundMode::Manual`](crate::BackgroundMode::Manual); steps of different
    /// lanes may be done in any order.
    ///
    /// # Errors
    /// The failure that closed the latch. `Backend` where threads do the steps: two of a kind at once would get in each
    /// other's way.
    pub fn run_background_step(&self, step: BackgroundStep) -> Result<bool, EventStoreError> {
        match &self.state {
            State::Live(run) if run.threads.is_some() => Err(EventStoreError::Backend(
                "background threads do the steps of this store; build it with BackgroundMode::Manual".to_owned(),
            )),
            State::Live(run) => run.shared.run(step),
            State::Empty | State::Closed(_) => Ok(false),
        }
    }

    /// The bytes of a batch that leaves room for another one in a segment.
    pub(super) fn batch_len_in_segment(&self) -> u64 {
        (self.options.segment_len - FIRST_FRAME) / 2
    }

    /// What this store reads and writes files with.
    pub(crate) fn storage(&self) -> Arc<dyn Storage> {
        self.storage.clone()
    }

    /// The open run as a reader sees it.
    ///
    /// # Errors
    /// `Backend` where no run is open.
    pub(crate) fn view(&self) -> Result<RunView, EventStoreError> {
        match &self.state {
            State::Empty => Err(EventStoreError::no_run_open()),
            State::Live(run) => Ok(run.view()),
            State::Closed(run) => Ok(run.view()),
        }
    }

    /// Opens a run that was left running, reading it as deep as `depth` asks. The caller seals it.
    pub(crate) fn recover_run(&mut self, folder: &Path, depth: Depth, progress: &mut dyn FnMut(u64)) -> Result<(), EventStoreError> {
        let lock = create::lock(&*self.storage, folder)?;
        let run = ClosedRun::recover(&self.storage, folder, self.options, lock, depth, progress)?;
        self.state = State::Closed(Box::new(run));
        Ok(())
    }

    /// Judges a run that was left running, with every hash, and changes nothing; of a live one, only
    /// what is proven durable.
    pub(crate) fn judge_run(mut self, folder: &Path, live: bool, progress: &mut dyn FnMut(u64)) -> Result<Self, EventStoreError> {
        let (depth, shown) = if live { (Depth::Live, Visibility::Durable) } else { (Depth::FullWithHashes, Visibility::Written) };
        let run = ClosedRun::read_only(&self.storage, folder, self.options, depth, shown, progress)?;
        self.state = State::Closed(Box::new(run));
        Ok(self)
    }

    /// Makes certain that a run stays sealed that is found so, unless another process holds it.
    pub(crate) fn confirm_seal(&self, folder: &Path) -> Result<(), EventStoreError> {
        match read_manifest(&*self.storage, folder)? {
            FoundManifest::Present(found) => {
                unless(SeededBug::SealNotConfirmedBySweep, || seal::confirm_unless_live(&*self.storage, folder, &found))
            }
            FoundManifest::Missing | FoundManifest::Damaged(_) => Ok(()),
        }
    }

    /// Makes the files of the run that is opened next. One that is there already is refused.
    pub(super) fn prepare_new(&mut self, manifest: &RunManifest) -> Result<(), EventStoreError> {
        self.prepared = None;
        let folder = self.run_path(&manifest.instance_id, &manifest.run_id);
        let lock = create::enter(&*self.storage, &self.base_dir, &folder)?;
        match read_manifest(&*self.storage, &folder)? {
            FoundManifest::Missing if !create::holds_a_run(&*self.storage, &folder)? => {
                create::remove_leftovers(&*self.storage, &folder)?;
                let files = create::prepare(&*self.storage, &folder, manifest, self.options).inspect_err(|_| {
                    // The disk may be full, and the next attempt be at another run.
                    let _ = create::remove_leftovers(&*self.storage, &folder);
                })?;
                self.prepared = Some(PreparedRun { storage: self.storage.clone(), folder, ready: Some((lock, files)) });
            }
            FoundManifest::Present(_) | FoundManifest::Missing | FoundManifest::Damaged(_) => {
                return Err(EventStoreError::Backend(format!("there is a run in {} already; prepare one of another id", folder.display())));
            }
        }
        Ok(())
    }

    pub(super) fn open_new(&mut self, manifest: RunManifest) -> Result<(), EventStoreError> {
        let folder = self.run_path(&manifest.instance_id, &manifest.run_id);
        // What was prepared for another run is given up.
        let prepared = self.prepared.take().filter(|run| run.folder == folder);
        if let Some((lock, files)) = prepared.and_then(|mut run| run.ready.take()) {
            let shared = create::create_prepared(self.storage.clone(), &folder, manifest, self.options, files)?;
            return self.begin(shared, lock);
        }
        let lock = create::enter(&*self.storage, &self.base_dir, &folder)?;
        match read_manifest(&*self.storage, &folder)? {
            FoundManifest::Present(found) => {
                check_folder_name(&folder, &found.opening.manifest)?;
                if let SealState::Present { section, .. } = &found.seal {
                    unless(SeededBug::SealNotConfirmedAtReopening, || seal::confirm(&*self.storage, &folder, &found))?;
                    return Err(EventStoreError::Backend(format!(
                        "the run in {} is already sealed, its status is {}",
                        folder.display(),
                        section.status
                    )));
                }
            }
            FoundManifest::Missing if !create::holds_a_run(&*self.storage, &folder)? => {
                create::remove_leftovers(&*self.storage, &folder)?;
                let shared = create::create(self.storage.clone(), &folder, manifest, self.options)?;
                return self.begin(shared, lock);
            }
            FoundManifest::Missing | FoundManifest::Damaged(_) => {}
        }
        let run = ClosedRun::recover(&self.storage, &folder, self.options, lock, Depth::Tail, &mut |_| {})?;
        self.state = State::Closed(Box::new(run));
        Err(EventStoreError::CrashedPredecessor)
    }

    fn begin(&mut self, shared: RunShared, lock: Lock) -> Result<(), EventStoreError> {
        self.state = State::Live(Box::new(LiveRun::begin(shared, lock, &self.thread_hook)?));
        Ok(())
    }

    pub(super) fn seal_live(&mut self, status: RunStatus) -> Result<(), EventStoreError> {
        let State::Live(run) = &mut self.state else {
            return Err(EventStoreError::no_run_open());
        };
        let section = run.seal(status)?;
        let manifest = closed::sealed_manifest(&run.shared.identity.manifest, &section);
        run.shared.end(Ending::Sealed(Box::new(manifest.clone())));
        let State::Live(run) = std::mem::replace(&mut self.state, State::Empty) else {
            return Err(EventStoreError::no_run_open());
        };
        self.state = State::Closed(Box::new(ClosedRun::from_sealed(run.into_set(), manifest, &section)));
        Ok(())
    }
}

/// The folder of a run that is named by its folder or by its MANIFEST, in whatever way: a run is known by its folder's
/// own name, and its relatives stand beside that folder.
pub(crate) fn run_folder(storage: &dyn Storage, path: &Path) -> PathBuf {
    let folder = match path.parent() {
        Some(folder) if path.file_name().is_some_and(|name| name == file_name::MANIFEST) => folder,
        _ => path,
    };
    storage.resolve(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
}

/// The base of a run's folder, two levels above it.
fn base_of(path: &Path) -> PathBuf {
    path.parent().and_then(Path::parent).map(Path::to_path_buf).unwrap_or_default()
}
