//! Questions to a store or a reader, and what the answers must be.

use std::ops::ControlFlow;

use tapelog::{Check, EntryView, EventStore, EventStoreEntry, IndexKind, RunReader, ScanDirection, SegmentBackend};

use crate::log::RunLog;

/// Whether an entry is the one that was given.
#[must_use]
pub fn is_given(view: &EntryView<'_>, entry: &EventStoreEntry) -> bool {
    view.seq() == entry.seq
        && view.entry_hash() == entry.entry_hash
        && view.payload() == entry.payload.as_ref()
        && view.topic() == entry.topic.as_str()
        && view.payload_type() == entry.payload_type.as_str()
        && (view.ts_init(), view.ts_publish()) == (entry.ts_init, entry.ts_publish)
}

/// A reader lends the entries up to `last` in an order, and no others.
///
/// # Errors
/// The first that is not the one that was given.
pub fn check_visit(reader: &RunReader, run: &RunLog, last: u64, direction: ScanDirection, check: Check) -> Result<(), String> {
    let mut seen = 0;
    let visited = reader.visit(.., direction, check, |view| {
        let expected = match direction {
            ScanDirection::Forward => seen + 1,
            ScanDirection::Reverse => last - seen.min(last),
        };
        seen += 1;
        match run.entry(expected) {
            Some(entry) if is_given(&view, entry) => ControlFlow::Continue(()),
            _ => ControlFlow::Break(view.seq()),
        }
    });
    match visited.map_err(|error| format!("the entries cannot be visited: {error}"))? {
        Some(seq) => Err(format!("entry {seq} is lent in the place {seen} of {last}, and is not what was given")),
        None if seen != last => Err(format!("{seen} entries are lent, and there are {last}")),
        None => Ok(()),
    }
}

/// A store shows the entries up to its high-watermark as they were given.
///
/// # Errors
/// Where it does not.
pub fn check_entries(store: &SegmentBackend, run: &RunLog, high_watermark: u64) -> Result<(), String> {
    let entries = store.scan_range(1, u64::MAX, ScanDirection::Forward).map_err(|error| format!("the entries cannot be read: {error}"))?;
    if entries.len() as u64 != high_watermark || !entries.iter().eq(run.entries_up_to(high_watermark)) {
        return Err(format!("a wrong entry: {} entries were read up to {high_watermark}, and differ from those given", entries.len()));
    }
    Ok(())
}

/// Every key is found at the entry that had it first, unless nothing up to `last_seq` has it.
///
/// # Errors
/// The key that is not.
pub fn check_all_keys(store: &SegmentBackend, run: &RunLog, last_seq: u64) -> Result<(), String> {
    for kind in IndexKind::ALL {
        let mut found = store.iter_index_keys(kind).map_err(|error| format!("the keys of {kind} cannot be read: {error}"))?;
        found.sort();
        let given = run.first_keys(kind, last_seq);
        if !found.iter().map(|(key, seq)| (key.as_str(), *seq)).eq(given) {
            return Err(format!("the keys of {kind} are not those given: {found:?}"));
        }
        for (key, first) in run.first_keys(kind, u64::MAX) {
            let expected = Some(first).filter(|first| *first <= last_seq);
            let answer = store.lookup(kind, key);
            if answer != Ok(expected) {
                return Err(format!("the key {key} is found at {answer:?}, and it should be {expected:?}"));
            }
        }
        if store.lookup(kind, "no such key") != Ok(None) {
            return Err("a key is found that was never given".to_owned());
        }
    }
    Ok(())
}

/// The store that is open answers everything up to its high-watermark and nothing behind it. Answers how many commits it shows.
///
/// # Errors
/// The answer that is wrong.
pub fn check_store(store: &SegmentBackend, run: &RunLog) -> Result<usize, String> {
    let high_watermark = store.high_watermark().map_err(|error| error.to_string())?;
    check_entries(store, run, high_watermark)?;
    check_all_keys(store, run, high_watermark)?;
    let anchor = store.latest_snapshot_anchor().map_err(|error| format!("the newest anchor cannot be read: {error}"))?;
    let shown = run.expected.durable.max(anchor.as_ref().map_or(0, |anchor| run.commits_with(anchor)));
    if anchor.as_ref() != run.anchor_at(shown) {
        return Err(format!("the newest anchor is {anchor:?}, and {:?} was recorded", run.anchor_at(shown)));
    }
    Ok(shown)
}
