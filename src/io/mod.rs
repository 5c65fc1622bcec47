//! The seam under all file access.
//!
//! The engine reaches files through [`Storage`] and [`File`] and nowhere else, so that a simulated
//! disk can take the place of the operating system. The seam is small on purpose: whole-file
//! operations by path, positional reads and writes by handle, and the two syncs that durability
//! rests on. It knows nothing of entries.
//!
//! Errors at this level are [`std::io::Error`]; the rooms above add the file, the offset and what
//! to do. A failed write or sync is reported once and never retried here.

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

#[cfg(test)]
mod child_process;
#[cfg(test)]
#[path = "../../tests/support/faulty_storage.rs"]
#[allow(dead_code, reason = "each test uses a part of it")]
pub(crate) mod faulty_storage;
mod lock;
mod mmap;
mod os;
mod path_ops;
#[cfg(test)]
mod scripted;

pub use lock::{Lock, LockState};
pub use mmap::Image;
pub use os::OsStorage;
pub(crate) use path_ops::{StepError, create_dir_all_synced, read_exact_at, read_whole, replace_file, write_all_at};

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading. The file must exist.
    Read,
    /// For reading and writing. The file must exist.
    ReadWrite,
    /// For reading and writing. The file must not exist; it is created with mode 0600.
    CreateNew,
}

/// What stands in a folder under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// The name, without the folder. Names that are not UTF-8 come out with replacement characters.
    pub name: String,
    /// Whether it is a folder.
    pub is_dir: bool,
    /// Its length in bytes; zero for a folder.
    pub len: u64,
}

/// Everything that the engine does to files and folders by path.
pub trait Storage: Send + Sync + Debug {
    /// Opens a file.
    ///
    /// # Errors
    /// What the operating system reports; `NotFound` and `AlreadyExists` keep their kinds.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;

    /// The entries of a folder, sorted by name.
    ///
    /// # Errors
    /// `NotFound` where there is no such folder.
    fn list(&self, folder: &Path) -> io::Result<Vec<DirEntry>>;

    /// Whether something stands at `path`, and what.
    ///
    /// # Errors
    /// What the operating system reports; a missing path is `Ok(None)`.
    fn stat(&self, path: &Path) -> io::Result<Option<DirEntry>>;

    /// The path by which `path` is known: without `.`, `..` and links. A path that leads nowhere, or in a storage that
    /// has no links, is given back as it is.
    fn resolve(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }

    /// Creates one folder with mode 0700, whatever the umask. Its parent must exist.
    ///
    /// # Errors
    /// `AlreadyExists` where something stands at `path`.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Removes a folder in which nothing stands.
    ///
    /// # Errors
    /// What the operating system reports: a missing folder is `NotFound`, one that is not empty is an
    /// error too.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Renames a file within a folder, replacing what stands at `to`.
    ///
    /// # Errors
    /// What the operating system reports.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the operating system reports; a missing file is `NotFound`.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// What the operating system reports. A failed folder sync is final: callers latch.
    fn sync_dir(&self, folder: &Path) -> io::Result<()>;

    /// Takes the writer's lock of a folder without waiting, creating `path` if it is missing.
    ///
    /// The lock is held until the returned value is dropped, also by the end of the process. The
    /// file is never removed.
    ///
    /// # Errors
    /// What the operating system reports; a lock that somebody else holds is `Ok(None)`.
    fn lock(&self, path: &Path) -> io::Result<Option<Lock>>;

    /// Sixteen bytes that no other run has: at random, unless a simulation decides them.
    fn unique_id(&self) -> [u8; 16] {
        *uuid::Uuid::new_v4().as_bytes()
    }

    /// The bytes that can still be written to the file system of `folder`, which need not exist yet; as many as there
    /// are numbers for where that is not known.
    ///
    /// # Errors
    /// What the operating system reports.
    fn space_available(&self, folder: &Path) -> io::Result<u64> {
        let _ = folder;
        Ok(u64::MAX)
    }

    /// Whether a writer holds the lock of a folder, learned without taking the writer's lock and
    /// without refusing it to anybody.
    ///
    /// # Errors
    /// What the operating system reports; a missing file is [`LockState::Free`].
    fn lock_state(&self, path: &Path) -> io::Result<LockState>;
}

/// An open file, read and written by position.
#[expect(clippy::len_without_is_empty, reason = "to ask the operating system for a length is no question of emptiness")]
pub trait File: Send + Sync + Debug {
    /// Reads into `buffer` from `offset`; zero bytes mean the end of the file. May read less than asked.
    ///
    /// # Errors
    /// What the operating system reports.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes from `buffer` at `offset`. May write less than given.
    ///
    /// # Errors
    /// What the operating system reports; a file size limit is an error and not a signal where the
    /// process ignores `SIGXFSZ`.
    fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<usize>;

    /// The same file for writes that go past the page cache, where the storage can: for bytes that nobody reads soon.
    ///
    /// Offsets, lengths and the memory that is written from have to be multiples of 4096; what does not suit the file
    /// system is `InvalidInput`, with nothing written. What is written so still has to be synced.
    fn unbuffered(&self) -> Option<Arc<dyn File>> {
        None
    }

    /// Makes the file's bytes durable, and its length where it changed.
    ///
    /// # Errors
    /// What the operating system reports. After an error, what was written since the last good
    /// sync is undefined for ever: callers latch and do not try again.
    fn sync_data(&self) -> io::Result<()>;

    /// Makes the file's bytes and all of its metadata durable.
    ///
    /// # Errors
    /// As [`File::sync_data`].
    fn sync_all(&self) -> io::Result<()>;

    /// Sets the file's length; what is added reads as zeros.
    ///
    /// # Errors
    /// What the operating system reports.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// The file's length in bytes.
    ///
    /// # Errors
    /// What the operating system reports.
    fn len(&self) -> io::Result<u64>;

    /// The first `len` bytes of the file as shared memory, mapped where the storage can.
    ///
    /// Only for files that nobody writes or cuts any more: a file cut short under a map is a
    /// signal (`SIGBUS`) and not an error.
    ///
    /// # Errors
    /// `UnexpectedEof` where the file is shorter than `len`.
    fn map(&self, len: u64) -> io::Result<Bytes>;
}
