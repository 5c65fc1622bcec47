//! Puts checksums, tags and roots right again.

use std::collections::BTreeMap;

use super::super::bytes::{array, put, u32_at, u64_at};
use super::super::commit::{COMMIT_LEN, tag};
use super::super::frame::header_crc;
use super::super::root::RootHasher;
use super::super::watermark::{SLOT_COVERED, SLOT_LEN};
use super::super::{FRAME_HEADER_LEN, HEADER_PAGE_LEN, Identity, OpenPlace, Root, Salt, frame_at, kind};

/// Restamps the checksum of the header at `offset`.
pub fn repair_header(bytes: &mut [u8], salt: Salt, offset: usize) -> Option<()> {
    let crc = header_crc(bytes, salt, offset)?;
    put(bytes, offset, &crc.to_le_bytes())
}

/// Restamps both checksums of the frame at `offset`. Its body is as long as its header says.
pub fn repair_frame(bytes: &mut [u8], salt: Salt, offset: usize) -> Option<()> {
    let body_len = usize::try_from(u32_at(bytes, offset.checked_add(8)?)?).ok()?;
    let start = offset.checked_add(FRAME_HEADER_LEN)?;
    let crc = crc32fast::hash(bytes.get(start..start.checked_add(body_len)?)?);
    put(bytes, offset + 4, &crc.to_le_bytes())?;
    repair_header(bytes, salt, offset)
}

/// Restamps the tag of the commit whose frame begins at `offset`, and both checksums of the frame.
pub fn repair_commit(bytes: &mut [u8], salt: Salt, offset: usize) -> Option<()> {
    let tag = tag(bytes, salt, offset)?;
    put(bytes, offset + FRAME_HEADER_LEN + 72, &tag)?;
    repair_frame(bytes, salt, offset)
}

/// Computes the root of every batch from `start` to the end of the segment anew and puts it into its commit, with tag
/// and checksums. `start` is where a batch begins and `root` the root before it; the answer is the last root.
///
/// Commit numbers and counts go into the roots as the commits state them, right or wrong. What follows a batch that
/// is not ended is left as it is.
pub fn repair_roots(bytes: &mut [u8], salt: Salt, start: usize, mut root: Root) -> Option<Root> {
    let mut hasher = RootHasher::behind(&root);
    let mut at = start;
    while let Some(frame) = frame_at(bytes, salt, at).filter(|frame| frame.header_ok) {
        at = frame.end;
        if frame.kind != kind::COMMIT {
            hasher.record(bytes, &frame)?;
            continue;
        }
        if frame.body.len() != COMMIT_LEN {
            return None;
        }
        let (commit_no, count) = (u64_at(bytes, frame.body.start)?, u32_at(bytes, frame.body.start + 16)?);
        root = hasher.finish(commit_no, count);
        put(bytes, frame.body.start + 40, &root)?;
        repair_commit(bytes, salt, frame.offset)?;
        hasher = RootHasher::behind(&root);
    }
    Some(root)
}

/// Computes every root anew from the batch on that begins at `start` in segment `ordinal`, through all segments behind
/// it: the root in each OPEN as well. The answer is the last root.
///
/// What comes out is a run that nothing inside its segments tells from a true one. A root that was noted elsewhere, a
/// slot of WATERMARK, an index or a seal does. `files` are the segments in use, by ordinal.
pub fn repair_run(files: &mut BTreeMap<u32, Vec<u8>>, uid: [u8; 16], ordinal: u32, start: usize, mut root: Root) -> Option<Root> {
    for (found, bytes) in files.range_mut(ordinal..) {
        let salt = Identity { uid, stream: super::super::STREAM_ENTRIES, ordinal: *found }.salt();
        let mut from = start;
        if *found != ordinal {
            let Some(open) = frame_at(bytes, salt, HEADER_PAGE_LEN).and_then(|frame| OpenPlace::of_frame(bytes, &frame)) else {
                break;
            };
            put(bytes, open.range.start + FRAME_HEADER_LEN + 56, &root)?;
            repair_frame(bytes, salt, open.range.start)?;
            from = open.range.end;
        }
        root = repair_roots(bytes, salt, from, root)?;
    }
    Some(root)
}

/// Restamps the checksum of slot 0 or 1 of WATERMARK, after `root` was put there if one is given.
pub fn repair_slot(bytes: &mut [u8], slot: usize, root: Option<&Root>) -> Option<()> {
    let start = slot.checked_mul(SLOT_LEN)?;
    let _whole: [u8; SLOT_LEN] = array(bytes, start)?;
    if let Some(root) = root {
        put(bytes, start + 80, root)?;
    }
    let crc = crc32fast::hash(bytes.get(start..start + SLOT_COVERED)?);
    put(bytes, start + SLOT_COVERED, &crc.to_le_bytes())
}
