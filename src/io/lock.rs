//! The writer's lock of a folder, and the question whether somebody holds it.
//!
//! The lock is `flock` on a file that is never removed. It belongs to the open file and not to the
//! process: a second store in the same process is refused like one in another process, and the
//! operating system releases it when the process ends, however it ends.
//!
//! Whether it is held is read from `/proc/locks`, where a reader disturbs nobody. A line there that
//! names the file is proof that the lock is held. That there is no such line is proof of the
//! opposite only where the table can be trusted to be complete:
//!
//! - it shows the locks of one process namespace, so that in a container the writer of another one is not in it;
//! - it names the device of the file system, and on some (btrfs, overlayfs) `stat` answers another one;
//! - it is one moment of the table only if one read gave all of it.
//!
//! Where it cannot be trusted, or not be read, a shared lock is asked for without waiting and given
//! back at once. That is second best because for a few microseconds it stands in the way of a writer
//! that begins just then; [`take`] therefore asks again for some milliseconds before it believes that
//! there is another writer, unless the table shows one.

use std::any::Any;
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::io::{Errno, retry_on_intr};

use super::OpenMode;
use super::os::open_file;

/// How often a refused lock is asked for, in case only a probe stood in the way.
const REFUSALS_MAX: u32 = 10;
/// The time between two of these.
const REFUSAL_PAUSE: Duration = Duration::from_millis(1);
/// How often the lock file may be found replaced while it is being locked.
const REPLACEMENTS_MAX: u32 = 16;
/// Most bytes of `/proc/locks` that are looked at.
const LOCK_TABLE_LEN_MAX: usize = 16 << 20;

/// A lock that is held until this value is dropped.
#[must_use = "the lock is released when this value is dropped"]
pub struct Lock {
    _guard: Box<dyn Any + Send + Sync>,
}

impl Lock {
    /// A lock that is held for as long as `guard` lives: what a [`super::Storage`] answers.
    pub fn new(guard: impl Any + Send + Sync) -> Self {
        Self { _guard: Box::new(guard) }
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Lock").finish_non_exhaustive()
    }
}

/// Whether a writer holds a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockState {
    /// No writer holds it.
    Free,
    /// A writer holds it.
    Held,
}

/// The open file that a lock of the operating system belongs to.
struct LockedFile {
    file: fs::File,
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        // Closing alone would leave the lock with a child process that was forked a moment ago and
        // still shares the open file. If this fails, closing remains.
        let _ = retry_on_intr(|| rustix::fs::flock(&self.file, FlockOperation::Unlock));
    }
}

/// Takes the writer's lock at `path`, creating the file if it is missing.
///
/// # Errors
/// What the operating system reports; a lock that somebody else holds is `Ok(None)`.
pub(super) fn take(path: &Path) -> io::Result<Option<Lock>> {
    for _ in 0..REPLACEMENTS_MAX {
        let file = match open_file(path, OpenMode::ReadWrite) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => match open_file(path, OpenMode::CreateNew) {
                // Somebody else created it in between: it can be opened now.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                created => created?,
            },
            opened => opened?,
        };
        let id = FileId::of(&file.metadata()?);
        if !take_exclusive(&file, id)? {
            return Ok(None);
        }
        // The name may lead to another file by now, which somebody else can lock: a lock on a file
        // without its name guards nothing.
        let locked = LockedFile { file };
        match fs::symlink_metadata(path) {
            Ok(found) if FileId::of(&found) == id => return Ok(Some(Lock::new(locked))),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Err(io::Error::other("the lock file was replaced again and again while it was being locked"))
}

/// Locks `file` for one writer; false where there is another.
fn take_exclusive(file: &fs::File, id: FileId) -> io::Result<bool> {
    for _ in 0..REFUSALS_MAX {
        if flock_now(file, FlockOperation::NonBlockingLockExclusive)? {
            return Ok(true);
        }
        if LockTable::read().is_ok_and(|table| table.shows_writer_of(id)) {
            return Ok(false);
        }
        thread::sleep(REFUSAL_PAUSE);
    }
    Ok(false)
}

/// Whether a writer holds the lock at `path`.
///
/// # Errors
/// What the operating system reports; a missing file is [`LockState::Free`].
pub(super) fn look(path: &Path) -> io::Result<LockState> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(LockState::Free),
        other => other?,
    };
    if found.is_file()
        && let Ok(table) = LockTable::read()
    {
        if table.shows_writer_of(FileId::of(&found)) {
            return Ok(LockState::Held);
        }
        if table.is_one_moment && shows_all_processes() && names_the_device_that_stat_answers(path) {
            return Ok(LockState::Free);
        }
    }
    probe(path)
}

