//! The disk as the storage of an engine.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rustix::io::Errno;
use tapelog::io::{DirEntry, File, Lock, LockState, OpenMode, Storage};

use super::faults::{Fault, OperationKind};
use super::node::{FileNode, FolderNode, Node, NodeId};
use super::{Inner, Moment, Remember, SimulatedDisk};

/// The power goes off behind so many operations, far more than any history needs: what goes round in circles comes to an end.
const OPERATIONS_MAX: u64 = 1 << 20;

impl Inner {
    /// Counts an operation, and answers the fault that it meets.
    ///
    /// # Errors
    /// Where the power is off.
    fn begin(&mut self, kind: OperationKind, certain: impl FnOnce(&Self) -> bool) -> io::Result<Option<Fault>> {
        if self.is_quiet && !self.is_off {
            if kind.is_change() || kind.is_sync() {
                self.violations.push(format!("a question changes something ({kind:?})"));
            }
            return Ok(None);
        }
        let number = self.operations;
        self.operations += 1;
        if let Some(journal) = &mut self.journal {
            journal.push(kind);
        }
        self.is_off |= self.power_until.is_some_and(|until| number >= until);
        if number == OPERATIONS_MAX {
            self.violations.push(format!("{OPERATIONS_MAX} operations, and no end"));
        }
        self.is_off |= number >= OPERATIONS_MAX;
        if self.is_off {
            return Err(Errno::NODEV.into());
        }
        let remembered = match self.remember {
            Remember::Nothing => false,
            Remember::Syncs => kind.is_sync(),
            Remember::SyncsAndChanges => kind.is_sync() || kind.is_change(),
        };
        if remembered && (kind.is_change() || !certain(self)) {
            self.moments.push(Moment { operation: number, kind, state: self.state.clone() });
        }
        let fault = self.plan.and_then(|plan| plan.fault_of(number, kind));
        self.faults_met += u64::from(fault.is_some());
        self.errors_met += u64::from(fault.and_then(Fault::error).is_some());
        Ok(fault)
    }

    /// As [`Inner::begin`], for operations that a fault leaves undone.
    fn begin_whole(&mut self, kind: OperationKind) -> io::Result<()> {
        match self.begin(kind, |_| true)?.and_then(Fault::error) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// How many bytes a read or a write moves that is asked to move `len`.
    fn moved(&mut self, fault: Option<Fault>, len: usize) -> usize {
        match fault {
            Some(_) if len > 1 => self.random.usize(1..len),
            _ => len,
        }
    }

    fn sync_outcome(&mut self, node: NodeId, path: &Path, fault: Option<Fault>) -> io::Result<()> {
        if self.failed_syncs.contains(&node) {
            self.violations.push(format!("{} is synced once more after a sync of it failed", path.display()));
        }
        match fault.and_then(Fault::error) {
            Some(error) => {
                self.failed_syncs.insert(node);
                let is_folder = self.state.folder(node).is_some();
                if is_folder {
                    self.condemn(path, path, "sync");
                } else {
                    self.condemn_by_file(node, path, "sync");
                }
                Err(error)
            }
            None => Ok(()),
        }
    }

    fn condemn(&mut self, folder: &Path, path: &Path, what: &str) {
        self.condemned.entry(folder.to_owned()).or_insert_with(|| format!("a {what} of {} failed", path.display()));
    }

    /// A file that was opened under one name may have another one since: this is the one that counts.
    fn path_now(&self, node: NodeId, opened_as: &Path) -> PathBuf {
        let folder = opened_as.parent().unwrap_or(Path::new("/"));
        let names = self.state.find(folder).and_then(|folder| self.state.folder(folder)).map(FolderNode::names);
        let name = names.into_iter().flatten().find(|(_, found)| *found == node).map(|(name, _)| folder.join(name));
        name.unwrap_or_else(|| opened_as.to_owned())
    }

    /// A spare and an index have other names until they are whole, and no failure of them closes a store.
    fn condemn_by_file(&mut self, node: NodeId, opened_as: &Path, what: &str) {
        let path = self.path_now(node, opened_as);
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        if let Some(folder) = path.parent().filter(|_| is_segment(&path) || name.starts_with("WATERMARK") || name.starts_with("MANIFEST")) {
            self.condemn(folder, &path, what);
        }
    }
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "seg")
}

