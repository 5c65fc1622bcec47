//! Which slots of a run are damaged, kept as ranges, so that memory grows with the pieces of damage and not with the run.

/// What is wrong with a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    /// There is nothing in it.
    Missing,
    /// There is something in it that is not the entry.
    Corrupted,
}

/// The damaged slots that were noted, by ascending number.
#[derive(Debug, Default)]
pub(super) struct DamageMap {
    ranges: Vec<DamagedRange>,
}

#[derive(Debug, Clone, Copy)]
struct DamagedRange {
    from: u64,
    to: u64,
    damage: Damage,
}

impl DamageMap {
    /// Notes that every slot from `from` to `to`, which lie behind all that was noted before, is damaged.
    pub(super) fn note(&mut self, from: u64, to: u64, damage: Damage) {
        debug_assert!(from <= to && self.ranges.last().is_none_or(|last| last.to < from), "damage is noted in ascending order");
        match self.ranges.last_mut() {
            Some(last) if last.damage == damage && last.to.checked_add(1) == Some(from) => last.to = to,
            _ => self.ranges.push(DamagedRange { from, to, damage }),
        }
    }

    /// What is wrong with the slot `seq`.
    pub(super) fn at(&self, seq: u64) -> Option<Damage> {
        let index = self.ranges.partition_point(|range| range.to < seq);
        self.ranges.get(index).filter(|range| range.from <= seq).map(|range| range.damage)
    }

    /// The last damaged slot.
    pub(super) fn last(&self) -> Option<u64> {
        self.ranges.last().map(|range| range.to)
    }

    /// The contiguous ranges of missing slots, both ends inclusive.
    pub(super) fn missing(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.ranges.iter().filter(|range| range.damage == Damage::Missing).map(|range| (range.from, range.to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_one_kind_are_one_range() {
        let mut map = DamageMap::default();
        map.note(3, 3, Damage::Missing);
        map.note(4, 9, Damage::Missing);
        map.note(11, 11, Damage::Missing);
        assert_eq!(map.missing().collect::<Vec<_>>(), [(3, 9), (11, 11)]);
    }

    #[test]
    fn neighbours_of_two_kinds_are_two_ranges() {
        let mut map = DamageMap::default();
        map.note(3, 3, Damage::Missing);
        map.note(4, 4, Damage::Corrupted);
        map.note(5, 5, Damage::Missing);
        assert_eq!(map.missing().collect::<Vec<_>>(), [(3, 3), (5, 5)]);
    }

    #[test]
    fn a_slot_is_looked_up_among_all_ranges() {
        let mut map = DamageMap::default();
        assert_eq!(map.at(1), None);
        map.note(2, 4, Damage::Corrupted);
        map.note(8, u64::MAX, Damage::Missing);
        let found: Vec<_> = [1, 2, 4, 5, 7, 8, u64::MAX].iter().map(|seq| map.at(*seq)).collect();
        let (corrupted, missing) = (Some(Damage::Corrupted), Some(Damage::Missing));
        assert_eq!(found, [None, corrupted, corrupted, None, None, missing, missing]);
    }
}
