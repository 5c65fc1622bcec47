//! What the measurements share: the entries, the folder on the disk, the systems, and statistics.
//!
//! Failures end the program with what went wrong: a measurement that is half right is worth nothing.

pub mod arguments;
pub mod entries;
pub mod scratch;
pub mod statistics;
pub mod systems;
pub mod text;

/// Whatever went wrong.
pub type Failure = Box<dyn std::error::Error>;
