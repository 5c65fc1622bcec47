//! Waiting for a run to go on: who is woken, who is told of an end, and what is never shown.

use std::ops::ControlFlow;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use tapelog::{
    BackgroundMode, BackgroundStep, ChainFollower, Check, Durability, EventStore, EventStoreError, FollowOptions, Follower, Progress,
    ReaderOptions, RunEnd, RunReader, RunStatus, SegmentBackend, Visibility, recover_predecessors,
};

use crate::support::counters::bytes_read;
use crate::support::entries::{INSTANCE, batch, entry_of, manifest};

const RUN: &str = "1-00000001";
const PATIENCE: Duration = Duration::from_mins(1);

fn by_hand(base: &Path, durability: Durability) -> SegmentBackend {
    let builder = SegmentBackend::builder(base).segment_len(16 << 10).durability(durability).background(BackgroundMode::Manual);
    let mut store = builder.build().unwrap();
    store.open_run(manifest(RUN)).unwrap();
    store
}

fn shown(follower: &mut Follower) -> Vec<u64> {
    let mut seqs = Vec::new();
    follower
        .visit(Duration::ZERO, Check::Full, |view| {
            seqs.push(view.seq());
            ControlFlow::Continue(())
        })
        .unwrap();
    seqs
}

#[test]
fn a_follower_shows_what_the_writer_says_is_durable_and_nothing_behind_it() {
    let base = tempfile::tempdir().unwrap();
    let mut store = by_hand(base.path(), Durability::Synced);
    let folder = store.current_path().unwrap().to_owned();
    let mut follower = Follower::open(&folder, FollowOptions::default()).unwrap();
    assert!(follower.is_live());
    assert_eq!(shown(&mut follower), [0_u64; 0]);
    store.append_batch(&batch(1, 3, 100)).unwrap();
    assert_eq!(shown(&mut follower), [0_u64; 0], "the writer has not said so yet");
    store.run_background_step(BackgroundStep::WriteWatermark).unwrap();
    store.append_batch(&batch(4, 5, 100)).unwrap();
    assert_eq!(shown(&mut follower), [1, 2, 3]);
    let written = FollowOptions { visibility: Visibility::Written, ..FollowOptions::default() };
    assert_eq!(shown(&mut Follower::open(&folder, written).unwrap()), [1, 2, 3, 4, 5]);
}

#[test]
fn a_follower_of_a_buffered_run_waits_for_the_sync() {
    let base = tempfile::tempdir().unwrap();
    let mut store = by_hand(base.path(), Durability::Buffered { sync_every: Duration::from_mins(1) });
    let mut follower = Follower::open(store.current_path().unwrap(), FollowOptions::default()).unwrap();
    store.append_batch(&batch(1, 60, 500)).unwrap();
    store.run_background_step(BackgroundStep::WriteWatermark).unwrap();
    assert_eq!(shown(&mut follower), [0_u64; 0], "written, across segments, and not synced");
    let tail = store.reader().unwrap();
    assert_eq!(tail.tail(1, Visibility::Durable).next_entry(Duration::ZERO).unwrap(), None);
    assert_eq!(tail.tail(60, Visibility::Written).next_entry(Duration::ZERO).unwrap(), Some(entry_of(60, 500).entry));
    store.sync().unwrap();
    store.run_background_step(BackgroundStep::WriteWatermark).unwrap();
    assert_eq!(shown(&mut follower).len(), 60);
}

#[test]
fn a_follower_goes_on_through_the_recovery_and_the_seal() {
    let base = tempfile::tempdir().unwrap();
    let mut store = by_hand(base.path(), Durability::Synced);
    let folder = store.current_path().unwrap().to_owned();
    let mut follower = Follower::open(&folder, FollowOptions::default()).unwrap();
    store.append_batch(&batch(1, 40, 500)).unwrap();
    drop(store);
    assert_eq!(shown(&mut follower).len(), 40, "a close witnesses what is durable");
    assert!(!follower.is_live());
    assert_eq!(follower.visit(Duration::ZERO, Check::Full, |_| ControlFlow::Continue(())).unwrap(), Progress::Idle);
    let recovered = recover_predecessors(base.path(), INSTANCE).unwrap();
    assert_eq!(recovered.recovered[0].status, RunStatus::CrashedRecovered);
    let end = follower.visit(Duration::ZERO, Check::Full, |_| ControlFlow::Continue(())).unwrap();
    let Progress::Ended(RunEnd::Sealed(sealed)) = end else { panic!("{end:?}") };
    assert_eq!((sealed.status, sealed.high_watermark), (RunStatus::CrashedRecovered, 40));
}

