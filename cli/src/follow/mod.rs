//! What `tapelog follow` needs beside the library's followers: [`instance`] chooses the run to go on in, [`lost`]
//! judges one that nothing more will come of, and [`notes`] tells what happens beside the entries.

pub mod instance;
pub mod lost;
pub mod notes;
