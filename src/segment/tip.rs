//! A point in the log: the state of the chain after a commit, and where the next frame goes.

use crate::format::chain::{ChainState, Position};
use crate::limits::BLOCK_LEN;

/// The offset of the first frame of every segment: behind the header page.
pub(crate) const FIRST_FRAME: u64 = BLOCK_LEN;

/// The state of the chain after a commit, and the place right behind that commit.
///
/// Before the first commit of a run the position is ordinal 0, offset 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tip {
    pub(crate) state: ChainState,
    pub(crate) position: Position,
}

impl Tip {
    /// The tip of a run in which nothing was committed yet.
    pub(crate) fn start(root_zero: [u8; 32]) -> Self {
        Self { state: ChainState::start(root_zero), position: Position { ordinal: 0, offset: 0 } }
    }
}
