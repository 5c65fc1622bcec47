//! The rules that all stores share, so that a call one store refuses is refused alike by every other.
//!
//! Nothing here changes anything: a store asks first and acts afterwards.

use crate::error::EventStoreError;
use crate::format::entry::entry_frame_len;
use crate::limits::{
    ANCHOR_TEXT_LEN_MAX, BATCH_LEN_MAX, KEY_LEN_MAX, KEYS_PER_ENTRY_MAX, PAYLOAD_LEN_MAX, PAYLOAD_TYPE_LEN_MAX, SNAPSHOT_CURSORS_MAX,
    STREAM_IDENTIFIER_LEN_MAX, TOPIC_LEN_MAX,
};
use crate::model::{
    AppendEntry, DataCursorSnapshot, Draft, MarkerManifest, RunManifest, RunStatus, SnapshotAnchor, StreamDictEntry, validate_id,
};
use crate::segment::batch::COMMIT_FRAME_LEN;

/// The manifest as a run begins with it.
pub(crate) fn normalise_manifest(manifest: RunManifest) -> RunManifest {
    RunManifest { status: RunStatus::Running, end_ts_init: None, high_watermark: 0, ..manifest }
}

/// The manifest as a sidecar begins with it.
pub(crate) fn normalise_marker_manifest(manifest: MarkerManifest) -> MarkerManifest {
    MarkerManifest { status: RunStatus::Running, snapshot_count: 0, hifi_count: 0, gap_count: 0, dict_count: 0, ..manifest }
}

/// Every id in the manifest can name a folder. How large it may be depends on how it is written, and is checked there.
pub(crate) fn check_manifest(manifest: &RunManifest) -> Result<(), EventStoreError> {
    validate_id("instance id", &manifest.instance_id)?;
    validate_id("run id", &manifest.run_id)?;
    manifest.parent_run_id.as_ref().map_or(Ok(()), |parent| validate_id("parent run id", parent))
}

/// The run id in the manifest can name a folder.
pub(crate) fn check_marker_manifest(manifest: &MarkerManifest) -> Result<(), EventStoreError> {
    validate_id("run id", &manifest.run_id)
}

/// The run takes records: it is not sealed.
pub(crate) fn check_writable(status: RunStatus) -> Result<(), EventStoreError> {
    if status == RunStatus::Running { Ok(()) } else { Err(EventStoreError::Closed) }
}

/// A batch may be appended to a run of this status and high-watermark.
pub(crate) fn check_append(status: RunStatus, high_watermark: u64, entries: &[AppendEntry]) -> Result<(), EventStoreError> {
    check_writable(status)?;
    check_batch(high_watermark, entries)?;
    entries.iter().try_for_each(check_limits)?;
    check_batch_len(entries)
}

/// The batch continues the log without a gap.
pub(crate) fn check_batch(high_watermark: u64, entries: &[AppendEntry]) -> Result<(), EventStoreError> {
    let mut last = high_watermark;
    for AppendEntry { entry, .. } in entries {
        // After the last number there is, no number is the next.
        if last.checked_add(1) != Some(entry.seq) {
            return Err(EventStoreError::OutOfOrder { high_watermark, seq: entry.seq });
        }
        last = entry.seq;
    }
    Ok(())
}

/// No part of the entry is over its limit.
pub(crate) fn check_limits(append: &AppendEntry) -> Result<(), EventStoreError> {
    let entry = &append.entry;
    let keys = append.index_keys.iter().map(|key| key.key.as_str());
    check_parts(entry.topic.as_str(), entry.payload_type.as_str(), &entry.payload, keys)
}

/// No part of the draft is over its limit.
#[inline]
pub(crate) fn check_draft(draft: &impl Draft) -> Result<(), EventStoreError> {
    let fields = draft.fields();
    check_parts(fields.topic, fields.payload_type, fields.payload, draft.keys().map(|(_, key)| key))
}

#[inline]
fn check_parts<'a>(
    topic: &str,
    payload_type: &str,
    payload: &[u8],
    keys: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), EventStoreError> {
    check_limit("the topic's length in bytes", topic.len(), TOPIC_LEN_MAX)?;
    check_limit("the payload type's length in bytes", payload_type.len(), PAYLOAD_TYPE_LEN_MAX)?;
    check_limit("the payload's length in bytes", payload.len(), PAYLOAD_LEN_MAX)?;
    check_limit("the number of an entry's index keys", keys.clone().count(), KEYS_PER_ENTRY_MAX)?;
    keys.into_iter().try_for_each(|key| check_limit("the index key's length in bytes", key.len(), KEY_LEN_MAX))
}

