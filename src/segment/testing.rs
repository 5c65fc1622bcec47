//! Segments in memory, for the tests of this room.

use std::path::Path;

use bytes::Bytes;
use uuid::Uuid;

use crate::format::chain::Position;
use crate::format::salt::{Salt, Stream, Uid};
use crate::model::{AppendEntry, EntryHash, EventStoreEntry, Headers, IndexKey, IndexKind, PayloadType, UnixNanos};
use crate::segment::batch::{BatchBuffer, Claim, opening_frames};
use crate::segment::index_build::IndexLists;
use crate::segment::tip::{FIRST_FRAME, Tip};

pub(crate) const GENESIS: &[u8] = b"an opening manifest";
pub(crate) const PATH: &str = "00000001.seg";

pub(crate) fn salt() -> Salt {
    Salt::of(&Uid([7; 16]), Stream::Entries, 1)
}

pub(crate) fn start() -> Tip {
    Tip::start([9; 32])
}

pub(crate) fn path() -> &'static Path {
    Path::new(PATH)
}

/// An entry whose keys are `O-<seq / 2>` and, every fourth, the same text under the other kind.
pub(crate) fn append(seq: u64, payload_len: usize) -> AppendEntry {
    let payload = Bytes::from(vec![seq.to_le_bytes()[0] | 1; payload_len]);
    let headers = Headers { correlation_id: Some(Uuid::from_u128(u128::from(seq))), causation_id: None };
    let (ts_init, ts_publish) = (UnixNanos::from(1_000 - seq), UnixNanos::from(seq));
    let kind = PayloadType::from("SubmitOrder");
    let mut entry = EventStoreEntry::new(EntryHash([0; 32]), seq, headers, "exec.command".into(), kind, payload, ts_init, ts_publish);
    entry.entry_hash = entry.recompute_hash();
    let mut keys = vec![IndexKey::new(IndexKind::ClientOrderId, format!("O-{}", seq / 2))];
    if seq.is_multiple_of(4) {
        keys.push(IndexKey::new(IndexKind::VenueOrderId, format!("O-{}", seq / 2)));
    }
    AppendEntry::new(entry, keys)
}

/// The first segment of a run, being written in memory.
pub(crate) struct Written {
    pub(crate) bytes: Vec<u8>,
    pub(crate) tip: Tip,
    pub(crate) lists: IndexLists,
    /// Where each batch begins and ends.
    pub(crate) batches: Vec<(u64, u64)>,
}

impl Written {
    pub(crate) fn new() -> Self {
        let mut bytes = vec![0; usize::try_from(FIRST_FRAME).unwrap()];
        bytes.extend(opening_frames(&salt(), 1, &start(), GENESIS));
        let tip = Tip { position: Position { ordinal: 1, offset: bytes.len() as u64 }, ..start() };
        Self { bytes, tip, lists: IndexLists::new(512), batches: Vec::new() }
    }

    /// Appends a batch of whatever `fill` lays out.
    pub(crate) fn batch(&mut self, fill: impl FnOnce(&mut BatchBuffer)) -> &mut Self {
        let mut buffer = BatchBuffer::default();
        fill(&mut buffer);
        let claim = Claim { commit_no: self.tip.state.commit_no, seq: self.tip.state.seq };
        let state = buffer.stamp(&salt(), self.tip.position, &self.tip.state, claim, Some(&mut self.lists));
        self.bytes.extend_from_slice(buffer.bytes());
        self.batches.push((self.tip.position.offset, self.bytes.len() as u64));
        self.tip = Tip { state, position: Position { ordinal: 1, offset: self.bytes.len() as u64 } };
        self
    }

    /// Appends a batch of entries with payloads of these lengths.
    pub(crate) fn entries(&mut self, payload_lens: &[usize]) -> &mut Self {
        let first = self.tip.state.seq + 1;
        self.batch(|buffer| {
            for (seq, len) in (first..).zip(payload_lens) {
                buffer.push_entry(&append(seq, *len));
            }
        })
    }

    /// The segment with zeros behind it, as a file of this length has them.
    pub(crate) fn padded(&self, len: usize) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes.resize(len, 0);
        bytes
    }
}
