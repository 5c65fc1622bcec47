//! Compares writers: one thread submits as fast as it can, another makes it durable.
//!
//! One run, interleaved: in every round tapelog's entry writer has a slice, and then a writer in another manner over redb:
//! a bounded channel of whole messages, of which a thread takes up to 100 or what came in 5 ms, and commits them. Both
//! work on the same messages of 256 bytes with two keys each. What is shown are medians over the rounds.
//!
//! `writer [--rounds 5] [--slice-ms 4000] [--dir FOLDER] [--json]`

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::Serialize;
use tapelog::{
    AppendEntry, EntryDraft, EventStore, EventStoreEntry, EventStoreWriter, Headers, IndexKey, IndexKind, OnStall, SegmentBackend,
    SystemClock, UnixNanos, WriterConfig, compute_entry_hash, noop_halt,
};
use tapelog_peers::Failure;
use tapelog_peers::arguments::Arguments;
use tapelog_peers::entries::manifest;
use tapelog_peers::scratch::scratch;
use tapelog_peers::statistics::median;
use tapelog_peers::systems::System;
use tapelog_peers::systems::redb::Redb;
use tapelog_peers::text::grouped;

const PAYLOAD_LEN: usize = 256;
/// The other manner, as it is found in the field.
const CHANNEL: usize = 10_000;
const BATCH_ENTRIES: usize = 100;
const BATCH_LATENCY: Duration = Duration::from_millis(5);
/// How many messages are submitted between two looks at the clock.
const STRIDE: u64 = 256;

/// A message, as an engine makes it.
fn draft(number: u64) -> EntryDraft {
    let key = |kind, prefix: &str| IndexKey::new(kind, format!("{prefix}{number:09}"));
    EntryDraft {
        index_keys: vec![key(IndexKind::ClientOrderId, "O-20261121-"), key(IndexKind::VenueOrderId, "V-")],
        ..EntryDraft::without_indices(
            Headers::empty(),
            "exec.command.SubmitOrder".into(),
            "SubmitOrder".into(),
            vec![7; PAYLOAD_LEN].into(),
            UnixNanos::from(1_700_000_000_000_000_000 + number),
        )
    }
}

/// Submits for as long as the slice is, waits until all is durable, and answers entries a second.
fn rate<W>(
    slice: Duration,
    writer: W,
    submit: impl Fn(&W, EntryDraft) -> Result<(), Failure>,
    finish: impl FnOnce(W) -> Result<u64, Failure>,
) -> Result<f64, Failure> {
    let begun = Instant::now();
    let mut number = 0;
    while begun.elapsed() < slice {
        for _ in 0..STRIDE {
            number += 1;
            submit(&writer, draft(number))?;
        }
    }
    let durable = finish(writer)?;
    let seconds = begun.elapsed().as_secs_f64();
    if durable != number {
        return Err(format!("{durable} of {number} are durable").into());
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate is shown to a few digits")]
    Ok(number as f64 / seconds)
}

fn tapelog(folder: &Path, slice: Duration) -> Result<f64, Failure> {
    let mut store = SegmentBackend::new(folder);
    store.open_run(manifest("1-00000001"))?;
    let config = WriterConfig { on_stall: OnStall::Block, ..WriterConfig::default() };
    let writer = EventStoreWriter::spawn(Box::new(store), Arc::new(SystemClock), noop_halt(), config)?;
    rate(slice, writer, |writer, draft| Ok(writer.submit(draft)?), |writer| Ok(writer.flush(Duration::from_secs(60))?))
}

/// The writer in the other manner.
struct Channel {
    sender: SyncSender<EntryDraft>,
    thread: JoinHandle<Result<u64, String>>,
}

impl Channel {
    fn new(mut store: Redb) -> Self {
        let (sender, receiver) = mpsc::sync_channel::<EntryDraft>(CHANNEL);
        let body = move || {
            let (mut seq, mut batch, mut deadline) = (0, Vec::with_capacity(BATCH_ENTRIES), None::<Instant>);
            loop {
                let next = match deadline {
                    None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
                    Some(deadline) => receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())),
                };
                let is_last = matches!(next, Err(RecvTimeoutError::Disconnected));
                let is_over = match next {
                    Ok(draft) => {
                        seq += 1;
                        batch.push(whole(draft, seq));
                        deadline.get_or_insert_with(|| Instant::now() + BATCH_LATENCY);
                        batch.len() >= BATCH_ENTRIES
                    }
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => true,
                };
                if is_over && !batch.is_empty() {
                    store.commit(&batch).map_err(|error| error.to_string())?;
                    batch.clear();
                    deadline = None;
                }
                if is_last {
                    return Ok(seq);
                }
            }
        };
        Self { sender, thread: thread::spawn(body) }
    }
}

fn whole(draft: EntryDraft, seq: u64) -> AppendEntry {
    let EntryDraft { headers, topic, payload_type, payload, ts_init, index_keys } = draft;
    let hash = compute_entry_hash(seq, ts_init, ts_init, topic.as_str(), payload_type.as_str(), &payload, &headers);
    AppendEntry::new(EventStoreEntry::new(hash, seq, headers, topic, payload_type, payload, ts_init, ts_init), index_keys)
}

fn redb(folder: &Path, slice: Duration) -> Result<f64, Failure> {
    let Channel { sender, thread } = Channel::new(Redb::new(folder)?);
    let finish = |sender: SyncSender<EntryDraft>| {
        drop(sender);
        Ok(thread.join().map_err(|_| "the writer thread panicked")??)
    };
    rate(slice, sender, |sender, draft| Ok(sender.send(draft)?), finish)
}

#[derive(Debug, Serialize)]
struct Report {
    rounds: usize,
    slice_ms: u128,
    tapelog_entries_per_second: f64,
    redb_entries_per_second: f64,
    ratio: f64,
}

fn main() -> Result<(), Failure> {
    let mut arguments = Arguments::of_process();
    let json = arguments.switch("--json");
    let rounds: usize = arguments.value("--rounds", 5)?;
    let slice = Duration::from_millis(arguments.value("--slice-ms", 4_000)?);
    let folder = scratch(arguments.text("--dir")?)?;
    arguments.finish()?;
    let (mut ours, mut others, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let place = folder.path().join(round.to_string());
        std::fs::create_dir_all(&place)?;
        let own = tapelog(&place, slice)?;
        thread::sleep(Duration::from_millis(500));
        let other = redb(&place, slice)?;
        thread::sleep(Duration::from_millis(500));
        std::fs::remove_dir_all(&place)?;
        ours.push(own);
        others.push(other);
        ratios.push(own / other);
    }
    let report = Report {
        rounds,
        slice_ms: slice.as_millis(),
        tapelog_entries_per_second: median(&ours),
        redb_entries_per_second: median(&others),
        ratio: median(&ratios),
    };
    let mut output = std::io::stdout().lock();
    if json {
        serde_json::to_writer(&mut output, &report)?;
        writeln!(output)?;
    } else {
        writeln!(output, "tapelog's entry writer     {:>12} entries/s", grouped(report.tapelog_entries_per_second.round() as u64))?;
        writeln!(output, "channel, 100 or 5 ms, redb {:>12} entries/s", grouped(report.redb_entries_per_second.round() as u64))?;
        writeln!(output, "ratio                      {:>12.2}", report.ratio)?;
    }
    Ok(())
}