/// The batch is within its bound, in bytes as it would lie on disk, whether or not it ever does.
fn check_batch_len(entries: &[AppendEntry]) -> Result<(), EventStoreError> {
    let found = entries.iter().map(entry_frame_len).sum::<u64>() + COMMIT_FRAME_LEN;
    if found > BATCH_LEN_MAX {
        return Err(EventStoreError::LimitExceeded { what: "the batch's length in bytes", maximum: BATCH_LEN_MAX, found });
    }
    Ok(())
}

/// The anchor covers nothing that is not durable, does not go back, and is within its limits.
pub(crate) fn check_anchor(anchor: &SnapshotAnchor, high_watermark: u64, latest: Option<&SnapshotAnchor>) -> Result<(), EventStoreError> {
    if anchor.high_watermark > high_watermark {
        return Err(EventStoreError::Backend(format!(
            "the snapshot anchor covers entries up to {}, and the last durable entry is {high_watermark}",
            anchor.high_watermark
        )));
    }
    if let Some(latest) = latest.filter(|latest| anchor.high_watermark < latest.high_watermark) {
        return Err(EventStoreError::Backend(format!(
            "the snapshot anchor covers entries up to {}, and the latest anchor covers them up to {}",
            anchor.high_watermark, latest.high_watermark
        )));
    }
    check_anchor_texts(&anchor.blob_ref, &anchor.content_hash)
}

/// The texts of an anchor are within their limits.
pub(crate) fn check_anchor_texts(blob_ref: &str, content_hash: &str) -> Result<(), EventStoreError> {
    check_limit("the snapshot anchor's blob reference in bytes", blob_ref.len(), ANCHOR_TEXT_LEN_MAX)?;
    check_limit("the snapshot anchor's content hash in bytes", content_hash.len(), ANCHOR_TEXT_LEN_MAX)
}

/// A run of the status `now` may be sealed with the status `end`.
pub(crate) fn check_seal(now: RunStatus, end: RunStatus) -> Result<(), EventStoreError> {
    check_terminal(end)?;
    check_writable(now)
}

/// A run can end with this status.
pub(crate) fn check_terminal(status: RunStatus) -> Result<(), EventStoreError> {
    if status == RunStatus::Running {
        return Err(EventStoreError::Backend("a run cannot be sealed as Running; seal it with the status that it ended with".to_owned()));
    }
    Ok(())
}

/// The cursor snapshot is within its limits.
pub(crate) fn check_snapshot(snapshot: &DataCursorSnapshot) -> Result<(), EventStoreError> {
    check_limit("the number of a snapshot's cursors", snapshot.advanced.len(), SNAPSHOT_CURSORS_MAX)
}

/// The dictionary entry is within its limits.
pub(crate) fn check_dict_entry(entry: &StreamDictEntry) -> Result<(), EventStoreError> {
    check_limit("the stream identifier's length in bytes", entry.identifier.len(), STREAM_IDENTIFIER_LEN_MAX)
}

