//! What a run that was left running holds: judged, repaired where only a torn tail is to be
//! discarded, and reported.
//!
//! [`judge`] reads and decides and changes nothing. [`repair`] makes true on disk what was judged,
//! and can crash anywhere and be run again. [`outcome`] is what both say to the caller.

pub(crate) mod judge;
pub(crate) mod outcome;
pub(crate) mod repair;
pub(crate) mod watermark_file;
