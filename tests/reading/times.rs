//! Seeking by time where times go up and down, within a segment and from one to the next.

use proptest::prelude::*;
use tapelog::{
    AppendEntry, BackgroundMode, EventStore, ReadPath, ReaderOptions, RunReader, RunStatus, ScanDirection, SegmentBackend, UnixNanos,
    Visibility,
};

use crate::support::entries::{entry_of, manifest};
use crate::support::folders::memory_dir;

/// How the times of a run go.
#[derive(Debug, Clone, Copy)]
enum Course {
    /// Down all the way: the first entry is the latest.
    Falling,
    /// Up for a while, back to the beginning, and up a little further than before.
    Saw { tooth: u64 },
    /// Anywhere in a narrow band, so that most of them repeat.
    Noise { band: u64, seed: u64 },
    /// Up, and now and then far ahead.
    Leaps { every: u64 },
}

impl Course {
    fn at(self, seq: u64) -> u64 {
        match self {
            Self::Falling => 50_000 - seq * 10,
            Self::Saw { tooth } => 1_000 + seq % tooth * 20 + seq / tooth,
            Self::Noise { band, seed } => 1_000 + (seq ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) % band,
            Self::Leaps { every } => 1_000 + seq * 10 + if seq.is_multiple_of(every) { 700 } else { 0 },
        }
    }
}

fn courses() -> impl Strategy<Value = Course> {
    prop_oneof![
        Just(Course::Falling),
        (3..160_u64).prop_map(|tooth| Course::Saw { tooth }),
        (1..3_000_u64, any::<u64>()).prop_map(|(band, seed)| Course::Noise { band, seed }),
        (2..90_u64).prop_map(|every| Course::Leaps { every }),
    ]
}

fn entry_at(seq: u64, time: u64, payload_len: usize) -> AppendEntry {
    let mut append = entry_of(seq, payload_len);
    append.entry.ts_init = UnixNanos::from(time);
    append.entry.entry_hash = append.entry.recompute_hash();
    append
}

/// Compares every search for a time of the run, and for the ones beside it, with what a walk over all of them finds; and
/// what is visited from there on with what was given.
fn assert_found(reader: &RunReader, times: &[u64], what: &str) {
    let mut asked: Vec<_> = times.iter().flat_map(|time| [time - 1, *time, time + 1]).chain([0, u64::MAX]).collect();
    asked.sort_unstable();
    asked.dedup();
    for time in asked {
        let expected = times.iter().zip(1_u64..).find(|(found, _)| **found >= time).map(|(_, seq)| seq);
        assert_eq!(reader.first_at_or_after(UnixNanos::from(time)).unwrap(), expected, "{what}: the first entry at {time}");
    }
    for seq in (1..=times.len() as u64).step_by(29) {
        let time = times[usize::try_from(seq).unwrap() - 1];
        let from = reader.first_at_or_after(UnixNanos::from(time)).unwrap().unwrap();
        let since: Vec<_> = reader
            .entries(from.., ScanDirection::Forward)
            .map(|item| item.unwrap())
            .filter(|entry| entry.ts_init.as_u64() >= time)
            .map(|entry| entry.seq)
            .collect();
        let expected: Vec<_> = times.iter().zip(1_u64..).filter(|(found, _)| **found >= time).map(|(_, seq)| seq).collect();
        assert_eq!(since, expected, "{what}: everything since {time}");
    }
}

fn check(course: Course, batches: &[(u8, u16)], indexes: bool, by_hand: bool) {
    let base = memory_dir();
    let builder = SegmentBackend::builder(base.path()).segment_len(16 << 10).index_spacing(512).indexes(indexes);
    let background = if by_hand { BackgroundMode::Manual } else { BackgroundMode::default() };
    let mut store = builder.background(background).build().unwrap();
    store.open_run(manifest("1-00000001")).unwrap();
    let beside = store.reader().unwrap();
    let mut times: Vec<u64> = Vec::new();
    for (count, payload_len) in batches {
        let from = times.len() as u64 + 1;
        let seqs = from..from + u64::from(*count);
        let batch: Vec<_> = seqs.map(|seq| entry_at(seq, course.at(seq), usize::from(*payload_len))).collect();
        times.extend(batch.iter().map(|append| append.entry.ts_init.as_u64()));
        store.append_batch(&batch).unwrap();
    }
    assert_found(&beside, &times, "beside the writer");
    let folder = store.current_path().unwrap().to_owned();
    let options = |visibility, read_path| ReaderOptions { visibility, read_path };
    let open = |visibility, read_path| RunReader::open_with(&folder, options(visibility, read_path)).unwrap();
    assert_found(&open(Visibility::Written, ReadPath::Positional), &times, "the files of a writer");
    store.seal(RunStatus::Ended).unwrap();
    assert_found(&beside, &times, "the writer's own, sealed");
    for read_path in [ReadPath::Map, ReadPath::Positional] {
        assert_found(&open(Visibility::Durable, read_path), &times, "sealed");
    }
    if indexes && !times.is_empty() {
        std::fs::remove_file(folder.join("00000001.idx")).unwrap();
        assert_found(&open(Visibility::Durable, ReadPath::Map), &times, "sealed, an index lost");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_first_entry_at_a_time_is_found_wherever_times_go(
        course in courses(),
        batches in proptest::collection::vec((1..9_u8, 0..900_u16), 0..50),
        indexes: bool,
        by_hand: bool,
    ) {
        check(course, &batches, indexes, by_hand);
    }
}

#[test]
fn the_first_entry_at_a_time_is_found_in_runs_of_many_segments() {
    let batches: Vec<_> = (0..60_u8).map(|number| (1 + number % 7, u16::from(number) * 37 % 700)).collect();
    for course in [Course::Falling, Course::Saw { tooth: 100 }, Course::Noise { band: 900, seed: 7 }, Course::Leaps { every: 50 }] {
        for indexes in [true, false] {
            check(course, &batches, indexes, indexes);
        }
    }
}
