//! A folder of any files, opened in every way there is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tapelog::lifecycle::RecoverySweep;
use tapelog::{
    EventStore, EventStoreError, IndexKind, ReadPath, RecoveredState, RunStatus, ScanDirection, SegmentBackend, Verifier, Visibility,
};

use super::base_runs::{BASE, BaseRun, RUN, base_runs, builder, folder};
use super::entries::{INSTANCE, batch, manifest};
use super::input::{Input, edit};
use super::log::Answers;
use super::readers::{ask_reader, follow};
use crate::disk::SimulatedDisk;

/// Most files that an input puts into an empty folder.
const FILES_MAX: usize = 12;
/// Most changes to a valid run.
const CHANGES_MAX: usize = 10;
/// Of so many entries each is asked for where nothing is known of them.
const ENTRIES_MAX: u64 = 64;

const NAMES: [&str; 18] = [
    "MANIFEST",
    "WATERMARK",
    "LOCK",
    "00000001.seg",
    "00000001.idx",
    "00000001.key",
    "00000002.seg",
    "00000002.idx",
    "00000002.key",
    "00000003.seg",
    "00000004.seg",
    "00000005.seg",
    "99999999.seg",
    "00000000.seg",
    "00000002.seg.tmp",
    "MANIFEST.tmp",
    "markers/MANIFEST",
    "foreign",
];

/// Opens the folder that the input describes.
pub fn open_folder(data: &[u8]) {
    let mut input = Input::new(data);
    let mode = input.byte();
    if mode & 3 == 3 {
        let disk = any_folder(&mut input);
        Trial { disk, base: None }.run(mode >> 4);
        return;
    }
    let base = &base_runs()[usize::from(mode >> 2 & 3)];
    let disk = base.disk.fork();
    let is_honest = change(&disk, &mut input, mode & 3 == 2);
    Trial { disk, base: is_honest.then_some(base) }.run(mode >> 4);
}

/// A folder of files with names that may mean something, and whatever contents.
fn any_folder(input: &mut Input<'_>) -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    disk.put(&folder().join("here"), b"");
    for _ in 0..FILES_MAX {
        if input.is_empty() {
            break;
        }
        let name = input.pick(&NAMES);
        let source = input.byte();
        let mut bytes = if source.is_multiple_of(4) {
            // A file of another run, or of this one under another name, is whole as far as it goes.
            let base = &base_runs()[usize::from(source >> 2 & 3)];
            base.disk.contents(&folder().join(input.pick(&NAMES))).unwrap_or_default()
        } else {
            let len = input.below(1 << 9);
            input.take(len).to_vec()
        };
        if source & 0x40 != 0 {
            bytes.resize(bytes.len().next_multiple_of(4 << 10), 0);
        }
        disk.put(&folder().join(name), &bytes);
    }
    disk
}

/// Changes the files of a run; answers whether whatever is read from it has still to be what was written.
fn change(disk: &SimulatedDisk, input: &mut Input<'_>, stamps: bool) -> bool {
    let mut is_honest = true;
    for _ in 0..CHANGES_MAX {
        if input.is_empty() {
            break;
        }
        let name = input.pick(&NAMES);
        let path = folder().join(name);
        let Some(mut bytes) = disk.contents(&path) else {
            let len = input.below(1 << 7);
            disk.put(&path, input.take(len));
            continue;
        };
        match input.below(16) {
            0 => {
                disk.take_away(&path);
                continue;
            }
            1 => {
                let other = folder().join(input.pick(&NAMES));
                disk.put(&other, &bytes);
                continue;
            }
            2 => {
                let sector = input.below(bytes.len() / 512 + 1) * 512;
                let end = (sector + 512).min(bytes.len());
                bytes[sector.min(end)..end].fill(0);
            }
            _ => edit(&mut bytes, input),
        }
        if stamps {
            is_honest = false;
            super::stamps::restamp(name, &mut bytes);
        }
        disk.put(&path, &bytes);
    }
    is_honest
}

/// What one way of opening a folder came to: a verdict and answers, or a refusal. No answers where nothing is known
/// of what they should be.
type Opened = Result<(RecoveredState, Option<Answers>), EventStoreError>;

struct Trial {
    disk: SimulatedDisk,
    /// The run that was changed, if what is read has to be what was written.
    base: Option<&'static BaseRun>,
}

