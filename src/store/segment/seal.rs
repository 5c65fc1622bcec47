//! The steps of a seal. Each may fail or be cut off; a run is sealed once its MANIFEST with the seal
//! section is durable, and not before.

use std::path::Path;
use std::sync::Arc;

use crate::error::EventStoreError;
use crate::format::file_name::{self, FileName};
use crate::format::manifest::{self, ManifestFile, SealSection, SealState, SealedSegment};
use crate::format::{entry, frame};
use crate::io::{File, OpenMode, Storage, replace_file};
use crate::model::RunManifest;
use crate::seeded_bug::{SeededBug, unless};
use crate::segment::index_build::index_files;
use crate::segment::tip::Tip;
use crate::store::reading::handles::{ReadSegment, binding, has_index_files, rebuild};
use crate::store::reading::segment_set::SegmentSet;
use crate::store::recovery::watermark_file;
use crate::store::run_files::{RunIdentity, check_folder_name, list_segments};
use crate::store::segment::create;
use crate::store::segment::index_files::{IndexFailure, write_index_files};

/// The length of an entry's frame that has nothing in it but its fixed fields, in bytes.
const ENTRY_FRAME_LEN_LEAST: u64 = (frame::HEADER_LEN + entry::FIXED_LEN) as u64;

/// Step 3: removes the segments behind the end, the highest first, and what was begun under another
/// name and never finished, and makes that durable.
pub(crate) fn remove_spares(storage: &dyn Storage, folder: &Path, last_ordinal: u32) -> Result<(), EventStoreError> {
    let entries = storage.list(folder).map_err(|error| EventStoreError::from_io("list", folder, &error))?;
    let is_unfinished = |name: &str| FileName::parse(name) == FileName::Temporary;
    for entry in entries.iter().filter(|entry| !entry.is_dir && is_unfinished(&entry.name)) {
        let path = folder.join(&entry.name);
        storage.remove_file(&path).map_err(|error| EventStoreError::from_io("remove the leftover", &path, &error))?;
    }
    let segments = list_segments(storage, folder)?;
    for segment in segments.iter().rev().filter(|segment| segment.ordinal > last_ordinal && !SeededBug::SparesLeftAtSeal.is_on()) {
        let path = folder.join(file_name::segment(segment.ordinal));
        storage.remove_file(&path).map_err(|error| EventStoreError::from_io("remove the spare", &path, &error))?;
    }
    storage.sync_dir(folder).map_err(|error| EventStoreError::from_io("sync the folder", folder, &error))
}

