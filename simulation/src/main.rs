//! The command `simulate`: explores every crash that can happen to the store.

use std::fmt::Display;
use std::io::{Write, stderr, stdout};
use std::ops::Range;
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::Instant;

use clap::{Parser, Subcommand};
use serde::Serialize;
use tapelog_simulation::explore::exhaustive;
use tapelog_simulation::explore::explorations::{Exhaustive, Faults, Lives};
use tapelog_simulation::progress::Progress;
use tapelog_simulation::replay::Case;
use tapelog_simulation::runner::{self, Exploration};
use tapelog_simulation::summary::{Row, Summary, columns_in_words};

/// The exit code where the command was not understood.
const NOT_UNDERSTOOD: u8 = 2;

/// Explores the crashes of tapelog on a simulated disk.
#[derive(Debug, Parser)]
#[command(name = "simulate", version, after_help = after_help())]
struct Arguments {
    /// Prints JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
    /// The number of threads, 256 at most; by default one for each core.
    #[arg(long, global = true, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
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
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        one_of: u32,
    },
    /// Damage to what was acknowledged: bits that flip, sectors that are lost, stale or in another place.
    Damage {
        /// The seeds, as 0..1000. Runs over different seeds add up.
        #[arg(long, value_parser = parse_range)]
        seeds: Range<u64>,
        /// How many damages each history is given, 10000 at most.
        #[arg(long, default_value_t = DAMAGES, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        damages: u16,
    },
    /// The share of all explorations that every change is checked with.
    Share,
    /// Switches on one seeded bug after the other, and fails unless each is caught as the committed table says.
    #[cfg(tapelog_seeded_bugs)]
    Bugs(tapelog_simulation::bugs::Arguments),
    /// The hunt for seeded bugs, which this build does not have; says how one is made that does.
    #[cfg(not(tapelog_seeded_bugs))]
    Bugs {
        /// Whatever a build with seeded bugs would take.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        arguments: Vec<String>,
    },
    /// Plays one history again and says what it breaks.
    Replay {
        /// What explored it: exhaustive, lives, faults or damage.
        exploration: String,
        /// The history or the case of damage, as it was printed.
        case: String,
    },
}

fn after_help() -> String {
    format!(
        "What the table counts; JSON has the same names, with _ for a space:\n{}\
         \nThe exit code is 0 where every promise is kept, 1 where one is broken or the output cannot be written, and 2 where the\n\
         command is not understood or cannot be played. RELIABILITY.md, sections 4 and 8, says more.",
        columns_in_words()
    )
}

fn parse_range(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or_else(|| format!("{text:?} is no range of seeds: expected the form 0..1000"))?;
    let parse = |number: &str| number.parse().map_err(|error| format!("{number:?} is no seed: {error}"));
    let range = parse(from)?..parse(to)?;
    if range.is_empty() { Err(format!("{text:?} holds no seed")) } else { Ok(range) }
}

/// How many damages each history is given by default.
const DAMAGES: u16 = 40;

/// The share of each exploration that every change is checked with.
const SHARE_OPERATIONS: u32 = 3;
/// As [`SHARE_OPERATIONS`], for those in which another process goes on.
const SHARE_FURTHER: u32 = 2;
/// As [`SHARE_OPERATIONS`].
const SHARE_SEEDS: Range<u64> = 0..1_500;
/// As [`SHARE_OPERATIONS`].
const SHARE_DAMAGE_SEEDS: Range<u64> = 0..400;
/// As [`SHARE_OPERATIONS`].
const SHARE_FAULTS_ONE_OF: u32 = 8;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(wrong) = check_environment() {
        return refuse(&wrong);
    }
    runner::catch_panics();
    let mut output = Output {
        json: arguments.json,
        jobs: arguments.jobs.map_or_else(|| available_parallelism().map_or(1, usize::from), usize::from),
        progress: Progress::of_stderr(),
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
        Command::Bugs(arguments) => {
            let (report, differences) = tapelog_simulation::bugs::run(&arguments, output.jobs);
            let is_good = report.is_good() && differences.is_empty();
            let text = if output.json { json(&report) } else { Ok(report.text()) };
            for difference in &differences {
                complain(difference);
            }
            return tell(text, is_good);
        }
        #[cfg(not(tapelog_seeded_bugs))]
        Command::Bugs { .. } => return refuse(&format!("this build has no seeded bugs; {SEEDED_BUILD}")),
        Command::Replay { exploration, case } => return replay(&exploration, &case, output.json),
    }
    output.finish()
}

