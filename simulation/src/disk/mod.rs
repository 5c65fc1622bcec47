//! A disk in memory that loses power.
//!
//! It stands behind the storage seam, so that the engine runs on it as it is. What a process writes
//! it sees at once, as through the page cache; what a loss of power leaves is decided afterwards,
//! sector by sector, length by length and name by name, each by itself ([`uncertain`]). Every
//! operation may be told to fail ([`faults`]). There are no threads and no clock: the same calls and
//! the same seed lead to the same bytes.
//!
//! How later parts join: whatever goes through [`tapelog::io::Storage`] is simulated already. The
//! sidecar's store is driven as the entries' is, and its files lie on the same disk. A follower
//! looks at the disk through an [`observer::Observer`], which goes on to the disk of the engine's next process.
//! Direct I/O is a file whose write makes its sectors certain when it returns: a new
//! [`tapelog::io::OpenMode`] leads to [`node::FileNode::write`] followed by [`node::FileNode::sync`].

pub mod faults;
pub mod node;
pub mod observer;
pub mod sector;
pub mod state;
mod storage;
#[cfg(test)]
mod tests;
pub mod uncertain;

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use faults::{FaultPlan, OperationKind};
use node::{FileNode, FolderNode, Node, NodeId};
use state::DiskState;

/// A simulated disk. Clones are the same disk; a [`SimulatedDisk::fork`] is another one.
#[derive(Debug, Clone)]
pub struct SimulatedDisk {
    inner: Arc<Mutex<Inner>>,
}

/// The disk at the moment before an operation.
#[derive(Debug, Clone)]
pub struct Moment {
    /// The number of the operation.
    pub operation: u64,
    /// What the operation is.
    pub kind: OperationKind,
    /// Everything as it stood before.
    pub state: DiskState,
}

/// Which moments a disk remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Remember {
    /// None.
    #[default]
    Nothing,
    /// The moment before each sync that makes something certain. Every image that a loss of power can
    /// leave between two of these can also be left right before the second: versions are only added.
    Syncs,
    /// As [`Remember::Syncs`], and before each change: where a process may be killed.
    SyncsAndChanges,
}

#[derive(Debug)]
struct Inner {
    state: DiskState,
    random: fastrand::Rng,
    operations: u64,
    /// Every kind of operation that was asked for, by number.
    journal: Option<Vec<OperationKind>>,
    locked: HashSet<NodeId>,
    plan: Option<FaultPlan>,
    faults_met: u64,
    errors_met: u64,
    remember: Remember,
    moments: Vec<Moment>,
    /// From this operation on nothing happens any more.
    power_until: Option<u64>,
    is_off: bool,
    /// Nodes of which a sync failed in this process.
    failed_syncs: HashSet<NodeId>,
    /// What failed that closes the store of the run in a folder, by the folder.
    condemned: BTreeMap<PathBuf, String>,
    /// Somebody asks a question: it meets no fault and is not counted.
    is_quiet: bool,
    violations: Vec<String>,
}

