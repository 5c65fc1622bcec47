//! Lending the entries of a range one by one, in either direction.
//!
//! Forward, a segment is read frame by frame. Backward, it is read in blocks that begin at a point of the
//! sparse index: the places of a block's entries are noted, and its entries are lent the last one first.

use std::ops::ControlFlow;

use crate::error::EventStoreError;
use crate::format::entry::EntryParts;
use crate::format::frame::{FrameHeader, HEADER_LEN, Kind};
use crate::model::{EventStoreEntry, ScanDirection};
use crate::segment::point_read::{hash_is_right, hop_to_entry, read_entry};
use crate::segment::walk::{FrameStep, frame_at};
use crate::segment::window::Window;
use crate::store::reading::entry_view::{Check, EntryView};
use crate::store::reading::segment_set::{Bound, Section, SegmentSet};
use crate::store::reading::segment_source::{REVERSE_READ_LEN, SegmentSource};

/// How far back, in bytes, the next block of a scan backwards begins.
const REVERSE_BLOCK_LEN: u64 = 32 << 10;

/// A range that lies within the bound, and how it is visited.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    /// The first entry, from 1.
    pub(crate) from: u64,
    /// The last entry, at most the bound's.
    pub(crate) to: u64,
    pub(crate) bound: Bound,
    pub(crate) check: Check,
}

