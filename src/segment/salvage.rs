//! What can still be reached in a damaged segment.
//!
//! Salt and offset are part of every header's checksum, so a frame that validates where it stands
//! was written there by this segment's writer. A number is written once in the life of a run, so
//! such an entry is the one that was acknowledged, whatever is damaged around it. An anchor has no
//! number of its own: only the commit right behind it tells whether it was acknowledged.
//!
//! An edit that repairs the checksums next to it passes for an entry all the same. Where a batch is
//! there from its beginning to its commit, the root in that commit tells; which record was edited it
//! does not.

use crate::error::EventStoreError;
use crate::format::commit::Commit;
use crate::format::entry::EntryParts;
use crate::format::frame::{FrameHeader, Kind};
use crate::format::open::Open;
use crate::format::root::RootHasher;
use crate::format::salt::Salt;
use crate::segment::look_ahead::look_ahead;
use crate::segment::tip::FIRST_FRAME;
use crate::segment::window::Window;

/// An entry that was found behind damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) seq: u64,
    pub(crate) offset: u64,
    /// Whether the commit of its batch says that the records were others.
    pub(crate) contradicted: bool,
}

/// A batch of which every frame so far was valid and stood right behind the one before.
struct Unbroken {
    /// Where its next frame begins.
    end: u64,
    root: RootHasher,
    /// The first of its entries, by its place among those that were found.
    first: usize,
}

impl Unbroken {
    fn behind(end: u64, root: &[u8; 32], first: usize) -> Self {
        Self { end, root: RootHasher::new(root), first }
    }

    /// The batch with the next record; none where this is no record that can be told.
    fn with(mut self, header: &FrameHeader, body: &[u8], end: u64) -> Option<Self> {
        let counts = header.kind == Kind::GENESIS || header.kind.is_record() && self.root.record(header.kind, header.seq, body);
        self.end = end;
        counts.then_some(self)
    }
}

/// An anchor that was found behind damage, with its commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FoundAnchor {
    pub(crate) commit_no: u64,
    pub(crate) offset: u64,
}

/// Every entry of a segment whose header is intact, and every anchor that is whole.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Salvage {
    /// Entries by number; their bodies may be damaged.
    entries: Vec<Found>,
    /// In the order of the file.
    anchors: Vec<FoundAnchor>,
    /// The largest `ts_init` among entries that are intact and not past the bound.
    pub(crate) max_ts_init: Option<u64>,
}

impl Salvage {
    /// Looks through a whole segment for records up to the entry `seq_max`.
    pub(crate) fn collect(window: &mut Window<'_>, salt: &Salt, seq_max: u64) -> Result<Self, EventStoreError> {
        let mut salvage = Self::default();
        // The last anchor without its commit yet, and where that would begin.
        let mut anchor = None;
        let mut batch: Option<Unbroken> = None;
        look_ahead(window, salt, FIRST_FRAME, |offset, header, body| {
            let end = offset + header.frame_len();
            let anchor_before = anchor.take().filter(|(_, end)| *end == offset).map(|(anchor, _)| anchor);
            let batch_before = batch.take().filter(|batch| batch.end == offset).zip(body);
            let commit = (header.kind == Kind::COMMIT).then_some(body).flatten();
            let commit = commit.and_then(|body| Commit::decode_body(body, salt, offset, header.seq).ok());
            if let Some(commit) = &commit {
                if let Some((mut before, _)) = batch_before
                    && before.root.finish(commit.commit_no, commit.count) != commit.root
                {
                    salvage.entries.iter_mut().skip(before.first).for_each(|found| found.contradicted = true);
                }
                batch = Some(Unbroken::behind(end, &commit.root, salvage.entries.len()));
            } else if header.kind == Kind::OPEN {
                let open = body.and_then(|body| Open::decode_body(body).ok());
                batch = open.map(|open| Unbroken::behind(end, &open.base.root, salvage.entries.len()));
            } else if let Some((before, body)) = batch_before {
                batch = before.with(header, body, end);
            }
            if header.seq > seq_max {
                return;
            }
            if header.kind == Kind::ENTRY {
                salvage.entries.push(Found { seq: header.seq, offset, contradicted: false });
                if let Some(parts) = body.and_then(|body| EntryParts::decode(body).ok()) {
                    salvage.max_ts_init = salvage.max_ts_init.max(Some(parts.ts_init()));
                }
            } else if header.kind == Kind::ANCHOR && body.is_some() {
                anchor = Some((offset, end));
            } else if let Some((commit, offset)) = commit.zip(anchor_before) {
                salvage.anchors.push(FoundAnchor { commit_no: commit.commit_no, offset });
            }
        })?;
        salvage.entries.sort_by_key(|found| (found.seq, found.offset));
        salvage.entries.dedup_by_key(|found| found.seq);
        Ok(salvage)
    }

    /// Where the newest anchor stands that was recorded up to a commit.
    pub(crate) fn newest_anchor(&self, commit_no_max: u64) -> Option<u64> {
        self.anchors.iter().rev().find(|anchor| anchor.commit_no <= commit_no_max).map(|anchor| anchor.offset)
    }