impl SimulatedDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_state(DiskState::default(), seed)
    }

    /// A disk that holds `state`, after a start of the machine: nothing is locked.
    #[must_use]
    pub fn with_state(state: DiskState, seed: u64) -> Self {
        let inner = Inner {
            state,
            random: fastrand::Rng::with_seed(seed),
            operations: 0,
            journal: None,
            locked: HashSet::new(),
            plan: None,
            faults_met: 0,
            errors_met: 0,
            remember: Remember::Nothing,
            moments: Vec::new(),
            power_until: None,
            is_off: false,
            failed_syncs: HashSet::new(),
            condemned: BTreeMap::new(),
            is_quiet: false,
            violations: Vec::new(),
        };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An independent copy as a new process finds it: nothing is locked, nothing is told to fail.
    #[must_use]
    pub fn fork(&self) -> Self {
        let inner = self.lock();
        let seed = inner.random.clone().u64(..);
        Self::with_state(inner.state.clone(), seed)
    }

    /// A copy as another process sees the disk at this moment: what is locked is locked, nothing fails.
    #[must_use]
    pub fn for_reader(&self) -> Self {
        let reader = self.fork();
        reader.lock().locked.clone_from(&self.lock().locked);
        reader
    }

    /// The same disk for the next process, whose faults and moments go on being counted.
    #[must_use]
    pub fn for_next_process(&self) -> Self {
        let inner = self.lock();
        let next = Inner {
            state: inner.state.clone(),
            random: inner.random.clone(),
            locked: HashSet::new(),
            moments: inner.moments.clone(),
            failed_syncs: HashSet::new(),
            condemned: BTreeMap::new(),
            violations: inner.violations.clone(),
            journal: inner.journal.clone(),
            ..*inner
        };
        Self { inner: Arc::new(Mutex::new(next)) }
    }

    /// As [`SimulatedDisk::for_next_process`], with other contents: those of a moment before, or those
    /// that a loss of power leaves.
    #[must_use]
    pub fn with_contents(&self, state: DiskState) -> Self {
        let next = self.for_next_process();
        next.lock().state = state;
        next
    }

    /// Everything that the disk holds now.
    #[must_use]
    pub fn state(&self) -> DiskState {
        self.lock().state.clone()
    }

    /// How many operations there were.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Remembers moments from now on.
    pub fn remember(&self, remember: Remember) {
        self.lock().remember = remember;
    }

    /// The moments since this was last asked.
    #[must_use]
    pub fn take_moments(&self) -> Vec<Moment> {
        std::mem::take(&mut self.lock().moments)
    }

    /// Writes down the kind of every operation from now on.
    pub fn keep_journal(&self) {
        self.lock().journal = Some(Vec::new());
    }

    /// The kinds of the operations since the journal was begun.
    #[must_use]
    pub fn take_journal(&self) -> Vec<OperationKind> {
        self.lock().journal.take().unwrap_or_default()
    }

    /// Lets operations fail.
    pub fn set_fault(&self, plan: Option<FaultPlan>) {
        self.lock().plan = plan;
    }

    /// How many operations met a fault.
    #[must_use]
    pub fn faults_met(&self) -> u64 {
        self.lock().faults_met
    }

    /// How many operations failed; one that moves fewer bytes than it was asked to has not.
    #[must_use]
    pub fn errors_met(&self) -> u64 {
        self.lock().errors_met
    }

    /// Cuts the power before the operation with this number: nothing reaches the disk any more.
    pub fn cut_power_at(&self, operation: u64) {
        self.lock().power_until = Some(operation);
    }

    /// Whether the power was cut.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.lock().is_off
    }

    /// The process ends: its locks are free, and what it knew of failed syncs is forgotten.
    pub fn end_process(&self) {
        let mut inner = self.lock();
        inner.locked.clear();
        inner.failed_syncs.clear();
        inner.condemned.clear();
    }

    /// What failed in this process that closes the store of the run in `folder`: a write to its active segment, to WATERMARK
    /// or to MANIFEST, or a sync of one of them or of the folder itself.
    #[must_use]
    pub fn condemned(&self, folder: &Path) -> Option<String> {
        self.lock().condemned.get(folder).cloned()
    }

    /// Asks the store something beside the history: what it reads for the answer meets no fault and is not counted.
    pub fn quietly<T>(&self, ask: impl FnOnce() -> T) -> T {
        self.lock().is_quiet = true;
        let answer = ask();
        self.lock().is_quiet = false;
        answer
    }

    /// The pages leave the cache: where a sync failed, the disk may turn out to hold something else.
    pub fn evict(&self) {
        let mut inner = self.lock();
        let Inner { state, random, .. } = &mut *inner;
        for (_, node) in state.files() {
            if let Some(file) = state.file_mut(node) {
                file.evict(|versions| random.usize(..versions));
            }
        }
    }

    /// What the process did that no image could show: orders of operations that the design rules out.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.lock().violations.clone()
    }

    /// Every file.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.lock().state.files().into_iter().map(|(path, _)| path).collect()
    }

    /// The bytes of a file.
    #[must_use]
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let inner = self.lock();
        Some(inner.state.file(inner.state.find(path)?)?.contents())
    }

    /// Makes a folder with those above it; all of them are durable.
    pub fn put_folder(&self, path: &Path) {
        let mut inner = self.lock();
        let state = &mut inner.state;
        let above: Vec<_> = path.ancestors().collect();
        for folder in above.into_iter().rev() {
            // What is there already stays.
            let _ = state.create(folder, Node::Folder(FolderNode::default()));
            let node = state.parent(folder).ok().map(|(node, _)| node);
            node.and_then(|node| state.folder_mut(node)).into_iter().for_each(FolderNode::sync);
        }
    }

    /// Makes a file, with the folders above it; all of it is durable.
    pub fn put(&self, path: &Path, contents: &[u8]) {
        if let Some(folder) = path.parent() {
            self.put_folder(folder);
        }
        let mut inner = self.lock();
        let state = &mut inner.state;
        let mut file = FileNode::default();
        file.write(contents, 0);
        file.sync();
        let Ok((folder, name)) = state.parent(path) else { return };
        state.set_name(folder, &name, None);
        let _ = state.create(path, Node::File(file));
        state.folder_mut(folder).into_iter().for_each(FolderNode::sync);
    }

    /// Lets every read of these sectors of a file fail, until they are written as a whole.
    pub fn set_unreadable(&self, path: &Path, sectors: Range<usize>) {
        let mut inner = self.lock();
        if let Some(node) = inner.state.find(path)
            && let Some(file) = inner.state.file_mut(node)
        {
            file.lose_sectors(sectors);
        }
    }

    /// Takes a file away, durably; false where there is none.
    pub fn take_away(&self, path: &Path) -> bool {
        let mut inner = self.lock();
        let state = &mut inner.state;
        let Ok((folder, name)) = state.parent(path) else { return false };
        let was_there = state.folder(folder).is_some_and(|folder| folder.get(&name).is_some());
        state.set_name(folder, &name, None);
        state.folder_mut(folder).into_iter().for_each(FolderNode::sync);
        was_there
    }
}
