//! Makes true on disk what was judged: steps 6 to 8 of recovery.
//!
//! Every step may fail or be cut off anywhere; running recovery again leads to the same end. What
//! was judged is written from the buffer that was judged, because the page cache may show bytes
//! that a failed sync lost. Nothing is cut or removed here: that belongs to the seal.

use std::path::Path;
use std::sync::Arc;

use crate::error::EventStoreError;
use crate::format::{file_name, manifest};
use crate::io::{File, OpenMode, Storage, replace_file, write_all_at};
use crate::seeded_bug::{SeededBug, unless};
use crate::segment::spare::fill_zeros;
use crate::store::recovery::judge::{Judgement, Leftover};
use crate::store::recovery::watermark_file::WatermarkFile;

/// Repairs a run that is not damaged.
///
/// # Errors
/// The first step that fails; nothing is acknowledged then, and recovery can be run again.
pub(crate) fn repair(storage: &dyn Storage, folder: &Path, judgement: &Judgement) -> Result<(), EventStoreError> {
    if judgement.end.state.commit_no == 0 {
        confirm_creation(storage, folder, judgement)?;
    }
    unless(SeededBug::TailNotRewritten, || rewrite_kept(storage, folder, judgement))?;
    unless(SeededBug::DiscardedNotZeroed, || zero_leftovers(storage, folder, judgement))?;
    drop_indexes(storage, folder, judgement)?;
    unless(SeededBug::RecoveryWatermarkNotWritten, || witness(storage, folder, judgement))
}

/// Writes MANIFEST once more. While nothing is committed, nothing proves that the creation of the run
/// came to its end: its last sync may have failed, and no later one says anything about the name.
fn confirm_creation(storage: &dyn Storage, folder: &Path, judgement: &Judgement) -> Result<(), EventStoreError> {
    let contents = manifest::encode_manifest(&judgement.identity.opening, None)?;
    Ok(replace_file(storage, folder, file_name::MANIFEST, &contents)?)
}

fn open(storage: &dyn Storage, folder: &Path, ordinal: u32) -> Result<Arc<dyn File>, EventStoreError> {
    let path = folder.join(file_name::segment(ordinal));
    storage.open(&path, OpenMode::ReadWrite).map_err(|error| EventStoreError::from_io("open", &path, &error))
}

/// Step 6: what was judged whole and is not proven durable becomes durable.
fn rewrite_kept(storage: &dyn Storage, folder: &Path, judgement: &Judgement) -> Result<(), EventStoreError> {
    for group in judgement.kept.chunk_by(|left, right| left.ordinal == right.ordinal) {
        let Some(ordinal) = group.first().map(|kept| kept.ordinal) else {
            continue;
        };
        let path = folder.join(file_name::segment(ordinal));
        let file = open(storage, folder, ordinal)?;
        for kept in group {
            let rewritten = unless(SeededBug::TailSyncedWithoutRewrite, || write_all_at(&*file, &kept.bytes, kept.offset));
            rewritten.map_err(|error| EventStoreError::from_io("write", &path, &error))?;
        }
        unless(SeededBug::TailRewrittenNotSynced, || file.sync_data()).map_err(|error| EventStoreError::from_io("sync", &path, &error))?;
    }
    Ok(())
}

/// Step 7: what lies behind the end becomes zeros, so that it can never testify again.
///
/// Where nothing is to be discarded a recovery that was killed may have left zeros in the page cache alone. So every segment
/// is synced in which something may have been, unless that was done a moment ago.
fn zero_leftovers(storage: &dyn Storage, folder: &Path, judgement: &Judgement) -> Result<(), EventStoreError> {
    let files_max = if SeededBug::OnlyFirstLeftoverZeroed.is_on() { 1 } else { usize::MAX };
    let last = judgement.leftovers.last().map(|leftover| leftover.ordinal);
    let is_rewritten = |ordinal| judgement.kept.iter().any(|kept| kept.ordinal == ordinal);
    for segment in judgement.listed.iter().filter(|segment| segment.ordinal >= judgement.end.position.ordinal) {
        let of_segment = |leftover: &&Leftover| leftover.ordinal == segment.ordinal;
        let leftover = judgement.leftovers.iter().take(files_max).find(of_segment);
        if leftover.is_none() && is_rewritten(segment.ordinal) {
            continue;
        }
        let path = folder.join(file_name::segment(segment.ordinal));
        let file = open(storage, folder, segment.ordinal)?;
        if let Some(leftover) = leftover {
            fill_zeros(&*file, leftover.from, leftover.to).map_err(|error| EventStoreError::from_io("write", &path, &error))?;
        }
        if SeededBug::OnlyLastLeftoverSynced.is_on() && Some(segment.ordinal) != last {
            continue;
        }
        unless(SeededBug::ZerosNotSynced, || file.sync_data()).map_err(|error| EventStoreError::from_io("sync", &path, &error))?;
    }
    Ok(())
}

/// Indexes at or above the end's segment may describe what was discarded.
fn drop_indexes(storage: &dyn Storage, folder: &Path, judgement: &Judgement) -> Result<(), EventStoreError> {
    for segment in judgement.listed.iter().filter(|segment| segment.ordinal >= judgement.end.position.ordinal) {
        for name in [file_name::sparse_index(segment.ordinal), file_name::key_index(segment.ordinal)] {
            let path = folder.join(name);
            match storage.remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(EventStoreError::from_io("remove", &path, &error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Step 8: both slots of WATERMARK say where the log ends, one after the other.
fn witness(storage: &dyn Storage, folder: &Path, judgement: &Judgement) -> Result<(), EventStoreError> {
    let mut watermark = if let Some(watermark) = WatermarkFile::open(storage, folder)? {
        watermark
    } else {
        let created = WatermarkFile::create(storage, folder, &judgement.identity, &judgement.end)?;
        storage.sync_dir(folder).map_err(|error| EventStoreError::from_io("sync the folder", folder, &error))?;
        created
    };
    let slots = if SeededBug::RecoveryOneSlotOnly.is_on() { 1 } else { 2 };
    for _ in 0..slots {
        watermark.write(&judgement.identity, &judgement.end)?;
        watermark.sync()?;
    }
    Ok(())
}
