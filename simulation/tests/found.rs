//! What the exploration found, one small test for each bug.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests may fail loudly")]

use tapelog_simulation::crash::{Breadth, PowerLoss};
use tapelog_simulation::disk::Remember;
use tapelog_simulation::disk::faults::{Fault, FaultPlan, OperationKind};
use tapelog_simulation::engine::Engine;
use tapelog_simulation::explore::damage;
use tapelog_simulation::explore::damage::table::DamageTable;
use tapelog_simulation::explore::exhaustive::explore_last;
use tapelog_simulation::oracle::{Given, Oracle};
use tapelog_simulation::setting::{Operation, Setting};

/// Looks at every disk that a loss of power, or the end of the process, leaves now.
fn examine_now(engine: &Engine, what: &str) {
    let state = engine.disk.state();
    let expected = engine.expected();
    let faultless = engine.disk.faults_met() == 0;
    let given = Given { runs: &engine.runs, expected: &expected, mode: engine.mode(), faultless };
    let mut oracle = Oracle::default();
    oracle.examine(&state, given, true).unwrap_or_else(|broken| panic!("{what}, the process killed: {broken}"));
    let examined = PowerLoss::of(&state).for_each(Breadth::Exhaustive(1 << 14), &mut fastrand::Rng::with_seed(1), |choice| {
        oracle.examine(&state.after_power_loss(choice), given, false).map(|_| ())
    });
    examined.unwrap_or_else(|broken| panic!("{what}: {broken}"));
}

/// The operations of the disk in `what` that are of a kind, by their numbers.
fn numbers_of(kind: OperationKind, begin: impl Fn() -> Engine, what: impl Fn(&mut Engine)) -> Vec<u64> {
    let mut engine = begin();
    let first = engine.disk.operations();
    engine.disk.keep_journal();
    what(&mut engine);
    let journal = engine.disk.take_journal();
    (first..).zip(journal).filter(|(_, found)| *found == kind).map(|(number, _)| number).collect()
}

fn fail_from_then_on(engine: &Engine, at: u64) {
    engine.disk.set_fault(Some(FaultPlan { at, fault: Fault::Eio, for_ever: true }));
}

fn fail_once(engine: &Engine, at: u64) {
    engine.disk.set_fault(Some(FaultPlan { at, fault: Fault::Eio, for_ever: false }));
}

fn open_with(operations: &[Operation]) -> Engine {
    let mut engine = Engine::new(Setting::DEFAULT, 1);
    engine.open().unwrap();
    for operation in operations {
        engine.perform(*operation).unwrap();
    }
    engine
}

/// A process was killed while it made a spare; the run was recovered and sealed, and the unfinished
/// file of a segment's size stayed in the sealed folder for good.
#[test]
fn a_seal_leaves_no_unfinished_file_behind() {
    let mut oracle = Oracle::default();
    explore_last(&"synced:at-once/1/small".parse().unwrap(), &mut oracle).unwrap();
    assert!(oracle.counts.carried_on > 0);
}

/// The sync of a folder failed while a run was created. The next attempt found the folder, synced it
/// with success, acknowledged entries, and a loss of power took the name that the first sync had dropped.
#[test]
fn a_creation_behind_a_failed_folder_sync_relies_on_no_name_that_it_may_have_dropped() {
    let begin = || Engine::new(Setting::DEFAULT, 1);
    let syncs = numbers_of(OperationKind::SyncFolder, begin, |engine| {
        engine.open().unwrap();
    });
    assert!(syncs.len() >= 6, "{syncs:?}");
    for at in syncs {
        let mut engine = begin();
        fail_once(&engine, at);
        engine.open().unwrap();
        assert!(engine.store().is_none(), "a failed sync of a folder is an error");
        examine_now(&engine, &format!("operation {at} failed"));
        engine.open().unwrap();
        engine.perform(Operation::Small).unwrap();
        examine_now(&engine, &format!("operation {at} failed, and the run was opened once more"));
    }
}

/// A seal was cut off before the sync that makes it durable. The next process found the run sealed,
/// went on in a child, and a loss of power took the seal back.
#[test]
fn a_seal_that_is_found_is_durable_before_anybody_relies_on_it() {
    let begin = || open_with(&[Operation::Small, Operation::Roll]);
    let syncs = numbers_of(OperationKind::SyncFolder, begin, |engine| {
        engine.perform(Operation::Seal).unwrap();
    });
    assert!(syncs.len() >= 2, "{syncs:?}");
    for at in syncs {
        let mut engine = begin();
        fail_once(&engine, at);
        engine.perform(Operation::Seal).unwrap();
        engine.perform(Operation::Reopen).unwrap();
        examine_now(&engine, &format!("operation {at} failed in the seal, and the run was opened once more"));
        engine.perform(Operation::Reopen).unwrap();
        engine.perform(Operation::Small).unwrap();
        examine_now(&engine, &format!("operation {at} failed in the seal, and the engine went on"));
    }
}

