//! Messages to the person at the terminal.

use std::fmt::Display;
use std::io::Write;

/// Tells `message` on the standard error, whose lines all begin with the command's name.
///
/// When nobody can be told, the work goes on all the same.
pub fn tell(message: impl Display) {
    let text = message.to_string();
    let mut stderr = std::io::stderr().lock();
    for line in text.lines() {
        let _ = writeln!(stderr, "tapelog: {}", super::escaped(line));
    }
}
