//! Where in a run the entries lie that are meant.

use std::ops::RangeInclusive;
use std::path::Path;

use tapelog::{IndexKey, RunReader};

use crate::exit::Failure;
use crate::filter::Filter;

/// The number of the first entry of the run at `path` that brought `key`.
///
/// # Errors
///
/// When no entry did, or the run cannot be read.
pub fn seq_of_key(reader: &RunReader, path: &Path, key: &IndexKey) -> Result<u64, Failure> {
    let found = reader.lookup(key.kind, &key.key).map_err(|error| Failure::at(path, &error))?;
    found.ok_or_else(|| no_entry_has(path, key))
}

/// That no entry of the run at `path` brought `key`.
pub fn no_entry_has(path: &Path, IndexKey { kind, key }: &IndexKey) -> Failure {
    Failure::new(format!("{}: no entry has the {kind} {key:?}", path.display()))
}

/// The numbers among which every entry of a run lies that `filter` asks for; none where there can be no such entry.
///
/// What lies before the first entry that is late enough, or before the first that brought one of the keys, is passed over
/// without being read. Damage on the way is told by whoever reads the entries; without a seek they are all read.
pub fn seqs(reader: &RunReader, filter: &Filter) -> Option<RangeInclusive<u64>> {
    let to = filter.to.min(reader.high_watermark());
    let mut from = filter.from.max(1);
    if let Some(since) = filter.since
        && let Ok(found) = reader.first_at_or_after(since)
    {
        from = from.max(found?);
    }
    if !filter.keys.is_empty() {
        let found: Result<Vec<_>, _> = filter.keys.iter().map(|key| reader.lookup(key.kind, &key.key)).collect();
        if let Ok(found) = found {
            from = from.max(found.into_iter().flatten().min()?);
        }
    }
    (from <= to).then_some(from..=to)
}
