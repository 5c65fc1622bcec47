//! What came of the hunts, as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::{Report, Search};

/// The command that hunts every bug. A target folder of its own keeps the other builds as they are.
const COMMAND: &str = "RUSTFLAGS=\"--cfg tapelog_seeded_bugs\" CARGO_TARGET_DIR=target/seeded_bugs cargo run --locked --profile simulation \
                       -p tapelog-simulation -- bugs";

/// The word that stands where nothing caught a bug.
const NOTHING: &str = "NOTHING";

/// The file that holds the table, in the folder of this crate.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join("SEEDED_BUGS.md")
}

/// How many bugs each search was the first to catch.
fn by_search(report: &Report) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for caught in report.hunted.iter().filter_map(|hunted| hunted.caught.as_ref()) {
        *counts.entry(caught.search).or_default() += 1;
    }
    counts
}

/// A table for a terminal.
pub(super) fn terminal(report: &Report) -> String {
    let mut text = String::new();
    for hunted in &report.hunted {
        let (by, disks, detail) = hunted.caught.as_ref().map_or((NOTHING, hunted.disks, String::new()), |caught| {
            (caught.by.as_str(), caught.disks, format!("{} {}", caught.history, caught.broken))
        });
        let _ = writeln!(text, "{:<36} {by:<66} {disks:>7} {:>6.1}s {}", hunted.bug, hunted.seconds, detail.trim());
    }
    for broken in &report.without_a_bug {
        let _ = writeln!(text, "WITHOUT A BUG: {broken}");
    }
    let caught = report.hunted.iter().filter(|hunted| hunted.caught.is_some()).count();
    let _ = writeln!(
        text,
        "{caught} of {} bugs caught, {:?}; {} disks looked at without a bug; {:.0} seconds",
        report.hunted.len(),
        by_search(report),
        report.disks_without_a_bug,
        report.seconds
    );
    text
}

/// The table that stands in the repository.
pub(super) fn markdown(report: &Report) -> String {
    let mut text = String::from(
        "# The seeded bugs, and what catches them\n\n\
         Each line is a mistake that can be switched on in a build with `--cfg tapelog_seeded_bugs` (`src/seeded_bug.rs`).\n\
         The searches are tried in this order, and the first one that fails is named:\n\n",
    );
    for search in Search::ALL {
        let _ = writeln!(text, "- {}: {}", search.name(), search.range());
    }
    let counts = by_search(report);
    let counts: Vec<_> =
        Search::ALL.iter().filter_map(|search| Some(format!("{} {}", counts.get(search.name())?, search.name()))).collect();
    let _ = write!(
        text,
        "\nWithout a bug all of them are clean, on {} disks. A scenario is a test of the same name in `simulation/src/directed`. Disks\n\
         are those that the search which caught the bug had judged until then.\n\n\
         The first to catch: {}.\n\n\
         Written by `{COMMAND} --write`; without `--write`, the same command fails where this table says otherwise.\n\n\
         | bug | what it does | caught by | disks | what broke |\n|---|---|---|---|---|\n",
        report.disks_without_a_bug,
        counts.join(", ")
    );
    for hunted in &report.hunted {
        let (by, disks, history, broken) = hunted.caught.as_ref().map_or((NOTHING, hunted.disks, "", ""), |caught| {
            (caught.by.as_str(), caught.disks, caught.history.as_str(), caught.broken.as_str())
        });
        // A scenario is its own history.
        let history = if history.is_empty() { String::new() } else { format!("`{history}`: ") };
        let _ = writeln!(text, "| {} | {} | {by} | {disks} | {history}{} |", hunted.bug, hunted.says, cell(broken));
    }
    text
}

/// Where a committed table and the one that was found differ, line by line, the lines with their numbers.
pub(super) fn differences(committed: &str, found: &str) -> Vec<String> {
    let (mut committed, mut found, mut number) = (committed.lines(), found.lines(), 0);
    let mut differences = Vec::new();
    loop {
        number += 1;
        let (said, is) = (committed.next(), found.next());
        if said.is_none() && is.is_none() {
            return differences;
        }
        if said != is {
            let (said, is) = (said.unwrap_or("nothing"), is.unwrap_or("nothing"));
            differences.push(format!(
                "simulation/SEEDED_BUGS.md, line {number}, differs from what was found; write it again with --write\n  said:  {said}\n  found: {is}"
            ));
        }
    }
}

/// Text that stays within its cell, and says no more than it needs.
fn cell(text: &str) -> String {
    const LEN_MAX: usize = 160;
    let short: String = text.chars().take(LEN_MAX).collect();
    let ending = if short.len() < text.len() { "…" } else { "" };
    format!("{}{ending}", short.replace('|', "\\|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_differs_is_told_line_by_line() {
        assert_eq!(differences("a\nb\n", "a\nb\n"), [""; 0]);
        let differences = differences("a\nb\nc\n", "a\nd\n");
        assert!(
            differences.len() == 2 && differences[0].contains("line 2") && differences[1].contains("found: nothing"),
            "{differences:?}"
        );
    }
}
