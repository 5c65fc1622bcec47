//! Signals, as a flag.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::{flag, low_level};

/// What a shell reports of a process that SIGINT ended.
const EXIT_INTERRUPTED: i32 = 130;

/// How long signals count as one: `timeout` sends its signal to the process and to the group that it is in.
const ONE_SIGNAL: Duration = Duration::from_millis(100);

/// A flag that SIGINT and SIGTERM set. One that comes more than 100 milliseconds after the first ends the process at once.
///
/// A file that grows over the limit of its size becomes an error of the write and no signal.
///
/// # Errors
///
/// What the operating system says.
pub fn stop_flag() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let ends_at_once = Arc::new(AtomicBool::new(false));
    let (mut told, tells) = UnixStream::pair()?;
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, EXIT_INTERRUPTED, Arc::clone(&ends_at_once))?;
        flag::register(signal, Arc::clone(&stop))?;
        low_level::pipe::register(signal, tells.try_clone()?)?;
    }
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        if told.read_exact(&mut [0]).is_ok() {
            thread::sleep(ONE_SIGNAL);
            ends_at_once.store(true, Ordering::Relaxed);
        }
    })?;
    flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    Ok(stop)
}
