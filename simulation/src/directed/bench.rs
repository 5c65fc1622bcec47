//! An engine with a history behind it, and hands that change its disk.

use std::path::PathBuf;

use tapelog::{EventStore, EventStoreEntry, EventStoreError, RecoveredState, ScanDirection, SegmentBackend};

use crate::engine::{Engine, store_over};
use crate::explore::history::History;
use crate::log::RunLog;
use crate::oracle::{Given, Oracle};
use crate::second_reader::{BatchPlace, RecordPlace, Run, Salt, Segment, segment_name};

/// An engine with a history behind it, whose disk can be changed behind its back.
pub(super) struct Bench<'a> {
    oracle: &'a mut Oracle,
    pub(super) engine: Engine,
}

/// What a loss of power leaves of everything that is not certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// The newest version of each place.
    Newest,
    /// The oldest one.
    Oldest,
}

impl<'a> Bench<'a> {
    /// An engine that has done what a history says.
    pub(super) fn after(oracle: &'a mut Oracle, history: &str) -> Result<Self, String> {
        let history: History = history.parse()?;
        let mut engine = Engine::new(history.setting, history.seed);
        engine.open()?;
        for step in &history.steps {
            engine.reseed(step.salt);
            engine.perform(step.operation)?;
        }
        Ok(Self { oracle, engine })
    }

    /// What was given to the newest run.
    pub(super) fn log(&self) -> Result<&RunLog, String> {
        self.engine.runs.last().ok_or_else(|| "no run".to_owned())
    }

    /// The folder of the newest run.
    pub(super) fn folder(&self) -> Result<PathBuf, String> {
        self.log().map(Engine::folder)
    }

    /// The process is killed; the page cache keeps what it wrote.
    pub(super) fn kill(&mut self) {
        self.engine.kill();
    }

    /// The power fails.
    pub(super) fn lose_power(&mut self, left: Left) {
        let state = self.engine.disk.state();
        let choice = match left {
            Left::Newest => Vec::new(),
            Left::Oldest => vec![0; state.uncertain_places().len()],
        };
        let disk = self.engine.disk.with_contents(state.after_power_loss(&choice));
        self.engine.go_on_with(disk);
    }

    /// The bytes of a file of the newest run.
    pub(super) fn bytes(&self, name: &str) -> Result<Vec<u8>, String> {
        self.engine.disk.contents(&self.folder()?.join(name)).ok_or_else(|| format!("there is no {name}"))
    }

    /// Puts other bytes into a file, durably.
    pub(super) fn put(&self, name: &str, bytes: &[u8]) -> Result<(), String> {
        self.engine.disk.put(&self.folder()?.join(name), bytes);
        Ok(())
    }

    /// Changes the bytes of a file, durably. A change that does not apply is an error of the scenario.
    pub(super) fn change<T>(&self, name: &str, change: impl FnOnce(&mut Vec<u8>) -> Option<T>) -> Result<(), String> {
        let mut bytes = self.bytes(name)?;
        let before = bytes.clone();
        change(&mut bytes).ok_or_else(|| format!("{name} cannot be changed that way"))?;
        if bytes == before {
            return Err(format!("{name} stayed what it was"));
        }
        self.put(name, &bytes)
    }

    /// Changes the bytes of a segment, with what the second reader knows of it.
    pub(super) fn change_segment<T>(
        &self,
        ordinal: u32,
        change: impl FnOnce(&mut Vec<u8>, Salt, &Segment) -> Option<T>,
    ) -> Result<(), String> {
        let segment = self.segment(ordinal)?;
        self.change(&segment_name(ordinal), |bytes| change(bytes, segment.salt, &segment))
    }

    /// Changes the bytes of the batch `commit_no`, wherever it is.
    pub(super) fn change_batch<T>(
        &self,
        commit_no: u64,
        change: impl FnOnce(&mut Vec<u8>, Salt, &BatchPlace) -> Option<T>,
    ) -> Result<(), String> {
        let run = self.read()?;
        let (ordinal, batch) = run.batch(commit_no).ok_or_else(|| format!("there is no commit {commit_no}"))?;
        self.change_segment(ordinal, |bytes, salt, _| change(bytes, salt, batch))
    }

    /// Flips a bit in the body of the first record of the batch `commit_no`.
    pub(super) fn damage_batch(&self, commit_no: u64) -> Result<(), String> {
        self.change_batch(commit_no, |bytes, _, batch| flip(bytes, batch.records.first()?.body.start + 3))
    }

