//! fjall, a log-structured merge tree: three keyspaces, one atomic batch, synced.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use tapelog::{AppendEntry, IndexKind};

use crate::Failure;
use crate::systems::{System, encode};

/// A database with its defaults; every batch is durable when it returns.
pub struct Fjall {
    database: Database,
    entries: Keyspace,
    client_order_ids: Keyspace,
    venue_order_ids: Keyspace,
    buffer: Vec<u8>,
}

impl std::fmt::Debug for Fjall {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Fjall").finish_non_exhaustive()
    }
}

impl Fjall {
    /// A new database.
    ///
    /// # Errors
    /// What the database reports.
    pub fn new(folder: &Path) -> Result<Self, Failure> {
        let database = Database::builder(folder.join("fjall")).open()?;
        let keyspace = |name: &str| database.keyspace(name, KeyspaceCreateOptions::default);
        let entries = keyspace("entries")?;
        let client_order_ids = keyspace("client_order_ids")?;
        let venue_order_ids = keyspace("venue_order_ids")?;
        Ok(Self { entries, client_order_ids, venue_order_ids, database, buffer: Vec::new() })
    }
}

impl System for Fjall {
    fn name(&self) -> &'static str {
        "fjall 3.1, SyncData"
    }

    fn commit(&mut self, batch: &[AppendEntry]) -> Result<(), Failure> {
        let mut write = self.database.batch().durability(Some(PersistMode::SyncData));
        for append in batch {
            encode(&mut self.buffer, append);
            write.insert(&self.entries, append.entry.seq.to_be_bytes(), self.buffer.as_slice());
            for key in &append.index_keys {
                let keyspace = match key.kind {
                    IndexKind::ClientOrderId => &self.client_order_ids,
                    IndexKind::VenueOrderId => &self.venue_order_ids,
                };
                // The first entry that brings a key keeps it; within a batch no key repeats here.
                if !keyspace.contains_key(&key.key)? {
                    write.insert(keyspace, key.key.as_str(), append.entry.seq.to_le_bytes());
                }
            }
        }
        write.commit()?;
        Ok(())
    }

    fn held(&self) -> Result<Option<u64>, Failure> {
        let least = self.entries.len()?.min(self.client_order_ids.len()?).min(self.venue_order_ids.len()?);
        Ok(Some(least as u64))
    }
}
