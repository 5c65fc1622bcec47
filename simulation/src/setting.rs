//! What an engine can do, and how it is set up.

use std::fmt;
use std::str::FromStr;

/// What an engine does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// A batch of one small entry.
    Small,
    /// A batch of three entries over several sectors.
    Medium,
    /// A batch of two entries over more than a page.
    Large,
    /// A batch larger than a segment.
    Jumbo,
    /// An anchor.
    Anchor,
    /// Batches until a new segment is begun.
    Roll,
    /// Seals the run.
    Seal,
    /// Closes the store without a seal.
    Drop,
    /// Closes the store if it is open, and opens the run again; behind a seal, a child run.
    Reopen,
    /// The process is killed: what it wrote stays in the page cache.
    Kill,
    /// The pages leave the cache.
    Evict,
    /// A new process begins as engines do: it sweeps, goes on in a child of the newest run, and appends to it.
    Boot,
    /// A new process finds the newest run sealed and goes on in a child of it, without having opened it or swept; if it is not
    /// sealed, it is opened again.
    Child,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 13] = [
        Self::Small,
        Self::Medium,
        Self::Large,
        Self::Jumbo,
        Self::Anchor,
        Self::Roll,
        Self::Seal,
        Self::Drop,
        Self::Reopen,
        Self::Kill,
        Self::Evict,
        Self::Boot,
        Self::Child,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
            Self::Jumbo => "jumbo",
            Self::Anchor => "anchor",
            Self::Roll => "roll",
            Self::Seal => "seal",
            Self::Drop => "drop",
            Self::Reopen => "reopen",
            Self::Kill => "kill",
            Self::Evict => "evict",
            Self::Boot => "boot",
            Self::Child => "child",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Operation {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|operation| operation.name() == name)
            .ok_or_else(|| format!("{name:?} is no operation: expected one of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// When the background work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Schedule {
    /// Only what an operation itself waits for.
    Never,
    /// All of it, behind every operation.
    AtOnce,
    /// A number of steps behind every operation, in an order that the seed decides.
    Seeded,
}

impl Schedule {
    /// Every schedule.
    pub const ALL: [Self; 3] = [Self::Never, Self::AtOnce, Self::Seeded];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::AtOnce => "at-once",
            Self::Seeded => "seeded",
        }
    }
}

/// When an append is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Once it is synced, for which it waits.
    Synced,
    /// Behind it, by a sync of the background.
    Buffered,
    /// As [`Mode::Buffered`], with the least bound of what may wait for a sync: an append that would pass it syncs.
    Bounded,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Synced, Self::Buffered, Self::Bounded];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Synced => "synced",
            Self::Buffered => "buffered",
            Self::Bounded => "bounded",
        }
    }
}

/// How the engine is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Setting {
    /// When an append is acknowledged.
    pub mode: Mode,
    /// When the background work is done.
    pub schedule: Schedule,
}

impl Setting {
    /// Appends wait, and nothing is done in the background.
    pub const DEFAULT: Self = Self { mode: Mode::Synced, schedule: Schedule::Never };

    /// Every setting. Where all background work is done behind every operation the bound is never reached.
    pub fn all() -> impl Iterator<Item = Self> {
        let settings = Mode::ALL.into_iter().flat_map(|mode| Schedule::ALL.into_iter().map(move |schedule| Self { mode, schedule }));
        settings.filter(|setting| setting.mode != Mode::Bounded || setting.schedule != Schedule::AtOnce)
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.mode.name(), self.schedule.name())
    }
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::all().find(|setting| setting.to_string() == text).ok_or_else(|| {
            let settings: Vec<_> = Self::all().map(|setting| setting.to_string()).collect();
            format!("{text:?} is no setting: expected one of {}", settings.join(", "))
        })
    }
}
