//! The memory that reading takes must not grow with a run.
//!
//! `scan_memory [--entries 10000000] [--report-every 1000000] [--dir FOLDER] [--json]` writes a run of that many entries,
//! seals it and reads all of it in each way, looking at this process's memory on the way: what is anonymous, and what is
//! resident of mapped files, which belongs to the page cache and is bounded by the number of segments held open.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use tapelog::{
    Check, Durability, EventStore, FollowOptions, Follower, Progress, ReadPath, ReaderOptions, RunReader, RunStatus, ScanDirection,
    SegmentBackend, Visibility,
};
use tapelog_peers::Failure;
use tapelog_peers::arguments::Arguments;
use tapelog_peers::entries::{EntrySource, manifest};
use tapelog_peers::scratch::scratch;
use tapelog_peers::text::grouped;

const RUN: &str = "1-00000001";

#[derive(Debug, Serialize)]
struct Read {
    way: &'static str,
    entries: u64,
    seconds: f64,
    /// The anonymous memory at each stretch, in KiB.
    anonymous_kib: Vec<u64>,
    /// The most that was resident of mapped files, in KiB.
    mapped_kib: u64,
}

/// Counts entries, and looks at the memory on the way.
struct Looks {
    every: u64,
    seen: u64,
    anonymous_kib: Vec<u64>,
    mapped_kib: u64,
}

impl Looks {
    fn see(&mut self) -> ControlFlow<Failure> {
        self.seen += 1;
        if self.seen.is_multiple_of(self.every) {
            match resident_kib("RssAnon:").and_then(|anonymous| Ok((anonymous, resident_kib("RssFile:")?))) {
                Ok((anonymous, mapped)) => {
                    self.anonymous_kib.push(anonymous);
                    self.mapped_kib = self.mapped_kib.max(mapped);
                }
                Err(error) => return ControlFlow::Break(error),
            }
        }
        ControlFlow::Continue(())
    }
}

fn resident_kib(what: &str) -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(what)).ok_or("the system does not tell the resident memory")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn write(base: &Path, entries: u64) -> Result<std::path::PathBuf, Failure> {
    let durability = Durability::Buffered { sync_every: Duration::from_millis(50) };
    let mut store = SegmentBackend::builder(base).durability(durability).build()?;
    store.open_run(manifest(RUN))?;
    let mut source = EntrySource::default();
    let mut written = 0;
    while written < entries {
        let batch = source.batch(usize::try_from((entries - written).min(500))?);
        store.append_batch(&batch)?;
        written += batch.len() as u64;
    }
    store.seal(RunStatus::Ended)?;
    Ok(store.current_path()?.to_owned())
}

fn timed(way: &'static str, every: u64, read: impl FnOnce(&mut Looks) -> Result<(), Failure>) -> Result<Read, Failure> {
    let mut looks = Looks { every, seen: 0, anonymous_kib: Vec::new(), mapped_kib: 0 };
    let begin = Instant::now();
    read(&mut looks)?;
    let seconds = begin.elapsed().as_secs_f64();
    Ok(Read { way, entries: looks.seen, seconds, anonymous_kib: looks.anonymous_kib, mapped_kib: looks.mapped_kib })
}

fn visit(folder: &Path, read_path: ReadPath, direction: ScanDirection, looks: &mut Looks) -> Result<(), Failure> {
    let reader = RunReader::open_with(folder, ReaderOptions { visibility: Visibility::Durable, read_path })?;
    reader.visit(.., direction, Check::Crc, |_| looks.see())?.map_or(Ok(()), Err)
}

fn values(folder: &Path, looks: &mut Looks) -> Result<(), Failure> {
    for entry in RunReader::open(folder)?.entries(.., ScanDirection::Forward) {
        entry?;
        if let ControlFlow::Break(error) = looks.see() {
            return Err(error);
        }
    }
    Ok(())
}

fn follow(folder: &Path, looks: &mut Looks) -> Result<(), Failure> {
    let mut follower = Follower::open(folder, FollowOptions::default())?;
    loop {
        let mut failed = None;
        let progress = follower.visit(Duration::ZERO, Check::Crc, |_| match looks.see() {
            ControlFlow::Continue(()) => ControlFlow::Continue(()),
            ControlFlow::Break(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })?;
        failed.map_or(Ok(()), Err)?;
        match progress {
            Progress::Shown(_) => {}
            Progress::Idle => return Err("a follower of a sealed run came to no end".into()),
            Progress::Ended(_) => return Ok(()),
        }
    }
}

fn main() -> Result<(), Failure> {
    let mut arguments = Arguments::of_process();
    let json = arguments.switch("--json");
    let entries = arguments.value("--entries", 10_000_000)?;
    let every = arguments.value("--report-every", 1_000_000)?;
    let dir = arguments.text("--dir")?;
    arguments.finish()?;
    let scratch = scratch(dir)?;
    let folder = write(scratch.path(), entries)?;
    let reads = [
        timed("by position, forward", every, |looks| visit(&folder, ReadPath::Positional, ScanDirection::Forward, looks))?,
        timed("by position, reverse", every, |looks| visit(&folder, ReadPath::Positional, ScanDirection::Reverse, looks))?,
        timed("by position, as values", every, |looks| values(&folder, looks))?,
        timed("by a follower", every, |looks| follow(&folder, looks))?,
        timed("through maps, forward", every, |looks| visit(&folder, ReadPath::Map, ScanDirection::Forward, looks))?,
        timed("through maps, reverse", every, |looks| visit(&folder, ReadPath::Map, ScanDirection::Reverse, looks))?,
    ];
    if json {
        println!("{}", serde_json::to_string_pretty(&reads)?);
        return Ok(());
    }
    println!("{:<24} {:>12} {:>8} {:>14} {:>14} {:>14}", "read", "entries", "s", "first KiB", "most KiB", "mapped KiB");
    for read in &reads {
        let first = read.anonymous_kib.first().copied().unwrap_or_default();
        let most = read.anonymous_kib.iter().copied().max().unwrap_or_default();
        let [count, first, most, mapped] = [read.entries, first, most, read.mapped_kib].map(grouped);
        println!("{:<24} {count:>12} {:>8.1} {first:>14} {most:>14} {mapped:>14}", read.way, read.seconds);
    }
    Ok(())
}
