//! A simulated disk under tapelog, and the exploration of every crash that can happen on it.
//!
//! From the ground up: [`disk`] loses power, fails and rots; [`crash`] chooses what a loss of power
//! leaves; [`log`] is what was given to a run; [`setting`] is what an engine can do; [`engine`] gives it, and knows what must be there;
//! [`audience`] reads beside it and lives on, and [`asking`] compares what is answered with what was given;
//! [`oracle`] judges a disk; [`explore`] goes through histories; [`runner`] does so on several threads
//! and makes what fails small; [`summary`] tells it. [`second_reader`] reads the format without the
//! library's code, for what the library cannot be asked about itself.
//!
//! How later parts join:
//!
//! - *The sidecar.* Its files lie on the same disk already. Its records are given beside those of
//!   [`log::RunLog`], with a floor of nothing, because it may lose what it likes; the oracle asks that
//!   what is read was given, in order, and that the entries are what they were without it.
//! - *Direct I/O.* See [`disk`]: a write that is durable when it returns.
//! - *Salvage.* [`explore::damage`] asks a damaged run for everything; a salvaged copy is one more way of
//!   asking, and may answer nothing that was not given.

#![deny(missing_docs)]

pub mod asking;
pub mod audience;
#[cfg(tapelog_seeded_bugs)]
pub mod bugs;
pub mod crash;
pub mod directed;
pub mod disk;
pub mod engine;
pub mod explore;
pub mod fuzzing;
pub mod log;
pub mod oracle;
pub mod order;
pub mod progress;
pub mod replay;
pub mod runner;
pub mod second_reader;
pub mod setting;
pub mod summary;