impl Trial {
    /// Opens the folder read-only, and then in one of the other ways, or in all of them.
    fn run(&self, way: u8) {
        let shown = self.read_only(ReadPath::Positional);
        let way = way & 3;
        if way == 0 || way == 1 {
            assert_eq!(self.read_only(ReadPath::Map).ok(), shown.as_ref().ok().cloned(), "a map shows something else");
            self.written();
        }
        if way == 0 || way == 2 {
            let recovered = self.recover_and_seal();
            if let (Ok((_, Some(shown))), Ok((_, Some(recovered)))) = (&shown, &recovered) {
                assert!(shown.high_watermark <= recovered.high_watermark, "{shown:?}, {recovered:?}");
            }
        }
        if way == 0 || way == 3 {
            self.sweep();
        }
        if way == 0 || way == 2 {
            self.follow(Visibility::Durable);
            self.follow(Visibility::Written);
        }
    }

    /// Reads the run without changing anything, and verifies it.
    fn read_only(&self, path: ReadPath) -> Opened {
        let disk = self.disk.fork();
        let before = contents(&disk);
        let opened = self.look(&disk, path);
        if opened.is_ok() {
            let store = builder(&disk).read_path(path).build().unwrap().into_read_only(folder()).unwrap();
            let report = Verifier::new(Box::new(store)).verify();
            if let Ok((_, Some(answers))) = &opened {
                let report = report.unwrap_or_else(|error| panic!("not verified: {error}"));
                assert_eq!(report.is_clean(), answers.unreadable.is_empty(), "{report:?}, {answers:?}");
            }
        }
        assert_eq!(before, contents(&disk), "reading changed the files");
        opened
    }

    fn look(&self, disk: &SimulatedDisk, path: ReadPath) -> Opened {
        let store = builder(disk).read_path(path).build().unwrap().into_read_only(folder()).map_err(refusal)?;
        let answers = self.ask(&store, "read-only");
        Ok((store.recovery().unwrap().state, answers))
    }

