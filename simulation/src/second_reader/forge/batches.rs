//! Forgeries of commits and of OPEN.

use std::ops::Range;

use super::super::bytes::put;
use super::super::root::RootHasher;
use super::super::{BatchPlace, FRAME_HEADER_LEN, HEADER_PAGE_LEN, OpenPlace, Salt, frame_at};
use super::repair::{repair_commit, repair_frame};

/// States another count in a batch's commit, and repairs root, tag and checksums of that commit.
///
/// Everything fits but the number of records that are there. A walk must not accept the batch. The commit may testify:
/// its claims are those that were written.
pub fn change_count(bytes: &mut [u8], salt: Salt, batch: &BatchPlace, count: u32) -> Option<Range<usize>> {
    if count == batch.count {
        return None;
    }
    restate(bytes, salt, batch, batch.commit_no, count)
}

/// States another number in a batch's commit, and repairs root, tag and checksums of that commit.
///
/// Everything fits but the number that is due. A walk must not accept the batch. The commit may testify as long as the
/// number is above its claim.
pub fn change_commit_no(bytes: &mut [u8], salt: Salt, batch: &BatchPlace, commit_no: u64) -> Option<Range<usize>> {
    if commit_no == batch.commit_no {
        return None;
    }
    restate(bytes, salt, batch, commit_no, batch.count)
}

fn restate(bytes: &mut [u8], salt: Salt, batch: &BatchPlace, commit_no: u64, count: u32) -> Option<Range<usize>> {
    let mut hasher = RootHasher::behind(&batch.root_before);
    for record in &batch.records {
        hasher.record(bytes, &frame_at(bytes, salt, record.range.start)?)?;
    }
    let body = batch.commit.start + FRAME_HEADER_LEN;
    put(bytes, body, &commit_no.to_le_bytes())?;
    put(bytes, body + 16, &count.to_le_bytes())?;
    put(bytes, body + 40, &hasher.finish(commit_no, count))?;
    repair_commit(bytes, salt, batch.commit.start)?;
    Some(batch.commit.clone())
}

/// What is repaired behind a changed claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repaired {
    /// Nothing: the checksum of the body must tell.
    Nothing,
    /// The checksums of the frame and not the tag: the tag must tell.
    Checksums,
    /// The tag as well: only the claim itself can tell.
    All,
}

/// States another claim in a batch's commit.
///
/// With less than everything repaired, the commit must not testify, and a walk must not accept the batch. With
/// everything repaired, the same holds for a claim at or above the commit's own number, or a `seq` above its frame's. A
/// claim below that with everything repaired is a lie that nothing inside the folder can tell: the batch is accepted,
/// and the run counts as damaged if what is claimed is not there.
pub fn raise_claim(bytes: &mut [u8], salt: Salt, batch: &BatchPlace, claimed: (u64, u64), repaired: Repaired) -> Option<Range<usize>> {
    if claimed == (batch.claimed_commit_no, batch.claimed_seq) {
        return None;
    }
    let body = batch.commit.start + FRAME_HEADER_LEN;
    put(bytes, body + 24, &claimed.0.to_le_bytes())?;
    put(bytes, body + 32, &claimed.1.to_le_bytes())?;
    match repaired {
        Repaired::Nothing => {}
        Repaired::Checksums => repair_frame(bytes, salt, batch.commit.start)?,
        Repaired::All => repair_commit(bytes, salt, batch.commit.start)?,
    }
    Some(batch.commit.clone())
}

/// States another root before the segment in its OPEN, and repairs both checksums.
///
/// A walk that comes from the segment before, or begins with segment 1, must not enter the segment. One that begins
/// with this OPEN must not accept the first batch, whose root hangs on the one before.
pub fn change_base_root(bytes: &mut [u8], salt: Salt) -> Option<Range<usize>> {
    let open = OpenPlace::of_frame(bytes, &frame_at(bytes, salt, HEADER_PAGE_LEN)?)?;
    let byte = bytes.get_mut(open.range.start + FRAME_HEADER_LEN + 56)?;
    *byte ^= 1;
    repair_frame(bytes, salt, open.range.start)?;
    Some(open.range)
}
