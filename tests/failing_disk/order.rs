//! The order of writes, syncs and renames is what durability rests on: it is held against the journal.

use std::fs;
use std::path::Path;

use tapelog::{BackgroundStep, EventStore, EventStoreError, RecoveredState, RunStatus, SegmentBackend, SnapshotAnchor};

use super::bench::{Bench, FIRST_SEGMENT, RUN, SECOND_SEGMENT, WATERMARK};
use crate::support::entries::{INSTANCE, batch, manifest};
use crate::support::faulty_storage::{Operation, OperationKind};
use crate::support::folders::copy_folder;

/// A change in a few words: what is done to which name.
fn in_words(operations: &[Operation], base: &Path) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for done in operations.iter().filter(|done| !done.failed) {
        let name = match done.path.strip_prefix(base.join(INSTANCE).join(RUN)) {
            Ok(inside) if inside.as_os_str().is_empty() => "the folder".to_owned(),
            Ok(inside) => inside.display().to_string(),
            Err(_) if done.path == base => "the base".to_owned(),
            Err(_) => done.path.file_name().unwrap().to_string_lossy().into_owned(),
        };
        let text = format!("{:?} {name}", done.kind);
        // Zeros go out in several writes, which no order depends on.
        if words.last() != Some(&text) {
            words.push(text);
        }
    }
    words
}

/// The changes since the journal was cleared, in a few words each.
fn changes(bench: &Bench) -> Vec<String> {
    in_words(&bench.changes(), bench.base())
}

#[test]
fn a_run_comes_into_being_with_manifest_last() {
    let bench = Bench::new();
    bench.by_hand().spares(2).build().unwrap().open_run(manifest(RUN)).unwrap();
    let changes = changes(&bench);
    let position = |text: &str| changes.iter().position(|done| done == text).unwrap_or_else(|| panic!("{text}: {changes:#?}"));
    assert!(position(&format!("Create {INSTANCE}")) < position("SyncDir the base"));
    assert!(position("SyncDir the base") < position("Create the folder"), "each folder is durable before the next is made in it");
    assert!(position("Create the folder") < position(&format!("SyncDir {INSTANCE}")));
    let files = [
        "Create markers",
        "Create 00000001.seg.tmp",
        "Write 00000001.seg.tmp",
        "SyncAll 00000001.seg.tmp",
        "Rename 00000001.seg",
        "SyncDir the folder",
        "Create 00000002.seg.tmp",
        "Write 00000002.seg.tmp",
        "SyncAll 00000002.seg.tmp",
        "Rename 00000002.seg",
        "SyncDir the folder",
        "Create WATERMARK.tmp",
        "Write WATERMARK.tmp",
        "SyncAll WATERMARK.tmp",
        "Rename WATERMARK",
        "SyncDir the folder",
        "Create MANIFEST.tmp",
        "Write MANIFEST.tmp",
        "SyncAll MANIFEST.tmp",
        "Rename MANIFEST",
        "SyncDir the folder",
    ];
    assert_eq!(changes[position("Create markers")..], files);
}

#[test]
fn an_append_is_one_write_of_whole_blocks_and_one_sync_before_it_is_acknowledged() {
    let bench = Bench::new();
    let mut recorder = bench.recorder();
    for last in [1, 3, 9, 10] {
        bench.disk.clear_journal();
        recorder.append(&batch(recorder.log.last_seq() + 1, last, 300));
        // The journal is looked at after the append returned: whatever is not in it was not done before.
        let done: Vec<_> = bench.changes().into_iter().map(|done| (done.kind, done.offset % 4_096, done.len % 4_096)).collect();
        assert_eq!(done, [(OperationKind::Write, 0, 0), (OperationKind::SyncData, 0, 0)]);
        assert!(bench.changes().iter().all(|done| done.path.ends_with(FIRST_SEGMENT)));
    }
    bench.disk.clear_journal();
    recorder.anchor(SnapshotAnchor::new(3, "blob", "hash"));
    assert_eq!(changes(&bench), [format!("Write {FIRST_SEGMENT}"), format!("SyncData {FIRST_SEGMENT}")]);
}

