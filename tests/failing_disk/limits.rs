//! Whatever is over a limit is refused before anything of it is written, alike by every store.

use bytes::Bytes;
use tapelog::limits::{
    ANCHOR_TEXT_LEN_MAX, BATCH_LEN_MAX, KEY_LEN_MAX, KEYS_PER_ENTRY_MAX, OPENING_LEN_MAX, PAYLOAD_LEN_MAX, PAYLOAD_TYPE_LEN_MAX,
    TOPIC_LEN_MAX,
};
use tapelog::{
    AppendEntry, EventStore, EventStoreError, IndexKey, IndexKind, MemoryBackend, PayloadType, RunManifest, RunStatus, SegmentBackend,
    SnapshotAnchor,
};

use super::bench::{Bench, RUN};
use crate::support::entries::{INSTANCE, batch, entry_of, manifest};

fn limit_of<T: std::fmt::Debug>(result: Result<T, EventStoreError>) -> (&'static str, u64, u64) {
    match result {
        Err(EventStoreError::LimitExceeded { what, maximum, found }) => (what, maximum, found),
        other => panic!("{other:?}"),
    }
}

/// Batches of which each breaks one limit, beginning with the entry `first`.
fn batches_over_a_limit(first: u64) -> Vec<Vec<AppendEntry>> {
    let changed = |change: &dyn Fn(&mut AppendEntry)| {
        let mut entries = batch(first, first + 2, 10);
        change(&mut entries[1]);
        entries
    };
    let key = |len: usize| IndexKey::new(IndexKind::VenueOrderId, "k".repeat(len));
    let payload = Bytes::from(vec![7; PAYLOAD_LEN_MAX]);
    let large = |seq| {
        let mut append = entry_of(seq, 0);
        append.entry.payload = payload.clone();
        append
    };
    vec![
        changed(&|append| append.entry.topic = "t".repeat(TOPIC_LEN_MAX + 1).as_str().into()),
        changed(&|append| append.entry.payload_type = PayloadType::from("p".repeat(PAYLOAD_TYPE_LEN_MAX + 1).as_str())),
        changed(&|append| append.entry.payload = Bytes::from(vec![0; PAYLOAD_LEN_MAX + 1])),
        changed(&|append| append.index_keys = vec![key(1); KEYS_PER_ENTRY_MAX + 1]),
        changed(&|append| append.index_keys = vec![key(1), key(KEY_LEN_MAX + 1)]),
        (first..first + 16).map(large).collect(),
    ]
}

#[test]
fn a_batch_over_a_limit_is_refused_alike_on_disk_and_in_memory_and_the_next_one_is_taken() {
    let bench = Bench::new();
    let mut recorder = bench.recorder();
    let mut model = MemoryBackend::new();
    model.open_run(manifest(RUN)).unwrap();
    recorder.append(&batch(1, 4, 100));
    model.append_batch(&batch(1, 4, 100)).unwrap();
    bench.disk.clear_journal();
    for over in batches_over_a_limit(5) {
        let refused = limit_of(recorder.store.append_batch(&over));
        assert_eq!(limit_of(model.append_batch(&over)), refused);
        assert!(refused.2 > refused.1, "{refused:?}");
        assert_eq!((recorder.store.high_watermark(), model.high_watermark()), (Ok(4), Ok(4)));
    }
    let long = "a".repeat(ANCHOR_TEXT_LEN_MAX + 1);
    for anchor in [SnapshotAnchor::new(3, long.clone(), ""), SnapshotAnchor::new(3, "", long)] {
        assert_eq!(limit_of(recorder.store.record_snapshot_anchor(anchor.clone())), limit_of(model.record_snapshot_anchor(anchor)));
    }
    assert_eq!(bench.changes(), [], "something of a refused batch was written");
    recorder.append(&batch(5, 6, 100));
    assert_eq!(model.append_batch(&batch(5, 6, 100)), Ok(6));
    recorder.store.seal(RunStatus::Ended).unwrap();
    recorder.log.assert_whole(&SegmentBackend::open_sealed(bench.base(), INSTANCE, RUN).unwrap(), 6, &"after refusals");
}

#[test]
fn a_batch_of_16_payloads_of_16_mib_is_over_the_limit_by_what_surrounds_them() {
    let mut model = MemoryBackend::new();
    model.open_run(manifest(RUN)).unwrap();
    let (what, maximum, found) = limit_of(model.append_batch(batches_over_a_limit(1).last().unwrap()));
    assert_eq!((what, maximum), ("the batch's length in bytes", BATCH_LEN_MAX));
    assert!(found > 16 * PAYLOAD_LEN_MAX as u64 && found < 16 * PAYLOAD_LEN_MAX as u64 + 16_000, "{found}");
}

#[test]
fn a_manifest_over_its_limit_begins_no_run_and_the_next_one_does() {
    let bench = Bench::new();
    let mut store = bench.by_hand().build().unwrap();
    for len in [OPENING_LEN_MAX + 1, 9_000] {
        let over = RunManifest { config_hash: "c".repeat(len), ..manifest(RUN) };
        let (what, maximum, found) = limit_of(store.open_run(over));
        assert!(what.contains("manifest") && found > maximum, "{what}: {found} of {maximum}");
        assert!(matches!(store.high_watermark(), Err(EventStoreError::Backend(text)) if text.contains("no run open")));
        assert_eq!(SegmentBackend::list_runs(bench.base(), INSTANCE), Ok(Vec::new()));
    }
    store.open_run(RunManifest { config_hash: "c".repeat(3_000), ..manifest(RUN) }).unwrap();
    store.append_batch(&batch(1, 3, 10)).unwrap();
    store.seal(RunStatus::Ended).unwrap();
}

#[test]
fn an_id_that_leads_elsewhere_creates_nothing() {
    let bench = Bench::new();
    let mut store = bench.by_hand().build().unwrap();
    let long = "a".repeat(65);
    for id in ["../run", "..", ".", "", "a/b", "/etc", "a\0b", ".hidden", "con", "ünicode", long.as_str()] {
        let manifests = [
            RunManifest { run_id: id.to_owned(), ..manifest(RUN) },
            RunManifest { instance_id: id.to_owned(), ..manifest(RUN) },
            RunManifest { parent_run_id: Some(id.to_owned()), ..manifest(RUN) },
        ];
        for manifest in manifests {
            let refused = store.open_run(manifest);
            assert!(matches!(&refused, Err(EventStoreError::InvalidId { value, .. }) if value == id), "{id:?}: {refused:?}");
        }
        assert!(matches!(SegmentBackend::list_runs(bench.base(), id), Err(EventStoreError::InvalidId { .. })), "{id:?}");
        assert!(matches!(tapelog::recover_predecessors(bench.base(), id), Err(EventStoreError::InvalidId { .. })), "{id:?}");
        assert!(matches!(SegmentBackend::open_sealed(bench.base(), id, RUN), Err(EventStoreError::InvalidId { .. })), "{id:?}");
        assert!(matches!(SegmentBackend::open_sealed(bench.base(), INSTANCE, id), Err(EventStoreError::InvalidId { .. })), "{id:?}");
    }
    assert_eq!(bench.changes(), []);
}
