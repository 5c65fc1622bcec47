//! The run that FORMAT.md shows, composed by the code that writes runs.

use std::path::Path;

use bytes::Bytes;
use indexmap::IndexMap;
use uuid::Uuid;

use crate::format::anchor;
use crate::format::chain::Position;
use crate::format::frame::Kind;
use crate::format::header_page::HeaderPage;
use crate::format::manifest::{self, SealSection, SealedSegment};
use crate::format::root::root_zero;
use crate::format::salt::{Salt, Stream, Uid};
use crate::format::sparse_index::IndexBinding;
use crate::format::watermark::Watermark;
use crate::limits::INDEX_SPACING_DEFAULT;
use crate::model::{
    AppendEntry, EntryHash, EventStoreEntry, Headers, IndexKey, IndexKind, RunManifest, RunStatus, SnapshotAnchor, UnixNanos,
    compute_snapshot_content_hash,
};
use crate::segment::batch::{BatchBuffer, Claim, opening_frames};
use crate::segment::index_build::{IndexLists, IndexMaterial, index_files};
use crate::segment::tip::Tip;
use crate::segment::window::Window;

/// The uid of the run in the document.
pub(super) const UID: Uid = Uid([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);

const START: u64 = 1_700_000_000_000_000_000;

/// The manifest that the run was opened with.
pub(super) fn run_manifest() -> RunManifest {
    RunManifest {
        binary_hash: "b1".to_owned(),
        crate_versions: "c1".to_owned(),
        feature_flags: vec!["live".to_owned()],
        adapter_versions: IndexMap::from([("SIM".to_owned(), "1.0".to_owned())]),
        config_hash: "f1".to_owned(),
        seed: Some(7),
        start_ts_init: UnixNanos::from(START),
        ..RunManifest::new("1700000000000000000-0badcafe", "trader-001")
    }
}

/// The entries of the first batch.
pub(super) fn entries() -> Vec<AppendEntry> {
    let id = |first: u8| Some(Uuid::from_bytes(std::array::from_fn(|index| first + u8::try_from(index).unwrap())));
    let key = |kind, text: &str| IndexKey::new(kind, text.to_owned());
    let submitted = Headers { correlation_id: id(0x20), causation_id: None };
    let accepted = Headers { correlation_id: id(0x20), causation_id: id(0x30) };
    vec![
        entry(1, submitted, "exec.command", "SubmitOrder", b"BUY 3 @ 101.5", vec![key(IndexKind::ClientOrderId, "O-1")]),
        entry(
            2,
            accepted,
            "exec.event",
            "OrderAccepted",
            b"OK",
            vec![key(IndexKind::ClientOrderId, "O-1"), key(IndexKind::VenueOrderId, "V-77")],
        ),
    ]
}

fn entry(seq: u64, headers: Headers, topic: &str, payload_type: &str, payload: &'static [u8], keys: Vec<IndexKey>) -> AppendEntry {
    let (ts_init, ts_publish) = (UnixNanos::from(START + seq * 1_000), UnixNanos::from(START + seq * 1_000 + 5));
    let payload = Bytes::from_static(payload);
    let mut entry = EventStoreEntry::new(EntryHash([0; 32]), seq, headers, topic.into(), payload_type.into(), payload, ts_init, ts_publish);
    entry.entry_hash = entry.recompute_hash();
    AppendEntry::new(entry, keys)
}

/// The anchor of the second batch.
pub(super) fn snapshot_anchor() -> SnapshotAnchor {
    SnapshotAnchor::new(2, "cache/2", compute_snapshot_content_hash(b"a cache"))
}

/// The files of the run.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) opening: Vec<u8>,
    pub(super) salt: Salt,
    /// The roots before the first commit, behind it and behind the second.
    pub(super) roots: Vec<[u8; 32]>,
    /// As the seal leaves it: cut behind the last commit.
    pub(super) segment: Vec<u8>,
    pub(super) sparse_index: Vec<u8>,
    pub(super) key_index: Vec<u8>,
    /// As a writer leaves it that ends without a seal.
    pub(super) watermark: Vec<u8>,
    pub(super) seal: SealSection,
    pub(super) sealed_manifest: Vec<u8>,
}

/// The files of the run with this uid.
pub(super) fn compose(uid: Uid) -> Files {
    let opening = manifest::encode_opening(&uid, &[0; 32], &run_manifest()).unwrap();
    let page = HeaderPage { stream: Stream::Entries, uid, ordinal: 1 };
    let salt = page.salt();
    let start = Tip::start(root_zero(&uid, &opening));
    let mut segment = page.encode().to_vec();
    segment.extend(opening_frames(&salt, 1, &start, &opening));
    let mut lists = IndexLists::new(INDEX_SPACING_DEFAULT);
    let mut tip = start;
    let mut roots = vec![tip.state.root];
    for batch in 0..2 {
        let mut buffer = BatchBuffer::default();
        if batch == 0 {
            for entry in entries() {
                buffer.push_entry(&entry);
            }
        } else {
            buffer.push_record(Kind::ANCHOR, &anchor::encode_body(&uid, &snapshot_anchor()).unwrap());
        }
        let begin = segment.len() as u64;
        let claim = Claim { commit_no: tip.state.commit_no, seq: tip.state.seq };
        let state = buffer.stamp(&salt, Position { ordinal: 1, offset: begin }, &tip.state, claim, Some(&mut lists));
        segment.extend_from_slice(buffer.bytes());
        tip = Tip { state, position: Position { ordinal: 1, offset: segment.len() as u64 } };
        roots.push(state.root);
    }

    let segment_end = segment.len() as u64;
    let root = tip.state.root;
    let binding = IndexBinding { stream: Stream::Entries, uid, ordinal: 1, salt, segment_end, root };
    lists.keys.sort_by_key(|record| (record.hash, record.offset));
    let material = IndexMaterial { points: lists.points, keys: lists.keys };
    let mut window = Window::over_slice(&segment, Path::new("00000001.seg"));
    let (sparse_index, key_index) = index_files(&binding, &material, &mut window).unwrap();

    let slot = |tip: &Tip| Watermark { uid, stream: Stream::Entries, state: tip.state, position: tip.position }.encode_slot();
    let watermark = [slot(&tip), slot(&start)].concat();
    let last = SealedSegment { ordinal: 1, len: segment_end, entry_count: 2, last_seq: 2, last_commit_no: 2, root };
    let seal = SealSection {
        status: RunStatus::Ended,
        high_watermark: 2,
        end_ts_init: Some(tip.state.max_ts_init),
        last_commit_no: 2,
        walked_from_ordinal: 0,
        segments: vec![last],
        final_root: root,
        anchor: tip.state.anchor.map(|position| (position.ordinal, position.offset)),
        damage: None,
    };
    let sealed_manifest = manifest::encode_manifest(&opening, Some(&seal)).unwrap();
    Files { opening, salt, roots, segment, sparse_index, key_index, watermark, seal, sealed_manifest }
}