#[test]
fn rolling_costs_an_append_no_more_than_its_write_and_its_sync() {
    let bench = Bench::new();
    let mut recorder = bench.recorder();
    recorder.append(&batch(1, 9, 900));
    assert_eq!(recorder.store.run_background_step(BackgroundStep::MakeSpare), Ok(true));
    bench.disk.clear_journal();
    recorder.append(&batch(10, 16, 900));
    assert_eq!(changes(&bench), [format!("Write {SECOND_SEGMENT}"), format!("SyncData {SECOND_SEGMENT}")]);
    assert_eq!(recorder.store.stats().spares_missed, 0);
}

#[test]
fn a_spare_is_durable_with_its_name_before_it_is_used() {
    let bench = Bench::new();
    let mut recorder = bench.recorder();
    recorder.append(&batch(1, 9, 900));
    bench.disk.clear_journal();
    // No spare is ready: it is made on the spot, and nothing of the batch is written before.
    recorder.append(&batch(10, 16, 900));
    let expected = [
        "Create 00000002.seg.tmp",
        "Write 00000002.seg.tmp",
        "SyncAll 00000002.seg.tmp",
        "Rename 00000002.seg",
        "SyncDir the folder",
        "Write 00000002.seg.tmp",
        "SyncData 00000002.seg.tmp",
    ];
    assert_eq!(changes(&bench), expected);
    assert_eq!(recorder.store.stats().spares_missed, 1);
}

#[test]
fn a_batch_larger_than_a_segment_has_durable_room_before_it_is_written() {
    let bench = Bench::new();
    let mut recorder = bench.recorder();
    recorder.append(&batch(1, 2, 10));
    assert_eq!(recorder.store.run_background_step(BackgroundStep::MakeSpare), Ok(true));
    bench.disk.clear_journal();
    recorder.append(&batch(3, 60, 900));
    let done: Vec<_> = bench.changes().iter().map(|done| done.kind).collect();
    let first_sync = done.iter().position(|kind| *kind == OperationKind::SyncAll).unwrap();
    assert!(done[..first_sync].iter().all(|kind| *kind == OperationKind::Write), "zeros: {done:?}");
    assert_eq!(done[first_sync + 1..], [OperationKind::Write, OperationKind::SyncData], "the batch: {done:?}");
    recorder.log.assert_whole(&recorder.store, 60, &"a batch larger than a segment");
}

#[test]
fn a_buffered_append_is_acknowledged_by_the_sync_and_not_by_the_write() {
    let bench = Bench::new();
    let mut recorder = bench.buffered_recorder();
    bench.disk.clear_journal();
    recorder.append(&batch(1, 3, 100));
    recorder.append(&batch(4, 5, 100));
    assert_eq!(changes(&bench), [format!("Write {FIRST_SEGMENT}")]);
    assert_eq!((recorder.store.high_watermark(), recorder.store.stats().written), (Ok(0), 5));
    assert_eq!(recorder.store.run_background_step(BackgroundStep::SyncWritten), Ok(true));
    assert_eq!(changes(&bench), [format!("Write {FIRST_SEGMENT}"), format!("SyncData {FIRST_SEGMENT}")]);
    assert_eq!(recorder.store.high_watermark(), Ok(5));
}

