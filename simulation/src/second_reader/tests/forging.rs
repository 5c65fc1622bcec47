//! Forgeries pass the checksums that they repair, are caught by what stands behind, and never show a wrong entry.

use std::collections::BTreeMap;
use std::ops::Range;

use tapelog::{Durability, EventStore, EventStoreError, IndexKind, RecoveredState, SegmentBackend};

use super::recorded::{BUFFERED, Recorded, read, segment_of};
use crate::second_reader::forge::{
    Numbers, Repaired, change_base_root, change_commit_no, change_count, drop_record, enlarge_body, exchange_records, flip_key,
    flip_payload, raise_claim, repair_roots, repair_run, repair_slot,
};
use crate::second_reader::{BatchPlace, CommitPlace, EntryPlace, Run, Salt, frame_at, ordinal_of, segment_name};

type Files = BTreeMap<String, Vec<u8>>;
type Forge = fn(&mut [u8], Salt, &BatchPlace) -> Option<Range<usize>>;

/// What of a forged batch is still whole, seen frame by frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frames {
    /// Every one, by both checksums.
    Valid,
    /// Not every one.
    Broken,
}

/// What notices a forgery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caught {
    /// The walk: the batch is not accepted.
    ByTheWalk,
    /// The walk, before the first batch of the segment.
    AtOpen,
    /// The hash of the entry, when it is read.
    ByTheHash,
}

const FORGERIES: [(&str, Forge, Frames, Caught); 15] = [
    ("a key", |bytes, salt, batch| flip_key(bytes, salt, &batch.records[1], 5), Frames::Valid, Caught::ByTheWalk),
    ("the kind of a key", |bytes, salt, batch| flip_key(bytes, salt, &batch.records[0], 0), Frames::Valid, Caught::ByTheWalk),
    ("a payload", |bytes, salt, batch| flip_payload(bytes, salt, &batch.records[1], 9), Frames::Valid, Caught::ByTheHash),
    ("a count too high", |bytes, salt, batch| change_count(bytes, salt, batch, batch.count + 1), Frames::Valid, Caught::ByTheWalk),
    ("a count too low", |bytes, salt, batch| change_count(bytes, salt, batch, batch.count - 1), Frames::Valid, Caught::ByTheWalk),
    ("a number too high", |bytes, salt, batch| change_commit_no(bytes, salt, batch, batch.commit_no + 1), Frames::Valid, Caught::ByTheWalk),
    ("a number too low", |bytes, salt, batch| change_commit_no(bytes, salt, batch, batch.commit_no - 1), Frames::Valid, Caught::ByTheWalk),
    ("a claim of its own number", |bytes, salt, batch| raise(bytes, salt, batch, 0, Repaired::All), Frames::Valid, Caught::ByTheWalk),
    ("a claim without its tag", |bytes, salt, batch| raise(bytes, salt, batch, 9, Repaired::Checksums), Frames::Valid, Caught::ByTheWalk),
    ("a claim without anything", |bytes, salt, batch| raise(bytes, salt, batch, 9, Repaired::Nothing), Frames::Broken, Caught::ByTheWalk),
    ("a record left out", |bytes, _, batch| drop_record(bytes, batch, 1), Frames::Broken, Caught::ByTheWalk),
    ("another root in OPEN", |bytes, salt, _| change_base_root(bytes, salt), Frames::Valid, Caught::AtOpen),
    ("entries out of order", |bytes, salt, batch| exchange(bytes, salt, batch, Numbers::Carried), Frames::Valid, Caught::ByTheWalk),
    ("entries renumbered", |bytes, salt, batch| exchange(bytes, salt, batch, Numbers::Contiguous), Frames::Valid, Caught::ByTheWalk),
    ("a body without an end", |bytes, salt, batch| enlarge_body(bytes, salt, &batch.records[1]), Frames::Broken, Caught::ByTheWalk),
];

fn raise(bytes: &mut [u8], salt: Salt, batch: &BatchPlace, above: u64, repaired: Repaired) -> Option<Range<usize>> {
    raise_claim(bytes, salt, batch, (batch.commit_no + above, batch.last_seq), repaired)
}

fn exchange(bytes: &mut [u8], salt: Salt, batch: &BatchPlace, numbers: Numbers) -> Option<Range<usize>> {
    exchange_records(bytes, salt, batch, 0, 2, numbers)
}