#[test]
fn damage_below_what_is_durable_is_told_and_not_passed_over() {
    let base = tempfile::tempdir().unwrap();
    let mut store = by_hand(base.path(), Durability::Synced);
    let folder = store.current_path().unwrap().to_owned();
    for seq in 1..=6 {
        store.append_batch(&batch(seq, seq, 100)).unwrap();
    }
    store.run_background_step(BackgroundStep::WriteWatermark).unwrap();
    let segment = folder.join("00000001.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    let payload = &entry_of(4, 100).entry.payload;
    let at = bytes.windows(100).position(|window| window == payload.as_ref()).unwrap();
    bytes[at] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    let mut follower = Follower::open(&folder, FollowOptions::default()).unwrap();
    let mut seqs = Vec::new();
    let error = loop {
        match follower.visit(Duration::from_millis(50), Check::Full, |view| {
            seqs.push(view.seq());
            ControlFlow::Continue(())
        }) {
            Ok(progress) => assert_eq!(progress, Progress::Shown(3)),
            Err(error) => break error,
        }
    };
    assert_eq!(seqs, [1, 2, 3]);
    let EventStoreError::Corrupted(corruption) = &error else { panic!("{error:?}") };
    assert_eq!((corruption.seq, corruption.file.as_deref()), (Some(4), Some(segment.as_path())));
    bytes[at] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    assert_eq!(shown(&mut follower), [4, 5, 6], "once the bytes are back it goes on");
}

/// A run of four segments, the last of them begun, and what a change of its files makes of it: the damage that a follower
/// and a judgement tell.
fn told_after(change: impl FnOnce(&Path)) -> (String, Vec<u64>) {
    let base = tempfile::tempdir().unwrap();
    let mut store = by_hand(base.path(), Durability::Synced);
    let folder = store.current_path().unwrap().to_owned();
    for seq in 1..=60 {
        store.append_batch(&batch(seq, seq, 500)).unwrap();
        // Spares are made by hand too.
        for step in store.background_steps() {
            store.run_background_step(step).unwrap();
        }
    }
    assert!(folder.join("00000004.seg").exists());
    change(&folder);
    let mut follower = Follower::open(&folder, FollowOptions::default()).unwrap();
    let mut seqs = Vec::new();
    let error = loop {
        match follower.visit(Duration::from_millis(50), Check::Full, |view| {
            seqs.push(view.seq());
            ControlFlow::Continue(())
        }) {
            Ok(progress) => assert!(matches!(progress, Progress::Shown(_)), "{progress:?}"),
            Err(error) => break error,
        }
    };
    let EventStoreError::Corrupted(corruption) = &error else { panic!("{error:?}") };
    let file = corruption.file.as_ref().unwrap().file_name().unwrap().to_string_lossy().into_owned();
    (format!("{file} at {}: {}", corruption.offset.unwrap(), corruption.found), seqs)
}

fn overwrite(path: &Path, from: usize, len: usize, value: u8) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[from..from + len].fill(value);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn the_damaged_place_is_named_wherever_in_its_segment_it_lies() {
    let (told, whole) = told_after(|folder| overwrite(&folder.join("00000003.seg"), 4096, 64, 7));
    assert_eq!(told, "00000003.seg at 4096: no valid frame header");
    let (told, seqs) = told_after(|folder| overwrite(&folder.join("00000003.seg"), 4096, 64, 0));
    assert_eq!((told.as_str(), &seqs), ("00000003.seg at 4096: nothing was written here", &whole));
    let (told, seqs) = told_after(|folder| std::fs::remove_file(folder.join("00000003.seg")).unwrap());
    assert_eq!((told.as_str(), &seqs), ("00000003.seg at 0: no such segment", &whole));
    // The end of a segment is missing: the next one says that there was more.
    let last = entry_of(*whole.last().unwrap(), 500).entry;
    let (told, seqs) = told_after(|folder| {
        let path = folder.join("00000002.seg");
        let bytes = std::fs::read(&path).unwrap();
        let at = bytes.windows(500).position(|window| window == last.payload.as_ref()).unwrap();
        overwrite(&path, at - 8, bytes.len() - at, 0);
    });
    assert!(told.starts_with("00000002.seg at "), "{told}");
    assert_eq!(seqs, whole[..whole.len() - 1]);
    // And where the run ends in the segment, nothing is to be expected of a next one.
    let (told, _) = told_after(|folder| {
        let bytes = std::fs::read(folder.join("00000004.seg")).unwrap();
        overwrite(&folder.join("00000004.seg"), 4096 + 8, bytes.len() - 4096 - 8, 0);
    });
    assert!(told.starts_with("00000004.seg at 4096"), "{told}");
}

#[test]
fn without_a_watermark_the_commits_say_what_is_durable() {
    let base = tempfile::tempdir().unwrap();
    let mut store = by_hand(base.path(), Durability::Synced);
    let folder = store.current_path().unwrap().to_owned();
    store.append_batch(&batch(1, 3, 100)).unwrap();
    std::fs::remove_file(folder.join("WATERMARK")).unwrap();
    let mut follower = Follower::open(&folder, FollowOptions::default()).unwrap();
    assert_eq!(shown(&mut follower), [0_u64; 0], "nothing says yet that it is durable");
    store.append_batch(&batch(4, 5, 100)).unwrap();
    assert_eq!(shown(&mut follower), [1, 2, 3]);
    assert_eq!(shown(&mut follower), [0_u64; 0]);
    // Across segments, and from the middle.
    for seq in 6..=60 {
        store.append_batch(&batch(seq, seq, 900)).unwrap();
    }
    assert_eq!(shown(&mut follower), (4..=59).collect::<Vec<_>>());
    let options = FollowOptions { from: 57, ..FollowOptions::default() };
    assert_eq!(shown(&mut Follower::open(&folder, options).unwrap()), [57, 58, 59]);
    store.seal(RunStatus::Ended).unwrap();
    assert_eq!(shown(&mut follower), [60]);
    assert!(matches!(follower.visit(Duration::ZERO, Check::Full, |_| ControlFlow::Continue(())), Ok(Progress::Ended(_))));
}

#[test]
fn without_a_watermark_what_is_not_synced_is_not_shown() {
    let base = tempfile::tempdir().unwrap();
    let mut store = by_hand(base.path(), Durability::Buffered { sync_every: Duration::from_mins(1) });
    let folder = store.current_path().unwrap().to_owned();
    std::fs::remove_file(folder.join("WATERMARK")).unwrap();
    let mut follower = Follower::open(&folder, FollowOptions { from: 2, ..FollowOptions::default() }).unwrap();
    for seq in 1..=3 {
        store.append_batch(&batch(seq, seq, 100)).unwrap();
    }
    assert_eq!(shown(&mut follower), [0_u64; 0]);
    store.sync().unwrap();
    store.append_batch(&batch(4, 4, 100)).unwrap();
    assert_eq!(shown(&mut follower), [2, 3]);
}

#[test]
fn a_batch_in_which_a_visitor_breaks_off_is_judged_once() {
    let base = tempfile::tempdir().unwrap();
    let mut store = SegmentBackend::builder(base.path()).segment_len(8 << 20).build().unwrap();
    store.open_run(manifest(RUN)).unwrap();
    let last = 20_000;
    store.append_batch(&batch(1, last, 100)).unwrap();
    let folder = store.current_path().unwrap().to_owned();
    store.seal(RunStatus::Ended).unwrap();
    let segment_len = std::fs::metadata(folder.join("00000001.seg")).unwrap().len();
    let mut follower = Follower::open(&folder, FollowOptions::default()).unwrap();
    let before = bytes_read();
    for seq in 1..=200 {
        let mut seen = 0;
        let progress = follower.visit(Duration::ZERO, Check::Full, |view| {
            seen = view.seq();
            ControlFlow::Break(())
        });
        assert_eq!((progress.unwrap(), seen), (Progress::Shown(1), seq));
    }
    for seq in 201..=last {
        assert_eq!(follower.next_entry(Duration::ZERO).unwrap().map(|entry| entry.seq), Some(seq));
    }
    let read = bytes_read() - before;
    // Judged over and over the batch would have been read 200 times.
    assert!(read < segment_len * 8, "{read} bytes were read of a segment of {segment_len}");
    assert!(matches!(follower.visit(Duration::ZERO, Check::Full, |_| ControlFlow::Continue(())), Ok(Progress::Ended(_))));
}

#[test]
fn an_entry_that_is_damaged_after_its_batch_was_judged_is_not_shown() {
    let base = tempfile::tempdir().unwrap();
    let mut store = by_hand(base.path(), Durability::Synced);
    let folder = store.current_path().unwrap().to_owned();
    store.append_batch(&batch(1, 9, 100)).unwrap();
    store.run_background_step(BackgroundStep::WriteWatermark).unwrap();
    let mut follower = Follower::open(&folder, FollowOptions::default()).unwrap();
    let one = |follower: &mut Follower| {
        let mut seen = None;
        let progress = follower.visit(Duration::from_millis(20), Check::Crc, |view| {
            assert_eq!(view.payload(), entry_of(view.seq(), 100).entry.payload);
            seen = Some(view.seq());
            ControlFlow::Break(())
        });
        progress.map(|_| seen)
    };
    assert_eq!((one(&mut follower), one(&mut follower)), (Ok(Some(1)), Ok(Some(2))));
    let segment = folder.join("00000001.seg");
    let whole = std::fs::read(&segment).unwrap();
    let payload = &entry_of(4, 100).entry.payload;
    let at = whole.windows(100).position(|window| window == payload.as_ref()).unwrap();
    let mut damaged = whole.clone();
    damaged[at] ^= 1;
    std::fs::write(&segment, &damaged).unwrap();
    assert_eq!(one(&mut follower), Ok(Some(3)), "the commit and the entry are whole");
    let error = one(&mut follower).unwrap_err();
    assert!(matches!(&error, EventStoreError::Corrupted(found) if found.file.as_ref() == Some(&segment)), "{error}");
    std::fs::write(&segment, &whole).unwrap();
    assert_eq!((4..=9).map(|_| one(&mut follower)).collect::<Vec<_>>(), (4..=9).map(|seq| Ok(Some(seq))).collect::<Vec<_>>());
    assert_eq!(one(&mut follower), Ok(None));
}

#[test]
fn a_follower_that_reads_ahead_and_goes_back_shows_every_entry_once() {
    let base = tempfile::tempdir().unwrap();
    let mut store = by_hand(base.path(), Durability::Synced);
    for (from, to) in [(1, 1), (2, 30), (31, 31), (32, 70)] {
        store.append_batch(&batch(from, to, 500)).unwrap();
    }
    store.run_background_step(BackgroundStep::WriteWatermark).unwrap();
    let mut follower = Follower::open(store.current_path().unwrap(), FollowOptions::default()).unwrap();
    let mut next = 1;
    while next <= 70 {
        let mut left = 1 + next % 4;
        follower
            .visit(Duration::ZERO, Check::Full, |view| {
                assert_eq!(view.seq(), next);
                (next, left) = (next + 1, left - 1);
                if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .unwrap();
        for _ in 0..next % 3 {
            let entry = follower.next_entry(Duration::ZERO).unwrap();
            assert_eq!(entry.map(|entry| entry.seq), (next <= 70).then_some(next));
            next += 1;
        }
    }
}

#[test]
fn a_tail_at_rest_is_woken_by_the_next_batch() {
    let base = tempfile::tempdir().unwrap();
    let mut store = SegmentBackend::builder(base.path()).segment_len(16 << 10).build().unwrap();
    store.open_run(manifest(RUN)).unwrap();
    let reader = store.reader().unwrap();
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            let mut tail = reader.tail(1, Visibility::Durable);
            (1..=20).map(|_| tail.next_entry(PATIENCE).unwrap().unwrap().seq).collect::<Vec<_>>()
        });
        for seq in 1..=20 {
            // Long enough for the background to come to rest now and then.
            thread::sleep(Duration::from_millis(if seq % 7 == 0 { 80 } else { 2 }));
            store.append_batch(&batch(seq, seq, 10)).unwrap();
        }
        assert_eq!(sleeper.join().unwrap(), (1..=20).collect::<Vec<_>>());
    });
}

