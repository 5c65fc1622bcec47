//! Files are lost, exchanged, empty, of another run or of another version, or were never ours.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tapelog::{EventStore, EventStoreError, RecoveredState, RunStatus, SegmentBackend, recover_predecessors};

use super::small_run::{RUN, SEGMENTS, SmallRun, Witnessed};
use super::trial::{Opened, Outcome, Trial};
use crate::support::entries::{INSTANCE, batch, manifest};
use crate::support::folders::{file_names, has_extension, memory_dir};

/// What was done to a run, in words and in deed.
type NamedDamage<'a> = (&'a str, &'a dyn Fn(&Path));

fn exchange(folder: &Path, one: &str, other: &str) {
    let aside = folder.join("aside");
    fs::rename(folder.join(one), &aside).unwrap();
    fs::rename(folder.join(other), folder.join(one)).unwrap();
    fs::rename(aside, folder.join(other)).unwrap();
}

fn remove(folder: &Path, name: &str) {
    fs::remove_file(folder.join(name)).unwrap();
}

/// The crashed and the sealed run, and that run's state when it is damaged.
fn both() -> [SmallRun; 2] {
    [SmallRun::crashed(Witnessed::All), SmallRun::sealed()]
}

/// All entries up to the end are acknowledged; exactly `lost` of them are refused.
fn assert_lost(run: &SmallRun, opened: &Opened, lost: &[u64], what: &str) {
    let (state, answers) = opened.as_ref().unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(answers.high_watermark, run.log.last_seq(), "{what}: {state}");
    assert_eq!(answers.unreadable, lost, "{what}: {state}");
}

fn assert_damage(run: &SmallRun, outcome: &Outcome, lost: &[u64], what: &str) {
    assert_lost(run, &outcome.read_only, lost, what);
    assert_lost(run, &outcome.recovered, lost, what);
    if !run.is_sealed {
        assert_eq!(outcome.recovered.as_ref().unwrap().0, RecoveredState::AcknowledgedDamage, "{what}");
        assert_eq!(outcome.swept, Ok(Some(RunStatus::Quarantined)), "{what}");
    }
}

#[test]
fn segments_that_are_exchanged_are_believed_neither_in_one_place_nor_in_the_other() {
    for run in both() {
        for (one, other) in [(1, 2), (2, 3), (1, 3)] {
            let what = format!("segments {one} and {other} are exchanged");
            let outcome = Trial::of(&run).everything(&|folder| exchange(folder, SEGMENTS[one - 1], SEGMENTS[other - 1]), &what);
            assert_damage(&run, &outcome, &[run.entries_in(one), run.entries_in(other)].concat(), &what);
        }
    }
}

#[test]
fn a_segment_of_another_run_is_not_believed() {
    for (run, stranger) in both().into_iter().zip(both()) {
        for (ordinal, name) in (1..).zip(SEGMENTS) {
            let what = format!("{name} is that of another run");
            let damage = |folder: &Path| fs::write(folder.join(name), stranger.read(name)).unwrap();
            assert_damage(&run, &Trial::of(&run).everything(&damage, &what), &run.entries_in(ordinal), &what);
        }
    }
}

#[test]
fn a_segment_that_is_missing_costs_what_was_in_it() {
    for run in both() {
        for (ordinal, name) in (1..).zip(SEGMENTS) {
            let lost = run.entries_in(ordinal);
            let what = format!("{name} is missing");
            assert_damage(&run, &Trial::of(&run).everything(&|folder| remove(folder, name), &what), &lost, &what);
            let what = format!("{name} is empty");
            assert_damage(&run, &Trial::of(&run).everything(&|folder| fs::write(folder.join(name), []).unwrap(), &what), &lost, &what);
        }
        let what = "all segments are missing";
        let damage =
            |folder: &Path| file_names(folder).iter().filter(|name| has_extension(name, "seg")).for_each(|name| remove(folder, name));
        assert_damage(&run, &Trial::of(&run).everything(&damage, &what), &(1..=9).collect::<Vec<_>>(), what);
    }
}

/// Spares are made in order and each is durable before the next: a hole below a segment that was
/// written is no crash.
#[test]
fn a_hole_below_a_written_segment_is_damage_whatever_is_proven() {
    for witnessed in [Witnessed::Part, Witnessed::Nothing] {
        let run = SmallRun::crashed(witnessed);
        for name in ["00000001.seg", "00000002.seg"] {
            let what = format!("{witnessed:?}, {name} is missing");
            let outcome = Trial::of(&run).everything(&|folder| remove(folder, name), &what);
            assert_eq!(outcome.recovered.unwrap().0, RecoveredState::AcknowledgedDamage, "{what}");
            assert_eq!(outcome.swept, Ok(Some(RunStatus::Quarantined)), "{what}");
        }
    }
}

