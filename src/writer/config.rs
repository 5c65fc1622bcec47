//! The options of a writer. Each states its unit, default and bounds; values out of bounds are refused and never
//! changed.

use std::time::Duration;

use crate::error::EventStoreError;
use crate::limits;
use crate::model::ThreadHook;

/// What happens to a message that has waited longer than [`WriterConfig::halt_threshold`] for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnStall {
    /// The writer halts: an engine whose log does not get on must not trade on.
    #[default]
    Halt,
    /// The message waits on, however long it takes.
    Block,
    /// The message is refused, and the writer goes on.
    Reject,
}

/// How the writer thread waits for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum WaitStrategy {
    /// It sleeps. Whoever submits to a sleeping writer wakes it, which costs the submitting thread a system call.
    #[default]
    Park,
    /// It looks again and again, and never sleeps for want of a message: it takes a core of its own, and is never woken.
    Spin,
    /// It looks again and again for a while, and then sleeps.
    SpinThenPark {
        /// How long it looks: up to a second.
        spin: Duration,
    },
}

/// The options of an [`EventStoreWriter`](super::EventStoreWriter).
///
/// ```
/// use std::time::Duration;
/// use tapelog::{OnStall, WriterConfig};
///
/// let config = WriterConfig { halt_threshold: Duration::from_secs(1), on_stall: OnStall::Reject, ..WriterConfig::default() };
/// config.validate()?;
/// # Ok::<(), tapelog::EventStoreError>(())
/// ```
#[derive(Debug, Clone)]
pub struct WriterConfig {
    /// How many messages may wait to be written: 1 to 16,777,216, by default 65,536.
    pub channel_capacity: usize,
    /// How many bytes they may take, as they will lie on disk: 64 KiB to 4 GiB, by default 32 MiB. A message that is
    /// larger by itself is taken when no other waits.
    pub channel_len_max: u64,
    /// How many entries go into one batch at most: 1 to 1,048,576, by default 4,096.
    pub max_batch_entries: usize,
    /// How many bytes they may take: 4 KiB to 16 MiB, by default 512 KiB: with 256 KiB a tenth to a fifth less goes through
    /// while messages come as fast as they can, with 1 MiB as much, and each waits twice as long. An entry that is larger by itself is a batch
    /// of its own. A store may ask for smaller batches: a segment holds at least two.
    pub max_batch_len: u64,
    /// How long a batch that is not full waits for more: up to a minute, by default not at all. Batches grow by
    /// themselves while the disk is busy; waiting makes them larger, and every entry later.
    pub max_batch_latency: Duration,
    /// How long a message may wait for room: 1 millisecond to a day, by default 250 milliseconds.
    pub halt_threshold: Duration,
    /// What happens to a message that has waited longer; by default the writer halts.
    pub on_stall: OnStall,
    /// How the writer thread waits; by default it sleeps.
    pub wait_strategy: WaitStrategy,
    /// What is called first on the writer thread, with the thread's name; by default nothing.
    pub thread_hook: ThreadHook,
}

impl Default for WriterConfig {
    fn default() -> Self {
        Self {
            channel_capacity: limits::CHANNEL_CAPACITY_DEFAULT,
            channel_len_max: limits::CHANNEL_LEN_DEFAULT,
            max_batch_entries: limits::WRITER_BATCH_ENTRIES_DEFAULT,
            max_batch_len: limits::WRITER_BATCH_LEN_DEFAULT,
            max_batch_latency: Duration::ZERO,
            halt_threshold: limits::HALT_THRESHOLD_DEFAULT,
            on_stall: OnStall::default(),
            wait_strategy: WaitStrategy::default(),
            thread_hook: ThreadHook::default(),
        }
    }
}

impl WriterConfig {
    /// Checks every option against its bounds.
    ///
    /// # Errors
    /// `LimitExceeded` or `Backend`, naming the option, its value and its bound.
    pub fn validate(&self) -> Result<(), EventStoreError> {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let counts = [
            ("the messages that may wait", self.channel_capacity as u64, 1, limits::CHANNEL_CAPACITY_MAX as u64),
            ("the bytes of messages that may wait", self.channel_len_max, limits::CHANNEL_LEN_MIN, limits::CHANNEL_LEN_MAX),
            ("the entries of a batch", self.max_batch_entries as u64, 1, limits::WRITER_BATCH_ENTRIES_MAX as u64),
            ("the bytes of a batch", self.max_batch_len, limits::WRITER_BATCH_LEN_MIN, limits::WRITER_BATCH_LEN_MAX),
            ("the time that a batch waits in nanoseconds", nanos(self.max_batch_latency), 0, nanos(limits::BATCH_LATENCY_MAX)),
            (
                "the time that a message may wait in nanoseconds",
                nanos(self.halt_threshold),
                nanos(limits::HALT_THRESHOLD_MIN),
                nanos(limits::HALT_THRESHOLD_MAX),
            ),
        ];
        let spin = match self.wait_strategy {
            WaitStrategy::SpinThenPark { spin } => nanos(spin),
            WaitStrategy::Park | WaitStrategy::Spin => 0,
        };
        let spin = ("the time that a writer looks before it sleeps in nanoseconds", spin, 0, nanos(limits::SPIN_MAX));
        counts.into_iter().chain([spin]).try_for_each(|(what, found, least, most)| {
            if found > most {
                return Err(EventStoreError::LimitExceeded { what, maximum: most, found });
            }
            if found < least {
                return Err(EventStoreError::Backend(format!("{what} is {found}, and must be at least {least}")));
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_within_their_bounds() {
        WriterConfig::default().validate().unwrap();
    }

    #[test]
    fn every_option_out_of_its_bounds_is_refused() {
        let sound = WriterConfig::default;
        let spin = |spin| WaitStrategy::SpinThenPark { spin };
        for refused in [
            WriterConfig { channel_capacity: 0, ..sound() },
            WriterConfig { channel_capacity: limits::CHANNEL_CAPACITY_MAX + 1, ..sound() },
            WriterConfig { channel_len_max: limits::CHANNEL_LEN_MIN - 1, ..sound() },
            WriterConfig { channel_len_max: limits::CHANNEL_LEN_MAX + 1, ..sound() },
            WriterConfig { max_batch_entries: 0, ..sound() },
            WriterConfig { max_batch_entries: limits::WRITER_BATCH_ENTRIES_MAX + 1, ..sound() },
            WriterConfig { max_batch_len: limits::WRITER_BATCH_LEN_MIN - 1, ..sound() },
            WriterConfig { max_batch_len: limits::WRITER_BATCH_LEN_MAX + 1, ..sound() },
            WriterConfig { max_batch_latency: limits::BATCH_LATENCY_MAX + Duration::from_nanos(1), ..sound() },
            WriterConfig { halt_threshold: limits::HALT_THRESHOLD_MIN.saturating_sub(Duration::from_nanos(1)), ..sound() },
            WriterConfig { halt_threshold: limits::HALT_THRESHOLD_MAX + Duration::from_nanos(1), ..sound() },
            WriterConfig { wait_strategy: spin(limits::SPIN_MAX + Duration::from_nanos(1)), ..sound() },
        ] {
            assert!(refused.validate().is_err(), "{refused:?}");
        }
    }
}