fn check_limit(what: &'static str, found: usize, maximum: usize) -> Result<(), EventStoreError> {
    if found > maximum {
        return Err(EventStoreError::LimitExceeded { what, maximum: maximum as u64, found: found as u64 });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ustr::Ustr;

    use super::*;
    use crate::model::{DataClass, IndexKey, IndexKind, StreamCursor, UnixNanos};
    use crate::store::fixtures::{append, manifest, marker_manifest};

    fn limit_of(result: Result<(), EventStoreError>) -> Option<(u64, u64)> {
        match result {
            Ok(()) => None,
            Err(EventStoreError::LimitExceeded { maximum, found, .. }) => Some((maximum, found)),
            Err(other) => panic!("not a limit: {other:?}"),
        }
    }

    /// What `check` says of a value at its bound and of one that is one larger.
    fn assert_bound(maximum: usize, check: impl Fn(usize) -> Result<(), EventStoreError>) {
        assert_eq!(limit_of(check(maximum)), None);
        assert_eq!(limit_of(check(maximum + 1)), Some((maximum as u64, maximum as u64 + 1)));
    }

    #[test]
    fn a_batch_that_continues_the_log_is_in_order() {
        assert_eq!(check_batch(0, &[append(1, 1), append(2, 2)]), Ok(()));
        assert_eq!(check_batch(41, &[append(42, 1)]), Ok(()));
        assert_eq!(check_batch(7, &[]), Ok(()));
    }

    #[test]
    fn the_first_number_that_is_not_expected_is_named_with_the_high_watermark_before_the_batch() {
        for (seqs, offender) in [(&[6][..], 6), (&[8], 8), (&[7, 7], 7), (&[7, 9], 9), (&[7, 6], 6), (&[0], 0), (&[7, 8, 10, 9], 10)] {
            let batch: Vec<_> = seqs.iter().map(|seq| append(*seq, 1)).collect();
            assert_eq!(check_batch(6, &batch), Err(EventStoreError::OutOfOrder { high_watermark: 6, seq: offender }), "{seqs:?}");
        }
    }

    #[test]
    fn the_last_number_there_is_has_no_successor() {
        assert_eq!(check_batch(u64::MAX - 1, &[append(u64::MAX, 1)]), Ok(()));
        let high_watermark = u64::MAX;
        assert_eq!(check_batch(high_watermark, &[append(0, 1)]), Err(EventStoreError::OutOfOrder { high_watermark, seq: 0 }));
        let high_watermark = u64::MAX - 1;
        let batch = [append(u64::MAX, 1), append(0, 1)];
        assert_eq!(check_batch(high_watermark, &batch), Err(EventStoreError::OutOfOrder { high_watermark, seq: 0 }));
    }

    #[test]
    fn sealed_comes_before_order_and_order_before_limits() {
        let mut batch = [append(9, 1)];
        batch[0].index_keys = vec![IndexKey::new(IndexKind::ClientOrderId, String::new()); KEYS_PER_ENTRY_MAX + 1];
        assert_eq!(check_append(RunStatus::Ended, 0, &batch), Err(EventStoreError::Closed));
        assert_eq!(check_append(RunStatus::Running, 0, &batch), Err(EventStoreError::OutOfOrder { high_watermark: 0, seq: 9 }));
        assert!(limit_of(check_append(RunStatus::Running, 8, &batch)).is_some());
    }

    #[test]
    fn an_empty_batch_on_a_sealed_run_is_closed() {
        assert_eq!(check_append(RunStatus::Ended, 0, &[]), Err(EventStoreError::Closed));
        assert_eq!(check_append(RunStatus::Running, 0, &[]), Ok(()));
    }

    #[test]
    fn every_part_of_an_entry_has_its_bound() {
        let changed = |change: &dyn Fn(&mut AppendEntry)| {
            let mut entry = append(1, 1);
            change(&mut entry);
            check_limits(&entry)
        };
        assert_bound(TOPIC_LEN_MAX, |len| changed(&|append| append.entry.topic = "t".repeat(len).into()));
        assert_bound(PAYLOAD_TYPE_LEN_MAX, |len| changed(&|append| append.entry.payload_type = Ustr::from(&"p".repeat(len))));
        assert_bound(PAYLOAD_LEN_MAX, |len| changed(&|append| append.entry.payload = Bytes::from(vec![0; len])));
        let key = |len| IndexKey::new(IndexKind::VenueOrderId, "k".repeat(len));
        assert_bound(KEYS_PER_ENTRY_MAX, |count| changed(&|append| append.index_keys = vec![key(1); count]));
        assert_bound(KEY_LEN_MAX, |len| changed(&|append| append.index_keys = vec![key(1), key(len)]));
    }

    #[test]
    fn a_limit_names_what_is_over_it_and_by_how_much() {
        let mut entry = append(1, 1);
        entry.index_keys = vec![IndexKey::new(IndexKind::VenueOrderId, "k".repeat(KEY_LEN_MAX + 1))];
        let text = check_limits(&entry).unwrap_err().to_string();
        assert_eq!(text, "the index key's length in bytes is 1025, and the limit is 1024");
    }

    #[test]
    fn a_length_is_counted_in_bytes_and_not_in_letters() {
        let mut entry = append(1, 1);
        entry.index_keys = vec![IndexKey::new(IndexKind::VenueOrderId, "é".repeat(KEY_LEN_MAX / 2 + 1))];
        assert_eq!(limit_of(check_limits(&entry)), Some((KEY_LEN_MAX as u64, KEY_LEN_MAX as u64 + 2)));
    }

    #[test]
    fn an_anchor_may_stand_anywhere_from_the_latest_one_to_the_high_watermark() {
        let anchor = |at| SnapshotAnchor::new(at, "blob", "hash");
        let refused = |result| matches!(result, Err(EventStoreError::Backend(_)));
        assert_eq!(check_anchor(&anchor(0), 0, None), Ok(()));
        assert_eq!(check_anchor(&anchor(5), 5, Some(&anchor(5))), Ok(()));
        assert_eq!(check_anchor(&anchor(3), 5, Some(&anchor(2))), Ok(()));
        assert!(refused(check_anchor(&anchor(6), 5, None)));
        assert!(refused(check_anchor(&anchor(1), 5, Some(&anchor(2)))));
    }

    #[test]
    fn the_texts_of_an_anchor_have_their_bound() {
        assert_bound(ANCHOR_TEXT_LEN_MAX, |len| check_anchor(&SnapshotAnchor::new(0, "b".repeat(len), ""), 0, None));
        assert_bound(ANCHOR_TEXT_LEN_MAX, |len| check_anchor(&SnapshotAnchor::new(0, "", "h".repeat(len)), 0, None));
    }

    #[test]
    fn only_running_is_no_status_to_end_with() {
        for status in RunStatus::ALL {
            match check_terminal(status) {
                Ok(()) => assert_ne!(status, RunStatus::Running),
                Err(EventStoreError::Backend(text)) => assert!(status == RunStatus::Running && text.contains("Running")),
                Err(other) => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_status_that_no_seal_accepts_comes_before_sealed() {
        assert!(matches!(check_seal(RunStatus::Ended, RunStatus::Running), Err(EventStoreError::Backend(_))));
        assert_eq!(check_seal(RunStatus::Ended, RunStatus::Ended), Err(EventStoreError::Closed));
        assert_eq!(check_seal(RunStatus::Running, RunStatus::Quarantined), Ok(()));
    }

    #[test]
    fn every_id_of_a_manifest_is_checked() {
        let named = |change: fn(&mut RunManifest)| {
            let mut manifest = manifest("run");
            change(&mut manifest);
            match check_manifest(&manifest) {
                Err(EventStoreError::InvalidId { what, .. }) => what,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(check_manifest(&manifest("run")), Ok(()));
        assert_eq!(named(|manifest| manifest.run_id = "../run".to_owned()), "run id");
        assert_eq!(named(|manifest| manifest.instance_id = String::new()), "instance id");
        assert_eq!(named(|manifest| manifest.parent_run_id = Some("NUL".to_owned())), "parent run id");
        let marker = MarkerManifest { run_id: "a/b".to_owned(), ..marker_manifest("run") };
        assert!(matches!(check_marker_manifest(&marker), Err(EventStoreError::InvalidId { what: "run id", .. })));
    }

    #[test]
    fn a_manifest_begins_without_what_only_a_seal_knows() {
        let mut given = manifest("run");
        given.status = RunStatus::Quarantined;
        given.end_ts_init = Some(UnixNanos::from(5));
        given.high_watermark = 9;
        assert_eq!(normalise_manifest(given), manifest("run"));
    }

    #[test]
    fn a_marker_manifest_begins_at_zero_and_keeps_its_classes_and_mode() {
        let given = MarkerManifest {
            enabled_classes: vec![DataClass::Bar],
            high_fidelity: true,
            snapshot_count: 1,
            hifi_count: 2,
            gap_count: 3,
            dict_count: 4,
            status: RunStatus::Ended,
            ..marker_manifest("run")
        };
        let expected = MarkerManifest { enabled_classes: vec![DataClass::Bar], high_fidelity: true, ..marker_manifest("run") };
        assert_eq!(normalise_marker_manifest(given), expected);
    }

    #[test]
    fn marker_records_have_their_bounds() {
        let cursor = StreamCursor { slot: 0, ts_init_hi: UnixNanos::default(), count: 0 };
        assert_bound(SNAPSHOT_CURSORS_MAX, |count| {
            check_snapshot(&DataCursorSnapshot {
                marker_seq: 1,
                event_seq_before: 0,
                ts_init: UnixNanos::default(),
                advanced: vec![cursor; count],
            })
        });
        assert_bound(STREAM_IDENTIFIER_LEN_MAX, |len| {
            check_dict_entry(&StreamDictEntry { slot: 0, data_cls: DataClass::Bar, identifier: "i".repeat(len) })
        });
    }
}