    /// Flips a bit in the body of the commit `commit_no`. A damaged record in a batch that WATERMARK names shows when it is
    /// read; a damaged commit shows when the run is opened.
    pub(super) fn damage_commit(&self, commit_no: u64) -> Result<(), String> {
        self.change_batch(commit_no, |bytes, _, batch| flip(bytes, batch.commit.end - 20))
    }

    /// The newest run as the second reader reads it.
    pub(super) fn read(&self) -> Result<Run, String> {
        let folder = self.folder()?;
        let files = self.engine.disk.files().into_iter().filter(|path| path.parent() == Some(&folder));
        let files: Vec<_> =
            files.filter_map(|path| Some((path.file_name()?.to_string_lossy().into_owned(), self.engine.disk.contents(&path)?))).collect();
        Run::read(files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))).ok_or_else(|| "no run can be read".to_owned())
    }

    /// A segment of the newest run as the second reader reads it.
    pub(super) fn segment(&self, ordinal: u32) -> Result<Segment, String> {
        self.read()?.segments.remove(&ordinal).ok_or_else(|| format!("there is no segment {ordinal}"))
    }

    /// A store of a new process on the same disk.
    pub(super) fn store(&mut self) -> Result<SegmentBackend, String> {
        self.oracle.counts.disks += 1;
        store_over(&self.engine.disk, self.engine.mode()).map_err(|error| error.to_string())
    }

    /// Opens the newest run as a new process does.
    pub(super) fn open(&mut self) -> Result<(Result<(), EventStoreError>, SegmentBackend), String> {
        let mut store = self.store()?;
        let manifest = self.log()?.manifest.clone();
        Ok((store.open_run(manifest), store))
    }

    /// Opens the newest run for reading.
    pub(super) fn reader(&mut self) -> Result<SegmentBackend, String> {
        let folder = self.folder()?;
        self.store()?.into_read_only(folder).map_err(|error| format!("the run cannot be read: {error}"))
    }

    /// Opens the newest run for reading and then by a recovery, and expects one verdict of both and the end of the log at a commit.
    pub(super) fn expect(&mut self, state: RecoveredState, end: u64) -> Result<SegmentBackend, String> {
        let reader = self.reader()?;
        check_verdict("a reader", &reader, state, end)?;
        let (answer, store) = self.open()?;
        if answer != Err(EventStoreError::CrashedPredecessor) {
            return Err(format!("a run that was left running is opened: {answer:?}"));
        }
        check_verdict("the recovery", &store, state, end)?;
        Ok(store)
    }

    /// Expects of the newest run what the oracle expects of any after a crash.
    pub(super) fn examine(&mut self, killed: bool) -> Result<(), String> {
        let expected = self.engine.expected();
        let mode = self.engine.mode();
        let given = Given { runs: &self.engine.runs, expected: &expected, mode, faultless: true };
        self.oracle.examine(&self.engine.disk.state(), given, killed).map(|_| ())
    }

    /// The oracle, for a search within a scenario.
    pub(super) fn oracle(&mut self) -> &mut Oracle {
        self.oracle
    }
}

fn check_verdict(who: &str, store: &SegmentBackend, state: RecoveredState, end: u64) -> Result<(), String> {
    let report = store.recovery().ok_or_else(|| format!("{who} has no report"))?;
    if report.state != state || report.end.commit_no != end {
        return Err(format!("{who} was to find {state} up to commit {end}, and says: {report}"));
    }
    Ok(())
}

/// Flips a bit.
pub(super) fn flip(bytes: &mut [u8], at: usize) -> Option<()> {
    *bytes.get_mut(at)? ^= 1;
    Some(())
}

/// The first entry of a batch.
pub(super) fn first_record(batch: &BatchPlace) -> Option<&RecordPlace> {
    batch.records.first()
}

/// All entries that a store shows.
pub(super) fn scan(store: &SegmentBackend) -> Result<Vec<EventStoreEntry>, EventStoreError> {
    store.scan_range(1, u64::MAX, ScanDirection::Forward)
}

/// Nothing but this error is right.
pub(super) fn expect_error<T>(
    what: &str,
    answer: Result<T, EventStoreError>,
    is_right: impl FnOnce(&EventStoreError) -> bool,
) -> Result<(), String> {
    match answer {
        Err(error) if is_right(&error) => Ok(()),
        Err(error) => Err(format!("{what}: {error}")),
        Ok(_) => Err(format!("{what} and nothing is said")),
    }
}

/// Two values that have to be the same.
#[expect(clippy::needless_pass_by_value, reason = "what is compared is made on the spot, and references would only be noise")]
pub(super) fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?}, and it should be {expected:?}")) }
}
