//! Finding the first entry that was recorded with a key.
//!
//! The first occurrence wins, so segments are asked oldest first and the write path never looks
//! anything up. A hit in an index is a candidate that the entry itself proves. A miss is believed
//! only of a segment all of whose entries could be asked.

use std::ops::{ControlFlow, RangeInclusive};
use std::path::Path;

use crate::error::{Corruption, EventStoreError};
use crate::format::entry::EntryParts;
use crate::format::frame::Kind;
use crate::format::key_index::key_hash;
use crate::format::salt::Salt;
use crate::seeded_bug::SeededBug;
use crate::segment::walk::{FrameStep, frame_at};
use crate::store::reading::handles::SEARCH_START;
use crate::store::reading::segment_set::{Bound, Section, SegmentSet};
use crate::store::reading::segment_source::SegmentSource;

/// What a segment says about a key.
enum Answer {
    Found(u64),
    Absent,
    /// Some of its entries are damaged: the key may have been in one of them.
    Unknown,
}

impl SegmentSet {
    /// The first entry up to the bound that was recorded with a key.
    ///
    /// # Errors
    /// `HashMismatch` where the entry that the index names is damaged; `Corrupted` where damage
    /// before the first occurrence leaves open whether it is the first.
    pub(crate) fn lookup(&self, kind: u8, key: &str, bound: Bound) -> Result<Option<u64>, EventStoreError> {
        let unknown = |path: &Path| unknown(path, &format!("every entry up to the first with the key {key:?} of kind {kind}"));
        let mut before = 0;
        for section in in_key_order(self.sections(bound)) {
            let section = section?;
            let skipped = section.first_seq() > before + 1 && !SeededBug::WrongFirstKey.is_on();
            let answer = if skipped { Answer::Unknown } else { self.ask(&section, kind, key, bound)? };
            match answer {
                Answer::Found(seq) => return Ok((seq <= bound.seq).then_some(seq)),
                Answer::Absent => {}
                Answer::Unknown => return Err(unknown(section.source().path())),
            }
            before = section.last_seq();
        }
        // The key may have been in an entry that was lost with the segment it was in.
        if before < bound.seq && !SeededBug::WrongFirstKey.is_on() { Err(unknown(self.folder())) } else { Ok(None) }
    }

    fn ask(&self, section: &Section, kind: u8, key: &str, bound: Bound) -> Result<Answer, EventStoreError> {
        let source = section.source();
        // An entry behind the bound is not asked: nobody has said yet that it is there.
        let end = if section.ordinal() == bound.position.ordinal { source.end.min(bound.position.offset) } else { source.end };
        match section.keys(self)? {
            Some(keys) => {
                let mut candidates = keys.candidates(key_hash(&source.salt, kind, key));
                candidates.retain(|offset| *offset < end);
                if SeededBug::WrongFirstKey.is_on() {
                    candidates.reverse();
                }
                Ok(prove(source, &candidates, kind, key)?.map_or(Answer::Absent, Answer::Found))
            }
            None => ask_salvage(section, kind, key),
        }
    }

