//! A recording that is told to end ends with everything durable; one that is killed loses nothing acknowledged.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Base, event, events, tapelog};

fn signal(recording: &crate::support::Recording, signal: Signal) {
    kill_process(Pid::from_child(&recording.0), signal).unwrap();
}

#[test]
fn a_signal_ends_reading_and_the_run_is_sealed() {
    for (run_id, number) in [("a", Signal::INT), ("b", Signal::TERM)] {
        let base = Base::new();
        let mut recording = base.record_open(&["--run", run_id, "--json"]);
        recording.write(events(1..=5));
        base.wait_for_entries(run_id, 5);
        signal(&recording, number);
        let said = recording.wait().expect(0);
        assert_eq!((&said.json()["end"], &said.json()["entries"]), (&"interrupted".into(), &5.into()));
        let verified = tapelog(["verify".as_ref(), base.run(run_id).as_os_str()]).expect(0);
        assert!(verified.stdout.contains("status=Ended high_watermark=5 "), "{}", verified.stdout);
    }
}

#[test]
fn a_signal_before_the_first_event_leaves_no_run() {
    let base = Base::new();
    let recording = base.record_open(&["--run", "a"]);
    // The signal must not come before the command listens for it.
    std::thread::sleep(Duration::from_millis(500));
    signal(&recording, Signal::INT);
    let said = recording.wait().expect(0);
    assert!(said.stdout.contains("no event was read"), "{}", said.stdout);
    assert!(!base.path().join("default").exists());
}

#[test]
fn a_run_whose_writer_was_killed_is_recovered_with_all_that_was_acknowledged() {
    for (round, durability) in ["synced", "buffered=1ms", "synced"].into_iter().enumerate() {
        let base = Base::new();
        let mut recording = base.record_open(&["--run", "a", "--batch", "10", "--durability", durability, "--segment-len", "16384"]);
        recording.write(events(1..=100));
        base.wait_for_entries("a", 100);
        // The writer is killed in full flight.
        let mut stdin = recording.0.stdin.take().unwrap();
        let feeder = std::thread::spawn(move || {
            for number in 101.. {
                if stdin.write_all(event(number).as_bytes()).is_err() {
                    return;
                }
            }
        });
        std::thread::sleep(Duration::from_millis(30 * (round as u64 + 1)));
        recording.0.kill().unwrap();
        assert_eq!(recording.0.wait().unwrap().signal(), Some(9));
        feeder.join().unwrap();

        let judged = tapelog(["recover", base.str(), "default", "--json"]).expect(0).json();
        let end = judged["runs"][0]["report"]["end"]["seq"].as_u64().unwrap();
        let proven = judged["runs"][0]["report"]["proven"]["seq"].as_u64().unwrap();
        assert!(100 <= proven && proven <= end, "{judged:#}");
        tapelog(["recover", base.str(), "default", "--apply"]).expect(0);
        let verified = tapelog(["verify".as_ref(), base.run("a").as_os_str()]).expect(0);
        assert_eq!(
            verified.stdout,
            format!("clean run_id=a status=CrashedRecovered high_watermark={end} entries_scanned={end} markers=absent\n")
        );
        let said = tapelog(["cat".as_ref(), "--json".as_ref(), base.run("a").as_os_str()]).expect(0);
        for (index, line) in said.json_lines().iter().enumerate() {
            assert_eq!(line["payload"]["mark"], format!("event-{}-mark", index + 1));
        }
    }
}
