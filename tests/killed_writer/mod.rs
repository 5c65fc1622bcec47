//! The machine room pulls the plug on the process: `kill -9` in the middle of whatever it is doing.
//!
//! The operating system lives on, so that everything written is there, and a write that was under way
//! is there in part. A child process records at full speed and says over a pipe what was
//! acknowledged; the parent kills it at a random moment and holds the run against what the child said.
//! What the child records follows from a number, so that the parent knows every byte of it.

mod plan;
mod recorded;
mod recovery_killed;
