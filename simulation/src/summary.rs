//! What was explored and found, as a table or as JSON.

use std::fmt::Write as _;

use crate::explore::damage::table::DamageTable;
use crate::runner::Findings;

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
        self.is_clean = self.rows.iter().all(|row| row.findings.failed == 0);
    }

    /// The table, and behind it each failure with the command that shows it again.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        let heads =
            ["histories", "lives", "faults", "moments", "sampled", "disks", "opened", "carried on", "swept", "again", "broken", "seconds"];
        let _ = write!(text, "{:<12} {:<22}", "exploration", "range");
        for head in heads {
            let _ = write!(text, " {head:>10}");
        }
        text.push('\n');
        for Row { exploration, range, seconds, findings } in &self.rows {
            let Findings { counts, coverage, failed, .. } = findings;
            let _ = write!(text, "{exploration:<12} {range:<22}");
            let numbers = [
                coverage.histories,
                coverage.lives,
                coverage.faults,
                coverage.moments,
                coverage.sampled_moments,
                counts.images,
                counts.opened,
                counts.carried_on,
                counts.swept,
                counts.nested,
                *failed,
            ];
            for number in numbers {
                let _ = write!(text, " {number:>10}");
            }
            let _ = writeln!(text, " {seconds:>10.1}");
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
