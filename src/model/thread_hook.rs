//! What an embedder wants done on each thread that the log starts.

use std::fmt;
use std::sync::Arc;

/// Called first on each thread that the log starts, with the thread's name: to pin it, to rename it, to set its
/// priority, to register it with a profiler.
///
/// The threads are `tapelog-writer`, of a store `tapelog-prepare` and `tapelog-witness`, which each run has anew, and of a session
/// `tapelog-keeper`. A hook that panics stops the writer or the store; on the keeper it is caught.
#[derive(Clone, Default)]
pub struct ThreadHook(Option<Arc<Body>>);

type Body = dyn Fn(&str) + Send + Sync;

impl ThreadHook {
    /// A hook that calls `body`.
    pub fn new(body: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(body)))
    }

    /// Calls it on the thread `name`.
    pub(crate) fn run(&self, name: &str) {
        if let Some(body) = &self.0 {
            body(name);
        }
    }
}

impl fmt::Debug for ThreadHook {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "ThreadHook(..)" } else { "ThreadHook(none)" })
    }
}
