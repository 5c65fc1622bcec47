//! The operating system's files behind the seam.
//!
//! What this file keeps: files have mode 0600 and folders 0700 whatever the umask; no descriptor
//! is passed on to a program that the process starts; a symbolic link, a pipe or a device in the
//! place of a file is refused; a call that a signal interrupted is made again, and none that failed
//! for another reason.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
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

    fn resolve(&self, path: &Path) -> PathBuf {
        fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
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

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        retry_interrupted(|| fs::remove_dir(path))
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

    fn space_available(&self, folder: &Path) -> io::Result<u64> {
        // A folder that is not there yet will be on the file system of the first one above it that is.
        let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(folder);
        let found = rustix::fs::statvfs(there)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
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

/// What stands at `path`, a link followed: an operator may link to a folder on another disk. A link
/// that leads nowhere stands for itself, so that nothing that blocks a name is reported as missing.
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

    fn unbuffered(&self) -> Option<Arc<dyn File>> {
        // The file is opened once more by what it is and not by its name, which may be another file's by now.
        let itself = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::DIRECT;
        let opened = retry_on_intr(|| rustix::fs::open(itself.as_str(), flags, Mode::empty())).ok()?;
        Some(Arc::new(OsFile { file: fs::File::from(opened) }))
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::child_process::{child_test, folder_from_parent};
    use super::super::{read_exact_at, write_all_at};
    use super::*;

    fn mode_of(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & MODE_BITS
    }

    #[test]
    fn what_is_written_by_position_is_read_back_by_position() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let file = OsStorage.open(&path, OpenMode::CreateNew).unwrap();
        write_all_at(file.as_ref(), b"behind", 4096).unwrap();
        write_all_at(file.as_ref(), b"front", 0).unwrap();
        file.sync_data().unwrap();
        file.sync_all().unwrap();
        assert_eq!(file.len().unwrap(), 4102);
        let again = OsStorage.open(&path, OpenMode::Read).unwrap();
        let mut bytes = [0xff; 8];
        read_exact_at(again.as_ref(), &mut bytes, 4094).unwrap();
        assert_eq!(&bytes, b"\0\0behind");
        assert_eq!(again.read_at(&mut bytes, 4102).unwrap(), 0, "the end of the file");
        assert!(again.write_at(b"x", 0).is_err(), "opened for reading");
    }

    #[test]
    fn a_length_that_is_set_adds_zeros_or_cuts() {
        let folder = tempfile::tempdir().unwrap();
        let file = OsStorage.open(&folder.path().join("file"), OpenMode::CreateNew).unwrap();
        write_all_at(file.as_ref(), b"abc", 0).unwrap();
        file.set_len(6).unwrap();
        assert_eq!(&file.map(6).unwrap()[..], b"abc\0\0\0");
        file.set_len(1).unwrap();
        assert_eq!(file.map(2).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_missing_file_and_one_that_is_there_keep_their_kinds_of_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for mode in [OpenMode::Read, OpenMode::ReadWrite] {
            assert_eq!(OsStorage.open(&path, mode).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
        assert_eq!(OsStorage.remove_file(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(OsStorage.list(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(OsStorage.sync_dir(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(OsStorage.stat(&path).unwrap(), None);
        OsStorage.open(&path, OpenMode::CreateNew).unwrap();
        assert_eq!(OsStorage.open(&path, OpenMode::CreateNew).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(OsStorage.create_dir(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(mode_of(&path), 0o600, "a refused folder leaves the file as it was");
    }

    #[test]
    fn an_existing_folder_is_not_touched_by_a_refused_creation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("folder");
        OsStorage.create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
        assert_eq!(OsStorage.create_dir(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(mode_of(&path), 0o750);
    }

    #[test]
    fn a_link_or_a_pipe_or_a_folder_in_the_place_of_a_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        OsStorage.open(&target, OpenMode::CreateNew).unwrap();
        let link = folder.path().join("link");
        symlink(&target, &link).unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, Mode::from_raw_mode(0o600)).unwrap();
        for mode in [OpenMode::Read, OpenMode::ReadWrite] {
            assert_eq!(OsStorage.open(&link, mode).unwrap_err().raw_os_error(), Some(Errno::LOOP.raw_os_error()));
            assert_eq!(OsStorage.open(&pipe, mode).unwrap_err().kind(), io::ErrorKind::InvalidInput);
            assert_eq!(OsStorage.open(folder.path(), mode).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        }
        assert_eq!(OsStorage.open(&link, OpenMode::CreateNew).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_link_to_a_folder_counts_as_a_folder_and_one_to_nowhere_is_not_missing() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        OsStorage.create_dir(&target).unwrap();
        let link = folder.path().join("link");
        symlink(&target, &link).unwrap();
        assert!(OsStorage.stat(&link).unwrap().unwrap().is_dir);
        fs::remove_dir(&target).unwrap();
        let found = OsStorage.stat(&link).unwrap().unwrap();
        assert!(!found.is_dir);
        assert_eq!(found.name, "link");
    }

    #[test]
    fn a_folder_is_listed_by_name_with_kinds_and_lengths() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["00000002.seg", "MANIFEST", "00000001.seg"] {
            write_all_at(OsStorage.open(&folder.path().join(name), OpenMode::CreateNew).unwrap().as_ref(), name.as_bytes(), 0).unwrap();
        }
        OsStorage.create_dir(&folder.path().join("markers")).unwrap();
        let expected = [("00000001.seg", false, 12), ("00000002.seg", false, 12), ("MANIFEST", false, 8), ("markers", true, 0)];
        let expected: Vec<_> = expected.into_iter().map(|(name, is_dir, len)| DirEntry { name: name.to_owned(), is_dir, len }).collect();
        assert_eq!(OsStorage.list(folder.path()).unwrap(), expected);
        assert_eq!(OsStorage.stat(&folder.path().join("MANIFEST")).unwrap().as_ref(), expected.get(2));
    }

    #[test]
    fn a_rename_replaces_what_stood_there() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        for path in [&from, &to] {
            let file = OsStorage.open(path, OpenMode::CreateNew).unwrap();
            write_all_at(file.as_ref(), path.file_name().unwrap().as_encoded_bytes(), 0).unwrap();
        }
        OsStorage.rename(&from, &to).unwrap();
        OsStorage.sync_dir(folder.path()).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"from");
        assert_eq!(OsStorage.stat(&from).unwrap(), None);
    }

    #[test]
    fn no_descriptor_is_passed_on_to_a_program() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for mode in [OpenMode::CreateNew, OpenMode::Read, OpenMode::ReadWrite] {
            let file = open_file(&path, mode).unwrap();
            assert!(rustix::io::fcntl_getfd(&file).unwrap().contains(rustix::io::FdFlags::CLOEXEC), "{mode:?}");
        }
    }

    #[test]
    fn files_are_0600_and_folders_0700_under_every_umask() {
        let folder = tempfile::tempdir().unwrap();
        let output = child_test("io::os::tests::modes_under_changing_umasks", folder.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), UMASKS.len(), "the child did its work");
    }

    const UMASKS: [u32; 5] = [0o000, 0o022, 0o077, 0o277, 0o777];

    /// In a process of its own, because the umask belongs to the whole process.
    #[test]
    #[ignore = "runs in a child process"]
    fn modes_under_changing_umasks() {
        let Some(folder) = folder_from_parent() else { return };
        for umask in UMASKS {
            rustix::process::umask(Mode::from_raw_mode(umask));
            let inner = folder.join(format!("{umask:03o}"));
            OsStorage.create_dir(&inner).unwrap();
            let (file, locked) = (inner.join("file"), inner.join("LOCK"));
            OsStorage.open(&file, OpenMode::CreateNew).unwrap();
            drop(OsStorage.lock(&locked).unwrap().unwrap());
            assert_eq!((mode_of(&inner), mode_of(&file), mode_of(&locked)), (0o700, 0o600, 0o600), "under umask {umask:03o}");
        }
    }
}
