//! Two readers that know nothing of each other judge the same damage alike.

use std::collections::BTreeMap;
use std::ops::Range;

use tapelog::{Durability, RecoveredState};

use super::recorded::{BUFFERED, Recorded, read, segment_of};
use crate::second_reader::forge::enlarge_body;
use crate::second_reader::{Run, segment_name};

type Files = BTreeMap<String, Vec<u8>>;

/// Opens damaged files with both readers. The end of the chain, what is proven and the verdict have to be the same,
/// and no wrong entry is shown.
fn judge_alike(recorded: &Recorded, damaged: &Files, what: &str) -> Run {
    let judged = read(damaged);
    let shown = recorded.shown(damaged);
    let report = shown.store.recovery().unwrap();
    let (end, proven) = (judged.last_commit(), judged.proven_claims(&|_, _| false));
    assert_eq!((report.end.commit_no, report.proven.commit_no), (end, proven), "{what}: {report}");
    let is_damaged = end < proven || !judged.pages_lost.is_empty();
    assert_eq!(report.state == RecoveredState::AcknowledgedDamage, is_damaged, "{what}: {report}");
    shown.refused(&recorded.entries);
    judged
}

fn without_watermark(recorded: &Recorded) -> Files {
    let mut files = recorded.files();
    files.remove("WATERMARK");
    files
}

#[test]
fn a_flipped_bit_takes_the_batch_that_it_belongs_to_and_the_claim_that_it_touches() {
    let recorded = Recorded::new(Durability::Synced);
    let files = without_watermark(&recorded);
    let run = read(&files);
    let mut random = fastrand::Rng::with_seed(0x7a9e);
    for _ in 0..200 {
        let ordinal = run.chain[random.usize(..run.chain.len())];
        let (name, offset) = (segment_name(ordinal), random.usize(..run.segments[&ordinal].end));
        let mut damaged = files.clone();
        segment_of(&mut damaged, ordinal)[offset] ^= 1 << random.u8(..8);
        let what = format!("{name} at {offset}, {:?}", run.owner(&name, offset as u64));
        let judged = judge_alike(&recorded, &damaged, &what);
        let end = run.commit_of(&name, offset as u64).map_or(run.last_commit(), |commit_no| commit_no - 1);
        let touched = |file: &str, range: Range<u64>| file == name && range.contains(&(offset as u64));
        assert_eq!((judged.last_commit(), judged.proven_claims(&|_, _| false)), (end, run.proven_claims(&touched)), "{what}");
    }
}

#[test]
fn lost_and_misplaced_sectors_and_cut_files_are_judged_alike() {
    for durability in [Durability::Synced, BUFFERED] {
        let recorded = Recorded::new(durability);
        let files = without_watermark(&recorded);
        let run = read(&files);
        let mut random = fastrand::Rng::with_seed(0x5ec7);
        for _ in 0..150 {
            let mut damaged = files.clone();
            let ordinal = 1 + random.u32(..u32::try_from(run.segments.len()).unwrap());
            let bytes = segment_of(&mut damaged, ordinal);
            let sectors = bytes.len() / 512;
            let (at, from) = (random.usize(..sectors) * 512, random.usize(..sectors) * 512);
            let what = match random.u8(..4) {
                0 => {
                    bytes[at..at + 512].fill(0);
                    format!("segment {ordinal} without its sector at {at}")
                }
                1 => {
                    bytes.copy_within(from..from + 512, at);
                    format!("segment {ordinal} with the sector at {from} also at {at}")
                }
                2 => {
                    bytes[..4096].fill(0);
                    format!("segment {ordinal} without its header page")
                }
                _ => {
                    bytes.truncate(at + 100);
                    format!("segment {ordinal} cut to {}", at + 100)
                }
            };
            judge_alike(&recorded, &damaged, &what);
        }
    }
}

#[test]
fn a_missing_or_exchanged_segment_is_judged_alike() {
    let recorded = Recorded::new(Durability::Synced);
    let files = without_watermark(&recorded);
    let ordinals: Vec<u32> = read(&files).segments.into_keys().collect();
    for ordinal in &ordinals {
        let mut damaged = files.clone();
        damaged.remove(&segment_name(*ordinal));
        judge_alike(&recorded, &damaged, &format!("without segment {ordinal}"));
        for other in &ordinals {
            let mut damaged = files.clone();
            damaged.insert(segment_name(*ordinal), files[&segment_name(*other)].clone());
            judge_alike(&recorded, &damaged, &format!("segment {other} in the place of segment {ordinal}"));
        }
    }
}

#[test]
fn any_changed_byte_of_watermark_takes_its_slot_and_nothing_else() {
    let recorded = Recorded::closed(Durability::Synced);
    let files = recorded.files();
    let run = read(&files);
    assert_eq!(run.proven_claims(&|_, _| false), run.last_commit(), "only WATERMARK knows of the last commit");
    for offset in (0..8192).filter(|offset| offset % 4096 < 152 || offset % 61 == 0) {
        let mut damaged = files.clone();
        damaged.get_mut("WATERMARK").unwrap()[offset] ^= 4;
        let judged = judge_alike(&recorded, &damaged, &format!("WATERMARK at {offset}"));
        let touched = |file: &str, range: Range<u64>| file == "WATERMARK" && range.contains(&(offset as u64));
        assert_eq!(judged.proven_claims(&|_, _| false), run.proven_claims(&touched));
    }
}

#[test]
fn a_header_whose_body_leads_past_the_file_hides_no_testimony_behind_it() {
    let recorded = Recorded::new(Durability::Synced);
    let files = without_watermark(&recorded);
    let run = read(&files);
    let last = run.chain[run.chain.len() - 1];
    let first = run.segments[&last].batches[0].clone();
    let mut forged = files.clone();
    enlarge_body(segment_of(&mut forged, last), run.segments[&last].salt, &first.records[0]).unwrap();
    let judged = judge_alike(&recorded, &forged, "an enlarged body");
    assert_eq!((judged.last_commit(), judged.proven_claims(&|_, _| false)), (first.commit_no - 1, run.last_commit() - 1));
}
