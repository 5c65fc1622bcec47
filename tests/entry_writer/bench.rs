//! A writer over a store that does what the test says.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tapelog::{EntryDraft, EventStoreWriter, HaltCallback, HaltReason, Headers, IndexKey, IndexKind, ManualClock, UnixNanos, WriterConfig};

use crate::support::entries::manifest;
use crate::support::scripted_store::Script;

pub const RUN: &str = "1000-0000000a";
pub const SOON: Duration = Duration::from_secs(30);

/// The reasons for which a writer halted, each with the name of the thread that told it.
#[derive(Debug, Clone, Default)]
pub struct Halts(Arc<Mutex<Vec<(HaltReason, String)>>>);

impl Halts {
    pub fn callback(&self) -> HaltCallback {
        let told = self.0.clone();
        Arc::new(move |reason| {
            let thread = std::thread::current().name().unwrap_or_default().to_owned();
            told.lock().unwrap().push((reason, thread));
        })
    }

    pub fn told(&self) -> Vec<(HaltReason, String)> {
        self.0.lock().unwrap().clone()
    }

    /// Waits for the first.
    pub fn first(&self) -> (HaltReason, String) {
        wait_until("the halt", || !self.told().is_empty());
        self.told().remove(0)
    }
}

#[track_caller]
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < SOON, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A message that its number can be told from.
pub fn draft(number: u64) -> EntryDraft {
    EntryDraft {
        index_keys: vec![IndexKey::new(IndexKind::ClientOrderId, format!("O-{number}"))],
        ..EntryDraft::without_indices(
            Headers::empty(),
            "exec.command".into(),
            "SubmitOrder".into(),
            number.to_le_bytes().to_vec().into(),
            UnixNanos::from(1_000 + number),
        )
    }
}

/// The number of a message.
pub fn number_of(payload: &[u8]) -> u64 {
    u64::from_le_bytes(payload.try_into().unwrap())
}

pub fn run_ended() -> EntryDraft {
    EntryDraft::without_indices(Headers::empty(), "run.lifecycle.RunEnded".into(), "RunEnded".into(), Vec::new().into(), 9_000.into())
}

pub fn run_started() -> EntryDraft {
    EntryDraft::without_indices(Headers::empty(), "run.lifecycle.RunStarted".into(), "RunStarted".into(), Vec::new().into(), 9_000.into())
}

pub fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(UnixNanos::from(5_000)))
}

pub fn writer_with(script: &Script, halts: &Halts, config: WriterConfig) -> EventStoreWriter {
    EventStoreWriter::spawn(script.open(manifest(RUN)), clock(), halts.callback(), config).unwrap()
}

pub fn writer(script: &Script, halts: &Halts) -> EventStoreWriter {
    writer_with(script, halts, patient())
}

/// A machine that has much else to do is no stall.
pub fn patient() -> WriterConfig {
    WriterConfig { halt_threshold: SOON, ..WriterConfig::default() }
}

/// A queue of two messages and a threshold that is soon over.
pub fn small() -> WriterConfig {
    WriterConfig { channel_capacity: 2, halt_threshold: Duration::from_millis(40), ..WriterConfig::default() }
}
