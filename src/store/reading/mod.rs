//! Reading a run: which segment holds an entry, where in it, and the entry with everything checked.
//!
//! [`segment_source`] is one segment as bytes to read from, whether they are a map, a file or the
//! image of the active segment. [`handles`] keeps a bounded number of them open with their indexes.
//! [`run_reader`] answers the questions of the traits over all of them; [`lookup`] finds keys.

pub(crate) mod handles;
pub(crate) mod lookup;
pub(crate) mod run_reader;
pub(crate) mod segment_source;
