use std::{ops::ControlFlow, path::Path, time::Duration};
use tapelog::{
    Check, EventStoreReader, FollowOptions, Follower, IndexKind, RunReader, ScanDirection, SegmentBackend, UnixNanos, Visibility,
};

pub fn read_own(store: &SegmentBackend) -> Result<(), tapelog::EventStoreError> {
    let reader = store.reader()?; // beside the store that writes, on any thread
    reader.visit(1..=1000, ScanDirection::Forward, Check::Full, |entry| {
        println!("{} {} {} bytes", entry.seq(), entry.topic(), entry.payload().len());
        ControlFlow::<()>::Continue(())
    })?;
    let first = reader.lookup(IndexKind::ClientOrderId, "O-1")?; // the entry that had the key first
    let since = reader.first_at_or_after(UnixNanos::from(1_700_000_000_000_000_000))?;
    println!("{first:?} {since:?}");
    let mut tail = reader.tail(1, Visibility::Durable); // waits for what this process writes
    while tail.ended().is_none() {
        // None is a second in which nothing came.
        if let Some(entry) = tail.next_entry(Duration::from_secs(1))? {
            println!("{} is durable", entry.seq);
        }
    }
    Ok(())
}

pub fn read_others(run: &Path) -> Result<(), tapelog::EventStoreError> {
    let reader = RunReader::open(run)?; // the run as it is now, in whatever state
    println!("{} entries", reader.high_watermark());
    let reader = EventStoreReader::new(SegmentBackend::open_read_only(run)?); // the same, as an engine restores from it
    println!("{:?}", reader.snapshot_replay_plan()?);
    let mut follower = Follower::open(run, FollowOptions::default())?; // waits for what another process writes
    while follower.ended().is_none() {
        if let Some(entry) = follower.next_entry(Duration::from_secs(1))? {
            println!("{} is durable", entry.seq);
        }
    }
    Ok(())
}
