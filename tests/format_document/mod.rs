//! FORMAT.md against the code: its tables against the layout that the code reads and writes by, and
//! the files that it shows against the store that opens them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use tapelog::format::layout::{self, structures};
use tapelog::{
    DataClass, DataCursorSnapshot, EventStore, EventStoreError, Headers, HiFiMarker, IndexKind, MarkerGap, MarkerGapReason, RecoveredState,
    RunStatus, ScanDirection, SegmentBackend, StreamCursor, StreamDictEntry, UnixNanos, Verifier, compute_dict_hash, compute_entry_hash,
    compute_gap_hash, compute_hifi_hash, compute_marker_hash, compute_snapshot_content_hash, limits,
};
use uuid::Uuid;

use crate::support::format_text::{Row, Table, blocks, tables, undump};

const DOCUMENT: &str = include_str!("../../FORMAT.md");
const LAYOUT_HEAD: [&str; 4] = ["offset", "length", "field", "meaning"];

/// A cell without the marks of code around it.
fn plain(cell: &str) -> &str {
    cell.trim_matches('`')
}

fn table(caption: &str) -> Table {
    let mut found: Vec<_> = tables(DOCUMENT).into_iter().filter(|table| table.caption == caption).collect();
    assert_eq!(found.len(), 1, "FORMAT.md has {} tables under {caption:?}", found.len());
    found.remove(0)
}

/// Two columns of a table.
fn pairs(caption: &str, columns: [usize; 2]) -> Vec<(String, String)> {
    let cell = |row: &Row, column: usize| plain(&row.cells[columns[column]]).to_owned();
    table(caption).rows.iter().map(|row| (cell(row, 0), cell(row, 1))).collect()
}

/// The caption under which a structure is described.
fn layout_caption(name: &str, len: Option<usize>) -> String {
    match len {
        Some(len) => format!("Layout of `{name}`, {len} bytes"),
        None => format!("Layout of `{name}`, varying length"),
    }
}

/// The rows that a structure's table ought to have.
fn layout_rows(structure: &layout::Structure) -> Vec<[String; 3]> {
    let mut varies = false;
    let mut rows = Vec::new();
    for field in structure.fields {
        let offset = if varies { format!("≥ {}", field.offset) } else { field.offset.to_string() };
        varies |= field.len == 0;
        let len = if field.len == 0 { "varies".to_owned() } else { field.len.to_string() };
        rows.push([offset, len, field.name.to_owned()]);
    }
    rows
}

#[test]
fn every_field_of_every_structure_is_described_where_it_is() {
    for structure in structures() {
        let table = table(&layout_caption(structure.name, structure.len));
        assert_eq!(table.head, LAYOUT_HEAD, "FORMAT.md:{}", table.line);
        let mut expected = layout_rows(structure).into_iter();
        for row in &table.rows {
            let found = [&row.cells[0], &row.cells[1], plain(&row.cells[2])];
            let expected = expected.next();
            let what = format!("FORMAT.md:{}: {} has {expected:?} here", row.line, structure.name);
            assert_eq!(Some(found.map(str::to_owned)), expected, "{what}");
            assert_eq!(row.cells.len(), LAYOUT_HEAD.len(), "FORMAT.md:{}", row.line);
            assert!(!row.cells[3].is_empty(), "FORMAT.md:{}: no meaning is given", row.line);
        }
        assert_eq!(expected.next(), None, "FORMAT.md:{}: a field of {} is missing", table.line, structure.name);
    }
}

#[test]
fn every_described_structure_exists() {
    let captions: Vec<_> = structures().iter().map(|structure| layout_caption(structure.name, structure.len)).collect();
    for table in tables(DOCUMENT) {
        let is_layout = table.head == LAYOUT_HEAD || table.caption.starts_with("Layout");
        assert!(!is_layout || captions.contains(&table.caption), "FORMAT.md:{}: {:?} is no structure", table.line, table.caption);
    }
}

