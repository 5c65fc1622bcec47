//! What `tapelog follow` needs beside the library's followers: [`instance`] chooses the run to go on in, and [`notes`]
//! tells what happens beside the entries.

pub mod instance;
pub mod notes;