/// As before, and the process was killed instead of being told.
#[test]
fn a_seal_that_a_killed_process_left_in_the_cache_is_durable_before_anybody_relies_on_it() {
    let mut engine = open_with(&[Operation::Small, Operation::Roll]);
    engine.disk.remember(Remember::SyncsAndChanges);
    let passages = engine.perform(Operation::Seal).unwrap();
    let moments: Vec<_> = passages.iter().flat_map(|passage| passage.moments.iter().map(|moment| (&passage.during, moment))).collect();
    assert!(moments.len() > 8);
    for (expected, moment) in moments {
        let mut engine = open_with(&[Operation::Small, Operation::Roll]);
        engine.end_at(engine.disk.with_contents(moment.state.clone()), expected);
        engine.perform(Operation::Reopen).unwrap();
        examine_now(&engine, &format!("killed before operation {}", moment.operation));
    }
}

/// The sync of a folder failed in the seal of a recovered run. The seal was called once more, the
/// sync succeeded, and said nothing about the names that the first one had dropped.
#[test]
fn the_seal_of_a_recovered_run_is_not_tried_again_after_a_failure() {
    let begin = || open_with(&[Operation::Small, Operation::Kill, Operation::Reopen]);
    for kind in [OperationKind::SyncFolder, OperationKind::SyncFile, OperationKind::Rename, OperationKind::Write] {
        for at in numbers_of(kind, begin, |engine| {
            engine.perform(Operation::Seal).unwrap();
        }) {
            let mut engine = begin();
            fail_once(&engine, at);
            engine.perform(Operation::Seal).unwrap();
            engine.perform(Operation::Seal).unwrap();
            assert_eq!(engine.disk.violations(), [""; 0], "{kind:?} at {at}");
            examine_now(&engine, &format!("{kind:?} at {at}"));
        }
    }
}

/// The sealed manifest of one run stood in the folder of another. Opening that one took the seal for
/// one that had not come to its end, finished it, and removed the WATERMARK that told of the mix-up.
#[test]
fn a_seal_in_another_runs_folder_is_left_as_it_is() {
    let case = "synced:at-once/17400/seal#2,reopen#7 % killed % exchanged run-1/MANIFEST run-2/MANIFEST";
    assert_eq!(damage::replay(&case.parse().unwrap(), &mut DamageTable::default()), Ok(true));
}

/// A recovery overwrote what it discarded, and its process was killed before the sync. The next one found zeros in the page
/// cache, had nothing to do, reported a clean log, and a loss of power brought back what had been discarded.
#[test]
fn what_a_killed_recovery_discarded_in_the_page_cache_is_discarded_on_the_disk() {
    let mut first = open_with(&[]);
    first.disk.remember(Remember::Syncs);
    let passage = first.perform(Operation::Large).unwrap().remove(0);
    let written = &passage.moments.last().unwrap().state;
    let newest: Vec<_> = written.uncertain_places().iter().map(|place| place.versions - 1).collect();
    let mut killed = 0;
    for lost in 0..newest.len() {
        // Everything of the batch has arrived but one sector.
        let choice: Vec<_> = newest.iter().enumerate().map(|(place, version)| if place == lost { 0 } else { *version }).collect();
        let begin = || {
            let mut engine = open_with(&[]);
            engine.runs.clone_from(&first.runs);
            engine.end_at(engine.disk.with_contents(written.after_power_loss(&choice)), &passage.during);
            engine
        };
        let mut engine = begin();
        engine.disk.remember(Remember::SyncsAndChanges);
        for moment in engine.open().unwrap().moments {
            let mut engine = begin();
            let expected = passage.during.clone();
            engine.kill_at(engine.disk.with_contents(moment.state), &expected);
            examine_now(&engine, &format!("sector {lost} lost, and killed before operation {}", moment.operation));
            killed += 1;
        }
    }
    assert!(killed > 20, "{killed}");
}

/// A sync failed for good, and its pages left the cache. A look-up in the store that had failed looked at an entry which was
/// never durable, did not find it, and said that acknowledged data is damaged.
#[test]
fn a_look_up_in_a_store_that_has_failed_asks_no_entry_that_was_never_durable() {
    for operations in
        [&[Operation::Medium, Operation::Roll][..], &[Operation::Small, Operation::Anchor, Operation::Medium, Operation::Roll]]
    {
        let begin = || {
            let mut engine = Engine::new("buffered:never".parse().unwrap(), 1);
            // What is asked keeps its files open, and sees them as they were.
            engine.asks = false;
            engine.open().unwrap();
            for operation in operations {
                drop(engine.perform(*operation).unwrap());
            }
            engine
        };
        let seal = |engine: &mut Engine| drop(engine.perform(Operation::Seal).unwrap());
        for at in numbers_of(OperationKind::SyncFile, begin, seal) {
            let mut engine = begin();
            fail_from_then_on(&engine, at);
            seal(&mut engine);
            engine.asks = true;
            engine.perform(Operation::Evict).unwrap();
        }
    }
}
