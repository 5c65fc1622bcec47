//! The command, as a user and a script meet it: the built binary, its output and its exit codes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests may fail loudly")]

mod arguments;
mod cat;
mod day;
mod filter;
mod follow;
mod follow_on;
mod follow_stop;
mod get;
mod info;
mod json_document;
mod ls;
mod record;
mod recover;
mod signals;
mod support;
mod verify;
mod view;
