//! The two index files of a full segment: collected while appending, or by walking the segment.
//!
//! Indexes are derived. They are written once their segment is durable, bound to it, and made again
//! from the segment whenever they do not fit.

use std::path::Path;

use crate::error::{Corruption, EventStoreError};
use crate::format::entry::{EntryParts, KeyBytes};
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
    pub(crate) fn entry(&mut self, salt: &Salt, seq: u64, offset: u64, max_ts_init: u64, keys: KeyBytes<'_>) {
        if self.last_point.is_none_or(|last| offset - last >= self.spacing) {
            self.last_point = Some(offset);
            self.points.push(SparsePoint { seq, offset, max_ts_init });
        }
        self.keys.extend(keys.map(|(kind, key)| KeyRecord { hash: key_hash(salt, kind, key), offset }));
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
            self.max_ts_init = self.max_ts_init.max(parts.ts_init());
            self.pending.entry(&self.salt, frame.header.seq, frame.offset, self.max_ts_init, parts.key_bytes());
        }
    }

    fn accept(&mut self, _batch: &Batch) {
        self.accepted.points.append(&mut self.pending.points);
        self.accepted.keys.append(&mut self.pending.keys);
    }

    fn reject(&mut self) {
        self.pending.clear();
        // A point of the batch that does not exist keeps no distance from those to come.
        self.pending.last_point = self.accepted.points.last().map(|point| point.offset);
    }
}

/// Keeps of sorted key records the first occurrence of every distinct key.
///
/// Records with equal hashes are told apart by the keys themselves, read from their entries.
///
/// # Errors
/// Where an entry that was indexed cannot be read again.
pub(crate) fn first_occurrences(sorted: &[KeyRecord], window: &mut Window<'_>, salt: &Salt) -> Result<Vec<KeyRecord>, EventStoreError> {
    let mut kept = Vec::with_capacity(sorted.len());
    for group in sorted.chunk_by(|left, right| left.hash == right.hash) {
        if let [single] = group {
            kept.push(*single);
            continue;
        }
        let mut seen: Vec<(u8, Vec<u8>)> = Vec::new();
        let mut last_offset = None;
        for record in group {
            if last_offset == Some(record.offset) {
                continue;
            }
            last_offset = Some(record.offset);
            let mut keys = entry_keys(window, salt, record.offset)?;
            keys.retain(|(kind, key)| key_hash(salt, *kind, key) == record.hash);
            if keys.is_empty() {
                // An index without this record would be believed where it says that the key is not there.
                return Err(not_as_indexed(window.path(), record.offset, "an entry without that key"));
            }
            let before = seen.len();
            for key in keys {
                if !seen.contains(&key) {
                    seen.push(key);
                }
            }
            if seen.len() > before {
                kept.push(*record);
            }
        }
    }
    Ok(kept)
}

fn entry_keys(window: &mut Window<'_>, salt: &Salt, offset: u64) -> Result<Vec<(u8, Vec<u8>)>, EventStoreError> {
    let path = window.path();
    if let FrameStep::Frame(frame) = frame_at(window, salt, offset)?
        && let Ok(parts) = EntryParts::decode(frame.body)
    {
        return Ok(parts.key_bytes().map(|(kind, key)| (kind, key.to_owned())).collect());
    }
    Err(not_as_indexed(path, offset, "a damaged frame"))
}

fn not_as_indexed(path: &Path, offset: u64, found: &str) -> EventStoreError {
    let corruption = Corruption::at(path, offset, "the entry that was indexed here", found);
    corruption.advise("verify the run; its index is made again from what is intact").into()
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
    let keys = first_occurrences(&material.keys, window, &binding.salt)?;
    Ok((sparse_index::encode(binding, &material.points), key_index::encode(binding, &keys)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::salt::Stream;
    use crate::segment::testing::{GENESIS, Written, path, salt, start};
    use crate::segment::walk::{BatchWalk, Step};

    fn written() -> Written {
        let mut written = Written::new();
        written.entries(&[10; 9]).entries(&[200, 1]).entries(&[600; 4]);
        written
    }

    #[test]
    fn walking_a_segment_collects_what_appending_to_it_noted() {
        let written = written();
        let bytes = written.padded(16 << 10);
        let start = start();
        let window = Window::over_slice(&bytes, path());
        let mut walk = BatchWalk::open(window, salt(), Stream::Entries, 1, start.state, start.position, GENESIS).unwrap().unwrap();
        let mut collector = IndexCollector::new(salt(), 512, 0);
        while let Step::Batch(_) = walk.next_batch(&mut collector).unwrap() {}
        assert_eq!(collector.accepted.points, written.lists.points);
        assert_eq!(collector.accepted.keys, written.lists.keys);
        assert!(written.lists.points.len() > 3);
        assert!(written.lists.points.windows(2).all(|pair| pair[1].offset - pair[0].offset >= 512));
    }

    #[test]
    fn a_batch_that_was_rejected_leaves_nothing_behind() {
        let mut written = written();
        let end = written.bytes.len();
        written.entries(&[700, 700, 700]);
        let whole = written.padded(16 << 10);
        let mut torn = whole.clone();
        torn[end + 2_000..].fill(0);
        let start = start();
        let mut collector = IndexCollector::new(salt(), 512, 0);
        let window = Window::over_slice(&torn, path());
        let mut walk = BatchWalk::open(window, salt(), Stream::Entries, 1, start.state, start.position, GENESIS).unwrap().unwrap();
        while let Step::Batch(_) = walk.next_batch(&mut collector).unwrap() {}
        // What a writer has completed meanwhile is collected as if the walk had come later.
        let (window, state, offset) = (Window::over_slice(&whole, path()), *walk.state(), walk.offset());
        let mut walk = BatchWalk::resume(window, salt(), Stream::Entries, 1, state, offset);
        while let Step::Batch(_) = walk.next_batch(&mut collector).unwrap() {}
        assert_eq!(collector.accepted.points, written.lists.points);
        assert_eq!(collector.accepted.keys, written.lists.keys);
    }

    #[test]
    fn only_the_first_occurrence_of_a_key_is_kept() {
        let written = written();
        let bytes = written.padded(16 << 10);
        let mut sorted = written.lists.keys.clone();
        sorted.sort_by_key(|record| (record.hash, record.offset));
        let kept = first_occurrences(&sorted, &mut Window::over_slice(&bytes, path()), &salt()).unwrap();
        // 15 entries: client keys O-0 to O-7, venue keys of the entries 4, 8 and 12.
        assert_eq!(kept.len(), 8 + 3);
        for number in 0..8_u64 {
            let hash = key_hash(&salt(), 1, format!("O-{number}"));
            let first = written.lists.keys.iter().filter(|record| record.hash == hash).map(|record| record.offset).min();
            let offsets: Vec<_> = kept.iter().filter(|record| record.hash == hash).map(|record| record.offset).collect();
            assert_eq!(offsets, first.into_iter().collect::<Vec<_>>(), "O-{number}");
        }
    }

    #[test]
    fn no_index_is_made_of_an_entry_that_has_no_key_with_the_hash_that_was_noted() {
        let written = written();
        let bytes = written.padded(16 << 10);
        let mut forged: Vec<_> = written.lists.keys.iter().take(4).copied().collect();
        let hash = forged[0].hash;
        for record in &mut forged {
            record.hash = hash;
        }
        let error = first_occurrences(&forged, &mut Window::over_slice(&bytes, path()), &salt()).unwrap_err();
        assert!(matches!(error, EventStoreError::Corrupted(_)), "{error}");
    }
}
