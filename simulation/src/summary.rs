//! What was explored and found, as a table or as JSON.

use std::fmt::Write as _;

use crate::explore::damage::table::DamageTable;
use crate::runner::Findings;

/// A number that the table shows of each exploration. JSON has the same names, with `_` for a space.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it counts.
    pub says: &'static str,
    number: fn(&Findings) -> u64,
}

/// Every column, from left to right.
pub const COLUMNS: [Column; 13] = [
    Column { name: "histories", says: "histories that were explored, the broken ones included", number: |found| found.coverage.histories },
    Column {
        name: "planned",
        says: "histories in the range: more than were explored where broken promises cut the exploration short",
        number: |found| found.planned,
    },
    Column { name: "starts", says: "times that an engine was started in them", number: |found| found.coverage.starts },
    Column { name: "faults", says: "operations of the disk that were made to fail", number: |found| found.coverage.faults },
    Column { name: "moments", says: "moments at which the power fails", number: |found| found.coverage.moments },
    Column {
        name: "sampled",
        says: "those of them with more choices than were all made: a family of choices was judged",
        number: |found| found.coverage.sampled,
    },
    Column {
        name: "choices max",
        says: "the most choices that a moment had of which all were made",
        number: |found| found.coverage.choices_max,
    },
    Column {
        name: "disks",
        says: "disks that were judged, each another choice of what a crash leaves; of damage: damaged disks",
        number: |found| found.counts.disks,
    },
    Column {
        name: "opened",
        says: "disks that differ from every other one of their block, each opened by a reader and by a new process; of damage: \
               how often a run was opened, in any way",
        number: |found| found.counts.opened,
    },
    Column {
        name: "carried on",
        says: "recovered disks that differ, each recovered again, sealed, read, verified and gone on from",
        number: |found| found.counts.carried_on,
    },
    Column {
        name: "swept",
        says: "opened disks that were also swept at boot, walked from the first byte",
        number: |found| found.counts.swept,
    },
    Column {
        name: "crashed again",
        says: "disks, among those judged, that a crash left within a recovery or within the seal behind it",
        number: |found| found.counts.crashed_again,
    },
    Column { name: "broken", says: "histories that broke a promise", number: |found| found.broken },
];

/// What the columns mean, for whoever asks the command for help.
#[must_use]
pub fn columns_in_words() -> String {
    let width = COLUMNS.iter().map(|column| column.name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for Column { name, says, .. } in COLUMNS {
        let _ = writeln!(text, "  {name:<width$}  {says}");
    }
    text
}

/// What one exploration found.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Row {
    /// The exploration.
    pub exploration: String,
    /// What it went over: seeds, or the whole of a space.
    pub range: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// What it found.
    #[serde(flatten)]
    pub findings: Findings,
}

impl Row {
    /// The row in a line, for a log.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { exploration, range, seconds, findings } = self;
        let Findings { planned, counts, coverage, broken, .. } = findings;
        let disks = counts.disks;
        format!(
            "{exploration} ({range}): {} of {planned} histories, {disks} disks, {broken} broken, {seconds:.1} seconds",
            coverage.histories
        )
    }

    fn cells(&self) -> Vec<String> {
        let numbers = COLUMNS.iter().map(|column| (column.number)(&self.findings).to_string());
        let names = [self.exploration.clone(), self.range.clone()];
        names.into_iter().chain(numbers).chain([format!("{:.1}", self.seconds)]).collect()
    }
}

/// What several explorations found.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Summary {
    /// One row for each.
    pub rows: Vec<Row>,
    /// What became of damage, by its class.
    pub damage: DamageTable,
    /// Whether no promise was broken.
    pub is_clean: bool,
}

impl Summary {
    /// Adds a row.
    pub fn push(&mut self, row: Row) {
        self.rows.push(row);
        self.is_clean = self.rows.iter().all(|row| row.findings.broken == 0);
    }

    /// The table, and behind it each failure with the command that shows it again.
    #[must_use]
    pub fn table(&self) -> String {
        let names = COLUMNS.iter().map(|column| column.name.to_owned());
        let heads: Vec<String> =
            ["exploration", "range"].map(str::to_owned).into_iter().chain(names).chain(["seconds".to_owned()]).collect();
        let lines: Vec<_> = std::iter::once(heads).chain(self.rows.iter().map(Row::cells)).collect();
        let mut text = aligned(&lines);
        for row in self.rows.iter().filter(|row| row.findings.coverage.histories < row.findings.planned) {
            let _ = writeln!(
                text,
                "\n{} was cut short by what it found: {} of {} histories were explored",
                row.exploration, row.findings.coverage.histories, row.findings.planned
            );
        }
        if self.damage.disks > 0 {
            let _ = write!(text, "\n{}", self.damage);
        }
        for failure in self.rows.iter().flat_map(|row| &row.findings.failures) {
            let _ = writeln!(text, "\n{}: {}", failure.history, failure.broken);
            let _ = writeln!(text, "smallest: {}: {}", failure.shrunk, failure.shrunk_broken);
            let _ = writeln!(text, "to see it again: {}", failure.command());
        }
        text
    }
}

/// Lines of cells, each column as wide as its widest cell: the first two to the left, numbers to the right.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or_default();
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in lines {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let between = if column > 0 { "  " } else { "" };
            let _ = if column < 2 { write!(text, "{between}{cell:<width$}") } else { write!(text, "{between}{cell:>width$}") };
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::explore::damage::place::PLACES;

    fn row(range: &str) -> Row {
        let mut findings = Findings { planned: 9, ..Findings::default() };
        findings.coverage.histories = 7;
        findings.counts.disks = 12_345_678_901_234;
        Row { exploration: "lives".to_owned(), range: range.to_owned(), seconds: 1.25, findings }
    }

    #[test]
    fn every_column_has_the_same_name_in_json() {
        let json = serde_json::to_value(row("seeds 0..7")).unwrap();
        for column in COLUMNS {
            let number = json.get(column.name.replace(' ', "_")).and_then(serde_json::Value::as_u64);
            assert_eq!(number, Some((column.number)(&row("").findings)), "{}", column.name);
        }
        assert!(json.get("exploration").is_some() && json.get("range").is_some() && json.get("seconds").is_some());
    }

    #[test]
    fn the_document_on_reliability_explains_every_column() {
        let document = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../RELIABILITY.md")).unwrap();
        for column in COLUMNS {
            let line = format!("| `{}` | {} |", column.name, column.says);
            assert!(document.contains(&line), "RELIABILITY.md lacks: {line}");
        }
    }

    #[test]
    fn the_document_on_reliability_says_why_damage_does_no_harm() {
        let document = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../RELIABILITY.md")).unwrap();
        for place in PLACES {
            assert!(document.contains(&format!("| {place} | ")), "RELIABILITY.md lacks: {place}");
        }
    }

    #[test]
    fn a_column_is_as_wide_as_its_widest_number() {
        let mut summary = Summary::default();
        summary.push(row("seeds 18446744073709551000..18446744073709551615"));
        summary.push(row("seeds 0..7"));
        let table = summary.table();
        let ends: Vec<_> =
            table.lines().take(3).map(|line| line.find("seconds").or_else(|| line.find("1.2")).map(|_| line.len())).collect();
        assert!(ends.iter().all(|end| *end == ends[0] && end.is_some()), "{table}");
        assert!(table.contains("lives was cut short by what it found: 7 of 9 histories were explored"), "{table}");
    }
}
