//! The operating system's files behind the seam.
//!
//! What this file keeps: files have mode 0600 and folders 0700 whatever the umask; no descriptor
//! is passed on to a program that the process starts; a symbolic link, a pipe or a device in the place of a file is
//! refused; a call that a signal interrupted is made again, and no other failure is.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use super::lock::{self, Lock, LockState};
use super::mmap::map_file;
use super::{DirEntry, File, OpenMode, Storage};

const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;
/// The bits of `st_mode` that a mode sets: permissions, set-id and sticky.
const MODE_BITS: u32 = 0o7777;

/// The files and folders of the operating system.
#[derive(Debug, Default, Clone)]
pub struct OsStorage;

impl Storage for OsStorage {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(OsFile { file: open_file(path, mode)? }))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            // What was renamed or removed since the folder was read is no longer an entry of it.
            if let Some(found) = what_stands_at(&entry.path())? {
                entries.push(DirEntry { name: entry.file_name().to_string_lossy().into_owned(), ..found });
            }
        }
        entries.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(entries)
    }

    fn stat(&self, path: &Path) -> io::Result<Option<DirEntry>> {
        what_stands_at(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        retry_interrupted(|| fs::DirBuilder::new().mode(FOLDER_MODE).create(path))?;
        let settled = fs::symlink_metadata(path).and_then(|found| {
            if found.mode() & MODE_BITS == FOLDER_MODE {
                return Ok(());
            }
            retry_interrupted(|| fs::set_permissions(path, fs::Permissions::from_mode(FOLDER_MODE)))
        });
        if settled.is_err() {
            // A folder with another mode than promised is worse than none; what counts is the error.
            let _ = fs::remove_dir(path);
        }
        settled
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        retry_interrupted(|| fs::rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        retry_interrupted(|| fs::remove_file(path))
    }

    fn sync_dir(&self, folder: &Path) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = retry_on_intr(|| rustix::fs::open(folder, flags, Mode::empty()))?;
        fs::File::from(opened).sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        lock::take(path)
    }

    fn lock_state(&self, path: &Path) -> io::Result<LockState> {
        lock::look(path)
    }
}

/// Opens a regular file and nothing else.
pub(super) fn open_file(path: &Path, mode: OpenMode) -> io::Result<fs::File> {
    let access = match mode {
        OpenMode::Read => OFlags::RDONLY,
        OpenMode::ReadWrite => OFlags::RDWR,
        OpenMode::CreateNew => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
    };
    // Not to block means nothing for a regular file; without it, opening a pipe that somebody put
    // in the place of a file would wait for ever.
    let flags = access | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = retry_on_intr(|| rustix::fs::open(path, flags, Mode::from_raw_mode(FILE_MODE)))?;
    let stat = rustix::fs::fstat(&opened)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(Errno::ISDIR.into()),
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
    if mode == OpenMode::CreateNew
        && stat.st_mode & MODE_BITS != FILE_MODE
        && let Err(error) = set_file_mode(&opened)
    {
        // A file with another mode than promised is worse than none; what counts is the error.
        let _ = fs::remove_file(path);
        return Err(error);
    }
    Ok(fs::File::from(opened))
}

fn set_file_mode(file: &OwnedFd) -> io::Result<()> {
    Ok(retry_on_intr(|| rustix::fs::fchmod(file.as_fd(), Mode::from_raw_mode(FILE_MODE)))?)
}

/// What stands at `path`, a link followed: an operator may link to a folder on another disk. A link that leads nowhere
/// stands for itself, so that nothing that blocks a name is reported as missing.
fn what_stands_at(path: &Path) -> io::Result<Option<DirEntry>> {
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        },
        other => other?,
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_dir = found.is_dir();
    Ok(Some(DirEntry { name, is_dir, len: if is_dir { 0 } else { found.len() } }))
}

fn retry_interrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// An open file of the operating system.
#[derive(Debug)]
struct OsFile {
    file: fs::File,
}

impl File for OsFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(retry_on_intr(|| rustix::io::pread(&self.file, &mut *buffer, offset))?)
    }

    fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<usize> {
        Ok(retry_on_intr(|| rustix::io::pwrite(&self.file, buffer, offset))?)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn map(&self, len: u64) -> io::Result<Bytes> {
        map_file(&self.file, len)
    }
}
