//! From lines to a sealed run: one thread reads and parses, the other makes durable.

mod latency;
mod reader;
mod recorder;
mod session;
mod summary;

pub use session::{Session, Settings};
pub use summary::End;
