//! A batch being composed: frames laid out in a buffer, stamped once their place is known.
//!
//! Laying out and stamping are apart because a frame's header covers its offset in the file and the
//! commit carries claims about what is durable: both are known only when the batch's turn comes.
//! Whoever fills the buffer knows neither.

use crate::format::bytes::align8;
use crate::format::chain::{ChainState, Position};
use crate::format::commit::{self, Commit};
use crate::format::entry;
use crate::format::frame::{self, HEADER_LEN, Kind};
use crate::format::open::Open;
use crate::format::root::RootHasher;
use crate::format::salt::Salt;
use crate::model::{AppendEntry, Draft, EntryHasher, UnixNanos};
use crate::seeded_bug::SeededBug;
use crate::segment::index_build::IndexLists;
use crate::segment::tip::{FIRST_FRAME, Tip};

/// The length of a commit frame, in bytes.
pub(crate) const COMMIT_FRAME_LEN: u64 = (HEADER_LEN + commit::BODY_LEN) as u64;

/// Most memory that a buffer keeps between two batches, in bytes.
const RETAINED_LEN_MAX: usize = 8 << 20;

/// What is known durable at the moment of a write, for the commit to claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) commit_no: u64,
    pub(crate) seq: u64,
}

/// One record in the buffer.
#[derive(Debug, Clone, Copy)]
struct Record {
    kind: Kind,
    start: usize,
    body_len: usize,
}

/// The frames of one batch, in a buffer that is reused.
#[derive(Debug, Default)]
pub(crate) struct BatchBuffer {
    bytes: Vec<u8>,
    records: Vec<Record>,
}

impl BatchBuffer {
    /// A buffer with room for `len` bytes and `records` records, so that filling it allocates nothing.
    pub(crate) fn with_capacity(len: usize, records: usize) -> Self {
        Self { bytes: Vec::with_capacity(len), records: Vec::with_capacity(records) }
    }

    /// Gives back memory beyond `len` bytes that a large record took.
    pub(crate) fn shrink_to(&mut self, len: usize) {
        self.bytes.shrink_to(len);
    }

    /// Forgets the batch and keeps the memory, unless a rare large batch made it much.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(RETAINED_LEN_MAX);
        self.records.clear();
    }

    /// Lays out an entry.
    pub(crate) fn push_entry(&mut self, append: &AppendEntry) {
        self.push(Kind::ENTRY, |bytes| entry::encode_entry_body(bytes, append));
    }

    /// Lays out a draft that is within the limits. [`BatchBuffer::stamp_hashes`] gives it its hash.
    pub(crate) fn push_draft(&mut self, draft: &impl Draft, ts_publish: UnixNanos) {
        self.push(Kind::ENTRY, |bytes| entry::encode_draft_body(bytes, draft, ts_publish));
    }

    /// Puts its hash into every entry; the first has the number `first_seq`.
    pub(crate) fn stamp_hashes(&mut self, first_seq: u64, hasher: &mut EntryHasher) {
        for (record, seq) in self.records.iter().zip(first_seq..) {
            let start = record.start + HEADER_LEN;
            if let Some(body) = self.bytes.get_mut(start..start + record.body_len) {
                entry::stamp_hash(body, seq, hasher);
            }
        }
    }

    /// How many records there are.
    pub(crate) fn record_count(&self) -> usize {
        self.records.len()
    }

    /// The bodies of the records, in their order.
    pub(crate) fn bodies(&self) -> impl Iterator<Item = &[u8]> {
        let body = |record: &Record| {
            let start = record.start + HEADER_LEN;
            self.bytes.get(start..start + record.body_len).unwrap_or_default()
        };
        self.records.iter().map(body)
    }

    /// Lays out a record of any other kind from its finished body.
    pub(crate) fn push_record(&mut self, kind: Kind, body: &[u8]) {
        self.push(kind, |bytes| bytes.extend_from_slice(body));
    }

    fn push(&mut self, kind: Kind, encode: impl FnOnce(&mut Vec<u8>)) {
        let start = frame::begin_frame(&mut self.bytes);
        encode(&mut self.bytes);
        let body_len = self.bytes.len() - start - HEADER_LEN;
        self.bytes.resize(align8(self.bytes.len()), 0);
        self.records.push(Record { kind, start, body_len });
    }

    /// The batch's length on disk, its commit included, in bytes.
    pub(crate) fn frames_len(&self) -> u64 {
        self.bytes.len() as u64 + COMMIT_FRAME_LEN
    }

    /// Gives every record its number and its place, appends the commit, and returns the state of
    /// the chain behind it.
    ///
    /// `position` is where the first frame will stand. Entries take the numbers behind
    /// `before.seq`; other records do not advance the log. `lists` gets what the indexes of the
    /// segment will need to know of the batch.
    pub(crate) fn stamp(
        &mut self,
        salt: &Salt,
        position: Position,
        before: &ChainState,
        claim: Claim,
        mut lists: Option<&mut IndexLists>,
    ) -> ChainState {
        let mut state = *before;
        let mut hasher = RootHasher::new(&before.root);
        for record in &self.records {
            let offset = position.offset + record.start as u64;
            state.seq += u64::from(record.kind == Kind::ENTRY);
            if record.kind == Kind::ANCHOR {
                state.anchor = Some(Position { ordinal: position.ordinal, offset });
            }
            let Some(frame_bytes) = self.bytes.get_mut(record.start..record.start + HEADER_LEN + record.body_len) else {
                continue;
            };
            frame::stamp_frame(frame_bytes, salt, offset, record.kind, state.seq);
            let body = frame_bytes.get(HEADER_LEN..).unwrap_or_default();
            let covered = hasher.record(record.kind, state.seq, body);
            debug_assert!(covered, "a record that we laid out ourselves can be hashed");
            if record.kind == Kind::ENTRY
                && let Some((ts_init, keys)) = entry::time_and_keys(body)
            {
                state.max_ts_init = state.max_ts_init.max(ts_init);
                if let Some(lists) = lists.as_deref_mut() {
                    lists.entry(salt, state.seq, offset, state.max_ts_init, keys);
                }
            }
        }
        let count = u32::try_from(self.records.len()).unwrap_or(u32::MAX);
        state.commit_no += 1;
        state.root = hasher.finish(state.commit_no, count);
        let claim = if SeededBug::ClaimTooHigh.is_on() { Claim { commit_no: state.commit_no, seq: state.seq } } else { claim };
        let commit = Commit {
            commit_no: state.commit_no,
            first_seq: before.seq + 1,
            count,
            durable_commit_no: claim.commit_no,
            durable_seq: claim.seq,
            root: state.root,
        };
        let start = frame::begin_frame(&mut self.bytes);
        let offset = position.offset + start as u64;
        commit.encode_body(&mut self.bytes, salt, offset);
        frame::finish_frame(&mut self.bytes, start, salt, offset, Kind::COMMIT, state.seq);
        state
    }

    /// The stamped frames.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The frames that begin a segment: OPEN, and in segment 1 GENESIS.
pub(crate) fn opening_frames(salt: &Salt, ordinal: u32, before: &Tip, genesis: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let open = Open { base: before.state, previous: before.position };
    let start = frame::begin_frame(&mut bytes);
    open.encode_body(&mut bytes);
    frame::finish_frame(&mut bytes, start, salt, FIRST_FRAME, Kind::OPEN, before.state.seq);
    if ordinal == 1 {
        let offset = FIRST_FRAME + bytes.len() as u64;
        frame::append_frame(&mut bytes, salt, offset, Kind::GENESIS, 0, genesis);
    }
    bytes
}
