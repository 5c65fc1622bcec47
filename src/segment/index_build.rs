//! The two index files of a full segment: collected while appending, or by walking the segment.
//!
//! Indexes are derived. They are written once their segment is durable, bound to it, and made again
//! from the segment whenever they do not fit.

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
            self.max_ts_init = self.max_ts_init.max(parts.ts_init);
            self.pending.entry(&self.salt, frame.header.seq, frame.offset, self.max_ts_init, parts.key_bytes());
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
pub(crate) fn first_occurrences(sorted: &[KeyRecord], window: &mut Window<'_>, salt: &Salt) -> Result<Vec<KeyRecord>, EventStoreError> {
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
    fn keys_with_equal_hashes_are_told_apart_by_the_keys_themselves() {
        let written = written();
        let bytes = written.padded(16 << 10);
        // Two different keys under one hash, as a collision would bring them; only one entry really has it.
        let mut forged: Vec<_> = written.lists.keys.iter().take(4).copied().collect();
        let hash = forged[0].hash;
        for record in &mut forged {
            record.hash = hash;
        }
        let kept = first_occurrences(&forged, &mut Window::over_slice(&bytes, path()), &salt()).unwrap();
        assert_eq!(kept, [forged[0]]);
    }
}
