//! The snapshot anchors of a run: the newest one by its place, and all of them as history.

use crate::error::{Corruption, EventStoreError};
use crate::format::anchor;
use crate::format::chain::Position;
use crate::format::frame::Kind;
use crate::model::SnapshotAnchor;
use crate::segment::walk::{FrameStep, frame_at};
use crate::store::reading::handles::SEARCH_START;
use crate::store::reading::segment_set::{Bound, Section, SegmentSet};
use crate::store::reading::segment_source::SegmentSource;
use crate::store::run_files::read_open;

impl SegmentSet {
    /// Reads the anchor whose frame stands at `position`.
    ///
    /// # Errors
    /// `Corrupted` where there is no such anchor.
    pub(crate) fn anchor_at(&self, position: Position, bound: Bound) -> Result<SnapshotAnchor, EventStoreError> {
        let full = self.full().into_iter().find(|segment| segment.ordinal == position.ordinal);
        if let Some(segment) = full {
            return read_anchor(&self.handle(&segment)?.source, position.offset);
        }
        let active = self.active().filter(|active| active.ordinal() == position.ordinal);
        match active.and_then(|active| Section::active(active, bound)) {
            Some(section) => read_anchor(section.source(), position.offset),
            None => Err(Corruption::from(format!("no segment {}, in which the newest anchor stands", position.ordinal)).into()),
        }
    }

    /// Every anchor up to the bound, the oldest first. `newest` is where the newest one stands.
    ///
    /// Only segments that hold an anchor are looked through, from header to header.
    ///
    /// # Errors
    /// `Corrupted` where a frame on the way is damaged, and behind it an anchor may stand.
    pub(crate) fn anchors(&self, newest: Option<Position>, bound: Bound) -> Result<Vec<SnapshotAnchor>, EventStoreError> {
        let mut found = Vec::new();
        // From the newest segment back: an OPEN says where the newest anchor before it stands.
        let mut next = newest;
        while let Some(position) = next {
            let full = self.full().into_iter().find(|segment| segment.ordinal == position.ordinal);
            let (source, before);
            if let Some(segment) = full {
                let handle = self.handle(&segment)?;
                before = match segment.base {
                    Some(base) => Some(base),
                    None => read_open(&mut handle.source.point_window(), self.identity(), segment.ordinal)?,
                };
                source = handle.source.clone();
            } else if let Some(section) =
                self.active().filter(|active| active.ordinal() == position.ordinal).and_then(|active| Section::active(active, bound))
            {
                before = self.active().map(|active| *active.base());
                source = section.source().clone();
            } else {
                return Err(Corruption::from(format!("no segment {}, in which an anchor stands", position.ordinal)).into());
            }
            let mut here = anchors_up_to(&source, position.offset)?;
            here.reverse();
            found.append(&mut here);
            let Some(before) = before else {
                let expected = "the opening frame of the segment";
                return Err(Corruption::at(source.path(), SEARCH_START, expected, "something else").into());
            };
            next = before.state.anchor.filter(|before| before.ordinal < position.ordinal);
        }
        found.reverse();
        Ok(found)
    }
}

/// The anchors of a segment, up to the one whose frame stands at `last`.
fn anchors_up_to(source: &SegmentSource, last: u64) -> Result<Vec<SnapshotAnchor>, EventStoreError> {
    let mut anchors = Vec::new();
    let mut window = source.scan_window();
    let mut offset = SEARCH_START;
    while offset <= last {
        offset = match frame_at(&mut window, &source.salt, offset)? {
            FrameStep::Frame(frame) => {
                if frame.header.kind == Kind::ANCHOR {
                    anchors.push(anchor::decode_body(frame.body).map_err(|error| error.into_error(source.path(), offset))?);
                }
                frame.end()
            }
            FrameStep::BadBody(header) if header.kind != Kind::ANCHOR => offset + header.frame_len(),
            FrameStep::BadBody(_) => return Err(no_anchor(source, offset)),
            FrameStep::None(_) => {
                let found = "something else, behind which an anchor may stand";
                return Err(Corruption::at(source.path(), offset, "a frame", found).advise(ADVICE).into());
            }
        };
    }
    Ok(anchors)
}

const ADVICE: &str = "verify the run to see the extent of the damage";

/// Reads the anchor whose frame stands at `offset`.
///
/// # Errors
/// `Corrupted` where there is no such anchor.
fn read_anchor(source: &SegmentSource, offset: u64) -> Result<SnapshotAnchor, EventStoreError> {
    let mut window = source.point_window();
    if let FrameStep::Frame(frame) = frame_at(&mut window, &source.salt, offset)?
        && frame.header.kind == Kind::ANCHOR
    {
        return anchor::decode_body(frame.body).map_err(|error| error.into_error(source.path(), offset));
    }
    Err(no_anchor(source, offset))
}

fn no_anchor(source: &SegmentSource, offset: u64) -> EventStoreError {
    Corruption::at(source.path(), offset, "a snapshot anchor", "something else").advise(ADVICE).into()
}
