//! Runs explorations side by side, and makes of a failure the smallest history that still fails.

use std::cell::RefCell;
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::explore::damage;
use crate::explore::damage::table::DamageTable;
use crate::explore::history::History;
use crate::explore::play::Coverage;
use crate::oracle::{Counts, Oracle};
use crate::progress::Progress;

/// A history that breaks a promise.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Failure {
    /// What explored it.
    pub exploration: String,
    /// The history as it was found.
    pub history: String,
    /// What is broken.
    pub broken: String,
    /// The smallest history that was found to break something.
    pub shrunk: String,
    /// What that one breaks.
    pub shrunk_broken: String,
}

impl Failure {
    /// The command that shows it again.
    #[must_use]
    pub fn command(&self) -> String {
        format!("cargo run --profile simulation -p tapelog-simulation -- replay {} '{}'", self.exploration, self.shrunk)
    }
}

/// What an exploration found.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Findings {
    /// How many histories the range holds: more than were explored where what broke cut the exploration short.
    pub planned: u64,
    /// How many disks were judged.
    #[serde(flatten)]
    pub counts: Counts,
    /// How far histories and moments were explored.
    #[serde(flatten)]
    pub coverage: Coverage,
    /// How many histories broke a promise.
    pub broken: u64,
    /// What broke a promise; no more than a few are kept.
    pub failures: Vec<Failure>,
}

/// Most failures that are kept, and shrunk.
const FAILURES_KEPT_MAX: usize = 5;

impl Findings {
    /// Adds what another worker found.
    pub fn add(&mut self, other: Self) {
        self.counts.add(&other.counts);
        self.coverage.add(&other.coverage);
        self.planned += other.planned;
        self.broken += other.broken;
        let room = FAILURES_KEPT_MAX.saturating_sub(self.failures.len());
        self.failures.extend(other.failures.into_iter().take(room));
    }
}

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Takes panics for findings: they are told by [`guarded`] instead of being printed.
pub fn catch_panics() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        PANIC.with(|panic| *panic.borrow_mut() = Some(format!("a panic at {place}: {info}")));
    }));
}

/// Runs an exploration; a panic in it is a broken promise.
///
/// # Errors
/// The promise that is broken.
pub fn guarded<T>(explore: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    panic::catch_unwind(AssertUnwindSafe(explore))
        .unwrap_or_else(|_| Err(PANIC.with(|panic| panic.borrow_mut().take()).unwrap_or_else(|| "a panic".to_owned())))
}

/// One exploration of histories.
pub trait Exploration: Sync {
    /// Its name, as `replay` takes it.
    fn name(&self) -> &'static str;

    /// How many blocks of work there are. What the oracle has seen counts within a block, so that
    /// the figures do not depend on how many workers there are.
    fn blocks(&self) -> usize;

    /// The histories of a block.
    fn histories(&self, block: usize) -> Box<dyn Iterator<Item = History> + '_>;

    /// How many histories there are in all blocks.
    fn count(&self) -> u64 {
        (0..self.blocks()).map(|block| self.histories(block).count() as u64).sum()
    }

    /// Plays one.
    ///
    /// # Errors
    /// The promise that is broken.
    fn explore(&self, history: &History, oracle: &mut Oracle) -> Result<Coverage, String>;
}

/// Runs an exploration on so many threads.
#[must_use]
pub fn run(exploration: &dyn Exploration, jobs: usize, progress: Progress) -> Findings {
    let mut findings = in_blocks(exploration.name(), exploration.blocks(), jobs, progress, |block| explore_block(exploration, block));
    findings.planned = findings.coverage.histories;
    if findings.broken > 0 {
        // Only then is it worth the time to count what was left out.
        findings.planned = guarded(|| Ok(exploration.count())).unwrap_or_default().max(findings.planned);
    }
    findings
}

/// Damages the disks of the histories of so many seeds, each so many times.
#[must_use]
pub fn run_damage(seeds: Range<u64>, damages_per_history: usize, jobs: usize, progress: Progress) -> (Findings, DamageTable) {
    let tables = Mutex::new(DamageTable::default());
    let planned = seeds.end.saturating_sub(seeds.start);
    let count = usize::try_from(planned).unwrap_or(usize::MAX);
    let mut findings = in_blocks(damage::NAME, count, jobs, progress, |block| {
        let mut table = DamageTable::default();
        let mut findings = Findings::default();
        if let Err((case, broken)) = damage::find(seeds.start + block as u64, damages_per_history, &mut table) {
            findings.broken = 1;
            findings.failures.push(damage::shrink(&case, broken));
        }
        findings.coverage.histories = table.histories;
        findings.counts.disks = table.disks;
        findings.counts.opened = table.openings;
        tables.lock().unwrap_or_else(PoisonError::into_inner).add(&table);
        findings
    });
    findings.planned = planned;
    (findings, tables.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn in_blocks(name: &'static str, blocks: usize, jobs: usize, progress: Progress, explore: impl Fn(usize) -> Findings + Sync) -> Findings {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let so_far = Mutex::new((Findings::default(), progress.begin(name, blocks)));
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let block = next.fetch_add(1, Ordering::Relaxed);
            if block >= blocks {
                break;
            }
            let found = explore(block);
            let mut so_far = so_far.lock().unwrap_or_else(PoisonError::into_inner);
            let (findings, teller) = &mut *so_far;
            findings.add(found);
            // A bug that breaks one history breaks many: a handful is enough to look at.
            stop.fetch_or(findings.failures.len() >= FAILURES_KEPT_MAX, Ordering::Relaxed);
            teller.block(findings);
        }
    };
    thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(work);
        }
    });
    let (findings, teller) = so_far.into_inner().unwrap_or_else(PoisonError::into_inner);
    teller.end();
    findings
}

