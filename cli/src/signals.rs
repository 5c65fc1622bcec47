//! Signals, as a flag.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;

/// What a shell reports of a process that SIGINT ended.
const EXIT_INTERRUPTED: i32 = 130;

/// A flag that SIGINT and SIGTERM set. The second of them ends the process at once.
///
/// A file that grows over the limit of its size becomes an error of the write and no signal.
///
/// # Errors
///
/// What the operating system says.
pub fn stop_flag() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The order matters: the first signal finds the flag unset here, and sets it there.
        flag::register_conditional_shutdown(signal, EXIT_INTERRUPTED, Arc::clone(&stop))?;
        flag::register(signal, Arc::clone(&stop))?;
    }
    flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    Ok(stop)
}