#[test]
fn magics_and_versions_are_those_of_the_structures() {
    let rows_of = |name: &str| {
        let structure = structures().iter().find(|structure| structure.name == name).unwrap();
        table(&layout_caption(name, structure.len)).rows
    };
    for (name, magic) in layout::MAGICS {
        let text = match *name {
            "opening section" | "seal section" | "ANCHOR" => {
                // These are envelopes: their magics stand in the table behind the envelope's layout.
                let table = tables(DOCUMENT).into_iter().find(|table| table.head == ["magic", "holds", "digest"]).unwrap();
                table.rows.iter().find(|row| row.cells[1].contains(name)).unwrap().cells[0].clone()
            }
            "sparse index" | "key index" => rows_of("index header")[0].cells[3].clone(),
            name => rows_of(name)[0].cells[3].clone(),
        };
        assert!(text.contains(&format!("`{magic}`")), "{name} begins with {magic}, and FORMAT.md says {text}");
    }
    for structure in structures() {
        if structure.fields.iter().any(|field| field.name == "version") {
            let rows = rows_of(structure.name);
            let row = rows.iter().find(|row| row.cells[2] == "version").unwrap();
            assert_eq!(row.cells[3], layout::VERSION.to_string(), "FORMAT.md:{}", row.line);
        }
    }
    assert!(DOCUMENT.starts_with(&format!("# tapelog on disk, version {}\n", layout::VERSION)));
}

#[test]
fn names_domains_kinds_and_codes_are_those_of_the_code() {
    let named = |list: &[(&str, &str)]| list.iter().map(|(what, text)| ((*what).to_owned(), (*text).to_owned())).collect::<Vec<_>>();
    let coded = |list: &[(&str, u8)]| list.iter().map(|(name, code)| (code.to_string(), (*name).to_owned())).collect::<Vec<_>>();
    assert_eq!(pairs("Names", [0, 1]), named(layout::FILE_NAMES));
    assert_eq!(pairs("Domains", [0, 1]), named(layout::DOMAINS));
    assert_eq!(pairs("Kinds", [0, 1]), coded(layout::KINDS));
    for (group, codes) in layout::CODES {
        assert_eq!(pairs(&format!("Codes of `{group}`"), [0, 1]), coded(codes), "{group}");
    }
    let described = tables(DOCUMENT).iter().filter(|table| table.caption.starts_with("Codes of")).count();
    assert_eq!(described, layout::CODES.len());
}

