//! What a commit says.

use std::ops::Range;

use super::bytes::{array, u32_at, u64_at};
use super::{FramePlace, Root, Salt, kind};

/// The length of a commit's body.
pub(super) const COMMIT_LEN: usize = 80;

/// A commit whose frame is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitPlace {
    /// The whole frame.
    pub range: Range<usize>,
    /// The last number so far, by the frame's header.
    pub seq: u64,
    /// The commit's number.
    pub commit_no: u64,
    /// The last number before the batch plus one.
    pub first_seq: u64,
    /// How many records the batch has.
    pub count: u32,
    /// The last commit that was durable when this one was written.
    pub claimed_commit_no: u64,
    /// The last number that was durable then.
    pub claimed_seq: u64,
    /// The root behind the batch.
    pub root: Root,
    /// Whether the tag fits.
    pub tag_ok: bool,
    /// Whether the commit may testify: it is whole, and its claims are possible.
    pub testifies: bool,
}

/// The tag that the commit whose body begins at `body` ought to have.
pub(super) fn tag(bytes: &[u8], salt: Salt, offset: usize) -> Option<[u8; 8]> {
    let mut key = [0; 32];
    key.get_mut(..16)?.copy_from_slice(&salt.0);
    let body = offset.checked_add(super::FRAME_HEADER_LEN)?;
    let mut hasher = blake3::Hasher::new_keyed(&key);
    hasher.update(&u64::try_from(offset).ok()?.to_le_bytes()).update(bytes.get(body..body.checked_add(72)?)?);
    array(hasher.finalize().as_bytes(), 0)
}

impl CommitPlace {
    /// What the commit in this frame says; none if the frame is no whole commit.
    #[must_use]
    pub fn of_frame(bytes: &[u8], salt: Salt, frame: &FramePlace) -> Option<Self> {
        if !frame.is_valid() || frame.kind != kind::COMMIT || frame.body.len() != COMMIT_LEN {
            return None;
        }
        let body = bytes.get(frame.body.clone())?;
        let (commit_no, claimed_commit_no, claimed_seq) = (u64_at(body, 0)?, u64_at(body, 24)?, u64_at(body, 32)?);
        let tag_ok = array(body, 72)? == tag(bytes, salt, frame.offset)?;
        let testifies = tag_ok && u32_at(body, 20)? == 0 && claimed_commit_no < commit_no && claimed_seq <= frame.seq;
        Some(Self {
            range: frame.range(),
            seq: frame.seq,
            commit_no,
            first_seq: u64_at(body, 8)?,
            count: u32_at(body, 16)?,
            claimed_commit_no,
            claimed_seq,
            root: array(body, 40)?,
            tag_ok,
            testifies,
        })
    }
}
