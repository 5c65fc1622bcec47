//! Files that are cut, replaced or damaged under a reader: what is intact is read, and what is not is told.

use std::ops::ControlFlow;
use std::path::Path;

use tapelog::{
    BackgroundMode, Check, EventStore, EventStoreError, IndexKind, RecoveredState, RunReader, RunStatus, ScanDirection, SegmentBackend,
};

use crate::support::counters::bytes_read;
use crate::support::entries::{batch, entry_of, manifest};
use crate::support::log::is_damage;

const RUN: &str = "1-00000001";
const PAYLOAD_LEN: usize = 400;
const LAST: u64 = 120;

/// A sealed run of several segments.
fn sealed(base: &Path) -> std::path::PathBuf {
    let builder = SegmentBackend::builder(base).segment_len(16 << 10).index_spacing(512).background(BackgroundMode::Manual);
    let mut store = builder.build().unwrap();
    store.open_run(manifest(RUN)).unwrap();
    for seq in (1..=LAST).step_by(4) {
        store.append_batch(&batch(seq, seq + 3, PAYLOAD_LEN)).unwrap();
    }
    store.seal(RunStatus::Ended).unwrap();
    store.current_path().unwrap().to_owned()
}

/// The segment and the offset at which the payload of an entry lies.
fn payload_place(folder: &Path, seq: u64) -> (std::path::PathBuf, usize) {
    let payload = entry_of(seq, PAYLOAD_LEN).entry.payload;
    for ordinal in 1.. {
        let path = folder.join(format!("{ordinal:08}.seg"));
        let bytes = std::fs::read(&path).expect("the entry is in a segment");
        if let Some(at) = bytes.windows(PAYLOAD_LEN).position(|window| window == payload.as_ref()) {
            return (path, at);
        }
    }
    unreachable!()
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

/// What is read past damage: the entries, and what each error says.
fn read_past(reader: &RunReader, direction: ScanDirection, check: Check) -> (Vec<u64>, Vec<EventStoreError>) {
    let (mut seqs, mut errors) = (Vec::new(), Vec::new());
    reader
        .visit_intact(
            ..,
            direction,
            check,
            |view| {
                seqs.push(view.seq());
                ControlFlow::<()>::Continue(())
            },
            |error| {
                errors.push(error.clone());
                ControlFlow::Continue(())
            },
        )
        .unwrap();
    let items: Vec<_> = reader.entries(.., direction).collect();
    if check == Check::Full {
        assert!(items.iter().filter_map(|item| item.as_ref().ok()).map(|entry| entry.seq).eq(seqs.iter().copied()), "{direction:?}");
        assert!(items.iter().filter_map(|item| item.as_ref().err()).eq(&errors), "{direction:?}");
    }
    (seqs, errors)
}

fn all_but(missing: impl IntoIterator<Item = u64>) -> Vec<u64> {
    let missing: Vec<_> = missing.into_iter().collect();
    (1..=LAST).filter(|seq| !missing.contains(seq)).collect()
}

fn assert_read_past(folder: &Path, missing: &[u64], error_count: usize) {
    let reader = RunReader::open(folder).unwrap();
    for check in [Check::Crc, Check::Full] {
        let (forward, errors) = read_past(&reader, ScanDirection::Forward, check);
        assert_eq!(forward, all_but(missing.iter().copied()), "{check:?}");
        assert_eq!(errors.len(), error_count, "{errors:?}");
        assert!(errors.iter().all(is_damage), "{errors:?}");
        let (mut reverse, mut backwards) = read_past(&reader, ScanDirection::Reverse, check);
        reverse.reverse();
        backwards.reverse();
        assert_eq!((reverse, &backwards), (forward, &errors), "{check:?}");
    }
}

#[test]
fn a_damaged_payload_hides_one_entry() {
    let base = tempfile::tempdir().unwrap();
    let folder = sealed(base.path());
    for seq in [1, 50, LAST] {
        let (path, at) = payload_place(&folder, seq);
        change(&path, |bytes| bytes[at + 7] ^= 4);
        assert_read_past(&folder, &[seq], 1);
        change(&path, |bytes| bytes[at + 7] ^= 4);
    }
    assert_read_past(&folder, &[], 0);
}

#[test]
fn a_damaged_header_is_a_gap_that_is_told_once() {
    let base = tempfile::tempdir().unwrap();
    let folder = sealed(base.path());
    // Headers of entries that follow each other: their bytes are zeroed from payload to payload.
    let (path, from) = payload_place(&folder, 22);
    let (same, to) = payload_place(&folder, 24);
    assert_eq!(path, same, "in one batch, and so in one segment");
    change(&path, |bytes| bytes[from + PAYLOAD_LEN..to].fill(0));
    assert_read_past(&folder, &[23, 24], 1);
}

#[test]
fn a_gap_is_told_with_its_true_neighbours_from_wherever_it_is_met() {
    let base = tempfile::tempdir().unwrap();
    let folder = sealed(base.path());
    let segments = RunReader::open(&folder).unwrap().segments();
    let (first, last) = (segments[2].first_seq, segments[2].last_seq);
    assert!(last - first > 4);
    std::fs::remove_file(folder.join("00000003.seg")).unwrap();
    let (prev, next) = (first - 1, last + 1);
    let reader = RunReader::open(&folder).unwrap();
    for seq in first..=last {
        assert_eq!(reader.entry(seq), Err(EventStoreError::Gap { prev, next, missing: seq }));
        let store = SegmentBackend::open_read_only(&folder).unwrap();
        assert_eq!(store.scan_seq(seq), Err(EventStoreError::Gap { prev, next, missing: seq }));
        for direction in [ScanDirection::Forward, ScanDirection::Reverse] {
            let told = store.scan_range(seq, last, direction).unwrap_err();
            assert_eq!(told, EventStoreError::Gap { prev, next, missing: seq }, "{direction:?}");
        }
    }
    let text = reader.entry(first + 2).unwrap_err().to_string();
    let count = last - first + 1;
    assert_eq!(text, format!("the entry with seq {} is missing: between {prev} and {next} {count} entries cannot be reached", first + 2));
    std::fs::remove_file(folder.join("00000001.seg")).unwrap();
    let first_gap = EventStoreError::Gap { prev: 0, next: segments[1].first_seq, missing: 2 };
    assert_eq!(RunReader::open(&folder).unwrap().entry(2), Err(first_gap));
}

#[test]
fn a_lost_segment_is_one_gap() {
    let base = tempfile::tempdir().unwrap();
    let folder = sealed(base.path());
    let reader = RunReader::open(&folder).unwrap();
    let lost = reader.segments()[2];
    std::fs::remove_file(folder.join("00000003.seg")).unwrap();
    assert_read_past(&folder, &(lost.first_seq..=lost.last_seq).collect::<Vec<_>>(), 1);
}

#[test]
fn a_file_that_is_cut_under_a_reader_by_position_is_an_error_value() {
    let base = tempfile::tempdir().unwrap();
    let folder = sealed(base.path());
    let reader = RunReader::open(&folder).unwrap();
    let segments = reader.segments();
    assert_eq!(read_past(&reader, ScanDirection::Forward, Check::Full).1, []);
    // The file is open in the reader, and is cut where it is.
    let (path, at) = payload_place(&folder, segments[1].first_seq + 5);
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_len(at as u64).unwrap();
    let cut = segments[1].first_seq + 5;
    for direction in [ScanDirection::Forward, ScanDirection::Reverse] {
        let (seqs, errors) = read_past(&reader, direction, Check::Full);
        assert!(seqs.iter().all(|seq| !(cut..=segments[1].last_seq).contains(seq)) && seqs.len() >= all_but([]).len() - 40);
        assert!(!errors.is_empty() && errors.iter().all(is_damage), "{errors:?}");
    }
    assert!(is_damage(&reader.entry(cut).unwrap_err()));
    assert_eq!(reader.entry(1).unwrap(), Some(entry_of(1, PAYLOAD_LEN).entry));
}

#[test]
fn a_file_that_is_replaced_is_read_as_what_was_opened_or_refused() {
    let base = tempfile::tempdir().unwrap();
    let folder = sealed(base.path());
    let opened = RunReader::open(&folder).unwrap();
    assert!(opened.entry(1).unwrap().is_some());
    let other = tempfile::tempdir().unwrap();
    let others = sealed(other.path());
    std::fs::rename(others.join("00000001.seg"), folder.join("00000001.seg")).unwrap();
    assert_eq!(opened.entry(1).unwrap(), Some(entry_of(1, PAYLOAD_LEN).entry), "the file that was opened is still there");
    let fresh = RunReader::open(&folder).unwrap();
    let last = fresh.segments()[0].last_seq;
    let (seqs, errors) = read_past(&fresh, ScanDirection::Forward, Check::Crc);
    assert_eq!(seqs, all_but(1..=last), "another run's segment holds none of this run's entries");
    assert_eq!(errors.len(), 1, "{errors:?}");
}

#[test]
fn an_edited_entry_with_right_checksums_passes_for_its_checksum_alone() {
    // What `Check::Crc` promises is what the checksum can tell; the entry's hash tells the rest.
    let base = tempfile::tempdir().unwrap();
    let mut store = SegmentBackend::builder(base.path()).segment_len(16 << 10).build().unwrap();
    store.open_run(manifest(RUN)).unwrap();
    let mut edited = entry_of(1, 10);
    edited.entry.ts_publish = 77.into();
    store.append_batch(&[edited]).unwrap();
    let reader = store.reader().unwrap();
    let mut refused = None;
    let seen = reader
        .visit(.., ScanDirection::Forward, Check::Crc, |view| {
            refused = view.to_entry().err();
            ControlFlow::Break(view.ts_publish().as_u64())
        })
        .unwrap();
    assert_eq!((seen, refused), (Some(77), Some(EventStoreError::HashMismatch { seq: 1 })));
    let full = reader.visit(.., ScanDirection::Forward, Check::Full, |_| ControlFlow::Break(()));
    assert_eq!(full, Err(EventStoreError::HashMismatch { seq: 1 }));
    assert_eq!(reader.entries(.., ScanDirection::Forward).collect::<Vec<_>>(), [Err(EventStoreError::HashMismatch { seq: 1 })]);
}

#[test]
fn a_quarantined_run_is_read_past_its_damage() {
    let base = tempfile::tempdir().unwrap();
    let builder = SegmentBackend::builder(base.path()).segment_len(16 << 10).background(BackgroundMode::Manual);
    let mut store = builder.build().unwrap();
    store.open_run(manifest(RUN)).unwrap();
    for seq in (1..=LAST).step_by(4) {
        store.append_batch(&batch(seq, seq + 3, PAYLOAD_LEN)).unwrap();
    }
    let folder = store.current_path().unwrap().to_owned();
    drop(store);
    let (path, at) = payload_place(&folder, 30);
    change(&path, |bytes| bytes[at] ^= 1);
    let mut store = SegmentBackend::new(base.path());
    assert_eq!(store.open_run(manifest(RUN)), Err(EventStoreError::CrashedPredecessor));
    // A quick opening walks what is behind the newest witness: the damage lies before it, and shows when it is read.
    assert_eq!(store.recovery().unwrap().state, RecoveredState::Clean);
    assert_read_past(&folder, &[30], 1);
    store.seal(RunStatus::Quarantined).unwrap();
    drop(store);
    assert_read_past(&folder, &[30], 1);
}

#[test]
fn an_index_file_that_is_too_long_is_refused_before_it_is_read() {
    let base = tempfile::tempdir().unwrap();
    let folder = sealed(base.path());
    let lookup = |key: &str| RunReader::open(&folder).unwrap().lookup(IndexKind::ClientOrderId, key);
    let expected = lookup("O-7").unwrap();
    assert!(expected.is_some());
    let too_long = 64 << 20;
    for name in ["00000001.key", "00000001.idx"] {
        std::fs::File::options().write(true).open(folder.join(name)).unwrap().set_len(too_long).unwrap();
    }
    let before = bytes_read();
    assert_eq!(lookup("O-7").unwrap(), expected);
    assert_eq!(RunReader::open(&folder).unwrap().entry(30).unwrap(), Some(entry_of(30, PAYLOAD_LEN).entry));
    assert!(bytes_read() - before < too_long / 8, "the files are longer than any index of these segments");
    // One whose header agrees with its length holds more records than the segment can have keys.
    let path = folder.join("00000001.key");
    change(&path, |bytes| bytes[56..64].copy_from_slice(&((too_long - 136) / 12).to_le_bytes()));
    std::fs::File::options().write(true).open(&path).unwrap().set_len(136 + (too_long - 136) / 12 * 12).unwrap();
    let before = bytes_read();
    assert_eq!(lookup("O-7").unwrap(), expected);
    assert!(bytes_read() - before < too_long / 8);
}
