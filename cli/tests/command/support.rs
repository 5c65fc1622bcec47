//! A base folder of its own for each test, and the binary to run on it.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/order_flow.ndjson");
pub const SAMPLE_ENTRIES: u64 = 3984;

/// Small segments: the tests write many runs.
pub const SEGMENT_LEN: &str = "262144";

/// What a finished process said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    fn of(output: &std::process::Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout.clone()).unwrap(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Asserts the exit code, and that neither stream holds a control sequence or the trace of a panic.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for stream in [&self.stdout, &self.stderr] {
            assert!(!stream.contains('\u{1b}'), "{self:#?}");
            assert!(!stream.contains("panicked"), "{self:#?}");
        }
        self
    }

    #[track_caller]
    pub fn told(self, part: &str) -> Self {
        assert!(self.stderr.contains(part), "{part:?} is not told: {self:#?}");
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// Each line as JSON.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub fn lines(&self) -> Vec<&str> {
        self.stdout.lines().collect()
    }
}

pub fn command<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tapelog"));
    command.args(arguments).env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").stdin(Stdio::null());
    command
}

pub fn tapelog<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Said {
    Said::of(&command(arguments).output().unwrap())
}

/// A base folder that goes away with the test.
pub struct Base(TempDir);

impl Base {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn str(&self) -> &str {
        self.path().to_str().unwrap()
    }

    pub fn run(&self, run_id: &str) -> PathBuf {
        self.path().join("default").join(run_id)
    }

    /// A file beside the instances, with this content.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn record_arguments<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        [&["record", "--base", self.str(), "--segment-len", SEGMENT_LEN], arguments].concat()
    }

    /// Records `lines` from a pipe that is closed behind them.
    pub fn record(&self, lines: impl AsRef<[u8]>, arguments: &[&str]) -> Said {
        let mut child = self.record_open(arguments);
        // A command that ends early closes its end of the pipe.
        let _ = child.0.stdin.take().unwrap().write_all(lines.as_ref());
        child.end()
    }

    /// Begins to record from a pipe that stays open.
    pub fn record_open(&self, arguments: &[&str]) -> Recording {
        let mut command = command(self.record_arguments(arguments));
        Recording(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// A run of `count` events that is sealed.
    pub fn sealed_run(&self, run_id: &str, count: u64) -> PathBuf {
        self.record(events(1..=count), &["--run", run_id]).expect(0);
        self.run(run_id)
    }

    /// A run of `count` events whose writer was killed.
    pub fn crashed_run(&self, run_id: &str, count: u64) -> PathBuf {
        let mut recording = self.record_open(&["--run", run_id]);
        recording.write(events(1..=count));
        self.wait_for_entries(run_id, count);
        recording.kill();
        self.run(run_id)
    }

    pub fn wait_for_entries(&self, run_id: &str, count: u64) {
        let run = self.run(run_id);
        wait_until(&format!("{count} entries in {run_id}"), || {
            let said =
                tapelog(["cat".as_ref(), "--json".as_ref(), "--reverse".as_ref(), "--limit".as_ref(), "1".as_ref(), run.as_os_str()]);
            said.code == Some(0) && said.stdout.contains(&format!("{{\"seq\":{count},"))
        });
    }
}

/// A recording that waits for more input. It is killed when the test gives it up.
pub struct Recording(pub Child);

impl Recording {
    pub fn write(&mut self, lines: impl AsRef<[u8]>) {
        self.0.stdin.as_mut().unwrap().write_all(lines.as_ref()).unwrap();
    }

    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Closes the pipe and waits for the end.
    pub fn end(mut self) -> Said {
        drop(self.0.stdin.take());
        self.wait()
    }

    /// Waits for the end while the pipe stays open.
    pub fn wait(mut self) -> Said {
        let stdin = self.0.stdin.take();
        let collect = |stream: Option<Box<dyn std::io::Read + Send>>| {
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                std::io::Read::read_to_end(&mut stream.unwrap(), &mut bytes).unwrap();
                bytes
            })
        };
        let stdout = collect(self.0.stdout.take().map(|stream| Box::new(stream) as _));
        let stderr = collect(self.0.stderr.take().map(|stream| Box::new(stream) as _));
        let status = self.0.wait().unwrap();
        drop(stdin);
        Said::of(&std::process::Output { status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() })
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One event with the number `number`, whose payload is unlike any other's.
pub fn event(number: u64) -> String {
    format!(
        "{{\"topic\":\"events.order\",\"payload_type\":\"OrderFilled\",\"payload\":{{\"mark\":\"event-{number}-mark\"}},\
         \"ts_init\":{},\"client_order_id\":\"O-{number}\",\"venue_order_id\":\"V-{}\"}}\n",
        1_700_000_000_000_000_000 + number,
        number / 2
    )
}

pub fn events(numbers: impl IntoIterator<Item = u64>) -> String {
    numbers.into_iter().map(event).collect()
}

/// Flips one bit of the payload of the event `number`, wherever it lies.
pub fn damage_event(run: &Path, number: u64) {
    let mark = format!("event-{number}-mark");
    for entry in std::fs::read_dir(run).unwrap() {
        let path = entry.unwrap().path();
        if path.extension() != Some(OsStr::new("seg")) {
            continue;
        }
        let mut bytes = std::fs::read(&path).unwrap();
        if let Some(offset) = bytes.windows(mark.len()).position(|window| window == mark.as_bytes()) {
            bytes[offset] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            return;
        }
    }
    panic!("{mark} is in no segment of {}", run.display());
}

/// Makes the manifest one of a format version that nobody knows yet.
pub fn make_unknown(run: &Path) {
    let path = run.join("MANIFEST");
    let mut bytes = std::fs::read(&path).unwrap();
    let body_len = u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize;
    bytes[4..8].copy_from_slice(&9_u32.to_le_bytes());
    let crc = crc32(bytes[..12].iter().chain(&bytes[16..72 + body_len]));
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
}

fn crc32<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.into_iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

/// Makes the manifest of a run nonsense.
pub fn damage_manifest(run: &Path) {
    let path = run.join("MANIFEST");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[..200].fill(7);
    std::fs::write(&path, bytes).unwrap();
}

/// Every file under `folder` with its bytes.
pub fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            found.push((path, bytes));
        }
    }
    found.sort();
    found
}

#[track_caller]
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_mins(1), "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
