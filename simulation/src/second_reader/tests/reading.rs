//! What the second reader says of a run is what was given for it, and what the store says of it.

use tapelog::{BackgroundMode, Durability, EventStore, SegmentBackend};

use super::recorded::{BUFFERED, Given, Recorded, read};
use crate::second_reader::{EntryPlace, HEADER_PAGE_LEN, Owner, STREAM_ENTRIES, frames, kind, segment_name};

#[test]
fn batches_are_those_that_were_given() {
    for durability in [Durability::Synced, BUFFERED] {
        let recorded = Recorded::new(durability);
        let run = read(&recorded.files());
        assert!(run.chain.len() > 3, "several segments: {:?}", run.chain);
        let found: Vec<Given> = run
            .batches()
            .map(|(_, batch)| match batch.records[0].kind {
                kind::ANCHOR => Given::Anchor { up_to: batch.last_seq },
                _ => Given::Entries { first: batch.first_seq, count: batch.count },
            })
            .collect();
        assert_eq!(found, recorded.batches);
        let numbers: Vec<u64> = run.batches().map(|(_, batch)| batch.commit_no).collect();
        assert_eq!(numbers, (1..=recorded.batches.len() as u64).collect::<Vec<_>>());
        for (ordinal, batch) in run.batches() {
            assert_eq!(run.batch(batch.commit_no), Some((ordinal, batch)));
        }
        assert_eq!((run.batch(0), run.batch(run.last_commit() + 1)), (None, None));
    }
}

#[test]
fn entries_and_their_parts_are_those_that_were_given() {
    let recorded = Recorded::new(Durability::Synced);
    let (files, mut given) = (recorded.files(), recorded.entries.iter());
    for (ordinal, batch) in read(&files).batches() {
        let bytes = &files[&segment_name(ordinal)];
        for record in batch.records.iter().filter(|record| record.kind == kind::ENTRY) {
            let (entry, expected) = (EntryPlace::of_body(bytes, &record.body).unwrap(), given.next().unwrap());
            assert_eq!(record.seq, expected.seq);
            assert_eq!(bytes[entry.hash.clone()], expected.entry_hash.0);
            assert_eq!(bytes[entry.topic.clone()], *expected.topic.as_str().as_bytes());
            assert_eq!(bytes[entry.payload.clone()], expected.payload);
            assert_eq!(entry.ts_init_nanos(bytes), Some(expected.ts_init.as_u64()));
            assert!(entry.hash_fits(bytes, record.seq) && !entry.hash_fits(bytes, record.seq + 1));
            let keys: Vec<_> =
                entry.key_places.iter().map(|key| (key.kind, std::str::from_utf8(&bytes[key.text.clone()]).unwrap())).collect();
            let (client, venue) = (format!("O-{}", record.seq), format!("V-{}", record.seq.div_ceil(3)));
            assert_eq!(keys, [(1, client.as_str()), (2, venue.as_str())]);
        }
    }
    assert!(given.next().is_none());
}

#[test]
fn the_end_and_what_is_proven_are_those_that_the_store_reports() {
    for durability in [Durability::Synced, BUFFERED] {
        let recorded = Recorded::new(durability);
        let run = read(&recorded.files());
        let store = SegmentBackend::open_read_only(&recorded.folder).unwrap();
        let report = store.recovery().unwrap();
        let (ordinal, last) = run.last_batch().unwrap();
        let end = report.end;
        assert_eq!((end.commit_no, end.seq, end.ordinal, end.offset), (last.commit_no, last.last_seq, ordinal, last.end as u64));
        assert_eq!(report.proven.commit_no, run.proven_claims(&|_, _| false));
        let slot = run.watermark.as_ref().unwrap().newest(&run.uid, STREAM_ENTRIES).unwrap();
        let (at, named) = run.batch(slot.commit_no).unwrap();
        assert_eq!((slot.ordinal, slot.offset, slot.seq, slot.root), (at, named.end as u64, named.last_seq, named.root));
    }
}

#[test]
fn a_synced_run_claims_in_each_commit_the_one_before() {
    let run = read(&Recorded::new(Durability::Synced).files());
    for (_, batch) in run.batches() {
        assert_eq!((batch.claimed_commit_no, batch.claimed_seq), (batch.commit_no - 1, batch.first_seq - 1));
    }
    // Whatever the damage, what remains of the witnesses decides.
    let (ordinal, last) = run.last_batch().unwrap();
    let (file, commit) = (segment_name(ordinal), last.commit.start as u64);
    assert_eq!(run.proven_claims(&|_, _| true), 0);
    assert_eq!(run.proven_claims(&|name, _| name == "WATERMARK"), last.commit_no - 1);
    assert_eq!(run.proven_claims(&|name, range| name == "WATERMARK" || (name == file && range.contains(&commit))), last.commit_no - 2);
}