#[test]
fn a_tail_of_files_says_that_they_are_what_was_opened_and_shows_what_it_was_opened_for() {
    let base = tempfile::tempdir().unwrap();
    let mut store = by_hand(base.path(), Durability::Synced);
    store.append_batch(&batch(1, 3, 100)).unwrap();
    store.run_background_step(BackgroundStep::WriteWatermark).unwrap();
    store.append_batch(&batch(4, 5, 100)).unwrap();
    let folder = store.current_path().unwrap().to_owned();
    let tailed = |reader: &RunReader, visibility| {
        let mut tail = reader.tail(1, visibility);
        let mut seqs = Vec::new();
        while tail.ended().is_none() {
            seqs.extend(tail.next_entry(PATIENCE).unwrap().map(|entry| entry.seq));
        }
        (seqs, tail.ended().cloned())
    };
    // The run is live, and the reader is not of the store that writes it.
    let reader = RunReader::open(&folder).unwrap();
    for visibility in [Visibility::Durable, Visibility::Written] {
        assert_eq!(tailed(&reader, visibility), (vec![1, 2, 3], Some(RunEnd::Snapshot)));
        assert_eq!(reader.clone().with_visibility(visibility).visibility(), Visibility::Durable);
    }
    let written = ReaderOptions { visibility: Visibility::Written, ..ReaderOptions::default() };
    let reader = RunReader::open_with(&folder, written).unwrap();
    assert_eq!((reader.visibility(), tailed(&reader, Visibility::Durable).0), (Visibility::Written, vec![1, 2, 3, 4, 5]));
    let live = store.reader().unwrap();
    assert_eq!(live.clone().with_visibility(Visibility::Written).visibility(), Visibility::Written);
    assert_eq!(live.tail(1, Visibility::Durable).end(), None);
    store.seal(RunStatus::Ended).unwrap();
    let sealed = RunReader::open_with(&folder, written).unwrap();
    assert_eq!(sealed.visibility(), Visibility::Durable, "of a sealed run everything is durable");
    assert!(matches!(tailed(&sealed, Visibility::Written), (seqs, Some(RunEnd::Sealed(_))) if seqs.len() == 5));
}

