//! One file of frames: how it is prepared, written, walked, indexed and read.
//!
//! The way of a batch through this room: [`batch`] lays the frames out in a buffer and stamps them,
//! [`active`] takes them into the image of the segment and writes whole blocks to the file,
//! [`sync_path`] makes them durable. [`spare`] prepares the files ahead of time. [`walk`] is the one
//! frame walker: recovery, verification, index building and tools all read segments through it.
//! [`point_read`] finds single entries, [`index_build`] makes the two index files of a full segment,
//! [`look_ahead`] finds frames behind a break, and [`salvage`] what is intact there.
//!
//! The room knows nothing of runs: it is told the salt, the offsets and the state of the chain.

pub(crate) mod active;
pub(crate) mod active_keys;
pub(crate) mod batch;
pub(crate) mod index_build;
pub(crate) mod look_ahead;
pub(crate) mod point_read;
pub(crate) mod salvage;
pub(crate) mod spare;
pub(crate) mod sync_path;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod tip;
pub(crate) mod walk;
pub(crate) mod window;
