//! Appends, anchors and rolls, and what their answers say.

use std::path::Path;

use tapelog::{AppendEntry, EventStore, EventStoreError, SnapshotAnchor, limits};

use super::{Engine, Passage, SEGMENT_LEN};
use crate::disk::node::FolderNode;
use crate::log::{Filling, RunLog, entry};
use crate::setting::Mode;

/// What one small batch needs, at most, and the rest that a filling batch leaves in its segment.
const SMALL_BATCH_LEN: u64 = 400;

/// Nothing may come of it that a store which something closed is asked.
///
/// # Errors
/// Where something did.
pub(super) fn refuse_if(condemned: Option<&String>, what: &str) -> Result<(), String> {
    condemned.map_or(Ok(()), |why| Err(format!("{why}, and {what} afterwards")))
}

impl Engine {
    pub(super) fn append(&mut self, entries: &[(usize, Filling)]) -> Result<Passage, String> {
        let condemned = self.condemned();
        let (Some(store), Some(run)) = (&mut self.store, self.runs.last_mut()) else {
            return Ok(self.passage(self.expected()));
        };
        self.attempts += 1;
        // What was given in vain may still be on the disk, unless something else takes its numbers now.
        let before = run.clone();
        run.cut(run.accepted);
        let first = run.last_seq() + 1;
        let batch: Vec<AppendEntry> =
            (first..).zip(entries).map(|(seq, (len, filling))| entry(seq, *len, *filling, self.attempts)).collect();
        let refused = store.recovery().is_some();
        if !refused {
            run.give_batch(&batch);
        }
        let during: Vec<_> = self.runs.iter().map(|run| run.expected).collect();
        let answer = store.append_batch(&batch);
        let outcome = match answer {
            Ok(high_watermark) => {
                refuse_if(condemned.as_ref(), "an append is accepted")?;
                let Some(run) = self.runs.last_mut() else { return Err("no run".to_owned()) };
                run.accepted = run.commits();
                run.expected.written = run.commits();
                if self.setting.mode == Mode::Synced && high_watermark != run.last_seq() {
                    return Err(format!("entry {} was appended, and the high-watermark is {high_watermark}", run.last_seq()));
                }
                Ok(())
            }
            Err(error) => {
                self.put_back(before, &error);
                self.explain("an append", &error)
            }
        };
        outcome?;
        self.note_high_watermark(condemned.as_ref())?;
        self.check_unsynced()?;
        Ok(self.passage(during))
    }

    /// A store whose latch is closed has written nothing: what was given in vain before is still what may be there.
    fn put_back(&mut self, before: RunLog, error: &EventStoreError) {
        if error.to_string().contains("nothing is written any more")
            && let Some(run) = self.runs.last_mut()
        {
            *run = before;
        }
    }

    /// What the high-watermark covers is acknowledged.
    pub(super) fn note_high_watermark(&mut self, condemned: Option<&String>) -> Result<(), String> {
        let (Some(store), Some(run)) = (&self.store, self.runs.last_mut()) else { return Ok(()) };
        let high_watermark = store.high_watermark().map_err(|error| error.to_string())?;
        if high_watermark > run.last_seq() {
            return Err(format!("the high-watermark is {high_watermark}, and the last entry given {}", run.last_seq()));
        }
        let commits = run.commits_up_to(high_watermark);
        if run.last_seq_at(commits) != high_watermark {
            return Err(format!("the high-watermark {high_watermark} is no end of a batch"));
        }
        if commits > run.expected.durable {
            refuse_if(condemned, "more is acknowledged")?;
        }
        run.expected.durable = run.expected.durable.max(commits);
        Ok(())
    }

    /// What of a store closes it for good: it failed before this was asked.
    pub(super) fn condemned(&self) -> Option<String> {
        self.runs.last().and_then(|run| self.disk.condemned(&Self::folder(run)))
    }

    /// No more than the bound waits for a sync, unless it is one batch. Payloads alone are counted.
    fn check_unsynced(&self) -> Result<(), String> {
        let (Some(store), Some(run), Mode::Bounded) = (&self.store, self.runs.last(), self.setting.mode) else { return Ok(()) };
        let durable = store.stats().durable;
        let waiting = run.payload_len(durable, run.last_seq_at(run.accepted));
        let is_one_batch = run.last_seq_at(run.accepted.saturating_sub(1)) <= durable;
        if waiting > limits::UNSYNCED_LEN_MIN && !is_one_batch && !self.is_recovered() {
            return Err(format!("{waiting} bytes of payload wait for a sync, and no more than {} may", limits::UNSYNCED_LEN_MIN));
        }
        Ok(())
    }

    pub(super) fn anchor(&mut self) -> Result<Passage, String> {
        let condemned = self.condemned();
        let (Some(store), Some(run)) = (&mut self.store, self.runs.last_mut()) else {
            return Ok(self.passage(self.expected()));
        };
        self.attempts += 1;
        let before = run.clone();
        run.cut(run.accepted);
        let anchor = SnapshotAnchor::new(run.last_seq(), format!("snapshot-{}", self.attempts), format!("blake3:{:064x}", self.attempts));
        let refused = store.recovery().is_some();
        if !refused {
            run.give_anchor(anchor.clone());
        }
        let during: Vec<_> = self.runs.iter().map(|run| run.expected).collect();
        let answer = store.record_snapshot_anchor(anchor);
        match answer {
            Ok(()) => {
                refuse_if(condemned.as_ref(), "an anchor is accepted")?;
                let Some(run) = self.runs.last_mut() else { return Err("no run".to_owned()) };
                run.accepted = run.commits();
                run.expected.written = run.commits();
                run.expected.durable = run.commits();
            }
            Err(error) => {
                self.put_back(before, &error);
                self.explain("an anchor", &error)?;
            }
        }
        self.note_high_watermark(condemned.as_ref())?;
        Ok(self.passage(during))
    }

    /// Fills the active segment and begins the next one.
    pub(super) fn roll(&mut self, passages: &mut Vec<Passage>) -> Result<(), String> {
        if self.store.is_none() || self.is_recovered() {
            return Ok(());
        }
        let room = self.room();
        if room > SMALL_BATCH_LEN {
            let len = usize::try_from(room - SMALL_BATCH_LEN).map_err(|error| error.to_string())?;
            passages.push(self.append(&[(len, Filling::Zeros)])?);
        }
        passages.push(self.append(&[(110, Filling::Bytes)])?);
        Ok(())
    }

    /// The bytes that are left in the segment that is being written.
    fn room(&self) -> u64 {
        let Some(run) = self.runs.last() else { return 0 };
        let state = self.disk.state();
        let folder = state.find(&Self::folder(run)).and_then(|node| state.folder(node));
        let segments = folder
            .into_iter()
            .flat_map(FolderNode::names)
            .filter(|(name, _)| Path::new(name).extension().is_some_and(|extension| extension == "seg"));
        let written = segments.filter_map(|(_, node)| state.file(node)).filter_map(|file| {
            let contents = file.contents();
            contents.get(4_096..)?.iter().rposition(|byte| *byte != 0).map(|last| file.len() - 4_096 - last as u64 - 1)
        });
        written.last().unwrap_or(SEGMENT_LEN - 4_096 - 1_200)
    }
}
