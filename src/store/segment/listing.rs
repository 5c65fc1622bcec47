//! The runs of an instance, as their folders tell.

use std::path::{Path, PathBuf};

use crate::error::EventStoreError;
use crate::format::file_name::{self, FileName};
use crate::format::manifest::SealState;
use crate::io::{LockState, Storage};
use crate::limits::{BLOCK_LEN, SEGMENT_LEN_MAX, SEGMENT_LEN_MIN};
use crate::model::{RunId, RunManifest, validate_id};
use crate::store::run_files::{FoundManifest, check_folder_name, read_manifest};
use crate::store::segment::closed::{identify, sealed_manifest};
use crate::store::segment::create::{self, holds_a_run};

/// One run's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunListing {
    /// The run's id: the folder's name.
    pub run_id: RunId,
    /// The folder.
    pub path: PathBuf,
    /// Whether a writer holds its lock.
    pub live: bool,
    /// What the run says of itself, or why it cannot be read.
    pub manifest: Result<RunManifest, EventStoreError>,
    /// How many segment files there are, spares included.
    pub segments: u32,
    /// The bytes of all files in the folder.
    pub bytes: u64,
}

/// Every run in an instance's folder, readable or not, sorted by `start_ts_init` and then by id;
/// those that cannot be read come last.
///
/// # Errors
/// Where the folder itself cannot be listed; a missing folder holds no runs.
pub(crate) fn scan_runs(storage: &dyn Storage, instance_dir: &Path) -> Result<Vec<RunListing>, EventStoreError> {
    let entries = match storage.list(instance_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(EventStoreError::from_io("list", instance_dir, &error)),
    };
    let mut listings = Vec::new();
    for entry in entries.into_iter().filter(|entry| entry.is_dir && validate_id("run id", &entry.name).is_ok()) {
        if let Some(listing) = list_run(storage, &instance_dir.join(&entry.name), entry.name) {
            listings.push(listing);
        }
    }
    listings.sort_by(|left, right| {
        let key = |listing: &RunListing| (listing.manifest.is_err(), listing.manifest.as_ref().ok().map(|manifest| manifest.start_ts_init));
        key(left).cmp(&key(right)).then_with(|| left.run_id.cmp(&right.run_id))
    });
    Ok(listings)
}

/// Removes what creations left behind in folders that hold no run, as far as that works: a run that was prepared and
/// never began has segments of its full length.
///
/// # Errors
/// As [`scan_runs`].
pub(crate) fn remove_unfounded(storage: &dyn Storage, instance_dir: &Path) -> Result<(), EventStoreError> {
    let entries = match storage.list(instance_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(EventStoreError::from_io("list", instance_dir, &error)),
    };
    for entry in entries.into_iter().filter(|entry| entry.is_dir && validate_id("run id", &entry.name).is_ok()) {
        let folder = instance_dir.join(&entry.name);
        let files = storage.list(&folder).unwrap_or_default();
        let stands = |parsed: FileName| files.iter().any(|file| FileName::parse(&file.name) == parsed);
        // Only what a writer made: it takes the lock first, whose file is empty, then makes the folder of the sidecar, and
        // its segments have their full length before they have their name.
        let lock_is_ours = files.iter().any(|file| FileName::parse(&file.name) == FileName::Lock && !file.is_dir && file.len == 0);
        let is_segment_len = |len: u64| (SEGMENT_LEN_MIN..=SEGMENT_LEN_MAX).contains(&len) && len.is_multiple_of(BLOCK_LEN);
        let are_ours =
            files.iter().filter(|file| matches!(FileName::parse(&file.name), FileName::Segment(_))).all(|file| is_segment_len(file.len));
        if stands(FileName::Manifest) || !lock_is_ours || !stands(FileName::Markers) || !are_ours || files.len() <= 2 {
            continue;
        }
        let Ok(_lock) = create::lock(storage, &folder) else { continue };
        if matches!(read_manifest(storage, &folder), Ok(FoundManifest::Missing)) && !create::holds_a_run(storage, &folder).unwrap_or(true) {
            let _ = create::remove_leftovers(storage, &folder);
        }
    }
    Ok(())
}

/// One run; `None` where the folder holds no run: a creation that was cut off, or nothing of ours.
pub(crate) fn list_run(storage: &dyn Storage, folder: &Path, run_id: RunId) -> Option<RunListing> {
    let files = storage.list(folder).unwrap_or_default();
    let segments = files.iter().filter(|file| matches!(FileName::parse(&file.name), FileName::Segment(_))).count();
    let manifest = match read_manifest(storage, folder) {
        Ok(FoundManifest::Present(found)) => Ok(match &found.seal {
            SealState::Present { section, .. } => sealed_manifest(&found.opening.manifest, section),
            SealState::Absent | SealState::Damaged(_) => found.opening.manifest.clone(),
        })
        .and_then(|manifest| check_folder_name(folder, &manifest).map(|()| manifest)),
        Ok(FoundManifest::Missing) if !holds_a_run(storage, folder).unwrap_or(true) => return None,
        Ok(FoundManifest::Missing | FoundManifest::Damaged(_)) => identify(storage, folder).map(|(identity, _)| identity.manifest),
        Err(error) => Err(error),
    };
    // Nobody writes a run that is sealed.
    let is_sealed = manifest.as_ref().is_ok_and(RunManifest::is_sealed);
    let live = !is_sealed && matches!(storage.lock_state(&folder.join(file_name::LOCK)), Ok(LockState::Held));
    let bytes = files.iter().map(|file| file.len).sum();
    Some(RunListing { run_id, path: folder.to_owned(), live, manifest, segments: u32::try_from(segments).unwrap_or(u32::MAX), bytes })
}
