//! The second reader and the forger against runs that tapelog recorded.

mod forging;
mod judging;
mod reading;
mod recorded;
