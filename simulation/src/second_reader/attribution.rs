//! What each byte of a segment belongs to.

use std::ops::Range;

use super::identity::COPIES;
use super::{FRAME_HEADER_LEN, HEADER_PAGE_LEN, Segment};

const COPY_LEN: usize = 40;

/// Which part of a frame a byte lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The 24 bytes before the body.
    Header,
    /// The body.
    Body,
    /// The zeros behind the body.
    Padding,
}

/// What a byte of a segment belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A copy in the header page, 0 or 1.
    HeaderCopy(u8),
    /// The zeros in the header page.
    HeaderZeros,
    /// OPEN of a segment in use.
    Open(Part),
    /// GENESIS.
    Genesis(Part),
    /// A record of a batch.
    Record {
        /// The number of the batch's commit.
        commit_no: u64,
        /// What the record is.
        kind: u8,
        /// Its number, or the last one so far.
        seq: u64,
        /// Which part of its frame.
        part: Part,
    },
    /// The commit of a batch.
    Commit {
        /// Its number.
        commit_no: u64,
        /// Which part of its frame.
        part: Part,
    },
    /// What lies behind the last batch: zeros, or what was being written.
    BehindEnd,
}

impl Segment {
    /// What the byte at `offset` belongs to; none behind the end of the file.
    #[must_use]
    pub fn owner(&self, offset: usize) -> Option<Owner> {
        if offset >= self.len {
            return None;
        }
        if offset < HEADER_PAGE_LEN {
            let copy = COPIES.iter().position(|start| (*start..*start + COPY_LEN).contains(&offset));
            return Some(copy.and_then(|copy| u8::try_from(copy).ok()).map_or(Owner::HeaderZeros, Owner::HeaderCopy));
        }
        if offset >= self.end {
            return Some(Owner::BehindEnd);
        }
        if let Some(open) = self.open.as_ref().filter(|open| open.range.contains(&offset)) {
            // The body of OPEN is a multiple of eight long, so that its frame has no padding.
            return Some(Owner::Open(part(&open.range, open.range.end, offset)));
        }
        if let Some(genesis) = self.genesis.as_ref().filter(|genesis| genesis.range().contains(&offset)) {
            return Some(Owner::Genesis(part(&genesis.range(), genesis.body.end, offset)));
        }
        let batch = self.batch_at(offset)?;
        let commit_no = batch.commit_no;
        if batch.commit.contains(&offset) {
            return Some(Owner::Commit { commit_no, part: part(&batch.commit, batch.commit.end, offset) });
        }
        let record = batch.records.get(batch.records.partition_point(|record| record.range.end <= offset))?;
        Some(Owner::Record { commit_no, kind: record.kind, seq: record.seq, part: part(&record.range, record.body.end, offset) })
    }

    /// The first commit that a walk cannot accept when the byte at `offset` is another one.
    ///
    /// A record or a commit takes its own batch with it; OPEN and GENESIS take all of the segment. Header page and
    /// whatever lies behind the end take nothing.
    #[must_use]
    pub fn commit_of(&self, offset: usize) -> Option<u64> {
        match self.owner(offset)? {
            Owner::Record { commit_no, .. } | Owner::Commit { commit_no, .. } => Some(commit_no),
            Owner::Open(_) | Owner::Genesis(_) => self.batches.first().map(|batch| batch.commit_no),
            Owner::HeaderCopy(_) | Owner::HeaderZeros | Owner::BehindEnd => None,
        }
    }

    /// The first commit that a walk cannot accept when bytes of this range are other ones.
    #[must_use]
    pub fn first_commit_in(&self, range: &Range<usize>) -> Option<u64> {
        let first = self.batches.first()?;
        if range.is_empty() || range.end <= HEADER_PAGE_LEN {
            return None;
        }
        if range.start < first.start {
            return Some(first.commit_no);
        }
        self.batch_at(range.start).map(|batch| batch.commit_no)
    }
}

fn part(frame: &Range<usize>, body_end: usize, offset: usize) -> Part {
    if offset < frame.start + FRAME_HEADER_LEN {
        Part::Header
    } else if offset < body_end {
        Part::Body
    } else {
        Part::Padding
    }
}