/// Batches with a record in the middle: the first and the last one, and two on the way.
fn targets(run: &Run) -> Vec<(u32, BatchPlace)> {
    let wide: Vec<_> = run.batches().filter(|(_, batch)| batch.count > 2).map(|(ordinal, batch)| (ordinal, batch.clone())).collect();
    let last = wide.len() - 1;
    [0, last / 3, last * 2 / 3, last].map(|at| wide[at].clone()).to_vec()
}

fn forge_in(files: &Files, (ordinal, batch): &(u32, BatchPlace), run: &Run, forge: Forge) -> Files {
    let mut forged = files.clone();
    let before = files[&segment_name(*ordinal)].clone();
    let bytes = segment_of(&mut forged, *ordinal);
    let touched = forge(bytes, run.segments[ordinal].salt, batch).expect("the forgery applies");
    assert_ne!(bytes[touched.clone()], before[touched.clone()]);
    assert_eq!((&bytes[..touched.start], &bytes[touched.end..]), (&before[..touched.start], &before[touched.end..]), "{touched:?}");
    forged
}

/// The files without WATERMARK, so that every reader has to walk from segment 1.
fn without_watermark(recorded: &Recorded) -> Files {
    let mut files = recorded.files();
    files.remove("WATERMARK");
    files
}

#[test]
fn a_forgery_passes_the_checksums_that_it_repairs_and_the_second_reader_still_stops() {
    let files = without_watermark(&Recorded::new(Durability::Synced));
    let run = read(&files);
    for target in targets(&run) {
        for (name, forge, expected, caught) in FORGERIES {
            let forged = forge_in(&files, &target, &run, forge);
            let (bytes, salt, batch) = (&forged[&segment_name(target.0)], run.segments[&target.0].salt, &target.1);
            let mut at = batch.start;
            while let Some(frame) = frame_at(bytes, salt, at).filter(|frame| frame.is_valid() && at < batch.end) {
                at = frame.end;
            }
            assert_eq!(if at == batch.end { Frames::Valid } else { Frames::Broken }, expected, "{name}");
            let end = match caught {
                Caught::ByTheWalk => batch.commit_no - 1,
                Caught::AtOpen => run.segments[&target.0].batches[0].commit_no - 1,
                Caught::ByTheHash => run.last_commit(),
            };
            assert_eq!(read(&forged).last_commit(), end, "{name} in commit {}", batch.commit_no);
        }
    }
}

