//! What is measured: each system makes a batch of entries durable, and says nothing before it is.

pub mod floor;
pub mod lsm;
pub mod redb;
pub mod tapelog;

use ::tapelog::AppendEntry;

use crate::Failure;

/// A system that makes batches durable.
pub trait System {
    /// The name in the table.
    fn name(&self) -> &'static str;

    /// Makes the batch durable. This is what is timed.
    ///
    /// # Errors
    /// What the system reports.
    fn commit(&mut self, batch: &[AppendEntry]) -> Result<(), Failure>;

    /// How many entries it holds and can find by both of their keys; `None` where it keeps no entries.
    ///
    /// # Errors
    /// What the system reports.
    fn held(&self) -> Result<Option<u64>, Failure>;
}

/// An entry as bytes for a store that keeps values, in a buffer that is reused: its fields one behind the other, which
/// is less work than any serializer does.
pub(crate) fn encode(buffer: &mut Vec<u8>, append: &AppendEntry) {
    let entry = &append.entry;
    let (topic, payload_type) = (entry.topic.as_str(), entry.payload_type.as_str());
    buffer.clear();
    buffer.extend_from_slice(&entry.entry_hash.0);
    buffer.extend_from_slice(&entry.seq.to_le_bytes());
    buffer.extend_from_slice(&entry.ts_init.as_u64().to_le_bytes());
    buffer.extend_from_slice(&entry.ts_publish.as_u64().to_le_bytes());
    for id in [entry.headers.correlation_id, entry.headers.causation_id] {
        match id {
            None => buffer.push(0),
            Some(id) => {
                buffer.push(1);
                buffer.extend_from_slice(id.as_bytes());
            }
        }
    }
    for part in [topic.as_bytes(), payload_type.as_bytes(), &entry.payload] {
        buffer.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
        buffer.extend_from_slice(part);
    }
}
