//! What every room does with files, built on the seam: whole reads and writes, the atomic replace
//! of a file, and folders that are durable when they are used.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::{File, OpenMode, Storage};
use crate::error::EventStoreError;
use crate::limits::READ_CHUNK_LEN;
use crate::seeded_bug::{SeededBug, unless};

/// The step of an operation that failed, and where.
#[derive(Debug)]
pub(crate) struct StepError {
    step: Step,
    path: PathBuf,
    error: io::Error,
}

/// What was being done. Its text fits behind "cannot" and before a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Look,
    CreateFolder,
    RemoveLeftover,
    Create,
    Write,
    Sync,
    Rename,
    SyncFolder,
}

impl StepError {
    /// What was being done, in words.
    pub(crate) fn doing(&self) -> &'static str {
        match self.step {
            Step::Look => "look at",
            Step::CreateFolder => "create the folder",
            Step::RemoveLeftover => "remove the leftover",
            Step::Create => "create",
            Step::Write => "write",
            Step::Sync => "sync",
            Step::Rename => "rename a finished file to",
            Step::SyncFolder => "sync the folder",
        }
    }

    /// The file or folder that it was done to.
    #[cfg(test)]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What the storage reported.
    #[cfg(test)]
    pub(crate) fn error(&self) -> &io::Error {
        &self.error
    }

    /// Whether it was the sync of a folder that failed: then it is unknown for ever which names are
    /// durable, and the caller latches.
    pub(crate) fn is_folder_sync(&self) -> bool {
        self.step == Step::SyncFolder
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "cannot {} {}: {}", self.doing(), self.path.display(), self.error)
    }
}

impl std::error::Error for StepError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<StepError> for EventStoreError {
    fn from(failed: StepError) -> Self {
        Self::from_io(failed.doing(), &failed.path, &failed.error)
    }
}

/// Names the step and the path of an error.
fn at(step: Step, path: &Path) -> impl FnOnce(io::Error) -> StepError {
    move |error| StepError { step, path: path.to_owned(), error }
}

/// Writes all of `bytes` at `offset`, in as many writes as it takes.
///
/// # Errors
/// What the storage reports; `WriteZero` where it takes no more bytes and says nothing.
pub(crate) fn write_all_at(file: &dyn File, bytes: &[u8], offset: u64) -> io::Result<()> {
    let mut rest = bytes;
    let mut at = offset;
    while !rest.is_empty() {
        let len = match file.write_at(rest, at) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        if len == 0 {
            return Err(io::Error::new(io::ErrorKind::WriteZero, format!("the file takes no more bytes at offset {at}")));
        }
        rest = if SeededBug::ShortWriteBelieved.is_on() { &[] } else { rest.get(len..).ok_or_else(more_than_asked)? };
        at = advance(at, len)?;
    }
    Ok(())
}

/// Fills all of `buffer` from `offset`, in as many reads as it takes.
///
/// # Errors
/// What the storage reports; `UnexpectedEof` where the file ends before.
pub(crate) fn read_exact_at(file: &dyn File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    let mut rest = buffer;
    let mut at = offset;
    while !rest.is_empty() {
        let len = read_some(file, rest, at)?;
        if len == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the file ends at offset {at}, {} bytes too early", rest.len()),
            ));
        }
        rest = rest.get_mut(len..).ok_or_else(more_than_asked)?;
        at = advance(at, len)?;
    }
    Ok(())
}

fn read_some(file: &dyn File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

fn advance(offset: u64, len: usize) -> io::Result<u64> {
    u64::try_from(len).ok().and_then(|len| offset.checked_add(len)).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{len} bytes from offset {offset} go over the end of all offsets"))
    })
}

fn more_than_asked() -> io::Error {
    io::Error::other("the storage answers that it moved more bytes than it was given")
}