#[test]
fn a_loop_over_entries_goes_on_through_a_pause_and_comes_to_the_end() {
    let base = tempfile::tempdir().unwrap();
    let mut store = SegmentBackend::builder(base.path()).segment_len(16 << 10).build().unwrap();
    store.open_run(manifest(RUN)).unwrap();
    let mut tail = store.reader().unwrap().tail(1, Visibility::Durable);
    let mut follower = Follower::open(store.current_path().unwrap(), FollowOptions::default()).unwrap();
    let mut chain = ChainFollower::open(store.current_path().unwrap(), FollowOptions::default()).unwrap();
    // Shorter than the pause, so that the loops wait more than once.
    let patience = Duration::from_millis(10);
    thread::scope(|scope| {
        let tail = scope.spawn(move || {
            let mut seqs = Vec::new();
            while tail.ended().is_none() {
                seqs.extend(tail.next_entry(patience).unwrap().map(|entry| entry.seq));
            }
            seqs
        });
        let follower = scope.spawn(move || {
            let mut seqs = Vec::new();
            while follower.ended().is_none() {
                seqs.extend(follower.next_entry(patience).unwrap().map(|entry| entry.seq));
            }
            seqs
        });
        let chain = scope.spawn(move || {
            let mut seqs = Vec::new();
            while chain.ended().is_none() {
                seqs.extend(chain.next_entry(patience).unwrap().map(|(run_id, entry)| {
                    assert_eq!(run_id, RUN);
                    entry.seq
                }));
            }
            seqs
        });
        for seq in [1, 31, 61] {
            store.append_batch(&batch(seq, seq + 29, 500)).unwrap();
            thread::sleep(patience * 5);
        }
        store.seal(RunStatus::Ended).unwrap();
        for seqs in [tail, follower, chain].map(|thread| thread.join().unwrap()) {
            assert!(seqs.iter().copied().eq(1..=90), "{seqs:?}");
        }
    });
}

#[test]
fn a_wait_ends_when_its_time_is_over() {
    let base = tempfile::tempdir().unwrap();
    let store = by_hand(base.path(), Durability::Synced);
    let started = Instant::now();
    let mut tail = store.reader().unwrap().tail(1, Visibility::Durable);
    assert_eq!(tail.next_entry(Duration::from_millis(30)).unwrap(), None);
    let mut follower = Follower::open(store.current_path().unwrap(), FollowOptions::default()).unwrap();
    assert_eq!(follower.next_entry(Duration::from_millis(30)).unwrap(), None);
    assert!(started.elapsed() >= Duration::from_millis(60));
}

#[test]
fn where_there_is_no_run_there_is_nothing_to_follow() {
    let base = tempfile::tempdir().unwrap();
    let error = Follower::open(base.path().join("nothing"), FollowOptions::default()).unwrap_err();
    assert!(matches!(&error, EventStoreError::Backend(text) if text.contains("no run in")), "{error}");
}
