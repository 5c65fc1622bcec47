//! From lines to a sealed run: one thread reads and parses, the other makes durable.

mod latency;
mod reader;
mod recorder;
mod summary;

pub use reader::{Batch, Message, Options, Reader};
pub use recorder::{Recorder, manifest};
pub use summary::{End, Summary};