#[test]
fn a_spare_that_is_missing_empty_or_damaged_costs_nothing() {
    let run = SmallRun::crashed(Witnessed::All);
    let spare = "00000004.seg";
    let damages: [NamedDamage<'_>; 4] = [
        ("missing", &|folder| remove(folder, spare)),
        ("empty", &|folder| fs::write(folder.join(spare), []).unwrap()),
        ("without a header page", &|folder| fs::write(folder.join(spare), vec![0; 16 << 10]).unwrap()),
        ("of garbage in its header page", &|folder| {
            fs::write(folder.join(spare), [vec![0x5a; 4_096], vec![0; 12 << 10]].concat()).unwrap();
        }),
    ];
    for (name, damage) in damages {
        let what = format!("the spare is {name}");
        let outcome = Trial::of(&run).everything(damage, &what);
        assert_lost(&run, &outcome.recovered, &[], &what);
        assert_eq!(outcome.recovered.unwrap().0, RecoveredState::Clean, "{what}");
        assert_eq!(outcome.swept, Ok(Some(RunStatus::CrashedRecovered)), "{what}");
    }
}

#[test]
fn manifest_is_told_by_the_first_segment_if_it_is_missing_empty_or_garbage() {
    let damages: [NamedDamage<'_>; 3] = [
        ("missing", &|folder| remove(folder, "MANIFEST")),
        ("empty", &|folder| fs::write(folder.join("MANIFEST"), []).unwrap()),
        ("garbage", &|folder| fs::write(folder.join("MANIFEST"), [0xa5; 500]).unwrap()),
    ];
    for run in both() {
        for (name, damage) in damages {
            let what = format!("MANIFEST is {name}");
            let outcome = Trial::of(&run).everything(damage, &what);
            assert_lost(&run, &outcome.written, &[], &what);
            assert_lost(&run, &outcome.recovered, &[], &what);
            assert_eq!(outcome.recovered.unwrap().0, RecoveredState::AcknowledgedDamage, "{what}");
            assert_eq!(outcome.swept, Ok(Some(RunStatus::Quarantined)), "{what}");
            let (_, answers) = outcome.read_only.unwrap();
            // A seal that is lost takes the witness of the last batch along, which holds one entry.
            let proven = run.log.last_seq() - u64::from(run.is_sealed);
            assert_eq!((answers.high_watermark, answers.unreadable), (proven, Vec::new()), "{what}");
        }
    }
}

#[test]
fn manifest_of_another_run_does_not_make_its_entries_those_of_this_one() {
    for (run, stranger) in both().into_iter().zip(both()) {
        let damage = |folder: &Path| fs::write(folder.join("MANIFEST"), stranger.read("MANIFEST")).unwrap();
        let what = "MANIFEST is that of another run";
        let outcome = Trial::of(&run).everything(&damage, &what);
        for (_, answers) in [outcome.read_only, outcome.recovered].into_iter().flatten() {
            assert_eq!(answers.unreadable.len() as u64, answers.high_watermark, "{what}");
        }
        if !run.is_sealed {
            assert_eq!(outcome.swept, Ok(Some(RunStatus::Quarantined)));
        }
    }
}

/// Where MANIFEST and the first segment are gone nobody can say what the run was; it is left as it is.
#[test]
fn a_run_that_nothing_tells_of_is_refused_and_left_alone() {
    for run in both() {
        let damage = |folder: &Path| {
            remove(folder, "MANIFEST");
            remove(folder, "00000001.seg");
        };
        let outcome = Trial::of(&run).everything(&damage, &"MANIFEST and the first segment are missing");
        for refused in [outcome.read_only.err(), outcome.recovered.err(), outcome.swept.err()] {
            assert!(matches!(&refused, Some(EventStoreError::Corrupted(_))), "{refused:?}");
        }
    }
}

