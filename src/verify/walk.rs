//! The walk over all slots of a run, past whatever damage there is.
//!
//! Slots are read many at a time while they are clean. Where that fails, the same slots are read one by
//! one, so that what is wrong with each is known and the next one is still reached.

use super::damage::{Damage, DamageMap};
use super::report::VerifyFinding;
use crate::error::EventStoreError;
use crate::model::{EventStoreEntry, UnixNanos};
use crate::store::EventStore;

/// Most slots that are read at a time.
const CHUNK_SLOTS_MAX: u64 = 1024;
/// How many bytes of payload are to be held at a time.
const CHUNK_LEN_AIMED: u64 = 8 << 20;
/// How many slots are read at a time before anything is known of their size.
const CHUNK_SLOTS_FIRST: u64 = 64;

/// What the walk over a run's entries has shown.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// How many slots hold something, intact or damaged.
    pub(super) scanned: u64,
    /// The earliest and the latest `ts_init` of the intact entries.
    pub(super) ts_init: Option<(UnixNanos, UnixNanos)>,
    /// The slots that do not hold their entry.
    pub(super) damage: DamageMap,
    /// What is wrong with slots that hold something, by ascending slot.
    pub(super) damaged_entries: Vec<VerifyFinding>,
    /// Damage that the store reported of a chunk and then of none of its slots: it lies between the entries, or
    /// what was read twice was not the same twice.
    pub(super) unexplained: Option<EventStoreError>,
}

impl Walk {
    /// Reads every slot from 1 to `high_watermark`.
    ///
    /// # Errors
    ///
    /// The first error that says nothing of the run, but that it cannot be read.
    pub(super) fn over(store: &dyn EventStore, high_watermark: u64) -> Result<Self, EventStoreError> {
        let mut walk = Self::default();
        let mut chunk_slots = CHUNK_SLOTS_FIRST;
        let mut unread = Slots::new(1, high_watermark);
        while let Some(slots) = unread {
            let chunk = slots.first(chunk_slots);
            let last_read = match store.scan_slots(chunk.from, chunk.to) {
                Ok(entries) if entries.len() as u64 == chunk.count() => {
                    chunk_slots = next_chunk_slots(chunk_slots, &entries);
                    for (slot, entry) in (chunk.from..=chunk.to).zip(&entries) {
                        walk.take(slot, entry);
                    }
                    chunk.to
                }
                Ok(_) => walk.one_by_one(store, chunk, high_watermark)?,
                Err(error) if is_damage(&error) => {
                    let last_read = walk.one_by_one(store, chunk, high_watermark)?;
                    if walk.damage.last().is_none_or(|last| last < chunk.from) {
                        walk.unexplained.get_or_insert(error);
                    }
                    last_read
                }
                Err(error) => return Err(error),
            };
            unread = slots.behind(last_read);
        }
        Ok(walk)
    }

    /// Reads the slots of `chunk`, each by itself, and returns the last slot of which is known what it holds: a gap
    /// may reach beyond the chunk.
    fn one_by_one(&mut self, store: &dyn EventStore, chunk: Slots, high_watermark: u64) -> Result<u64, EventStoreError> {
        let mut last_read = chunk.to;
        let mut unread = Some(chunk);
        while let Some(slots) = unread {
            let slot = slots.from;
            last_read = match store.scan_seq(slot) {
                Ok(Some(entry)) => {
                    self.take(slot, &entry);
                    slot
                }
                // Of other slots than the one that was asked for a gap is not believed.
                Err(EventStoreError::Gap { next, missing, .. }) if missing == slot => {
                    self.miss(slot, next.saturating_sub(1).clamp(slot, high_watermark))
                }
                Ok(None) | Err(EventStoreError::Gap { .. }) => self.miss(slot, slot),
                Err(error) if is_damage(&error) => {
                    self.spoil(slot, VerifyFinding::HashMismatch { seq: slot });
                    slot
                }
                Err(error) => return Err(error),
            };
            unread = slots.behind(last_read);
        }
        Ok(last_read)
    }

    fn take(&mut self, slot: u64, entry: &EventStoreEntry) {
        // An entry that lies in another's place has a right hash: the hash covers its own number.
        if entry.seq != slot {
            self.spoil(slot, VerifyFinding::SeqMismatch { table_key: slot, embedded_seq: entry.seq });
            return;
        }
        let (earliest, latest) = self.ts_init.unwrap_or((entry.ts_init, entry.ts_init));
        self.ts_init = Some((earliest.min(entry.ts_init), latest.max(entry.ts_init)));
        self.scanned += 1;
    }

    fn spoil(&mut self, slot: u64, finding: VerifyFinding) {
        self.damaged_entries.push(finding);
        self.damage.note(slot, slot, Damage::Corrupted);
        self.scanned += 1;
    }

    fn miss(&mut self, from: u64, to: u64) -> u64 {
        self.damage.note(from, to, Damage::Missing);
        to
    }
}

/// Whether the error says that the run is damaged, and not that it could not be read.
pub(super) fn is_damage(error: &EventStoreError) -> bool {
    matches!(error, EventStoreError::HashMismatch { .. } | EventStoreError::Gap { .. } | EventStoreError::Corrupted(_))
}

/// How many slots to read next, so that large payloads are held in small numbers.
fn next_chunk_slots(slots: u64, entries: &[EventStoreEntry]) -> u64 {
    let len: u64 = entries.iter().map(|entry| entry.payload.len() as u64).sum();
    let fitting = (CHUNK_LEN_AIMED / (len / (entries.len() as u64).max(1)).max(1)).max(1);
    slots.saturating_mul(2).min(fitting).min(CHUNK_SLOTS_MAX)
}

/// Slots in a row, at least one. Both ends are inclusive, so that the last number there is can be among them.
#[derive(Debug, Clone, Copy)]
struct Slots {
    from: u64,
    to: u64,
}

impl Slots {
    fn new(from: u64, to: u64) -> Option<Self> {
        (from <= to).then_some(Self { from, to })
    }

    /// As many as there are, at most `count`, which is not 0.
    fn first(self, count: u64) -> Self {
        Self { to: self.from.saturating_add(count - 1).min(self.to), ..self }
    }

    fn behind(self, slot: u64) -> Option<Self> {
        Self::new(slot.checked_add(1)?, self.to)
    }

    /// How many there are; a chunk never holds all the numbers there are.
    fn count(self) -> u64 {
        (self.to - self.from).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::store::fixtures::entry;

    #[test]
    fn chunks_grow_to_their_bound_while_payloads_are_small() {
        let mut slots = CHUNK_SLOTS_FIRST;
        for _ in 0..20 {
            slots = next_chunk_slots(slots, &[entry(1, 1)]);
        }
        assert_eq!(slots, CHUNK_SLOTS_MAX);
    }

    #[test]
    fn chunks_shrink_to_one_slot_when_payloads_are_large() {
        let mut large = entry(1, 1);
        large.payload = Bytes::from(vec![0; 16 << 20]);
        assert_eq!(next_chunk_slots(CHUNK_SLOTS_MAX, &[large]), 1);
    }

    #[test]
    fn the_last_number_there_is_can_be_walked_to_and_not_past() {
        let slots = Slots::new(u64::MAX - 1, u64::MAX).unwrap();
        assert_eq!(slots.first(100).to, u64::MAX);
        assert_eq!(slots.behind(u64::MAX - 1).unwrap().from, u64::MAX);
        assert!(slots.behind(u64::MAX).is_none());
    }
}