#[test]
fn a_buffered_run_claims_only_what_was_synced() {
    let run = read(&Recorded::new(BUFFERED).files());
    let mut claimed = 0;
    for (_, batch) in run.batches() {
        assert!(batch.claimed_commit_no >= claimed && batch.claimed_commit_no < batch.commit_no);
        claimed = batch.claimed_commit_no;
        assert_eq!(batch.claimed_seq, run.batch(claimed).map_or(0, |(_, named)| named.last_seq));
    }
    assert!(run.batches().any(|(_, batch)| batch.claimed_commit_no + 1 < batch.commit_no), "some batches were not synced yet");
}

#[test]
fn the_seal_says_of_each_segment_what_is_read_there() {
    let recorded = Recorded::sealed(Durability::Synced);
    let run = read(&recorded.files());
    let seal = run.manifest.as_ref().unwrap().seal.as_ref().unwrap();
    let rows: Vec<_> = seal.segments.iter().map(|row| (row.ordinal, row.len, row.last_commit_no, row.root)).collect();
    let found: Vec<_> = run
        .chain
        .iter()
        .map(|ordinal| (&run.segments[ordinal], *ordinal))
        .map(|(segment, ordinal)| (ordinal, segment.end as u64, segment.last_commit().unwrap(), segment.root().unwrap()))
        .collect();
    assert_eq!(rows, found);
    let last = run.last_batch().unwrap().1;
    assert_eq!((seal.last_commit_no, seal.high_watermark, seal.final_root), (last.commit_no, last.last_seq, last.root));
    assert_eq!(seal.end_ts_init, recorded.entries.iter().map(|entry| entry.ts_init.as_u64()).max());
    assert!(seal.anchor.is_some() && !seal.damaged && seal.status == 2);
}

#[test]
fn every_byte_of_a_segment_belongs_to_something() {
    let recorded = Recorded::new(Durability::Synced);
    let files = recorded.files();
    let run = read(&files);
    let mut records = 0;
    for (ordinal, segment) in &run.segments {
        let bytes = &files[&segment_name(*ordinal)];
        let mut commit = segment.batches.first().map(|batch| batch.commit_no);
        for (offset, byte) in bytes.iter().enumerate() {
            let owner = run.owner(&segment_name(*ordinal), offset as u64).unwrap();
            match owner {
                Owner::HeaderCopy(_) => assert!(offset < HEADER_PAGE_LEN),
                Owner::HeaderZeros | Owner::BehindEnd => assert_eq!(*byte, 0, "{owner:?} at {offset}"),
                Owner::Open(_) | Owner::Genesis(_) => assert_eq!(segment.commit_of(offset), commit),
                Owner::Record { commit_no, .. } | Owner::Commit { commit_no, .. } => {
                    assert!(commit.is_some_and(|commit| commit_no == commit || commit_no == commit + 1));
                    commit = Some(commit_no);
                }
            }
        }
        assert_eq!(run.owner(&segment_name(*ordinal), bytes.len() as u64), None);
        for start in (0..bytes.len()).step_by(173) {
            let range = start..(start + 512).min(bytes.len());
            let first = range.clone().find_map(|offset| segment.commit_of(offset));
            assert_eq!(segment.first_commit_in(&range), first, "{range:?} of segment {ordinal}");
            assert_eq!(run.first_commit_in(&segment_name(*ordinal), &(range.start as u64..range.end as u64)), first);
        }
        assert_eq!(commit, segment.last_commit());
        // Frame by frame, nothing lies between two and nothing is left out.
        for frame in frames(bytes, segment.salt, HEADER_PAGE_LEN) {
            assert!(frame.is_valid());
            records += usize::from(frame.kind == kind::ENTRY || frame.kind == kind::ANCHOR);
        }
    }
    assert_eq!(records, run.batches().map(|(_, batch)| batch.records.len()).sum::<usize>());
}

#[test]
fn a_segment_is_read_without_its_header_page_by_whoever_knows_the_run() {
    let recorded = Recorded::new(Durability::Synced);
    let mut files = recorded.files();
    let whole = read(&files);
    super::recorded::segment_of(&mut files, 2)[..HEADER_PAGE_LEN].fill(0);
    let run = read(&files);
    assert_eq!((run.last_commit(), &run.chain), (whole.last_commit(), &whole.chain));
    assert_eq!((run.pages_lost, whole.pages_lost), (vec![2], vec![]));
}

#[test]
fn a_run_without_its_manifest_is_read_from_genesis() {
    let recorded = Recorded::new(Durability::Synced);
    let mut files = recorded.files();
    let whole = read(&files);
    files.remove("MANIFEST");
    assert_eq!(read(&files).chain, whole.chain);
}

#[test]
fn an_empty_run_has_nothing_but_its_slots() {
    let base = tempfile::tempdir().unwrap();
    let mut store = SegmentBackend::builder(base.path()).segment_len(16 << 10).background(BackgroundMode::Manual).build().unwrap();
    store.open_run(tapelog::RunManifest::new(super::recorded::RUN_ID, super::recorded::INSTANCE)).unwrap();
    let run = read(&super::recorded::files(store.current_path().unwrap()));
    assert_eq!((run.last_commit(), run.proven_claims(&|_, _| false), run.chain.len()), (0, 0, 0));
    assert!(run.segments.values().all(crate::second_reader::Segment::is_spare));
    assert_eq!(run.witnesses().len(), 2, "both slots are whole");
}
