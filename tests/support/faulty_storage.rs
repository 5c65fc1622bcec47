//! A storage that writes down what is done to it and fails what it is told to fail.
//!
//! It stands in front of any other storage and uses the public interface alone. An operation that
//! is made to fail does not reach the storage behind it: a failed write has written nothing, a
//! failed sync has synced nothing. For a write that gets through in part, shorten writes and fail
//! the next one. For the end of a process in the middle of what it does, cut it off after a number
//! of changes: the change that it dies in is done by half if it is a write, and none comes after it.
//!
//! The journal holds the operations in the order in which they ended. A sync that is in the
//! journal when an append is acknowledged was therefore over before.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use rustix::io::Errno;
use tapelog::io::{DirEntry, File, Lock, LockState, OpenMode, Storage};

/// The operations that are counted, written down and can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OperationKind {
    /// An existing file is opened.
    Open,
    /// A file or a folder is created.
    Create,
    Read,
    Write,
    SyncData,
    SyncAll,
    SyncDir,
    /// The journal names the new path; a fault may be set for the old or the new one.
    Rename,
    Remove,
    SetLen,
    Map,
    Lock,
}

/// One operation that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    pub kind: OperationKind,
    pub path: PathBuf,
    /// Where in the file; zero where the operation has no place in it.
    pub offset: u64,
    /// The bytes that were moved, or asked for where it failed; for `SetLen` the new length.
    pub len: u64,
    /// Whether it failed, by a fault or by itself.
    pub failed: bool,
}

/// With what an operation fails.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    Kind(io::ErrorKind),
    Errno(Errno),
}

impl From<io::ErrorKind> for Fault {
    fn from(kind: io::ErrorKind) -> Self {
        Self::Kind(kind)
    }
}

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Kind(kind) => kind.into(),
            Fault::Errno(errno) => errno.into(),
        }
    }
}

/// How often an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    Once,
    /// This time and every time after it.
    FromThenOn,
}

/// A storage with faults in front of another one. Clones share faults and journal.
#[derive(Debug, Clone)]
pub struct FaultyStorage {
    inner: Arc<dyn Storage>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    short_writes: Vec<(String, usize)>,
    journal: Vec<Operation>,
    /// How many more changes are done before everything is cut off.
    changes_left: Option<usize>,
    was_cut: bool,
}

#[derive(Debug)]
struct Rule {
    kind: OperationKind,
    path_suffix: String,
    /// How many matching operations come before the one that fails.
    to_pass: usize,
    fault: Fault,
    repeat: Repeat,
    is_spent: bool,
}

impl FaultyStorage {
    pub fn new(inner: Arc<dyn Storage>) -> Self {
        Self { inner, state: Arc::default() }
    }

    /// Fails the `nth` operation of a kind, counted from one and from now, on paths that end with `path_suffix`.
    pub fn fail_nth(&self, kind: OperationKind, path_suffix: &str, nth: usize, fault: impl Into<Fault>, repeat: Repeat) {
        assert!(nth > 0, "operations are counted from one");
        let rule = Rule { kind, path_suffix: path_suffix.to_owned(), to_pass: nth - 1, fault: fault.into(), repeat, is_spent: false };
        self.state().rules.push(rule);
    }

    /// Lets every write to a path that ends with `path_suffix` take at most `len_max` bytes.
    pub fn shorten_writes(&self, path_suffix: &str, len_max: usize) {
        self.state().short_writes.push((path_suffix.to_owned(), len_max));
    }

    /// Lets so many changes happen from now on, and then no more.
    pub fn cut_off_after(&self, changes: usize) {
        let mut state = self.state();
        state.changes_left = Some(changes);
        state.was_cut = false;
    }

    /// Whether a change was asked for that was cut off.
    pub fn is_cut_off(&self) -> bool {
        self.state().was_cut
    }

    /// Lets everything succeed from now on that the storage behind lets succeed.
    pub fn clear_faults(&self) {
        let mut state = self.state();
        state.rules.clear();
        state.short_writes.clear();
        state.changes_left = None;
    }

    /// The operations since the beginning or since the journal was cleared, in the order in which they ended.
    pub fn journal(&self) -> Vec<Operation> {
        self.state().journal.clone()
    }

    pub fn clear_journal(&self) {
        self.state().journal.clear();
    }

