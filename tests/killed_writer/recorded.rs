//! A writer is killed: what it acknowledged is there, nothing is there in part, and a child run goes on.

use std::fmt::Display;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use tapelog::{
    EventStore, EventStoreError, RecoveredState, RecoveryReport, RunManifest, RunStatus, SegmentBackend, Verifier, recover_predecessors,
};

use super::plan::{Numbers, Plan, RUN, Step};
use crate::support::children::{child_test, given, heard, is_child, say};
use crate::support::entries::{INSTANCE, batch, manifest};
use crate::support::folders::copy_folder;
use crate::support::log::Log;

/// What a child said before it was killed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Acknowledged {
    pub last_seq: u64,
    pub anchors: usize,
}

/// The child: records and says what is acknowledged, until it is killed.
#[test]
#[ignore = "runs in a child process"]
fn records_until_it_is_killed() {
    if !is_child() {
        return;
    }
    let plan = Plan::given();
    let mut store = plan.store(Path::new(&given("TAPELOG_TEST_BASE")));
    store.open_run(manifest(RUN)).unwrap();
    let mut anchors = 0;
    for step in plan.steps() {
        match step {
            // The answer is what is durable: of a buffered run it lags behind what was written.
            Step::Batch(batch) => say(&format!("entry {}", store.append_batch(&batch).unwrap())),
            Step::Anchor(anchor) => {
                store.record_snapshot_anchor(anchor).unwrap();
                anchors += 1;
                say(&format!("anchor {anchors}"));
            }
        }
    }
}

/// Lets a child record in `base` and kills it `delay` after it was started, or after it first
/// acknowledged something.
fn record_and_kill(plan: Plan, base: &Path, delay: Duration, after_first_words: bool) -> Acknowledged {
    let mut command = child_test("killed_writer::recorded::records_until_it_is_killed");
    plan.give(&mut command, base);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
    let started = Instant::now();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut acknowledged = Acknowledged::default();
    if after_first_words {
        acknowledged.hear(&lines.find(|line| heard(line).is_some()).expect("the child says something before it ends"));
    }
    let killed_at = if after_first_words { Instant::now() } else { started } + delay;
    let listener = thread::spawn(move || {
        lines.for_each(|line| acknowledged.hear(&line));
        acknowledged
    });
    thread::sleep(killed_at.saturating_duration_since(Instant::now()));
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), None, "the child ended by itself: {status}");
    listener.join().unwrap()
}

impl Acknowledged {
    fn hear(&mut self, line: &str) {
        match heard(line).and_then(|text| text.split_once(' ')) {
            Some(("entry", number)) => self.last_seq = number.parse().unwrap(),
            Some(("anchor", number)) => self.anchors = number.parse().unwrap(),
            other => assert!(other.is_none(), "{line}"),
        }
    }
}

/// What the child had been doing at the latest when it was killed.
fn log_of(plan: Plan, written: u64) -> Log {
    let mut log = Log::default();
    for step in plan.steps() {
        match step {
            Step::Batch(_) if log.last_seq() > written => return log,
            Step::Batch(batch) => log.push_batch(&batch),
            Step::Anchor(anchor) => log.push_anchor(anchor),
        }
    }
    unreachable!("the plan has no end")
}

/// Holds the run in `base` against what the child said. False where the run had not begun to exist.
fn assert_survived(plan: Plan, base: &Path, acknowledged: Acknowledged, what: &dyn Display) -> bool {
    let folder = base.join(INSTANCE).join(RUN);
    let beside = tempfile::tempdir().unwrap();
    if folder.is_dir() {
        copy_folder(&folder, &beside.path().join(INSTANCE).join(RUN));
    }
    let mut store = plan.store(base);
    match store.open_run(manifest(RUN)) {
        Err(EventStoreError::CrashedPredecessor) => {}
        Ok(()) => {
            assert_eq!((acknowledged.last_seq, acknowledged.anchors), (0, 0), "{what}: the run is gone");
            store.append_batch(&batch(1, 3, 10)).unwrap();
            return false;
        }
        Err(error) => panic!("{what}: {error}"),
    }
    let report = store.recovery().unwrap().clone();
    let last = store.high_watermark().unwrap();
    let log = log_of(plan, last);
    assert_nothing_acknowledged_is_lost(&log, &report, last, acknowledged, what);
    let answers = log.assert_whole(&store, last, what);
    assert!(answers.anchors.unwrap() >= acknowledged.anchors, "{what}: an acknowledged anchor is gone");
    assert!(answers.anchors.unwrap() <= log.anchors_up_to(last), "{what}: an anchor covers entries that are gone");
    store.seal(RunStatus::CrashedRecovered).unwrap();
    log.assert_whole(&store, last, what);

    assert_a_child_run_goes_on(plan, base, what);
    let sealed = assert_sealed(&log, base, RunStatus::CrashedRecovered, what);
    assert_swept(&log, beside.path(), &sealed, what);
    true
}

