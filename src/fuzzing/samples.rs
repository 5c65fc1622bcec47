//! Valid structures for inputs to change.

use bytes::Bytes;
use indexmap::IndexMap;
use uuid::Uuid;

use crate::format::chain::{ChainState, Position};
use crate::format::frame::Kind;
use crate::format::header_page::HeaderPage;
use crate::format::key_index::{self, KeyRecord};
use crate::format::manifest::{self, SealSection, SealedDamage, SealedSegment};
use crate::format::salt::{Salt, Stream, Uid};
use crate::format::sparse_index::{self, IndexBinding, SparsePoint};
use crate::format::watermark::Watermark;
use crate::model::{
    AppendEntry, DataClass, DataCursorSnapshot, EntryHash, EventStoreEntry, Headers, HiFiMarker, IndexKey, IndexKind, MarkerGap,
    MarkerGapReason, MarkerManifest, RegisteredComponents, RunManifest, RunStatus, SnapshotAnchor, StreamCursor, StreamDictEntry,
};
use crate::segment::batch::{BatchBuffer, Claim, opening_frames};
use crate::segment::tip::{FIRST_FRAME, Tip};

pub(super) const UID: Uid = Uid([7; 16]);
/// What stands in the GENESIS of the sample segment.
pub(super) const GENESIS: &[u8] = b"an opening manifest";

pub(super) fn salt() -> Salt {
    Salt::of(&UID, Stream::Entries, 1)
}

/// The log before the sample segment.
pub(super) fn start() -> Tip {
    Tip::start([9; 32])
}

/// A point of a chain with something in every field.
pub(super) fn chain_state() -> ChainState {
    ChainState {
        commit_no: 3,
        seq: 5,
        root: [6; 32],
        max_ts_init: 7,
        anchor: Some(Position { ordinal: 1, offset: 4_096 }),
        marker_counts: [1, 2, 3, 4],
    }
}

/// An entry with keys and ids, some more and some fewer.
pub(super) fn append(seq: u64, payload_len: usize) -> AppendEntry {
    let headers = Headers {
        correlation_id: seq.is_multiple_of(2).then(|| Uuid::from_u128(u128::from(seq))),
        causation_id: seq.is_multiple_of(3).then(|| Uuid::from_u128(3)),
    };
    let mut entry = EventStoreEntry::new(
        EntryHash([0; 32]),
        seq,
        headers,
        "exec".into(),
        "Order".into(),
        Bytes::from(vec![seq.to_le_bytes()[0] | 1; payload_len]),
        (100 + seq).into(),
        seq.into(),
    );
    entry.entry_hash = entry.recompute_hash();
    let kinds = [IndexKind::ClientOrderId, IndexKind::VenueOrderId];
    let keys = kinds.into_iter().take(usize::try_from(seq % 3).unwrap()).map(|kind| IndexKey::new(kind, format!("O-{}", seq / 2)));
    AppendEntry::new(entry, keys.collect())
}

pub(super) fn anchor() -> SnapshotAnchor {
    SnapshotAnchor::new(2, "s3://b", "blake3:0")
}

pub(super) fn run_manifest() -> RunManifest {
    let map = |key: &str| IndexMap::from([(key.to_owned(), "1".to_owned()), ("x".to_owned(), String::new())]);
    RunManifest {
        parent_run_id: Some("0-ffffffff".to_owned()),
        feature_flags: vec!["live".to_owned()],
        adapter_versions: map("venue"),
        registered_components: RegisteredComponents { actors: map("actor"), subscriptions: vec!["q".to_owned()], ..Default::default() },
        seed: Some(9),
        ..RunManifest::new("1-00000000", "trader")
    }
}

pub(super) fn marker_manifest() -> MarkerManifest {
    MarkerManifest {
        run_id: "1-00000000".to_owned(),
        enabled_classes: DataClass::ALL.to_vec(),
        high_fidelity: true,
        snapshot_count: 0,
        hifi_count: 0,
        gap_count: 0,
        dict_count: 0,
        status: RunStatus::Running,
    }
}

/// The opening section of a manifest of the entries.
pub(super) fn opening() -> Vec<u8> {
    manifest::encode_opening(&UID, &[1; 32], &run_manifest()).unwrap()
}

/// The opening section of a manifest of the markers.
pub(super) fn marker_opening() -> Vec<u8> {
    manifest::encode_opening(&UID, &[0; 32], &marker_manifest()).unwrap()
}

