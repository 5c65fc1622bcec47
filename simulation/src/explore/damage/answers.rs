//! What a store answers of a damaged run: what was given, or an error that says so.

use std::collections::BTreeMap;

use tapelog::{EventStore, EventStoreError, IndexKind, ScanDirection, SegmentBackend, SnapshotAnchor};

use crate::explore::damage::edited::EditedKeys;
use crate::log::RunLog;

/// What the answers of a store are held against.
pub struct Expected<'a> {
    /// Everything that was given.
    pub log: &'a RunLog,
    /// The last entry that the store must not be without.
    pub least_seq: u64,
    /// Whether the bytes of an entry are as they were written and can be read.
    pub is_intact: &'a dyn Fn(u64) -> bool,
    /// Whether a sector cannot be read, so that an error of the disk is an answer.
    pub unreadable: bool,
    /// The keys that the entries have now, where some were edited and their checksums repaired: only a walk tells them
    /// from those given.
    pub edited: Option<&'a EditedKeys>,
    /// The newest anchor, where the store does not say that the run is damaged.
    pub anchor: Option<Option<&'a SnapshotAnchor>>,
}

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answers {
    /// The last entry that is shown.
    pub high_watermark: u64,
    /// How many entries are refused.
    pub entries_refused: u64,
    /// How many questions of any sort were answered with an error of damage.
    pub refused: u64,
}

impl Expected<'_> {
    /// Whether an error is one that tells of damage.
    #[must_use]
    pub fn tells_damage(&self, error: &EventStoreError) -> bool {
        match error {
            EventStoreError::HashMismatch { .. } | EventStoreError::Gap { .. } | EventStoreError::Corrupted(_) => true,
            EventStoreError::Disk(_) => self.unreadable,
            _ => false,
        }
    }

    fn refuse(&self, what: &str, error: &EventStoreError, answers: &mut Answers) -> Result<(), String> {
        if !self.tells_damage(error) {
            return Err(format!("{what} is answered with an error that tells of no damage: {error:?}"));
        }
        answers.refused += 1;
        Ok(())
    }

    /// Asks a store everything.
    ///
    /// # Errors
    /// A wrong answer, or one in silence.
    pub fn ask(&self, store: &SegmentBackend) -> Result<Answers, String> {
        let high_watermark = store.high_watermark().map_err(|error| error.to_string())?;
        if high_watermark < self.least_seq {
            return Err(format!(
                "silently shorter: the high-watermark is {high_watermark}, and entry {} is proven durable by an intact witness",
                self.least_seq
            ));
        }
        if high_watermark > self.log.last_seq() {
            return Err(format!("the high-watermark is {high_watermark}, and entry {} is the last given", self.log.last_seq()));
        }
        let mut answers = Answers { high_watermark, entries_refused: 0, refused: 0 };
        self.ask_entries(store, &mut answers)?;
        for kind in IndexKind::ALL {
            self.ask_keys(store, kind, &mut answers)?;
        }
        self.ask_anchor(store, &mut answers)?;
        Ok(answers)
    }

    fn ask_entries(&self, store: &SegmentBackend, answers: &mut Answers) -> Result<(), String> {
        let high_watermark = answers.high_watermark;
        for seq in 1..=high_watermark {
            match store.scan_seq(seq) {
                Ok(Some(entry)) if self.log.entry(seq) == Some(&entry) => {}
                Ok(Some(entry)) => return Err(format!("a wrong entry: {seq} was asked for, and answered {entry:?}")),
                Ok(None) => return Err(format!("entry {seq} is said not to be there, and the high-watermark is {high_watermark}")),
                Err(error) => {
                    self.refuse(&format!("entry {seq}"), &error, answers)?;
                    answers.entries_refused += 1;
                    if (self.is_intact)(seq) && !self.unreadable {
                        return Err(format!("entry {seq} is intact and is refused: {error}"));
                    }
                }
            }
        }
        if store.scan_seq(high_watermark + 1) != Ok(None) {
            return Err(format!("entry {} is behind the high-watermark and is answered", high_watermark + 1));
        }
        match store.scan_range(1, u64::MAX, ScanDirection::Forward) {
            Ok(entries) if entries.iter().eq(self.log.entries_up_to(high_watermark)) && answers.entries_refused == 0 => Ok(()),
            Ok(entries) => {
                let refused = answers.entries_refused;
                Err(format!("a scan answers {} entries up to {high_watermark}, and {refused} are refused one by one", entries.len()))
            }
            Err(error) => self.refuse("a scan", &error, answers),
        }
    }

    fn ask_keys(&self, store: &SegmentBackend, kind: IndexKind, answers: &mut Answers) -> Result<(), String> {
        let high_watermark = answers.high_watermark;
        // A key that was never given, and that an edit has made, has no first entry among those given.
        let mut keys: BTreeMap<&str, u64> = self.edited.iter().flat_map(|edited| edited.texts(kind)).map(|key| (key, u64::MAX)).collect();
        keys.extend(self.log.first_keys(kind, u64::MAX));
        for (key, first) in keys {
            let given = Some(first).filter(|first| *first <= high_watermark);
            match store.lookup(kind, key) {
                Ok(found) if found == given => {}
                Ok(Some(found)) if self.edited.is_some_and(|edited| edited.first(kind, key, high_watermark) == Some(found)) => {}
                Ok(found) => return Err(format!("the key {key} is found at {found:?}, and was first given at {given:?}")),
                Err(error) => self.refuse(&format!("the key {key}"), &error, answers)?,
            }
        }
        match store.lookup(kind, "no such key") {
            Ok(None) => {}
            Ok(found) => return Err(format!("a key that was never given is found at {found:?}")),
            Err(error) => self.refuse("a key that was never given", &error, answers)?,
        }
        match store.iter_index_keys(kind) {
            Ok(found) => self.check_keys(kind, &found, high_watermark),
            Err(error) => self.refuse(&format!("the list of keys of {kind}"), &error, answers),
        }
    }

    /// Checks a list of keys: those given, or all of those that the entries have now.
    fn check_keys(&self, kind: IndexKind, found: &[(String, u64)], high_watermark: u64) -> Result<(), String> {
        let mut sorted: Vec<_> = found.iter().map(|(key, seq)| (key.as_str(), *seq)).collect();
        sorted.sort_unstable();
        let is_given = sorted.iter().copied().eq(self.log.first_keys(kind, high_watermark));
        let edited = self.edited.and_then(|edited| edited.firsts(kind, high_watermark));
        if is_given || edited.is_some_and(|edited| sorted.into_iter().eq(edited)) {
            return Ok(());
        }
        Err(format!("the keys of {kind} are not those given: {found:?}"))
    }

    fn ask_anchor(&self, store: &SegmentBackend, answers: &mut Answers) -> Result<(), String> {
        match (store.latest_snapshot_anchor(), self.anchor) {
            (Ok(found), Some(given)) if found.as_ref() == given => Ok(()),
            (Ok(found), Some(given)) => Err(format!("the newest anchor is {found:?}, and {given:?} was given")),
            (Ok(Some(found)), None) if !self.log.gave_anchor(&found) => Err(format!("an anchor that was never given: {found:?}")),
            // Of a run that is judged damaged, the newest intact anchor is shown.
            (Ok(_), None) => Ok(()),
            (Err(error), _) => self.refuse("the newest anchor", &error, answers),
        }
    }
}
