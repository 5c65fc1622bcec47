//! A segment prepared ahead: zero-filled, with its header page, synced, under its final name.
//!
//! After this, rolling to the segment costs the append path nothing but its first write. Only the
//! process that made a spare uses it, through the descriptor that made it: a file opened by name
//! after a crash may have lost a sync error that its maker would have seen.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::EventStoreError;
use crate::format::file_name;
use crate::format::header_page::HeaderPage;
use crate::io::{File, Image, OpenMode, Storage, write_all_at};
use crate::limits::BLOCK_LEN;
use crate::seeded_bug::{SeededBug, unless};

/// How many zeros go out in one write.
const FILL_LEN: usize = 1 << 20;

/// A segment that is ready to be written.
#[derive(Debug)]
pub(crate) struct Spare {
    pub(crate) page: HeaderPage,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn File>,
    pub(crate) len: u64,
}

/// Why a spare was not made, and whether the folder's state is in doubt.
#[derive(Debug)]
pub(crate) struct SpareFailure {
    pub(crate) error: EventStoreError,
    /// The folder is gone, or its sync failed so that its names are undefined: the store must latch.
    pub(crate) folder: bool,
}

impl From<EventStoreError> for SpareFailure {
    fn from(error: EventStoreError) -> Self {
        Self { error, folder: false }
    }
}

/// Makes a spare: `<name>.tmp` exclusively, zeros, header page, sync, rename, folder sync.
///
/// A failure removes what was begun, as far as that works.
pub(crate) fn make_spare(storage: &dyn Storage, folder: &Path, page: HeaderPage, len: u64) -> Result<Spare, SpareFailure> {
    let name = file_name::segment(page.ordinal);
    let path = folder.join(&name);
    let temporary = folder.join(file_name::temporary(&name));
    let file = match fill(storage, &temporary, &page, len) {
        Ok(file) => file,
        Err(failure) => {
            let _ = storage.remove_file(&temporary);
            return Err(failure);
        }
    };
    if let Err(error) = storage.rename(&temporary, &path) {
        let _ = storage.remove_file(&temporary);
        // What was just made can only be missing because its folder is.
        let folder = error.kind() == ErrorKind::NotFound;
        return Err(SpareFailure { error: EventStoreError::from_io("rename", &temporary, &error), folder });
    }
    let synced = unless(SeededBug::SpareFolderNotSynced, || storage.sync_dir(folder));
    if let Err(error) = synced.or_else(|error| SeededBug::FolderSyncErrorIgnored.hides(error)) {
        return Err(SpareFailure { error: EventStoreError::from_io("sync the folder", folder, &error), folder: true });
    }
    Ok(Spare { page, path, file, len })
}

fn fill(storage: &dyn Storage, temporary: &Path, page: &HeaderPage, len: u64) -> Result<Arc<dyn File>, SpareFailure> {
    match storage.remove_file(temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(EventStoreError::from_io("remove the leftover", temporary, &error).into());
        }
        _ => {}
    }
    let file = storage.open(temporary, OpenMode::CreateNew).map_err(|error| SpareFailure {
        error: EventStoreError::from_io("create", temporary, &error),
        // A file that is to be new can only miss the folder that it is to be in.
        folder: error.kind() == ErrorKind::NotFound,
    })?;
    let write_error = |error: std::io::Error| EventStoreError::from_io("write", temporary, &error);
    fill_zeros(&*file, BLOCK_LEN, len).map_err(write_error)?;
    write_all_at(&*file, &page.encode()[..], 0).map_err(write_error)?;
    unless(SeededBug::SpareNotSynced, || file.sync_all()).map_err(|error| EventStoreError::from_io("sync", temporary, &error))?;
    Ok(file)
}

/// Writes zeros over `from..to`, so that later writes there allocate nothing.
///
/// Past the page cache where that can be done: zeros in it would be memory that nobody reads, and the processor's time.
pub(crate) fn fill_zeros(file: &dyn File, from: u64, to: u64) -> std::io::Result<()> {
    let zeros = Image::new(FILL_LEN)?;
    let mut unbuffered = file.unbuffered().filter(|_| from.is_multiple_of(BLOCK_LEN) && to.is_multiple_of(BLOCK_LEN));
    let mut offset = from;
    while offset < to {
        // Chunks end on multiples of their size, so that large writes stay aligned.
        let next = ((offset / FILL_LEN as u64) + 1) * FILL_LEN as u64;
        let len = usize::try_from(next.min(to) - offset).unwrap_or(FILL_LEN);
        let chunk = zeros.get(0, len).unwrap_or_default();
        if let Some(past) = &unbuffered {
            match write_all_at(&**past, chunk, offset) {
                Ok(()) => {}
                // This file system has other rules, or none.
                Err(error) if error.kind() == ErrorKind::InvalidInput => {
                    unbuffered = None;
                    continue;
                }
                Err(error) => return Err(error),
            }
        } else {
            write_all_at(file, chunk, offset)?;
        }
        offset += len as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;
    use crate::format::salt::{Stream, Uid};
    use crate::io::OsStorage;
    use crate::io::faulty_storage::{FaultyStorage, OperationKind, Repeat};
    use crate::limits::SEGMENT_LEN_MIN;

    /// The run's folder was removed while a spare was filled in it. The rename found nothing to rename,
    /// nothing latched, and the next batch that still had room was acknowledged in a file without a name.
    #[test]
    fn a_spare_that_is_gone_before_its_rename_says_that_the_folder_is() {
        let folder = tempfile::tempdir().unwrap();
        let page = HeaderPage { stream: Stream::Entries, uid: Uid([7; 16]), ordinal: 1 };
        for (errno, says_so) in [(Errno::NOENT, true), (Errno::IO, false)] {
            let storage = FaultyStorage::new(Arc::new(OsStorage));
            storage.fail_nth(OperationKind::Rename, "", 1, errno, Repeat::Once);
            let failure = make_spare(&storage, folder.path(), page, SEGMENT_LEN_MIN).unwrap_err();
            assert_eq!(failure.folder, says_so, "{errno}");
        }
    }
}
