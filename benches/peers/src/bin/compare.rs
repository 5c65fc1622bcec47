//! Compares the cost of making batches durable: the floor of the disk, tapelog, and other stores.
//!
//! One run, interleaved: in every round each system works for a slice of time on entries that were made ready
//! before, then all is given time to settle, then the next system has its slice. Every round begins with another
//! system. What is shown are medians over the rounds, and ratios are medians of the ratios within a round, so
//! that a disk that is slow for a while is slow for all.
//!
//! `compare [--rounds 15] [--slice-ms 250] [--settle-ms 150] [--sizes 1,10,100,1000] [--systems floor,tapelog,redb,fjall]
//! [--dir FOLDER] [--json]`

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use tapelog::AppendEntry;
use tapelog_peers::Failure;
use tapelog_peers::arguments::Arguments;
use tapelog_peers::entries::EntrySource;
use tapelog_peers::scratch::scratch;
use tapelog_peers::statistics::{median, micros, quantile};
use tapelog_peers::systems::System;
use tapelog_peers::systems::floor::{Extent, Floor};
use tapelog_peers::systems::lsm::Fjall;
use tapelog_peers::systems::redb::Redb;
use tapelog_peers::systems::tapelog::{Tapelog, sample};
use tapelog_peers::text::grouped;

/// How many entries are made ready at a time.
const READY_ENTRIES: usize = 4000;

struct Plan {
    rounds: usize,
    slice: Duration,
    settle: Duration,
    systems: Vec<String>,
}

/// What one system did in one slice.
struct Slice {
    latencies_us: Vec<f64>,
    busy: Duration,
}

struct Lane {
    system: Box<dyn System>,
    entries: EntrySource,
    slices: Vec<Slice>,
}

/// One line of the table.
#[derive(Debug, Serialize)]
struct Line {
    batch: usize,
    system: &'static str,
    p50_us: f64,
    p99_us: f64,
    entries_per_second: f64,
    /// The time of one batch over that of the floor, of its exact bytes and of its blocks.
    p50_over_floor_exact: Option<f64>,
    p50_over_floor_blocks: Option<f64>,
    /// Entries a second over those of the other store.
    speed_over_redb: Option<f64>,
    batches: usize,
}

#[derive(Debug, Serialize)]
struct Report {
    rounds: usize,
    slice_ms: u128,
    bytes_per_batch: Vec<(usize, usize)>,
    lines: Vec<Line>,
}

fn main() -> Result<(), Failure> {
    let mut arguments = Arguments::of_process();
    let json = arguments.switch("--json");
    let plan = Plan {
        rounds: arguments.value("--rounds", 15)?,
        slice: Duration::from_millis(arguments.value("--slice-ms", 250)?),
        settle: Duration::from_millis(arguments.value("--settle-ms", 150)?),
        systems: arguments.list("--systems", ["floor", "tapelog", "redb", "fjall"].map(str::to_owned).to_vec())?,
    };
    let sizes = arguments.list("--sizes", vec![1, 10, 100, 1000])?;
    let dir = arguments.text("--dir")?;
    arguments.finish()?;

    let mut report = Report { rounds: plan.rounds, slice_ms: plan.slice.as_millis(), bytes_per_batch: Vec::new(), lines: Vec::new() };
    for batch in sizes {
        let folder = scratch(dir.clone())?;
        let sample = sample(folder.path(), batch)?;
        eprintln!("batches of {batch}: {} bytes each, {} rounds", grouped(sample.len() as u64), plan.rounds);
        let lines = measure(&plan, folder.path(), batch, &sample)?;
        if !json {
            print_table(&lines)?;
        }
        report.bytes_per_batch.push((batch, sample.len()));
        report.lines.extend(lines);
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    }
    Ok(())
}

fn lanes(plan: &Plan, folder: &Path, sample: &[u8]) -> Result<Vec<Lane>, Failure> {
    let mut lanes = Vec::new();
    for name in &plan.systems {
        let systems: Vec<Box<dyn System>> = match name.as_str() {
            "floor" => vec![Box::new(Floor::new(folder, Extent::Exact, sample)?), Box::new(Floor::new(folder, Extent::Blocks, sample)?)],
            "tapelog" => vec![Box::new(Tapelog::new(folder)?)],
            "redb" => vec![Box::new(Redb::new(folder)?)],
            "fjall" => vec![Box::new(Fjall::new(folder)?)],
            other => return Err(format!("there is no system {other}; there are floor, tapelog, redb and fjall").into()),
        };
        lanes.extend(systems.into_iter().map(|system| Lane { system, entries: EntrySource::default(), slices: Vec::new() }));
    }
    Ok(lanes)
}

