//! The walk from batch to batch.

use std::ops::Range;

use super::commit::CommitPlace;
use super::root::RootHasher;
use super::{BATCH_SPAN_MAX, EntryPlace, FramePlace, Identity, Root, STREAM_ENTRIES, STREAM_MARKERS, Salt, frames, kind};

/// A record of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordPlace {
    /// What it is; see [`kind`](super::kind).
    pub kind: u8,
    /// Its number, or the last one so far.
    pub seq: u64,
    /// The whole frame with its padding.
    pub range: Range<usize>,
    /// The body.
    pub body: Range<usize>,
}

/// A batch that a walk accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchPlace {
    /// The number of its commit.
    pub commit_no: u64,
    /// The last number before it plus one.
    pub first_seq: u64,
    /// How many records it has.
    pub count: u32,
    /// The last number, this batch included.
    pub last_seq: u64,
    /// Where its first frame begins.
    pub start: usize,
    /// The frame of its commit.
    pub commit: Range<usize>,
    /// Where it ends: behind its commit.
    pub end: usize,
    /// The last commit that was durable when it was written, as it says.
    pub claimed_commit_no: u64,
    /// The last number that was durable then, as it says.
    pub claimed_seq: u64,
    /// The root before it.
    pub root_before: Root,
    /// The root behind it.
    pub root: Root,
    /// Its records.
    pub records: Vec<RecordPlace>,
    /// The largest `ts_init` of its entries; 0 without any.
    pub max_ts_init: u64,
}

/// How far a walk has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) commit_no: u64,
    pub(super) seq: u64,
    pub(super) root: Root,
}

impl Point {
    const fn behind(batch: &BatchPlace) -> Self {
        Self { commit_no: batch.commit_no, seq: batch.last_seq, root: batch.root }
    }
}

/// Whether a record of this kind may stand in the stream, and whether it takes a number there.
const fn takes_number(stream: u8, record: u8) -> Option<bool> {
    match (stream, record) {
        (STREAM_ENTRIES, kind::ENTRY) | (STREAM_MARKERS, kind::SNAPSHOT | kind::HIFI | kind::DICT | kind::GAP) => Some(true),
        (STREAM_ENTRIES, kind::ANCHOR) | (_, 10..=255) => Some(false),
        _ => None,
    }
}

/// All batches that are accepted one behind the other from `from` on.
pub(super) fn walk(bytes: &[u8], identity: Identity, from: usize, base: Point) -> Vec<BatchPlace> {
    let salt = identity.salt();
    let (mut at, mut point, mut batches) = (from, base, Vec::new());
    while let Some(batch) = next(bytes, identity.stream, salt, at, point) {
        (at, point) = (batch.end, Point::behind(&batch));
        batches.push(batch);
    }
    batches
}

/// The batch whose first frame begins at `start`, if all of section 5.2 holds for it.
fn next(bytes: &[u8], stream: u8, salt: Salt, start: usize, base: Point) -> Option<BatchPlace> {
    let mut hasher = RootHasher::behind(&base.root);
    let (mut seq, mut max_ts_init, mut records) = (base.seq, 0, Vec::new());
    for frame in frames(bytes, salt, start) {
        if !frame.is_valid() || frame.offset - start > BATCH_SPAN_MAX {
            return None;
        }
        if frame.kind == kind::COMMIT {
            return accept(CommitPlace::of_frame(bytes, salt, &frame)?, hasher, base, seq, start, records, max_ts_init);
        }
        if takes_number(stream, frame.kind)? {
            seq = seq.checked_add(1)?;
        }
        if frame.seq != seq {
            return None;
        }
        if frame.kind == kind::ENTRY {
            let entry = EntryPlace::of_body(bytes, &frame.body)?;
            max_ts_init = max_ts_init.max(entry.ts_init_nanos(bytes)?);
        }
        hasher.record(bytes, &frame)?;
        let range = frame.range();
        let FramePlace { kind, seq, body, .. } = frame;
        records.push(RecordPlace { kind, seq, range, body });
    }
    None
}

/// The batch that `commit` ends, if it says what was found.
fn accept(
    commit: CommitPlace,
    hasher: RootHasher,
    base: Point,
    seq: u64,
    start: usize,
    records: Vec<RecordPlace>,
    max_ts_init: u64,
) -> Option<BatchPlace> {
    let count = u32::try_from(records.len()).ok()?;
    let follows = commit.commit_no == base.commit_no.checked_add(1)? && commit.first_seq == base.seq.checked_add(1)?;
    let fits = commit.count == count && count > 0 && commit.seq == seq && commit.testifies;
    if !follows || !fits || hasher.finish(commit.commit_no, count) != commit.root {
        return None;
    }
    Some(BatchPlace {
        commit_no: commit.commit_no,
        first_seq: commit.first_seq,
        count,
        last_seq: seq,
        start,
        end: commit.range.end,
        commit: commit.range,
        claimed_commit_no: commit.claimed_commit_no,
        claimed_seq: commit.claimed_seq,
        root_before: base.root,
        root: commit.root,
        records,
        max_ts_init,
    })
}
