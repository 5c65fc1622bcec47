//! A writer is killed while it is followed, and the run is recovered: nothing that was shown is gone.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use tapelog::{
    Check, Durability, EventStore, FollowOptions, Follower, Progress, RunEnd, RunReader, SegmentBackend, Visibility, recover_predecessors,
};

use crate::support::children::{child_test, given, is_child};
use crate::support::entries::{INSTANCE, batch, entry_of, manifest};

const RUN: &str = "1-00000001";
const PAYLOAD_LEN: usize = 300;

/// The child: writes until it is killed.
#[test]
#[ignore = "runs in a child process"]
fn writes_until_it_is_killed() {
    if !is_child() {
        return;
    }
    let durability = match given("TAPELOG_TEST_DURABILITY").as_str() {
        "synced" => Durability::Synced,
        _ => Durability::Buffered { sync_every: Duration::from_millis(2) },
    };
    let base = given("TAPELOG_TEST_BASE");
    let mut store = SegmentBackend::builder(base).segment_len(64 << 10).durability(durability).build().unwrap();
    store.open_run(manifest(RUN)).unwrap();
    let mut last = 0;
    loop {
        let len = 1 + last % 9;
        store.append_batch(&batch(last + 1, last + len, PAYLOAD_LEN)).unwrap();
        last += len;
    }
}

/// A writer that is killed at the latest when this is dropped.
struct Writer(Child);

impl Writer {
    fn kill(&mut self) {
        // Killing a process that has been waited for does nothing.
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn follow_and_kill(base: &Path, durability: &str, visibility: Visibility, delay: Duration) {
    let mut command = child_test("reading::killed_beneath::writes_until_it_is_killed");
    command.env("TAPELOG_TEST_BASE", base).env("TAPELOG_TEST_DURABILITY", durability);
    let mut writer = Writer(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap());
    let folder = base.join(INSTANCE).join(RUN);
    let started = Instant::now();
    while !folder.join("MANIFEST").exists() {
        assert!(started.elapsed() < Duration::from_mins(1), "the child makes a run");
    }
    let options = FollowOptions { visibility, ..FollowOptions::default() };
    let mut follower = Follower::open(&folder, options).unwrap();
    let mut next = 1;
    let started = Instant::now();
    let mut killed = false;
    let mut recovered = false;
    let sealed = loop {
        if !killed && started.elapsed() >= delay {
            writer.kill();
            killed = true;
        }
        let progress = follower.visit(Duration::from_millis(1), Check::Full, |view| {
            assert_eq!(view.seq(), next);
            assert_eq!(view.payload(), &entry_of(next, PAYLOAD_LEN).entry.payload);
            next += 1;
            ControlFlow::Continue(())
        });
        match progress.unwrap() {
            Progress::Idle if killed && !recovered => {
                recover_predecessors(base, INSTANCE).unwrap();
                recovered = true;
            }
            Progress::Ended(RunEnd::Sealed(manifest)) => break manifest,
            Progress::Shown(_) | Progress::Idle => {}
            other @ Progress::Ended(_) => panic!("{other:?}"),
        }
    };
    assert_eq!(sealed.high_watermark, next - 1, "everything that was shown is there, and everything there was shown");
    assert_eq!(RunReader::open(&folder).unwrap().high_watermark(), next - 1);
}

#[test]
fn what_a_follower_has_shown_survives_the_writer() {
    for (round, delay) in [0, 5, 40, 90, 160, 250].into_iter().enumerate() {
        let base = tempfile::tempdir().unwrap();
        let durability = if round % 2 == 0 { "synced" } else { "buffered" };
        follow_and_kill(base.path(), durability, Visibility::Durable, Duration::from_millis(delay));
    }
}

#[test]
fn what_was_shown_as_written_survives_the_end_of_the_process() {
    for delay in [30, 120] {
        let base = tempfile::tempdir().unwrap();
        follow_and_kill(base.path(), "buffered", Visibility::Written, Duration::from_millis(delay));
    }
}