fn measure(plan: &Plan, folder: &Path, batch: usize, sample: &[u8]) -> Result<Vec<Line>, Failure> {
    let mut lanes = lanes(plan, folder, sample)?;
    let count = lanes.len();
    // The first round warms up and is not counted.
    for round in 0..=plan.rounds {
        for turn in 0..count {
            let Some(lane) = lanes.get_mut((round + turn) % count) else { continue };
            std::thread::sleep(plan.settle);
            let slice = run_slice(lane, batch, plan.slice)?;
            if round > 0 {
                lane.slices.push(slice);
            }
        }
    }
    for lane in &lanes {
        // What was not kept was not measured.
        if let Some(held) = lane.system.held()?.filter(|held| *held != lane.entries.made()) {
            return Err(format!("{} was given {} entries and holds {held}", lane.system.name(), lane.entries.made()).into());
        }
    }
    Ok(lines(&lanes, batch))
}

/// Lets one system work until it was busy for as long as a slice is.
fn run_slice(lane: &mut Lane, batch: usize, busy_for: Duration) -> Result<Slice, Failure> {
    let mut slice = Slice { latencies_us: Vec::new(), busy: Duration::ZERO };
    while slice.busy < busy_for {
        let ready: Vec<Vec<AppendEntry>> = (0..(READY_ENTRIES / batch).clamp(2, 64)).map(|_| lane.entries.batch(batch)).collect();
        for batch in &ready {
            let begin = Instant::now();
            lane.system.commit(batch)?;
            let took = begin.elapsed();
            slice.latencies_us.push(micros(took));
            slice.busy += took;
        }
    }
    Ok(slice)
}

#[expect(clippy::cast_precision_loss, reason = "numbers of batches are small")]
fn entries_per_second(slice: &Slice, batch: usize) -> f64 {
    (slice.latencies_us.len() * batch) as f64 / slice.busy.as_secs_f64()
}

fn lines(lanes: &[Lane], batch: usize) -> Vec<Line> {
    let p50s = |lane: &Lane| lane.slices.iter().map(|slice| median(&slice.latencies_us)).collect::<Vec<_>>();
    let p99s = |lane: &Lane| lane.slices.iter().map(|slice| quantile(&slice.latencies_us, 0.99)).collect::<Vec<_>>();
    let speeds = |lane: &Lane| lane.slices.iter().map(|slice| entries_per_second(slice, batch)).collect::<Vec<_>>();
    let named = |name: &str| lanes.iter().find(|lane| lane.system.name().starts_with(name));
    let ratio = |left: Vec<f64>, right: Vec<f64>| median(&left.iter().zip(&right).map(|(left, right)| left / right).collect::<Vec<_>>());
    lanes
        .iter()
        .map(|lane| Line {
            batch,
            system: lane.system.name(),
            p50_us: median(&p50s(lane)),
            p99_us: median(&p99s(lane)),
            entries_per_second: median(&speeds(lane)),
            p50_over_floor_exact: named("floor, exact").map(|floor| ratio(p50s(lane), p50s(floor))),
            p50_over_floor_blocks: named("floor, 4 KiB").map(|floor| ratio(p50s(lane), p50s(floor))),
            speed_over_redb: named("redb").map(|redb| ratio(speeds(lane), speeds(redb))),
            batches: lane.slices.iter().map(|slice| slice.latencies_us.len()).sum(),
        })
        .collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of entries a second is shown whole")]
fn print_table(lines: &[Line]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let shown = |ratio: Option<f64>| ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
    writeln!(
        out,
        "{:>5}  {:<20} {:>10} {:>10} {:>12} {:>9} {:>9} {:>7} {:>8}",
        "batch", "system", "p50 us", "p99 us", "entries/s", "/exact", "/blocks", "x redb", "batches"
    )?;
    for line in lines {
        writeln!(
            out,
            "{:>5}  {:<20} {:>10.1} {:>10.1} {:>12} {:>9} {:>9} {:>7} {:>8}",
            line.batch,
            line.system,
            line.p50_us,
            line.p99_us,
            grouped(line.entries_per_second as u64),
            shown(line.p50_over_floor_exact),
            shown(line.p50_over_floor_blocks),
            shown(line.speed_over_redb),
            line.batches
        )?;
    }
    Ok(())
}
