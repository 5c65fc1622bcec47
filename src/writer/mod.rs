//! The engine's side of the log: one thread writes, any number of threads submit.
//!
//! The way of a message by file names: [`event_store_writer`](EventStoreWriter) takes it and `intake` lays it out
//! in the batch that waits, with its number and its time, under one short lock; the writer thread in `committer`
//! takes the batch, has the store write and sync it, and moves `progress`, for which a [`receipt`](Receipt) waits.
//! What a message is refused for is in [`submit_error`](SubmitError); how all of it ends at the first failure is in
//! `shared` and [`halt`](HaltReason).
//!
//! Nothing here is unbounded: the messages that wait have a bound in number and in bytes, and so have the requests
//! among them.

mod committer;
mod config;
mod event_store_writer;
mod figures;
mod halt;
mod histogram;
mod intake;
mod progress;
mod receipt;
mod reply;
mod request;
mod shared;
#[cfg(all(test, tapelog_shuttle))]
mod shuttle_tests;
mod submit_error;
mod sync;

pub use config::{OnStall, WaitStrategy, WriterConfig};
pub use event_store_writer::EventStoreWriter;
pub use figures::WriterStats;
pub use halt::{HaltCallback, HaltReason, HaltSignal, noop_halt};
pub use histogram::Histogram;
pub use receipt::Receipt;
pub use request::{NextRun, Rotated};
pub use submit_error::{SubmitError, TrySubmitError, WaitError};
