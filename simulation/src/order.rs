//! Orders of operations that no single disk shows to be broken.

use std::path::Path;

use crate::disk::SimulatedDisk;
use crate::second_reader::{Manifest, Segment, ordinal_of};

/// Every index that is in place belongs to a segment that was durable before it: everything in that
/// segment had been acknowledged. Recovery drops an index of more than survived, so that this is seen here
/// or not at all; a reader would have been shown what a loss of power takes back.
///
/// # Errors
/// The index that came too early.
pub fn check_indexes(disk: &SimulatedDisk, folder: &Path, durable: usize) -> Result<(), String> {
    let is_index = |path: &Path| path.parent() == Some(folder) && path.extension().is_some_and(|extension| extension == "idx");
    for index in disk.files().into_iter().filter(|path| is_index(path)) {
        let segment = disk.contents(&index.with_extension("seg")).and_then(|bytes| Segment::read(&bytes, None));
        let unreadable = || format!("order of operations: {} is in place, and its segment cannot be read", index.display());
        let last = segment.ok_or_else(unreadable)?.last_commit().unwrap_or_default();
        if last > durable as u64 {
            let index = index.display();
            return Err(format!(
                "order of operations: {index} is in place up to commit {last}, and commit {durable} is the last durable one"
            ));
        }
    }
    Ok(())
}

/// A sealed folder holds the segments of its table and no others, the last one in its length: the spares are gone for good
/// and the cut is made before the seal says so. Full segments keep the length that they were made with.
///
/// # Errors
/// The segment that differs.
pub fn check_sealed_segments(disk: &SimulatedDisk, folder: &Path) -> Result<(), String> {
    let manifest = disk.contents(&folder.join("MANIFEST")).and_then(|bytes| Manifest::read(&bytes));
    let seal = manifest.and_then(|manifest| manifest.seal).filter(|seal| !seal.damaged);
    let seal = seal.ok_or("the store takes a run for sealed, and the second reader finds no whole seal")?;
    let mut found = Vec::new();
    for path in disk.files().into_iter().filter(|path| path.parent() == Some(folder)) {
        let ordinal = path.file_name().and_then(|name| ordinal_of(&name.to_string_lossy()));
        found.extend(ordinal.zip(disk.contents(&path)).map(|(ordinal, bytes)| (ordinal, bytes.len() as u64)));
    }
    let told: Vec<_> = seal.segments.iter().map(|row| (row.ordinal, row.len)).collect();
    let are_the_same = found.iter().map(|(ordinal, _)| ordinal).eq(told.iter().map(|(ordinal, _)| ordinal));
    if are_the_same && found.last() == told.last() {
        Ok(())
    } else {
        Err(format!("a sealed folder holds the segments {found:?}, and its table says {told:?}"))
    }
}
