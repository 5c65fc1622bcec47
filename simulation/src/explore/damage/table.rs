//! What became of damaged disks: classes of damage against what whoever opened them was told.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// How a damaged run was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// By the engine's next start: recovered from the newest witness on.
    QuickOpening,
    /// By a reader that changes nothing.
    Reader,
    /// By the sweep at boot: walked from the first byte, with every hash.
    FullWalk,
    /// As a sealed run.
    SealedRun,
}

impl Way {
    /// Every way.
    pub const ALL: [Self; 4] = [Self::QuickOpening, Self::Reader, Self::FullWalk, Self::SealedRun];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::QuickOpening => "quick opening",
            Self::Reader => "reader",
            Self::FullWalk => "full walk",
            Self::SealedRun => "sealed run",
        }
    }
}

/// What whoever opened a damaged run was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// Everything that was there is there, and is right.
    Harmless,
    /// The log ends earlier, behind everything that an intact witness proves durable.
    TornTail,
    /// Acknowledged data is damaged.
    AtOpening,
    /// The run was opened, and an answer is an error of damage.
    OnReading,
    /// The run was not opened, and the error says why.
    Refused,
}

/// The names of the verdicts, in their order.
const VERDICTS: [&str; 5] = ["no harm", "torn tail", "reported at opening", "reported on reading", "refused"];

/// How many disks of a class came to each verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Disks.
    pub disks: u64,
    /// See [`Verdict::Harmless`].
    #[serde(rename = "no_harm")]
    pub harmless: u64,
    /// See [`Verdict::TornTail`].
    pub torn_tail: u64,
    /// See [`Verdict::AtOpening`].
    #[serde(rename = "reported_at_opening")]
    pub at_opening: u64,
    /// See [`Verdict::OnReading`].
    #[serde(rename = "reported_on_reading")]
    pub on_reading: u64,
    /// See [`Verdict::Refused`].
    pub refused: u64,
}

impl Row {
    fn note(&mut self, verdict: Verdict) {
        self.disks += 1;
        *match verdict {
            Verdict::Harmless => &mut self.harmless,
            Verdict::TornTail => &mut self.torn_tail,
            Verdict::AtOpening => &mut self.at_opening,
            Verdict::OnReading => &mut self.on_reading,
            Verdict::Refused => &mut self.refused,
        } += 1;
    }

    /// The verdicts that disks came to, in the words of the table.
    fn verdicts(&self) -> impl Iterator<Item = &'static str> {
        let Self { disks: _, harmless, torn_tail, at_opening, on_reading, refused } = *self;
        let counts = [harmless, torn_tail, at_opening, on_reading, refused];
        VERDICTS.into_iter().zip(counts).filter(|(_, count)| *count > 0).map(|(name, _)| name)
    }

    fn add(&mut self, other: &Self) {
        self.disks += other.disks;
        self.harmless += other.harmless;
        self.torn_tail += other.torn_tail;
        self.at_opening += other.at_opening;
        self.on_reading += other.on_reading;
        self.refused += other.refused;
    }
}

/// The table of damage classes against verdicts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DamageTable {
    /// Histories that were played.
    pub histories: u64,
    /// Damaged disks that were judged, each opened in every way that there is.
    pub disks: u64,
    /// How often a run was opened.
    pub openings: u64,
    /// Disks on which something was lost in silence before the last witness, or something wrong was answered.
    pub broken: u64,
    /// By way and class.
    pub rows: BTreeMap<Way, BTreeMap<String, Row>>,
    /// Why damage did no harm, by what was damaged.
    #[serde(rename = "no_harm_because")]
    pub harmless: BTreeMap<String, u64>,
}

impl DamageTable {
    /// Whether no disk was judged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.disks == 0
    }

    /// What each way of opening was told, in words.
    pub fn verdicts(&self) -> impl Iterator<Item = (Way, String)> {
        self.rows.iter().map(|(way, rows)| {
            let told: Vec<_> = rows.values().flat_map(Row::verdicts).collect();
            (*way, told.join(", "))
        })
    }

    /// Notes a verdict. `place` is what was damaged.
    pub fn note(&mut self, way: Way, class: &str, verdict: Verdict, place: &str) {
        self.openings += 1;
        self.rows.entry(way).or_default().entry(class.to_owned()).or_default().note(verdict);
        if verdict == Verdict::Harmless {
            *self.harmless.entry(format!("{}: {place}", way.name())).or_default() += 1;
        }
    }

    /// Adds another worker's.
    pub fn add(&mut self, other: &Self) {
        self.histories += other.histories;
        self.disks += other.disks;
        self.openings += other.openings;
        self.broken += other.broken;
        for (way, rows) in &other.rows {
            for (class, row) in rows {
                self.rows.entry(*way).or_default().entry(class.clone()).or_default().add(row);
            }
        }
        for (place, count) in &other.harmless {
            *self.harmless.entry(place.clone()).or_default() += count;
        }
    }
}

impl fmt::Display for DamageTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{} damaged disks of {} histories, opened {} times; something wrong or lost in silence on {}.",
            self.disks, self.histories, self.openings, self.broken
        )?;
        for (way, rows) in &self.rows {
            writeln!(formatter, "\n**{}**\n", way.name())?;
            writeln!(formatter, "| damage | disks | {} |", VERDICTS.join(" | "))?;
            writeln!(formatter, "|---|---|---|---|---|---|---|")?;
            for (class, row) in rows {
                let Row { disks, harmless, torn_tail, at_opening, on_reading, refused } = row;
                writeln!(formatter, "| {class} | {disks} | {harmless} | {torn_tail} | {at_opening} | {on_reading} | {refused} |")?;
            }
        }
        writeln!(formatter, "\n| no harm, because what was damaged is | openings |\n|---|---|")?;
        for (place, count) in &self.harmless {
            writeln!(formatter, "| {place} | {count} |")?;
        }
        Ok(())
    }
}
