//! One bit flips somewhere in a run.
//!
//! WATERMARK proves the whole run to have been durable, so that not one entry may vanish: whatever
//! bit it is, the high-watermark stays, and at most the one entry that was hit is refused.

use std::fs;
use std::path::Path;

use tapelog::{RecoveredState, RunStatus};

use super::small_run::{SmallRun, Witnessed, written_ranges};
use super::trial::{Opened, Trial};
use crate::support::folders::memory_dir;

/// Where a bit is flipped: every bit of what is written, one bit in each 97th byte of the zeros between
/// and of a long payload, whose bits are all alike.
fn places(bytes: &[u8]) -> Vec<(usize, u8)> {
    let mut places = Vec::new();
    let written = written_ranges(bytes);
    for at in 0..bytes.len() {
        let range = written.iter().find(|range| range.contains(&at));
        let is_like_its_neighbours = range.is_none_or(|range| range.len() > 8_000 && range.start + 600 < at && at + 600 < range.end);
        if !is_like_its_neighbours {
            places.extend((0..8).map(|bit| (at, 1 << bit)));
        } else if at.is_multiple_of(97) {
            places.push((at, 1 << (at % 8)));
        }
    }
    places
}

fn flip(path: &Path, at: usize, bit: u8) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= bit;
    fs::write(path, bytes).unwrap();
}

/// Reads the run with each bit of these files flipped, one after the other.
fn read_with_every_flip(run: &SmallRun, names: &[&str], check: impl Fn(&Opened, &str)) {
    let trial = Trial::of(run);
    let base = memory_dir();
    let folder = run.put_into(base.path());
    for name in names {
        for (at, bit) in places(&run.read(name)) {
            let what = format!("{name}, bit {bit:#04x} of byte {at}");
            flip(&folder.join(name), at, bit);
            check(&trial.look(&folder, &what), &what);
            flip(&folder.join(name), at, bit);
        }
    }
}

/// Recovers the run with each bit of these files flipped, one after the other.
fn recover_with_every_flip(run: &SmallRun, names: &[&str], check: impl Fn(&Opened, &str)) {
    let trial = Trial::of(run);
    for name in names {
        for (at, bit) in places(&run.read(name)) {
            let what = format!("{name}, bit {bit:#04x} of byte {at}");
            let recovered = trial.recover(&|folder| flip(&folder.join(name), at, bit), &what);
            check(&recovered.map(|(_, state, answers)| (state, answers)), &what);
        }
    }
}

/// Does everything with the run, with one bit of each byte of these files flipped.
fn try_a_flip_in_every_byte(run: &SmallRun, names: &[&str], check: impl Fn(&Opened, &str)) {
    let trial = Trial::of(run);
    for name in names {
        for (at, bit) in places(&run.read(name)).into_iter().filter(|(at, bit)| *bit == 1 << (at % 8)) {
            let what = format!("{name}, bit {bit:#04x} of byte {at}");
            let outcome = trial.everything(&|folder| flip(&folder.join(name), at, bit), &what);
            check(&outcome.read_only, &what);
            check(&outcome.recovered, &what);
            if matches!(&outcome.recovered, Ok((_, answers)) if !answers.unreadable.is_empty()) && !run.is_sealed {
                assert_eq!(outcome.swept, Ok(Some(RunStatus::Quarantined)), "{what}");
            }
        }
    }
}

/// One flipped bit costs one entry at most, and never moves the high-watermark.
fn assert_one_entry_at_most(run: &SmallRun, opened: &Opened, what: &str) {
    let (state, answers) = opened.as_ref().unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(answers.high_watermark, run.log.last_seq(), "{what}: {state}");
    assert!(answers.unreadable.len() <= 1, "{what}: {state}, {answers:?}");
    if *state != RecoveredState::AcknowledgedDamage {
        assert!(answers.anchors.is_none_or(|count| count == run.log.anchors()), "{what}: {state}, {answers:?}");
    }
}

/// What the entries do not depend on costs nothing.
fn assert_nothing_lost(run: &SmallRun, opened: &Opened, what: &str) {
    assert_one_entry_at_most(run, opened, what);
    let (state, answers) = opened.as_ref().unwrap();
    assert_eq!(answers.unreadable, [0_u64; 0], "{what}: {state}");
    assert_eq!(answers.anchors, Some(run.log.anchors()), "{what}: {state}");
}

const SEGMENTS: [&str; 3] = ["00000001.seg", "00000002.seg", "00000003.seg"];
const INDEXES: [&str; 4] = ["00000001.idx", "00000001.key", "00000002.idx", "00000002.key"];
const SPARE: &str = "00000004.seg";

#[test]
fn a_crashed_run_with_a_flipped_bit_is_read_without_a_wrong_answer() {
    let run = SmallRun::crashed(Witnessed::All);
    read_with_every_flip(&run, &SEGMENTS, |opened, what| assert_one_entry_at_most(&run, opened, what));
}

#[test]
fn a_crashed_run_with_a_flipped_bit_is_recovered_without_a_wrong_answer() {
    let run = SmallRun::crashed(Witnessed::All);
    recover_with_every_flip(&run, &SEGMENTS, |opened, what| assert_one_entry_at_most(&run, opened, what));
}

