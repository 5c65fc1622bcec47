//! A run that nothing more will come of as it is.

use std::path::Path;

use crate::exit::{Failure, Verdict};
use crate::open::{open_reader, tell_state};
use crate::output::tell;

/// If the manifest of the run in `folder`, which nobody writes, is missing, tells what `cat` tells of it, and what that makes
/// of the end.
pub fn verdict_of(folder: &Path) -> Option<Verdict> {
    if folder.join("MANIFEST").try_exists().unwrap_or(true) {
        return None;
    }
    Some(match open_reader(folder, false) {
        Ok(reader) => tell_state(reader.recovery()),
        Err(error) => {
            let Failure { message, verdict } = Failure::at(folder, &error);
            tell(message);
            verdict
        }
    })
}