fn assert_nothing_acknowledged_is_lost(log: &Log, report: &RecoveryReport, last: u64, acknowledged: Acknowledged, what: &dyn Display) {
    assert!(matches!(report.state, RecoveredState::Clean | RecoveredState::TornTail), "{what}: {report}");
    assert!(last >= acknowledged.last_seq, "{what}: {} was acknowledged, and {last} is the last: {report}", acknowledged.last_seq);
    assert!(log.is_end_of_a_batch(last), "{what}: entry {last} ends no batch: {report}");
    assert!(report.proven.seq <= last && report.end.seq == last, "{what}: {report}");
}

fn assert_a_child_run_goes_on(plan: Plan, base: &Path, what: &dyn Display) {
    let mut store = plan.store(base);
    let child = RunManifest { parent_run_id: Some(RUN.to_owned()), ..manifest("2000-0000000b") };
    store.open_run(child).unwrap_or_else(|error| panic!("{what}: {error}"));
    store.append_batch(&batch(1, 20, 200)).unwrap();
    store.seal(RunStatus::Ended).unwrap();
    let store = SegmentBackend::open_sealed(base, INSTANCE, "2000-0000000b").unwrap();
    assert_eq!(store.manifest().unwrap().parent_run_id.as_deref(), Some(RUN));
    assert_eq!(store.high_watermark(), Ok(20));
}

fn assert_sealed(log: &Log, base: &Path, status: RunStatus, what: &dyn Display) -> RunManifest {
    let store = SegmentBackend::open_sealed(base, INSTANCE, RUN).unwrap();
    let sealed = store.manifest().unwrap();
    assert_eq!(sealed.status, status, "{what}");
    log.assert_whole(&store, sealed.high_watermark, what);
    let report = Verifier::new(Box::new(store)).verify().unwrap();
    assert!(report.is_clean(), "{what}: {report:?}");
    assert_eq!(report.entries_scanned, sealed.high_watermark, "{what}");
    sealed
}

/// The sweep at the next boot comes to the same end as the recovery by name.
fn assert_swept(log: &Log, base: &Path, sealed: &RunManifest, what: &dyn Display) {
    let outcome = recover_predecessors(base, INSTANCE).unwrap();
    assert_eq!(outcome.parent_run_id.as_deref(), Some(RUN), "{what}: {outcome:?}");
    assert_eq!(outcome.recovered.len(), 1, "{what}: {outcome:?}");
    assert!(outcome.unreadable.is_empty() && outcome.live.is_empty(), "{what}: {outcome:?}");
    assert_eq!(&assert_sealed(log, base, RunStatus::CrashedRecovered, what), sealed, "{what}");
    assert_eq!(recover_predecessors(base, INSTANCE).unwrap().recovered, [], "{what}: nothing is left to do");
}

/// Kills writers at random moments, `count` times; answers how many of them had begun their run.
fn kill_writers(count: u64, first_seed: u64, plan: impl Fn(u64) -> Plan, delay: impl Fn(&mut Numbers) -> (Duration, bool)) -> u64 {
    // The moment is random on purpose: the timing of a process cannot be repeated anyway.
    let mut numbers = Numbers::by_chance();
    let mut begun = 0;
    for seed in first_seed..first_seed + count {
        let base = tempfile::tempdir().unwrap();
        let plan = plan(seed);
        let (delay, after_first_words) = delay(&mut numbers);
        let acknowledged = record_and_kill(plan, base.path(), delay, after_first_words);
        let what = format!("{plan:?} killed after {delay:?}, {acknowledged:?}");
        begun += u64::from(assert_survived(plan, base.path(), acknowledged, &what));
    }
    begun
}

fn at_full_speed(numbers: &mut Numbers) -> (Duration, bool) {
    (Duration::from_micros(numbers.below(120_000)), true)
}

#[test]
fn a_synced_writer_that_is_killed_loses_nothing_acknowledged() {
    let plan = |seed| Plan { seed, buffered: false, indexes: seed.is_multiple_of(2) };
    assert_eq!(kill_writers(24, 100, plan, at_full_speed), 24);
}

#[test]
fn a_buffered_writer_that_is_killed_loses_nothing_acknowledged() {
    let plan = |seed| Plan { seed, buffered: true, indexes: !seed.is_multiple_of(3) };
    assert_eq!(kill_writers(18, 200, plan, at_full_speed), 18);
}

#[test]
fn a_writer_that_is_killed_while_it_begins_leaves_a_run_or_none() {
    let plan = |seed| Plan { seed, buffered: seed.is_multiple_of(2), indexes: true };
    let begun = kill_writers(14, 300, plan, |numbers| (Duration::from_micros(numbers.below(15_000)), false));
    assert!(begun <= 14);
}
