//! Files of a run that are gone, in another place, or somebody else's.

use tapelog::{EventStore, EventStoreError, IndexKind, SegmentBackend};

use super::bench::{Bench, expect_error, flip, same};
use crate::engine::Engine;
use crate::log::RunLog;
use crate::oracle::Oracle;

/// A folder was given another name: its run must not pass for the one of that name.
pub(super) fn a_renamed_folder_is_refused(oracle: &mut Oracle) -> Result<(), String> {
    for history in ["synced:at-once/1/small", "synced:at-once/1/small,seal"] {
        let mut bench = Bench::after(oracle, history)?;
        bench.kill();
        let (old, renamed) = (bench.folder()?, RunLog::new("run-9", None));
        let folder = Engine::folder(&renamed);
        for path in bench.engine.disk.files().into_iter().filter(|path| path.parent() == Some(&old)) {
            let (Some(name), Some(bytes)) = (path.file_name(), bench.engine.disk.contents(&path)) else { continue };
            bench.engine.disk.put(&folder.join(name), &bytes);
        }
        let read = bench.store()?.into_read_only(&folder).map(|_| ());
        expect_error("a run under another name is read", read, |error| matches!(error, EventStoreError::Corrupted(_)))?;
        let opened = bench.store()?.open_run(renamed.manifest);
        let is_refusal = |error: &EventStoreError| !matches!(error, EventStoreError::CrashedPredecessor);
        expect_error("a run under another name is opened", opened, is_refusal)?;
    }
    Ok(())
}

/// MANIFEST is lost. GENESIS still tells whose run it is, and the entries are there: a new run must not replace them.
pub(super) fn a_lost_manifest_is_not_taken_for_a_new_run(oracle: &mut Oracle) -> Result<(), String> {
    let mut bench = Bench::after(oracle, "synced:at-once/1/small,medium")?;
    bench.kill();
    let manifest = bench.folder()?.join("MANIFEST");
    same("MANIFEST was there", bench.engine.disk.take_away(&manifest), true)?;
    let (answer, _store) = bench.open()?;
    expect_error("a run that lost its MANIFEST is begun anew", answer, |_| true)?;
    same("batches that are left", bench.read()?.last_commit(), 2)
}

/// A second process opens a run that is being written. It must not judge it, and certainly not cut it.
pub(super) fn a_run_that_is_being_written_is_not_recovered(oracle: &mut Oracle) -> Result<(), String> {
    let mut bench = Bench::after(oracle, "buffered:never/1/small,medium")?;
    let (answer, _store) = bench.open()?;
    expect_error("a run that is being written is opened", answer, |error| matches!(error, EventStoreError::Locked { .. }))
}

/// Every key is found where it was first given.
fn check_keys(store: &SegmentBackend, run: &RunLog) -> Result<(), String> {
    for kind in IndexKind::ALL {
        for (key, first) in run.first_keys(kind, run.last_seq()) {
            same(&format!("the key {key} is found at"), store.lookup(kind, key), Ok(Some(first)))?;
        }
    }
    Ok(())
}

/// The indexes of one segment lie under the name of another. They are whole, and they miss what is asked for.
pub(super) fn an_index_of_another_segment_is_not_believed(oracle: &mut Oracle) -> Result<(), String> {
    let mut bench = Bench::after(oracle, "synced:at-once/1/medium,large,roll,medium,medium,roll,medium,seal")?;
    bench.kill();
    for kind in ["key", "idx"] {
        let (first, second) = (format!("00000001.{kind}"), format!("00000002.{kind}"));
        let exchanged = (bench.bytes(&first)?, bench.bytes(&second)?);
        bench.put(&first, &exchanged.1)?;
        bench.put(&second, &exchanged.0)?;
    }
    let reader = bench.reader()?;
    check_keys(&reader, bench.log()?)?;
    same("entries", super::bench::scan(&reader).map(|entries| entries.len() as u64), Ok(bench.log()?.last_seq()))
}

/// A bit of an index rots: the hash of a key, so that a look-up would miss it.
pub(super) fn a_damaged_index_is_not_believed(oracle: &mut Oracle) -> Result<(), String> {
    const INDEX_HEADER_LEN: usize = 136;
    let mut bench = Bench::after(oracle, "synced:at-once/1/medium,medium,roll,seal")?;
    bench.kill();
    let len = bench.bytes("00000001.key")?.len();
    for at in (INDEX_HEADER_LEN..len).step_by(4) {
        let whole = bench.bytes("00000001.key")?;
        bench.change("00000001.key", |bytes| flip(bytes, at))?;
        let reader = bench.reader()?;
        check_keys(&reader, bench.log()?)?;
        bench.put("00000001.key", &whole)?;
    }
    Ok(())
}