/// Every bound in `limits.rs` by its name, and its value in the unit that FORMAT.md gives.
fn limits_by_name() -> BTreeMap<&'static str, Limit> {
    use Limit::{Number, Time};
    let number = |value: usize| Number(value as u64);
    BTreeMap::from([
        ("BLOCK_LEN", Number(limits::BLOCK_LEN)),
        ("FRAME_ALIGN", Number(limits::FRAME_ALIGN)),
        ("PAYLOAD_LEN_MAX", number(limits::PAYLOAD_LEN_MAX)),
        ("TOPIC_LEN_MAX", number(limits::TOPIC_LEN_MAX)),
        ("PAYLOAD_TYPE_LEN_MAX", number(limits::PAYLOAD_TYPE_LEN_MAX)),
        ("KEYS_PER_ENTRY_MAX", number(limits::KEYS_PER_ENTRY_MAX)),
        ("KEY_LEN_MAX", number(limits::KEY_LEN_MAX)),
        ("BATCH_LEN_MAX", Number(limits::BATCH_LEN_MAX)),
        ("FRAME_BODY_LEN_MAX", number(limits::FRAME_BODY_LEN_MAX)),
        ("ANCHOR_TEXT_LEN_MAX", number(limits::ANCHOR_TEXT_LEN_MAX)),
        ("STREAM_IDENTIFIER_LEN_MAX", number(limits::STREAM_IDENTIFIER_LEN_MAX)),
        ("SNAPSHOT_CURSORS_MAX", number(limits::SNAPSHOT_CURSORS_MAX)),
        ("MANIFEST_LEN_MAX", number(limits::MANIFEST_LEN_MAX)),
        ("OPENING_LEN_MAX", number(limits::OPENING_LEN_MAX)),
        ("ID_LEN_MAX", number(limits::ID_LEN_MAX)),
        ("SEGMENT_LEN_MIN", Number(limits::SEGMENT_LEN_MIN)),
        ("SEGMENT_LEN_MAX", Number(limits::SEGMENT_LEN_MAX)),
        ("SEGMENT_LEN_DEFAULT", Number(limits::SEGMENT_LEN_DEFAULT)),
        ("ORDINAL_MAX", Number(limits::ORDINAL_MAX.into())),
        ("SPARES_MIN", Number(limits::SPARES_MIN.into())),
        ("SPARES_MAX", Number(limits::SPARES_MAX.into())),
        ("SPARES_DEFAULT", Number(limits::SPARES_DEFAULT.into())),
        ("INDEX_SPACING_MIN", Number(limits::INDEX_SPACING_MIN)),
        ("INDEX_SPACING_MAX", Number(limits::INDEX_SPACING_MAX)),
        ("INDEX_SPACING_DEFAULT", Number(limits::INDEX_SPACING_DEFAULT)),
        ("SYNC_EVERY_MIN", Time(limits::SYNC_EVERY_MIN)),
        ("SYNC_EVERY_MAX", Time(limits::SYNC_EVERY_MAX)),
        ("UNSYNCED_LEN_MIN", Number(limits::UNSYNCED_LEN_MIN)),
        ("UNSYNCED_LEN_MAX", Number(limits::UNSYNCED_LEN_MAX)),
        ("UNSYNCED_LEN_DEFAULT", Number(limits::UNSYNCED_LEN_DEFAULT)),
        ("CHANNEL_CAPACITY_MAX", number(limits::CHANNEL_CAPACITY_MAX)),
        ("CHANNEL_CAPACITY_DEFAULT", number(limits::CHANNEL_CAPACITY_DEFAULT)),
        ("CHANNEL_LEN_MIN", Number(limits::CHANNEL_LEN_MIN)),
        ("CHANNEL_LEN_MAX", Number(limits::CHANNEL_LEN_MAX)),
        ("CHANNEL_LEN_DEFAULT", Number(limits::CHANNEL_LEN_DEFAULT)),
        ("WRITER_BATCH_ENTRIES_MAX", number(limits::WRITER_BATCH_ENTRIES_MAX)),
        ("WRITER_BATCH_ENTRIES_DEFAULT", number(limits::WRITER_BATCH_ENTRIES_DEFAULT)),
        ("WRITER_BATCH_LEN_MIN", Number(limits::WRITER_BATCH_LEN_MIN)),
        ("WRITER_BATCH_LEN_MAX", Number(limits::WRITER_BATCH_LEN_MAX)),
        ("WRITER_BATCH_LEN_DEFAULT", Number(limits::WRITER_BATCH_LEN_DEFAULT)),
        ("WRITER_REQUESTS_MAX", number(limits::WRITER_REQUESTS_MAX)),
        ("BATCH_LATENCY_MAX", Time(limits::BATCH_LATENCY_MAX)),
        ("HALT_THRESHOLD_MIN", Time(limits::HALT_THRESHOLD_MIN)),
        ("HALT_THRESHOLD_MAX", Time(limits::HALT_THRESHOLD_MAX)),
        ("HALT_THRESHOLD_DEFAULT", Time(limits::HALT_THRESHOLD_DEFAULT)),
        ("SPIN_MAX", Time(limits::SPIN_MAX)),
        ("ROTATION_LEN_MIN", Number(limits::ROTATION_LEN_MIN)),
        ("ROTATION_AGE_MIN", Time(limits::ROTATION_AGE_MIN)),
        ("ROTATION_RETRY_AFTER", Time(limits::ROTATION_RETRY_AFTER)),
        ("ROTATION_TIME_SLACK", Time(limits::ROTATION_TIME_SLACK)),
        ("ROTATION_STALL_MAX", Time(limits::ROTATION_STALL_MAX)),
        ("HOUSEKEEPING_EVERY", Time(limits::HOUSEKEEPING_EVERY)),
        ("SPACE_LOOK_EVERY", Time(limits::SPACE_LOOK_EVERY)),
        ("RUN_STARTED_TIMEOUT_DEFAULT", Time(limits::RUN_STARTED_TIMEOUT_DEFAULT)),
        ("SEAL_TIMEOUT", Time(limits::SEAL_TIMEOUT)),
        ("ACKNOWLEDGE_EVERY", Time(limits::ACKNOWLEDGE_EVERY)),
        ("OPEN_SEGMENTS_MAX", number(limits::OPEN_SEGMENTS_MAX)),
        ("CHAIN_RUNS_MAX", number(limits::CHAIN_RUNS_MAX)),
        ("READ_CHUNK_LEN", number(limits::READ_CHUNK_LEN)),
        ("WATERMARK_IDLE", Time(limits::WATERMARK_IDLE)),
        ("WATERMARK_SYNC_EVERY", Time(limits::WATERMARK_SYNC_EVERY)),
        ("WATERMARK_WRITE_EVERY", Time(limits::WATERMARK_WRITE_EVERY)),
    ])
}

