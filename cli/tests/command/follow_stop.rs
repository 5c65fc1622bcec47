//! A signal ends the command, whether or not anybody takes its output.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Base, command, events};

/// A run whose entries fill a pipe several times.
fn run(base: &Base) -> std::path::PathBuf {
    base.record(events(1..=3000), &["--run", "a"]).expect(0);
    base.run("a")
}

/// A command whose output nobody takes, once the pipe is full.
fn blocked(subcommand: &str, run: &Path, arguments: &[&str]) -> Child {
    let mut command = command([OsStr::new(subcommand), run.as_os_str()].into_iter().chain(arguments.iter().map(OsStr::new)));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(700));
    child
}

fn signal(child: &Child, signal: Signal) {
    // One that has ended already is not there to be told.
    let _ = kill_process(Pid::from_child(child), signal);
}

fn end(mut child: Child) -> (Option<i32>, String) {
    let code = child.wait().unwrap().code();
    let mut shown = String::new();
    child.stdout.take().unwrap().read_to_string(&mut shown).unwrap();
    (code, shown)
}

#[test]
fn a_signal_ends_it_though_nobody_takes_its_output_and_no_line_is_torn() {
    let base = Base::new();
    let run = run(&base);
    for number in [Signal::TERM, Signal::INT] {
        let child = blocked("follow", &run, &["--json", "-n", "all"]);
        let begun = Instant::now();
        signal(&child, number);
        let (code, shown) = end(child);
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        assert_eq!(code, Some(0));
        assert!(shown.ends_with("}\n") && shown.len() > 10_000, "{} bytes", shown.len());
        for (index, line) in shown.lines().enumerate() {
            assert_eq!(serde_json::from_str::<serde_json::Value>(line).unwrap()["seq"], index as u64 + 1);
        }
    }
}

#[test]
fn what_nobody_takes_at_first_is_whole_once_it_is_taken() {
    let base = Base::new();
    let child = blocked("follow", &run(&base), &["--json", "-n", "all", "--until-end"]);
    let said = child.wait_with_output().unwrap();
    assert_eq!(said.status.code(), Some(0));
    assert_eq!(String::from_utf8(said.stdout).unwrap().lines().count(), 3000);
}

#[test]
fn two_signals_at_once_are_one_and_a_later_one_ends_it_at_once() {
    let base = Base::new();
    let run = run(&base);
    let child = blocked("follow", &run, &["--json", "-n", "all"]);
    signal(&child, Signal::TERM);
    std::thread::sleep(Duration::from_millis(5));
    signal(&child, Signal::TERM);
    assert_eq!(end(child).0, Some(0));
    // Where the test is held up, the command has ended before.
    let later = || {
        let child = blocked("follow", &run, &["--json", "-n", "all"]);
        signal(&child, Signal::INT);
        std::thread::sleep(Duration::from_millis(170));
        signal(&child, Signal::INT);
        end(child).0
    };
    assert!((0..5).any(|_| later() == Some(130)));
}

#[test]
fn a_signal_ends_what_only_reads_as_it_ends_any_command() {
    use std::os::unix::process::ExitStatusExt;
    let base = Base::new();
    let mut child = blocked("cat", &run(&base), &["--json"]);
    signal(&child, Signal::TERM);
    assert_eq!(child.wait().unwrap().signal(), Some(15));
}
