//! FORMAT.md shows a small run to its last byte. Here it is composed by the code that writes runs, and
//! compared with the document; and the store itself writes the same bytes.
//!
//! Where the two differ, the test prints what the document ought to show. With `TAPELOG_REGENERATE=1`
//! in the environment it puts that into FORMAT.md.

#[path = "../../../tests/support/format_text.rs"]
#[allow(dead_code, reason = "the integration tests use another part of it")]
mod format_text;
mod generated;
mod listing;
mod run;
mod values;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::format::envelope;
use crate::format::manifest::{SealSection, SealedDamage, SealedSegment, decode_opening};
use crate::model::{DataClass, MarkerManifest, RunManifest, RunStatus, SnapshotAnchor, UnixNanos};
use crate::store::{BackgroundMode, EventStore, SegmentBackend};
use format_text::{blocks, dump, tables};
use generated::{Shown, generated};
use run::{Files, UID, compose, entries, run_manifest, snapshot_anchor};
use values::record;

const DOCUMENT: &str = include_str!("../../../FORMAT.md");

/// The document with the right blocks in it.
fn regenerated(right: &[Shown]) -> String {
    let mut text = DOCUMENT.to_owned();
    for (name, right) in right {
        let fence = format!("```text {name}\n");
        let begin = text.find(&fence).map_or_else(|| panic!("FORMAT.md has no block {name:?}"), |at| at + fence.len());
        let end = begin + text[begin..].find("```").unwrap();
        text.replace_range(begin..end, right);
    }
    text
}

#[test]
fn the_document_shows_what_the_code_writes() {
    let right = generated(&compose(UID));
    if std::env::var_os("TAPELOG_REGENERATE").is_some() {
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("FORMAT.md"), regenerated(&right)).unwrap();
        return;
    }
    let shown = blocks(DOCUMENT);
    let names: Vec<_> = shown.iter().map(|block| block.name.as_str()).collect();
    assert_eq!(names, right.iter().map(|(name, _)| *name).collect::<Vec<_>>(), "FORMAT.md has other blocks");
    for (block, (name, right)) in shown.iter().zip(&right) {
        assert!(block.text == *right, "FORMAT.md:{}: the {name} ought to be\n\n{right}", block.line);
    }
}

#[test]
fn a_dump_is_read_back() {
    let files = compose(UID);
    for bytes in [&files.segment, &files.watermark, &files.sealed_manifest] {
        assert_eq!(format_text::undump(&dump(bytes)), *bytes);
    }
}

fn read(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap()
}

/// The run of the document, written by the store; its folder, and the files that it ought to have.
fn written_by_the_store(base: &Path) -> (SegmentBackend, PathBuf, Files) {
    let mut store = SegmentBackend::builder(base).background(BackgroundMode::Manual).segment_len(16 << 10).build().unwrap();
    store.open_run(run_manifest()).unwrap();
    store.append_batch(&entries()).unwrap();
    store.record_snapshot_anchor(snapshot_anchor()).unwrap();
    let folder = store.current_path().unwrap().to_owned();
    let uid = decode_opening::<RunManifest>(&read(&folder, "MANIFEST")).unwrap().uid;
    (store, folder, compose(uid))
}

#[test]
fn the_store_writes_the_run_of_the_document() {
    let base = tempfile::tempdir().unwrap();
    let (store, folder, files) = written_by_the_store(base.path());
    let mut segment = files.segment.clone();
    segment.resize(16 << 10, 0);
    assert_eq!(read(&folder, "00000001.seg"), segment);
    assert_eq!(read(&folder, "MANIFEST"), files.opening);
    drop(store);
    assert_eq!(read(&folder, "WATERMARK"), files.watermark);
}

#[test]
fn the_store_seals_the_run_of_the_document() {
    let base = tempfile::tempdir().unwrap();
    let (mut store, folder, files) = written_by_the_store(base.path());
    store.seal(RunStatus::Ended).unwrap();
    assert_eq!(read(&folder, "00000001.seg"), files.segment);
    assert_eq!(read(&folder, "00000001.idx"), files.sparse_index);
    assert_eq!(read(&folder, "00000001.key"), files.key_index);
    assert_eq!(read(&folder, "MANIFEST"), files.sealed_manifest);
}

