//! redb with three tables, as an event store lays them out: entries by number, and the first entry of each key by kind.

use std::path::Path;

use redb::{Database, Durability, ReadableDatabase, ReadableTableMetadata, TableDefinition};
use tapelog::{AppendEntry, IndexKind};

use crate::Failure;
use crate::systems::{System, encode};

const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
const CLIENT_ORDER_IDS: TableDefinition<'_, &str, u64> = TableDefinition::new("client_order_ids");
const VENUE_ORDER_IDS: TableDefinition<'_, &str, u64> = TableDefinition::new("venue_order_ids");

/// A database with its defaults; every transaction is durable when it returns.
#[derive(Debug)]
pub struct Redb {
    database: Database,
    buffer: Vec<u8>,
}

impl Redb {
    /// A new database.
    ///
    /// # Errors
    /// What the database reports.
    pub fn new(folder: &Path) -> Result<Self, Failure> {
        Ok(Self { database: Database::create(folder.join("entries.redb"))?, buffer: Vec::new() })
    }
}

impl System for Redb {
    fn name(&self) -> &'static str {
        "redb 4.5, Immediate"
    }

    fn commit(&mut self, batch: &[AppendEntry]) -> Result<(), Failure> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        {
            let mut entries = transaction.open_table(ENTRIES)?;
            let mut client_order_ids = transaction.open_table(CLIENT_ORDER_IDS)?;
            let mut venue_order_ids = transaction.open_table(VENUE_ORDER_IDS)?;
            for append in batch {
                encode(&mut self.buffer, append);
                entries.insert(append.entry.seq, self.buffer.as_slice())?;
                for key in &append.index_keys {
                    let table = match key.kind {
                        IndexKind::ClientOrderId => &mut client_order_ids,
                        IndexKind::VenueOrderId => &mut venue_order_ids,
                    };
                    // The first entry that brings a key keeps it.
                    table.entry(key.key.as_str())?.or_insert(append.entry.seq)?;
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }

    fn held(&self) -> Result<Option<u64>, Failure> {
        let transaction = self.database.begin_read()?;
        let entries = transaction.open_table(ENTRIES)?.len()?;
        let client = transaction.open_table(CLIENT_ORDER_IDS)?.len()?;
        let venue = transaction.open_table(VENUE_ORDER_IDS)?.len()?;
        Ok(Some(entries.min(client).min(venue)))
    }
}
