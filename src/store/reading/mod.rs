//! Reading a run: which segment holds an entry, where in it, and the entry with everything checked.
//!
//! [`segment_source`] is one segment as bytes to read from, whether they are a map, a file or the
//! image of the active segment. [`handles`] keeps a bounded number of them open with their indexes.
//! [`segment_set`] is all segments of a run; over it [`visit`] lends entries one by one as
//! [`entry_view`] describes them, [`lookup`] finds keys, [`seek_time`] finds a point in time, and
//! [`anchors`] the snapshot anchors.

pub(crate) mod anchors;
pub(crate) mod entry_view;
pub(crate) mod handles;
pub(crate) mod lookup;
pub(crate) mod seek_time;
pub(crate) mod segment_set;
pub(crate) mod segment_source;
pub(crate) mod visit;
