//! What is told of a run.

use tapelog::{EventStore, RunManifest, RunStatus, SegmentBackend, SnapshotAnchor};

use crate::support::{Base, SAMPLE, SAMPLE_ENTRIES, damage_event, event, tapelog};

#[test]
fn everything_that_is_counted_is_counted_once() {
    let base = Base::new();
    base.record(std::fs::read(SAMPLE).unwrap(), &["--run", "a"]).expect(0);
    let run = base.run("a");
    let told = tapelog(["info".as_ref(), run.as_os_str(), "--json".as_ref()]).expect(0).json();
    let entries = tapelog(["cat".as_ref(), run.as_os_str(), "--json".as_ref()]).expect(0).json_lines();
    assert_eq!((told["entries"].as_u64(), told["damages"].as_u64()), (Some(SAMPLE_ENTRIES), Some(0)));
    for (list, field) in [("topics", "topic"), ("payload_types", "payload_type")] {
        let shares = told[list].as_array().unwrap();
        assert!(shares.is_sorted_by_key(|share| std::cmp::Reverse(share["entries"].as_u64())));
        for share in shares {
            let expected = entries.iter().filter(|entry| entry[field] == share["name"]).count() as u64;
            assert_eq!(share["entries"].as_u64(), Some(expected), "{share}");
        }
        assert_eq!(shares.iter().map(|share| share["entries"].as_u64().unwrap()).sum::<u64>(), SAMPLE_ENTRIES);
    }
    let times = || entries.iter().map(|entry| entry["ts_init"].as_u64().unwrap());
    assert_eq!(told["over_time"]["first_ts_init"].as_u64(), times().min());
    assert_eq!(told["over_time"]["last_ts_init"].as_u64(), times().max());
    let counts: u64 = told["over_time"]["counts"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(counts, SAMPLE_ENTRIES);
    let mut seconds = std::collections::BTreeMap::<u64, u64>::new();
    times().for_each(|time| *seconds.entry(time / 1_000_000_000).or_default() += 1);
    let most = *seconds.values().max().unwrap();
    let peak = &told["over_time"]["peak"];
    assert_eq!((peak["entries"].as_u64(), peak["nanos"].as_u64()), (Some(most), Some(1_000_000_000)));
    assert_eq!(seconds[&(peak["from_ts_init"].as_u64().unwrap() / 1_000_000_000)], most);
    let keys =
        |kind: &str| entries.iter().flat_map(|entry| entry["keys"].as_array().unwrap()).filter(|key| key["kind"] == kind).count() as u64;
    for of_kind in told["keys"].as_array().unwrap() {
        assert_eq!(of_kind["entries"].as_u64(), Some(keys(of_kind["kind"].as_str().unwrap())));
    }
    let segments = told["segments"].as_array().unwrap();
    assert!(segments.len() > 2 && segments.last().unwrap()["last_seq"] == SAMPLE_ENTRIES);
}

#[test]
fn a_person_sees_lineage_anchors_and_how_entries_lie_over_time() {
    let base = Base::new();
    base.sealed_run("a", 100);
    let mut store = SegmentBackend::builder(base.path()).segment_len(16 << 10).build().unwrap();
    store.open_run(RunManifest { parent_run_id: Some("a".to_owned()), ..RunManifest::new("b", "default") }).unwrap();
    store.record_snapshot_anchor(SnapshotAnchor::new(0, "s3://snapshots/1", "blake3:00")).unwrap();
    store.seal(RunStatus::CrashedRecovered).unwrap();
    let parent = tapelog(["info".as_ref(), base.run("a").as_os_str()]).expect(0).stdout;
    for part in ["run         a", "status      Ended", "children    b", "entries     100", "events.order", "OrderFilled", "\u{2588}"] {
        assert!(parent.contains(part), "{part:?} is missing: {parent}");
    }
    let child = tapelog(["info".as_ref(), base.run("b").as_os_str()]).expect(0).stdout;
    for part in ["parent      a", "ancestors   a", "entries     0", "s3://snapshots/1"] {
        assert!(child.contains(part), "{part:?} is missing: {child}");
    }
}

#[test]
fn damage_is_told_and_the_rest_is_counted() {
    let base = Base::new();
    let run = base.sealed_run("a", 100);
    damage_event(&run, 30);
    let said = tapelog(["info".as_ref(), run.as_os_str(), "--json".as_ref()]).expect(1).told("seq 30");
    assert_eq!(said.json()["damages"], 1);
    assert_eq!(said.json()["topics"][0]["entries"], 99);
}

#[test]
fn a_live_run_is_live() {
    let base = Base::new();
    let mut recording = base.record_open(&["--run", "a"]);
    recording.write(event(1));
    base.wait_for_entries("a", 1);
    let told = tapelog(["info".as_ref(), base.run("a").as_os_str(), "--json".as_ref()]).expect(0).json();
    assert_eq!((&told["live"], &told["entries"]), (&true.into(), &1.into()));
    assert!(tapelog(["info".as_ref(), base.run("a").as_os_str()]).expect(0).stdout.contains("status      live"));
}

#[test]
fn times_are_nanoseconds_where_these_are_asked_for() {
    let base = Base::new();
    let run = base.sealed_run("a", 3);
    let told = tapelog(["info".as_ref(), run.as_os_str(), "--time".as_ref(), "nanos".as_ref()]).expect(0).stdout;
    assert!(told.contains("span        1700000000000000001 to 1700000000000000003, 2.0ns\n"), "{told}");
    assert!(told.contains("busiest     3 in the 1.0s from 1700000000000000000\n"), "{told}");
    let listed = tapelog(["ls", base.str(), "--time", "nanos"]).expect(0).stdout;
    assert!(listed.contains("\t1700000000000000001\t1700000000000000003\t"), "{listed}");
}

#[test]
fn where_there_is_no_run_nothing_is_told() {
    let base = Base::new();
    tapelog(["info", base.str()]).expect(2).told("no run in this folder");
}

#[test]
fn a_lineage_that_does_not_fit_is_corrupt() {
    let base = Base::new();
    let parent = base.sealed_run("a", 3);
    let mut store = SegmentBackend::builder(base.path()).segment_len(16 << 10).build().unwrap();
    store.open_run(RunManifest { parent_run_id: Some("a".to_owned()), ..RunManifest::new("b", "default") }).unwrap();
    store.seal(RunStatus::Ended).unwrap();
    std::fs::remove_dir_all(&parent).unwrap();
    base.sealed_run("a", 4);
    let run = base.run("b");
    let said = tapelog(["info".as_ref(), run.as_os_str(), "--json".as_ref()]).expect(1);
    assert!(said.json()["lineage"]["note"].as_str().unwrap().contains("not in the state in which its child found it"));
}

#[test]
fn what_a_terminal_would_act_on_is_escaped_in_every_json() {
    let base = Base::new();
    let folder = base.path().join("a\u{9b}\u{202e}");
    let folder = folder.to_str().unwrap();
    let mut store = SegmentBackend::new(folder);
    let config_hash = "\u{7f}\u{9b}31m".to_owned();
    store.open_run(RunManifest { config_hash: config_hash.clone(), ..RunManifest::new("r", "default") }).unwrap();
    store.record_snapshot_anchor(SnapshotAnchor::new(0, "\u{2066}blob", "hash")).unwrap();
    drop(store);
    let run = format!("{folder}/default/r");
    let active = |text: &str| text.chars().any(|one| one != '\n' && (one.is_control() || matches!(one, '\u{202e}' | '\u{2066}')));
    for arguments in [&["info", &run, "--json"][..], &["ls", folder, "--json"], &["recover", folder, "default", "--json"]] {
        let said = tapelog(arguments).expect(0);
        assert!(!active(&said.stdout), "{arguments:?}: {:?}", said.stdout);
        assert!(said.stdout.contains(r"a\u009b\u202e/default/r"), "{:?}", said.stdout);
    }
    let told = tapelog(["info", &run, "--json"]).json();
    assert_eq!((&told["manifest"]["config_hash"], &told["anchors"][0]["blob_ref"]), (&config_hash.into(), &"\u{2066}blob".into()));
}
