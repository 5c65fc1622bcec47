//! The explorations of histories, as the runner takes them.

use std::ops::Range;

use crate::explore::history::History;
use crate::explore::play::Coverage;
use crate::explore::{exhaustive, faults, lives};
use crate::oracle::Oracle;
use crate::runner::Exploration;
use crate::setting::Setting;

/// Every history of up to so many operations.
#[derive(Debug, Clone)]
pub struct Exhaustive {
    operations: u32,
    /// Those in which another process goes on.
    further: Vec<History>,
}

/// Histories in one block of [`Exhaustive`]; those of one block have their last operation in common.
const HISTORIES_PER_BLOCK: usize = 512;

impl Exhaustive {
    /// The histories of up to so many operations: at most [`exhaustive::OPERATIONS_MAX`].
    #[must_use]
    pub fn new(operations: u32) -> Self {
        Self::with_further(operations, operations)
    }

    /// As [`Exhaustive::new`], and so many operations where another process goes on.
    #[must_use]
    pub fn with_further(operations: u32, further: u32) -> Self {
        Self { operations, further: exhaustive::further(further) }
    }

    fn blocks_of(len: u32) -> usize {
        exhaustive::count(len).div_ceil(HISTORIES_PER_BLOCK)
    }
}

impl Exploration for Exhaustive {
    fn name(&self) -> &'static str {
        "exhaustive"
    }

    fn blocks(&self) -> usize {
        (0..=self.operations).map(Self::blocks_of).sum::<usize>() + self.further.len().div_ceil(HISTORIES_PER_BLOCK)
    }

    fn histories(&self, block: usize) -> Box<dyn Iterator<Item = History> + '_> {
        let mut rest = block;
        for len in 0..=self.operations {
            if rest < Self::blocks_of(len) {
                let from = rest * HISTORIES_PER_BLOCK;
                let to = exhaustive::count(len).min(from + HISTORIES_PER_BLOCK);
                return Box::new((from..to).map(move |number| exhaustive::history(len, number)));
            }
            rest -= Self::blocks_of(len);
        }
        Box::new(self.further.iter().skip(rest * HISTORIES_PER_BLOCK).take(HISTORIES_PER_BLOCK).cloned())
    }

    fn explore(&self, history: &History, oracle: &mut Oracle) -> Result<Coverage, String> {
        exhaustive::explore_last(history, oracle)
    }
}

/// Long histories at random, one for each seed.
#[derive(Debug, Clone)]
pub struct Lives {
    /// The seeds.
    pub seeds: Range<u64>,
}

impl Exploration for Lives {
    fn name(&self) -> &'static str {
        "lives"
    }

    fn blocks(&self) -> usize {
        usize::try_from(self.seeds.end.saturating_sub(self.seeds.start)).unwrap_or(usize::MAX)
    }

    fn histories(&self, block: usize) -> Box<dyn Iterator<Item = History> + '_> {
        Box::new(std::iter::once(lives::history(self.seeds.start + block as u64)))
    }

    fn explore(&self, history: &History, oracle: &mut Oracle) -> Result<Coverage, String> {
        lives::explore(history, oracle)
    }
}

/// A fault at every operation of the disk.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    /// Of so many faults one is tried.
    pub one_of: usize,
}

impl Exploration for Faults {
    fn name(&self) -> &'static str {
        "faults"
    }

    fn blocks(&self) -> usize {
        faults::STEPS.len() * Setting::all().count()
    }

    fn histories(&self, block: usize) -> Box<dyn Iterator<Item = History> + '_> {
        let settings = Setting::all().count();
        let setting = Setting::all().nth(block % settings).unwrap_or(Setting::DEFAULT);
        let steps = faults::STEPS.get(block / settings).copied().unwrap_or_default();
        match faults::whole(steps, setting).and_then(|whole| Ok((faults::with_faults(&whole)?, whole))) {
            Ok((faulty, whole)) => Box::new(std::iter::once(whole).chain(faulty.into_iter().step_by(self.one_of.max(1)))),
            // Played once more, it tells what it breaks.
            Err(_) => Box::new(faults::whole(steps, setting).ok().into_iter()),
        }
    }

    fn explore(&self, history: &History, oracle: &mut Oracle) -> Result<Coverage, String> {
        faults::explore(history, oracle)
    }
}
