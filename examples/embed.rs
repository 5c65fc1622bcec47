//! Embeds the log in an engine: recover, open, append, find, seal.

use tapelog::{
    AppendEntry, Clock, EventStore, EventStoreEntry, Headers, IndexKey, IndexKind, RunManifest, RunStatus, SegmentBackend, SystemClock,
    build_run_id, compute_entry_hash, recover_predecessors,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let base = folder.path();

    // Whatever an earlier process left running is judged and sealed; a new run goes on from it.
    let predecessors = recover_predecessors(base, "trader-001")?;

    let now = SystemClock.now();
    let mut store = SegmentBackend::new(base);
    store.open_run(RunManifest {
        parent_run_id: predecessors.parent_run_id,
        start_ts_init: now,
        ..RunManifest::new(build_run_id(now), "trader-001")
    })?;

    let (seq, headers, payload) = (1, Headers::empty(), br#"{"side":"BUY"}"#);
    let hash = compute_entry_hash(seq, now, now, "exec.command", "SubmitOrder", payload, &headers);
    let entry = EventStoreEntry::new(hash, seq, headers, "exec.command".into(), "SubmitOrder".into(), payload.as_slice().into(), now, now);
    let key = IndexKey::new(IndexKind::ClientOrderId, "O-1".to_owned());

    // When this returns, the batch is durable, its keys included.
    store.append_batch(&[AppendEntry::new(entry, vec![key])])?;

    let found = store.lookup(IndexKind::ClientOrderId, "O-1")?;
    assert_eq!(found, Some(1));
    store.seal(RunStatus::Ended)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_readme_shows_this_program() {
        let source = include_str!("embed.rs");
        let program = &source[source.find("use tapelog").unwrap()..source.find("\n#[cfg(test)]").unwrap()];
        assert!(include_str!("../README.md").contains(&format!("```rust\n{program}```")), "the program in README.md is another one");
    }

    #[test]
    fn it_runs() {
        super::main().unwrap();
    }
}
