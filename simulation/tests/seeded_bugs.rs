//! The table of the seeded bugs is whole: it names every one, and something catches each.

use std::fs;
use std::path::Path;

use tapelog_simulation::directed;

/// A file of the repository; empty where there is none, which no test here passes.
fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_default()
}

/// The names in the catalogue, read from its text: this build has no switches, and the table must not depend on them.
fn catalogue() -> Vec<String> {
    let text = read("../src/seeded_bug.rs");
    let listed = text.split("catalogue! {").nth(1).and_then(|behind| behind.split("\n}\n").next()).unwrap_or_default();
    let name = |line: &str| Some(line.trim().strip_suffix("\",")?.split_once(" = \"")?.1.to_owned());
    listed.lines().filter_map(name).collect()
}

/// The table's rows: the name of the bug, and what catches it.
fn table() -> Vec<(String, String)> {
    let text = read("SEEDED_BUGS.md");
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| bug |"));
    let cell = |row: &str, index: usize| row.split('|').nth(index).unwrap_or_default().trim().to_owned();
    rows.map(|row| (cell(row, 1), cell(row, 3))).collect()
}

#[test]
fn the_table_names_every_bug_of_the_catalogue_and_no_other() {
    let named: Vec<String> = table().into_iter().map(|(bug, _)| bug).collect();
    assert!(catalogue().len() >= 60, "the catalogue was read");
    assert_eq!(named, catalogue(), "written by `simulate bugs --write`");
}

/// The searches that the table names before its rows, each with what it goes over.
fn searches() -> Vec<(String, String)> {
    let text = read("SEEDED_BUGS.md");
    let listed = text.lines().filter_map(|line| line.strip_prefix("- ")?.split_once(": "));
    listed.map(|(name, range)| (name.to_owned(), range.to_owned())).collect()
}

/// Whether there is a scenario of this name.
fn is_scenario(name: &str) -> bool {
    directed::ALL.iter().any(|scenario| scenario.name == name)
}

#[test]
fn every_bug_is_caught_by_a_scenario_or_a_search_that_there_is() {
    assert!(!table().is_empty(), "the table was read");
    for (bug, by) in table() {
        assert!(is_scenario(&by) || searches().iter().any(|(name, _)| *name == by), "{bug} is caught by {by:?}");
    }
}

#[test]
fn the_table_counts_the_scenarios_that_there_are() {
    let (_, range) = searches().into_iter().find(|(name, _)| name == "directed").unwrap();
    assert_eq!(range, format!("{} scenarios", directed::ALL.len()), "written by `simulate bugs --write`");
    let caught = table().iter().filter(|(_, by)| is_scenario(by)).count();
    let text = read("SEEDED_BUGS.md");
    assert!(text.contains(&format!("The first to catch: {caught} directed")), "written by `simulate bugs --write`");
}
