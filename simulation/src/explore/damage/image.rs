//! A disk that a history left, before anything on it is damaged, and what is true of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::disk::state::DiskState;
use crate::engine::{BASE, Engine};
use crate::explore::history::{History, Step};
use crate::log::{INSTANCE, RunLog};
use crate::second_reader::Run;
use crate::setting::{Mode, Operation, Schedule, Setting};

/// Most steps of a history.
const STEPS_MAX: u64 = 14;

/// How often each operation is chosen.
const WEIGHTS: [(Operation, u32); 10] = [
    (Operation::Small, 12),
    (Operation::Medium, 10),
    (Operation::Large, 7),
    (Operation::Jumbo, 2),
    (Operation::Anchor, 6),
    (Operation::Roll, 6),
    (Operation::Seal, 3),
    (Operation::Drop, 2),
    (Operation::Reopen, 4),
    (Operation::Kill, 2),
];

/// The files below [`BASE`], each by its path from there: `run-1/MANIFEST`.
pub type Files = BTreeMap<String, Vec<u8>>;

/// What became of the disk when the engine stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The process was killed: everything that it wrote is there.
    Killed,
    /// The power failed, and this decides what it left.
    PowerLost(u64),
}

/// A disk, and what was given to the runs on it.
#[derive(Debug)]
pub struct Image {
    /// When an append was acknowledged.
    pub mode: Mode,
    /// Everything that was ever given to each run, what a recovery discarded later included: a stale
    /// sector may bring it back, and then it still is what was given.
    pub runs: Vec<RunLog>,
    /// The disk.
    pub state: DiskState,
    /// Its files.
    pub files: Files,
    /// What an independent reader finds in each run.
    pub readings: Vec<Run>,
    /// The disk as it was behind the opening and behind each operation.
    pub earlier: Vec<DiskState>,
}

/// The path of a file whose name from the runs' folder is `name`.
#[must_use]
pub fn path_of(name: &str) -> PathBuf {
    Path::new(BASE).join(INSTANCE).join(name)
}

/// The contents of a file of a disk.
#[must_use]
pub fn contents(state: &DiskState, name: &str) -> Option<Vec<u8>> {
    Some(state.file(state.find(&path_of(name))?)?.contents())
}

/// Every file of a disk.
#[must_use]
pub fn files_of(state: &DiskState) -> Files {
    let folder = Path::new(BASE).join(INSTANCE);
    let files = state.files().into_iter();
    files
        .filter_map(|(path, node)| {
            let name = path.strip_prefix(&folder).ok()?.to_string_lossy().into_owned();
            Some((name, state.file(node)?.contents()))
        })
        .collect()
}

/// What the independent reader finds in a run among these files.
#[must_use]
pub fn read_run(files: &Files, run_id: &str) -> Option<Run> {
    let folder = format!("{run_id}/");
    let names = files.range(folder.clone()..).map_while(|(name, bytes)| Some((name.strip_prefix(&folder)?, bytes.as_slice())));
    Run::read(names)
}

/// The history of a seed: an engine without faults.
#[must_use]
pub fn history(random: &mut fastrand::Rng) -> History {
    let setting = Setting {
        mode: if random.u8(..3) > 0 { Mode::Synced } else { Mode::Buffered },
        schedule: random.choice(Schedule::ALL).unwrap_or(Schedule::Never),
    };
    let steps = (1..=random.u64(4..=STEPS_MAX)).map(|salt| Step { salt, ..operation(random).into() }).collect();
    History { setting, seed: random.u64(1..1_000_000), steps, fault: None }
}

fn operation(random: &mut fastrand::Rng) -> Operation {
    let mut rest = random.u32(..WEIGHTS.iter().map(|(_, weight)| *weight).sum::<u32>());
    for (operation, weight) in WEIGHTS {
        if rest < weight {
            return operation;
        }
        rest -= weight;
    }
    Operation::Small
}

impl Image {
    /// Plays a history and stops its engine.
    ///
    /// # Errors
    /// Where the history itself breaks a promise, or the independent reader cannot read what it left.
    pub fn of(history: &History, stop: Stop) -> Result<Self, String> {
        let mut engine = Engine::new(history.setting, history.seed);
        let mut runs = Vec::new();
        let mut earlier = Vec::new();
        engine.open()?;
        note(&engine, &mut runs, &mut earlier);
        for step in &history.steps {
            engine.reseed(history.seed ^ step.salt.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            engine.perform(step.operation)?;
            note(&engine, &mut runs, &mut earlier);
        }
        let state = stop_of(&engine.disk.state(), stop);
        let mode = engine.mode();
        engine.kill();
        let files = files_of(&state);
        let readings: Option<Vec<_>> = runs.iter().map(|run: &RunLog| read_run(&files, &run.manifest.run_id)).collect();
        let readings = readings.ok_or("the independent reader finds no run")?;
        Ok(Self { mode, runs, state, files, readings, earlier })
    }

    /// The run with this id, by its place among the runs.
    #[must_use]
    pub fn run_of(&self, name: &str) -> Option<usize> {
        let (run_id, _) = name.split_once('/')?;
        self.runs.iter().position(|run| run.manifest.run_id == run_id)
    }
}

fn note(engine: &Engine, runs: &mut Vec<RunLog>, earlier: &mut Vec<DiskState>) {
    for (index, run) in engine.runs.iter().enumerate() {
        match runs.get_mut(index) {
            Some(known) if known.commits() <= run.commits() => *known = run.clone(),
            Some(_) => {}
            None => runs.push(run.clone()),
        }
    }
    earlier.push(engine.disk.state());
}

fn stop_of(state: &DiskState, stop: Stop) -> DiskState {
    let Stop::PowerLost(seed) = stop else { return state.after_power_loss(&[]) };
    let mut random = fastrand::Rng::with_seed(seed);
    let places = state.uncertain_places();
    let choice: Vec<_> = places.iter().map(|place| random.usize(..place.versions)).collect();
    state.after_power_loss(&choice)
}
