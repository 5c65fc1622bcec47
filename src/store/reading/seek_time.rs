//! Finding the first entry that came into being at a point in time or later.
//!
//! Times need not ascend, so what is searched is the largest `ts_init` so far, which does: the first entry
//! at which it reaches a time is the first entry with that time or a later one.

use std::ops::ControlFlow;

use crate::error::EventStoreError;
use crate::model::ScanDirection;
use crate::store::reading::entry_view::Check;
use crate::store::reading::segment_set::{Bound, SegmentSet};
use crate::store::reading::visit::Range;
use crate::store::run_files::read_open;

impl SegmentSet {
    /// The first entry up to the bound whose `ts_init` is `ts_init` or later.
    ///
    /// # Errors
    /// An entry on the way that is damaged or cannot be reached: it may have been the one.
    pub(crate) fn first_at_or_after(&self, ts_init: u64, bound: Bound) -> Result<Option<u64>, EventStoreError> {
        if bound.seq == 0 {
            return Ok(None);
        }
        let from = self.seek_start(ts_init, bound)?;
        let mut found = None;
        let range = Range { from, to: bound.seq, bound, check: Check::Crc };
        let _ = self.visit(range, ScanDirection::Forward, |view| {
            if view.ts_init().as_u64() < ts_init {
                return ControlFlow::Continue(());
            }
            found = Some(view.seq());
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// An entry before which no entry is as late as `ts_init`.
    fn seek_start(&self, ts_init: u64, bound: Bound) -> Result<u64, EventStoreError> {
        let full = self.full();
        // A segment's OPEN says how late the entries before it are: the search is for the last one whose OPEN says less.
        let (mut low, mut high) = (0, full.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let Some(segment) = full.get(middle) else { break };
            let before = match segment.base {
                Some(base) => Some(base),
                None if segment.chained => {
                    let handle = self.handle(segment)?;
                    read_open(&mut handle.source.point_window(), self.identity(), segment.ordinal)?
                }
                None => None,
            };
            // Where damage hides it, everything is searched.
            let Some(before) = before else { return Ok(1) };
            if before.state.max_ts_init < ts_init {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let active = self.active().filter(|active| low == full.len() && active.base().state.max_ts_init < ts_init);
        let first = match &active {
            Some(active) => active.base().state.seq + 1,
            None => low.checked_sub(1).and_then(|index| full.get(index)).map_or(1, |segment| segment.first_seq),
        };
        if first > bound.seq {
            return Ok(bound.seq);
        }
        let Some(section) = self.section_of(first, bound)? else { return Ok(1) };
        let point = section.points(self)?.and_then(|points| points.floor_time(ts_init));
        Ok(point.map_or(first, |point| point.seq).clamp(1, bound.seq))
    }
}
