//! Putting both index files of a segment into place.

use std::path::Path;

use crate::error::EventStoreError;
use crate::format::file_name;
use crate::io::{StepError, Storage, replace_file};

/// Why the indexes of a segment were not made. They are derived, and a reader makes what it does not find.
#[derive(Debug)]
pub(crate) struct IndexFailure {
    pub(crate) error: EventStoreError,
    /// The folder sync failed: its names are undefined, and whoever writes must stop.
    pub(crate) folder: bool,
}

impl From<EventStoreError> for IndexFailure {
    fn from(error: EventStoreError) -> Self {
        Self { error, folder: false }
    }
}

impl From<StepError> for IndexFailure {
    fn from(step: StepError) -> Self {
        Self { folder: step.is_folder_sync(), error: step.into() }
    }
}

/// Writes both index files of a segment.
pub(crate) fn write_index_files(
    storage: &dyn Storage,
    folder: &Path,
    ordinal: u32,
    files: &(Vec<u8>, Vec<u8>),
) -> Result<(), IndexFailure> {
    let (sparse, keys) = files;
    replace_file(storage, folder, &file_name::sparse_index(ordinal), sparse)?;
    replace_file(storage, folder, &file_name::key_index(ordinal), keys)?;
    Ok(())
}
