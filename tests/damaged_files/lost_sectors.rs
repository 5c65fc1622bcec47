//! The disk loses a sector: it comes back as zeros, or with the bytes of another one.

use std::fs;
use std::path::Path;

use tapelog::{RecoveredState, RunStatus};

use super::small_run::{SEGMENTS, SmallRun, Witnessed};
use super::trial::{Outcome, Trial};

const SECTOR_LEN: usize = 512;

fn change(folder: &Path, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let path = folder.join(name);
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// The sectors of a file that are not all zeros.
fn written_sectors(run: &SmallRun, name: &str) -> Vec<usize> {
    let bytes = run.read(name);
    bytes.chunks(SECTOR_LEN).enumerate().filter(|(_, sector)| sector.iter().any(|byte| *byte != 0)).map(|(index, _)| index).collect()
}

fn sector(index: usize, len: usize) -> std::ops::Range<usize> {
    index * SECTOR_LEN..((index + 1) * SECTOR_LEN).min(len)
}

/// A sector holds a few small entries at most; everything else is answered, and nothing vanishes.
fn assert_few_entries_lost(run: &SmallRun, outcome: &Outcome, what: &str) {
    for opened in [&outcome.read_only, &outcome.recovered] {
        let (state, answers) = opened.as_ref().unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(answers.high_watermark, run.log.last_seq(), "{what}: {state}");
        assert!(answers.unreadable.len() <= 4, "{what}: {state}, {answers:?}");
        if !run.is_sealed && !answers.unreadable.is_empty() {
            assert_eq!(outcome.swept, Ok(Some(RunStatus::Quarantined)), "{what}: {state}");
        }
    }
}

#[test]
fn a_sector_that_is_lost_costs_the_entries_in_it_and_no_other() {
    for run in [SmallRun::crashed(Witnessed::All), SmallRun::sealed()] {
        let trial = Trial::of(&run);
        for name in SEGMENTS {
            for index in written_sectors(&run, name) {
                let what = format!("sector {index} of {name} is zeros");
                let damage = |folder: &Path| {
                    change(folder, name, |bytes| {
                        let range = sector(index, bytes.len());
                        bytes[range].fill(0);
                    });
                };
                assert_few_entries_lost(&run, &trial.everything(&damage, &what), &what);
            }
        }
    }
}

#[test]
fn a_sector_that_comes_back_as_another_costs_the_entries_in_it_and_no_other() {
    for run in [SmallRun::crashed(Witnessed::All), SmallRun::sealed()] {
        let trial = Trial::of(&run);
        for name in SEGMENTS {
            let sectors = written_sectors(&run, name);
            for pair in sectors.windows(2) {
                let what = format!("sector {} of {name} has the bytes of sector {}", pair[0], pair[1]);
                let damage = |folder: &Path| {
                    change(folder, name, |bytes| {
                        let (to, from) = (sector(pair[0], bytes.len()), sector(pair[1], bytes.len()));
                        let copied = bytes[from].to_vec();
                        bytes[to.start..to.start + copied.len()].copy_from_slice(&copied);
                    });
                };
                assert_few_entries_lost(&run, &trial.everything(&damage, &what), &what);
            }
        }
    }
}

/// WATERMARK proves the run to its end, so that this is not a torn tail but damage.
#[test]
fn a_last_batch_that_is_lost_although_it_was_witnessed_is_damage() {
    let run = SmallRun::crashed(Witnessed::All);
    let trial = Trial::of(&run);
    let end = usize::try_from(run.end.offset).unwrap();
    let damage = |folder: &Path| change(folder, "00000003.seg", |bytes| bytes[end - 300..end].fill(0));
    let outcome = trial.everything(&damage, &"the last batch is zeros");
    let (state, answers) = outcome.recovered.unwrap();
    assert_eq!((state, answers.high_watermark, answers.unreadable), (RecoveredState::AcknowledgedDamage, 9, vec![9]));
    assert_eq!(outcome.swept, Ok(Some(RunStatus::Quarantined)));
}
