//! Two things that must not grow with a run: the memory of the process that writes it, and the time to open it again
//! after a crash.
//!
//! `memory [record] [reopen] [--entries 5000000] [--report-every 500000] [--batch 100] [--gigabytes 1,4] [--crashes 3]
//! [--opens 7] [--dir FOLDER] [--json]`; without `record` and `reopen` both are done.
//!
//! *record* appends entries, each batch synced, and looks at the anonymous memory of this process: what is resident at
//! the end of each stretch, and the most and the least that was seen on the way. The image of the active segment fills
//! up and is given back, so that it is the most that must stay flat.
//!
//! *reopen* starts this program once more as a process that writes, kills it with SIGKILL when the run is long enough,
//! and times how long it takes to open the run: recovering it, from the page cache. What recovery changes is put back
//! from a copy before each opening, so that every one of them finds the run as the killed process left it.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;
use tapelog::{EventStore, EventStoreError, SegmentBackend};
use tapelog_peers::Failure;
use tapelog_peers::arguments::Arguments;
use tapelog_peers::entries::{EntrySource, INSTANCE, manifest};
use tapelog_peers::scratch::scratch;
use tapelog_peers::statistics::{median, quantile};
use tapelog_peers::text::grouped;

const RUN: &str = "1-00000001";
/// How often memory is looked at, in entries.
const LOOK_EVERY: u64 = 5_000;
/// How many segments at the end of a run recovery may change: the last one and the spares, with one to spare.
const TAIL_SEGMENTS: u32 = 5;
const SEGMENT_LEN: u64 = 64 << 20;

#[derive(Debug, Serialize)]
struct Stretch {
    entries: u64,
    now_kib: u64,
    least_kib: u64,
    most_kib: u64,
}

#[derive(Debug, Serialize)]
struct Recorded {
    entries: u64,
    seconds: f64,
    entries_per_second: f64,
    bytes_per_entry: f64,
    spares_missed: u64,
    stretches: Vec<Stretch>,
}

#[derive(Debug, Serialize)]
struct Reopened {
    gigabytes: u64,
    crashes: usize,
    entries: u64,
    after_crash_ms_p50: f64,
    after_crash_ms_max: f64,
    again_ms_p50: f64,
}

#[derive(Debug, Default, Serialize)]
struct Report {
    recorded: Option<Recorded>,
    reopened: Vec<Reopened>,
}

fn main() -> Result<(), Failure> {
    let mut arguments = Arguments::of_process();
    if let Some(base) = arguments.text("--write-until-killed")? {
        return write_until_killed(Path::new(&base));
    }
    let (record_only, reopen_only, json) = (arguments.switch("record"), arguments.switch("reopen"), arguments.switch("--json"));
    let entries = arguments.value("--entries", 5_000_000)?;
    let report_every = arguments.value("--report-every", 500_000)?;
    let batch = arguments.value("--batch", 100)?;
    let gigabytes = arguments.list("--gigabytes", vec![1, 4])?;
    let crashes = arguments.value("--crashes", 3)?;
    let opens = arguments.value("--opens", 7)?;
    let dir = arguments.text("--dir")?;
    arguments.finish()?;

    let mut report = Report::default();
    if record_only || !reopen_only {
        let recorded = record(scratch(dir.clone())?.path(), entries, report_every, batch)?;
        if !json {
            print_recorded(&recorded)?;
        }
        report.recorded = Some(recorded);
    }
    if reopen_only || !record_only {
        report.reopened = reopen(dir.as_ref(), &gigabytes, crashes, opens)?;
        if !json {
            report.reopened.iter().try_for_each(print_reopened)?;
        }
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    }
    Ok(())
}