/// All of the file at `path`, or nothing where there is none.
///
/// Memory grows with the bytes that are there: no length is believed.
///
/// # Errors
/// What the storage reports; `InvalidData` where the file is longer than `len_max`.
pub(crate) fn read_whole(storage: &dyn Storage, path: &Path, len_max: usize) -> io::Result<Option<Vec<u8>>> {
    let file = match storage.open(path, OpenMode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    // One byte more than the bound is asked for, so that a file over it is noticed.
    let mut chunk = vec![0; READ_CHUNK_LEN.min(len_max.saturating_add(1))];
    let mut bytes = Vec::new();
    let mut offset = 0;
    loop {
        let len = read_some(file.as_ref(), &mut chunk, offset)?;
        bytes.extend_from_slice(chunk.get(..len).ok_or_else(more_than_asked)?);
        if len == 0 || SeededBug::ShortReadBelieved.is_on() && len < chunk.len() {
            return Ok(Some(bytes));
        }
        if bytes.len() > len_max {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the file is longer than {len_max} bytes, the most that it may have"),
            ));
        }
        offset = advance(offset, len)?;
    }
}

/// Puts `contents` in the place of the file `name` in `folder`.
///
/// After a crash at any moment the old or the new contents are there, whole. When this returns, the
/// new ones are durable.
///
/// # Errors
/// The step that failed. After a failed sync of the folder, a power loss leaves either contents.
pub(crate) fn replace_file(storage: &dyn Storage, folder: &Path, name: &str, contents: &[u8]) -> Result<(), StepError> {
    let finished = folder.join(name);
    let unfinished = folder.join(format!("{name}.tmp"));
    match storage.remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(Step::RemoveLeftover, &unfinished)(error)),
        _ => {}
    }
    let renamed = write_new_file(storage, &unfinished, contents)
        .and_then(|()| storage.rename(&unfinished, &finished).map_err(at(Step::Rename, &finished)));
    if let Err(failed) = renamed {
        // What is left over is ignored by every reader; what counts is the first error.
        let _ = storage.remove_file(&unfinished);
        return Err(failed);
    }
    let synced = unless(SeededBug::ReplacedFolderNotSynced, || storage.sync_dir(folder));
    synced.or_else(|error| SeededBug::FolderSyncErrorIgnored.hides(error)).map_err(at(Step::SyncFolder, folder))
}

fn write_new_file(storage: &dyn Storage, path: &Path, contents: &[u8]) -> Result<(), StepError> {
    let file = storage.open(path, OpenMode::CreateNew).map_err(at(Step::Create, path))?;
    write_all_at(file.as_ref(), contents, 0).map_err(at(Step::Write, path))?;
    unless(SeededBug::ReplacedFileNotSynced, || file.sync_all()).map_err(at(Step::Sync, path))
}

/// How often the creation of folders begins anew because somebody else made one of them anew.
const CREATIONS_MAX: u32 = 8;

