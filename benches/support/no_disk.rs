//! A storage that writes no segment: what is left of an append is its work in memory.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tapelog::io::{DirEntry, File, Lock, LockState, OpenMode, OsStorage, Storage};

/// The operating system's files, and segments that take everything and keep nothing.
#[derive(Debug, Default)]
pub struct NoDisk {
    os: OsStorage,
}

impl Storage for NoDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let file = self.os.open(path, mode)?;
        if path.to_string_lossy().contains(".seg") {
            return Ok(Arc::new(Nothing::default()));
        }
        Ok(file)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<DirEntry>> {
        self.os.list(folder)
    }

    fn stat(&self, path: &Path) -> io::Result<Option<DirEntry>> {
        self.os.stat(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.os.create_dir(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.os.remove_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.os.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.os.remove_file(path)
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        self.os.lock(path)
    }

    fn lock_state(&self, path: &Path) -> io::Result<LockState> {
        self.os.lock_state(path)
    }
}

/// A file of zeros that grows with what is written to it.
#[derive(Debug, Default)]
struct Nothing {
    len: AtomicU64,
}

impl File for Nothing {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.len.load(Ordering::Relaxed).saturating_sub(offset);
        let count = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        buffer.iter_mut().take(count).for_each(|byte| *byte = 0);
        Ok(count)
    }

    fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<usize> {
        self.len.fetch_max(offset + buffer.len() as u64, Ordering::Relaxed);
        Ok(buffer.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.len.store(len, Ordering::Relaxed);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.len.load(Ordering::Relaxed))
    }

    fn map(&self, len: u64) -> io::Result<Bytes> {
        Ok(Bytes::from(vec![0; usize::try_from(len).map_err(io::Error::other)?]))
    }
}
