//! Following an instance from run to run.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::EventStoreError;
use crate::io::{OsStorage, Storage};
use crate::limits::CHAIN_RUNS_MAX;
use crate::model::{EventStoreEntry, RunId, RunManifest, validate_id};
use crate::reader::follower::{FollowOptions, Follower};
use crate::reader::progress::{Progress, RunEnd};
use crate::store::segment::backend::run_folder;
use crate::store::segment::listing;
use crate::store::{Check, EntryView};

/// How long a wait for a child run rests between two looks through the folder at least.
const LOOK_FOR_CHILD_EVERY: Duration = Duration::from_millis(20);
/// How many times as long as a look has taken it rests at least: a folder of many runs takes long to look through.
const REST_PER_LOOK: u32 = 20;

/// Follows a run, and once it is sealed the run that goes on from it, and so on.
///
/// A run that was left running goes on to its child once it is recovered, which seals it. Where several runs go on from it,
/// the one with the smallest `start_ts_init` is followed, and of equal ones the one with the smallest id, among those that
/// are there when one is found. A run is followed once: one that names a run as its parent that came later leads back to
/// nothing.
#[derive(Debug)]
pub struct ChainFollower {
    storage: Arc<dyn Storage>,
    options: FollowOptions,
    current: Follower,
    /// How the current run ended, once everything of it was shown.
    ended: Option<RunEnd>,
    /// The runs that were followed, the current one included.
    followed: HashSet<RunId>,
    /// Runs that are no child of the current one, so that each is looked at once.
    strangers: HashSet<RunId>,
}

impl ChainFollower {
    /// Begins to follow the run in a folder. `options.from` is an entry of that run; of its children everything is shown.
    ///
    /// # Errors
    /// As [`Follower::open`].
    pub fn open(path: impl AsRef<Path>, options: FollowOptions) -> Result<Self, EventStoreError> {
        Self::over(Arc::new(OsStorage), run_folder(&OsStorage, path.as_ref()), options)
    }

    pub(crate) fn over(storage: Arc<dyn Storage>, folder: PathBuf, options: FollowOptions) -> Result<Self, EventStoreError> {
        let current = Follower::over(storage.clone(), folder, options)?;
        let followed = HashSet::from([current.manifest().run_id.clone()]);
        Ok(Self { storage, options, current, ended: None, followed, strangers: HashSet::new() })
    }

    /// The follower of the run that is followed now.
    #[must_use]
    pub fn current(&self) -> &Follower {
        &self.current
    }

    /// How the run that is followed now ended, once everything of it was shown. Its child, if there will be one, is awaited.
    #[must_use]
    pub fn ended(&self) -> Option<&RunEnd> {
        self.ended.as_ref()
    }

    /// Lends `visit` every entry that is there with the manifest of its run, waiting up to `timeout` for the first one.
    ///
    /// Answers [`Progress::Ended`] once for each run that has ended. After that its child, if there will be one, is awaited.
    ///
    /// # Errors
    /// As [`Follower::visit`], where the instance's folder cannot be listed, and `LimitExceeded` behind 100,000 runs.
    pub fn visit(
        &mut self,
        timeout: Duration,
        check: Check,
        mut visit: impl FnMut(&RunManifest, EntryView<'_>) -> ControlFlow<()>,
    ) -> Result<Progress, EventStoreError> {
        let Some(left) = self.go_on(timeout)? else { return Ok(Progress::Idle) };
        let manifest = self.current.manifest().clone();
        let progress = self.current.visit(left, check, |view| visit(&manifest, view))?;
        self.ended = self.current.ended().cloned();
        Ok(progress)
    }

    /// The next entry with the id of its run, waiting up to `timeout` for it; none where none came in that time, or its
    /// run has ended, as [`ChainFollower::ended`] tells: a child may still go on from it.
    ///
    /// # Errors
    /// As [`ChainFollower::visit`].
    pub fn next_entry(&mut self, timeout: Duration) -> Result<Option<(RunId, EventStoreEntry)>, EventStoreError> {
        let Some(left) = self.go_on(timeout)? else { return Ok(None) };
        let found = self.current.next_entry(left)?;
        self.ended = self.current.ended().cloned();
        Ok(found.map(|entry| (self.current.manifest().run_id.clone(), entry)))
    }

    /// Where the current run has ended, goes on in its child, waiting up to `timeout` for it; answers how much time is
    /// left, and none where there is no child yet.
    fn go_on(&mut self, timeout: Duration) -> Result<Option<Duration>, EventStoreError> {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            let left = deadline.map_or(timeout, |deadline| deadline.saturating_duration_since(Instant::now()));
            if self.ended.is_none() {
                return Ok(Some(left));
            }
            let begun = Instant::now();
            if let Some(child) = self.child()? {
                if self.followed.len() >= CHAIN_RUNS_MAX {
                    let what = "the number of runs in a chain";
                    let found = self.followed.len() as u64 + 1;
                    return Err(EventStoreError::LimitExceeded { what, maximum: CHAIN_RUNS_MAX as u64, found });
                }
                self.current = Follower::over(self.storage.clone(), child, FollowOptions { from: 1, ..self.options })?;
                self.followed.insert(self.current.manifest().run_id.clone());
                self.ended = None;
                self.strangers.clear();
            } else if left.is_zero() {
                return Ok(None);
            } else {
                thread::sleep(left.min(LOOK_FOR_CHILD_EVERY.max(begun.elapsed() * REST_PER_LOOK)));
            }
        }
    }

    /// The folder of a run that goes on from the current one; of several, that of the one that began first.
    fn child(&mut self) -> Result<Option<PathBuf>, EventStoreError> {
        let Some(instance) = self.current.folder().parent().map(Path::to_path_buf) else { return Ok(None) };
        let parent = self.current.manifest().run_id.clone();
        let entries = self.storage.list(&instance).map_err(|error| EventStoreError::from_io("list", &instance, &error))?;
        let mut children = Vec::new();
        for entry in entries {
            let is_known = self.strangers.contains(&entry.name) || self.followed.contains(&entry.name);
            if !entry.is_dir || validate_id("run id", &entry.name).is_err() || is_known {
                continue;
            }
            let folder = instance.join(&entry.name);
            // A run that cannot be read, or that is just being made, is looked at again.
            let Some(Ok(manifest)) = listing::list_run(&*self.storage, &folder, entry.name.clone()).map(|run| run.manifest) else {
                continue;
            };
            if manifest.parent_run_id.as_ref() == Some(&parent) {
                children.push((manifest.start_ts_init, entry.name, folder));
            } else {
                self.strangers.insert(entry.name);
            }
        }
        Ok(children.into_iter().min().map(|(_, _, folder)| folder))
    }
}