fn explore_block(exploration: &dyn Exploration, block: usize) -> Findings {
    let mut oracle = Oracle::default();
    let mut findings = Findings::default();
    for history in exploration.histories(block) {
        match guarded(|| exploration.explore(&history, &mut oracle)) {
            Ok(coverage) => findings.coverage.add(&coverage),
            Err(broken) => {
                findings.broken += 1;
                findings.coverage.histories += 1;
                if findings.failures.len() < FAILURES_KEPT_MAX {
                    findings.failures.push(shrink(exploration, &history, broken));
                }
                if findings.broken >= FAILURES_KEPT_MAX as u64 {
                    break;
                }
            }
        }
    }
    findings.counts = oracle.counts;
    findings
}

/// Leaves out steps, crashes and faults as long as the history still breaks something.
pub fn shrink(exploration: &dyn Exploration, history: &History, broken: String) -> Failure {
    let mut smallest = (history.clone(), broken.clone());
    loop {
        let smaller = simpler(&smallest.0).find_map(|candidate| {
            let mut oracle = Oracle::default();
            guarded(|| exploration.explore(&candidate, &mut oracle)).err().map(|broken| (candidate, broken))
        });
        match smaller {
            Some(smaller) => smallest = smaller,
            None => break,
        }
    }
    Failure {
        exploration: exploration.name().to_owned(),
        history: history.to_string(),
        broken,
        shrunk: smallest.0.to_string(),
        shrunk_broken: smallest.1,
    }
}

/// Histories with one thing less, those that lack most first.
fn simpler(history: &History) -> impl Iterator<Item = History> {
    let without_tail = (1..history.steps.len()).map(|len| {
        let mut shorter = history.clone();
        shorter.steps.truncate(len);
        shorter
    });
    let without_step = (0..history.steps.len()).map(|index| {
        let mut shorter = history.clone();
        shorter.steps.remove(index);
        shorter
    });
    let calmer = (0..history.steps.len()).filter_map(|index| {
        let mut calmer = history.clone();
        let step = calmer.steps.get_mut(index)?;
        if step.fault.take().is_none() && step.end.take().is_none() {
            return None;
        }
        Some(calmer)
    });
    without_tail.chain(without_step).chain(calmer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setting::Setting;

    /// Blocks of ten histories each, of which one of so many breaks a promise.
    struct Breaking {
        blocks: usize,
        one_of: u64,
    }

    impl Exploration for Breaking {
        fn name(&self) -> &'static str {
            "breaking"
        }

        fn blocks(&self) -> usize {
            self.blocks
        }

        fn histories(&self, block: usize) -> Box<dyn Iterator<Item = History> + '_> {
            let history = |seed| History { setting: Setting::DEFAULT, seed, steps: Vec::new(), fault: None };
            Box::new((0..10).map(move |index| history(block as u64 * 10 + index)))
        }

        fn explore(&self, history: &History, _: &mut Oracle) -> Result<Coverage, String> {
            if history.seed.is_multiple_of(self.one_of) {
                return Err("a promise".to_owned());
            }
            Ok(Coverage { histories: 1, ..Coverage::default() })
        }
    }

    #[test]
    fn an_exploration_that_was_cut_short_says_how_many_histories_it_left_out() {
        let findings = run(&Breaking { blocks: 50, one_of: 3 }, 1, Progress::Silent);
        // Five findings are enough, and the second block brings the fifth.
        assert_eq!((findings.coverage.histories, findings.planned, findings.broken), (10 + 10, 500, 4 + 3));
        assert_eq!(findings.failures.len(), FAILURES_KEPT_MAX);
    }

    #[test]
    fn a_history_that_breaks_a_promise_is_counted_as_explored() {
        let findings = run(&Breaking { blocks: 5, one_of: 20 }, 2, Progress::Silent);
        assert_eq!((findings.coverage.histories, findings.planned, findings.broken), (50, 50, 3));
    }

    #[test]
    fn what_is_explored_to_its_end_is_all_that_was_planned() {
        let findings = run(&Breaking { blocks: 5, one_of: 1_000_000 }, 1, Progress::Silent);
        assert_eq!((findings.planned, findings.broken), (50, 1), "the seed 0 is a multiple of everything");
    }
}
