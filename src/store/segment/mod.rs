//! The segmented store: one folder a run, behind the trait [`EventStore`].
//!
//! [`backend`] is the store and what it can open, [`as_event_store`] the trait over it. [`create`]
//! makes a run's files, [`live`] appends to it, [`live_seal`] ends it; [`closed`] is every
//! run that this store does not write; [`run_view`] is a run as a reader sees it, [`seal`] holds the steps of a seal, [`listing`] finds runs. [`background`] is the work
//! that appends leave behind, [`latch`] the end of all writing after a failure.

mod as_event_store;
pub(crate) mod backend;
pub(crate) mod background;
pub(crate) mod closed;
pub(crate) mod create;
pub(crate) mod index_files;
pub(crate) mod latch;
pub(crate) mod listing;
pub(crate) mod live;
mod live_seal;
pub(crate) mod options;
pub(crate) mod run_view;
pub(crate) mod seal;
