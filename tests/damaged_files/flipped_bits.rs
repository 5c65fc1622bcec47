//! One bit flips somewhere in a run.
//!
//! WATERMARK proves the whole run to have been durable, so that not one entry may vanish: whatever
//! bit it is, the high-watermark stays, and at most the one entry that was hit is refused.

use std::fs;
use std::path::Path;

use tapelog::{RecoveredState, RunStatus};

use super::small_run::{SEGMENTS, SmallRun, Witnessed, written_ranges};
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

/// Which of the places are tried. What opening a run finds out is the same however it is opened, so
/// that what follows from it is tried with fewer flips.
#[derive(Clone, Copy)]
enum Tried {
    Every,
    EveryOther,
    /// One bit of every other byte.
    EverySixteenth,
}

fn for_each_flip(run: &SmallRun, names: &[&str], tried: Tried, mut check: impl FnMut(&str, usize, u8, &str)) {
    for name in names {
        for (at, bit) in places(&run.read(name)) {
            let is_tried = match tried {
                Tried::Every => true,
                Tried::EveryOther => (at + bit.ilog2() as usize).is_multiple_of(2),
                Tried::EverySixteenth => at.is_multiple_of(2) && bit == 1 << (at / 2 % 8),
            };
            if is_tried {
                check(name, at, bit, &format!("{name}, bit {bit:#04x} of byte {at}"));
            }
        }
    }
}

/// Reads the run with flips in these files, one after the other.
fn read_with_flips(run: &SmallRun, names: &[&str], tried: Tried, check: impl Fn(&Opened, &str)) {
    let trial = Trial::of(run);
    let base = memory_dir();
    let folder = run.put_into(base.path());
    for_each_flip(run, names, tried, |name, at, bit, what| {
        flip(&folder.join(name), at, bit);
        check(&trial.look(&folder, &what), what);
        flip(&folder.join(name), at, bit);
    });
}

/// Recovers the run with flips in these files, one after the other.
fn recover_with_flips(run: &SmallRun, names: &[&str], tried: Tried, check: impl Fn(&Opened, &str)) {
    let trial = Trial::of(run);
    for_each_flip(run, names, tried, |name, at, bit, what| {
        let recovered = trial.recover(&|folder| flip(&folder.join(name), at, bit), &what);
        check(&recovered.map(|(_, state, answers)| (state, answers)), what);
    });
}

