//! A small engine on the log: it captures orders and fills, anchors a snapshot, is killed half-way, boots, restores its
//! state from the snapshot and the entries behind it, goes on, and rotates.
//!
//! Run without arguments it is its own driver: it starts the engine in a second process, kills it, and starts it again.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tapelog::{
    Clock, DraftRef, EventStoreEntry, HaltReason, IndexKind, Lifecycle, RunManifest, RunSession, SystemClock, compute_snapshot_content_hash,
};

type Failure = Box<dyn std::error::Error>;

const ORDERS: u64 = 5_000;

// README begins
/// The engine's state: what the log has to bring back.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    open: BTreeMap<u64, u64>,
    filled: u64,
    last_order: u64,
}

impl State {
    /// The one way in which the state changes: by a message that is in the log.
    fn apply(&mut self, payload_type: &str, payload: &[u8]) -> Result<(), Failure> {
        match payload_type {
            "SubmitOrder" => {
                let (order, quantity) = serde_json::from_slice(payload)?;
                self.open.insert(order, quantity);
                self.last_order = order;
            }
            "OrderFilled" => self.filled += self.open.remove(&serde_json::from_slice(payload)?).unwrap_or_default(),
            _ => {}
        }
        Ok(())
    }
}

/// Recovers what was left, restores the state, and opens a run that goes on from it.
fn boot(base: &Path) -> Result<(State, RunSession), Failure> {
    let lifecycle = Lifecycle::builder(base, "trader-001").boot()?;
    let mut state = State::default();
    if let Some(plan) = lifecycle.restore_plan()? {
        if let Some(snapshot) = plan.snapshot() {
            let blob = std::fs::read(base.join(&snapshot.anchor.blob_ref))?;
            if compute_snapshot_content_hash(&blob) != snapshot.anchor.content_hash {
                return Err("the snapshot is not the one that was anchored".into());
            }
            state = serde_json::from_slice(&blob)?;
        }
        if plan.snapshot().is_none() && plan.chain().missing_parent().is_some() {
            return Err("the history begins before the runs that are there".into());
        }
        for entry in plan.entries() {
            let (_run_id, EventStoreEntry { payload_type, payload, .. }) = entry?;
            state.apply(&payload_type, &payload)?;
        }
    }
    let session = lifecycle.open(RunManifest { config_hash: "c0ffee".to_owned(), ..RunManifest::default() })?;
    Ok((state, session))
}

/// Captures a message, and applies it. It is durable a moment later; what must not leave before is sent behind a receipt.
fn capture(session: &RunSession, state: &mut State, payload_type: &str, order: u64, payload: &[u8]) -> Result<(), Failure> {
    let key = format!("O-{order}");
    let draft = DraftRef {
        index_keys: &[(IndexKind::ClientOrderId, &key)],
        ..DraftRef::new("exec.orders", payload_type, payload, SystemClock.now())
    };
    session.writer().submit_ref(&draft)?;
    state.apply(payload_type, payload)
}
// README ends

/// Takes a snapshot, keeps it, and notes in the log what it covers.
fn take_snapshot(base: &Path, session: &RunSession, state: &State) -> Result<(), Failure> {
    let name = format!("snapshot-{}.json", state.last_order);
    let blob = serde_json::to_vec(state)?;
    // The snapshot must not be lost behind an anchor that is not.
    let mut file = std::fs::File::create(base.join(&name))?;
    file.write_all(&blob)?;
    file.sync_all()?;
    std::fs::File::open(base)?.sync_all()?;
    session.anchor_snapshot(&name, &blob)?;
    Ok(())
}

/// The engine: it goes on from where it was, until all orders are done.
fn engine(base: &Path) -> Result<(), Failure> {
    let (mut state, session) = boot(base)?;
    println!("booted run {} behind order {}, {} filled", session.run_id(), state.last_order, state.filled);
    let halt = session.halt_signal();
    while state.last_order < ORDERS {
        if let Some(reason) = halt.reason() {
            return Err(halted(&reason).into());
        }
        let order = state.last_order + 1;
        capture(&session, &mut state, "SubmitOrder", order, &serde_json::to_vec(&(order, order % 100))?)?;
        if order.is_multiple_of(3) {
            capture(&session, &mut state, "OrderFilled", order, &serde_json::to_vec(&order)?)?;
        }
        if order.is_multiple_of(1_000) {
            take_snapshot(base, &session, &state)?;
        }
        if order == ORDERS / 2 + ORDERS / 4 {
            let rotated = session.rotate()?;
            println!("rotated: {} ended at entry {}, {} goes on", rotated.ended, rotated.ended_high_watermark, rotated.begun);
        }
        if order.is_multiple_of(100) {
            // What the outside world is told of must be durable before.
            session.writer().flush(Duration::from_secs(5))?;
            println!("order {order}");
        }
    }
    let expected = (1..=ORDERS).filter(|order| order.is_multiple_of(3)).map(|order| order % 100).sum::<u64>();
    assert_eq!(state.filled, expected, "the state is what it would be without the kill");
    let last = session.close()?;
    println!("ended at entry {last} with {} filled", state.filled);
    Ok(())
}

fn halted(reason: &HaltReason) -> String {
    format!("the log has halted, and the engine with it: {reason}")
}

/// Starts the engine in a second process, kills it half-way, and starts it again.
fn drive(base: &Path) -> Result<(), Failure> {
    let start = || Command::new(std::env::current_exe()?).arg(base).stdout(Stdio::piped()).spawn();
    let mut first = start()?;
    let said = first.stdout.take().ok_or("the engine says nothing")?;
    for line in BufReader::new(said).lines() {
        let line = line?;
        if line == format!("order {}", ORDERS / 2) {
            first.kill()?;
            println!("killed behind {line}");
            break;
        }
    }
    first.wait()?;
    let second = start()?.wait_with_output()?;
    print!("{}", String::from_utf8_lossy(&second.stdout));
    if second.status.success() { Ok(()) } else { Err("the engine did not come to its end".into()) }
}

fn main() -> Result<(), Failure> {
    if let Some(base) = std::env::args_os().nth(1) {
        return engine(&PathBuf::from(base));
    }
    let folder = tempfile::tempdir()?;
    drive(folder.path())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_readme_shows_this_program() {
        let source = include_str!("embed.rs");
        let begin = source.find("// README begins\n").unwrap() + "// README begins\n".len();
        let shown = &source[begin..source.find("// README ends").unwrap()];
        assert!(include_str!("../README.md").contains(&format!("```rust\n{shown}```")), "the program in README.md is another one");
    }

    #[test]
    fn an_engine_restores_the_state_that_it_had() {
        let folder = tempfile::tempdir().unwrap();
        super::engine(folder.path()).unwrap();
        let runs = tapelog::SegmentBackend::list_runs(folder.path(), "trader-001").unwrap();
        assert_eq!(runs.len(), 2, "it rotated once");
    }
}