/// Step 4: cuts the last segment at its end.
pub(crate) fn cut(file: &dyn File, path: &Path, end: u64) -> Result<(), EventStoreError> {
    file.set_len(end).map_err(|error| EventStoreError::from_io("cut", path, &error))?;
    unless(SeededBug::CutNotSynced, || file.sync_all()).map_err(|error| EventStoreError::from_io("sync", path, &error))
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
pub(crate) fn make_missing_indexes(storage: &dyn Storage, set: &SegmentSet) -> Result<(), EventStoreError> {
    set.full().iter().map(|segment| make_missing_index(storage, set, segment)).try_for_each(only_if_in_doubt)
}

/// Step 5 for the run that this store wrote, whose index files are its own: makes those that could not
/// be made before.
///
/// # Errors
/// As [`make_missing_indexes`].
pub(crate) fn make_absent_indexes(storage: &dyn Storage, set: &SegmentSet) -> Result<(), EventStoreError> {
    let is_there = |name: String| matches!(storage.stat(&set.folder().join(name)), Ok(Some(_)));
    let has_both = |ordinal| is_there(file_name::sparse_index(ordinal)) && is_there(file_name::key_index(ordinal));
    let full = set.full();
    let absent = full.iter().filter(|segment| !has_both(segment.ordinal));
    absent.map(|segment| make_missing_index(storage, set, segment)).try_for_each(only_if_in_doubt)
}

/// Of a failure to make an index only what leaves the folder in doubt is told.
fn only_if_in_doubt(made: Result<(), IndexFailure>) -> Result<(), EventStoreError> {
    match made {
        Err(IndexFailure { error, folder: true }) => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn make_missing_index(storage: &dyn Storage, set: &SegmentSet, segment: &ReadSegment) -> Result<(), IndexFailure> {
    let context = set.context();
    if has_index_files(&context, segment) {
        return Ok(());
    }
    let handle = set.handle(segment)?;
    let (material, whole) = rebuild(&context, segment, &handle.source)?;
    let Some(binding) = binding(set.identity(), segment).filter(|_| whole) else {
        return Ok(());
    };
    let files = index_files(&binding, &material, &mut handle.source.scan_window())?;
    write_index_files(storage, set.folder(), segment.ordinal, &files)
}

/// The table of the seal section.
pub(crate) fn segment_table(segments: &[Arc<ReadSegment>], tip: &Tip) -> Vec<SealedSegment> {
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

/// What in a seal's table of segments cannot be, if anything: its numbers go up to the high-watermark without a
/// gap, and no segment holds more entries than fit its length.
///
/// Whoever walks from entry to entry would not come to the end of a number that was made up.
pub(crate) fn table_fault(section: &SealSection) -> Option<String> {
    let mut before = 0_u64;
    for row in &section.segments {
        if before.checked_add(row.entry_count) != Some(row.last_seq) {
            return Some(format!("segment {} with {} entries from {before} to {}", row.ordinal, row.entry_count, row.last_seq));
        }
        if row.entry_count > row.len / ENTRY_FRAME_LEN_LEAST {
            return Some(format!("segment {} with {} entries in {} bytes", row.ordinal, row.entry_count, row.len));
        }
        before = row.last_seq;
    }
    (before != section.high_watermark).then(|| format!("the high-watermark {} behind {before}", section.high_watermark))
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

/// Makes certain that a run stays sealed that is found so: writes its MANIFEST once more, and removes WATERMARK.
///
/// A WATERMARK beside a sealed MANIFEST says that the seal did not come to its end. Its writer was cut
/// off, or was told that the folder could not be synced, after which no later sync of the folder says
/// anything about the name. What nobody has confirmed, a loss of power may still take back.
///
/// # Errors
/// The step that failed: the run may turn out to be unsealed after a loss of power.
pub(crate) fn confirm(storage: &dyn Storage, folder: &Path, found: &ManifestFile<RunManifest>) -> Result<(), EventStoreError> {
    let Some(section) = unconfirmed(storage, folder, found)? else { return Ok(()) };
    let contents = manifest::encode_manifest(&found.opening.bytes, Some(section))?;
    replace_file(storage, folder, file_name::MANIFEST, &contents)?;
    remove_watermark(storage, folder)
}

/// The section of a seal that did not come to its end. That of a damaged run keeps its WATERMARK, and
/// is none: to lose such a seal loses nothing, the run is judged again. Nor is a seal one that stands
/// in the folder of another run, or beside the WATERMARK of one: then files were mixed up, and each of
/// them is evidence.
fn unconfirmed<'a>(
    storage: &dyn Storage,
    folder: &Path,
    found: &'a ManifestFile<RunManifest>,
) -> Result<Option<&'a SealSection>, EventStoreError> {
    let SealState::Present { section, .. } = &found.seal else { return Ok(None) };
    let is_in_its_folder = check_folder_name(folder, &found.opening.manifest).is_ok();
    if section.damage.is_some() || !is_in_its_folder {
        return Ok(None);
    }
    let is_ours = watermark_file::is_of_run(storage, folder, &found.opening.uid)?;
    Ok(Some(section).filter(|_| is_ours))
}

/// As [`confirm`], for a run whose lock is not held yet: another process that holds it seals it itself.
///
/// # Errors
/// As [`confirm`].
pub(crate) fn confirm_unless_live(storage: &dyn Storage, folder: &Path, found: &ManifestFile<RunManifest>) -> Result<(), EventStoreError> {
    if unconfirmed(storage, folder, found)?.is_none() {
        return Ok(());
    }
    match create::lock(storage, folder) {
        Err(EventStoreError::Locked { .. }) => Ok(()),
        Err(error) => Err(error),
        Ok(_held) => confirm(storage, folder, found),
    }
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
