//! Files that say of a run what cannot be, under checksums that are right: to believe them costs nothing but the answer.

use std::fs;
use std::path::Path;

use tapelog::format::layout::{Field, structures};
use tapelog::{EventStore, EventStoreError, GapRange, RecoveredState, SegmentBackend, Verifier, VerifyFinding};

use super::small_run::{RUN, SmallRun, Witnessed};
use crate::support::entries::{INSTANCE, manifest};
use crate::support::folders::memory_dir;

/// So many entries that nobody counts to them one by one.
const CLAIMED: u64 = 1 << 60;
/// The header of the envelope in MANIFEST.
const ENVELOPE_LEN: usize = 72;

/// A change to the bytes of a structure.
type Forgery<'a> = &'a dyn Fn(&mut [u8]);

fn field(structure: &str, name: &str) -> Field {
    let structure = structures().iter().find(|known| known.name == structure).unwrap();
    *structure.fields.iter().find(|field| field.name == name).unwrap()
}

fn put(structure: &mut [u8], place: Field, value: &[u8]) {
    structure[place.offset..place.end()].copy_from_slice(value);
}

/// Changes both slots of WATERMARK, and makes their checksums right.
fn forge_watermark(folder: &Path, change: impl Fn(&mut [u8])) {
    let path = folder.join("WATERMARK");
    let mut bytes = fs::read(&path).unwrap();
    for slot in bytes.chunks_mut(4_096) {
        change(slot);
        let place = field("watermark slot", "crc");
        let crc = crc32fast::hash(&slot[..place.offset]);
        put(slot, place, &crc.to_le_bytes());
    }
    fs::write(path, bytes).unwrap();
}

fn claim(slot: &mut [u8], number: u64) {
    put(slot, field("watermark slot", "seq"), &number.to_le_bytes());
    put(slot, field("watermark slot", "commit_no"), &number.to_le_bytes());
}

/// Changes the value of the seal section, and makes the seal root and the checksum right.
fn forge_seal(folder: &Path, change: impl FnOnce(&mut [u8])) {
    let path = folder.join("MANIFEST");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(4).rposition(|window| window == b"TLMS").unwrap();
    let (front, seal) = bytes.split_at_mut(at);
    change(&mut seal[ENVELOPE_LEN..]);
    let len = field("envelope", "body_len");
    let opening_len = ENVELOPE_LEN + usize::try_from(u32::from_le_bytes(front[len.offset..len.end()].try_into().unwrap())).unwrap();
    let root = blake3::hash(&[b"tapelog/seal/v1", &front[..opening_len], &seal[ENVELOPE_LEN..]].concat());
    put(seal, field("envelope", "digest"), root.as_bytes());
    let place = field("envelope", "crc");
    let crc = crc32fast::hash(&[&seal[..place.offset], &seal[place.end()..]].concat());
    put(seal, place, &crc.to_le_bytes());
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_run_of_which_a_witness_claims_countless_entries_is_verified_to_its_end() {
    let run = SmallRun::crashed(Witnessed::All);
    let base = memory_dir();
    let folder = run.put_into(base.path());
    forge_watermark(&folder, |slot| {
        claim(slot, CLAIMED);
        put(slot, field("watermark slot", "ordinal"), &1_u32.to_le_bytes());
    });
    let store = SegmentBackend::open_read_only(&folder).unwrap();
    assert_eq!(store.recovery().unwrap().state, RecoveredState::AcknowledgedDamage, "{:?}", store.recovery());
    assert_eq!(store.high_watermark(), Ok(CLAIMED));
    let first = run.log.last_seq() + 1;
    assert_eq!(store.scan_seq(first), Err(EventStoreError::Gap { prev: first - 1, next: CLAIMED + 1, missing: first }));
    let report = Verifier::new(Box::new(store)).verify().unwrap();
    assert!(report.findings.contains(&VerifyFinding::Gap { range: GapRange { from: first, to: CLAIMED } }), "{report:?}");
}

#[test]
fn a_commit_that_a_witness_places_nowhere_discards_nothing() {
    for claimed in [1, 10, CLAIMED] {
        let run = SmallRun::crashed(Witnessed::All);
        let base = memory_dir();
        let folder = run.put_into(base.path());
        forge_watermark(&folder, |slot| {
            claim(slot, claimed);
            put(slot, field("watermark slot", "ordinal"), &0_u32.to_le_bytes());
            put(slot, field("watermark slot", "offset"), &0_u64.to_le_bytes());
        });
        let mut store = SegmentBackend::builder(base.path()).build().unwrap();
        assert_eq!(store.open_run(manifest(RUN)), Err(EventStoreError::CrashedPredecessor));
        assert_eq!(store.recovery().unwrap().state, RecoveredState::Clean, "{:?}", store.recovery());
        run.log.assert_whole(&store, run.log.last_seq(), &format!("the claim of {claimed} entries in no segment"));
    }
}

#[test]
fn a_seal_whose_segments_cannot_hold_its_entries_is_refused() {
    // The value of the section begins with the status, four bytes long, and the high-watermark; behind them stand
    // nine bytes of `end_ts_init`, two numbers, the count of the table and its rows of 68 bytes.
    const HIGH_WATERMARK: usize = 4;
    const TABLE: usize = HIGH_WATERMARK + 8 + 9 + 8 + 4 + 8;
    const LAST_ROW: usize = TABLE + 2 * 68;
    const ENTRY_COUNT: usize = LAST_ROW + 4 + 8;
    const LAST_SEQ: usize = ENTRY_COUNT + 8;
    let run = SmallRun::sealed();
    let set = |value: &mut [u8], at: usize, number: u64| value[at..at + 8].copy_from_slice(&number.to_le_bytes());
    let forgeries: [Forgery; 4] = [
        &|value| set(value, HIGH_WATERMARK, CLAIMED),
        &|value| set(value, LAST_SEQ, CLAIMED),
        &|value| {
            set(value, HIGH_WATERMARK, CLAIMED);
            set(value, LAST_SEQ, CLAIMED);
        },
        &|value| {
            set(value, HIGH_WATERMARK, CLAIMED + 5);
            set(value, LAST_SEQ, CLAIMED + 5);
            set(value, ENTRY_COUNT, CLAIMED);
        },
    ];
    for forgery in forgeries {
        let base = memory_dir();
        let folder = run.put_into(base.path());
        forge_seal(&folder, |value| {
            assert_eq!(value[HIGH_WATERMARK..][..8], run.log.last_seq().to_le_bytes(), "the value is where the format has it");
            assert_eq!(value[LAST_SEQ..][..8], run.log.last_seq().to_le_bytes(), "the value is where the format has it");
            forgery(value);
        });
        for opened in [SegmentBackend::open_read_only(&folder), SegmentBackend::open_sealed(base.path(), INSTANCE, RUN)] {
            let refused = opened.map(|store| store.high_watermark());
            assert!(matches!(&refused, Err(EventStoreError::Corrupted(corruption)) if corruption.file.is_some()), "{refused:?}");
        }
    }
}
