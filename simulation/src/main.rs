//! The command `simulate`: explores every crash that can happen to the store.

use std::io::{IsTerminal, Write};
use std::ops::Range;
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::Instant;

use clap::{Parser, Subcommand};
use tapelog_simulation::explore::damage::table::DamageTable;
use tapelog_simulation::explore::damage::{self, DamageCase};
use tapelog_simulation::explore::exhaustive;
use tapelog_simulation::explore::explorations::{Exhaustive, Faults, Lives};
use tapelog_simulation::explore::history::History;
use tapelog_simulation::oracle::Oracle;
use tapelog_simulation::runner::{self, Exploration};
use tapelog_simulation::summary::{Row, Summary};

/// Explores the crashes of tapelog on a simulated disk.
#[derive(Debug, Parser)]
#[command(name = "simulate", version)]
struct Arguments {
    /// Prints JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
    /// The number of threads; by default one for each core.
    #[arg(long, global = true)]
    jobs: Option<usize>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Every history of up to so many operations, and every crash in it.
    Exhaustive {
        /// Most operations of a history.
        #[arg(long, default_value_t = exhaustive::OPERATIONS_MAX, value_parser = clap::value_parser!(u32).range(0..=i64::from(exhaustive::OPERATIONS_MAX)))]
        operations: u32,
    },
    /// Long histories at random, with crashes, kills and failing disks in between.
    Lives {
        /// The seeds, as 0..1000. Runs over different seeds add up.
        #[arg(long, value_parser = parse_range)]
        seeds: Range<u64>,
    },
    /// A fault at every operation of the disk, once and for ever.
    Faults {
        /// Of so many faults one is tried.
        #[arg(long, default_value_t = 1)]
        one_of: usize,
    },
    /// Damage to what was acknowledged: bits that flip, sectors that are lost, stale or in another place.
    Damage {
        /// The seeds, as 0..1000. Runs over different seeds add up.
        #[arg(long, value_parser = parse_range)]
        seeds: Range<u64>,
        /// How many damages each history is given.
        #[arg(long, default_value_t = DAMAGES)]
        damages: usize,
    },
    /// The share of all explorations that every change is checked with.
    Share,
    /// Switches on one seeded bug after the other, and fails unless each is caught.
    #[cfg(tapelog_seeded_bugs)]
    Bugs(tapelog_simulation::bugs::Arguments),
    /// Plays one history again and says what it breaks.
    Replay {
        /// What explored it: exhaustive, lives, faults or damage.
        exploration: String,
        /// The history or the case of damage, as it was printed.
        case: String,
    },
}

fn parse_range(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or_else(|| format!("{text:?} is no range of seeds: expected the form 0..1000"))?;
    let parse = |number: &str| number.parse().map_err(|error| format!("{number:?} is no seed: {error}"));
    let range = parse(from)?..parse(to)?;
    if range.is_empty() { Err(format!("{text:?} holds no seed")) } else { Ok(range) }
}

/// How many damages each history is given by default.
const DAMAGES: usize = 40;

/// The share of each exploration that every change is checked with.
const SHARE_OPERATIONS: u32 = 3;
/// As [`SHARE_OPERATIONS`], for those in which another process goes on.
const SHARE_FURTHER: u32 = 2;
/// As [`SHARE_OPERATIONS`].
const SHARE_SEEDS: Range<u64> = 0..1_500;
/// As [`SHARE_OPERATIONS`].
const SHARE_DAMAGE_SEEDS: Range<u64> = 0..400;
/// As [`SHARE_OPERATIONS`].
const SHARE_FAULTS_ONE_OF: usize = 8;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    runner::catch_panics();
    let mut output = Output {
        json: arguments.json,
        jobs: arguments.jobs.unwrap_or_else(|| available_parallelism().map_or(1, usize::from)),
        summary: Summary::default(),
    };
    match arguments.command {
        Command::Exhaustive { operations } => output.exhaustive(operations, operations),
        Command::Lives { seeds } => output.lives(seeds),
        Command::Faults { one_of } => output.faults(one_of),
        Command::Damage { seeds, damages } => output.damage(seeds, damages),
        Command::Share => {
            output.exhaustive(SHARE_OPERATIONS, SHARE_FURTHER);
            output.lives(SHARE_SEEDS);
            output.faults(SHARE_FAULTS_ONE_OF);
            output.damage(SHARE_DAMAGE_SEEDS, DAMAGES);
        }
        #[cfg(tapelog_seeded_bugs)]
        Command::Bugs(arguments) => return tapelog_simulation::bugs::run(&arguments, output.jobs, output.json),
        Command::Replay { exploration, case } => return replay(&exploration, &case),
    }
    output.finish()
}

struct Output {
    json: bool,
    jobs: usize,
    summary: Summary,
}

impl Output {
    fn exhaustive(&mut self, operations: u32, further: u32) {
        self.run(&Exhaustive::with_further(operations, further), format!("up to {operations} operations"));
    }

    fn lives(&mut self, seeds: Range<u64>) {
        let range = format!("seeds {}..{}", seeds.start, seeds.end);
        self.run(&Lives { seeds }, range);
    }

    fn faults(&mut self, one_of: usize) {
        self.run(&Faults { one_of }, format!("one of {one_of}"));
    }

    fn damage(&mut self, seeds: Range<u64>, damages: usize) {
        let begun = Instant::now();
        let range = format!("seeds {}..{}", seeds.start, seeds.end);
        let (findings, table) = runner::run_damage(seeds, damages, self.jobs, std::io::stderr().is_terminal());
        self.summary.push(Row { exploration: "damage".to_owned(), range, seconds: begun.elapsed().as_secs_f64(), findings });
        self.summary.damage.add(&table);
    }

    fn run(&mut self, exploration: &dyn Exploration, range: String) {
        let begun = Instant::now();
        let findings = runner::run(exploration, self.jobs, std::io::stderr().is_terminal());
        self.summary.push(Row { exploration: exploration.name().to_owned(), range, seconds: begun.elapsed().as_secs_f64(), findings });
    }

    fn finish(&self) -> ExitCode {
        let text = if self.json { serde_json::to_string(&self.summary).unwrap_or_default() } else { self.summary.table() };
        let told = writeln!(std::io::stdout(), "{}", text.trim_end());
        if self.summary.is_clean && told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn replay(name: &str, case: &str) -> ExitCode {
    let (told, code) = match replayed(name, case) {
        Ok(told) => (told, ExitCode::SUCCESS),
        Err(broken) => (broken, ExitCode::FAILURE),
    };
    let _ = writeln!(std::io::stdout(), "{case}: {told}");
    code
}

fn replayed(name: &str, case: &str) -> Result<String, String> {
    if name == damage::NAME {
        let applied = damage::replay(&case.parse::<DamageCase>()?, &mut DamageTable::default())?;
        return Ok(if applied { "every promise is kept" } else { "the damage does not apply" }.to_owned());
    }
    let explorations: [&dyn Exploration; 3] = [&Exhaustive::new(0), &Lives { seeds: 0..0 }, &Faults { one_of: 1 }];
    let exploration = explorations.into_iter().find(|exploration| exploration.name() == name);
    let exploration = exploration.ok_or_else(|| format!("{name:?} is no exploration"))?;
    let history: History = case.parse()?;
    let mut oracle = Oracle::default();
    runner::guarded(|| exploration.explore(&history, &mut oracle))?;
    Ok(format!("{} disks, and every promise is kept", oracle.counts.images))
}
