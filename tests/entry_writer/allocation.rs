//! The way of a message that is lent allocates nothing on the thread that submits it.

use std::sync::Arc;

use allocation_counter::measure;
use tapelog::{DraftRef, EventStore, EventStoreWriter, IndexKind, SegmentBackend, SystemClock, UnixNanos, WriterConfig, noop_halt};

use super::bench::{RUN, SOON};
use crate::support::entries::manifest;
use crate::support::folders::memory_dir;

#[test]
fn submitting_what_is_lent_allocates_nothing() {
    let base = memory_dir();
    let mut store = SegmentBackend::builder(base.path()).segment_len(1 << 20).build().unwrap();
    store.open_run(manifest(RUN)).unwrap();
    let config = WriterConfig { halt_threshold: SOON, ..WriterConfig::default() };
    let writer = EventStoreWriter::spawn(Box::new(store), Arc::new(SystemClock), noop_halt(), config).unwrap();
    let payload = [7; 256];
    let keys = [(IndexKind::ClientOrderId, "O-20261121-000000001"), (IndexKind::VenueOrderId, "V-000000001")];
    let draft = DraftRef { index_keys: &keys, ..DraftRef::new("exec.command.SubmitOrder", "SubmitOrder", &payload, UnixNanos::from(1)) };
    let allocated = measure(|| {
        for _ in 0..50_000 {
            writer.submit_ref(&draft).unwrap();
        }
    });
    assert_eq!((allocated.count_total, allocated.bytes_total), (0, 0), "from the first message on");
    assert_eq!(measure(|| writer.try_submit_ref(&draft).unwrap()).count_total, 0);
    // The measure itself can fail: an owned draft allocates.
    assert!(measure(|| writer.submit(super::bench::draft(1)).unwrap()).count_total > 0);
    assert_eq!(writer.flush(SOON), Ok(50_002));
}
