//! A batch that was laid out as it will lie on disk by the thread that submitted it.
//!
//! The room that fills it and the room that passes it on know nothing of the layout, and a store that keeps entries in
//! another way gets them as values.

use bytes::Bytes;

use crate::format::entry::{EntryParts, draft_frame_len};
use crate::model::{AppendEntry, Draft, EntryHasher, IndexKey, IndexKind, UnixNanos};
use crate::segment::batch::{BatchBuffer, COMMIT_FRAME_LEN};

/// Entries with consecutive numbers, laid out for [`SegmentBackend`](crate::SegmentBackend) and readable for any store.
///
/// An entry writer fills it; see [`EventStore::append_encoded`](crate::EventStore::append_encoded).
#[derive(Debug, Default)]
pub struct EncodedBatch {
    pub(super) buffer: BatchBuffer,
    first_seq: u64,
}

impl EncodedBatch {
    /// An empty batch with room for `len` bytes of frames and `entries` entries.
    pub(crate) fn with_capacity(len: usize, entries: usize) -> Self {
        // The commit is laid out behind the entries.
        let commit_len = usize::try_from(COMMIT_FRAME_LEN).unwrap_or(usize::MAX);
        Self { buffer: BatchBuffer::with_capacity(len.saturating_add(commit_len), entries), first_seq: 0 }
    }

    /// The bytes that a draft takes in a batch.
    pub(crate) fn len_of(draft: &impl Draft) -> u64 {
        draft_frame_len(draft)
    }

    /// Adds a draft that is within the limits as the entry `seq`: the number behind the last one's.
    pub(crate) fn push(&mut self, draft: &impl Draft, seq: u64, ts_publish: UnixNanos) {
        if self.is_empty() {
            self.first_seq = seq;
        }
        debug_assert_eq!(seq, self.first_seq + self.entry_count() as u64, "an entry out of order");
        self.buffer.push_draft(draft, ts_publish);
    }

    /// Forgets the entries, and keeps no more memory than `len` bytes.
    pub(crate) fn clear(&mut self, len: usize) {
        self.buffer.clear();
        self.buffer.shrink_to(len);
    }

    /// The number of the first entry; of no meaning in an empty batch.
    #[must_use]
    pub fn first_seq(&self) -> u64 {
        self.first_seq
    }

    /// How many entries there are.
    #[must_use]
    pub fn entry_count(&self) -> usize {
        self.buffer.record_count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entry_count() == 0
    }

    /// The bytes that the batch takes on disk, its commit included.
    #[must_use]
    pub fn frames_len(&self) -> u64 {
        self.buffer.frames_len()
    }

    /// The entries as values, with their hashes.
    #[must_use]
    pub fn to_entries(&self) -> Vec<AppendEntry> {
        let mut hasher = EntryHasher::default();
        let mut entries = Vec::with_capacity(self.entry_count());
        for (body, seq) in self.buffer.bodies().zip(self.first_seq..) {
            let parts = EntryParts::decode(body);
            debug_assert!(parts.is_ok(), "a body that we laid out ourselves can be read");
            let Ok(parts) = parts else { continue };
            let mut entry = parts.to_entry(seq, Bytes::copy_from_slice(parts.payload));
            entry.entry_hash = hasher.hash(
                seq,
                entry.ts_init,
                entry.ts_publish,
                entry.topic.as_str(),
                entry.payload_type.as_str(),
                &entry.payload,
                &entry.headers,
            );
            let keys = parts.keys().filter_map(|(code, key)| Some(IndexKey::new(IndexKind::from_code(code)?, key.to_owned())));
            entries.push(AppendEntry::new(entry, keys.collect()));
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DraftRef, Headers};

    #[test]
    fn the_entries_come_out_as_they_were_submitted_with_the_hash_of_their_fields() {
        let mut batch = EncodedBatch::with_capacity(1 << 10, 4);
        let keys = [(IndexKind::ClientOrderId, "O-1"), (IndexKind::VenueOrderId, "V-1")];
        let headers = Headers { correlation_id: Some(uuid::Uuid::from_u128(7)), causation_id: None };
        let first = DraftRef { headers, index_keys: &keys, ..DraftRef::new("topic", "type", b"first", UnixNanos::new(5)) };
        let large = vec![9; 40 << 10];
        let second = DraftRef::new("other", "type", &large, UnixNanos::new(4));
        batch.push(&first, 11, UnixNanos::new(100));
        batch.push(&second, 12, UnixNanos::new(101));
        assert_eq!(batch.frames_len(), EncodedBatch::len_of(&first) + EncodedBatch::len_of(&second) + COMMIT_FRAME_LEN);
        let entries = batch.to_entries();
        assert_eq!((batch.first_seq(), batch.entry_count(), entries.len()), (11, 2, 2));
        for (append, (draft, seq, ts_publish)) in entries.iter().zip([(&first, 11, 100), (&second, 12, 101)]) {
            let entry = &append.entry;
            assert_eq!(entry.entry_hash, entry.recompute_hash());
            assert_eq!((entry.seq, entry.ts_init, entry.ts_publish), (seq, draft.ts_init, UnixNanos::new(ts_publish)));
            assert_eq!(
                (entry.topic.as_str(), entry.payload_type.as_str(), &*entry.payload),
                (draft.topic, draft.payload_type, draft.payload)
            );
            assert_eq!(entry.headers, draft.headers);
            let found: Vec<_> = append.index_keys.iter().map(|key| (key.kind, key.key.as_str())).collect();
            assert_eq!(found, draft.index_keys);
        }
        batch.clear(0);
        assert!(batch.is_empty() && batch.to_entries().is_empty());
    }
}
