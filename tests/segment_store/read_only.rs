//! A run can be read by others in every state it may be in, and reading changes nothing.

use std::collections::BTreeMap;
use std::path::Path;

use tapelog::{
    BackgroundMode, BackgroundStep, Durability, EventStore, EventStoreError, ReadPath, RecoveredState, RunStatus, ScanDirection,
    SegmentBackend, Verifier,
};

use crate::support::entries::{INSTANCE, batch, manifest};

const RUN: &str = "1-00000001";

fn by_hand(base: &Path) -> SegmentBackend {
    let builder = SegmentBackend::builder(base).segment_len(16 << 10).background(BackgroundMode::Manual);
    let mut store = builder.build().unwrap();
    store.open_run(manifest(RUN)).unwrap();
    store
}

fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()).filter(|entry| entry.path().is_file());
    files.map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn a_reader_of_a_live_run_sees_what_the_watermark_proves_and_disturbs_nothing() {
    let base = tempfile::tempdir().unwrap();
    let mut store = by_hand(base.path());
    store.append_batch(&batch(1, 30, 500)).unwrap();
    assert!(store.run_background_step(BackgroundStep::WriteWatermark).unwrap());
    store.append_batch(&batch(31, 40, 500)).unwrap();
    let folder = store.current_path().unwrap().to_owned();
    let before = contents(&folder);
    let reader = SegmentBackend::open_read_only(&folder).unwrap();
    assert_eq!(reader.high_watermark().unwrap(), 30);
    assert_eq!(reader.scan_range(1, 99, ScanDirection::Forward).unwrap().len(), 30);
    let written = SegmentBackend::open_written(&folder).unwrap();
    assert_eq!(written.scan_range(1, 99, ScanDirection::Forward).unwrap().len(), 40);
    assert!(Verifier::new(Box::new(reader)).verify().unwrap().is_clean());
    assert_eq!(contents(&folder), before);
    store.append_batch(&batch(41, 41, 1)).unwrap();
}

