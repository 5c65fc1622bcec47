//! A file is cut short: by a copy that was broken off, by a file system check, by somebody's hand.

use std::fs;
use std::path::Path;

use tapelog::{RecoveredState, RunStatus};

use super::small_run::{SEGMENTS, SmallRun, Witnessed};
use super::trial::{Opened, Trial};
use crate::support::folders::has_extension;

const LAST: &str = "00000003.seg";

fn cut(folder: &Path, name: &str, len: u64) {
    fs::OpenOptions::new().write(true).open(folder.join(name)).unwrap().set_len(len).unwrap();
}

/// Every length up to the end of what is written, and then every 97th.
fn lengths(run: &SmallRun) -> impl Iterator<Item = u64> {
    let written = run.end.offset + 32;
    let file_len = run.read(LAST).len() as u64;
    (0..file_len).filter(move |len| *len < 48 || (4_000..written).contains(len) || len.is_multiple_of(97))
}

/// What is answered is the front of the log; more of it the longer the file is.
fn assert_a_front(opened: &Opened, least: &mut u64, what: &str) {
    let (state, answers) = opened.as_ref().unwrap_or_else(|error| panic!("{what}: {error}"));
    let readable = answers.unreadable.first().map_or(answers.high_watermark, |first| first - 1);
    let behind: Vec<_> = (readable + 1..=answers.high_watermark).collect();
    assert_eq!(answers.unreadable, behind, "{what}: {state}");
    assert!(readable >= 5, "{what}: the segments before are whole: {state}, {answers:?}");
    assert!(readable >= *least, "{what}: a longer file had fewer entries: {state}, {answers:?}");
    *least = readable;
}

#[test]
fn a_crashed_run_whose_last_segment_is_cut_anywhere_is_judged_right() {
    for witnessed in [Witnessed::All, Witnessed::Part, Witnessed::Nothing] {
        let run = SmallRun::crashed(witnessed);
        let trial = Trial::of(&run);
        let mut least = 0;
        for len in lengths(&run) {
            let what = format!("{witnessed:?}, {LAST} cut to {len} bytes");
            let recovered = trial.recover(&|folder| cut(folder, LAST, len), &what).map(|(_, state, answers)| (state, answers));
            assert_a_front(&recovered, &mut least, &what);
            let (state, answers) = recovered.unwrap();
            assert!(answers.high_watermark >= run.witnessed_seq, "{what}: {state}, {answers:?}");
            if state == RecoveredState::AcknowledgedDamage {
                // What is proven stays acknowledged, and everything that is missing is refused.
                assert!(len < run.end.offset, "{what}: nothing that was written is missing");
            } else {
                assert!(run.log.is_end_of_a_batch(answers.high_watermark), "{what}: {state}, {answers:?}");
                assert_eq!(answers.unreadable, [0_u64; 0], "{what}: {state}");
                assert!(answers.anchors.is_some_and(|count| count <= run.log.anchors_up_to(answers.high_watermark)), "{what}: {answers:?}");
            }
            if len >= run.end.offset {
                assert_eq!((answers.high_watermark, answers.anchors), (run.log.last_seq(), Some(run.log.anchors())), "{what}: {state}");
            }
        }
    }
}

#[test]
fn a_cut_run_is_sealed_and_swept_as_what_it_is() {
    for witnessed in [Witnessed::All, Witnessed::Nothing] {
        let run = SmallRun::crashed(witnessed);
        let trial = Trial::of(&run);
        for len in lengths(&run).filter(|len| len.is_multiple_of(29)) {
            let what = format!("{witnessed:?}, {LAST} cut to {len} bytes");
            let outcome = trial.everything(&|folder| cut(folder, LAST, len), &what);
            let (state, _) = outcome.recovered.unwrap();
            let status = if state == RecoveredState::AcknowledgedDamage { RunStatus::Quarantined } else { RunStatus::CrashedRecovered };
            assert_eq!(outcome.swept, Ok(Some(status)), "{what}");
            assert_eq!(state == RecoveredState::AcknowledgedDamage, witnessed == Witnessed::All && len < run.end.offset, "{what}: {state}");
        }
    }
}

#[test]
fn a_sealed_run_whose_last_segment_is_cut_anywhere_answers_what_is_left() {
    let run = SmallRun::sealed();
    let trial = Trial::of(&run);
    let mut least = 0;
    for len in lengths(&run) {
        let what = format!("{LAST} cut to {len} bytes");
        let opened = trial.read_only(&|folder| cut(folder, LAST, len), &what);
        assert_a_front(&opened, &mut least, &what);
        assert_eq!(opened.unwrap().1.high_watermark, run.log.last_seq(), "{what}");
    }
}

#[test]
fn any_other_file_that_is_cut_costs_no_more_than_what_was_in_it() {
    for run in [SmallRun::crashed(Witnessed::All), SmallRun::sealed()] {
        let trial = Trial::of(&run);
        for name in run.files().iter().filter(|name| *name != LAST) {
            let file_len = run.read(name).len() as u64;
            for len in (0..file_len).filter(|len| *len == 4_096 || len.is_multiple_of(if has_extension(name, "seg") { 397 } else { 37 })) {
                let what = format!("{name} cut to {len} bytes");
                let outcome = trial.everything(&|folder| cut(folder, name, len), &what);
                let (state, answers) = outcome.recovered.unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!(answers.high_watermark, run.log.last_seq(), "{what}: {state}");
                let lost = SEGMENTS.iter().position(|segment| segment == name).map(|index| run.entries_in(index + 1)).unwrap_or_default();
                assert!(answers.unreadable.iter().all(|seq| lost.contains(seq)), "{what}: {state}, {answers:?}");
            }
        }
    }
}
