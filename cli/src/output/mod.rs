//! What the command says: data on the standard output, everything else on the standard error.
//!
//! Neither ever holds a colour or another control sequence, not even one that an entry brought with it; raw payloads,
//! which are what they are, are kept from a terminal.

mod entry;
mod error;
mod histogram;
pub mod human;
mod numbers;
mod object;
mod payload;
mod progress;
mod stdout;
mod table;
mod text;
mod time;
mod unblocked;
mod view;

pub use entry::{write_entry, write_one_entry};
pub use error::tell;
pub use histogram::Histogram;
pub use numbers::NumberArguments;
pub use progress::Progress;
pub use stdout::Output;
pub use table::Table;
pub use text::escaped;
pub use time::{TimeArguments, TimeForm};
pub use view::{ENTRY_FIELDS, Format, View, ViewArguments};
