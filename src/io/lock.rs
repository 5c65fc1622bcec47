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
//! - it shows the locks of one process namespace: a writer outside of a container is not in the
//!   table that is seen inside;
//! - it names the device of the file system, and on some (btrfs, overlayfs) `stat` answers another;
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

/// The file that a line of the table says is locked for one writer, as `major:minor:inode`, the
/// device in hexadecimal and the inode in decimal digits.
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
    // The number of the first namespace is fixed in the kernel. A `/proc` of a namespace below it has
    // no `self` for a process of the first, so that the answer holds for the table as well.
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

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Stdio};
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::child_process::{child_test, folder_from_parent};
    use super::*;

    const NAME: &str = "LOCK";

    #[test]
    fn a_held_lock_is_refused_to_a_second_store_of_the_same_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let held = take(&path).unwrap().unwrap();
        assert!(take(&path).unwrap().is_none());
        assert_eq!(look(&path).unwrap(), LockState::Held);
        drop(held);
        assert_eq!(look(&path).unwrap(), LockState::Free);
        assert!(path.exists(), "the file is never removed");
        assert!(take(&path).unwrap().is_some());
    }

    #[test]
    fn a_lock_file_that_was_there_is_neither_cut_nor_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        fs::write(&path, b"what an operator noted").unwrap();
        let before = fs::metadata(&path).unwrap();
        drop(take(&path).unwrap().unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"what an operator noted");
        assert_eq!(fs::metadata(&path).unwrap().mode(), before.mode());
    }

    #[test]
    fn a_missing_lock_file_is_free_and_is_not_made_by_asking() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        assert_eq!(look(&path).unwrap(), LockState::Free);
        assert_eq!(probe(&path).unwrap(), LockState::Free);
        assert!(!path.exists());
    }

    #[test]
    fn a_link_in_the_place_of_the_lock_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        fs::write(folder.path().join("target"), b"").unwrap();
        std::os::unix::fs::symlink(folder.path().join("target"), &path).unwrap();
        assert!(take(&path).is_err());
        assert!(look(&path).is_err());
    }

    #[test]
    fn a_lock_guards_the_name_and_not_a_file_that_lost_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let old = take(&path).unwrap().unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(look(&path).unwrap(), LockState::Free);
        let new = take(&path).unwrap().unwrap();
        drop(old);
        assert_eq!(look(&path).unwrap(), LockState::Held, "the old file's release is not the new one's");
        drop(new);
    }

    /// Between opening the file and locking it, an operator replaces it over and over.
    #[test]
    fn a_lock_file_that_is_replaced_over_and_over_makes_nobody_hang() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let fresh = folder.path().join("fresh");
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    fs::write(&fresh, b"").unwrap();
                    fs::rename(&fresh, &path).unwrap();
                }
            });
            for _ in 0..200 {
                // To be told that it was replaced too often is an honest answer.
                drop(take(&path));
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert!(take(&path).unwrap().is_some());
    }

    #[test]
    fn asking_never_refuses_the_lock_to_a_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        drop(take(&path).unwrap());
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for ask in [look, probe] {
                let (path, stop) = (&path, &stop);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        ask(path).unwrap();
                        // Followers ask a few times a second; this is far more often.
                        thread::sleep(Duration::from_micros(50));
                    }
                });
            }
            for round in 0..300 {
                let held = take(&path).unwrap();
                assert!(held.is_some(), "refused in round {round}");
                assert_eq!(look(&path).unwrap(), LockState::Held);
                assert_eq!(probe(&path).unwrap(), LockState::Held);
            }
            stop.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    fn a_probe_in_the_way_of_a_writer_is_waited_out_and_a_lasting_reader_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        drop(take(&path).unwrap());
        let reader = LockedFile { file: open_file(&path, OpenMode::Read).unwrap() };
        assert!(flock_now(&reader.file, FlockOperation::NonBlockingLockShared).unwrap());
        assert_eq!(look(&path).unwrap(), LockState::Free, "a shared lock is no writer");
        assert!(take(&path).unwrap().is_none());
        thread::scope(|scope| {
            scope.spawn(move || {
                thread::sleep(REFUSAL_PAUSE * 2);
                drop(reader);
            });
            assert!(take(&path).unwrap().is_some());
        });
    }

    #[test]
    fn a_lock_of_another_storage_lives_as_long_as_its_guard() {
        let guard = std::sync::Arc::new(());
        let lock = Lock::new(std::sync::Arc::clone(&guard));
        assert_eq!(std::sync::Arc::strong_count(&guard), 2);
        drop(lock);
        assert_eq!(std::sync::Arc::strong_count(&guard), 1);
    }

    /// A child process that holds the lock; it lets go and ends when its input is closed.
    fn holding_child(folder: &Path) -> Child {
        let mut command = child_test("io::lock::tests::hold_the_lock", folder);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "held\n");
        child
    }

    #[test]
    #[ignore = "runs in a child process"]
    fn hold_the_lock() {
        let Some(folder) = folder_from_parent() else { return };
        let held = take(&folder.join(NAME)).unwrap().unwrap();
        eprintln!("held");
        io::stdin().read_to_end(&mut Vec::new()).unwrap();
        drop(held);
    }

    #[test]
    fn a_lock_of_another_process_is_refused_and_seen_and_undisturbed_by_being_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let mut child = holding_child(folder.path());
        for _ in 0..20 {
            assert_eq!(look(&path).unwrap(), LockState::Held);
            assert_eq!(probe(&path).unwrap(), LockState::Held);
        }
        assert!(take(&path).unwrap().is_none());
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
        assert_eq!(look(&path).unwrap(), LockState::Free);
        assert!(take(&path).unwrap().is_some());
    }

    #[test]
    fn a_killed_process_leaves_its_lock_free() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let mut child = holding_child(folder.path());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(look(&path).unwrap(), LockState::Free);
        assert!(take(&path).unwrap().is_some());
    }

    /// The kernel gives a page of the table at a time, and locks come and go between two pages.
    #[test]
    fn a_table_of_many_locks_hides_none() {
        let folder = tempfile::tempdir().unwrap();
        let held: Vec<_> = (0..150).map(|at| take(&folder.path().join(format!("{NAME}{at}"))).unwrap().unwrap()).collect();
        let free = folder.path().join(NAME);
        drop(take(&free).unwrap());
        for at in 0..held.len() {
            assert_eq!(look(&folder.path().join(format!("{NAME}{at}"))).unwrap(), LockState::Held);
        }
        assert_eq!(look(&free).unwrap(), LockState::Free);
    }

    #[test]
    fn of_the_table_only_exclusive_flocks_that_are_held_count() {
        let table = |text: &str| LockTable { text: text.to_owned(), is_one_moment: true };
        let file = FileId { device: rustix::fs::makedev(0xfe, 0), inode: 5_324_859 };
        for line in [
            "1: FLOCK  ADVISORY  WRITE 4422 fe:00:5324859 0 EOF",
            "12: POSIX  ADVISORY  READ 1 fe:00:1 0 EOF\n13: FLOCK  ADVISORY  WRITE -1 fe:00:5324859 0 EOF\n",
        ] {
            assert!(table(line).shows_writer_of(file), "{line}");
        }
        for line in [
            "",
            "1: FLOCK  ADVISORY  READ 4422 fe:00:5324859 0 EOF",
            "1: -> FLOCK  ADVISORY  WRITE 4422 fe:00:5324859 0 EOF",
            "1: POSIX  ADVISORY  WRITE 4422 fe:00:5324859 0 EOF",
            "1: OFDLCK ADVISORY  WRITE -1 fe:00:5324859 0 EOF",
            "1: FLOCK  ADVISORY  WRITE 4422 fe:01:5324859 0 EOF",
            "1: FLOCK  ADVISORY  WRITE 4422 fe:00:53248590 0 EOF",
            "1: FLOCK  ADVISORY  WRITE 5324859 <none>:0 0 EOF",
            "1: FLOCK  ADVISORY  WRITE 4422",
            "fe:00:5324859",
        ] {
            assert!(!table(line).shows_writer_of(file), "{line}");
        }
    }

    #[test]
    fn a_device_is_written_in_hexadecimal_and_an_inode_in_decimal_digits() {
        let file = FileId { device: rustix::fs::makedev(0x103, 0xa), inode: 100 };
        let line = "1: FLOCK  ADVISORY  WRITE 1 103:0a:100 0 EOF".to_owned();
        assert!(LockTable { text: line, is_one_moment: true }.shows_writer_of(file));
    }
}
