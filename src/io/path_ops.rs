//! What every room does with files, built on the seam: whole reads and writes, the atomic replace
//! of a file, and folders that are durable when they are used.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::{File, OpenMode, Storage};
use crate::error::EventStoreError;
use crate::limits::READ_CHUNK_LEN;

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
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What the storage reported.
    pub(crate) fn error(&self) -> &io::Error {
        &self.error
    }

    /// Whether it was the sync of a folder that failed: then it is unknown for ever which names are durable, and the
    /// caller latches.
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
        rest = rest.get(len..).ok_or_else(more_than_asked)?;
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
        if len == 0 {
            return Ok(Some(bytes));
        }
        bytes.extend_from_slice(chunk.get(..len).ok_or_else(more_than_asked)?);
        if bytes.len() > len_max {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the file is longer than {len_max} bytes, the most that it may have"),
            ));
        }
        offset = advance(offset, len)?;
    }
}

/// Puts `contents` in the place of the file `name` in `folder`: after a crash at any moment the old or
/// the new contents are there, whole. When this returns, the new ones are durable.
///
/// # Errors
/// The step that failed. Where it is the sync of the folder, either contents may be there after a power loss.
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
    storage.sync_dir(folder).map_err(at(Step::SyncFolder, folder))
}

fn write_new_file(storage: &dyn Storage, path: &Path, contents: &[u8]) -> Result<(), StepError> {
    let file = storage.open(path, OpenMode::CreateNew).map_err(at(Step::Create, path))?;
    write_all_at(file.as_ref(), contents, 0).map_err(at(Step::Write, path))?;
    file.sync_all().map_err(at(Step::Sync, path))
}

/// Creates the folder at `path` and every missing one above it, each durable before the next.
///
/// A folder that is there already may be the last one that an earlier call made before it was
/// killed, and its name not durable yet. Its parent is therefore synced as well; only that folder
/// can be concerned, because each is made durable before the next one is made in it.
///
/// # Errors
/// The step that failed; `NotADirectory` where a file stands in the way.
pub(crate) fn create_dir_all_synced(storage: &dyn Storage, path: &Path) -> Result<(), StepError> {
    let mut missing = Vec::new();
    for folder in path.ancestors() {
        if folder.as_os_str().is_empty() {
            break;
        }
        match storage.stat(folder).map_err(at(Step::Look, folder))? {
            Some(found) if found.is_dir => {
                sync_parent_of_found(storage, folder)?;
                break;
            }
            Some(_) => return Err(at(Step::CreateFolder, folder)(io::ErrorKind::NotADirectory.into())),
            None => missing.push(folder),
        }
    }
    for folder in missing.into_iter().rev() {
        match storage.create_dir(folder) {
            // Somebody else may be making the same folders; then whoever comes first is not done syncing.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_folder(storage, folder)? => {}
            other => other.map_err(at(Step::CreateFolder, folder))?,
        }
        let parent = parent_of(folder);
        storage.sync_dir(parent).map_err(at(Step::SyncFolder, parent))?;
    }
    Ok(())
}

fn is_folder(storage: &dyn Storage, path: &Path) -> Result<bool, StepError> {
    Ok(storage.stat(path).map_err(at(Step::Look, path))?.is_some_and(|found| found.is_dir))
}

fn sync_parent_of_found(storage: &dyn Storage, folder: &Path) -> Result<(), StepError> {
    let parent = parent_of(folder);
    match storage.sync_dir(parent) {
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