pub(super) fn seal_section() -> SealSection {
    let segment = SealedSegment { ordinal: 1, len: 16 << 10, entry_count: 5, last_seq: 5, last_commit_no: 3, root: [2; 32] };
    SealSection {
        status: RunStatus::Quarantined,
        high_watermark: 5,
        end_ts_init: Some(105),
        last_commit_no: 3,
        walked_from_ordinal: 1,
        segments: vec![segment],
        final_root: [2; 32],
        anchor: Some((1, 4_512)),
        damage: Some(SealedDamage {
            end_commit_no: 1,
            end_seq: 2,
            proven_commit_no: 3,
            proven_seq: 5,
            break_ordinal: 1,
            break_offset: 4_512,
            reason: "torn".to_owned(),
        }),
    }
}

pub(super) fn header_page() -> HeaderPage {
    HeaderPage { stream: Stream::Entries, uid: UID, ordinal: 1 }
}

pub(super) fn watermark() -> Watermark {
    Watermark { uid: UID, stream: Stream::Entries, state: chain_state(), position: Position { ordinal: 2, offset: 4_512 } }
}

/// The segment that the sample indexes belong to.
pub(super) fn binding() -> IndexBinding {
    IndexBinding { stream: Stream::Entries, uid: UID, ordinal: 1, salt: salt(), segment_end: 16 << 10, root: [2; 32] }
}

pub(super) fn sparse_index() -> Vec<u8> {
    let points: Vec<_> =
        (0..5).map(|index| SparsePoint { seq: 1 + 3 * index, offset: 4_256 + 512 * index, max_ts_init: 100 + index / 2 }).collect();
    sparse_index::encode(&binding(), &points)
}

pub(super) fn key_index() -> Vec<u8> {
    let hash = |index: u64| index.wrapping_mul(0x1f3a_5c7e_9b2d_4f68);
    let mut records: Vec<_> = (0..20_u64).map(|index| KeyRecord { hash: hash(index % 9), offset: 4_256 + 8 * (index / 2) }).collect();
    records.sort_unstable();
    key_index::encode(&binding(), &records)
}

pub(super) fn snapshot() -> DataCursorSnapshot {
    let cursor = |slot: u32| StreamCursor { slot, ts_init_hi: 9.into(), count: 3 };
    DataCursorSnapshot { marker_seq: 1, event_seq_before: 2, ts_init: 3.into(), advanced: vec![cursor(0), cursor(7)] }
}

pub(super) fn hifi() -> HiFiMarker {
    HiFiMarker {
        marker_seq: 1,
        event_seq_before: 2,
        slot: 3,
        ts_event: 4.into(),
        ts_init: 5.into(),
        same_ts_ordinal: 6,
        record_fingerprint: [7; 32],
    }
}

pub(super) fn dict() -> StreamDictEntry {
    StreamDictEntry { slot: 3, data_cls: DataClass::Trade, identifier: "BTC".to_owned() }
}

pub(super) fn gap() -> MarkerGap {
    MarkerGap { from_marker_seq: 1, to_marker_seq: 2, reason: MarkerGapReason::WriterClosed }
}

/// The bytes of a valid segment with five batches: entries, an anchor, a record of an unknown kind, and zeros behind the end.
pub(super) fn segment() -> Vec<u8> {
    let (salt, mut before) = (salt(), start());
    let mut bytes = header_page().encode().to_vec();
    bytes.extend(opening_frames(&salt, 1, &before, GENESIS));
    assert!(bytes.len() as u64 > FIRST_FRAME);
    let mut batch = |fill: &dyn Fn(&mut BatchBuffer)| {
        let mut buffer = BatchBuffer::default();
        fill(&mut buffer);
        let claim = Claim { commit_no: before.state.commit_no, seq: before.state.seq };
        let position = Position { ordinal: 1, offset: bytes.len() as u64 };
        before = Tip { state: buffer.stamp(&salt, position, &before.state, claim, None), position };
        bytes.extend_from_slice(buffer.bytes());
    };
    batch(&|buffer| (1..=2).for_each(|seq| buffer.push_entry(&append(seq, 8))));
    batch(&|buffer| buffer.push_record(Kind::ANCHOR, &crate::format::anchor::encode_body(&UID, &anchor()).unwrap()));
    batch(&|buffer| {
        buffer.push_entry(&append(3, 0));
        buffer.push_record(Kind(77), b"later");
        buffer.push_entry(&append(4, 300));
    });
    batch(&|buffer| buffer.push_entry(&append(5, 5)));
    batch(&|buffer| (6..=8).for_each(|seq| buffer.push_entry(&append(seq, 3))));
    bytes.resize(bytes.len().next_multiple_of(1 << 10) + 64, 0);
    bytes
}