/// With every segment and MANIFEST gone, a folder looks almost like one whose creation was cut off.
/// But WATERMARK and indexes only tell of entries that were.
#[test]
fn what_is_left_of_a_lost_run_is_not_taken_for_a_creation_that_was_cut_off() {
    let run = SmallRun::crashed(Witnessed::All);
    for left in ["WATERMARK", "00000001.key", "00000002.idx"] {
        let damage = |folder: &Path| file_names(folder).iter().filter(|name| *name != left).for_each(|name| remove(folder, name));
        let what = format!("only {left} is left");
        let outcome = Trial::of(&run).everything(&damage, &what);
        assert!(outcome.recovered.is_err(), "{what}: {outcome:?}");
        let base = memory_dir();
        let folder = run.put_into(base.path());
        damage(&folder);
        assert!(SegmentBackend::new(base.path()).open_run(manifest(RUN)).is_err(), "{what}");
        assert!(folder.join(left).exists(), "{what}: it was removed");
        assert_eq!(recover_predecessors(base.path(), INSTANCE).unwrap().unreadable.len(), 1, "{what}: the sweep passes it over");
    }
}

#[test]
fn watermark_that_tells_nothing_leaves_the_commits_to_tell_it() {
    let run = SmallRun::crashed(Witnessed::All);
    let stranger = SmallRun::crashed(Witnessed::All);
    let damages: [NamedDamage<'_>; 5] = [
        ("missing", &|folder| remove(folder, "WATERMARK")),
        ("empty", &|folder| fs::write(folder.join("WATERMARK"), []).unwrap()),
        ("garbage", &|folder| fs::write(folder.join("WATERMARK"), [0xa5; 8_192]).unwrap()),
        ("too long", &|folder| fs::write(folder.join("WATERMARK"), [run.read("WATERMARK"), vec![1; 99]].concat()).unwrap()),
        ("that of another run", &|folder| fs::write(folder.join("WATERMARK"), stranger.read("WATERMARK")).unwrap()),
    ];
    for (name, damage) in damages {
        let what = format!("WATERMARK is {name}");
        let outcome = Trial::of(&run).everything(damage, &what);
        assert_lost(&run, &outcome.recovered, &[], &what);
        assert_eq!(outcome.recovered.unwrap().0, RecoveredState::Clean, "{what}");
        assert_eq!(outcome.swept, Ok(Some(RunStatus::CrashedRecovered)), "{what}");
        assert!(outcome.read_only.unwrap().1.high_watermark >= 8, "{what}: every commit proves the one before");
    }
}

/// A quarantined run keeps WATERMARK; if it is lost later, the seal still says how far the run went.
#[test]
fn a_quarantined_run_whose_watermark_is_lost_later_answers_as_before() {
    let run = SmallRun::crashed(Witnessed::All);
    for (ordinal, name) in (1..).zip(SEGMENTS) {
        let base = memory_dir();
        let folder = run.put_into(base.path());
        remove(&folder, name);
        assert_eq!(recover_predecessors(base.path(), INSTANCE).unwrap().recovered[0].status, RunStatus::Quarantined);
        remove(&folder, "WATERMARK");
        let what = format!("{name} and later WATERMARK are missing");
        assert_lost(&run, &Trial::of(&run).look(&folder, &what), &run.entries_in(ordinal), &what);
    }
}

#[test]
fn indexes_of_other_segments_and_of_other_runs_are_not_believed() {
    for (run, stranger) in both().into_iter().zip(both()) {
        let damages: [NamedDamage<'_>; 4] = [
            ("the key indexes are exchanged", &|folder| exchange(folder, "00000001.key", "00000002.key")),
            ("the sparse indexes are exchanged", &|folder| exchange(folder, "00000001.idx", "00000002.idx")),
            ("the indexes are missing", &|folder| {
                file_names(folder)
                    .iter()
                    .filter(|name| has_extension(name, "idx") || has_extension(name, "key"))
                    .for_each(|name| remove(folder, name));
            }),
            ("the indexes are those of another run", &|folder| {
                for name in ["00000001.idx", "00000001.key", "00000002.key"] {
                    fs::write(folder.join(name), stranger.read(name)).unwrap();
                }
            }),
        ];
        for (what, damage) in damages {
            let outcome = Trial::of(&run).everything(damage, &what);
            assert_lost(&run, &outcome.read_only, &[], what);
            assert_lost(&run, &outcome.recovered, &[], what);
        }
    }
}