/// The anonymous memory of this process that is resident, in KiB.
fn anonymous_kib() -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("the system does not tell the anonymous memory")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn record(folder: &Path, entries: u64, report_every: u64, batch: usize) -> Result<Recorded, Failure> {
    let mut store = SegmentBackend::new(folder);
    store.open_run(manifest(RUN))?;
    let mut source = EntrySource::default();
    let mut stretches = Vec::new();
    let (mut least_kib, mut most_kib) = (u64::MAX, 0);
    let (mut next_look, mut next_report) = (LOOK_EVERY, report_every);
    let mut busy = Duration::ZERO;
    let mut written = 0;
    while written < entries {
        let ready = source.batch(batch);
        let begin = Instant::now();
        written = store.append_batch(&ready)?;
        busy += begin.elapsed();
        if written >= next_look {
            let kib = anonymous_kib()?;
            (least_kib, most_kib) = (least_kib.min(kib), most_kib.max(kib));
            next_look += LOOK_EVERY;
        }
        if written >= next_report {
            stretches.push(Stretch { entries: written, now_kib: anonymous_kib()?, least_kib, most_kib });
            (least_kib, most_kib) = (u64::MAX, 0);
            next_report += report_every;
        }
    }
    let stats = store.stats();
    let full_segments = fs::read_dir(store.current_path()?)?.filter_map(Result::ok).filter(|entry| is_index(&entry.path())).count();
    Ok(Recorded {
        entries: written,
        seconds: busy.as_secs_f64(),
        entries_per_second: written as f64 / busy.as_secs_f64(),
        bytes_per_entry: (full_segments as u64 * SEGMENT_LEN) as f64 / written as f64,
        spares_missed: stats.spares_missed,
        stretches,
    })
}

fn is_index(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "idx")
}

/// Writes as fast as it can and says after each megabyte or so how far it has come.
fn write_until_killed(base: &Path) -> Result<(), Failure> {
    let mut store = SegmentBackend::new(base);
    store.open_run(manifest(RUN))?;
    let mut source = EntrySource::default();
    let mut out = std::io::stdout().lock();
    loop {
        for _ in 0..20 {
            store.append_batch(&source.batch(100))?;
        }
        writeln!(out, "{}", store.high_watermark()?)?;
        out.flush()?;
    }
}

/// A run of this length whose writer was killed; answers the last entry that it had acknowledged.
fn crashed_run(base: &Path, bytes: u64) -> Result<u64, Failure> {
    let mut child = Command::new(std::env::current_exe()?).arg("--write-until-killed").arg(base).stdout(Stdio::piped()).spawn()?;
    let out = child.stdout.take().ok_or("the process that writes has no output")?;
    let mut acknowledged = 0;
    let entry_len = u64::try_from(tapelog_peers::systems::tapelog::sample(base, 100)?.len() / 100)?;
    for line in BufReader::new(out).lines() {
        acknowledged = line?.trim().parse()?;
        if acknowledged * entry_len >= bytes {
            break;
        }
    }
    child.kill()?;
    child.wait()?;
    if acknowledged * entry_len < bytes {
        return Err("the process that writes ended by itself".into());
    }
    Ok(acknowledged)
}

/// The files that recovery may change, kept aside.
struct Tail {
    folder: PathBuf,
    aside: PathBuf,
    names: Vec<String>,
}

impl Tail {
    fn keep(folder: &Path, aside: PathBuf) -> Result<Self, Failure> {
        let mut names: Vec<String> =
            fs::read_dir(folder)?.filter_map(Result::ok).filter_map(|entry| entry.file_name().into_string().ok()).collect();
        let ordinal = |name: &str| name.split('.').next().and_then(|digits| digits.parse::<u32>().ok());
        let newest = names.iter().filter_map(|name| ordinal(name)).max().unwrap_or_default();
        names.retain(|name| name == "WATERMARK" || ordinal(name).is_some_and(|ordinal| ordinal + TAIL_SEGMENTS > newest));
        fs::create_dir(&aside)?;
        for name in &names {
            fs::copy(folder.join(name), aside.join(name))?;
        }
        Ok(Self { folder: folder.to_path_buf(), aside, names })
    }

    fn put_back(&self) -> Result<(), Failure> {
        for name in &self.names {
            fs::copy(self.aside.join(name), self.folder.join(name))?;
            fs::File::open(self.folder.join(name))?.sync_all()?;
        }
        Ok(())
    }
}

