//! The steps of a seal. Each may fail or be cut off; a run is sealed once its MANIFEST with the seal
//! section is durable, and not before.

use std::path::Path;

use crate::error::EventStoreError;
use crate::format::file_name;
use crate::format::manifest::{self, SealSection, SealedSegment};
use crate::io::{File, OpenMode, Storage, replace_file};
use crate::segment::index_build::index_files;
use crate::segment::tip::Tip;
use crate::store::reading::handles::{ReadSegment, binding, has_index_files, rebuild};
use crate::store::reading::run_reader::RunReader;
use crate::store::run_files::{RunIdentity, list_segments};
use crate::store::segment::index_files::{IndexFailure, write_index_files};

/// Step 3: removes the segments behind the end, the highest first, and makes that durable.
pub(crate) fn remove_spares(storage: &dyn Storage, folder: &Path, last_ordinal: u32) -> Result<(), EventStoreError> {
    let segments = list_segments(storage, folder)?;
    for segment in segments.iter().rev().filter(|segment| segment.ordinal > last_ordinal) {
        let path = folder.join(file_name::segment(segment.ordinal));
        storage.remove_file(&path).map_err(|error| EventStoreError::from_io("remove the spare", &path, &error))?;
    }
    storage.sync_dir(folder).map_err(|error| EventStoreError::from_io("sync the folder", folder, &error))
}

/// Step 4: cuts the last segment at its end.
pub(crate) fn cut(file: &dyn File, path: &Path, end: u64) -> Result<(), EventStoreError> {
    file.set_len(end).map_err(|error| EventStoreError::from_io("cut", path, &error))?;
    file.sync_all().map_err(|error| EventStoreError::from_io("sync", path, &error))
}

/// Step 4 for a run that was recovered, whose files are not open.
pub(crate) fn cut_by_name(storage: &dyn Storage, folder: &Path, tip: &Tip) -> Result<(), EventStoreError> {
    if tip.position.ordinal == 0 {
        return Ok(());
    }
    let path = folder.join(file_name::segment(tip.position.ordinal));
    let file = storage.open(&path, OpenMode::ReadWrite).map_err(|error| EventStoreError::from_io("open", &path, &error))?;
    cut(&*file, &path, tip.position.offset)
}

/// Step 5: makes the indexes that are missing or do not fit. That one cannot be made never blocks a
/// seal: indexes are derived, and a reader makes what it does not find.
///
/// # Errors
/// A failed sync of the folder, after which no name in it is certain.
pub(crate) fn make_missing_indexes(storage: &dyn Storage, reader: &RunReader) -> Result<(), EventStoreError> {
    reader.segments().iter().map(|segment| make_missing_index(storage, reader, segment)).try_for_each(only_if_in_doubt)
}

/// Step 5 for the run that this store wrote, whose index files are its own: makes those that could not
/// be made before.
///
/// # Errors
/// As [`make_missing_indexes`].
pub(crate) fn make_absent_indexes(storage: &dyn Storage, reader: &RunReader) -> Result<(), EventStoreError> {
    let is_there = |name: String| matches!(storage.stat(&reader.folder().join(name)), Ok(Some(_)));
    let has_both = |ordinal| is_there(file_name::sparse_index(ordinal)) && is_there(file_name::key_index(ordinal));
    let absent = reader.segments().iter().filter(|segment| !has_both(segment.ordinal));
    absent.map(|segment| make_missing_index(storage, reader, segment)).try_for_each(only_if_in_doubt)
}

/// Of a failure to make an index only what leaves the folder in doubt is told.
fn only_if_in_doubt(made: Result<(), IndexFailure>) -> Result<(), EventStoreError> {
    match made {
        Err(IndexFailure { error, folder: true }) => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn make_missing_index(storage: &dyn Storage, reader: &RunReader, segment: &ReadSegment) -> Result<(), IndexFailure> {
    let context = reader.context();
    if has_index_files(&context, segment) {
        return Ok(());
    }
    let handle = reader.handle(segment)?;
    let (material, whole) = rebuild(&context, segment, &handle.source)?;
    let Some(binding) = binding(reader.identity(), segment).filter(|_| whole) else {
        return Ok(());
    };
    let files = index_files(&binding, &material, &mut handle.source.scan_window())?;
    write_index_files(storage, reader.folder(), segment.ordinal, &files)
}

/// The table of the seal section.
pub(crate) fn segment_table(segments: &[ReadSegment], tip: &Tip) -> Vec<SealedSegment> {
    let next_bases = segments.iter().skip(1).map(|next| next.base.as_ref()).chain(std::iter::once(Some(tip)));
    segments
        .iter()
        .zip(next_bases)
        .map(|(segment, end)| SealedSegment {
            ordinal: segment.ordinal,
            len: segment.end,
            entry_count: (segment.last_seq + 1).saturating_sub(segment.first_seq),
            last_seq: segment.last_seq,
            last_commit_no: end.map_or(0, |end| end.state.commit_no),
            root: segment.end_root.unwrap_or_default(),
        })
        .collect()
}

/// Step 6: MANIFEST with the seal section. With this the run is sealed.
pub(crate) fn write_manifest(
    storage: &dyn Storage,
    folder: &Path,
    identity: &RunIdentity,
    section: &SealSection,
) -> Result<(), EventStoreError> {
    let contents = manifest::encode_manifest(&identity.opening, Some(section))?;
    Ok(replace_file(storage, folder, file_name::MANIFEST, &contents)?)
}

/// Step 7: WATERMARK has nothing more to say.
pub(crate) fn remove_watermark(storage: &dyn Storage, folder: &Path) -> Result<(), EventStoreError> {
    let path = folder.join(file_name::WATERMARK);
    match storage.remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(EventStoreError::from_io("remove", &path, &error)),
        _ => {}
    }
    storage.sync_dir(folder).map_err(|error| EventStoreError::from_io("sync the folder", folder, &error))
}
