//! Entries are shown as they come, across runs, and to nobody who has left.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tapelog::{
    AppendEntry, Clock, Durability, EventStore, EventStoreEntry, Headers, RunManifest, RunStatus, SegmentBackend, SystemClock,
    compute_entry_hash,
};

use crate::support::{Base, command, damage_event, damage_manifest, event, events, make_unknown, tapelog, wait_until};

/// A `tapelog follow` that goes on in the background.
pub struct Following {
    pub child: Child,
    pub lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Following {
    pub fn start(path: &Path, arguments: &[&str]) -> Self {
        let mut command = command([OsStr::new("follow"), path.as_os_str()].into_iter().chain(arguments.iter().map(OsStr::new)));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next entry; the test waits for it.
    pub fn next(&mut self) -> Value {
        serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap()
    }

    pub fn next_seqs(&mut self, count: usize) -> Vec<u64> {
        (0..count).map(|_| self.next()["seq"].as_u64().unwrap()).collect()
    }

    /// What is left, the exit code, and what was told.
    pub fn end(mut self) -> (Vec<String>, Option<i32>, String) {
        let rest = self.lines.by_ref().map(Result::unwrap).collect();
        let mut told = String::new();
        std::io::Read::read_to_string(&mut self.child.stderr.take().unwrap(), &mut told).unwrap();
        let code = self.child.wait().unwrap().code();
        assert!(!told.contains("panicked"), "{told}");
        (rest, code, told)
    }

    pub fn interrupt(self) -> (Vec<String>, Option<i32>, String) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        self.end()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn append(store: &mut SegmentBackend, text: &str) {
    let seq = store.high_watermark().unwrap() + 1;
    append_at(store, seq, text);
}

fn append_at(store: &mut SegmentBackend, seq: u64, text: &str) {
    let (now, headers) = (SystemClock.now(), Headers::empty());
    let hash = compute_entry_hash(seq, now, now, "topic", "Text", text.as_bytes(), &headers);
    let entry = EventStoreEntry::new(hash, seq, headers, "topic".into(), "Text".into(), text.as_bytes().to_vec().into(), now, now);
    store.append_batch(&[AppendEntry::new(entry, Vec::new())]).unwrap();
}

pub fn open(base: &Base, run_id: &str, parent: Option<&str>) -> SegmentBackend {
    let mut store = SegmentBackend::builder(base.path()).segment_len(16 << 10).build().unwrap();
    store.open_run(RunManifest { parent_run_id: parent.map(str::to_owned), ..RunManifest::new(run_id, "default") }).unwrap();
    store
}

#[test]
fn entries_are_shown_as_they_come_and_across_segments_to_the_end() {
    let base = Base::new();
    let mut recording = base.record_open(&["--run", "a", "--segment-len", "16384"]);
    recording.write(events(1..=30));
    base.wait_for_entries("a", 30);
    let mut following = Following::start(&base.run("a"), &["--json", "--until-end", "-n", "5"]);
    assert_eq!(following.next_seqs(5), [26, 27, 28, 29, 30]);
    recording.write(events(31..=400));
    assert_eq!(following.next_seqs(370), (31..=400).collect::<Vec<_>>());
    recording.end().expect(0);
    let (rest, code, told) = following.end();
    assert_eq!((rest.len(), code), (0, Some(0)), "{told}");
    assert!(told.contains("the run a ended as Ended at entry 400"), "{told}");
}

#[test]
fn a_sealed_run_is_shown_from_where_it_is_asked_for() {
    let base = Base::new();
    let run = base.sealed_run("a", 50);
    let shown = |arguments: &[&str]| {
        let (rest, code, _) = Following::start(&run, &[&["--json", "--until-end"], arguments].concat()).end();
        assert_eq!(code, Some(0));
        rest.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(shown(&[]), (41..=50).collect::<Vec<_>>());
    assert_eq!(shown(&["-n", "0"]), [0_u64; 0]);
    assert_eq!(shown(&["--key", "client_order_id=O-7"]), [7], "the ten last ones do not hold it");
    assert_eq!(shown(&["-n", "10", "--key", "client_order_id=O-7"]), [0_u64; 0]);
    assert_eq!(shown(&["--type", "OrderFilled", "--to", "2"]), [1, 2]);
    assert_eq!(shown(&["-n", "all"]), (1..=50).collect::<Vec<_>>());
    assert_eq!(shown(&["-n", "all", "--from", "48"]), [48, 49, 50]);
    assert_eq!(shown(&["-n", "all", "--limit", "2"]), [1, 2]);
    assert_eq!(shown(&["-n", "all", "--key", "client_order_id=O-7", "--key", "venue_order_id=V-9"]), [7, 18, 19]);
    assert_eq!(shown(&["--since", "1700000000000000031"]), (31..=50).collect::<Vec<_>>(), "a beginning of its own");
    assert_eq!(shown(&["-n", "5", "--since", "1700000000000000031"]), (46..=50).collect::<Vec<_>>());
}

#[test]
fn it_goes_on_in_the_run_that_goes_on_from_it() {
    let base = Base::new();
    let mut first = open(&base, "a", None);
    append(&mut first, "1");
    let mut following = Following::start(&base.run("a"), &["--json"]);
    assert_eq!(following.next()["run_id"], "a");
    first.seal(RunStatus::Ended).unwrap();
    let mut second = open(&base, "b", Some("a"));
    append(&mut second, "2");
    let entry = following.next();
    assert_eq!((&entry["run_id"], &entry["seq"]), (&"b".into(), &1.into()));
    let (rest, code, told) = following.interrupt();
    assert_eq!((rest.len(), code), (0, Some(0)));
    assert!(told.contains("the run a ended as Ended at entry 1") && told.contains("going on in the run b"), "{told}");
}

#[test]
fn a_killed_writer_is_told_and_the_recovered_run_is_followed_to_its_child() {
    let base = Base::new();
    let run = base.crashed_run("a", 5);
    let mut following = Following::start(&run, &["--json", "-n", "all"]);
    assert_eq!(following.next_seqs(5), [1, 2, 3, 4, 5]);
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    tapelog(["recover", base.str(), "default", "--apply"]).expect(0);
    let mut child = open(&base, "b", Some("a"));
    append(&mut child, "on");
    assert_eq!(following.next()["run_id"], "b");
    let (_, code, told) = following.interrupt();
    assert_eq!(code, Some(0));
    assert!(told.contains("no process is writing the run a"), "{told}");
    assert!(told.contains("the run a ended as CrashedRecovered at entry 5"), "{told}");
}

#[test]
fn the_newest_run_of_an_instance_is_followed_and_waited_for() {
    let base = Base::new();
    let instance = base.path().join("default");
    std::fs::create_dir(&instance).unwrap();
    let mut following = Following::start(&instance, &["--json", "--until-end"]);
    std::thread::sleep(std::time::Duration::from_millis(300));
    base.sealed_run("a", 3);
    assert_eq!(following.next_seqs(3), [1, 2, 3]);
    let (_, code, told) = following.end();
    assert_eq!(code, Some(0));
    assert!(told.contains("there is no run yet"), "{told}");
    base.record(event(9), &["--run", "b"]).expect(0);
    let (rest, ..) = Following::start(&instance, &["--json", "--until-end"]).end();
    assert_eq!(rest.len(), 1);
    assert!(rest[0].contains("\"run_id\":\"b\""), "{}", rest[0]);
}

#[test]
fn of_an_instance_the_next_run_is_followed_though_it_goes_on_from_none() {
    let base = Base::new();
    base.sealed_run("a", 2);
    let mut following = Following::start(&base.path().join("default"), &["--json"]);
    assert_eq!(following.next_seqs(2), [1, 2]);
    base.record(event(7), &["--run", "b"]).expect(0);
    assert_eq!(following.next()["run_id"], "b");
    let (_, code, told) = following.interrupt();
    assert_eq!(code, Some(0));
    assert!(told.contains("going on in the run b"), "{told}");
}

#[test]
fn what_is_only_written_is_shown_where_that_is_asked_for() {
    let base = Base::new();
    // Nothing is synced for a minute, unless the store is told to.
    let minute = std::time::Duration::from_mins(1);
    let durability = Durability::Buffered { sync_every: minute };
    let mut store = SegmentBackend::builder(base.path()).segment_len(1 << 20).durability(durability).build().unwrap();
    store.open_run(RunManifest::new("a", "default")).unwrap();
    append(&mut store, "first");
    let mut durable = Following::start(&base.run("a"), &["--json"]);
    let mut written = Following::start(&base.run("a"), &["--json", "--written"]);
    assert_eq!(written.next()["payload_text"], "first");
    append_at(&mut store, 2, "second");
    assert_eq!(written.next()["payload_text"], "second");
    store.seal(RunStatus::Ended).unwrap();
    assert_eq!(durable.next_seqs(2), [1, 2]);
    // Both were shown each entry once.
    assert_eq!((durable.interrupt().0.len(), written.interrupt().0.len()), (0, 0));
}

#[test]
fn either_signal_ends_it_well() {
    let base = Base::new();
    let run = base.sealed_run("a", 2);
    for signal in [Signal::INT, Signal::TERM] {
        let mut following = Following::start(&run, &["--json"]);
        assert_eq!(following.next_seqs(2), [1, 2]);
        kill_process(Pid::from_child(&following.child), signal).unwrap();
        let (rest, code, told) = following.end();
        assert_eq!((rest.len(), code), (0, Some(0)), "{told}");
    }
}

#[test]
fn an_entry_is_shown_within_a_second_of_its_durability() {
    let base = Base::new();
    let mut store = open(&base, "a", None);
    append(&mut store, "0");
    let mut following = Following::start(&base.run("a"), &["--json"]);
    following.next();
    let mut waits: Vec<_> = (1..=9)
        .map(|number| {
            append(&mut store, &number.to_string());
            let durable = std::time::Instant::now();
            assert_eq!(following.next()["payload"], number);
            durable.elapsed()
        })
        .collect();
    waits.sort();
    // The median, because a test does not have the machine for itself.
    assert!(waits[4] < std::time::Duration::from_secs(1), "{waits:?}");
}

#[test]
fn damage_ends_it_with_what_is_whole_before_it() {
    let base = Base::new();
    base.record(events(1..=30), &["--run", "a", "--batch", "10"]).expect(0);
    let run = base.run("a");
    damage_event(&run, 25);
    let (shown, code, told) = Following::start(&run, &["--json", "-n", "all"]).end();
    // The batch of ten that holds the damaged entry is shown wholly or not at all.
    assert_eq!((shown.len(), code), (20, Some(1)), "{told}");
    assert!(told.contains("00000001.seg at byte"), "{told}");
}

#[test]
fn a_base_is_no_instance() {
    let base = Base::new();
    base.sealed_run("a", 1);
    tapelog(["follow", base.str()]).expect(2).told("holds instances");
}

#[test]
fn it_ends_when_its_reader_leaves() {
    let base = Base::new();
    let mut recording = base.record_open(&["--run", "a"]);
    recording.write(events(1..=3));
    base.wait_for_entries("a", 3);
    let mut following = Following::start(&base.run("a"), &["--json"]);
    assert_eq!(following.next_seqs(3), [1, 2, 3]);
    // Nothing more is written to the pipe: that its reader is gone is found out without that.
    let mut child = command([OsStr::new("follow"), base.run("a").as_os_str()]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    wait_until("the end of a command whose reader has left", || {
        Path::new(&format!("/proc/{}", child.id())).exists()
            && std::fs::read_to_string(format!("/proc/{}/stat", child.id())).is_ok_and(|stat| stat.contains(" Z "))
    });
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_cannot_be_followed_is_refused() {
    let base = Base::new();
    tapelog(["follow", &format!("{}/none/none", base.str())]).expect(2).told("none");
    tapelog(["follow", base.str(), "-n", "some"]).expect(2).told("neither a number nor `all`");
}

#[test]
fn every_run_of_an_instance_is_shown_once_however_fast_they_come() {
    let base = Base::new();
    base.record(event(1), &["--run", "r1"]).expect(0);
    let mut following = Following::start(&base.path().join("default"), &["--json"]);
    assert_eq!(following.next()["run_id"], "r1");
    for number in 2..=5 {
        base.record(event(number), &["--run", &format!("r{number}")]).expect(0);
    }
    // One that says that it goes on from an earlier one is none to come back to.
    let mut child = open(&base, "r6", Some("r2"));
    append(&mut child, "6");
    child.seal(RunStatus::Ended).unwrap();
    let mut shown: Vec<String> = (2..=6).map(|_| following.next()["run_id"].as_str().unwrap().to_owned()).collect();
    // What goes on from r2 may be shown right behind it.
    shown.sort();
    assert_eq!(shown, ["r2", "r3", "r4", "r5", "r6"]);
    let (rest, code, told) = following.interrupt();
    assert_eq!((rest.len(), code), (0, Some(0)), "{told}");
}

#[test]
fn a_run_that_comes_late_is_shown_late_and_those_before_the_first_are_not_shown() {
    let base = Base::new();
    base.record(event(10), &["--run", "old"]).expect(0);
    base.record(event(20), &["--run", "first"]).expect(0);
    let mut following = Following::start(&base.path().join("default"), &["--json"]);
    assert_eq!(following.next()["run_id"], "first");
    base.record(event(15), &["--run", "late"]).expect(0);
    assert_eq!(following.next()["run_id"], "late");
    base.record(event(30), &["--run", "next"]).expect(0);
    assert_eq!(following.next()["run_id"], "next");
    let (rest, code, told) = following.interrupt();
    assert_eq!((rest.len(), code), (0, Some(0)), "{told}");
}

#[test]
fn a_run_that_cannot_be_read_is_told_once_and_passed_over() {
    let base = Base::new();
    make_unknown(&base.sealed_run("r0", 1));
    base.sealed_run("r1", 1);
    let mut following = Following::start(&base.path().join("default"), &["--json"]);
    assert_eq!(following.next()["run_id"], "r1");
    let other = Base::new();
    let unknown = other.sealed_run("r2", 1);
    make_unknown(&unknown);
    std::fs::rename(unknown, base.run("r2")).unwrap();
    let damaged = other.sealed_run("r2a", 1);
    damage_manifest(&damaged);
    std::fs::rename(damaged, base.run("r2a")).unwrap();
    base.record(event(3), &["--run", "r3"]).expect(0);
    assert_eq!(following.next()["run_id"], "r3");
    std::thread::sleep(std::time::Duration::from_millis(500));
    let (rest, code, told) = following.interrupt();
    assert_eq!((rest.len(), code), (0, Some(1)), "{told}");
    for run in ["r0/MANIFEST has format version", "r2/MANIFEST has format version", "r2a/MANIFEST at byte"] {
        let of_run = |line: &&str| line.contains("a run is passed over") && line.contains(run);
        assert_eq!(told.lines().filter(of_run).count(), 1, "{told}");
    }
}

#[test]
fn an_instance_of_which_no_run_can_be_read_is_no_instance_without_a_run() {
    let base = Base::new();
    let (older, newer) = (base.sealed_run("a", 1), base.sealed_run("b", 1));
    make_unknown(&older);
    make_unknown(&newer);
    let instance = base.path().join("default");
    let of_run = tapelog(["follow".as_ref(), newer.as_os_str()]).expect(2);
    let said =
        tapelog(["follow".as_ref(), instance.as_os_str()]).expect(2).told("a/MANIFEST has format version").told(of_run.stderr.trim());
    assert!(!said.stderr.contains("waiting"), "{said:#?}");
    damage_manifest(&newer);
    tapelog(["follow".as_ref(), instance.as_os_str()]).expect(1).told("a/MANIFEST has format version").told("b/MANIFEST at byte");
}

#[test]
fn an_instance_is_waited_for_where_its_base_is_there_and_a_run_is_not() {
    let base = Base::new();
    let mut following = Following::start(&base.path().join("default"), &["--json", "--until-end"]);
    std::thread::sleep(std::time::Duration::from_millis(300));
    base.sealed_run("a", 2);
    assert_eq!(following.next_seqs(2), [1, 2]);
    let (_, code, told) = following.end();
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("there is no run yet"), "{told}");
    tapelog(["follow".as_ref(), base.run("none").as_os_str()]).expect(2).told("none");
    tapelog(["follow", &format!("{}/none/of/this", base.str())]).expect(2).told("none/of/this");
}

#[test]
fn text_names_the_run_of_an_instance_and_of_a_run_each_later_one() {
    let base = Base::new();
    base.record(event(1), &["--run", "a"]).expect(0);
    let (lines, code, _) = Following::start(&base.path().join("default"), &["--until-end"]).end();
    assert_eq!(code, Some(0));
    assert!(lines[0].starts_with("a         1  "), "{lines:?}");
    let mut first = open(&base, "b", None);
    append(&mut first, "1");
    let mut following = Following::start(&base.run("b"), &[]);
    let of_first = following.lines.next().unwrap().unwrap();
    first.seal(RunStatus::Ended).unwrap();
    append(&mut open(&base, "c", Some("b")), "2");
    let of_child = following.lines.next().unwrap().unwrap();
    assert!(of_first.starts_with("       1  ") && of_child.starts_with("c         1  "), "{of_first}\n{of_child}");
    following.interrupt();
}