/// Opens the run; answers the milliseconds that it took and the last entry that is there.
fn open(base: &Path) -> Result<(f64, u64), Failure> {
    let mut store = SegmentBackend::new(base);
    let begin = Instant::now();
    let opened = store.open_run(manifest(RUN));
    let took = begin.elapsed().as_secs_f64() * 1e3;
    match opened {
        Err(EventStoreError::CrashedPredecessor) => Ok((took, store.high_watermark()?)),
        other => Err(format!("a run whose writer was killed was opened with {other:?}").into()),
    }
}

/// A run whose writer was killed.
struct Crashed {
    base: PathBuf,
    tail: Tail,
    acknowledged: u64,
}

impl Crashed {
    fn new(folder: &Path, gigabytes: u64) -> Result<Self, Failure> {
        let base = folder.join(format!("{gigabytes}-gb"));
        let acknowledged = crashed_run(&base, gigabytes << 30)?;
        let tail = Tail::keep(&SegmentBackend::new(&base).run_path(INSTANCE, RUN), folder.join(format!("{gigabytes}-gb-aside")))?;
        Ok(Self { base, tail, acknowledged })
    }

    /// Opens the run as the killed process left it, and then once more as that left it.
    fn open_twice(&self, figures: &mut Figures) -> Result<(), Failure> {
        self.tail.put_back()?;
        let (took, found) = open(&self.base)?;
        if found < self.acknowledged {
            return Err(format!("{} entries were acknowledged, and {found} are there", self.acknowledged).into());
        }
        figures.entries = found;
        figures.after_crash.push(took);
        figures.again.push(open(&self.base)?.0);
        Ok(())
    }
}

#[derive(Default)]
struct Figures {
    entries: u64,
    after_crash: Vec<f64>,
    again: Vec<f64>,
}

/// Opens runs of all sizes in turn, so that a machine that is slow for a while is slow for all of them.
fn reopen(dir: Option<&String>, gigabytes: &[u64], crashes: usize, opens: usize) -> Result<Vec<Reopened>, Failure> {
    let mut figures: Vec<Figures> = gigabytes.iter().map(|_| Figures::default()).collect();
    for _ in 0..crashes {
        let scratch = scratch(dir.cloned())?;
        let runs: Vec<Crashed> = gigabytes.iter().map(|gigabytes| Crashed::new(scratch.path(), *gigabytes)).collect::<Result<_, _>>()?;
        for _ in 0..opens {
            for (run, figures) in runs.iter().zip(&mut figures) {
                run.open_twice(figures)?;
            }
        }
    }
    let reopened = gigabytes.iter().zip(figures).map(|(gigabytes, figures)| Reopened {
        gigabytes: *gigabytes,
        crashes,
        entries: figures.entries,
        after_crash_ms_p50: median(&figures.after_crash),
        after_crash_ms_max: quantile(&figures.after_crash, 1.0),
        again_ms_p50: median(&figures.again),
    });
    Ok(reopened.collect())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of entries a second is shown whole")]
fn print_recorded(recorded: &Recorded) -> Result<(), Failure> {
    let mut text = String::new();
    writeln!(text, "{:>10} {:>14} {:>14} {:>14}", "entries", "now KiB", "least KiB", "most KiB")?;
    for stretch in &recorded.stretches {
        let figures = [stretch.entries, stretch.now_kib, stretch.least_kib, stretch.most_kib].map(grouped);
        writeln!(text, "{:>10} {:>14} {:>14} {:>14}", figures[0], figures[1], figures[2], figures[3])?;
    }
    writeln!(
        text,
        "{} entries in {:.1} s: {}/s, about {:.0} bytes an entry, {} spares missed",
        grouped(recorded.entries),
        recorded.seconds,
        grouped(recorded.entries_per_second as u64),
        recorded.bytes_per_entry,
        recorded.spares_missed
    )?;
    print!("{text}");
    Ok(())
}

fn print_reopened(reopened: &Reopened) -> Result<(), Failure> {
    let mut text = String::new();
    writeln!(
        text,
        "{} GB, {} entries, {} crashes: opened after the crash in p50 {:.1} ms, max {:.1} ms; once more in p50 {:.1} ms",
        reopened.gigabytes,
        grouped(reopened.entries),
        reopened.crashes,
        reopened.after_crash_ms_p50,
        reopened.after_crash_ms_max,
        reopened.again_ms_p50
    )?;
    print!("{text}");
    Ok(())
}