impl SegmentSet {
    /// Lends every entry of the range to `visit`, until that breaks off.
    ///
    /// # Errors
    /// The first entry in the order of the visit that is damaged or cannot be reached. All before it were lent.
    pub(crate) fn visit<V>(&self, range: Range, direction: ScanDirection, visit: V) -> Result<ControlFlow<()>, EventStoreError>
    where
        V: FnMut(EntryView<'_>) -> ControlFlow<()>,
    {
        match direction {
            ScanDirection::Forward => self.visit_forward(range, visit),
            ScanDirection::Reverse => self.visit_reverse(range, visit),
        }
    }

    /// The entries of a range as values, in the order of `direction`.
    ///
    /// # Errors
    /// As [`SegmentSet::visit`].
    pub(crate) fn scan(&self, range: Range, direction: ScanDirection) -> Result<Vec<EventStoreEntry>, EventStoreError> {
        let mut entries = Vec::new();
        let mut failed = None;
        let _ = self.visit(range, direction, |view| match view.to_entry() {
            Ok(entry) => {
                entries.push(entry);
                ControlFlow::Continue(())
            }
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })?;
        failed.map_or(Ok(entries), Err)
    }

    fn visit_forward<V>(&self, range: Range, mut visit: V) -> Result<ControlFlow<()>, EventStoreError>
    where
        V: FnMut(EntryView<'_>) -> ControlFlow<()>,
    {
        let Range { to, bound, .. } = range;
        let mut next = range.from;
        while next <= to {
            let Some(section) = self.section_of(next, bound)? else {
                return Err(self.gap(next, to, bound)?);
            };
            let last = section.last_seq().min(to);
            let source = section.source();
            let mut window = if next == last { source.point_window() } else { source.scan_window() };
            let mut offset = self.find(&section, &mut window, next, to, bound)?;
            loop {
                let (flow, end) = if let Some(lent) = lend(source, &mut window, offset, next, range.check, &mut visit)? {
                    lent
                } else {
                    let found = hop_to_entry(&mut window, &source.salt, offset, source.end, next)?;
                    let offset = found.map_or_else(|| self.salvaged(&section, next, to, bound), Ok)?;
                    lend_or_tell(source, &mut window, offset, next, range.check, &mut visit)?
                };
                if flow.is_break() {
                    return Ok(flow);
                }
                if next == last {
                    break;
                }
                next += 1;
                offset = end;
            }
            let Some(behind) = last.checked_add(1) else { break };
            next = behind;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn visit_reverse<V>(&self, range: Range, mut visit: V) -> Result<ControlFlow<()>, EventStoreError>
    where
        V: FnMut(EntryView<'_>) -> ControlFlow<()>,
    {
        let Range { from, bound, .. } = range;
        // How many entries are still to be lent: the next one is the one with this number behind `from`.
        let mut left = range.to.checked_sub(from).map_or(0, |before| before.saturating_add(1));
        let mut offsets = Vec::new();
        while left > 0 {
            let last = from + left - 1;
            let Some(section) = self.section_of(last, bound)? else {
                return Err(self.gap_up_to(last, range)?);
            };
            let first = section.first_seq().max(from);
            let source = section.source();
            let mut window = source.window(if from == last { REVERSE_READ_LEN / 8 } else { REVERSE_READ_LEN });
            let mut last = last;
            loop {
                let block_first = self.block_start(&section, last)?.clamp(first, last);
                self.note_offsets(&section, &mut window, block_first, last, range, &mut offsets)?;
                for (seq, offset) in (block_first..=last).rev().zip(offsets.iter().rev()) {
                    let offset = match offset {
                        Some(offset) => *offset,
                        None => match self.find(&section, &mut window, seq, range.to, bound) {
                            Err(EventStoreError::Gap { .. }) => return Err(self.gap_up_to(seq, range)?),
                            found => found?,
                        },
                    };
                    let (flow, _) = lend_or_tell(source, &mut window, offset, seq, range.check, &mut visit)?;
                    if flow.is_break() {
                        return Ok(flow);
                    }
                    left -= 1;
                }
                if block_first == first {
                    break;
                }
                last = block_first - 1;
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The entry at which a block begins that ends with `last`.
    fn block_start(&self, section: &Section, last: u64) -> Result<u64, EventStoreError> {
        let Some(points) = section.points(self)? else { return Ok(last) };
        let Some(point) = points.floor(last) else { return Ok(1) };
        Ok(points.floor_offset(point.offset.saturating_sub(REVERSE_BLOCK_LEN)).map_or(1, |point| point.seq))
    }

    /// Where the entries `first..=last` stand; what cannot be reached by hops is left open.
    fn note_offsets(
        &self,
        section: &Section,
        window: &mut Window<'_>,
        first: u64,
        last: u64,
        range: Range,
        offsets: &mut Vec<Option<u64>>,
    ) -> Result<(), EventStoreError> {
        offsets.clear();
        if first < last
            && let Ok(mut offset) = self.find(section, window, first, range.to, range.bound)
        {
            let source = section.source();
            let mut next = first;
            while next <= last && offset < source.end {
                let header = window.get(offset, HEADER_LEN)?.and_then(|bytes| FrameHeader::decode(bytes, &source.salt, offset));
                let Some(header) = header else { break };
                if header.kind == Kind::ENTRY {
                    if header.seq != next {
                        break;
                    }
                    offsets.push(Some(offset));
                    next += 1;
                }
                offset += header.frame_len();
            }
        }
        offsets.resize(usize::try_from(last - first + 1).unwrap_or(usize::MAX), None);
        Ok(())
    }

    /// The gap that ends with `last`: it is told from its first entry on, whichever side it is met from.
    fn gap_up_to(&self, last: u64, range: Range) -> Result<EventStoreError, EventStoreError> {
        let before = self.reached_before(last, range.bound)?;
        self.gap(range.from.max(before + 1), range.to, range.bound)
    }
}

/// Lends the entry `seq`, whose frame stands at `offset` or behind frames of other kinds there; answers how the visit
/// goes on and where the next frame begins. `None` where the entry does not stand there as it should.
fn lend<V>(
    source: &SegmentSource,
    window: &mut Window<'_>,
    mut offset: u64,
    seq: u64,
    check: Check,
    visit: &mut V,
) -> Result<Option<(ControlFlow<()>, u64)>, EventStoreError>
where
    V: FnMut(EntryView<'_>) -> ControlFlow<()>,
{
    while offset < source.end {
        let frame = match frame_at(window, &source.salt, offset)? {
            FrameStep::Frame(frame) => frame,
            FrameStep::BadBody(_) | FrameStep::None(_) => return Ok(None),
        };
        if frame.header.kind != Kind::ENTRY {
            offset = frame.end();
            continue;
        }
        let Some(parts) = EntryParts::decode(frame.body).ok().filter(|_| frame.header.seq == seq) else {
            return Ok(None);
        };
        if check == Check::Full && !hash_is_right(&parts, seq) {
            return Err(EventStoreError::HashMismatch { seq });
        }
        let payload_offset = offset + (HEADER_LEN + parts.payload_offset) as u64;
        let end = frame.end();
        return Ok(Some((visit(view(source, seq, parts, payload_offset, check)), end)));
    }
    Ok(None)
}

/// As [`lend`], for an entry whose header was found at `offset`: what is wrong with it is an error.
fn lend_or_tell<V>(
    source: &SegmentSource,
    window: &mut Window<'_>,
    offset: u64,
    seq: u64,
    check: Check,
    visit: &mut V,
) -> Result<(ControlFlow<()>, u64), EventStoreError>
where
    V: FnMut(EntryView<'_>) -> ControlFlow<()>,
{
    let entry = read_entry(window, &source.salt, offset, seq, check == Check::Full)?;
    let end = entry.frame_end;
    Ok((visit(view(source, seq, entry.parts, entry.payload_offset, check)), end))
}

fn view<'a>(source: &'a SegmentSource, seq: u64, parts: EntryParts<'a>, payload_offset: u64, check: Check) -> EntryView<'a> {
    let shared = source.map().zip(usize::try_from(payload_offset).ok());
    EntryView::new(seq, parts, shared, check == Check::Full)
}
