//! At boot every run that was left running is sealed with what it turned out to be.

use std::path::{Path, PathBuf};

use tapelog::{EventStore, EventStoreError, RecoverySweep, RunStatus, SegmentBackend, recover_predecessors};

use crate::support::entries::{INSTANCE, batch, entry_of, manifest};

fn leave(base: &Path, run_id: &str, start: u64, fill: impl FnOnce(&mut SegmentBackend)) -> PathBuf {
    let mut store = SegmentBackend::builder(base).segment_len(16 << 10).build().unwrap();
    let manifest = tapelog::RunManifest { start_ts_init: start.into(), ..manifest(run_id) };
    store.open_run(manifest).unwrap();
    fill(&mut store);
    store.current_path().unwrap().to_owned()
}

fn flip(path: &Path, offset: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[offset] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn every_run_gets_the_status_that_it_deserves() {
    let base = tempfile::tempdir().unwrap();
    leave(base.path(), "1-crashed", 1, |store| {
        store.append_batch(&batch(1, 40, 700)).unwrap();
    });
    leave(base.path(), "2-ended", 2, |store| {
        store.append_batch(&batch(1, 4, 10)).unwrap();
        let mut last = entry_of(5, 0);
        last.entry.topic = "run.lifecycle.RunEnded".into();
        last.entry.payload_type = "RunEnded".into();
        last.entry.entry_hash = last.entry.recompute_hash();
        store.append_batch(&[last]).unwrap();
    });
    leave(base.path(), "3-empty", 3, |_| {});
    let damaged = leave(base.path(), "4-damaged", 4, |store| {
        store.append_batch(&batch(1, 4, 10)).unwrap();
        store.append_batch(&batch(5, 8, 10)).unwrap();
    });
    flip(&damaged.join("00000001.seg"), 5_000);
    leave(base.path(), "5-wrong-hash", 5, |store| {
        let mut wrong = entry_of(1, 3);
        wrong.entry.entry_hash.0[0] ^= 1;
        store.append_batch(&[wrong]).unwrap();
    });
    let unreadable = leave(base.path(), "6-unreadable", 6, |_| {});
    std::fs::write(unreadable.join("MANIFEST"), b"no manifest at all").unwrap();
    let mut live = SegmentBackend::new(base.path());
    live.open_run(manifest("7-live")).unwrap();

    let planned = RecoverySweep::new(base.path(), INSTANCE).plan().unwrap();
    let planned: Vec<_> =
        planned.iter().map(|plan| (plan.run_id.as_str(), plan.verdict.as_ref().ok().map(|(status, _)| *status))).collect();
    let outcome = recover_predecessors(base.path(), INSTANCE).unwrap();
    let recovered: Vec<_> = outcome.recovered.iter().map(|run| (run.run_id.as_str(), run.status)).collect();
    assert_eq!(
        recovered,
        [
            ("1-crashed", RunStatus::CrashedRecovered),
            ("2-ended", RunStatus::Ended),
            ("3-empty", RunStatus::CrashedRecovered),
            ("4-damaged", RunStatus::Quarantined),
            ("5-wrong-hash", RunStatus::Quarantined),
        ]
    );
    assert_eq!(outcome.parent_run_id.as_deref(), Some("3-empty"));
    assert_eq!(outcome.live, ["7-live"]);
    assert_eq!(outcome.unreadable.iter().map(|run| run.run_id.as_str()).collect::<Vec<_>>(), ["6-unreadable"]);
    for (run_id, status) in recovered {
        assert!(planned.contains(&(run_id, Some(status))), "{run_id} was planned otherwise: {planned:?}");
        assert_eq!(SegmentBackend::open_sealed(base.path(), INSTANCE, run_id).unwrap().manifest().unwrap().status, status);
    }
    let again = recover_predecessors(base.path(), INSTANCE).unwrap();
    assert_eq!((again.recovered, again.parent_run_id), (Vec::new(), None), "a second sweep finds nothing to do");
}

#[test]
fn a_child_run_goes_on_from_the_recovered_one() {
    let base = tempfile::tempdir().unwrap();
    leave(base.path(), "1-parent", 1, |store| {
        store.append_batch(&batch(1, 4, 10)).unwrap();
    });
    let outcome = recover_predecessors(base.path(), INSTANCE).unwrap();
    let mut child = SegmentBackend::new(base.path());
    child.open_run(tapelog::RunManifest { parent_run_id: outcome.parent_run_id, ..manifest("2-child") }).unwrap();
    assert_eq!(child.append_batch(&batch(1, 1, 10)).unwrap(), 1);
    assert_eq!(child.manifest().unwrap().parent_run_id.as_deref(), Some("1-parent"));
}

#[test]
fn a_damaged_run_is_sealed_as_quarantined_only_and_what_is_intact_is_read() {
    let base = tempfile::tempdir().unwrap();
    let folder = leave(base.path(), "1-damaged", 1, |store| {
        store.append_batch(&batch(1, 4, 10)).unwrap();
        store.append_batch(&batch(5, 8, 10)).unwrap();
        store.append_batch(&batch(9, 12, 10)).unwrap();
    });
    // Without this witness the whole run is walked, and the last commit proves the one before it.
    std::fs::remove_file(folder.join("WATERMARK")).unwrap();
    let before = std::fs::read(folder.join("00000001.seg")).unwrap();
    flip(&folder.join("00000001.seg"), 5_000);
    let mut store = SegmentBackend::new(base.path());
    assert_eq!(store.open_run(manifest("1-damaged")), Err(EventStoreError::CrashedPredecessor));
    assert_eq!(store.high_watermark().unwrap(), 8, "the last commit claims that eight entries were durable");
    for seq in 1..=8 {
        match store.scan_seq(seq) {
            Ok(found) => assert_eq!(found, Some(entry_of(seq, 10).entry)),
            Err(error) => assert!(matches!(error, EventStoreError::HashMismatch { .. } | EventStoreError::Gap { .. }), "{error}"),
        }
    }
    assert!(store.scan_seq(8).unwrap().is_some());
    assert!(matches!(store.seal(RunStatus::CrashedRecovered), Err(EventStoreError::Backend(text)) if text.contains("Quarantined")));
    store.seal(RunStatus::Quarantined).unwrap();
    let mut after = std::fs::read(folder.join("00000001.seg")).unwrap();
    after[5_000] ^= 1;
    assert_eq!(after, before, "not a byte of a damaged run is changed");
    let sealed = SegmentBackend::open_sealed(base.path(), INSTANCE, "1-damaged").unwrap();
    assert_eq!(sealed.high_watermark().unwrap(), 8);
    assert!(sealed.scan_seq(8).unwrap().is_some());
}