    /// How many operations of a kind the journal has on paths that end with `path_suffix`.
    pub fn count(&self, kind: OperationKind, path_suffix: &str) -> usize {
        self.state().journal.iter().filter(|done| done.kind == kind && ends_with(&done.path, path_suffix)).count()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Does one operation and writes it down; `moved` says how many bytes a success moved.
    fn perform<T>(
        &self,
        kind: OperationKind,
        paths: &[&Path],
        place: (u64, u64),
        operation: impl FnOnce() -> io::Result<T>,
        moved: impl FnOnce(&T) -> u64,
    ) -> io::Result<T> {
        let fault = self.state().next_fault(kind, paths);
        // Not under the lock: operations of several threads overlap as they do without this storage.
        let result = fault.map_or_else(operation, |fault| Err(fault.into()));
        let (offset, asked) = place;
        let path = paths.last().map_or_else(PathBuf::new, |path| (*path).to_owned());
        let len = result.as_ref().map_or(asked, moved);
        self.state().journal.push(Operation { kind, path, offset, len, failed: result.is_err() });
        result
    }

    fn on_path<T>(&self, kind: OperationKind, path: &Path, operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.perform(kind, &[path], (0, 0), operation, |_| 0)
    }

    fn write_len_max(&self, path: &Path) -> usize {
        self.state().short_writes.iter().filter(|(suffix, _)| ends_with(path, suffix)).map(|(_, len)| *len).min().unwrap_or(usize::MAX)
    }
}

impl OperationKind {
    /// Whether it changes what a later process finds, or makes a change durable.
    pub fn is_change(self) -> bool {
        !matches!(self, Self::Open | Self::Read | Self::Map | Self::Lock)
    }
}

impl State {
    fn is_cut(&mut self, kind: OperationKind) -> bool {
        match &mut self.changes_left {
            Some(0) => {
                self.was_cut |= kind.is_change();
                kind.is_change()
            }
            Some(left) => {
                *left -= usize::from(kind.is_change());
                false
            }
            None => false,
        }
    }

    fn next_fault(&mut self, kind: OperationKind, paths: &[&Path]) -> Option<Fault> {
        let mut fault = self.is_cut(kind).then_some(Fault::Errno(Errno::IO));
        for rule in &mut self.rules {
            if rule.kind != kind || rule.is_spent || !paths.iter().any(|path| ends_with(path, &rule.path_suffix)) {
                continue;
            }
            if rule.to_pass > 0 {
                rule.to_pass -= 1;
                continue;
            }
            rule.is_spent = rule.repeat == Repeat::Once;
            fault = fault.or(Some(rule.fault));
        }
        fault
    }
}

fn ends_with(path: &Path, suffix: &str) -> bool {
    path.to_string_lossy().ends_with(suffix)
}

impl Storage for FaultyStorage {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let kind = if mode == OpenMode::CreateNew { OperationKind::Create } else { OperationKind::Open };
        let inner = self.on_path(kind, path, || self.inner.open(path, mode))?;
        Ok(Arc::new(FaultyFile { inner, path: path.to_owned(), storage: self.clone() }))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<DirEntry>> {
        self.inner.list(folder)
    }

    fn stat(&self, path: &Path) -> io::Result<Option<DirEntry>> {
        self.inner.stat(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.on_path(OperationKind::Create, path, || self.inner.create_dir(path))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.on_path(OperationKind::Remove, path, || self.inner.remove_dir(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.perform(OperationKind::Rename, &[from, to], (0, 0), || self.inner.rename(from, to), |()| 0)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.on_path(OperationKind::Remove, path, || self.inner.remove_file(path))
    }

    fn sync_dir(&self, folder: &Path) -> io::Result<()> {
        self.on_path(OperationKind::SyncDir, folder, || self.inner.sync_dir(folder))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        self.on_path(OperationKind::Lock, path, || self.inner.lock(path))
    }

    fn lock_state(&self, path: &Path) -> io::Result<LockState> {
        self.inner.lock_state(path)
    }
}

/// An open file that keeps the path under which it was opened.
#[derive(Debug)]
struct FaultyFile {
    inner: Arc<dyn File>,
    path: PathBuf,
    storage: FaultyStorage,
}

impl FaultyFile {
    fn perform<T>(
        &self,
        kind: OperationKind,
        place: (u64, u64),
        operation: impl FnOnce() -> io::Result<T>,
        moved: impl FnOnce(&T) -> u64,
    ) -> io::Result<T> {
        self.storage.perform(kind, &[&self.path], place, operation, moved)
    }
}

impl File for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let asked = buffer.len() as u64;
        self.perform(OperationKind::Read, (offset, asked), || self.inner.read_at(buffer, offset), |len| *len as u64)
    }

    fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<usize> {
        let buffer = &buffer[..buffer.len().min(self.storage.write_len_max(&self.path))];
        let asked = buffer.len() as u64;
        if self.storage.state().changes_left == Some(0) && !self.storage.is_cut_off() {
            // The process dies in this write; what it was to answer is nobody's any more.
            let _ = self.inner.write_at(&buffer[..buffer.len() / 2], offset);
        }
        self.perform(OperationKind::Write, (offset, asked), || self.inner.write_at(buffer, offset), |len| *len as u64)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.perform(OperationKind::SyncData, (0, 0), || self.inner.sync_data(), |()| 0)
    }

    fn sync_all(&self) -> io::Result<()> {
        self.perform(OperationKind::SyncAll, (0, 0), || self.inner.sync_all(), |()| 0)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.perform(OperationKind::SetLen, (0, len), || self.inner.set_len(len), |()| len)
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn map(&self, len: u64) -> io::Result<Bytes> {
        self.perform(OperationKind::Map, (0, len), || self.inner.map(len), |_| len)
    }
}
