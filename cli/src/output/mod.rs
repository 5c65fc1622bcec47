//! What the command says: data on the standard output, everything else on the standard error.
//!
//! Neither ever holds a colour or another control sequence, not even one that an entry brought with it.

mod entry;
mod error;
mod payload;
mod progress;
mod stdout;
mod table;
mod text;
mod time;

pub use entry::{write_json as write_entry_json, write_text as write_entry_text};
pub use error::tell;
pub use progress::Progress;
pub use stdout::Output;
pub use table::Table;
pub use text::escaped;
pub use time::rfc3339;
