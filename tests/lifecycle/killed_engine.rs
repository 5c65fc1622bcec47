//! `kill -9` on an engine that writes and rotates: whatever was acknowledged is in its runs, and the next boot goes on.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use tapelog::{RotationPolicy, RunStatus};

use super::bench::{builder_at, draft, number_of, what_runs};
use crate::support::children::{child_test, given, heard, is_child, say};
use crate::support::folders::memory_dir;

const BASE: &str = "TAPELOG_TEST_BASE";

/// The child: goes on from what was there, submits without end, and says what is durable.
#[test]
#[ignore = "run by another test, in a child process"]
fn an_engine_that_is_killed() {
    if !is_child() {
        return;
    }
    let policy = RotationPolicy { len_max: Some(64 << 10), age_max: None };
    let lifecycle = builder_at(Path::new(&given(BASE))).rotation(policy).boot().unwrap();
    assert!(lifecycle.recovered().unreadable.is_empty() && lifecycle.recovered().live.is_empty());
    let mut next = 0;
    if let Some(plan) = lifecycle.restore_plan().unwrap() {
        for item in plan.entries() {
            let (_, entry) = item.unwrap();
            if entry.payload_type.as_str() == "SubmitOrder" {
                let number = number_of(&entry.payload);
                assert!(plan.snapshot().is_some() || number == next, "{number} {next}");
                next = number + 1;
            }
        }
        if let Some(snapshot) = plan.snapshot() {
            next = next.max(snapshot.anchor.blob_ref.parse().unwrap());
        }
    }
    let session = lifecycle.open(what_runs()).unwrap();
    loop {
        for _ in 0..50 {
            session.writer().submit(draft(next)).unwrap();
            next += 1;
        }
        if next % 400 < 50 {
            session.anchor_snapshot(&next.to_string(), b"state").unwrap();
        }
        let receipt = session.writer().submit_tracked(draft(next)).unwrap();
        receipt.wait().unwrap();
        say(&next.to_string());
        // Time for the thread that ends runs.
        std::thread::sleep(std::time::Duration::from_millis(5));
        next += 1;
    }
}

#[test]
fn nothing_acknowledged_is_lost_over_many_lives_and_rotations() {
    let base = memory_dir();
    let mut acknowledged = 0;
    for life in 0..6_u32 {
        let mut child = child_test("lifecycle::killed_engine::an_engine_that_is_killed")
            .env(BASE, base.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = 0;
        for line in lines {
            let line = line.unwrap();
            if let Some(number) = heard(&line) {
                acknowledged = number.parse::<u64>().unwrap();
                said += 1;
                if said == 12 + life * 7 {
                    child.kill().unwrap();
                }
            }
        }
        assert!(said >= 12 + life * 7, "the child ended by itself");
        child.wait().unwrap();
    }
    let recovered = builder_at(base.path()).boot().unwrap();
    assert!(recovered.recovered().unreadable.is_empty());
    let instance = crate::support::entries::INSTANCE;
    let runs = tapelog::SegmentBackend::list_runs(base.path(), instance).unwrap();
    assert!(runs.len() > 6, "{} runs: some were rotated", runs.len());
    let mut expected = 0;
    let mut statuses = [0, 0];
    for run in &runs {
        statuses[usize::from(run.status == RunStatus::Ended)] += 1;
        assert!(matches!(run.status, RunStatus::Ended | RunStatus::CrashedRecovered), "{run:?}");
        let store = tapelog::SegmentBackend::open_sealed(base.path(), instance, &run.run_id).unwrap();
        let entries = tapelog::EventStore::scan_range(&store, 1, u64::MAX, tapelog::ScanDirection::Forward).unwrap();
        for entry in entries.iter().filter(|entry| entry.payload_type.as_str() == "SubmitOrder") {
            assert_eq!(number_of(&entry.payload), expected, "in {}", run.run_id);
            expected += 1;
        }
    }
    assert!(expected > acknowledged, "{expected} {acknowledged}");
    assert!(statuses[0] >= 5 && statuses[1] >= 1, "{statuses:?}");
    for pair in runs.windows(2) {
        assert_eq!(pair[1].parent_run_id.as_ref(), Some(&pair[0].run_id), "one history");
    }
}