#[test]
fn a_reader_of_a_run_that_was_left_says_what_recovery_would_do_and_does_not_do_it() {
    let base = tempfile::tempdir().unwrap();
    let mut store = by_hand(base.path());
    store.append_batch(&batch(1, 3, 100)).unwrap();
    let folder = store.current_path().unwrap().to_owned();
    drop(store);
    // The beginning of a batch that never got its commit.
    let segment = folder.join("00000001.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[end + 100] = 1;
    std::fs::write(&segment, &bytes).unwrap();
    let before = contents(&folder);
    let reader = SegmentBackend::open_read_only(&folder).unwrap();
    let report = reader.recovery().unwrap();
    assert_eq!(report.state, RecoveredState::TornTail);
    assert_eq!((report.end.seq, report.proven.seq), (3, 3));
    assert_eq!(report.discarded.as_ref().map(|discarded| (discarded.offset, discarded.bytes)), Some((end as u64 + 100, 1)));
    let text = report.to_string();
    assert!(text.contains("nothing proven durable was lost") && !text.contains("no data lost"), "{text}");
    assert_eq!(contents(&folder), before);
}

#[test]
fn a_reader_refuses_every_write() {
    let base = tempfile::tempdir().unwrap();
    let mut store = by_hand(base.path());
    store.append_batch(&batch(1, 3, 100)).unwrap();
    let folder = store.current_path().unwrap().to_owned();
    let mut reader = SegmentBackend::open_read_only(&folder).unwrap();
    for answer in [
        reader.append_batch(&batch(4, 4, 1)).map(|_| ()),
        reader.record_snapshot_anchor(tapelog::SnapshotAnchor::new(1, "", "")),
        reader.seal(RunStatus::Ended),
        reader.open_run(manifest("2-00000002")),
    ] {
        assert!(matches!(&answer, Err(EventStoreError::Backend(text)) if text.contains("reading only")), "{answer:?}");
    }
    store.seal(RunStatus::Ended).unwrap();
    let mut sealed = SegmentBackend::open_sealed_file(folder.join("MANIFEST")).unwrap();
    assert_eq!(sealed.open_run(manifest("2-00000002")), Err(EventStoreError::Closed));
    assert_eq!(sealed.append_batch(&batch(4, 4, 1)), Err(EventStoreError::Closed));
    assert_eq!(sealed.seal(RunStatus::Ended), Err(EventStoreError::Closed));
}

#[test]
fn a_payload_of_a_sealed_run_outlives_the_store_that_read_it() {
    let base = tempfile::tempdir().unwrap();
    let mut store = by_hand(base.path());
    store.append_batch(&batch(1, 50, 1_000)).unwrap();
    store.seal(RunStatus::Ended).unwrap();
    let mapping = SegmentBackend::builder(base.path()).read_path(ReadPath::Map).build().unwrap();
    let sealed = mapping.into_read_only(base.path().join(INSTANCE).join(RUN)).unwrap();
    let first = sealed.scan_seq(7).unwrap().unwrap();
    let again = sealed.scan_seq(7).unwrap().unwrap();
    assert_eq!(first.payload.as_ptr(), again.payload.as_ptr(), "both share the map of the segment");
    drop(sealed);
    assert_eq!(first, batch(7, 7, 1_000)[0].entry);
}

#[test]
fn a_buffered_run_that_was_left_shows_what_is_proven_or_what_is_written() {
    let base = tempfile::tempdir().unwrap();
    let durability = Durability::Buffered { sync_every: std::time::Duration::from_mins(1) };
    let builder = SegmentBackend::builder(base.path()).segment_len(16 << 10).background(BackgroundMode::Manual).durability(durability);
    let mut store = builder.build().unwrap();
    store.open_run(manifest(RUN)).unwrap();
    store.append_batch(&batch(1, 3, 100)).unwrap();
    store.append_batch(&batch(4, 9, 100)).unwrap();
    let folder = store.current_path().unwrap().to_owned();
    // What another process would find if this one were killed now.
    let copy = base.path().join("copy").join(RUN);
    std::fs::create_dir_all(&copy).unwrap();
    for (name, bytes) in contents(&folder) {
        std::fs::write(copy.join(name), bytes).unwrap();
    }
    assert_eq!(SegmentBackend::open_read_only(&copy).unwrap().high_watermark().unwrap(), 0);
    assert_eq!(SegmentBackend::open_written(&copy).unwrap().high_watermark().unwrap(), 9);
}

#[test]
fn listing_tells_live_runs_and_those_that_cannot_be_read() {
    let base = tempfile::tempdir().unwrap();
    let live = by_hand(base.path());
    let mut other = SegmentBackend::builder(base.path()).segment_len(16 << 10).build().unwrap();
    other.open_run(manifest("2-00000002")).unwrap();
    other.seal(RunStatus::Ended).unwrap();
    let broken = base.path().join(INSTANCE).join("3-00000003");
    std::fs::create_dir(&broken).unwrap();
    std::fs::write(broken.join("MANIFEST"), b"not a manifest").unwrap();
    std::fs::create_dir(base.path().join(INSTANCE).join("not a run")).unwrap();
    std::fs::create_dir(base.path().join(INSTANCE).join("4-begun")).unwrap();
    let listings = SegmentBackend::scan_runs(base.path(), INSTANCE).unwrap();
    let outline: Vec<_> =
        listings.iter().map(|listing| (listing.run_id.as_str(), listing.live, listing.manifest.as_ref().ok().map(|m| m.status))).collect();
    assert_eq!(
        outline,
        [(RUN, true, Some(RunStatus::Running)), ("2-00000002", false, Some(RunStatus::Ended)), ("3-00000003", false, None)]
    );
    assert!(matches!(SegmentBackend::list_runs(base.path(), INSTANCE), Err(EventStoreError::Corrupted(_))));
    assert_eq!(SegmentBackend::list_runs(base.path(), "nobody").unwrap(), []);
    assert!(matches!(SegmentBackend::list_runs(base.path(), "../nobody"), Err(EventStoreError::InvalidId { .. })));
    drop(live);
}

#[test]
fn a_folder_without_a_run_is_no_corrupted_run() {
    let base = tempfile::tempdir().unwrap();
    for path in [base.path().to_owned(), base.path().join("nothing")] {
        for answer in [SegmentBackend::open_read_only(&path), SegmentBackend::open_sealed_file(&path)] {
            assert!(matches!(&answer, Err(EventStoreError::Backend(text)) if text.contains("no run in")), "{answer:?}");
        }
    }
}
