//! The one entry that is meant.

use std::path::Path;

use tapelog::{EventStore, IndexKey};

use crate::exit::Failure;

/// The number of the first entry of the run at `path` that brought `key`.
///
/// # Errors
///
/// When no entry did, or the run cannot be read.
pub fn seq_of_key(store: &dyn EventStore, path: &Path, IndexKey { kind, key }: &IndexKey) -> Result<u64, Failure> {
    let found = store.lookup(*kind, key).map_err(|error| Failure::at(path, &error))?;
    found.ok_or_else(|| Failure::new(format!("{}: no entry has the {kind} {key:?}", path.display())))
}
