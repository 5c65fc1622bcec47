//! The disk as a process sees it that changes nothing, and that lives on while the engine's processes end and begin.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rustix::io::Errno;
use tapelog::io::{DirEntry, File, Lock, LockState, OpenMode, Storage};

use super::node::{FileNode, NodeId};
use super::storage::entry;
use super::{Inner, SimulatedDisk};

/// The storage of a reader. Nothing that it does fails or is counted.
#[derive(Debug, Clone)]
pub struct Observer {
    disk: Arc<Mutex<SimulatedDisk>>,
}

impl Observer {
    /// An observer of a disk.
    #[must_use]
    pub fn of(disk: &SimulatedDisk) -> Self {
        Self { disk: Arc::new(Mutex::new(disk.clone())) }
    }

    /// The engine's next process goes on with this disk, which holds what the one before left in the page cache.
    pub fn turn_to(&self, disk: &SimulatedDisk) {
        *self.disk.lock().unwrap_or_else(PoisonError::into_inner) = disk.clone();
    }

    /// The disk that it looks at.
    #[must_use]
    pub fn disk(&self) -> SimulatedDisk {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn look<T>(&self, look: impl FnOnce(&Inner) -> io::Result<T>) -> io::Result<T> {
        let disk = self.disk();
        let inner = disk.lock();
        look(&inner)
    }
}

fn refused<T>() -> io::Result<T> {
    Err(Errno::ROFS.into())
}

impl Storage for Observer {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        if mode != OpenMode::Read {
            return refused();
        }
        let node = self.look(|inner| {
            let node = inner.state.find(path).ok_or(io::ErrorKind::NotFound)?;
            inner.state.file(node).ok_or(io::ErrorKind::IsADirectory)?;
            Ok(node)
        })?;
        Ok(Arc::new(ObservedFile { observer: self.clone(), node }))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<DirEntry>> {
        self.look(|inner| {
            let node = inner.state.find(folder).ok_or(io::ErrorKind::NotFound)?;
            let found = inner.state.folder(node).ok_or(io::ErrorKind::NotADirectory)?;
            Ok(found.names().map(|(name, node)| entry(inner, name, node)).collect())
        })
    }

    fn stat(&self, path: &Path) -> io::Result<Option<DirEntry>> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        self.look(|inner| Ok(inner.state.find(path).map(|node| entry(inner, &name, node))))
    }

    fn lock_state(&self, path: &Path) -> io::Result<LockState> {
        self.look(|inner| {
            let held = inner.state.find(path).is_some_and(|node| inner.locked.contains(&node));
            Ok(if held { LockState::Held } else { LockState::Free })
        })
    }

    fn create_dir(&self, _path: &Path) -> io::Result<()> {
        refused()
    }

    fn remove_dir(&self, _path: &Path) -> io::Result<()> {
        refused()
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        refused()
    }

    fn remove_file(&self, _path: &Path) -> io::Result<()> {
        refused()
    }

    fn sync_dir(&self, _folder: &Path) -> io::Result<()> {
        refused()
    }

    fn lock(&self, _path: &Path) -> io::Result<Option<Lock>> {
        refused()
    }
}

/// A file that is only read.
#[derive(Debug)]
struct ObservedFile {
    observer: Observer,
    node: NodeId,
}

impl ObservedFile {
    fn look<T>(&self, look: impl FnOnce(&FileNode) -> io::Result<T>) -> io::Result<T> {
        self.observer.look(|inner| look(inner.state.file(self.node).ok_or(io::ErrorKind::NotFound)?))
    }
}

impl File for ObservedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.look(|file| if file.is_readable(offset, buffer.len()) { Ok(file.read(buffer, offset)) } else { Err(Errno::IO.into()) })
    }

    fn len(&self) -> io::Result<u64> {
        self.look(|file| Ok(file.len()))
    }

    fn map(&self, len: u64) -> io::Result<Bytes> {
        let mut bytes = vec![0; usize::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?];
        match self.read_at(&mut bytes, 0)? {
            read if read == bytes.len() => Ok(bytes.into()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn write_at(&self, _buffer: &[u8], _offset: u64) -> io::Result<usize> {
        refused()
    }

    fn sync_data(&self) -> io::Result<()> {
        refused()
    }

    fn sync_all(&self) -> io::Result<()> {
        refused()
    }

    fn set_len(&self, _len: u64) -> io::Result<()> {
        refused()
    }
}
