//! Records a Databento file of order events ("market by order") as a run.
//!
//! ```text
//! cargo run --release --example record_dbn -- FILE --base DIR [--instance NAME] [--run ID]
//! ```
//!
//! One record becomes one entry: the topic is `data.mbo.<venue>.<symbol>`, the payload type `MboMsg`, the
//! payload the record's bytes as they stand in the file, `ts_init` the time at which the capture server
//! received it, and the venue's order id is a key. A file of another schema is refused before a run is made.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bytes::Bytes;
use dbn::decode::{DbnMetadata, DecodeRecord, DynDecoder};
use dbn::{MboMsg, Metadata, Schema, SymbolIndex, TsSymbolMap, VersionUpgradePolicy};
use tapelog::{
    AppendEntry, Clock, EventStore, EventStoreEntry, Headers, IndexKey, IndexKind, RunManifest, RunStatus, SegmentBackend, SystemClock,
    Topic, UnixNanos, build_run_id, compute_entry_hash,
};

/// How many entries become durable with one sync.
const BATCH: usize = 256;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(arguments) => arguments,
        Err(reason) => {
            eprintln!("{reason}");
            eprintln!("usage: record_dbn FILE --base DIR [--instance NAME] [--run ID]");
            return ExitCode::from(2);
        }
    };
    let mut store = SegmentBackend::new(&arguments.base);
    match record(&arguments.file, &mut store, &arguments.instance, arguments.run) {
        Ok(recorded) => {
            println!("run      {}", recorded.run_id);
            println!("entries  {}", recorded.entries());
            for (action, count) in &recorded.by_action {
                println!("  {action}  {count}");
            }
            println!("orders   {} distinct ids", recorded.orders.len());
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("{}: {reason}", arguments.file.display());
            ExitCode::from(2)
        }
    }
}

struct Arguments {
    file: PathBuf,
    base: PathBuf,
    instance: String,
    run: Option<String>,
}

impl Arguments {
    fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let (mut file, mut base, mut instance, mut run) = (None, None, None, None);
        while let Some(argument) = arguments.next() {
            let option = match argument.to_str() {
                Some("--base") => &mut base,
                Some("--instance") => &mut instance,
                Some("--run") => &mut run,
                Some(other) if other.starts_with("--") => return Err(format!("there is no option {other}")),
                _ if file.is_some() => return Err("there is more than one FILE".to_owned()),
                _ => {
                    file = Some(argument);
                    continue;
                }
            };
            *option = Some(arguments.next().ok_or_else(|| format!("{} needs a value", argument.display()))?);
        }
        let text = |value: OsString| value.into_string().map_err(|value| format!("{} is not UTF-8", value.display()));
        Ok(Self {
            file: file.ok_or("FILE is missing")?.into(),
            base: base.ok_or("--base is missing")?.into(),
            instance: instance.map_or(Ok("databento".to_owned()), text)?,
            run: run.map(text).transpose()?,
        })
    }
}

/// What became of a file.
pub struct Recorded {
    /// The run that holds it.
    pub run_id: String,
    /// How many records there were of each action.
    pub by_action: BTreeMap<char, u64>,
    /// The distinct order ids.
    pub orders: std::collections::HashSet<u64>,
}

impl Recorded {
    /// How many entries the run holds.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.by_action.values().sum()
    }
}

/// Records the file at `path` as one run of `instance` and seals it.
///
/// # Errors
///
/// What is wrong with the file, or what the store refused. Where the file breaks off in its middle, the
/// run holds what was read before and is sealed.
pub fn record(path: &Path, store: &mut dyn EventStore, instance: &str, run: Option<String>) -> Result<Recorded, String> {
    let mut decoder = DynDecoder::from_file(path, VersionUpgradePolicy::AsIs).map_err(|error| error.to_string())?;
    let metadata = decoder.metadata().clone();
    if metadata.schema != Some(Schema::Mbo) {
        let schema = metadata.schema.map_or_else(|| "mixed".to_owned(), |schema| schema.to_string());
        return Err(format!("the schema is {schema}, and only mbo (market by order) is read"));
    }
    if metadata.ts_out {
        return Err("the records carry send timestamps (ts_out), and only plain records are read".to_owned());
    }
    let topics = Topics::new(&metadata)?;
    let mut log = Recorder { store, instance, run, run_id: None, next_seq: 1, last_publish: UnixNanos::default(), batch: Vec::new() };
    let mut recorded = Recorded { run_id: String::new(), by_action: BTreeMap::new(), orders: std::collections::HashSet::new() };
    let ended = loop {
        match decoder.decode_record::<MboMsg>() {
            Ok(Some(message)) => {
                log.take(message, topics.of(message))?;
                *recorded.by_action.entry(char::from(message.action.to_ne_bytes()[0])).or_default() += 1;
                recorded.orders.insert(message.order_id);
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error.to_string()),
        }
    };
    recorded.run_id = log.finish()?;
    ended.map(|()| recorded)
}

