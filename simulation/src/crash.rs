//! The disks that a loss of power can leave at one moment.
//!
//! Each uncertain place has the versions that it had since it was last certain, and a loss of power
//! chooses one in each, independently. Where there are at most [`EXHAUSTIVE_MAX`] choices, all of
//! them are made. Where there are more, a family of them is:
//!
//! - all old, all new;
//! - all new but one place, all old but one place, for every place and every version of it;
//! - all new but two places that are old, for every pair of places (at most [`PAIRS_MAX`] pairs);
//! - new up to a place and old behind it, and the other way round, for every place;
//! - [`RANDOM_CHOICES`] choices at random: half of them uniform, half of them mostly new.

use crate::disk::state::{DiskState, UncertainPlace};

/// Most choices that are all made.
pub const EXHAUSTIVE_MAX: u64 = 1 << 14;
/// Most pairs of places that are tried.
pub const PAIRS_MAX: usize = 400;
/// How many choices are made at random beside the family.
pub const RANDOM_CHOICES: usize = 64;

/// How the disks of one moment are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breadth {
    /// All of them up to a number, and the family beyond.
    Exhaustive(u64),
    /// So many at random, and the two extremes.
    Sample(usize),
}

/// The choices of one moment.
#[derive(Debug)]
pub struct PowerLoss {
    places: Vec<UncertainPlace>,
}

impl PowerLoss {
    /// What is uncertain in `state`.
    #[must_use]
    pub fn of(state: &DiskState) -> Self {
        Self { places: state.uncertain_places() }
    }

    /// How many choices there are; `None` where that is more than a number can hold.
    #[must_use]
    pub fn choices_max(&self) -> Option<u64> {
        self.places.iter().try_fold(1_u64, |product, place| product.checked_mul(place.versions as u64))
    }

    /// Calls `see` with one choice after the other, until it fails. Answers whether all were made.
    ///
    /// # Errors
    /// What `see` answered.
    pub fn for_each<E>(
        &self,
        breadth: Breadth,
        random: &mut fastrand::Rng,
        mut see: impl FnMut(&[usize]) -> Result<(), E>,
    ) -> Result<bool, E> {
        match breadth {
            Breadth::Exhaustive(most) if self.choices_max().is_some_and(|choices| choices <= most) => self.all(see).map(|()| true),
            Breadth::Exhaustive(_) => self.family(random, see).map(|()| false),
            Breadth::Sample(count) => {
                if self.choices_max().is_some_and(|choices| choices <= count as u64 + 2) {
                    return self.all(see).map(|()| true);
                }
                see(&self.newest())?;
                see(&self.oldest())?;
                for index in 0..count {
                    see(&self.at_random(random, index % 2 == 0))?;
                }
                Ok(false)
            }
        }
    }

    fn newest(&self) -> Vec<usize> {
        self.places.iter().map(|place| place.versions - 1).collect()
    }

    fn oldest(&self) -> Vec<usize> {
        vec![0; self.places.len()]
    }

    fn at_random(&self, random: &mut fastrand::Rng, mostly_new: bool) -> Vec<usize> {
        let choose = |place: &UncertainPlace| {
            if mostly_new && random.u8(..8) > 0 { place.versions - 1 } else { random.usize(..place.versions) }
        };
        self.places.iter().map(choose).collect()
    }

    fn all<E>(&self, mut see: impl FnMut(&[usize]) -> Result<(), E>) -> Result<(), E> {
        let mut choice = self.oldest();
        loop {
            see(&choice)?;
            // Counts on in a number whose digits have the places' versions as their bases.
            let mut carried = true;
            for (digit, place) in choice.iter_mut().zip(&self.places) {
                *digit += 1;
                carried = *digit == place.versions;
                if !carried {
                    break;
                }
                *digit = 0;
            }
            if carried {
                return Ok(());
            }
        }
    }

    fn family<E>(&self, random: &mut fastrand::Rng, mut see: impl FnMut(&[usize]) -> Result<(), E>) -> Result<(), E> {
        let (newest, oldest) = (self.newest(), self.oldest());
        see(&newest)?;
        see(&oldest)?;
        let with = |base: &[usize], at: usize, version: usize| {
            let mut choice = base.to_vec();
            choice.iter_mut().skip(at).take(1).for_each(|digit| *digit = version);
            choice
        };
        for (at, place) in self.places.iter().enumerate() {
            for version in 0..place.versions - 1 {
                see(&with(&newest, at, version))?;
                see(&with(&oldest, at, version + 1))?;
            }
        }
        let mut pairs = 0;
        'pairs: for first in 0..self.places.len() {
            for second in first + 1..self.places.len() {
                see(&with(&with(&newest, first, 0), second, 0))?;
                pairs += 1;
                if pairs == PAIRS_MAX {
                    break 'pairs;
                }
            }
        }
        for at in 1..self.places.len() {
            let (new_head, old_head) = (newest.iter().take(at), oldest.iter().take(at));
            see(&new_head.chain(oldest.iter().skip(at)).copied().collect::<Vec<_>>())?;
            see(&old_head.chain(newest.iter().skip(at)).copied().collect::<Vec<_>>())?;
        }
        for index in 0..RANDOM_CHOICES {
            see(&self.at_random(random, index % 2 == 0))?;
        }
        Ok(())
    }
}
