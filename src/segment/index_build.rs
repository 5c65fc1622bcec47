//! The two index files of a full segment: collected while appending, or by walking the segment.
//!
//! Indexes are derived. They are written once their segment is durable, bound to it, and made again
//! from the segment whenever they do not fit.

use crate::error::{Corruption, EventStoreError};
use crate::format::entry::EntryParts;
use crate::format::key_index::{self, KeyRecord, key_hash};
use crate::format::salt::Salt;
use crate::format::sparse_index::{self, IndexBinding, SparsePoint};
use crate::segment::walk::{Batch, Frame, FrameStep, RecordVisitor, frame_at};
use crate::segment::window::Window;

/// What the indexes of one segment need to know of its entries.
#[derive(Debug, Default, Clone)]
pub(crate) struct IndexLists {
    spacing: u64,
    last_point: Option<u64>,
    pub(crate) points: Vec<SparsePoint>,
    pub(crate) keys: Vec<KeyRecord>,
}

impl IndexLists {
    /// Empty lists for a segment whose sparse points stand at least `spacing` bytes apart.
    pub(crate) fn new(spacing: u64) -> Self {
        Self { spacing, ..Self::default() }
    }

    /// Notes an entry.
    pub(crate) fn entry(&mut self, salt: &Salt, seq: u64, offset: u64, max_ts_init: u64, parts: &EntryParts<'_>) {
        if self.last_point.is_none_or(|last| offset - last >= self.spacing) {
            self.last_point = Some(offset);
            self.points.push(SparsePoint { seq, offset, max_ts_init });
        }
        self.keys.extend(parts.keys().map(|(kind, key)| KeyRecord { hash: key_hash(salt, kind, key), offset }));
    }

    /// Forgets what was noted, and keeps where the last point stood.
    pub(crate) fn clear(&mut self) {
        self.points.clear();
        self.keys.clear();
    }
}

/// Collects the lists of a segment while it is walked.
pub(crate) struct IndexCollector {
    salt: Salt,
    max_ts_init: u64,
    pending: IndexLists,
    pub(crate) accepted: IndexLists,
}

impl IndexCollector {
    /// A collector for a segment; `max_ts_init` is the largest `ts_init` before it.
    pub(crate) fn new(salt: Salt, spacing: u64, max_ts_init: u64) -> Self {
        Self { salt, max_ts_init, pending: IndexLists::new(spacing), accepted: IndexLists::new(spacing) }
    }
}

impl RecordVisitor for IndexCollector {
    fn record(&mut self, frame: &Frame<'_>, parts: Option<&EntryParts<'_>>) {
        if let Some(parts) = parts {
            self.max_ts_init = self.max_ts_init.max(parts.ts_init);
            self.pending.entry(&self.salt, frame.header.seq, frame.offset, self.max_ts_init, parts);
        }
    }

    fn accept(&mut self, _batch: &Batch) {
        self.accepted.points.append(&mut self.pending.points);
        self.accepted.keys.append(&mut self.pending.keys);
    }

    fn reject(&mut self) {
        self.pending.clear();
    }
}

/// Keeps of sorted key records the first occurrence of every distinct key.
///
/// Records with equal hashes are told apart by the keys themselves, read from their entries.
///
/// # Errors
/// Where an entry that was indexed cannot be read again.
pub(crate) fn first_occurrences(sorted: Vec<KeyRecord>, window: &mut Window<'_>, salt: &Salt) -> Result<Vec<KeyRecord>, EventStoreError> {
    let mut kept = Vec::with_capacity(sorted.len());
    for group in sorted.chunk_by(|left, right| left.hash == right.hash) {
        if let [single] = group {
            kept.push(*single);
            continue;
        }
        let mut seen: Vec<(u8, String)> = Vec::new();
        let mut last_offset = None;
        for record in group {
            if last_offset == Some(record.offset) {
                continue;
            }
            last_offset = Some(record.offset);
            let keys = entry_keys(window, salt, record.offset)?;
            let before = seen.len();
            for (kind, key) in keys {
                let known = seen.iter().any(|(seen_kind, seen_key)| *seen_kind == kind && *seen_key == key);
                if !known && key_hash(salt, kind, &key) == record.hash {
                    seen.push((kind, key));
                }
            }
            if seen.len() > before {
                kept.push(*record);
            }
        }
    }
    Ok(kept)
}

fn entry_keys(window: &mut Window<'_>, salt: &Salt, offset: u64) -> Result<Vec<(u8, String)>, EventStoreError> {
    let path = window.path();
    if let FrameStep::Frame(frame) = frame_at(window, salt, offset)?
        && let Ok(parts) = EntryParts::decode(frame.body)
    {
        return Ok(parts.keys().map(|(kind, key)| (kind, key.to_owned())).collect());
    }
    Err(Corruption::at(path, offset, "the entry that was indexed here", "a damaged frame")
        .advise("verify the run; its index is made again from what is intact")
        .into())
}

/// What the index files of a full segment are made of.
#[derive(Debug, Default)]
pub(crate) struct IndexMaterial {
    pub(crate) points: Vec<SparsePoint>,
    /// Sorted by hash, then offset.
    pub(crate) keys: Vec<KeyRecord>,
}

/// The contents of the `.idx` and the `.key` file of a segment.
///
/// # Errors
/// As [`first_occurrences`].
pub(crate) fn index_files(
    binding: &IndexBinding,
    material: &IndexMaterial,
    window: &mut Window<'_>,
) -> Result<(Vec<u8>, Vec<u8>), EventStoreError> {
    let keys = first_occurrences(material.keys.clone(), window, &binding.salt)?;
    Ok((sparse_index::encode(binding, &material.points), key_index::encode(binding, &keys)))
}