/// The topic of each instrument, by the symbols that the file's head gives.
struct Topics {
    venue: String,
    symbols: TsSymbolMap,
}

impl Topics {
    fn new(metadata: &Metadata) -> Result<Self, String> {
        // A dataset is a venue and a feed: `GLBX.MDP3`.
        let venue = metadata.dataset.split('.').next().unwrap_or_default().to_owned();
        Ok(Self { venue, symbols: metadata.symbol_map().map_err(|error| error.to_string())? })
    }

    /// An instrument that the head does not name goes by its number.
    fn of(&self, message: &MboMsg) -> Topic {
        let symbol = self.symbols.get_for_rec(message).map_or_else(|| message.hd.instrument_id.to_string(), Clone::clone);
        Topic::from(format!("data.mbo.{}.{symbol}", self.venue))
    }
}

/// Turns messages into batches. The run is opened by its first message, whose time its manifest names.
struct Recorder<'a> {
    store: &'a mut dyn EventStore,
    instance: &'a str,
    run: Option<String>,
    run_id: Option<String>,
    next_seq: u64,
    last_publish: UnixNanos,
    batch: Vec<AppendEntry>,
}

impl Recorder<'_> {
    fn take(&mut self, message: &MboMsg, topic: Topic) -> Result<(), String> {
        let ts_init = UnixNanos::from(message.ts_recv);
        if self.run_id.is_none() {
            self.open(ts_init)?;
        }
        self.last_publish = self.last_publish.max(SystemClock.now());
        let headers = Headers::empty();
        let payload = Bytes::copy_from_slice(message.as_ref());
        let hash = compute_entry_hash(self.next_seq, ts_init, self.last_publish, topic.as_str(), "MboMsg", &payload, &headers);
        let entry = EventStoreEntry::new(hash, self.next_seq, headers, topic, "MboMsg".into(), payload, ts_init, self.last_publish);
        let key = IndexKey::new(IndexKind::VenueOrderId, message.order_id.to_string());
        self.batch.push(AppendEntry::new(entry, vec![key]));
        self.next_seq += 1;
        if self.batch.len() == BATCH { self.append() } else { Ok(()) }
    }

    fn open(&mut self, start: UnixNanos) -> Result<(), String> {
        let run_id = self.run.take().unwrap_or_else(|| build_run_id(start));
        self.store
            .open_run(RunManifest {
                feature_flags: vec!["record_dbn".to_owned()],
                start_ts_init: start,
                ..RunManifest::new(&run_id, self.instance)
            })
            .map_err(|error| error.to_string())?;
        self.run_id = Some(run_id);
        Ok(())
    }

    fn append(&mut self) -> Result<(), String> {
        self.store.append_batch(&self.batch).map_err(|error| error.to_string())?;
        self.batch.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<String, String> {
        let Some(run_id) = self.run_id.take() else {
            return Err("there is no record, and no run was made".to_owned());
        };
        self.append()?;
        self.store.seal(RunStatus::Ended).map_err(|error| error.to_string())?;
        Ok(run_id)
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::time::Duration;

    use tapelog::{
        Check, EventStoreReader, FollowOptions, Follower, MemoryBackend, Progress, ReadPath, ReaderOptions, RunReader, ScanDirection,
        Verifier, Visibility,
    };

    use super::*;

    /// The variable that names a Databento file of order events. The file itself is no part of the project.
    const FILE_VARIABLE: &str = "TAPELOG_DBN_FILE";

    fn arguments(list: &[&str]) -> Result<Arguments, String> {
        Arguments::parse(list.iter().map(OsString::from))
    }

    /// The file to record, or none with a message: the test that asks for it does nothing then.
    fn file() -> Option<PathBuf> {
        let file = std::env::var_os(FILE_VARIABLE).map(PathBuf::from);
        if file.is_none() {
            // Written past the test's capture, so that a skipped test does not look like one that ran.
            let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("SKIPPED: {FILE_VARIABLE} names no file\n").as_bytes());
        }
        file
    }

    #[test]
    fn what_is_missing_or_unknown_among_the_arguments_is_named() {
        assert_eq!(arguments(&[]).err().unwrap(), "FILE is missing");
        assert_eq!(arguments(&["a.dbn"]).err().unwrap(), "--base is missing");
        assert_eq!(arguments(&["a.dbn", "--base"]).err().unwrap(), "--base needs a value");
        assert_eq!(arguments(&["a.dbn", "b.dbn", "--base", "x"]).err().unwrap(), "there is more than one FILE");
        assert_eq!(arguments(&["a.dbn", "--bose", "x"]).err().unwrap(), "there is no option --bose");
    }

    #[test]
    fn a_file_that_is_not_databento_is_refused_and_makes_no_run() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, b"not a DBN file").unwrap();
        let base = folder.path().join("base");
        for path in [file, folder.path().join("none"), folder.path().to_owned()] {
            assert!(record(&path, &mut SegmentBackend::new(&base), "instance", None).is_err());
        }
        assert!(!base.exists());
    }

    #[test]
    fn another_schema_is_refused_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("trades.dbn");
        let metadata = dbn::MetadataBuilder::new()
            .version(1)
            .dataset("GLBX.MDP3")
            .schema(Some(Schema::Trades))
            .start(0)
            .stype_in(None)
            .stype_out(dbn::SType::InstrumentId)
            .build();
        dbn::encode::dbn::MetadataEncoder::new(std::fs::File::create(&file).unwrap()).encode(&metadata).unwrap();
        let refused = record(&file, &mut MemoryBackend::new(), "instance", None).err().unwrap();
        assert_eq!(refused, "the schema is trades, and only mbo (market by order) is read");
    }

    #[test]
    fn a_whole_day_is_recorded_alike_in_memory_and_on_disk() {
        let Some(file) = file() else { return };
        let base = tempfile::tempdir().unwrap();
        let mut memory = MemoryBackend::new();
        record(&file, &mut memory, "instance", Some("day".to_owned())).unwrap();
        let recorded = record(&file, &mut SegmentBackend::new(base.path()), "instance", Some("day".to_owned())).unwrap();
        let count = |action| recorded.by_action.get(&action).copied().unwrap_or(0);
        assert_eq!(['A', 'C', 'M', 'F', 'T'].map(count), [29_216, 17_999, 12_233, 6_371, 2_973]);
        assert_eq!((recorded.entries(), recorded.orders.len()), (68_792, 31_975));

        let path = SegmentBackend::new(base.path()).run_path("instance", "day");
        let disk = SegmentBackend::builder(base.path()).read_path(ReadPath::Map).build().unwrap().into_read_only(&path).unwrap();
        let all = |store: &dyn EventStore| store.scan_range(1, u64::MAX, ScanDirection::Forward).unwrap();
        let (in_memory, on_disk) = (all(&memory), all(&disk));
        assert_eq!(in_memory.len(), on_disk.len());
        for (expected, found) in in_memory.iter().zip(&on_disk) {
            // The two recordings took place at different times.
            let found = EventStoreEntry { ts_publish: expected.ts_publish, entry_hash: expected.entry_hash, ..found.clone() };
            assert_eq!(found, *expected);
        }
        let keys = |store: &dyn EventStore| {
            let mut keys = store.iter_index_keys(IndexKind::VenueOrderId).unwrap();
            keys.sort();
            keys
        };
        assert_eq!(keys(&memory), keys(&disk));
        for (key, seq) in keys(&memory).iter().step_by(97) {
            assert_eq!(disk.lookup(IndexKind::VenueOrderId, key), Ok(Some(*seq)));
        }
        let first = on_disk.first().unwrap();
        assert_eq!((first.topic.as_str(), first.payload_type.as_str(), first.payload.len()), ("data.mbo.GLBX.ESH4", "MboMsg", 56));
        let manifest = disk.manifest().unwrap();
        assert_eq!(manifest.start_ts_init.as_u64(), 1_703_462_400_000_000_000);
        assert_eq!(manifest.end_ts_init.map(|time| time.as_u64()), Some(1_703_548_799_446_821_072));
        let report = Verifier::new(Box::new(disk)).verify().unwrap();
        assert!(report.is_clean(), "{report:?}");
    }

    #[test]
    fn a_whole_day_is_read_alike_in_every_way() {
        let Some(file) = file() else { return };
        let base = tempfile::tempdir().unwrap();
        let mut store = SegmentBackend::builder(base.path()).segment_len(1 << 20).build().unwrap();
        record(&file, &mut store, "instance", Some("day".to_owned())).unwrap();
        let all = store.scan_range(1, u64::MAX, ScanDirection::Forward).unwrap();
        let folder = store.run_path("instance", "day");
        for read_path in [ReadPath::Map, ReadPath::Positional] {
            let options = ReaderOptions { read_path, ..ReaderOptions::default() };
            let reader = RunReader::open_with(&folder, options).unwrap();
            assert!(reader.segments().len() > 10);
            assert!(reader.entries(.., ScanDirection::Forward).map(|item| item.unwrap()).eq(all.iter().cloned()));
            assert!(reader.entries(.., ScanDirection::Reverse).map(|item| item.unwrap()).eq(all.iter().rev().cloned()));
            for direction in [ScanDirection::Forward, ScanDirection::Reverse] {
                let mut seen = 0_u64;
                reader
                    .visit(.., direction, Check::Crc, |view| {
                        assert_eq!(view.to_entry().unwrap(), all[usize::try_from(view.seq()).unwrap() - 1]);
                        seen += 1;
                        ControlFlow::<()>::Continue(())
                    })
                    .unwrap();
                assert_eq!(seen, 68_792);
            }
            for entry in all.iter().step_by(331) {
                assert_eq!(reader.entry(entry.seq).unwrap().as_ref(), Some(entry));
                let first = all.iter().find(|other| other.ts_init >= entry.ts_init).map(|other| other.seq);
                assert_eq!(reader.first_at_or_after(entry.ts_init).unwrap(), first);
            }
            let mut keys = 0;
            reader
                .for_each_index_key(IndexKind::VenueOrderId, |key, seq| {
                    if keys % 97 == 0 {
                        assert_eq!(reader.lookup(IndexKind::VenueOrderId, key), Ok(Some(seq)));
                    }
                    keys += 1;
                    ControlFlow::<()>::Continue(())
                })
                .unwrap();
            assert_eq!(keys, store.iter_index_keys(IndexKind::VenueOrderId).unwrap().len());
        }
        let mut follower = Follower::open(&folder, FollowOptions::default()).unwrap();
        let mut tail = store.reader().unwrap().tail(1, Visibility::Durable);
        for entry in &all {
            assert_eq!(follower.next_entry(Duration::ZERO).unwrap().as_ref(), Some(entry));
            assert_eq!(tail.next_entry(Duration::ZERO).unwrap().as_ref(), Some(entry));
        }
        assert_eq!((follower.next_entry(Duration::ZERO), tail.next_entry(Duration::ZERO)), (Ok(None), Ok(None)));
        let mut follower = Follower::open(&folder, FollowOptions::default()).unwrap();
        let mut given = Vec::new();
        let mut visit = |view: tapelog::EntryView<'_>| {
            let keys = view.keys().map(|(kind, key)| IndexKey::new(kind, key.to_owned())).collect();
            given.push(AppendEntry::new(view.to_entry().unwrap(), keys));
            // Broken off now and then, it goes on where it was.
            if given.len() % 1_000 == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        while let Progress::Shown(_) = follower.visit(Duration::ZERO, Check::Full, &mut visit).unwrap() {}
        assert!(given.iter().map(|append| &append.entry).eq(&all));
        // The same in memory, asked in the same ways.
        let mut memory = MemoryBackend::new();
        memory.open_run(RunManifest::new("day", "instance")).unwrap();
        for batch in given.chunks(BATCH) {
            memory.append_batch(batch).unwrap();
        }
        let keys = store.iter_index_keys(IndexKind::VenueOrderId).unwrap();
        assert_eq!(keys, memory.iter_index_keys(IndexKind::VenueOrderId).unwrap());
        for (key, _) in keys.iter().step_by(97) {
            assert_eq!(store.lookup(IndexKind::VenueOrderId, key), memory.lookup(IndexKind::VenueOrderId, key));
        }
        for direction in [ScanDirection::Forward, ScanDirection::Reverse] {
            let (store, memory) = (store.scan_range(1, u64::MAX, direction), memory.scan_range(1, u64::MAX, direction));
            assert!(store.unwrap() == memory.unwrap(), "{direction:?}");
        }
        let through_the_trait = EventStoreReader::new(store);
        assert!(through_the_trait.scan_range(1, u64::MAX, ScanDirection::Forward).map(|item| item.unwrap()).eq(all));
    }
}