#[test]
fn strange_files_in_the_folder_change_nothing() {
    for run in both() {
        let damage = |folder: &Path| {
            for name in
                ["README", "1.seg", "00000001.seg.bak", "0000001.seg", "00000000.seg", "MANIFEST.tmp", "00000009.seg.tmp", "00000009.key"]
            {
                fs::write(folder.join(name), b"not ours").unwrap();
            }
            fs::create_dir(folder.join("00000000.idx")).unwrap();
            symlink("/nowhere", folder.join("link")).unwrap();
            remove(folder, "LOCK");
        };
        let what = "strange files";
        let outcome = Trial::of(&run).everything(&damage, &what);
        assert_lost(&run, &outcome.read_only, &[], what);
        assert_lost(&run, &outcome.recovered, &[], what);
        if !run.is_sealed {
            assert_eq!(outcome.swept, Ok(Some(RunStatus::CrashedRecovered)));
        }
    }
}

#[test]
fn what_stands_in_the_place_of_a_segment_and_is_no_file_is_refused() {
    let run = SmallRun::crashed(Witnessed::All);
    let damages: [NamedDamage<'_>; 2] = [
        ("a folder", &|folder| {
            remove(folder, "00000002.seg");
            fs::create_dir(folder.join("00000002.seg")).unwrap();
        }),
        ("a link", &|folder| {
            fs::rename(folder.join("00000002.seg"), folder.join("elsewhere")).unwrap();
            symlink(folder.join("elsewhere"), folder.join("00000002.seg")).unwrap();
        }),
    ];
    for (name, damage) in damages {
        let what = format!("{name} in the place of a segment");
        let base = memory_dir();
        let folder = run.put_into(base.path());
        damage(&folder);
        for error in [
            SegmentBackend::open_read_only(&folder).unwrap_err(),
            SegmentBackend::new(base.path()).open_run(manifest(RUN)).unwrap_err(),
            recover_predecessors(base.path(), INSTANCE).unwrap().unreadable.remove(0).error,
        ] {
            assert!(error.to_string().contains("00000002.seg"), "{what}: {error:?}");
        }
    }
}

/// A run that moved with its folder's name changed is not taken for the run of that name.
#[test]
fn a_run_in_a_folder_of_another_name_is_refused() {
    for run in both() {
        let base = memory_dir();
        let folder = run.put_into(base.path());
        let renamed = folder.with_file_name("1000-0000000f");
        fs::rename(&folder, &renamed).unwrap();
        let refused = |error: EventStoreError| {
            assert!(matches!(&error, EventStoreError::Corrupted(corruption) if corruption.advice.contains("name")), "{error:?}");
        };
        refused(SegmentBackend::open_read_only(&renamed).unwrap_err());
        refused(SegmentBackend::open_written(&renamed).unwrap_err());
        if run.is_sealed {
            refused(SegmentBackend::open_sealed(base.path(), INSTANCE, "1000-0000000f").unwrap_err());
        } else {
            refused(SegmentBackend::new(base.path()).open_run(manifest("1000-0000000f")).unwrap_err());
            refused(recover_predecessors(base.path(), INSTANCE).unwrap().unreadable.remove(0).error);
        }
    }
}

/// A creation that was cut off has left spares, WATERMARK and temporary files, but no MANIFEST.
#[test]
fn what_a_creation_left_that_was_cut_off_is_cleared_away_by_the_next() {
    let run = SmallRun::crashed(Witnessed::All);
    let spare = run.read("00000004.seg");
    let base = memory_dir();
    let folder = base.path().join(INSTANCE).join(RUN);
    fs::create_dir_all(folder.join("markers")).unwrap();
    fs::write(folder.join("LOCK"), []).unwrap();
    fs::write(folder.join("00000001.seg"), &spare).unwrap();
    fs::write(folder.join("00000002.seg.tmp"), &spare[..5_000]).unwrap();
    fs::write(folder.join("WATERMARK.tmp"), [1; 100]).unwrap();
    fs::write(folder.join("MANIFEST.tmp"), [2; 100]).unwrap();
    fs::write(folder.join("notes.txt"), b"the operator's").unwrap();
    assert_eq!(SegmentBackend::list_runs(base.path(), INSTANCE), Ok(Vec::new()), "it is no run yet");
    assert_eq!(recover_predecessors(base.path(), INSTANCE), Ok(tapelog::RecoveryOutcome::default()));
    let mut store = SegmentBackend::builder(base.path()).segment_len(16 << 10).build().unwrap();
    store.open_run(manifest(RUN)).unwrap();
    assert_eq!(store.append_batch(&batch(1, 9, 100)), Ok(9));
    store.seal(RunStatus::Ended).unwrap();
    assert_eq!(fs::read(folder.join("notes.txt")).unwrap(), b"the operator's");
    assert!(!file_names(&folder).iter().any(|name| has_extension(name, "tmp")));
}
