//! Whether the searches find bugs: each seeded one is switched on, and one of them has to fail.
//!
//! A search that never fails proves nothing, and neither does one that always does. So every search runs
//! first with no bug, and must be clean; then each bug is hunted by the same searches, the cheapest first.

mod hunt;
mod search;
mod table;

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use tapelog::seeded_bug::{self, SeededBug};

pub use hunt::{Catch, Hunted};
pub use search::Search;

/// What to hunt, and with what.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Hunts this bug alone.
    #[arg(long, value_parser = parse_bug)]
    bug: Option<SeededBug>,
    /// Hunts with this search alone: directed, exhaustive, faults, lives, damage, long.
    #[arg(long, value_parser = parse_search)]
    search: Option<Search>,
    /// Writes the table to `simulation/SEEDED_BUGS.md`.
    #[arg(long, conflicts_with_all = ["bug", "search"])]
    write: bool,
}

fn parse_bug(name: &str) -> Result<SeededBug, String> {
    let names = || SeededBug::ALL.iter().map(|bug| bug.name()).collect::<Vec<_>>().join(", ");
    SeededBug::from_name(name).ok_or_else(|| format!("{name:?} is no seeded bug: expected one of {}", names()))
}

fn parse_search(name: &str) -> Result<Search, String> {
    Search::ALL
        .into_iter()
        .find(|search| search.name() == name)
        .ok_or_else(|| format!("{name:?} is no search: expected one of {}", Search::ALL.map(Search::name).join(", ")))
}

/// What came of all hunts.
#[derive(Debug, serde::Serialize)]
pub struct Report {
    /// What broke with no bug on: nothing, unless tapelog or a search is wrong.
    pub without_a_bug: Vec<String>,
    /// Disks that were looked at with no bug on.
    pub disks_without_a_bug: u64,
    /// Each bug with what caught it.
    pub hunted: Vec<Hunted>,
    /// Seconds that all of it took.
    pub seconds: f64,
}

impl Report {
    /// Whether every search was clean without a bug, and every bug was caught.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.without_a_bug.is_empty() && self.hunted.iter().all(|hunted| hunted.caught.is_some())
    }

    /// A table for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        table::terminal(self)
    }
}

/// Hunts, on so many threads: what came of it, and where the committed table says otherwise.
///
/// The table is that of all bugs and all searches, so that it is compared with such a hunt alone.
#[must_use]
pub fn run(arguments: &Arguments, jobs: usize) -> (Report, Vec<String>) {
    let searches: Vec<Search> = arguments.search.map_or_else(|| Search::ALL.to_vec(), |search| vec![search]);
    let bugs: Vec<SeededBug> = arguments.bug.map_or_else(|| SeededBug::ALL.to_vec(), |bug| vec![bug]);
    let report = hunt_all(&bugs, &searches, jobs);
    let path = table::path(Path::new(env!("CARGO_MANIFEST_DIR")));
    let differences = if arguments.bug.is_some() || arguments.search.is_some() {
        Vec::new()
    } else if arguments.write {
        let written = std::fs::write(&path, table::markdown(&report));
        written.err().map(|error| format!("{} cannot be written: {error}", path.display())).into_iter().collect()
    } else {
        match std::fs::read_to_string(&path) {
            Ok(committed) => table::differences(&committed, &table::markdown(&report)),
            Err(error) => vec![format!("{} cannot be read: {error}", path.display())],
        }
    };
    (report, differences)
}

/// What a worker does next.
enum Task {
    /// A part of a search without a bug.
    Clean(Search, usize),
    Hunt(SeededBug),
}

fn hunt_all(bugs: &[SeededBug], searches: &[Search], jobs: usize) -> Report {
    let begun = Instant::now();
    let parts = |search: &Search| (0..search.parts()).map(|part| Task::Clean(*search, part)).collect::<Vec<_>>();
    let hunts = bugs.iter().map(|bug| Task::Hunt(*bug));
    // The bugs first: those that nothing catches take longest.
    let tasks: Vec<Task> = hunts.chain(searches.iter().flat_map(parts)).collect();
    let next = AtomicUsize::new(0);
    let report = Mutex::new(Report { without_a_bug: Vec::new(), disks_without_a_bug: 0, hunted: Vec::new(), seconds: 0.0 });
    let work = || {
        while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
            match task {
                Task::Clean(search, part) => {
                    let (disks, broken) = with_bug(None, || hunt::clean(*search, *part));
                    let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
                    report.disks_without_a_bug += disks;
                    report.without_a_bug.extend(broken.map(|broken| format!("{}: {broken}", search.name())));
                }
                Task::Hunt(bug) => {
                    let hunted = with_bug(Some(*bug), || hunt::hunt(*bug, searches));
                    tell(&hunted);
                    report.lock().unwrap_or_else(PoisonError::into_inner).hunted.push(hunted);
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(work);
        }
    });
    let mut report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
    report.hunted.sort_by_key(|hunted| hunted.place);
    report.seconds = begun.elapsed().as_secs_f64();
    report
}

/// Says how a hunt went, for whoever looks on.
fn tell(hunted: &Hunted) {
    let by = hunted.caught.as_ref().map_or("NOTHING", |caught| caught.by.as_str());
    let _ = writeln!(std::io::stderr(), "{:<38} {by}", hunted.bug);
}

/// Puts the switch of this thread back when it goes, be it in a panic.
struct PutBack(Option<SeededBug>);

impl Drop for PutBack {
    fn drop(&mut self) {
        seeded_bug::switch_on(self.0);
    }
}

/// Runs something with one bug on, or with none.
fn with_bug<T>(bug: Option<SeededBug>, run: impl FnOnce() -> T) -> T {
    let _put_back = PutBack(seeded_bug::switched_on());
    seeded_bug::switch_on(bug);
    run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner;

    #[test]
    fn the_switch_is_put_back_after_a_panic() {
        let before = seeded_bug::switched_on();
        let panicked = runner::guarded(|| with_bug(Some(SeededBug::ClaimTooHigh), || -> Result<(), String> { panic!("a search") }));
        assert!(panicked.is_err());
        assert_eq!(seeded_bug::switched_on(), before);
    }

    #[test]
    fn a_bug_is_caught_by_the_first_search_that_fails() {
        let report = hunt_all(&[SeededBug::AcknowledgeBeforeSync], &[Search::Directed, Search::Exhaustive], 1);
        assert!(report.is_good(), "{report:?}");
        let caught = report.hunted.first().and_then(|hunted| hunted.caught.as_ref()).unwrap();
        assert_eq!(caught.search, "directed");
    }
}