    /// Where the entry `seq` stands, if its header is intact.
    pub(crate) fn offset_of(&self, seq: u64) -> Option<u64> {
        let index = self.entries.binary_search_by_key(&seq, |found| found.seq).ok()?;
        self.entries.get(index).map(|found| found.offset)
    }

    /// The first number at or behind `seq` that can be reached.
    pub(crate) fn next_seq(&self, seq: u64) -> Option<u64> {
        self.entries.get(self.entries.partition_point(|found| found.seq < seq)).map(|found| found.seq)
    }

    /// The last number before `seq` that can be reached.
    pub(crate) fn seq_before(&self, seq: u64) -> Option<u64> {
        self.entries.get(self.entries.partition_point(|found| found.seq < seq).checked_sub(1)?).map(|found| found.seq)
    }

    /// The numbers that can be reached, ascending.
    pub(crate) fn seqs(&self) -> impl Iterator<Item = Found> {
        self.entries.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::frame::{HEADER_LEN, stamp_frame};
    use crate::segment::testing::{Written, path, salt};

    #[test]
    fn everything_but_the_damaged_entry_is_reached() {
        let mut written = Written::new();
        written.entries(&[100; 5]).batch(|buffer| buffer.push_record(Kind::ANCHOR, b"anchor")).entries(&[100; 3]);
        let mut bytes = written.padded(16 << 10);
        let at = usize::try_from(written.batches[0].0).unwrap();
        bytes[at + 2] ^= 1;
        let salvage = Salvage::collect(&mut Window::over_slice(&bytes, path()), &salt(), 7).unwrap();
        assert_eq!(salvage.seqs().map(|found| found.seq).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7]);
        assert_eq!((salvage.offset_of(1), salvage.offset_of(8)), (None, None));
        assert_eq!((salvage.next_seq(0), salvage.next_seq(3), salvage.next_seq(8)), (Some(2), Some(3), None));
        assert_eq!(salvage.newest_anchor(2), Some(written.batches[1].0));
        assert_eq!(salvage.newest_anchor(1), None, "the first commit was acknowledged, and the anchor's was not");
        assert_eq!(salvage.max_ts_init, Some(998), "the damaged entry had the largest");
    }

    #[test]
    fn a_commit_contradicts_the_entries_of_its_own_batch_and_of_no_other() {
        let mut written = Written::new();
        written.entries(&[100; 2]).entries(&[100; 2]).entries(&[100; 2]);
        let whole = written.padded(16 << 10);
        let contradicted = |bytes: &[u8]| {
            let salvage = Salvage::collect(&mut Window::over_slice(bytes, path()), &salt(), 6).unwrap();
            salvage.seqs().filter(|found| found.contradicted).map(|found| found.seq).collect::<Vec<_>>()
        };
        assert_eq!(contradicted(&whole), [0; 0]);
        let mut edited = whole.clone();
        let offset = written.batches[1].0;
        let at = usize::try_from(offset).unwrap();
        let header = FrameHeader::decode(&edited[at..], &salt(), offset).unwrap();
        let frame = &mut edited[at..at + HEADER_LEN + header.body_len as usize];
        let key = frame.windows(3).position(|bytes| bytes == b"O-1").unwrap();
        frame[key] = b'X';
        stamp_frame(frame, &salt(), offset, header.kind, header.seq);
        assert_eq!(contradicted(&edited), [3, 4]);
        // With the commit before it damaged, nothing says what the batch hangs on.
        edited[at - 8] ^= 1;
        assert_eq!(contradicted(&edited), [0; 0]);
    }

    #[test]
    fn an_anchor_without_its_commit_was_never_recorded() {
        let mut written = Written::new();
        let anchor = |buffer: &mut crate::segment::batch::BatchBuffer| buffer.push_record(Kind::ANCHOR, b"anchor");
        written.entries(&[100; 2]).batch(anchor).batch(anchor);
        let mut bytes = written.padded(16 << 10);
        let end = usize::try_from(written.batches[2].1).unwrap();
        bytes[end - 1] ^= 1;
        let salvage = Salvage::collect(&mut Window::over_slice(&bytes, path()), &salt(), 2).unwrap();
        assert_eq!(salvage.newest_anchor(u64::MAX), Some(written.batches[1].0));
    }

    #[test]
    fn an_entry_with_a_damaged_body_is_reached_and_not_believed() {
        let mut written = Written::new();
        written.entries(&[100; 2]);
        let mut bytes = written.padded(16 << 10);
        let at = usize::try_from(written.batches[0].0).unwrap();
        bytes[at + 60] ^= 1;
        let salvage = Salvage::collect(&mut Window::over_slice(&bytes, path()), &salt(), 2).unwrap();
        assert_eq!(salvage.offset_of(1), Some(written.batches[0].0));
        assert_eq!(salvage.max_ts_init, Some(998));
    }
}
