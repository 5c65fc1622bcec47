//! A point of the chain of records: what a walk carries from one frame to the next.

/// A place in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Position {
    /// The segment; 0 before the first.
    pub(crate) ordinal: u32,
    /// The byte in it.
    pub(crate) offset: u64,
}

/// The place at which a frame begins, as opposed to the place where the next one goes.
pub(crate) type FramePosition = Position;

/// What all records up to a commit come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChainState {
    /// The commit; 0 before the first.
    pub(crate) commit_no: u64,
    /// The last record that took a number; 0 before the first.
    pub(crate) seq: u64,
    /// The root after the commit.
    pub(crate) root: [u8; 32],
    /// The largest `ts_init` so far; 0 before the first entry.
    pub(crate) max_ts_init: u64,
    /// The newest snapshot anchor.
    pub(crate) anchor: Option<FramePosition>,
    /// How many snapshots, high-fidelity markers, gaps and dictionary entries there are; zeros in the entry stream.
    pub(crate) marker_counts: [u64; 4],
}

impl ChainState {
    /// The state before the first record of a run whose chain begins with `root_zero`.
    pub(crate) const fn start(root_zero: [u8; 32]) -> Self {
        Self { commit_no: 0, seq: 0, root: root_zero, max_ts_init: 0, anchor: None, marker_counts: [0; 4] }
    }
}

/// An optional place as it is written: an ordinal of 0 stands for none.
pub(crate) fn to_parts(position: Option<FramePosition>) -> (u32, u64) {
    position.map_or((0, 0), |position| (position.ordinal, position.offset))
}

/// An optional place as it is read. `Err` where there is an offset without a segment.
pub(crate) const fn from_parts(ordinal: u32, offset: u64) -> Result<Option<FramePosition>, OffsetWithoutSegment> {
    match (ordinal, offset) {
        (0, 0) => Ok(None),
        (0, _) => Err(OffsetWithoutSegment),
        (ordinal, offset) => Ok(Some(Position { ordinal, offset })),
    }
}

/// An offset stands beside an ordinal of 0, which says that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OffsetWithoutSegment;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_optional_place_survives_its_parts() {
        for position in [None, Some(Position { ordinal: 1, offset: 0 }), Some(Position { ordinal: u32::MAX, offset: u64::MAX })] {
            let (ordinal, offset) = to_parts(position);
            assert_eq!(from_parts(ordinal, offset), Ok(position));
        }
        assert_eq!(from_parts(0, 8), Err(OffsetWithoutSegment));
    }

    #[test]
    fn places_are_ordered_by_segment_first() {
        assert!(Position { ordinal: 1, offset: 900 } < Position { ordinal: 2, offset: 8 });
    }
}