#[test]
fn the_store_stops_where_the_second_reader_does_and_shows_no_wrong_entry() {
    for durability in [Durability::Synced, BUFFERED] {
        let recorded = Recorded::new(durability);
        let files = without_watermark(&recorded);
        let run = read(&files);
        for target in targets(&run) {
            for (name, forge, _, caught) in FORGERIES {
                let forged = forge_in(&files, &target, &run, forge);
                let judged = read(&forged);
                let shown = recorded.shown(&forged);
                let report = shown.store.recovery().unwrap();
                let (end, proven) = (judged.last_commit(), judged.proven_claims(&|_, _| false));
                let what = format!("{name} in commit {}: {report}", target.1.commit_no);
                assert_eq!((report.end.commit_no, report.proven.commit_no), (end, proven), "{what}");
                assert_eq!(report.state == RecoveredState::AcknowledgedDamage, end < proven, "{what}");
                let refused: Vec<u64> = shown.refused(&recorded.entries).into_iter().map(|(seq, _)| seq).collect();
                match caught {
                    Caught::ByTheHash => {
                        let seq = Some(target.1.records[1].seq).filter(|seq| *seq <= shown.high_watermark);
                        assert_eq!(refused, seq.into_iter().collect::<Vec<_>>(), "{what}");
                    }
                    Caught::ByTheWalk | Caught::AtOpen => {
                        let first = run.batch(end).map_or(0, |(_, batch)| batch.last_seq) + 1;
                        assert!(refused.iter().all(|seq| *seq >= first), "{what}: {refused:?}");
                        // A torn tail is not shown; of a damaged run, what is intact is.
                        assert!(end < proven || shown.high_watermark < first, "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn with_its_witness_or_its_seal_a_forged_run_shows_no_wrong_entry_either() {
    for recorded in [Recorded::new(Durability::Synced), Recorded::new(BUFFERED), Recorded::sealed(Durability::Synced)] {
        let files = recorded.files();
        let run = read(&files);
        for target in targets(&run) {
            for (name, forge, _, _) in FORGERIES {
                let shown = recorded.shown(&forge_in(&files, &target, &run, forge));
                let refused = shown.refused(&recorded.entries);
                let near = target.1.first_seq..=target.1.last_seq;
                assert!(refused.iter().all(|(seq, _)| near.contains(seq)), "{name} in commit {}: {refused:?}", target.1.commit_no);
            }
        }
    }
}

#[test]
fn a_forged_entry_is_refused_by_name() {
    let recorded = Recorded::sealed(Durability::Synced);
    let (files, run) = (recorded.files(), read(&recorded.files()));
    let target = targets(&run).remove(1);
    let seqs: Vec<u64> = target.1.records.iter().map(|record| record.seq).collect();
    let refused = |forge: Forge| recorded.shown(&forge_in(&files, &target, &run, forge)).refused(&recorded.entries);
    let mismatch = |nth: usize| (seqs[nth], EventStoreError::HashMismatch { seq: seqs[nth] });
    assert_eq!(refused(|bytes, salt, batch| flip_payload(bytes, salt, &batch.records[1], 9)), [mismatch(1)]);
    assert_eq!(refused(|bytes, salt, batch| exchange(bytes, salt, batch, Numbers::Contiguous)), [mismatch(0), mismatch(2)]);
    // A length that leads too far costs its own entry, and hides none behind it.
    assert_eq!(refused(|bytes, salt, batch| enlarge_body(bytes, salt, &batch.records[1])), [mismatch(1)]);
    let gap = EventStoreError::Gap { prev: seqs[1] - 1, missing: seqs[1], next: seqs[1] + 1 };
    assert_eq!(refused(|bytes, _, batch| drop_record(bytes, batch, 1)), [(seqs[1], gap)]);
    assert_eq!(refused(|bytes, salt, batch| flip_key(bytes, salt, &batch.records[1], 5)), [], "what is shown of it is what was written");
}

#[test]
fn by_a_forged_key_no_entry_is_found_and_by_the_true_one_no_other_entry() {
    let recorded = Recorded::sealed(Durability::Synced);
    let (files, run) = (recorded.files(), read(&recorded.files()));
    for target in targets(&run) {
        let forged = forge_in(&files, &target, &run, |bytes, salt, batch| flip_key(bytes, salt, &batch.records[1], 6));
        let bytes = &forged[&segment_name(target.0)];
        let record = &target.1.records[1];
        let text = EntryPlace::of_body(bytes, &record.body).unwrap().key_places[0].text.clone();
        let (wrong, right) = (std::str::from_utf8(&bytes[text]).unwrap().to_owned(), format!("O-{}", record.seq));
        assert_ne!(wrong, right);
        let store = recorded.shown(&forged).store;
        let found = store.lookup(IndexKind::ClientOrderId, &wrong);
        assert!(!matches!(found, Ok(Some(seq)) if seq == record.seq), "the key {wrong} was never given to entry {}", record.seq);
        // The index leads to an entry that has no key with its hash: that is no collision.
        let found = store.lookup(IndexKind::ClientOrderId, &right);
        assert!(matches!(found, Err(EventStoreError::Corrupted(_))), "the key {right} was given to entry {}: {found:?}", record.seq);
    }
}

#[test]
fn a_claim_that_is_repaired_and_possible_is_believed_and_condemns_the_run() {
    let recorded = Recorded::new(Durability::Synced);
    let files = without_watermark(&recorded);
    let run = read(&files);
    // The last commit is put behind a hole and made to claim a commit that is not there.
    let (ordinal, last) = run.last_batch().unwrap();
    let mut forged = files.clone();
    let bytes = segment_of(&mut forged, ordinal);
    let salt = run.segments[&ordinal].salt;
    change_commit_no(bytes, salt, last, last.commit_no + 50).unwrap();
    let renumbered = BatchPlace { commit_no: last.commit_no + 50, ..last.clone() };
    raise_claim(bytes, salt, &renumbered, (last.commit_no + 40, last.last_seq), Repaired::All).unwrap();
    let commit = CommitPlace::of_frame(bytes, salt, &frame_at(bytes, salt, last.commit.start).unwrap()).unwrap();
    assert!(commit.testifies && commit.tag_ok);
    assert_eq!(read(&forged).proven_claims(&|_, _| false), last.commit_no + 40);
    let shown = recorded.shown(&forged);
    let report = shown.store.recovery().unwrap();
    assert_eq!((report.state, report.proven.commit_no), (RecoveredState::AcknowledgedDamage, last.commit_no + 40));
    shown.refused(&recorded.entries);
}

#[test]
fn only_a_root_from_elsewhere_tells_a_run_that_was_written_anew() {
    let recorded = Recorded::new(Durability::Synced);
    let files = recorded.files();
    let run = read(&files);
    let (ordinal, batch) = targets(&run).remove(1);
    let salt = run.segments[&ordinal].salt;
    let mut segments: BTreeMap<u32, Vec<u8>> = files
        .iter()
        .filter_map(|(name, bytes)| Some((ordinal_of(name)?, bytes.clone())))
        .filter(|(at, _)| run.chain.contains(at))
        .collect();
    flip_key(segments.get_mut(&ordinal).unwrap(), salt, &batch.records[1], 5).unwrap();
    let root = repair_run(&mut segments, run.uid, ordinal, batch.start, batch.root_before).unwrap();
    let mut forged = files.clone();
    forged.extend(segments.into_iter().map(|(ordinal, bytes)| (segment_name(ordinal), bytes)));
    // A slot of WATERMARK whose root is not that of the commit which it names is no place to begin at.
    let started = |files: &Files| {
        let shown = recorded.shown(files);
        assert_eq!(shown.refused(&recorded.entries), [], "the entries are those that were given, and a key is not");
        let report = shown.store.recovery().unwrap();
        assert_eq!(report.state, RecoveredState::Clean);
        report.walked_from
    };
    assert_eq!((started(&files), started(&forged)), (run.chain.len().try_into().unwrap(), 1));
    let written_anew = read(&forged);
    let slots: Vec<_> = run.watermark.iter().flat_map(|watermark| watermark.slots.iter().flatten()).map(|slot| slot.commit_no).collect();
    for (slot, commit_no) in slots.into_iter().enumerate() {
        let root = written_anew.batch(commit_no).map(|(_, batch)| batch.root);
        repair_slot(forged.get_mut("WATERMARK").unwrap(), slot, root.as_ref()).unwrap();
    }
    assert_eq!(started(&forged), started(&files), "nothing in the folder tells the two runs apart");
    let last = written_anew.last_batch().unwrap().1;
    assert_eq!((last.commit_no, last.root), (run.last_commit(), root));
    assert_ne!(Some(root), run.last_batch().map(|(_, batch)| batch.root), "the root that was noted is another one");
}

#[test]
fn roots_that_are_repaired_over_a_true_segment_change_nothing() {
    let files = without_watermark(&Recorded::new(Durability::Synced));
    let run = read(&files);
    for ordinal in &run.chain {
        let (segment, name) = (&run.segments[ordinal], segment_name(*ordinal));
        let mut bytes = files[&name].clone();
        let first = &segment.batches[0];
        assert_eq!(repair_roots(&mut bytes, segment.salt, first.start, first.root_before), segment.root());
        assert_eq!(bytes, files[&name]);
    }
}

#[test]
fn entries_exchanged_under_a_repaired_root_are_refused_by_their_hashes() {
    let recorded = Recorded::new(Durability::Synced);
    let files = without_watermark(&recorded);
    let run = read(&files);
    let last = run.batches().filter(|(_, batch)| batch.count > 2).last().map(|(ordinal, batch)| (ordinal, batch.clone())).unwrap();
    let forged = {
        let (mut forged, salt) = (files.clone(), run.segments[&last.0].salt);
        exchange(segment_of(&mut forged, last.0), salt, &last.1, Numbers::Contiguous).unwrap();
        repair_roots(segment_of(&mut forged, last.0), salt, last.1.start, last.1.root_before).unwrap();
        forged
    };
    assert_eq!(read(&forged).last_commit(), run.last_commit());
    recorded.shown(&forged);
    let store = SegmentBackend::open_written(&recorded.folder).unwrap();
    assert_eq!(store.recovery().unwrap().end.commit_no, run.last_commit());
    for seq in [last.1.records[0].seq, last.1.records[2].seq] {
        assert_eq!(store.scan_seq(seq), Err(EventStoreError::HashMismatch { seq }));
    }
}