#[test]
fn a_crashed_run_with_a_flipped_bit_is_sealed_and_swept_as_what_it_is() {
    let run = SmallRun::crashed(Witnessed::All);
    try_a_flip_in_every_byte(&run, &SEGMENTS, |opened, what| assert_one_entry_at_most(&run, opened, what));
}

#[test]
fn a_flipped_bit_in_an_index_or_in_a_spare_costs_nothing() {
    let run = SmallRun::crashed(Witnessed::All);
    read_with_every_flip(&run, &INDEXES, |opened, what| assert_nothing_lost(&run, opened, what));
    try_a_flip_in_every_byte(&run, &INDEXES, |opened, what| assert_nothing_lost(&run, opened, what));
    recover_with_every_flip(&run, &[SPARE], |opened, what| {
        // A spare whose zeros are not zeros may be a torn tail, and never costs an entry.
        assert_nothing_lost(&run, opened, what);
    });
}

#[test]
fn a_flipped_bit_in_manifest_costs_nothing_because_the_first_segment_repeats_it() {
    let run = SmallRun::crashed(Witnessed::All);
    read_with_every_flip(&run, &["MANIFEST"], |opened, what| {
        assert_one_entry_at_most(&run, opened, what);
        let (state, answers) = opened.as_ref().unwrap();
        assert_eq!((*state, answers.unreadable.len()), (RecoveredState::AcknowledgedDamage, 0), "{what}");
    });
    try_a_flip_in_every_byte(&run, &["MANIFEST"], |opened, what| assert_one_entry_at_most(&run, opened, what));
}

#[test]
fn a_flipped_bit_in_watermark_costs_a_witness_and_no_entry() {
    let run = SmallRun::crashed(Witnessed::All);
    recover_with_every_flip(&run, &["WATERMARK"], |opened, what| {
        assert_nothing_lost(&run, opened, what);
        assert_eq!(opened.as_ref().unwrap().0, RecoveredState::Clean, "{what}");
    });
    let trial = Trial::of(&run);
    for (at, bit) in places(&run.read("WATERMARK")).into_iter().filter(|(at, bit)| *bit == 1 << (at % 8)) {
        let what = format!("WATERMARK, bit {bit:#04x} of byte {at}");
        let outcome = trial.everything(&|folder| flip(&folder.join("WATERMARK"), at, bit), &what);
        // Without the witness every commit still proves the one before it.
        let (_, answers) = outcome.read_only.unwrap();
        assert!(answers.high_watermark >= run.log.last_seq() - 1, "{what}: {answers:?}");
        assert_eq!(outcome.swept, Ok(Some(RunStatus::CrashedRecovered)), "{what}");
    }
}

#[test]
fn a_run_that_is_witnessed_in_part_keeps_what_the_witness_saw() {
    for witnessed in [Witnessed::Part, Witnessed::Nothing] {
        let run = SmallRun::crashed(witnessed);
        let trial = Trial::of(&run);
        for name in SEGMENTS {
            for (at, bit) in places(&run.read(name)).into_iter().filter(|(at, bit)| *bit == 1 << (at % 8)) {
                let what = format!("{witnessed:?}, {name}, bit {bit:#04x} of byte {at}");
                let (_, state, answers) = trial.recover(&|folder| flip(&folder.join(name), at, bit), &what).unwrap();
                assert!(answers.high_watermark >= run.witnessed_seq, "{what}: {state}, {answers:?}");
                assert!(answers.unreadable.len() <= 1, "{what}: {state}, {answers:?}");
                assert!(run.log.is_end_of_a_batch(answers.high_watermark), "{what}: {state}, {answers:?}");
                // A commit further on proves the batch that was hit, unless that was the last one.
                let is_torn = state == RecoveredState::TornTail;
                assert!(!is_torn || answers.high_watermark >= run.log.last_seq() - 1, "{what}: {state}, {answers:?}");
            }
        }
    }
}

#[test]
fn a_sealed_run_with_a_flipped_bit_is_read_without_a_wrong_answer() {
    let run = SmallRun::sealed();
    read_with_every_flip(&run, &SEGMENTS, |opened, what| assert_one_entry_at_most(&run, opened, what));
    try_a_flip_in_every_byte(&run, &SEGMENTS, |opened, what| assert_one_entry_at_most(&run, opened, what));
}

#[test]
fn a_flipped_bit_beside_the_segments_of_a_sealed_run_costs_nothing() {
    let run = SmallRun::sealed();
    let indexes: Vec<_> = INDEXES.into_iter().chain(["00000003.idx", "00000003.key"]).collect();
    read_with_every_flip(&run, &indexes, |opened, what| assert_nothing_lost(&run, opened, what));
    let trial = Trial::of(&run);
    for (at, bit) in places(&run.read("MANIFEST")) {
        let what = format!("MANIFEST, bit {bit:#04x} of byte {at}");
        let damage = |folder: &Path| flip(&folder.join("MANIFEST"), at, bit);
        let (state, answers) = trial.read_only(&damage, &what).unwrap();
        assert_eq!((state, answers.high_watermark), (RecoveredState::AcknowledgedDamage, run.log.last_seq()), "{what}");
        assert_eq!(answers.unreadable, [0_u64; 0], "{what}");
        assert_eq!(trial.sweep(&damage, &what), Ok(Some(RunStatus::Quarantined)), "{what}");
    }
}