#[derive(Debug, PartialEq, Eq)]
enum Limit {
    Number(u64),
    Time(Duration),
}

#[test]
fn limits_are_those_of_the_code() {
    let source = include_str!("../../src/limits.rs");
    let constants: Vec<_> = source.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next()).collect();
    let by_name = limits_by_name();
    let table = table("Limits");
    assert_eq!(table.rows.iter().map(|row| plain(&row.cells[0])).collect::<Vec<_>>(), constants, "FORMAT.md:{}", table.line);
    for row in &table.rows {
        let value: u64 = row.cells[1].parse().unwrap();
        let found = match row.cells[2].as_str() {
            "microseconds" => Limit::Time(Duration::from_micros(value)),
            "milliseconds" => Limit::Time(Duration::from_millis(value)),
            "seconds" => Limit::Time(Duration::from_secs(value)),
            _ => Limit::Number(value),
        };
        assert_eq!(Some(&found), by_name.get(plain(&row.cells[0])), "FORMAT.md:{}", row.line);
    }
}

/// The domain of a hash of values as the document quotes it.
fn quoted_domain(name: &str) -> &'static [u8] {
    let begin = DOCUMENT.find(&format!("\n{name} ")).unwrap();
    DOCUMENT[begin..].split('"').nth(1).unwrap().as_bytes()
}

/// BLAKE3 of a domain and of the rest.
fn hash(name: &str, parts: &[&[u8]]) -> [u8; 32] {
    blake3::hash(&[&[quoted_domain(name)], parts].concat().concat()).into()
}

fn text(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u64).to_be_bytes()[..], text].concat()
}

#[test]
fn the_hashes_of_values_are_computed_as_described() {
    let id = Uuid::from_u128(7);
    let headers = Headers { correlation_id: None, causation_id: Some(id) };
    let entry = compute_entry_hash(1, UnixNanos::from(2), UnixNanos::from(3), "topic", "type", b"payload", &headers);
    let numbers: Vec<u8> = [1_u64, 2, 3].iter().flat_map(|number| number.to_be_bytes()).collect();
    let parts = [&numbers, &text(b"topic"), &text(b"type"), &text(b"payload"), &[0][..], &[1], id.as_bytes()];
    assert_eq!(entry.0, hash("entry", &parts));

    let numbers = |numbers: &[u64]| numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<u8>>();
    let advanced = vec![StreamCursor { slot: 4, ts_init_hi: UnixNanos::from(5), count: 6 }];
    let snapshot = DataCursorSnapshot { marker_seq: 1, event_seq_before: 2, ts_init: UnixNanos::from(3), advanced };
    let parts = [&numbers(&[1, 2, 3, 1])[..], &4_u32.to_be_bytes(), &numbers(&[5, 6])];
    assert_eq!(compute_marker_hash(&snapshot), hash("snapshot", &parts));

    let (ts_event, ts_init) = (UnixNanos::from(4), UnixNanos::from(5));
    let hifi =
        HiFiMarker { marker_seq: 1, event_seq_before: 2, slot: 3, ts_event, ts_init, same_ts_ordinal: 6, record_fingerprint: [7; 32] };
    let parts = [&numbers(&[1, 2])[..], &3_u32.to_be_bytes(), &numbers(&[4, 5]), &6_u32.to_be_bytes(), &[7; 32]];
    assert_eq!(compute_hifi_hash(&hifi), hash("hifi", &parts));

    let dict = StreamDictEntry { slot: 1, data_cls: DataClass::Trade, identifier: "id".to_owned() };
    assert_eq!(compute_dict_hash(&dict), hash("dict", &[&1_u32.to_be_bytes(), &text(b"Trade"), &text(b"id")]));

    let gap = MarkerGap { from_marker_seq: 1, to_marker_seq: 2, reason: MarkerGapReason::WriterClosed };
    assert_eq!(compute_gap_hash(&gap), hash("gap", &[&numbers(&[1, 2]), &[1]]));
}

