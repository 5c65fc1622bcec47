//! One bug, and one search after the other until something breaks.

use std::time::Instant;

use tapelog::seeded_bug::SeededBug;

use super::search::{DAMAGES_PER_HISTORY, Search};
use crate::directed;
use crate::explore::damage::{self, table::DamageTable};
use crate::oracle::Oracle;
use crate::runner::{self, Exploration};

/// What caught a bug.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Catch {
    /// The search.
    pub search: &'static str,
    /// The scenario or the search, as the table names it.
    pub by: String,
    /// Disks that this search had judged until then.
    pub disks: u64,
    /// The shortest history that shows it; empty for a scenario.
    pub history: String,
    /// The first line of what broke.
    pub broken: String,
}

/// How the hunt for a bug went.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Hunted {
    /// Its place in the catalogue.
    #[serde(skip)]
    pub place: usize,
    /// Its name.
    pub bug: &'static str,
    /// The mistake, and what it would cost.
    pub says: &'static str,
    /// What caught it, if anything did.
    pub caught: Option<Catch>,
    /// Disks that were looked at, by every search that was tried.
    pub disks: u64,
    /// Seconds that it took.
    pub seconds: f64,
}

/// Hunts the bug that is switched on.
pub(super) fn hunt(bug: SeededBug, searches: &[Search]) -> Hunted {
    let begun = Instant::now();
    let mut disks = 0;
    let caught = searches.iter().find_map(|search| {
        let parts = 0..search.parts();
        let mut oracle = Oracle::default();
        let caught = parts.into_iter().find_map(|part| catch(*search, part, &mut oracle));
        disks += oracle.counts.disks;
        caught
    });
    let place = SeededBug::ALL.iter().position(|other| *other == bug).unwrap_or_default();
    Hunted { place, bug: bug.name(), says: bug.says(), caught, disks, seconds: begun.elapsed().as_secs_f64() }
}

/// Runs one part of a search with no bug on: how many disks it looked at, and what broke.
pub(super) fn clean(search: Search, part: usize) -> (u64, Option<String>) {
    let mut oracle = Oracle::default();
    let broken = catch(search, part, &mut oracle).map(|caught| format!("{} {}: {}", caught.by, caught.history, caught.broken));
    (oracle.counts.disks, broken)
}

fn catch(search: Search, part: usize, oracle: &mut Oracle) -> Option<Catch> {
    // What is remembered of one part's disks says nothing about another's.
    oracle.forget();
    match search.exploration() {
        Some(exploration) => catch_exploring(search, &*exploration, part, oracle),
        None if search == Search::Directed => catch_directed(search, part, oracle),
        None => catch_damaging(search, part, oracle),
    }
}

fn catch_directed(search: Search, part: usize, oracle: &mut Oracle) -> Option<Catch> {
    let scenario = directed::ALL.get(part)?;
    let broken = runner::guarded(|| (scenario.check)(oracle)).err()?;
    let (by, history) = (scenario.name.to_owned(), String::new());
    Some(Catch { search: search.name(), by, disks: oracle.counts.disks, history, broken: first_line(&broken) })
}

fn catch_damaging(search: Search, part: usize, oracle: &mut Oracle) -> Option<Catch> {
    let mut table = DamageTable::default();
    let found = damage::find(part as u64, DAMAGES_PER_HISTORY, &mut table);
    oracle.counts.disks += table.disks;
    let (case, broken) = found.err()?;
    let shrunk = damage::shrink(&case, broken);
    let (by, broken) = (search.name().to_owned(), first_line(&shrunk.shrunk_broken));
    Some(Catch { search: search.name(), by, disks: oracle.counts.disks, history: shrunk.shrunk, broken })
}

fn catch_exploring(search: Search, exploration: &dyn Exploration, part: usize, oracle: &mut Oracle) -> Option<Catch> {
    let explored = runner::guarded(|| {
        let failed = exploration.histories(part).find_map(|history| {
            let broken = runner::guarded(|| exploration.explore(&history, oracle)).err()?;
            Some((history, broken))
        });
        Ok(failed)
    });
    let (history, broken) = match explored {
        Ok(failed) => failed?,
        // The bug makes even the list of histories impossible.
        Err(broken) => {
            let by = search.name().to_owned();
            return Some(Catch {
                search: search.name(),
                by,
                disks: oracle.counts.disks,
                history: String::new(),
                broken: first_line(&broken),
            });
        }
    };
    let disks = oracle.counts.disks;
    let shrunk = runner::shrink(exploration, &history, broken);
    let (by, broken) = (search.name().to_owned(), first_line(&shrunk.shrunk_broken));
    Some(Catch { search: search.name(), by, disks, history: shrunk.shrunk, broken })
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