impl Storage for SimulatedDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut inner = self.lock();
        let node = if mode == OpenMode::CreateNew {
            inner.begin_whole(OperationKind::Create)?;
            inner.state.create(path, Node::File(FileNode::default()))?
        } else {
            inner.begin_whole(OperationKind::Open)?;
            let node = inner.state.find(path).ok_or(io::ErrorKind::NotFound)?;
            inner.state.file(node).ok_or(io::ErrorKind::IsADirectory)?;
            node
        };
        Ok(Arc::new(SimulatedFile { disk: self.clone(), node, path: path.to_owned(), writable: mode != OpenMode::Read }))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<DirEntry>> {
        let mut inner = self.lock();
        inner.begin_whole(OperationKind::Look)?;
        let node = inner.state.find(folder).ok_or(io::ErrorKind::NotFound)?;
        let found = inner.state.folder(node).ok_or(io::ErrorKind::NotADirectory)?;
        Ok(found.names().map(|(name, node)| entry(&inner, name, node)).collect())
    }

    fn stat(&self, path: &Path) -> io::Result<Option<DirEntry>> {
        let mut inner = self.lock();
        inner.begin_whole(OperationKind::Look)?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(inner.state.find(path).map(|node| entry(&inner, &name, node)))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        inner.begin_whole(OperationKind::Create)?;
        inner.state.create(path, Node::Folder(FolderNode::default())).map(|_| ())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        inner.begin_whole(OperationKind::Remove)?;
        let node = inner.state.find(path).ok_or(io::ErrorKind::NotFound)?;
        if inner.state.folder(node).ok_or(io::ErrorKind::NotADirectory)?.names().next().is_some() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let (folder, name) = inner.state.parent(path)?;
        inner.state.set_name(folder, &name, None);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        inner.begin_whole(OperationKind::Rename)?;
        let node = inner.state.find(from).ok_or(io::ErrorKind::NotFound)?;
        let (from_folder, from_name) = inner.state.parent(from)?;
        let (to_folder, to_name) = inner.state.parent(to)?;
        inner.state.set_name(from_folder, &from_name, None);
        inner.state.set_name(to_folder, &to_name, Some(node));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        inner.begin_whole(OperationKind::Remove)?;
        let node = inner.state.find(path).ok_or(io::ErrorKind::NotFound)?;
        inner.state.file(node).ok_or(io::ErrorKind::IsADirectory)?;
        let (folder, name) = inner.state.parent(path)?;
        inner.state.set_name(folder, &name, None);
        Ok(())
    }

    fn sync_dir(&self, folder: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        let found = inner.state.find(folder);
        let is_certain = |inner: &Inner| found.and_then(|node| inner.state.folder(node)).is_none_or(|folder| !folder.has_dirt());
        let fault = inner.begin(OperationKind::SyncFolder, is_certain)?;
        let node = found.ok_or(io::ErrorKind::NotFound)?;
        let outcome = inner.sync_outcome(node, folder, fault);
        let folder = inner.state.folder_mut(node).ok_or(io::ErrorKind::NotADirectory)?;
        if outcome.is_ok() {
            folder.sync();
        } else {
            folder.fail_sync();
        }
        outcome
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        let mut inner = self.lock();
        inner.begin_whole(OperationKind::Lock)?;
        let node = match inner.state.find(path) {
            Some(node) => node,
            None => inner.state.create(path, Node::File(FileNode::default()))?,
        };
        if !inner.locked.insert(node) {
            return Ok(None);
        }
        Ok(Some(Lock::new(Held { disk: self.clone(), node })))
    }

    fn lock_state(&self, path: &Path) -> io::Result<LockState> {
        let mut inner = self.lock();
        inner.begin_whole(OperationKind::Look)?;
        let held = inner.state.find(path).is_some_and(|node| inner.locked.contains(&node));
        Ok(if held { LockState::Held } else { LockState::Free })
    }

    fn unique_id(&self) -> [u8; 16] {
        self.lock().random.u128(..).to_le_bytes()
    }
}

