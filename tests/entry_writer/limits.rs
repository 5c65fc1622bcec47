//! A message over a limit is refused where it is submitted, and stops nothing.

use tapelog::limits::{ANCHOR_TEXT_LEN_MAX, KEY_LEN_MAX, KEYS_PER_ENTRY_MAX, PAYLOAD_LEN_MAX, TOPIC_LEN_MAX};
use tapelog::{DraftRef, EntryDraft, EventStoreError, IndexKey, IndexKind, SubmitError, TrySubmitError, UnixNanos, WriterConfig};

use super::bench::{Halts, RUN, clock, draft, run_ended, writer};
use crate::support::entries::manifest;
use crate::support::scripted_store::Script;

#[test]
fn what_is_over_a_limit_is_refused_at_submit() {
    let (script, halts) = (Script::default(), Halts::default());
    let writer = writer(&script, &halts);
    let key = |len: usize| IndexKey::new(IndexKind::ClientOrderId, "k".repeat(len));
    let refused = [
        EntryDraft { payload: vec![0; PAYLOAD_LEN_MAX + 1].into(), ..draft(1) },
        EntryDraft { topic: "t".repeat(TOPIC_LEN_MAX + 1).into(), ..draft(1) },
        EntryDraft { payload_type: "t".repeat(TOPIC_LEN_MAX + 1).as_str().into(), ..draft(1) },
        EntryDraft { index_keys: vec![key(1); KEYS_PER_ENTRY_MAX + 1], ..draft(1) },
        EntryDraft { index_keys: vec![key(KEY_LEN_MAX + 1)], ..draft(1) },
    ];
    let is_limit = |error: &EventStoreError| matches!(error, EventStoreError::LimitExceeded { .. });
    for too_large in refused {
        assert!(matches!(writer.submit(too_large.clone()), Err(SubmitError::Limit(error)) if is_limit(&error)));
        let given_back = writer.try_submit(too_large.clone()).unwrap_err();
        assert!(matches!(&given_back, TrySubmitError::Limit { error, .. } if is_limit(error)));
        assert_eq!(given_back.into_draft(), too_large);
        assert!(writer.shutdown(&too_large, super::bench::SOON).is_err_and(|error| is_limit(&error)), "nor does it end the run");
    }
    let long = "h".repeat(ANCHOR_TEXT_LEN_MAX + 1);
    assert!(writer.record_snapshot_anchor("blob", long).is_err_and(|error| is_limit(&error)));
    assert_eq!(writer.submit_and_wait(draft(1)), Ok(1));
    assert!(halts.told().is_empty());
    assert_eq!(writer.close(run_ended()), Ok(2));
}

#[test]
fn a_message_with_everything_at_its_bound_goes_through() {
    let (script, halts) = (Script::default(), Halts::default());
    let writer = writer(&script, &halts);
    let (topic, payload, key) = ("t".repeat(TOPIC_LEN_MAX), vec![5; PAYLOAD_LEN_MAX], "k".repeat(KEY_LEN_MAX));
    let keys = [(IndexKind::ClientOrderId, key.as_str()); KEYS_PER_ENTRY_MAX];
    let largest = DraftRef { index_keys: &keys, ..DraftRef::new(&topic, &topic, &payload, UnixNanos::from(1)) };
    writer.submit(draft(1)).unwrap();
    assert_eq!(writer.submit_tracked_ref(&largest).unwrap().wait(), Ok(2));
    writer.submit(draft(3)).unwrap();
    assert_eq!(writer.close(run_ended()), Ok(4));
    let entry = &script.entries()[1];
    assert_eq!((entry.payload.len(), entry.topic.as_str().len()), (PAYLOAD_LEN_MAX, TOPIC_LEN_MAX));
    assert_eq!(script.lookup(&key), Some(2));
}

#[test]
fn options_out_of_their_bounds_and_stores_without_a_run_are_refused() {
    let script = Script::default();
    let config = WriterConfig { channel_capacity: 0, ..WriterConfig::default() };
    let spawn = |store, config| tapelog::EventStoreWriter::spawn(store, clock(), tapelog::noop_halt(), config).map(|_| ());
    assert!(spawn(script.open(manifest(RUN)), config).unwrap_err().to_string().contains("must be at least 1"));
    let none = Script::default();
    assert!(spawn(none.empty(), WriterConfig::default()).unwrap_err().to_string().contains("no run open"));
}
