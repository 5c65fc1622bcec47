//! The same messages become the same entries in every store.

use proptest::prelude::*;
use tapelog::{
    DraftRef, EventStore, EventStoreEntry, EventStoreWriter, Headers, IndexKind, ManualClock, MemoryBackend, ScanDirection, SegmentBackend,
    UnixNanos, WriterConfig, noop_halt,
};

use super::bench::{RUN, SOON, run_ended};
use crate::support::entries::{INSTANCE, manifest};
use crate::support::folders::memory_dir;
use crate::support::scripted_store::Script;

#[derive(Debug, Clone)]
struct Message {
    ids: [Option<[u8; 16]>; 2],
    topic: String,
    payload: Vec<u8>,
    keys: Vec<(bool, u8)>,
    ts_init: u64,
}

fn message() -> impl Strategy<Value = Message> {
    let keys = proptest::collection::vec((any::<bool>(), 0..6_u8), 0..4);
    let payload = prop_oneof![proptest::collection::vec(any::<u8>(), 0..200), (1_000..6_000_usize).prop_map(|len| vec![3; len])];
    (any::<[Option<[u8; 16]>; 2]>(), "[a-z.é]{0,20}", payload, keys, any::<u64>())
        .prop_map(|(ids, topic, payload, keys, ts_init)| Message { ids, topic, payload, keys, ts_init })
}

/// Writes the messages, and flushes now and then.
fn write(store: Box<dyn EventStore + Send>, messages: &[Message], flush_every: usize) {
    let clock = std::sync::Arc::new(ManualClock::new(UnixNanos::from(50)));
    let config = WriterConfig { max_batch_len: 4 << 10, ..WriterConfig::default() };
    let writer = EventStoreWriter::spawn(store, clock.clone(), noop_halt(), config).unwrap();
    for (index, message) in messages.iter().enumerate() {
        clock.advance(3);
        let [correlation_id, causation_id] = message.ids.map(|id| id.map(uuid::Uuid::from_bytes));
        let keys: Vec<_> = message.keys.iter().map(|(venue, key)| (*venue, format!("K-{key}"))).collect();
        let keys: Vec<_> = keys
            .iter()
            .map(|(venue, key)| (if *venue { IndexKind::VenueOrderId } else { IndexKind::ClientOrderId }, key.as_str()))
            .collect();
        let draft = DraftRef {
            headers: Headers { correlation_id, causation_id },
            index_keys: &keys,
            ..DraftRef::new(&message.topic, "Type", &message.payload, UnixNanos::from(message.ts_init))
        };
        writer.submit_ref(&draft).unwrap();
        if index % flush_every == 0 {
            writer.flush(SOON).unwrap();
        }
    }
    writer.close(run_ended()).unwrap();
}

fn all_of(store: &dyn EventStore) -> (Vec<EventStoreEntry>, [Vec<(String, u64)>; 2]) {
    let keys = IndexKind::ALL.map(|kind| {
        let mut keys = store.iter_index_keys(kind).unwrap();
        keys.sort();
        keys
    });
    (store.scan_range(1, u64::MAX, ScanDirection::Forward).unwrap(), keys)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn segments_and_memory_hold_the_same(messages in proptest::collection::vec(message(), 0..80), flush_every in 1..40_usize) {
        let base = memory_dir();
        let mut segments = SegmentBackend::builder(base.path()).segment_len(16 << 10).spares(1).build().unwrap();
        segments.open_run(manifest(RUN)).unwrap();
        write(Box::new(segments), &messages, flush_every);
        let script = Script::default();
        write(script.open(manifest(RUN)), &messages, flush_every);
        let mut model = MemoryBackend::new();
        model.open_run(manifest(RUN)).unwrap();
        let read = SegmentBackend::open_sealed(base.path(), INSTANCE, RUN).unwrap();
        let (entries, keys) = all_of(&read);
        prop_assert_eq!(&entries, &script.entries());
        prop_assert_eq!(entries.len(), messages.len() + 1);
        for entry in &entries {
            prop_assert_eq!(entry.entry_hash, entry.recompute_hash());
        }
        prop_assert_eq!(keys, all_of(&*script.empty()).1);
    }
}