/// Asks for the lock, shared and without waiting, and gives it back at once.
fn probe(path: &Path) -> io::Result<LockState> {
    let file = match open_file(path, OpenMode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(LockState::Free),
        other => other?,
    };
    if flock_now(&file, FlockOperation::NonBlockingLockShared)? {
        drop(LockedFile { file });
        return Ok(LockState::Free);
    }
    Ok(LockState::Held)
}

/// Asks for a lock without waiting; false where somebody else's stands in the way.
fn flock_now(file: &fs::File, operation: FlockOperation) -> io::Result<bool> {
    match retry_on_intr(|| rustix::fs::flock(file, operation)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(found: &fs::Metadata) -> Self {
        Self { device: found.dev(), inode: found.ino() }
    }
}

/// The operating system's table of locks.
struct LockTable {
    text: String,
    /// Whether one read gave all of it; of several reads each shows another moment.
    is_one_moment: bool,
}

impl LockTable {
    fn read() -> io::Result<Self> {
        let mut file = fs::File::open("/proc/locks")?;
        let mut text = Vec::new();
        let mut chunk = vec![0; 64 << 10];
        let mut reads = 0;
        while text.len() < LOCK_TABLE_LEN_MAX {
            let len = match file.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if len == 0 {
                break;
            }
            text.extend_from_slice(chunk.get(..len).unwrap_or_default());
            reads += 1;
        }
        Ok(Self { text: String::from_utf8_lossy(&text).into_owned(), is_one_moment: reads <= 1 })
    }

    fn shows_writer_of(&self, file: FileId) -> bool {
        let name = format!("{:02x}:{:02x}:{}", rustix::fs::major(file.device), rustix::fs::minor(file.device), file.inode);
        self.text.lines().any(|line| writer_in(line) == Some(name.as_str()))
    }
}

/// The file that a line of the table says is locked for one writer, as `major:minor:inode`, the device in
/// hexadecimal and the inode in decimal digits.
///
/// A line such as `1: FLOCK  ADVISORY  WRITE 4422 fe:00:5324859 0 EOF` is a lock that is held. With
/// `->` in its second place it is somebody who waits for one.
fn writer_in(line: &str) -> Option<&str> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let is_writer = words.next()? == "FLOCK" && words.next()? == "ADVISORY" && words.next()? == "WRITE";
    let file = words.nth(1)?;
    is_writer.then_some(file)
}

/// Whether the table shows the locks of every process: only in the first process namespace it does.
fn shows_all_processes() -> bool {
    // The number of the first namespace is fixed in the kernel. A `/proc` of another namespace than our own
    // has no `self` to ask, so that the answer holds for the table as well.
    fs::read_link("/proc/self/ns/pid").is_ok_and(|link| link.as_os_str() == "pid:[4026531836]")
}

/// Whether the file system is known to have one device number for `stat` and for the table.
#[cfg(target_os = "linux")]
fn names_the_device_that_stat_answers(path: &Path) -> bool {
    const EXT: u64 = 0xef53;
    const XFS: u64 = 0x5846_5342;
    const F2FS: u64 = 0xf2f5_2010;
    const TMPFS: u64 = 0x0102_1994;
    rustix::fs::statfs(path)
        .is_ok_and(|found| u64::try_from(found.f_type).is_ok_and(|file_system| [EXT, XFS, F2FS, TMPFS].contains(&file_system)))
}

#[cfg(not(target_os = "linux"))]
fn names_the_device_that_stat_answers(_path: &Path) -> bool {
    false
}
