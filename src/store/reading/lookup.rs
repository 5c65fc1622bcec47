//! Finding the first entry that was recorded with a key.
//!
//! The first occurrence wins, so segments are asked oldest first and the write path never looks
//! anything up. A hit in an index is a candidate that the entry itself proves. A miss is believed
//! only of a segment all of whose entries could be asked.

use std::ops::{ControlFlow, RangeInclusive};
use std::path::Path;

use crate::error::{Corruption, EventStoreError};
use crate::format::entry::EntryParts;
use crate::format::frame::{FrameHeader, HEADER_LEN, Kind};
use crate::format::key_index::key_hash;
use crate::format::salt::Salt;
use crate::seeded_bug::SeededBug;
use crate::segment::salvage::Salvage;
use crate::segment::walk::{FrameStep, frame_at};
use crate::segment::window::Window;
use crate::store::reading::handles::SEARCH_START;
use crate::store::reading::segment_set::{Bound, Section, SegmentSet};
use crate::store::reading::segment_source::SegmentSource;

/// What a segment says about a key.
enum Answer {
    Found(u64),
    Absent,
    /// Some of its entries are damaged or edited: the key may have been in one of them.
    Unknown,
}

impl SegmentSet {
    /// The first entry up to the bound that was recorded with a key.
    ///
    /// # Errors
    /// `HashMismatch` where the entry that the index names is damaged; `Corrupted` where it is another
    /// one, and where damage before the first occurrence leaves open whether it is the first.
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
        let Some(keys) = section.keys(self)? else {
            let salvage = section.salvage(section.last_seq())?;
            return ask_salvage(source, &salvage, section.first_seq()..=section.last_seq(), kind, key);
        };
        // An entry behind the bound is not asked: nobody has said yet that it is there.
        let end = if section.ordinal() == bound.position.ordinal { source.end.min(bound.position.offset) } else { source.end };
        let mut candidates = keys.candidates(key_hash(&source.salt, kind, key));
        candidates.retain(|offset| *offset < end);
        if SeededBug::WrongFirstKey.is_on() {
            candidates.reverse();
        }
        Ok(prove(source, &candidates, kind, key)?.map_or(Answer::Absent, Answer::Found))
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
/// like. One that holds no key with this hash is not the entry that was indexed, and neither is one whose
/// number the frame behind it contradicts: it was moved there together with its number.
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
                    let (seq, end) = (frame.header.seq, frame.end());
                    check_number(source, &mut window, (offset, end), seq)?;
                    return Ok(Some(seq));
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

/// Checks the number of an entry against the frame behind it, which has the next one, or the same where it takes none.
/// A frame that cannot be read says nothing.
fn check_number(source: &SegmentSource, window: &mut Window<'_>, (offset, end): (u64, u64), seq: u64) -> Result<(), EventStoreError> {
    let behind = window.get(end, HEADER_LEN)?.and_then(|bytes| FrameHeader::decode(bytes, &source.salt, end));
    let Some(behind) = behind else { return Ok(()) };
    let follows = if behind.kind == Kind::ENTRY { seq.checked_add(1) == Some(behind.seq) } else { seq == behind.seq };
    if follows {
        return Ok(());
    }
    let found = format!("the number {seq}, and behind it {}", behind.seq);
    Err(not_indexed(source, offset, "an entry whose number the next frame continues", found).with_seq(seq).into())
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
fn ask_salvage(
    source: &SegmentSource,
    salvage: &Salvage,
    entries: RangeInclusive<u64>,
    kind: u8,
    key: &str,
) -> Result<Answer, EventStoreError> {
    let mut window = source.scan_window();
    let (mut expected, last) = entries.into_inner();
    for found in salvage.seqs() {
        if found.seq != expected {
            return Ok(Answer::Unknown);
        }
        expected += 1;
        // An entry whose batch was edited may have had the key, and so may one whose keys cannot be told.
        let FrameStep::Frame(frame) = frame_at(&mut window, &source.salt, found.offset)? else { return Ok(Answer::Unknown) };
        let Some(parts) = EntryParts::decode(frame.body).ok().filter(|_| !found.contradicted) else { return Ok(Answer::Unknown) };
        if parts.keys().any(|found| found == (kind, key)) {
            return Ok(Answer::Found(found.seq));
        }
    }
    Ok(if expected > last { Answer::Absent } else { Answer::Unknown })
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
    use crate::format::frame::stamp_frame;
    use crate::segment::testing::{Written, path, salt};
    use crate::store::reading::segment_source::SegmentBytes;

    fn source_of(bytes: &[u8]) -> SegmentSource {
        SegmentSource { path: path().into(), salt: salt(), end: bytes.len() as u64, bytes: SegmentBytes::Map(bytes.to_vec().into()) }
    }

    /// Writes the header of the frame at `offset` anew, with another number, or for a body that `edit` changes.
    fn restamp(bytes: &mut [u8], offset: u64, seq: u64, edit: impl FnOnce(&mut [u8])) {
        let at = usize::try_from(offset).unwrap();
        let header = FrameHeader::decode(&bytes[at..], &salt(), offset).unwrap();
        let frame = &mut bytes[at..at + HEADER_LEN + header.body_len as usize];
        edit(&mut frame[HEADER_LEN..]);
        stamp_frame(frame, &salt(), offset, header.kind, seq);
    }

    #[test]
    fn an_entry_without_a_key_of_the_hash_is_not_taken_for_a_collision() {
        let mut written = Written::new();
        written.entries(&[10; 3]);
        let bytes = written.padded(16 << 10);
        let source = source_of(&bytes);
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

    #[test]
    fn an_entry_that_was_moved_with_its_number_is_not_taken_for_the_one_that_was_indexed() {
        let mut written = Written::new();
        // The entries 2 and 3 have the key O-1 and the same length.
        written.entries(&[10; 3]);
        let offsets: Vec<_> = written.lists.keys.iter().map(|record| record.offset).collect();
        let mut bytes = written.padded(16 << 10);
        restamp(&mut bytes, offsets[1], 3, |_| ());
        restamp(&mut bytes, offsets[2], 2, |_| ());
        for offset in &offsets[1..] {
            let error = prove(&source_of(&bytes), &[*offset], 1, "O-1").unwrap_err();
            assert!(matches!(error, EventStoreError::Corrupted(_)), "{error}");
        }
        // A frame behind it that is damaged says nothing of the entry.
        bytes[usize::try_from(offsets[2]).unwrap()] ^= 1;
        assert_eq!(prove(&source_of(&bytes), &offsets[1..2], 1, "O-1"), Ok(Some(3)));
    }

    #[test]
    fn among_salvaged_entries_no_answer_comes_past_one_whose_keys_cannot_be_told() {
        let mut written = Written::new();
        written.entries(&[10]).entries(&[10; 2]);
        let offsets: Vec<_> = written.lists.keys.iter().map(|record| record.offset).collect();
        let ask = |bytes: &[u8], key| {
            let salvage = Salvage::collect(&mut Window::over_slice(bytes, path()), &salt(), 3).unwrap();
            match ask_salvage(&source_of(bytes), &salvage, 1..=3, 1, key).unwrap() {
                Answer::Found(seq) => Some(seq),
                Answer::Absent => Some(0),
                Answer::Unknown => None,
            }
        };
        let whole = written.padded(16 << 10);
        assert_eq!(["O-0", "O-1", "O-2"].map(|key| ask(&whole, key)), [Some(1), Some(2), Some(0)]);
        // A key section that does not end where it says cannot be decoded, and its checksums fit.
        let mut undecodable = whole.clone();
        restamp(&mut undecodable, offsets[0], 1, |body| {
            let key = body.windows(3).position(|bytes| bytes == b"O-0").unwrap();
            body[key - 2] ^= 1;
        });
        assert_eq!(["O-0", "O-1", "O-2"].map(|key| ask(&undecodable, key)), [None; 3]);
        // Entry 3 says now that it has another key; the commit says that one of its batch was another one.
        let mut edited = whole.clone();
        restamp(&mut edited, offsets[2], 3, |body| {
            let key = body.windows(3).position(|bytes| bytes == b"O-1").unwrap();
            body[key + 2] = b'2';
        });
        assert_eq!(["O-0", "O-1", "O-2"].map(|key| ask(&edited, key)), [Some(1), None, None]);
    }
}