#[test]
fn buffered_segments_are_synced_in_ascending_order() {
    let bench = Bench::new();
    let mut recorder = bench.buffered_recorder();
    for _ in 0..4 {
        let next = recorder.log.last_seq() + 1;
        recorder.append(&batch(next, next + 8, 900));
    }
    bench.disk.clear_journal();
    assert_eq!(recorder.store.sync(), Ok(36));
    let synced: Vec<_> = bench.changes().iter().map(|done| done.path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(synced, ["00000001.seg.tmp", "00000002.seg.tmp", "00000003.seg.tmp", "00000004.seg.tmp"]);
}

/// An anchor is acknowledged when it is recorded, and so is everything before it.
#[test]
fn an_anchor_syncs_what_was_written_before_it_first() {
    let bench = Bench::new();
    let mut recorder = bench.buffered_recorder();
    recorder.append(&batch(1, 3, 100));
    bench.disk.clear_journal();
    recorder.anchor(SnapshotAnchor::new(3, "blob", "hash"));
    let seg = FIRST_SEGMENT;
    assert_eq!(changes(&bench), [format!("SyncData {seg}"), format!("Write {seg}"), format!("SyncData {seg}")]);
    assert_eq!(recorder.store.high_watermark(), Ok(3));
}

/// What the slots of WATERMARK say is the last entry that is durable.
fn witnessed(bench: &Bench) -> u64 {
    let bytes = fs::read(bench.folder().join("WATERMARK")).unwrap();
    let seq_at = |slot: usize| u64::from_le_bytes(bytes[slot * 4_096 + 40..slot * 4_096 + 48].try_into().unwrap());
    seq_at(0).max(seq_at(1))
}

#[test]
fn watermark_claims_nothing_that_is_not_synced() {
    let bench = Bench::new();
    let mut recorder = bench.buffered_recorder();
    recorder.append(&batch(1, 3, 100));
    assert_eq!(recorder.store.run_background_step(BackgroundStep::WriteWatermark), Ok(false), "nothing is durable yet");
    assert_eq!(recorder.store.sync(), Ok(3));
    recorder.append(&batch(4, 6, 100));
    assert_eq!(recorder.store.run_background_step(BackgroundStep::WriteWatermark), Ok(true));
    assert_eq!(witnessed(&bench), 3, "the entries 4 to 6 are written and not synced");
    assert_eq!(recorder.store.run_background_step(BackgroundStep::SyncWatermark), Ok(true));
    bench.disk.clear_journal();
    assert_eq!(recorder.store.sync(), Ok(6));
    assert_eq!(recorder.store.run_background_step(BackgroundStep::WriteWatermark), Ok(true));
    assert_eq!(witnessed(&bench), 6);
    assert_eq!(changes(&bench), [format!("SyncData {FIRST_SEGMENT}"), format!("Write {WATERMARK}")]);
    assert_eq!(recorder.store.run_background_step(BackgroundStep::SyncWatermark), Ok(true));
    assert_eq!(recorder.store.run_background_step(BackgroundStep::SyncWatermark), Ok(false));
}

/// Nothing of a buffered run was ever synced. The disk lost the second of three batches: that is a torn
/// tail, because no commit claims that anything was durable.
#[test]
fn commits_claim_nothing_that_was_not_synced() {
    let bench = Bench::new();
    let mut recorder = bench.buffered_recorder();
    for last in [2, 4, 6] {
        recorder.append(&batch(last - 1, last, 100));
    }
    let lost = Bench::new();
    copy_folder(&bench.folder(), &lost.folder());
    let path = lost.folder().join("00000001.seg");
    let mut bytes = fs::read(&path).unwrap();
    let second = bytes.windows(3).position(|window| window == b"O-1").unwrap();
    bytes[second..second + 300].fill(0);
    fs::write(path, bytes).unwrap();
    let mut store = lost.by_hand().build().unwrap();
    assert_eq!(store.open_run(manifest(RUN)), Err(EventStoreError::CrashedPredecessor));
    assert_eq!((store.recovery().unwrap().state, store.high_watermark()), (RecoveredState::TornTail, Ok(2)));
    recorder.log.assert_whole(&store, 2, &"the second batch is lost");
}

#[test]
fn a_run_is_sealed_in_the_one_order_that_can_be_cut_off_anywhere() {
    let bench = Bench::new();
    let mut recorder = bench.recorder();
    recorder.append(&batch(1, 9, 900));
    recorder.append(&batch(10, 15, 900));
    for step in [BackgroundStep::MakeSpare, BackgroundStep::WriteWatermark, BackgroundStep::SyncWatermark, BackgroundStep::BuildIndex] {
        assert_eq!(recorder.store.run_background_step(step), Ok(true));
    }
    bench.disk.clear_journal();
    recorder.store.seal(RunStatus::Ended).unwrap();
    let index = |name: &str| {
        let steps = ["Create {}.tmp", "Write {}.tmp", "SyncAll {}.tmp", "Rename {}"].map(|step| step.replace("{}", name));
        steps.into_iter().chain(["SyncDir the folder".to_owned()])
    };
    let mut expected: Vec<String> = ["Remove 00000003.seg", "SyncDir the folder"].map(str::to_owned).to_vec();
    expected.extend(["SetLen 00000002.seg.tmp", "SyncAll 00000002.seg.tmp"].map(str::to_owned));
    expected.extend(index("00000002.idx").chain(index("00000002.key")).chain(index("MANIFEST")));
    expected.extend(["Remove WATERMARK", "SyncDir the folder"].map(str::to_owned));
    assert_eq!(changes(&bench), expected);
}

#[test]
fn spares_are_removed_from_the_last_to_the_first() {
    let bench = Bench::new();
    let mut store = bench.by_hand().spares(4).build().unwrap();
    store.open_run(manifest(RUN)).unwrap();
    bench.disk.clear_journal();
    store.seal(RunStatus::Ended).unwrap();
    let removed: Vec<_> = changes(&bench).into_iter().filter(|done| done.starts_with("Remove 0")).collect();
    assert_eq!(removed, ["Remove 00000004.seg", "Remove 00000003.seg", "Remove 00000002.seg", "Remove 00000001.seg"]);
}

#[test]
fn a_buffered_run_is_synced_before_it_is_sealed() {
    let bench = Bench::new();
    let mut recorder = bench.buffered_recorder();
    recorder.append(&batch(1, 9, 900));
    recorder.append(&batch(10, 12, 900));
    bench.disk.clear_journal();
    recorder.store.seal(RunStatus::Ended).unwrap();
    assert_eq!(changes(&bench)[..2], ["SyncData 00000001.seg.tmp", "SyncData 00000002.seg.tmp"]);
    recorder.log.assert_whole(&SegmentBackend::open_sealed(bench.base(), INSTANCE, RUN).unwrap(), 12, &"sealed");
}

/// Nothing of the run is witnessed, and half a batch lies behind its end.
#[test]
fn a_recovery_makes_durable_what_it_keeps_then_clears_the_rest_and_witnesses_last() {
    let bench = Bench::new();
    let mut recorder = bench.buffered_recorder();
    recorder.append(&batch(1, 9, 900));
    recorder.append(&batch(10, 11, 900));
    let crashed = Bench::new();
    copy_folder(&bench.folder(), &crashed.folder());
    let path = crashed.folder().join("00000002.seg");
    let end = SegmentBackend::open_written(crashed.folder()).unwrap().recovery().unwrap().end;
    let mut bytes = fs::read(&path).unwrap();
    let torn = usize::try_from(end.offset).unwrap();
    bytes[torn + 24..torn + 1_000].fill(0xa5);
    fs::write(&path, &bytes).unwrap();

    let mut store = crashed.by_hand().build().unwrap();
    assert_eq!(store.open_run(manifest(RUN)), Err(EventStoreError::CrashedPredecessor));
    assert_eq!(store.recovery().unwrap().state, RecoveredState::TornTail);
    let expected = [
        "SyncDir trader-001",
        "Write 00000001.seg",
        "SyncData 00000001.seg",
        "Write 00000002.seg",
        "SyncData 00000002.seg",
        "Write 00000002.seg",
        "SyncData 00000002.seg",
        "Write WATERMARK",
        "SyncData WATERMARK",
        "Write WATERMARK",
        "SyncData WATERMARK",
    ];
    assert_eq!(changes(&crashed), expected, "and nothing is cut or removed");
    let kept: u64 = crashed.changes().iter().filter(|done| done.path.ends_with("00000001.seg")).map(|done| done.len).sum();
    assert!(kept > 9 * 900, "every byte that nothing proves durable is written again: {kept}");
    bytes[torn..].fill(0);
    assert_eq!(fs::read(&path).unwrap(), bytes, "what lies behind the end is zeros, and the rest as it was");
    let witness = fs::read(crashed.folder().join("WATERMARK")).unwrap();
    assert_eq!(witness[..4_096], witness[4_096..], "both slots say where the log ends");
    recorder.log.assert_whole(&store, 11, &"recovered");
}

/// What a witness proves is durable as it is: writing it again would only put it in danger.
#[test]
fn a_recovery_writes_nothing_of_what_is_proven_durable() {
    let bench = Bench::new();
    let mut recorder = bench.recorder();
    recorder.append(&batch(1, 9, 900));
    recorder.append(&batch(10, 11, 900));
    drop(recorder.store);
    bench.disk.clear_journal();
    let mut store = bench.by_hand().build().unwrap();
    assert_eq!(store.open_run(manifest(RUN)), Err(EventStoreError::CrashedPredecessor));
    assert_eq!(store.recovery().unwrap().state, RecoveredState::Clean);
    // A sync endangers nothing: it is for what an earlier recovery may have discarded in the page cache alone.
    let is_harmless = |done: &String| done.ends_with("WATERMARK") || done.starts_with("SyncDir") || done.starts_with("SyncData");
    assert!(changes(&bench).iter().all(is_harmless), "{:?}", changes(&bench));
}