    /// Every key of one kind up to the bound, entry by entry, until `visit` breaks off.
    ///
    /// # Errors
    /// `Corrupted` where an entry is damaged: it may have been the first with any key.
    pub(crate) fn for_each_key(
        &self,
        kind: u8,
        bound: Bound,
        mut visit: impl FnMut(u64, &str) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, EventStoreError> {
        let mut next = 1;
        for section in self.sections(bound) {
            let section = section?;
            if section.first_seq() > bound.seq {
                break;
            }
            if section.first_seq() != next {
                return Err(unknown_keys(section.source().path(), kind));
            }
            let entries = section.first_seq()..=section.last_seq().min(bound.seq);
            if visit_keys(&section, kind, entries, &mut visit)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            next = section.last_seq() + 1;
        }
        if next <= bound.seq { Err(unknown_keys(self.folder(), kind)) } else { Ok(ControlFlow::Continue(())) }
    }
}

/// Segments in the order in which they are asked for a key: the oldest first, because the first occurrence wins.
fn in_key_order<T>(sections: impl DoubleEndedIterator<Item = T>) -> impl Iterator<Item = T> {
    let (oldest_first, newest_first) = if SeededBug::WrongFirstKey.is_on() { (None, Some(sections.rev())) } else { (Some(sections), None) };
    oldest_first.into_iter().flatten().chain(newest_first.into_iter().flatten())
}

fn unknown(path: &Path, expected: &str) -> EventStoreError {
    Corruption::at(path, 0, expected, "damaged entries")
        .advise("the first occurrence cannot be told; scan the run for what is intact, and verify it to see the extent of the damage")
        .into()
}

fn unknown_keys(path: &Path, kind: u8) -> EventStoreError {
    unknown(path, &format!("every entry with its keys of kind {kind}"))
}

/// The first of the candidates whose entry holds the key.
///
/// An entry that holds another key with the same hash is passed over: that is what a collision looks
/// like. One that holds no key with this hash is not the entry that was indexed.
///
/// # Errors
/// `HashMismatch` and `Corrupted` where a candidate is not the entry that was indexed: it may have
/// been the first with the key.
fn prove(source: &SegmentSource, candidates: &[u64], kind: u8, key: &str) -> Result<Option<u64>, EventStoreError> {
    let hash = key_hash(&source.salt, kind, key);
    for &offset in candidates {
        let mut window = source.point_window();
        match frame_at(&mut window, &source.salt, offset)? {
            FrameStep::Frame(frame) if frame.header.kind == Kind::ENTRY => {
                if holds_key(frame.body, kind, key) {
                    return Ok(Some(frame.header.seq));
                }
                if !holds_hash(frame.body, &source.salt, hash) {
                    let found = format!("one without it, and the index of the key {key:?} names it");
                    return Err(not_indexed(source, offset, "an entry with a key of this hash", found).with_seq(frame.header.seq).into());
                }
            }
            FrameStep::BadBody(header) if header.kind == Kind::ENTRY => return Err(EventStoreError::HashMismatch { seq: header.seq }),
            _ => {
                let found = format!("no entry, and the index of the key {key:?} names one here");
                return Err(not_indexed(source, offset, "an entry", found).into());
            }
        }
    }
    Ok(None)
}

fn not_indexed(source: &SegmentSource, offset: u64, expected: &str, found: String) -> Corruption {
    Corruption::at(source.path(), offset, expected, found).advise("verify the run to see the extent of the damage")
}

fn holds_hash(body: &[u8], salt: &Salt, hash: u64) -> bool {
    EntryParts::decode(body).is_ok_and(|parts| parts.key_bytes().any(|(kind, key)| key_hash(salt, kind, key) == hash))
}

fn holds_key(body: &[u8], kind: u8, key: &str) -> bool {
    EntryParts::decode(body).is_ok_and(|parts| parts.keys().any(|found| found == (kind, key)))
}

/// Asks a damaged segment entry by entry.
fn ask_salvage(section: &Section, kind: u8, key: &str) -> Result<Answer, EventStoreError> {
    let source = section.source();
    let mut window = source.scan_window();
    let mut expected = section.first_seq();
    for found in section.salvage(section.last_seq())?.seqs() {
        if found.seq != expected {
            return Ok(Answer::Unknown);
        }
        expected += 1;
        match frame_at(&mut window, &source.salt, found.offset)? {
            FrameStep::Frame(frame) if holds_key(frame.body, kind, key) => return Ok(Answer::Found(found.seq)),
            FrameStep::Frame(_) => {}
            _ => return Ok(Answer::Unknown),
        }
    }
    Ok(if expected > section.last_seq() { Answer::Absent } else { Answer::Unknown })
}

/// Visits the keys of one kind in the entries of a segment, in their order.
///
/// # Errors
/// `Corrupted` where one of the entries is damaged.
fn visit_keys(
    section: &Section,
    kind: u8,
    entries: RangeInclusive<u64>,
    visit: &mut impl FnMut(u64, &str) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, EventStoreError> {
    let source = section.source();
    let mut window = source.scan_window();
    let mut offset = SEARCH_START;
    let (mut next, last) = entries.into_inner();
    while next <= last {
        offset = match frame_at(&mut window, &source.salt, offset)? {
            FrameStep::Frame(frame) if frame.header.kind == Kind::ENTRY => {
                let Some(parts) = EntryParts::decode(frame.body).ok().filter(|_| frame.header.seq == next) else {
                    return Err(unknown_keys(source.path(), kind));
                };
                if parts.keys().filter(|(found, _)| *found == kind).try_for_each(|(_, key)| visit(next, key)).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                next += 1;
                frame.end()
            }
            FrameStep::BadBody(header) if header.kind == Kind::ENTRY => return Err(unknown_keys(source.path(), kind)),
            FrameStep::Frame(frame) => frame.end(),
            FrameStep::BadBody(header) => offset + header.frame_len(),
            // Another frame than an entry may be damaged: then the next entry is still the one that follows.
            FrameStep::None(_) => match section.salvage(section.last_seq())?.seqs().map(|found| found.offset).find(|found| *found > offset)
            {
                Some(found) => found,
                None => return Err(unknown_keys(source.path(), kind)),
            },
        };
    }
    Ok(ControlFlow::Continue(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::testing::{Written, path, salt};
    use crate::store::reading::segment_source::SegmentBytes;

    #[test]
    fn an_entry_without_a_key_of_the_hash_is_not_taken_for_a_collision() {
        let mut written = Written::new();
        written.entries(&[10; 3]);
        let bytes = written.padded(16 << 10);
        let source = SegmentSource { path: path().into(), salt: salt(), end: bytes.len() as u64, bytes: SegmentBytes::Map(bytes.into()) };
        // Entry 1 has the key O-0, and the entries 2 and 3 have the key O-1.
        let at = |key: &str| {
            let hash = key_hash(&salt(), 1, key);
            written.lists.keys.iter().find(|record| record.hash == hash).unwrap().offset
        };
        assert_eq!(prove(&source, &[at("O-1")], 1, "O-1"), Ok(Some(2)));
        assert_eq!(prove(&source, &[], 1, "O-1"), Ok(None));
        let error = prove(&source, &[at("O-0"), at("O-1")], 1, "O-1").unwrap_err();
        assert!(matches!(&error, EventStoreError::Corrupted(corruption) if corruption.seq == Some(1)), "{error}");
    }
}