/// A file as the document shows it.
fn shown(name: &str) -> Vec<u8> {
    let block = blocks(DOCUMENT).into_iter().find(|block| block.name == format!("dump of {name}")).unwrap();
    undump(&block.text)
}

const RUN: &str = "1700000000000000000-0badcafe";
const START: u64 = 1_700_000_000_000_000_000;

fn assert_holds_the_documented_run(store: &SegmentBackend) {
    assert_eq!(store.high_watermark().unwrap(), 2);
    let entries = store.scan_range(1, 2, ScanDirection::Forward).unwrap();
    let told: Vec<_> = entries.iter().map(|entry| (entry.topic.as_str(), entry.payload_type.as_str(), entry.payload.clone())).collect();
    assert_eq!(
        told,
        [("exec.command", "SubmitOrder", Bytes::from_static(b"BUY 3 @ 101.5")), ("exec.event", "OrderAccepted", Bytes::from_static(b"OK"))]
    );
    assert_eq!(entries[1].ts_init, UnixNanos::from(START + 2_000));
    assert_eq!(entries[0].headers.causation_id, None);
    assert_eq!(entries[0].headers.correlation_id, entries[1].headers.correlation_id);
    assert_eq!(store.lookup(IndexKind::ClientOrderId, "O-1").unwrap(), Some(1));
    assert_eq!(store.lookup(IndexKind::VenueOrderId, "V-77").unwrap(), Some(2));
    let anchor = store.latest_snapshot_anchor().unwrap().unwrap();
    assert_eq!((anchor.high_watermark, anchor.content_hash), (2, compute_snapshot_content_hash(b"a cache")));
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    std::fs::write(folder.join(name), bytes).unwrap();
}

#[test]
fn the_sealed_run_of_the_document_can_be_opened_and_is_clean() {
    let base = tempfile::tempdir().unwrap();
    let folder = base.path().join(RUN);
    std::fs::create_dir(&folder).unwrap();
    for name in ["MANIFEST", "00000001.seg", "00000001.idx", "00000001.key"] {
        write(&folder, name, &shown(name));
    }
    let store = SegmentBackend::open_sealed_file(&folder).unwrap();
    assert_holds_the_documented_run(&store);
    let manifest = store.manifest().unwrap();
    assert_eq!((manifest.status, manifest.end_ts_init), (RunStatus::Ended, Some(UnixNanos::from(START + 2_000))));
    assert!(Verifier::new(Box::new(store)).verify().unwrap().is_clean());
}

#[test]
fn the_run_of_the_document_is_recovered_as_it_was_before_its_seal() {
    let base = tempfile::tempdir().unwrap();
    let folder = base.path().join("trader-001").join(RUN);
    std::fs::create_dir_all(&folder).unwrap();
    let sealed = shown("MANIFEST");
    let opening_len = 72 + u32::from_le_bytes(sealed[8..12].try_into().unwrap()) as usize;
    let mut segment = shown("00000001.seg");
    segment.resize(16 << 10, 0);
    write(&folder, "MANIFEST", &sealed[..opening_len]);
    write(&folder, "WATERMARK", &shown("WATERMARK"));
    write(&folder, "00000001.seg", &segment);

    let read_only = SegmentBackend::open_read_only(&folder).unwrap();
    assert_holds_the_documented_run(&read_only);
    let manifest = read_only.manifest().unwrap();
    let mut store = SegmentBackend::new(base.path());
    assert_eq!(store.open_run(manifest), Err(EventStoreError::CrashedPredecessor));
    assert_eq!(store.recovery().unwrap().state, RecoveredState::Clean);
    assert_holds_the_documented_run(&store);
    store.seal(RunStatus::Ended).unwrap();
    for name in ["00000001.seg", "00000001.idx", "00000001.key"] {
        assert_eq!(std::fs::read(folder.join(name)).unwrap(), shown(name), "{name}");
    }
}

#[test]
fn the_document_has_no_table_that_is_taken_for_another() {
    let document = "**Layout of `x`, 1 bytes**\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\ntext\n\n| c |\n|---|\n\n```text\n**A**\n| no |\n```\n";
    let found = tables(document);
    let told: Vec<_> = found.iter().map(|table| (table.caption.as_str(), table.line, table.rows.len())).collect();
    assert_eq!(told, [("Layout of `x`, 1 bytes", 3, 1), ("", 9, 0)]);
}