fn full_manifest() -> RunManifest {
    let mut manifest = run_manifest();
    let some = || indexmap::IndexMap::from([("a".to_owned(), "b".to_owned())]);
    manifest.parent_run_id = Some("p".to_owned());
    manifest.end_ts_init = Some(UnixNanos::from(1));
    let parts = &mut manifest.registered_components;
    (parts.actors, parts.strategies, parts.algorithms) = (some(), some(), some());
    (parts.subscriptions, parts.endpoints) = (vec!["s".to_owned()], vec!["e".to_owned()]);
    manifest
}

fn full_marker_manifest() -> MarkerManifest {
    MarkerManifest {
        run_id: "1-00000000".to_owned(),
        enabled_classes: DataClass::ALL.to_vec(),
        high_fidelity: true,
        snapshot_count: 1,
        hifi_count: 2,
        gap_count: 3,
        dict_count: 4,
        status: RunStatus::Running,
    }
}

fn full_seal() -> SealSection {
    let damage = SealedDamage {
        end_commit_no: 1,
        end_seq: 2,
        proven_commit_no: 3,
        proven_seq: 4,
        break_ordinal: 5,
        break_offset: 6,
        reason: "why".to_owned(),
    };
    let segment = SealedSegment { ordinal: 1, len: 2, entry_count: 3, last_seq: 4, last_commit_no: 5, root: [6; 32] };
    SealSection { segments: vec![segment, segment], anchor: Some((7, 8)), damage: Some(damage), ..compose(UID).seal }
}

/// A value's structures and variants, and that its parts are all of its bytes.
fn described<T: Serialize>(value: &T) -> values::Record {
    let record = record(value);
    let parts: Vec<u8> = record.leaves.iter().flat_map(|leaf| leaf.bytes.clone()).collect();
    assert_eq!(parts, envelope::encode_value(value).unwrap());
    record
}

#[test]
fn the_tables_of_values_name_every_field_in_the_order_of_its_bytes() {
    let anchor = SnapshotAnchor::new(1, "b", "c");
    let records = [described(&full_manifest()), described(&full_marker_manifest()), described(&full_seal()), described(&anchor)];
    let mut structs: Vec<_> = records.iter().flat_map(|record| record.structs.clone()).collect();
    structs.sort();
    structs.dedup();
    let mut shown: Vec<_> = tables(DOCUMENT).into_iter().filter(|table| table.caption.starts_with("Value `")).collect();
    shown.sort_by(|left, right| left.caption.cmp(&right.caption));
    assert_eq!(
        shown.iter().map(|table| table.caption.as_str()).collect::<Vec<_>>(),
        structs.iter().map(|(name, _)| format!("Value `{name}`")).collect::<Vec<_>>()
    );
    for (table, (name, fields)) in shown.iter().zip(&structs) {
        assert_eq!(table.head, ["field", "type", "meaning"], "FORMAT.md:{}", table.line);
        let rows: Vec<_> =
            table.rows.iter().map(|row| (row.cells[0].trim_matches('`'), row.cells[1].trim_matches('`').to_owned())).collect();
        assert_eq!(rows, *fields, "FORMAT.md:{}: the fields of {name}", table.line);
    }
}

#[test]
fn the_tables_of_variants_number_every_one() {
    let statuses = RunStatus::ALL.map(|status| record(&status).variants[0]);
    let classes = DataClass::ALL.map(|class| record(&class).variants[0]);
    for (name, variants) in [("RunStatus", &statuses[..]), ("DataClass", &classes[..])] {
        let tables = tables(DOCUMENT);
        let table = tables.iter().find(|table| table.caption == format!("Variants of `{name}`")).unwrap();
        let rows: Vec<_> = table.rows.iter().map(|row| (row.cells[0].as_str(), row.cells[1].trim_matches('`'))).collect();
        let numbers: Vec<_> = variants.iter().map(|(_, number, _)| number.to_string()).collect();
        let expected: Vec<_> = numbers.iter().map(String::as_str).zip(variants.iter().map(|(_, _, variant)| *variant)).collect();
        assert_eq!(rows, expected, "FORMAT.md:{}: the variants of {name}", table.line);
    }
}