/// Creates the folder at `path` and every missing one above it, each durable before the next.
///
/// A folder that is there already may be the last one that an earlier call made before it was
/// killed, or before it was told that the name could not be made durable: after that no later sync
/// of the folder above says anything about the name. Only one in which nothing stands can be
/// concerned, because each is durable before anything is put into it. Below `base`, such a folder is
/// made anew; `base` itself and what is above it belong to the user, and get a sync.
///
/// # Errors
/// The step that failed; `NotADirectory` where a file stands in the way.
pub(crate) fn create_dir_all_synced(storage: &dyn Storage, base: &Path, path: &Path) -> Result<(), StepError> {
    for _ in 1..CREATIONS_MAX {
        match create_missing_dirs(storage, base, path) {
            // Somebody else took a folder away between our look and our step, to make it anew.
            Err(failed) if failed.error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
    }
    create_missing_dirs(storage, base, path)
}

fn create_missing_dirs(storage: &dyn Storage, base: &Path, path: &Path) -> Result<(), StepError> {
    let is_ours = |folder: &Path| folder != base && folder.starts_with(base);
    let mut missing = Vec::new();
    let mut taken_away = false;
    for folder in path.ancestors() {
        if folder.as_os_str().is_empty() {
            break;
        }
        match storage.stat(folder).map_err(at(Step::Look, folder))? {
            Some(found) if found.is_dir => {
                if !taken_away && is_ours(folder) && take_away_if_empty(storage, folder) {
                    taken_away = true;
                    missing.push(folder);
                    continue;
                }
                sync_parent_of_found(storage, folder)?;
                break;
            }
            Some(_) => return Err(at(Step::CreateFolder, folder)(io::ErrorKind::NotADirectory.into())),
            None => missing.push(folder),
        }
    }
    let mut made_before = false;
    for folder in missing.into_iter().rev() {
        match storage.create_dir(folder) {
            // Somebody else may be making the same folders; then whoever comes first is not done syncing.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_folder(storage, folder)? => {}
            other => other.map_err(at(Step::CreateFolder, folder))?,
        }
        let parent = parent_of(folder);
        unless(SeededBug::ParentFolderNotSynced, || storage.sync_dir(parent)).map_err(at(Step::SyncFolder, parent))?;
        if made_before && is_ours(parent) {
            // Until this folder stood in it, somebody else may have made the one above anew.
            let above = parent_of(parent);
            storage.sync_dir(above).map_err(at(Step::SyncFolder, above))?;
        }
        made_before = true;
    }
    Ok(())
}

/// Removes a folder in which nothing stands; false where something does, or where it is not ours to remove. The
/// operating system knows without a list, which a folder of many runs would make long.
fn take_away_if_empty(storage: &dyn Storage, folder: &Path) -> bool {
    !SeededBug::FoundFolderNotSynced.is_on() && storage.remove_dir(folder).is_ok()
}

fn is_folder(storage: &dyn Storage, path: &Path) -> Result<bool, StepError> {
    Ok(storage.stat(path).map_err(at(Step::Look, path))?.is_some_and(|found| found.is_dir))
}

fn sync_parent_of_found(storage: &dyn Storage, folder: &Path) -> Result<(), StepError> {
    let parent = parent_of(folder);
    match unless(SeededBug::FoundFolderNotSynced, || storage.sync_dir(parent)) {
        // A folder that this user may not open is one in which this user's run was not created.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other.map_err(at(Step::SyncFolder, parent)),
    }
}

/// The folder in which `path` is a name; the root is its own.
fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use rustix::io::Errno;

    use super::super::OsStorage;
    use super::super::faulty_storage::{FaultyStorage, OperationKind, Repeat};
    use super::super::scripted::{Moves, ScriptedFile};
    use super::*;

    fn faulty() -> FaultyStorage {
        FaultyStorage::new(Arc::new(OsStorage))
    }

    fn faulty_once(kind: OperationKind, errno: Errno) -> FaultyStorage {
        let storage = faulty();
        storage.fail_nth(kind, "", 1, errno, Repeat::Once);
        storage
    }

    fn done(storage: &FaultyStorage) -> Vec<(OperationKind, PathBuf)> {
        storage.journal().into_iter().map(|done| (done.kind, done.path)).collect()
    }

    #[test]
    fn short_writes_are_continued_where_they_ended() {
        let file = ScriptedFile::new(b"", [Moves::Bytes(1), Moves::Interrupted, Moves::Bytes(3), Moves::All]);
        write_all_at(&file, b"abcdefgh", 2).unwrap();
        assert_eq!(file.bytes(), b"\0\0abcdefgh");
        assert_eq!(file.calls(), [(2, 8), (3, 7), (3, 7), (6, 4)]);
    }

    #[test]
    fn a_write_that_takes_nothing_is_write_zero() {
        let file = ScriptedFile::new(b"", [Moves::Bytes(2), Moves::Bytes(0)]);
        let error = write_all_at(&file, b"abc", 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    }

    #[test]
    fn a_failed_write_is_reported_once_and_not_tried_again() {
        let file = ScriptedFile::new(b"", [Moves::Bytes(2), Moves::Fails(io::ErrorKind::StorageFull), Moves::All]);
        assert_eq!(write_all_at(&file, b"abc", 0).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(file.calls().len(), 2);
    }

    #[test]
    fn short_reads_are_continued_where_they_ended() {
        let file = ScriptedFile::new(b"..abcdefgh", [Moves::Bytes(3), Moves::Interrupted, Moves::Bytes(1), Moves::All]);
        let mut buffer = [0; 8];
        read_exact_at(&file, &mut buffer, 2).unwrap();
        assert_eq!(&buffer, b"abcdefgh");
        assert_eq!(file.calls(), [(2, 8), (5, 5), (5, 5), (6, 4)]);
    }

    #[test]
    fn a_file_that_ends_too_early_is_an_unexpected_end() {
        let file = ScriptedFile::new(b"abc", []);
        assert_eq!(read_exact_at(&file, &mut [0; 4], 0).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(read_exact_at(&file, &mut [0; 1], u64::MAX).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_storage_that_claims_more_bytes_than_asked_is_an_error_and_no_panic() {
        assert!(write_all_at(&ScriptedFile::new(b"", [Moves::Claims(4)]), b"abc", 0).is_err());
        assert!(read_exact_at(&ScriptedFile::new(b"abc", [Moves::Claims(4)]), &mut [0; 3], 0).is_err());
    }

    #[test]
    fn an_offset_over_the_end_of_all_offsets_is_an_error_and_no_overflow() {
        let file = ScriptedFile::new(b"", [Moves::Claims(2), Moves::Claims(1)]);
        assert_eq!(write_all_at(&file, b"abc", u64::MAX - 1).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_whole_file_is_read_up_to_its_bound_and_not_over_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert_eq!(read_whole(&OsStorage, &path, 10).unwrap(), None);
        for len in [0, 1, READ_CHUNK_LEN - 1, READ_CHUNK_LEN, READ_CHUNK_LEN + 1, 2 * READ_CHUNK_LEN + 7] {
            let contents: Vec<u8> = (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect();
            fs::write(&path, &contents).unwrap();
            assert_eq!(read_whole(&OsStorage, &path, len).unwrap(), Some(contents), "{len} bytes");
            if let Some(less) = len.checked_sub(1) {
                assert_eq!(read_whole(&OsStorage, &path, less).unwrap_err().kind(), io::ErrorKind::InvalidData, "{len} bytes");
            }
        }
    }

    #[test]
    fn a_folder_in_the_place_of_a_whole_file_is_an_error_and_not_missing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read_whole(&OsStorage, folder.path(), 10).unwrap_err().kind(), io::ErrorKind::IsADirectory);
    }

    #[test]
    fn a_replaced_file_has_the_new_contents_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        for contents in [&b"first"[..], b"", b"second, longer"] {
            replace_file(&OsStorage, folder.path(), "MANIFEST", contents).unwrap();
            assert_eq!(fs::read(folder.path().join("MANIFEST")).unwrap(), contents);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_leftover_of_an_earlier_replace_is_replaced_and_not_reused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("MANIFEST.tmp"), b"a leftover that is longer").unwrap();
        replace_file(&OsStorage, folder.path(), "MANIFEST", b"new").unwrap();
        assert_eq!(fs::read(folder.path().join("MANIFEST")).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_replaced_file_is_synced_before_its_rename_and_its_folder_after() {
        let folder = tempfile::tempdir().unwrap();
        let storage = faulty();
        replace_file(&storage, folder.path(), "MANIFEST", b"new").unwrap();
        let (finished, unfinished) = (folder.path().join("MANIFEST"), folder.path().join("MANIFEST.tmp"));
        let expected = [
            (OperationKind::Remove, unfinished.clone()),
            (OperationKind::Create, unfinished.clone()),
            (OperationKind::Write, unfinished.clone()),
            (OperationKind::SyncAll, unfinished),
            (OperationKind::Rename, finished),
            (OperationKind::SyncDir, folder.path().to_owned()),
        ];
        assert_eq!(done(&storage), expected);
    }

    #[test]
    fn a_failed_replace_names_its_step_and_keeps_the_old_file() {
        for (kind, doing, file) in [
            (OperationKind::Remove, "remove the leftover", "MANIFEST.tmp"),
            (OperationKind::Create, "create", "MANIFEST.tmp"),
            (OperationKind::Write, "write", "MANIFEST.tmp"),
            (OperationKind::SyncAll, "sync", "MANIFEST.tmp"),
            (OperationKind::Rename, "rename a finished file to", "MANIFEST"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("MANIFEST"), b"old").unwrap();
            let storage = faulty_once(kind, Errno::IO);
            let failed = replace_file(&storage, folder.path(), "MANIFEST", b"new").unwrap_err();
            assert_eq!((failed.doing(), failed.path()), (doing, folder.path().join(file).as_path()));
            assert!(!failed.is_folder_sync());
            assert_eq!(failed.error().raw_os_error(), Some(Errno::IO.raw_os_error()));
            assert_eq!(fs::read(folder.path().join("MANIFEST")).unwrap(), b"old");
            assert!(!folder.path().join("MANIFEST.tmp").exists(), "after a failed {doing}");
            let error = EventStoreError::from(failed);
            assert!(matches!(&error, EventStoreError::Disk(text) if text.contains(doing) && text.contains(file)), "{error:?}");
        }
    }

    #[test]
    fn a_failed_sync_of_the_folder_says_that_it_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let storage = faulty_once(OperationKind::SyncDir, Errno::IO);
        let failed = replace_file(&storage, folder.path(), "MANIFEST", b"new").unwrap_err();
        assert!(failed.is_folder_sync());
        assert_eq!((failed.doing(), failed.path()), ("sync the folder", folder.path()));
        assert_eq!(fs::read(folder.path().join("MANIFEST")).unwrap(), b"new", "the rename was done");
        assert_eq!(storage.count(OperationKind::SyncDir, ""), 1, "it is not tried again");
    }

    #[test]
    fn each_created_folder_is_synced_into_its_parent_before_the_next_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let storage = faulty();
        create_dir_all_synced(&storage, folder.path(), &folder.path().join("a/b/c")).unwrap();
        assert!(folder.path().join("a/b/c").is_dir());
        let expected = [
            (OperationKind::SyncDir, folder.path().parent().unwrap().to_owned()),
            (OperationKind::Create, folder.path().join("a")),
            (OperationKind::SyncDir, folder.path().to_owned()),
            (OperationKind::Create, folder.path().join("a/b")),
            (OperationKind::SyncDir, folder.path().join("a")),
            (OperationKind::SyncDir, folder.path().to_owned()),
            (OperationKind::Create, folder.path().join("a/b/c")),
            (OperationKind::SyncDir, folder.path().join("a/b")),
            (OperationKind::SyncDir, folder.path().join("a")),
        ];
        assert_eq!(done(&storage), expected);
    }

    /// A process is killed between creating a folder and syncing its parent. The next one finds the
    /// folder, and a power loss would still take it, with all that was acknowledged in it.
    #[test]
    fn the_parent_of_a_folder_that_was_already_there_is_synced() {
        let folder = tempfile::tempdir().unwrap();
        let storage = faulty();
        create_dir_all_synced(&storage, folder.path(), folder.path()).unwrap();
        assert_eq!(done(&storage), [(OperationKind::SyncDir, folder.path().parent().unwrap().to_owned())]);
    }

    /// A folder is made, and the sync that would make its name durable fails. The next attempt finds
    /// the folder; a sync that succeeds now says nothing about a name that the first one dropped.
    #[test]
    fn an_empty_folder_below_the_base_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        let storage = faulty();
        create_dir_all_synced(&storage, folder.path(), &folder.path().join("a/b")).unwrap();
        let expected = [
            (OperationKind::Remove, folder.path().join("a/b")),
            (OperationKind::SyncDir, folder.path().to_owned()),
            (OperationKind::Create, folder.path().join("a/b")),
            (OperationKind::SyncDir, folder.path().join("a")),
        ];
        assert_eq!(done(&storage), expected);
    }

    #[test]
    fn a_folder_that_holds_something_and_the_base_itself_are_left_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        fs::write(folder.path().join("a/b/LOCK"), b"").unwrap();
        let storage = faulty();
        create_dir_all_synced(&storage, folder.path(), &folder.path().join("a/b")).unwrap();
        // The operating system refuses to remove it, which is how it is found out.
        let expected = [(OperationKind::Remove, folder.path().join("a/b")), (OperationKind::SyncDir, folder.path().join("a"))];
        assert_eq!(done(&storage), expected);
        assert!(folder.path().join("a/b/LOCK").exists());
        let storage = faulty();
        create_dir_all_synced(&storage, &folder.path().join("a/b"), &folder.path().join("a/b")).unwrap();
        assert_eq!(storage.count(OperationKind::Remove, ""), 0);
        fs::remove_file(folder.path().join("a/b/LOCK")).unwrap();
        let storage = faulty();
        create_dir_all_synced(&storage, &folder.path().join("a/b"), &folder.path().join("a/b")).unwrap();
        assert_eq!(storage.count(OperationKind::Remove, ""), 0, "the base is the user's");
    }

    #[test]
    fn a_failed_folder_sync_stops_the_creation_of_folders_and_says_so() {
        for nth in 1..=3 {
            let folder = tempfile::tempdir().unwrap();
            let storage = faulty();
            storage.fail_nth(OperationKind::SyncDir, "", nth, Errno::IO, Repeat::Once);
            let failed = create_dir_all_synced(&storage, folder.path(), &folder.path().join("a/b")).unwrap_err();
            assert!(failed.is_folder_sync());
            assert_eq!(storage.count(OperationKind::SyncDir, ""), nth);
            assert_eq!(storage.count(OperationKind::Create, ""), nth - 1);
        }
    }

    #[test]
    fn a_parent_that_may_not_be_opened_is_no_obstacle_to_an_existing_folder() {
        let folder = tempfile::tempdir().unwrap();
        let storage = faulty();
        storage.fail_nth(OperationKind::SyncDir, "", 1, Errno::ACCESS, Repeat::FromThenOn);
        create_dir_all_synced(&storage, folder.path(), folder.path()).unwrap();
        let failed = create_dir_all_synced(&storage, folder.path(), &folder.path().join("a")).unwrap_err();
        assert!(failed.is_folder_sync(), "a folder that was just made must be synced");
    }

    #[test]
    fn a_file_in_the_way_of_a_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), b"").unwrap();
        let failed = create_dir_all_synced(&OsStorage, folder.path(), &folder.path().join("a/b")).unwrap_err();
        assert_eq!(failed.error().kind(), io::ErrorKind::NotADirectory);
        let failed = create_dir_all_synced(&OsStorage, folder.path(), &folder.path().join("a")).unwrap_err();
        assert_eq!(failed.error().kind(), io::ErrorKind::NotADirectory);
    }

    #[test]
    fn folders_can_be_created_by_several_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = Arc::new(folder.path().join("a/b/c/d"));
        let makers: Vec<_> = (0..4)
            .map(|_| {
                let path = Arc::clone(&path);
                let base = folder.path().to_owned();
                std::thread::spawn(move || create_dir_all_synced(&OsStorage, &base, &path).unwrap())
            })
            .collect();
        for maker in makers {
            maker.join().unwrap();
        }
        assert!(path.is_dir());
    }

    #[test]
    fn the_parent_of_a_relative_name_is_the_working_folder() {
        assert_eq!(parent_of(Path::new("runs")), Path::new("."));
        assert_eq!(parent_of(Path::new("runs/a")), Path::new("runs"));
        assert_eq!(parent_of(Path::new("/runs")), Path::new("/"));
        assert_eq!(parent_of(Path::new("/")), Path::new("/"));
    }
}
