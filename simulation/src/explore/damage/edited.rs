//! Where the keys of edited entries lead, as the second reader finds them in the edited bytes.
//!
//! The hash of an entry does not cover its keys. Where they were edited and the checksums next to them repaired, a reader
//! that comes there without a walk can tell that the entry is not the one that was indexed, and no more. So it may answer
//! what was given, or what the bytes now say: the first entry that really has the key.

use std::collections::BTreeMap;
use std::ops::Range;

use tapelog::IndexKind;

use crate::explore::damage::image::Files;
use crate::second_reader::{EntryPlace, HEADER_PAGE_LEN, Run, kind, search_frames, segment_name};

/// The keys that an entry has now; none where its body cannot be decoded.
type Keys = Option<Vec<(u8, String)>>;

/// The entries of a run with the keys that they have now.
#[derive(Debug, Default)]
pub struct EditedKeys {
    entries: BTreeMap<u64, Keys>,
}

impl EditedKeys {
    /// Reads every entry whose frame is valid where it stands, in the chain or not.
    #[must_use]
    pub fn read(run: &Run, run_id: &str, files: &Files) -> Self {
        let mut entries = BTreeMap::new();
        for (ordinal, segment) in &run.segments {
            let Some(bytes) = files.get(&format!("{run_id}/{}", segment_name(*ordinal))) else { continue };
            let frames = search_frames(bytes, segment.salt, HEADER_PAGE_LEN).into_iter();
            for frame in frames.filter(|frame| frame.is_valid() && frame.kind == kind::ENTRY) {
                entries.entry(frame.seq).or_insert_with(|| keys_of(bytes, &EntryPlace::of_body(bytes, &frame.body)?));
            }
        }
        Self { entries }
    }

    /// The first entry that has a key now, if it stands at or before the entry `last` and every entry before it can be
    /// asked: one that cannot might have been the first.
    #[must_use]
    pub fn first(&self, of: IndexKind, key: &str, last: u64) -> Option<u64> {
        let has_key = |(kind, text): &(u8, String)| *kind == of.code() && text == key;
        self.known_up_to(last).find(|(_, keys)| keys.iter().any(has_key)).map(|(seq, _)| seq)
    }

    /// Every key of a kind that an entry has now, with the first that does; none unless all entries up to `last` can be asked.
    #[must_use]
    pub fn firsts(&self, of: IndexKind, last: u64) -> Option<BTreeMap<&str, u64>> {
        let mut firsts = BTreeMap::new();
        for (seq, keys) in self.known_up_to(last) {
            for (_, text) in keys.iter().filter(|(kind, _)| *kind == of.code()) {
                firsts.entry(text.as_str()).or_insert(seq);
            }
        }
        let known = self.known_up_to(last).count();
        (usize::try_from(last) == Ok(known)).then_some(firsts)
    }

    /// Every key of a kind that any entry has now.
    pub fn texts(&self, of: IndexKind) -> impl Iterator<Item = &str> {
        let keys = self.entries.values().flatten().flatten();
        keys.filter(move |(kind, _)| *kind == of.code()).map(|(_, text)| text.as_str())
    }

    /// The entries from the first on, to the one before the first that is not there or cannot be decoded.
    fn known_up_to(&self, last: u64) -> impl Iterator<Item = (u64, &Vec<(u8, String)>)> {
        let entries = self.entries.iter().take_while(move |(seq, _)| **seq <= last);
        (1..).zip(entries).map_while(|(due, (seq, keys))| Some((*seq, keys.as_ref().filter(|_| *seq == due)?)))
    }
}

fn keys_of(bytes: &[u8], entry: &EntryPlace) -> Keys {
    let text = |range| String::from_utf8(bytes.get::<Range<usize>>(range)?.to_vec()).ok();
    entry.key_places.iter().map(|key| Some((key.kind, text(key.text.clone())?))).collect()
}