    /// Reads everything whole that is written.
    fn written(&self) {
        let disk = self.disk.fork();
        let before = contents(&disk);
        match builder(&disk).build().unwrap().into_written(folder()).map_err(refusal) {
            Ok(store) => drop(self.ask(&store, "written")),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        assert_eq!(before, contents(&disk), "reading changed the files");
    }

    /// Recovers the run by name, seals it, and opens it again.
    fn recover_and_seal(&self) -> Opened {
        let disk = self.disk.fork();
        let before = segments(&disk);
        let mut store = builder(&disk).build().unwrap();
        match store.open_run(manifest(RUN)) {
            Err(EventStoreError::CrashedPredecessor) => {}
            Err(EventStoreError::Backend(text)) if text.contains("already sealed") => return self.look(&disk, ReadPath::Map),
            Err(error) => {
                assert_eq!(before, segments(&disk), "a run that was refused was changed");
                return Err(refusal(error));
            }
            Ok(()) => {
                // Nothing may be behind the header pages of segments, as in what a creation leaves that was cut off.
                let is_prepared = |bytes: &[u8]| bytes.iter().skip(4 << 10).all(|byte| *byte == 0);
                let is_foreign = |path: &Path| path.ends_with("00000000.seg");
                let is_new = before.iter().all(|(path, bytes)| is_foreign(path) || is_prepared(bytes));
                assert!(is_new, "a new run was begun over an old one");
                assert_eq!(store.append_batch(&batch(1, 1, 3)), Ok(1));
                store.seal(RunStatus::Ended).unwrap();
                return Err(EventStoreError::no_run_open());
            }
        }
        let state = store.recovery().unwrap().state;
        if state == RecoveredState::AcknowledgedDamage {
            assert_eq!(before, segments(&disk), "damaged segments were changed");
        }
        let answers = self.ask(&store, "recovered");
        let next = store.high_watermark().unwrap().saturating_add(1);
        assert_eq!(store.append_batch(&batch(next, next, 1)), Err(EventStoreError::CrashedPredecessor));
        let status = if state == RecoveredState::AcknowledgedDamage { RunStatus::Quarantined } else { RunStatus::CrashedRecovered };
        store.seal(status).unwrap_or_else(|error| panic!("a recovered run is not sealed: {error}"));
        assert_eq!(self.ask(&store, "just sealed"), answers, "the seal changed what is answered");
        drop(store);
        let (_, reopened) = self.look(&disk, ReadPath::Positional).unwrap_or_else(|error| panic!("a sealed run is refused: {error}"));
        assert_eq!(reopened, answers, "the sealed run answers otherwise");
        Ok((state, answers))
    }

    /// Sweeps at boot.
    fn sweep(&self) {
        let disk = self.disk.fork();
        let sweep = || RecoverySweep::new(BASE, INSTANCE).storage(Arc::new(disk.clone()));
        let before = contents(&disk);
        let planned = sweep().plan().unwrap_or_else(|error| panic!("no plan: {error}"));
        assert_eq!(before, contents(&disk), "a plan changed the files");
        let outcome = sweep().apply().unwrap_or_else(|error| panic!("no sweep: {error}"));
        assert_eq!(outcome.live, [""; 0]);
        for run in &outcome.recovered {
            let verdict = planned.iter().find(|planned| planned.run_id == run.run_id).map(|planned| &planned.verdict);
            assert!(verdict.is_some_and(|verdict| verdict.as_ref().is_ok_and(|(status, _)| *status == run.status)), "{verdict:?}");
            let reopened = self.look(&disk, ReadPath::Positional);
            assert!(reopened.is_ok(), "swept and refused: {reopened:?}");
        }
        for unreadable in outcome.unreadable {
            refusal(unreadable.error);
        }
        assert_eq!(sweep().apply().unwrap().recovered, [], "a second sweep finds something to do");
    }

    /// Asks a store for everything. What was only damaged may be missing and never wrong.
    fn ask(&self, store: &SegmentBackend, what: &str) -> Option<Answers> {
        let Some(base) = self.base else {
            ask_anything(store);
            return None;
        };
        // A fuzzer comes to solve the checksum of WATERMARK, the one witness that no hash covers.
        let is_solved = store.high_watermark().unwrap() > base.log.last_seq();
        if is_solved {
            assert_eq!(store.recovery().unwrap().state, RecoveredState::AcknowledgedDamage);
            return None;
        }
        let answers = base.log.assert_honest(store, &what);
        ask_reader(store, base.log.entries(), &answers.unreadable);
        Some(answers)
    }

    /// Follows the run, which changes nothing.
    fn follow(&self, visibility: Visibility) {
        let disk = self.disk.fork();
        let before = contents(&disk);
        for refused in follow(&builder(&disk).build().unwrap(), visibility, self.base.map(|base| base.log.entries())) {
            refusal(refused);
        }
        assert_eq!(before, contents(&disk), "following changed the files");
    }
}

/// Asks a store of which nothing is known. The answers have to fit each other.
fn ask_anything(store: &SegmentBackend) {
    let last = store.high_watermark().unwrap();
    assert_eq!(store.manifest().unwrap().high_watermark, last);
    for seq in (0..=last.min(ENTRIES_MAX)).chain([last, last.saturating_add(1), u64::MAX]) {
        match store.scan_seq(seq) {
            Ok(Some(entry)) => assert!(entry.seq == seq && entry.recompute_hash() == entry.entry_hash),
            Ok(None) => assert!(seq == 0 || seq > last, "the entry {seq} of {last} passes for one that never was"),
            Err(_) => assert!(0 < seq && seq <= last),
        }
    }
    for (from, to) in [(1, last.min(ENTRIES_MAX)), (last.saturating_sub(3), u64::MAX), (3, 2)] {
        for direction in [ScanDirection::Forward, ScanDirection::Reverse] {
            if let Ok(entries) = store.scan_range(from, to, direction) {
                let expected = if from == 0 { 0 } else { (to.min(last) + 1).saturating_sub(from) };
                assert_eq!(entries.len() as u64, expected, "{from}..={to} of {last}");
            }
        }
    }
    for kind in IndexKind::ALL {
        for (key, seq) in store.iter_index_keys(kind).unwrap_or_default() {
            assert!(0 < seq && seq <= last);
            // Only the root covers keys, and no single read computes it: behind a forged checksum an index may not know a key.
            if let Ok(Some(found)) = store.lookup(kind, &key) {
                assert!(0 < found && found <= last);
            }
        }
        let _ = store.lookup(kind, "no such key");
    }
    let _ = store.latest_snapshot_anchor();
}

/// A refusal has to say what is wrong in a way that a program can tell.
fn refusal(error: EventStoreError) -> EventStoreError {
    let typed = match &error {
        EventStoreError::Corrupted(corruption) => corruption.file.is_some() && !corruption.found.is_empty(),
        EventStoreError::UnsupportedVersion { .. } => true,
        EventStoreError::Backend(text) => text.contains(RUN),
        _ => false,
    };
    assert!(typed, "{error:?}");
    error
}

/// Every file of the run, except for the lock, which is made where it is missing.
fn contents(disk: &SimulatedDisk) -> BTreeMap<PathBuf, Vec<u8>> {
    let is_lock = |path: &Path| path.ends_with("LOCK");
    disk.files().into_iter().filter(|path| !is_lock(path)).map(|path| (path.clone(), disk.contents(&path).unwrap())).collect()
}

/// The segments of a run: what a verdict of damage must leave as it is.
fn segments(disk: &SimulatedDisk) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = contents(disk);
    files.retain(|path, _| path.extension().is_some_and(|extension| extension == "seg"));
    files
}