/// How a build is made that has seeded bugs.
#[cfg(not(tapelog_seeded_bugs))]
const SEEDED_BUILD: &str =
    "build with RUSTFLAGS=\"--cfg tapelog_seeded_bugs\" and a CARGO_TARGET_DIR of its own, such as target/seeded_bugs";

/// Checks that the bug which the environment switches on is one, before a thread would meet with it in the middle of its work.
#[cfg(tapelog_seeded_bugs)]
fn check_environment() -> Result<(), String> {
    tapelog::seeded_bug::of_the_environment().map(|_| ())
}

/// Checks that nobody takes this build for one in which the environment can switch on a bug.
#[cfg(not(tapelog_seeded_bugs))]
fn check_environment() -> Result<(), String> {
    match std::env::var_os("TAPELOG_SEEDED_BUG").filter(|bug| !bug.is_empty()) {
        Some(bug) => Err(format!("TAPELOG_SEEDED_BUG is {}, and this build has no seeded bugs; {SEEDED_BUILD}", bug.display())),
        None => Ok(()),
    }
}

struct Output {
    json: bool,
    jobs: usize,
    progress: Progress,
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

    fn faults(&mut self, one_of: u32) {
        self.run(&Faults { one_of: one_of as usize }, format!("one of {one_of}"));
    }

    fn damage(&mut self, seeds: Range<u64>, damages: u16) {
        let begun = Instant::now();
        let range = format!("seeds {}..{}", seeds.start, seeds.end);
        let (findings, table) = runner::run_damage(seeds, usize::from(damages), self.jobs, self.progress);
        self.push(Row { exploration: "damage".to_owned(), range, seconds: begun.elapsed().as_secs_f64(), findings });
        self.summary.damage.add(&table);
    }

    fn run(&mut self, exploration: &dyn Exploration, range: String) {
        let begun = Instant::now();
        let findings = runner::run(exploration, self.jobs, self.progress);
        self.push(Row { exploration: exploration.name().to_owned(), range, seconds: begun.elapsed().as_secs_f64(), findings });
    }

    fn push(&mut self, row: Row) {
        self.progress.say(&row.line());
        self.summary.push(row);
    }

    fn finish(&self) -> ExitCode {
        let text = if self.json { json(&self.summary) } else { Ok(self.summary.table()) };
        tell(text, self.summary.is_clean)
    }
}

fn replay(exploration: &str, case: &str, as_json: bool) -> ExitCode {
    let replayed = Case::parse(exploration, case).and_then(|case| case.play());
    match replayed {
        Ok(replayed) => tell(if as_json { json(&replayed) } else { Ok(replayed.text()) }, replayed.is_clean),
        Err(wrong) => refuse(&wrong),
    }
}

fn json(value: &impl Serialize) -> Result<String, String> {
    serde_json::to_string(value).map_err(|error| format!("the figures are no JSON: {error}"))
}

/// Writes what was found; a text that nobody gets is no success.
fn tell(text: Result<String, String>, is_good: bool) -> ExitCode {
    let written = text.and_then(|text| {
        let mut output = stdout();
        writeln!(output, "{}", text.trim_end())
            .and_then(|()| output.flush())
            .map_err(|error| format!("the output cannot be written: {error}"))
    });
    if let Err(error) = &written {
        complain(error);
    }
    if is_good && written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn refuse(wrong: &str) -> ExitCode {
    complain(wrong);
    ExitCode::from(NOT_UNDERSTOOD)
}

fn complain(error: impl Display) {
    let _ = writeln!(stderr(), "error: {error}");
}