pub(super) fn entry(inner: &Inner, name: &str, node: NodeId) -> DirEntry {
    let len = inner.state.file(node).map(FileNode::len);
    DirEntry { name: name.to_owned(), is_dir: len.is_none(), len: len.unwrap_or_default() }
}

/// A lock that is held as long as this lives.
struct Held {
    disk: SimulatedDisk,
    node: NodeId,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.disk.lock().locked.remove(&self.node);
    }
}

/// An open file.
#[derive(Debug)]
struct SimulatedFile {
    disk: SimulatedDisk,
    node: NodeId,
    path: PathBuf,
    writable: bool,
}

fn gone() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl SimulatedFile {
    fn sync(&self) -> io::Result<()> {
        let mut inner = self.disk.lock();
        let fault = inner.begin(OperationKind::SyncFile, |inner| inner.state.file(self.node).is_none_or(|file| !file.has_dirt()))?;
        let outcome = inner.sync_outcome(self.node, &self.path, fault);
        let file = inner.state.file_mut(self.node).ok_or_else(gone)?;
        if outcome.is_ok() {
            file.sync();
        } else {
            file.fail_sync();
        }
        outcome
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.writable { Ok(()) } else { Err(Errno::BADF.into()) }
    }
}

impl File for SimulatedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut inner = self.disk.lock();
        let fault = inner.begin(OperationKind::Read, |_| true)?;
        if let Some(error) = fault.and_then(Fault::error) {
            return Err(error);
        }
        let len = inner.moved(fault, buffer.len());
        let file = inner.state.file(self.node).ok_or_else(gone)?;
        if !file.is_readable(offset, len) {
            return Err(Errno::IO.into());
        }
        Ok(file.read(buffer.get_mut(..len).unwrap_or_default(), offset))
    }

    fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<usize> {
        self.check_writable()?;
        let mut inner = self.disk.lock();
        let fault = inner.begin(OperationKind::Write, |_| true)?;
        let len = inner.moved(fault, buffer.len());
        let part = buffer.get(..len).unwrap_or_default();
        let file = inner.state.file_mut(self.node).ok_or_else(gone)?;
        if !file.is_writable(offset, len) {
            return Err(Errno::IO.into());
        }
        let certain = file.certain_len();
        file.write(part, offset);
        // A batch that goes behind what is durable of its file would let its sync change metadata,
        // and a length that a loss of power takes back would cut it off.
        let is_behind = offset + part.len() as u64 > certain && part.iter().any(|byte| *byte != 0);
        if is_behind && is_segment(&inner.path_now(self.node, &self.path)) {
            inner.violations.push(format!("{} is written at byte {offset}, behind its durable length {certain}", self.path.display()));
        }
        match fault.and_then(Fault::error) {
            Some(error) => {
                inner.condemn_by_file(self.node, &self.path, "write");
                Err(error)
            }
            None => Ok(len),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        let mut inner = self.disk.lock();
        if let Err(error) = inner.begin_whole(OperationKind::SetLen) {
            inner.condemn_by_file(self.node, &self.path, "change of the length");
            return Err(error);
        }
        inner.state.file_mut(self.node).ok_or_else(gone)?.set_len(len);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let mut inner = self.disk.lock();
        inner.begin_whole(OperationKind::Look)?;
        Ok(inner.state.file(self.node).ok_or_else(gone)?.len())
    }

    fn map(&self, len: u64) -> io::Result<Bytes> {
        let mut inner = self.disk.lock();
        inner.begin_whole(OperationKind::Read)?;
        let file = inner.state.file(self.node).ok_or_else(gone)?;
        if file.len() < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !file.is_readable(0, usize::try_from(len).unwrap_or(usize::MAX)) {
            return Err(Errno::IO.into());
        }
        let mut bytes = vec![0; usize::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?];
        file.read(&mut bytes, 0);
        Ok(bytes.into())
    }
}
