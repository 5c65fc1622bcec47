//! How a run comes into being: folders, lock, spares, WATERMARK, and last MANIFEST.
//!
//! Once MANIFEST is durable the run exists. Whatever a creation that was cut off left behind has no
//! MANIFEST and tells of no entry, and is removed by the next one.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use crate::error::EventStoreError;
use crate::format::file_name::{self, FileName};
use crate::format::header_page::HeaderPage;
use crate::format::manifest;
use crate::format::salt::{Stream, Uid};
use crate::io::{Lock, Storage, create_dir_all_synced, replace_file};
use crate::limits::OPENING_LEN_MAX;
use crate::model::RunManifest;
use crate::seeded_bug::{SeededBug, unless};
use crate::segment::spare::{Spare, make_spare};
use crate::segment::tip::FIRST_FRAME;
use crate::store::recovery::watermark_file::{self, WatermarkFile};
use crate::store::rules::normalise_manifest;
use crate::store::run_files::{FoundManifest, RunIdentity, list_segments, open_segment, read_manifest};
use crate::store::segment::background::shared::RunShared;
use crate::store::segment::background::shelf::Shelf;
use crate::store::segment::options::Options;
use crate::store::segment::seal;

/// Makes a run's folder, durably, and takes its lock.
///
/// # Errors
/// `Locked` where another writer holds it.
pub(crate) fn enter(storage: &dyn Storage, base: &Path, folder: &Path) -> Result<Lock, EventStoreError> {
    // The lock comes second: a folder that holds one has a durable name.
    create_dir_all_synced(storage, base, folder)?;
    lock(storage, folder)
}

/// Takes the lock of a run's folder.
///
/// # Errors
/// `Locked` where another writer holds it.
pub(crate) fn lock(storage: &dyn Storage, folder: &Path) -> Result<Lock, EventStoreError> {
    let path = folder.join(file_name::LOCK);
    let lock = storage.lock(&path).map_err(|error| EventStoreError::from_io("lock", &path, &error))?;
    let held = lock.ok_or(EventStoreError::Locked { path })?;
    Ok(if SeededBug::LockNotHeld.is_on() { Lock::new(()) } else { held })
}

/// Whether a folder without a MANIFEST holds what is left of a run, and not merely what a creation
/// left that was cut off: a creation writes no frames, no indexes, and no commit into WATERMARK.
///
/// # Errors
/// Where that cannot be read.
pub(crate) fn holds_a_run(storage: &dyn Storage, folder: &Path) -> Result<bool, EventStoreError> {
    let entries = match storage.list(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        listed => listed.map_err(|error| EventStoreError::from_io("list", folder, &error))?,
    };
    let is_index = |name| matches!(FileName::parse(name), FileName::SparseIndex(_) | FileName::KeyIndex(_));
    let holds = entries.iter().any(|entry| !entry.is_dir && is_index(&entry.name))
        || any_segment_has_a_body(storage, folder)?
        || watermark_file::tells_of_a_commit(storage, folder)?;
    Ok(holds && !SeededBug::LostManifestTakenForNew.is_on())
}

/// Whether a segment holds anything behind its header page.
fn any_segment_has_a_body(storage: &dyn Storage, folder: &Path) -> Result<bool, EventStoreError> {
    for segment in list_segments(storage, folder)? {
        let Some(file) = open_segment(storage, folder, segment.ordinal)? else {
            continue;
        };
        let mut window = file.scan();
        let mut offset = FIRST_FRAME;
        loop {
            let chunk = window.chunk_at(offset)?;
            if chunk.iter().any(|byte| *byte != 0) {
                return Ok(true);
            }
            if chunk.is_empty() {
                break;
            }
            offset += chunk.len() as u64;
        }
    }
    Ok(false)
}

/// Removes what a creation that was cut off left behind. Files that are not ours stay.
pub(crate) fn remove_leftovers(storage: &dyn Storage, folder: &Path) -> Result<(), EventStoreError> {
    let entries = storage.list(folder).map_err(|error| EventStoreError::from_io("list", folder, &error))?;
    for entry in entries.iter().rev().filter(|entry| !entry.is_dir) {
        let ours = match FileName::parse(&entry.name) {
            FileName::Segment(_) | FileName::Watermark | FileName::Temporary => true,
            FileName::SparseIndex(_)
            | FileName::KeyIndex(_)
            | FileName::Manifest
            | FileName::Lock
            | FileName::Markers
            | FileName::Foreign => false,
        };
        if ours {
            let path = folder.join(&entry.name);
            storage.remove_file(&path).map_err(|error| EventStoreError::from_io("remove the leftover", &path, &error))?;
        }
    }
    Ok(())
}

/// The sealed root of the parent run, if it stands beside this one and is sealed.
fn parent_seal_root(storage: &dyn Storage, folder: &Path, manifest: &RunManifest) -> Result<[u8; 32], EventStoreError> {
    let Some(parent) = manifest.parent_run_id.as_ref() else {
        return Ok([0; 32]);
    };
    let Some(instance) = folder.parent() else {
        return Ok([0; 32]);
    };
    let parent = instance.join(parent);
    match read_manifest(storage, &parent) {
        Ok(FoundManifest::Present(found)) => {
            unless(SeededBug::SealNotConfirmedByChild, || seal::confirm_unless_live(storage, &parent, &found))?;
            Ok(found.seal_root().unwrap_or_default())
        }
        // A parent that is gone, damaged or of another version leaves the child without the link.
        Ok(_) | Err(EventStoreError::UnsupportedVersion { .. }) => Ok([0; 32]),
        Err(error) => Err(error),
    }
}

