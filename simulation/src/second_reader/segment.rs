//! One segment, read from its bytes.

use super::batch::{self, Point};
use super::bytes::is_zero;
use super::{BatchPlace, CommitPlace, FramePlace, HEADER_PAGE_LEN, Identity, OpenPlace, Root, Salt, frame_at, kind, search_frames};

/// What stands where in a segment.
///
/// A segment is read by itself: the walk begins with what its OPEN says. Whether OPEN says the truth only the
/// segments before can tell, which is what [`Run`](super::Run) does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Which segment it is.
    pub identity: Identity,
    /// Its salt.
    pub salt: Salt,
    /// The length of the file.
    pub len: usize,
    /// What each copy of the header page says, where it is whole.
    pub copies: [Option<Identity>; 2],
    /// The first frame, if it is a whole OPEN.
    pub open: Option<OpenPlace>,
    /// The second frame of segment 1, if it is a whole GENESIS.
    pub genesis: Option<FramePlace>,
    /// Whether anything but zeros stands behind the header page.
    pub written: bool,
    /// The batches that are accepted.
    pub batches: Vec<BatchPlace>,
    /// Where the last of them ends; behind the header page if there is none.
    pub end: usize,
    /// The frames with a valid header that are found behind that.
    pub behind: Vec<FramePlace>,
    /// The commits among them that may testify.
    pub testimony_behind: Vec<CommitPlace>,
}

impl Segment {
    /// Reads a segment that is known to be `known`, or that says itself what it is.
    ///
    /// None if nothing says it.
    #[must_use]
    pub fn read(bytes: &[u8], known: Option<Identity>) -> Option<Self> {
        let identity = known.or_else(|| Identity::of_page(bytes))?;
        let salt = identity.salt();
        let open = frame_at(bytes, salt, HEADER_PAGE_LEN).and_then(|frame| OpenPlace::of_frame(bytes, &frame));
        let genesis = open
            .as_ref()
            .filter(|_| identity.ordinal == 1)
            .and_then(|open| frame_at(bytes, salt, open.range.end))
            .filter(|frame| frame.is_valid() && frame.kind == kind::GENESIS && frame.seq == 0);
        let batches = match (&open, &genesis) {
            (Some(open), Some(genesis)) => batch::walk(bytes, identity, genesis.end, base_of(open)),
            (Some(open), None) if identity.ordinal != 1 => batch::walk(bytes, identity, open.range.end, base_of(open)),
            _ => Vec::new(),
        };
        let end = batches.last().map_or(HEADER_PAGE_LEN, |batch| batch.end);
        let behind = search_frames(bytes, salt, end);
        let testimony_behind =
            behind.iter().filter_map(|frame| CommitPlace::of_frame(bytes, salt, frame)).filter(|commit| commit.testifies).collect();
        let written = !batches.is_empty() || bytes.get(HEADER_PAGE_LEN..).is_some_and(|rest| !is_zero(rest));
        let copies = [Identity::of_copy(bytes, 0), Identity::of_copy(bytes, 1)];
        Some(Self { identity, salt, len: bytes.len(), copies, open, genesis, written, batches, end, behind, testimony_behind })
    }

    /// The number of its last commit; none if it has no batch.
    #[must_use]
    pub fn last_commit(&self) -> Option<u64> {
        self.batches.last().map(|batch| batch.commit_no)
    }

    /// The root at its end; none if it has no batch.
    #[must_use]
    pub fn root(&self) -> Option<Root> {
        self.batches.last().map(|batch| batch.root)
    }

    /// Whether nothing was ever written to it.
    #[must_use]
    pub const fn is_spare(&self) -> bool {
        !self.written
    }

    /// The batch in which the byte at `offset` lies.
    #[must_use]
    pub fn batch_at(&self, offset: usize) -> Option<&BatchPlace> {
        let at = self.batches.partition_point(|batch| batch.end <= offset);
        self.batches.get(at).filter(|batch| batch.start <= offset)
    }
}

const fn base_of(open: &OpenPlace) -> Point {
    Point { commit_no: open.base_commit_no, seq: open.base_seq, root: open.root }
}
