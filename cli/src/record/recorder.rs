//! Events become entries of one run.

use std::time::Instant;

use tapelog::{AppendEntry, Clock, EventStore, EventStoreEntry, EventStoreError, RunManifest, RunStatus, UnixNanos, compute_entry_hash};

use super::latency::Latencies;
use crate::input::Event;

/// Numbers, stamps and appends events, and measures how long it takes until each batch is acknowledged.
#[derive(Debug)]
pub struct Recorder<S, C> {
    store: S,
    clock: C,
    next_seq: u64,
    last_publish: UnixNanos,
    payload_bytes: u64,
    latencies: Latencies,
}

impl<S: EventStore, C: Clock> Recorder<S, C> {
    /// Opens the run of `manifest` in `store`.
    ///
    /// # Errors
    ///
    /// What the store refuses.
    pub fn open(mut store: S, clock: C, manifest: RunManifest) -> Result<Self, EventStoreError> {
        store.open_run(manifest)?;
        Ok(Self { store, clock, next_seq: 1, last_publish: UnixNanos::default(), payload_bytes: 0, latencies: Latencies::default() })
    }

    /// Appends `events` as one batch.
    ///
    /// # Errors
    ///
    /// What the store refuses; nothing of the batch is in the run then.
    pub fn append(&mut self, events: Vec<Event>) -> Result<(), EventStoreError> {
        let count = events.len() as u64;
        let payload_bytes: u64 = events.iter().map(|event| event.payload.len() as u64).sum();
        let entries: Vec<AppendEntry> = (self.next_seq..).zip(events).map(|(seq, event)| self.entry(seq, event)).collect();
        let begun = Instant::now();
        self.store.append_batch(&entries)?;
        self.latencies.add(begun.elapsed());
        self.next_seq += count;
        self.payload_bytes += payload_bytes;
        Ok(())
    }

    /// A clock that goes back does not make an entry look older than the one before.
    fn entry(&mut self, seq: u64, event: Event) -> AppendEntry {
        self.last_publish = self.last_publish.max(self.clock.now());
        let Event { topic, payload_type, payload, ts_init, headers, keys } = event;
        let hash = compute_entry_hash(seq, ts_init, self.last_publish, topic.as_str(), payload_type.as_str(), &payload, &headers);
        AppendEntry::new(EventStoreEntry::new(hash, seq, headers, topic, payload_type, payload, ts_init, self.last_publish), keys)
    }

    /// Seals the run as ended.
    ///
    /// # Errors
    ///
    /// What the store refuses.
    pub fn seal(&mut self) -> Result<(), EventStoreError> {
        self.store.seal(RunStatus::Ended)
    }

    /// How many entries have been appended.
    pub fn entries(&self) -> u64 {
        self.next_seq - 1
    }

    /// How many bytes of payload have been appended.
    pub fn payload_bytes(&self) -> u64 {
        self.payload_bytes
    }

    /// How long the batches took.
    pub fn latencies(&self) -> &Latencies {
        &self.latencies
    }

    /// How many entries are durable, as far as the store can say.
    pub fn durable(&self) -> u64 {
        self.store.high_watermark().unwrap_or(0)
    }
}

/// The manifest of a run that this command records.
pub fn manifest(instance_id: &str, run_id: &str, start_ts_init: UnixNanos) -> RunManifest {
    RunManifest {
        crate_versions: concat!("tapelog-cli ", env!("CARGO_PKG_VERSION")).to_owned(),
        feature_flags: vec!["recorded".to_owned()],
        start_ts_init,
        ..RunManifest::new(run_id, instance_id)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tapelog::{Headers, IndexKey, IndexKind, ManualClock, MemoryBackend, PayloadType, ScanDirection, Verifier};

    use super::*;

    fn event(ts_init: u64, key: &str) -> Event {
        Event {
            topic: "topic".into(),
            payload_type: PayloadType::from("type"),
            payload: Bytes::from_static(b"payload"),
            ts_init: UnixNanos::from(ts_init),
            headers: Headers::empty(),
            keys: vec![IndexKey::new(IndexKind::ClientOrderId, key.to_owned())],
        }
    }

    fn recorder() -> Recorder<MemoryBackend, ManualClock> {
        let clock = ManualClock::new(UnixNanos::from(100));
        Recorder::open(MemoryBackend::new(), clock, manifest("instance", "5-00000000", UnixNanos::from(5))).unwrap()
    }

    #[test]
    fn what_was_recorded_is_sealed_and_verifies() {
        let mut recorder = recorder();
        recorder.append(vec![event(5, "a"), event(6, "b")]).unwrap();
        recorder.append(vec![event(7, "a")]).unwrap();
        recorder.seal().unwrap();
        assert_eq!((recorder.entries(), recorder.payload_bytes(), recorder.latencies().total()), (3, 21, 2));
        assert_eq!(recorder.store.lookup(IndexKind::ClientOrderId, "a"), Ok(Some(1)));
        let manifest = recorder.store.manifest().unwrap();
        assert_eq!((manifest.status, manifest.end_ts_init), (RunStatus::Ended, Some(UnixNanos::from(7))));
        assert!(Verifier::new(Box::new(recorder.store)).verify().unwrap().is_clean());
    }

    #[test]
    fn an_entry_is_never_published_before_the_one_before_it() {
        let mut recorder = recorder();
        recorder.append(vec![event(5, "a")]).unwrap();
        recorder.clock.set(UnixNanos::from(40));
        recorder.append(vec![event(5, "b")]).unwrap();
        recorder.clock.set(UnixNanos::from(101));
        recorder.append(vec![event(5, "c")]).unwrap();
        let entries = recorder.store.scan_range(1, 3, ScanDirection::Forward).unwrap();
        assert_eq!(entries.iter().map(|entry| entry.ts_publish.as_u64()).collect::<Vec<_>>(), [100, 100, 101]);
        assert!(entries.iter().all(|entry| entry.entry_hash == entry.recompute_hash()));
    }

    #[test]
    fn a_batch_that_is_refused_counts_for_nothing() {
        let mut recorder = recorder();
        recorder.seal().unwrap();
        assert_eq!(recorder.append(vec![event(5, "a")]), Err(EventStoreError::Closed));
        assert_eq!((recorder.entries(), recorder.payload_bytes()), (0, 0));
    }
}