/// Does everything with the run with flips in these files, one after the other.
fn try_flips(run: &SmallRun, names: &[&str], check: impl Fn(&Opened, &str)) {
    let trial = Trial::of(run);
    for_each_flip(run, names, Tried::EverySixteenth, |name, at, bit, what| {
        let outcome = trial.everything(&|folder| flip(&folder.join(name), at, bit), &what);
        check(&outcome.read_only, what);
        check(&outcome.recovered, what);
        if matches!(&outcome.recovered, Ok((_, answers)) if !answers.unreadable.is_empty()) && !run.is_sealed {
            assert_eq!(outcome.swept, Ok(Some(RunStatus::Quarantined)), "{what}");
        }
    });
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

/// With the seal of a sealed run its last witness is lost: every commit still proves what stands before it.
fn assert_all_proven_shown(run: &SmallRun, opened: &Opened, what: &str) {
    let (state, answers) = opened.as_ref().unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(*state, RecoveredState::AcknowledgedDamage, "{what}");
    assert_eq!(answers.high_watermark, run.log.last_seq() - 1, "{what}: the last batch holds one entry");
    assert_eq!((answers.unreadable.as_slice(), answers.anchors), (&[][..], Some(run.log.anchors())), "{what}");
}

const INDEXES: [&str; 4] = ["00000001.idx", "00000001.key", "00000002.idx", "00000002.key"];
const SPARE: &str = "00000004.seg";

#[test]
fn a_crashed_run_with_a_flipped_bit_is_read_without_a_wrong_answer() {
    let run = SmallRun::crashed(Witnessed::All);
    read_with_flips(&run, &SEGMENTS, Tried::Every, |opened, what| assert_one_entry_at_most(&run, opened, what));
}

#[test]
fn a_crashed_run_with_a_flipped_bit_is_recovered_without_a_wrong_answer() {
    let run = SmallRun::crashed(Witnessed::All);
    recover_with_flips(&run, &SEGMENTS, Tried::EveryOther, |opened, what| assert_one_entry_at_most(&run, opened, what));
}

#[test]
fn a_crashed_run_with_a_flipped_bit_is_sealed_and_swept_as_what_it_is() {
    let run = SmallRun::crashed(Witnessed::All);
    try_flips(&run, &SEGMENTS, |opened, what| assert_one_entry_at_most(&run, opened, what));
}

#[test]
fn a_flipped_bit_in_an_index_or_in_a_spare_costs_nothing() {
    let run = SmallRun::crashed(Witnessed::All);
    read_with_flips(&run, &INDEXES, Tried::Every, |opened, what| assert_nothing_lost(&run, opened, what));
    try_flips(&run, &INDEXES, |opened, what| assert_nothing_lost(&run, opened, what));
    // A spare whose zeros are not zeros may be a torn tail, and never costs an entry.
    recover_with_flips(&run, &[SPARE], Tried::Every, |opened, what| assert_nothing_lost(&run, opened, what));
}

#[test]
fn a_flipped_bit_in_manifest_costs_nothing_because_the_first_segment_repeats_it() {
    let run = SmallRun::crashed(Witnessed::All);
    read_with_flips(&run, &["MANIFEST"], Tried::Every, |opened, what| {
        assert_nothing_lost(&run, opened, what);
        assert_eq!(opened.as_ref().unwrap().0, RecoveredState::AcknowledgedDamage, "{what}");
    });
    try_flips(&run, &["MANIFEST"], |opened, what| assert_nothing_lost(&run, opened, what));
}

#[test]
fn a_flipped_bit_in_watermark_costs_a_witness_and_no_entry() {
    let run = SmallRun::crashed(Witnessed::All);
    recover_with_flips(&run, &["WATERMARK"], Tried::Every, |opened, what| {
        assert_nothing_lost(&run, opened, what);
        assert_eq!(opened.as_ref().unwrap().0, RecoveredState::Clean, "{what}");
    });
    let trial = Trial::of(&run);
    for_each_flip(&run, &["WATERMARK"], Tried::EverySixteenth, |name, at, bit, what| {
        let outcome = trial.everything(&|folder| flip(&folder.join(name), at, bit), &what);
        // Without the witness every commit still proves the one before it.
        let (_, answers) = outcome.read_only.unwrap();
        assert!(answers.high_watermark >= run.log.last_seq() - 1, "{what}: {answers:?}");
        assert_eq!(outcome.swept, Ok(Some(RunStatus::CrashedRecovered)), "{what}");
    });
}

#[test]
fn a_run_that_is_witnessed_in_part_keeps_what_the_witness_saw() {
    for witnessed in [Witnessed::Part, Witnessed::Nothing] {
        let run = SmallRun::crashed(witnessed);
        recover_with_flips(&run, &SEGMENTS, Tried::EverySixteenth, |opened, what| {
            let (state, answers) = opened.as_ref().unwrap();
            let what = format!("{witnessed:?}, {what}: {state}, {answers:?}");
            assert!(answers.high_watermark >= run.witnessed_seq, "{what}");
            assert!(answers.unreadable.len() <= 1, "{what}");
            assert!(run.log.is_end_of_a_batch(answers.high_watermark), "{what}");
            // A commit further on proves the batch that was hit, unless that was the last one.
            assert!(*state != RecoveredState::TornTail || answers.high_watermark >= run.log.last_seq() - 1, "{what}");
        });
    }
}

#[test]
fn a_sealed_run_with_a_flipped_bit_is_read_without_a_wrong_answer() {
    let run = SmallRun::sealed();
    read_with_flips(&run, &SEGMENTS, Tried::EveryOther, |opened, what| assert_one_entry_at_most(&run, opened, what));
    try_flips(&run, &SEGMENTS, |opened, what| assert_one_entry_at_most(&run, opened, what));
}

#[test]
fn a_flipped_bit_beside_the_segments_of_a_sealed_run_costs_nothing() {
    let run = SmallRun::sealed();
    let indexes: Vec<_> = INDEXES.into_iter().chain(["00000003.idx", "00000003.key"]).collect();
    read_with_flips(&run, &indexes, Tried::EveryOther, |opened, what| assert_nothing_lost(&run, opened, what));
    let trial = Trial::of(&run);
    let base = memory_dir();
    let folder = run.put_into(base.path());
    for_each_flip(&run, &["MANIFEST"], Tried::Every, |name, at, bit, what| {
        flip(&folder.join(name), at, bit);
        assert_all_proven_shown(&run, &trial.look(&folder, &what), what);
        assert_nothing_lost(&run, &trial.look_at_all(&folder, &what), what);
        flip(&folder.join(name), at, bit);
    });
    for_each_flip(&run, &["MANIFEST"], Tried::EverySixteenth, |name, at, bit, what| {
        let swept = trial.sweep(&|folder| flip(&folder.join(name), at, bit), &what);
        assert_eq!(swept, Ok(Some(RunStatus::Quarantined)), "{what}");
    });
}
