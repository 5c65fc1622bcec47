//! The searches, the cheapest first.

use crate::explore::explorations::{Exhaustive, Faults, Lives};
use crate::runner::Exploration;

/// A way of looking for a bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// The directed scenarios.
    Directed,
    /// Every history of up to [`OPERATIONS_FEW`] operations.
    Exhaustive,
    /// Some of the faults.
    Faults,
    /// Lives of the first seeds.
    Lives,
    /// Damage to what the histories of the first seeds left.
    Damage,
    /// Every history of up to [`OPERATIONS_MORE`] operations.
    Long,
}

/// Most operations of the histories that are tried early.
const OPERATIONS_FEW: u32 = 2;
/// Most operations of the histories that are tried last.
const OPERATIONS_MORE: u32 = 3;
/// Of so many faults one is tried.
const FAULTS_ONE_OF: usize = 16;
/// How many seeds of lives are tried.
const SEEDS: u64 = 300;
/// How many histories are damaged.
pub(super) const DAMAGE_SEEDS: usize = 60;
/// How often each of them is.
pub(super) const DAMAGES_PER_HISTORY: usize = 25;

impl Search {
    /// Every search, in the order in which they are tried.
    pub const ALL: [Self; 6] = [Self::Directed, Self::Exhaustive, Self::Faults, Self::Lives, Self::Damage, Self::Long];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Directed => "directed",
            Self::Exhaustive => "exhaustive",
            Self::Faults => "faults",
            Self::Lives => "lives",
            Self::Damage => "damage",
            Self::Long => "long",
        }
    }

    /// What it goes over, in words.
    #[must_use]
    pub fn range(self) -> String {
        match self {
            Self::Directed => format!("{} scenarios", crate::directed::ALL.len()),
            Self::Exhaustive => format!("every history of up to {OPERATIONS_FEW} operations"),
            Self::Faults => format!("one of {FAULTS_ONE_OF} faults"),
            Self::Lives => format!("the lives of {SEEDS} seeds"),
            Self::Damage => format!("{DAMAGES_PER_HISTORY} damages to the disk of each of {DAMAGE_SEEDS} seeds"),
            Self::Long => format!("every history of up to {OPERATIONS_MORE} operations"),
        }
    }

    /// The exploration of histories that it is; none for the scenarios and for damage.
    pub(super) fn exploration(self) -> Option<Box<dyn Exploration>> {
        match self {
            Self::Directed | Self::Damage => None,
            Self::Exhaustive => Some(Box::new(Exhaustive::new(OPERATIONS_FEW))),
            Self::Faults => Some(Box::new(Faults { one_of: FAULTS_ONE_OF })),
            Self::Lives => Some(Box::new(Lives { seeds: 0..SEEDS })),
            Self::Long => Some(Box::new(Exhaustive::with_further(OPERATIONS_MORE, 0))),
        }
    }

    /// Into how many parts it can be split, for several workers.
    pub(super) fn parts(self) -> usize {
        match self {
            Self::Directed => crate::directed::ALL.len(),
            Self::Damage => DAMAGE_SEEDS,
            Self::Exhaustive | Self::Faults | Self::Lives | Self::Long => self.exploration().map_or(0, |exploration| exploration.blocks()),
        }
    }
}