/// The files of a run that does not exist yet: all that need much time, and none that says anything.
#[derive(Debug)]
pub(crate) struct Prepared {
    uid: Uid,
    spares: VecDeque<Spare>,
}

/// Makes the files of a new run in a folder that is locked and empty.
///
/// # Errors
/// The first step that fails. What was made until then is removed by the next attempt.
pub(crate) fn create(
    storage: Arc<dyn Storage>,
    folder: &Path,
    manifest: RunManifest,
    options: Options,
) -> Result<RunShared, EventStoreError> {
    let uid = Uid(storage.unique_id());
    let identity = identify(&*storage, folder, uid, manifest, options)?;
    let prepared = make_files(&*storage, folder, uid, options)?;
    found(storage, folder, identity, prepared.spares, options)
}

/// Makes the files of a run that is founded later, in a folder that is locked and empty.
///
/// # Errors
/// Those of [`create`].
pub(crate) fn prepare(storage: &dyn Storage, folder: &Path, manifest: &RunManifest, options: Options) -> Result<Prepared, EventStoreError> {
    let uid = Uid(storage.unique_id());
    // Its parent may not be sealed yet, but that does not change the length.
    check_opening_len(&manifest::encode_opening(&uid, &[0; 32], &normalise_manifest(manifest.clone()))?, options)?;
    make_files(storage, folder, uid, options)
}

/// Makes a run of files that [`prepare`] made.
///
/// # Errors
/// Those of [`create`].
pub(crate) fn create_prepared(
    storage: Arc<dyn Storage>,
    folder: &Path,
    manifest: RunManifest,
    options: Options,
    prepared: Prepared,
) -> Result<RunShared, EventStoreError> {
    let identity = identify(&*storage, folder, prepared.uid, manifest, options)?;
    found(storage, folder, identity, prepared.spares, options)
}

/// What the run will say of itself, with the root of its parent if that is sealed.
fn identify(
    storage: &dyn Storage,
    folder: &Path,
    uid: Uid,
    manifest: RunManifest,
    options: Options,
) -> Result<Arc<RunIdentity>, EventStoreError> {
    let manifest = normalise_manifest(manifest);
    let parent = parent_seal_root(storage, folder, &manifest)?;
    let opening = manifest::encode_opening(&uid, &parent, &manifest)?;
    check_opening_len(&opening, options)?;
    let opening =
        manifest::decode_opening::<RunManifest>(&opening).map_err(|error| error.into_error(&folder.join(file_name::MANIFEST), 0))?;
    Ok(Arc::new(RunIdentity::from_opening(opening)))
}

fn make_files(storage: &dyn Storage, folder: &Path, uid: Uid, options: Options) -> Result<Prepared, EventStoreError> {
    let markers = folder.join(file_name::MARKERS);
    // An empty one was left by a creation that was cut off, and its name may not be durable.
    let _ = storage.remove_dir(&markers);
    match storage.create_dir(&markers) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(EventStoreError::from_io("create the folder", &markers, &error));
        }
        _ => {}
    }
    let page = |ordinal| HeaderPage { stream: Stream::Entries, uid, ordinal };
    let made = (1..=options.spares).map(|ordinal| make_spare(storage, folder, page(ordinal), options.segment_len));
    let spares = made.collect::<Result<_, _>>().map_err(|failure| failure.error)?;
    Ok(Prepared { uid, spares })
}

/// Brings the run into being: behind its MANIFEST everything is there.
fn found(
    storage: Arc<dyn Storage>,
    folder: &Path,
    identity: Arc<RunIdentity>,
    spares: VecDeque<Spare>,
    options: Options,
) -> Result<RunShared, EventStoreError> {
    let watermark = WatermarkFile::create(&*storage, folder, &identity, &identity.start())?;
    storage.sync_dir(folder).map_err(|error| EventStoreError::from_io("sync the folder", folder, &error))?;
    let contents = manifest::encode_manifest(&identity.opening, None)?;
    replace_file(&*storage, folder, file_name::MANIFEST, &contents)?;

    let shelf = Shelf::new(spares, options.spares as usize);
    Ok(RunShared::new(storage, folder.to_owned(), identity, options, shelf, watermark))
}

/// The opening manifest is written once more into segment 1, with the first batch behind it.
fn check_opening_len(opening: &[u8], options: Options) -> Result<(), EventStoreError> {
    // Half of a segment is left to the first batch, so that a small segment is not all manifest.
    let maximum = (OPENING_LEN_MAX as u64).min((options.segment_len - FIRST_FRAME) / 2);
    if opening.len() as u64 > maximum {
        let what = "the manifest's length in bytes (half a segment, or 8 MiB)";
        return Err(EventStoreError::LimitExceeded { what, maximum, found: opening.len() as u64 });
    }
    Ok(())
}
