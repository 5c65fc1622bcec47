//! What each class of damage leads to, on one small run; cases that once broke a promise; and a seeded share.

use tapelog::IndexKind;

use super::*;
use crate::explore::damage::table::{Row, Way};

/// A run of three segments that was killed: WATERMARK is behind the last batches.
const RUNNING: &str = "synced:at-once/1/small#1,medium#2,anchor#3,roll#4,large#5,roll#6,medium#7,small#8";
/// The same run behind an orderly end, sealed, with a child run beside it.
const SEALED: &str = "synced:at-once/1/small#1,medium#2,anchor#3,roll#4,large#5,roll#6,medium#7,seal#8,reopen#9,small#10";

fn image(history: &str) -> Image {
    Image::of(&history.parse().unwrap(), Stop::Killed).unwrap()
}

/// Judges a damage to a history's disk, which has to apply to it.
fn judged(history: &str, damage: &str) -> DamageTable {
    let mut table = DamageTable::default();
    let damages: Vec<Damage> = damage.split('&').map(|damage| damage.parse().unwrap()).collect();
    let applied = examine(&image(history), &damages, "damage", &mut table);
    assert_eq!(applied, Ok(true), "{damage} to {history}");
    table
}

fn row(table: &DamageTable, way: Way) -> Row {
    table.rows.get(&way).and_then(|rows| rows.values().next()).copied().unwrap_or_default()
}

fn quick(damage: &str) -> Row {
    row(&judged(RUNNING, damage), Way::QuickOpening)
}

fn full(damage: &str) -> Row {
    row(&judged(RUNNING, damage), Way::FullWalk)
}

const HARMLESS: Row = Row { disks: 1, harmless: 1, torn_tail: 0, at_opening: 0, on_reading: 0, refused: 0 };
const TORN_TAIL: Row = Row { harmless: 0, torn_tail: 1, ..HARMLESS };
const AT_OPENING: Row = Row { harmless: 0, at_opening: 1, ..HARMLESS };
const ON_READING: Row = Row { harmless: 0, on_reading: 1, ..HARMLESS };
const REFUSED: Row = Row { harmless: 0, refused: 1, ..HARMLESS };

/// Where the first record of a commit of [`RUNNING`] stands: file, and byte within its body.
fn record_of(commit_no: u64) -> (String, usize) {
    let image = image(RUNNING);
    let (ordinal, batch) = image.readings[0].batch(commit_no).unwrap();
    (format!("run-1/{ordinal:08}.seg"), batch.records[0].body.start + 60)
}

#[test]
fn a_disk_that_nothing_befell_is_whole_in_every_way() {
    for history in [RUNNING, SEALED] {
        let mut table = DamageTable::default();
        assert_eq!(examine(&image(history), &[], "none", &mut table), Ok(true));
        for rows in table.rows.values() {
            assert!(rows.values().all(|row| row.harmless == row.disks && row.disks > 0));
        }
    }
}

#[test]
fn a_flipped_bit_before_the_witness_shows_when_it_is_read_and_in_a_full_walk_at_once() {
    let (file, offset) = record_of(2);
    let flip = format!("flip {file} {offset} 3");
    assert_eq!((quick(&flip), full(&flip)), (ON_READING, AT_OPENING));
}

#[test]
fn a_flipped_bit_in_the_last_batch_before_any_witness_of_it_is_a_torn_tail() {
    let history = "synced:never/1/small#1,small#2,small#3";
    let image = image(history);
    let (ordinal, batch) = image.readings[0].last_batch().unwrap();
    let flip = format!("flip run-1/{ordinal:08}.seg {} 0", batch.commit.start + 30);
    assert_eq!(row(&judged(history, &flip), Way::FullWalk), TORN_TAIL);
}

#[test]
fn every_bit_of_a_commit_that_a_later_one_claims_condemns_the_run() {
    let history = "synced:never/1/small#1,small#2,small#3";
    let image = image(history);
    let (ordinal, batch) = image.readings[0].batch(2).unwrap();
    for offset in batch.commit.clone().step_by(7) {
        let flip = format!("flip run-1/{ordinal:08}.seg {offset} {}", offset % 8);
        let table = judged(history, &flip);
        assert_eq!((row(&table, Way::QuickOpening), row(&table, Way::FullWalk)), (AT_OPENING, AT_OPENING), "{flip}");
    }
}

#[test]
fn a_zeroed_sector_of_acknowledged_data_is_reported() {
    let (file, offset) = record_of(2);
    let zero = format!("zero {file} {} 1", offset / 512);
    assert_eq!((quick(&zero).harmless, full(&zero)), (0, AT_OPENING));
}

#[test]
fn a_zeroed_block_of_acknowledged_data_is_reported() {
    assert_eq!(full("zero run-1/00000001.seg 8 8"), AT_OPENING);
}

#[test]
fn an_unreadable_sector_is_an_error_of_the_disk() {
    let (file, offset) = record_of(2);
    assert_eq!(full(&format!("unreadable {file} {} 1", offset / 512)), REFUSED);
}

#[test]
fn an_unreadable_index_is_made_from_its_segment() {
    assert_eq!(quick("unreadable run-1/00000001.key 0 1"), HARMLESS);
}

#[test]
fn a_stale_sector_of_acknowledged_data_is_reported() {
    // Behind the first operation, the second batch was not there yet.
    let (_, offset) = record_of(2);
    assert_eq!(full(&format!("stale run-1/00000001.seg {} 1", offset / 512)), AT_OPENING);
}

#[test]
fn a_sector_of_another_segment_is_never_taken_for_this_one() {
    let (file, offset) = record_of(2);
    let misplaced = format!("misplaced {file} {sector} run-1/00000002.seg {sector}", sector = offset / 512);
    assert_eq!(full(&misplaced), AT_OPENING);
}

#[test]
fn another_segments_header_copy_beside_the_right_one_does_not_condemn_a_run() {
    for sector in [0, 4] {
        let misplaced = format!("misplaced run-1/00000001.seg {sector} run-1/00000002.seg {sector}");
        assert_eq!((quick(&misplaced), full(&misplaced)), (HARMLESS, HARMLESS));
    }
}

#[test]
fn both_header_copies_lost_condemn_a_segment_with_frames() {
    assert_eq!(full("zero run-1/00000002.seg 0 8"), AT_OPENING);
}

#[test]
fn a_lost_segment_is_reported_and_a_lost_spare_is_not_missed() {
    assert_eq!((quick("gone run-1/00000002.seg"), full("gone run-1/00000002.seg")), (AT_OPENING, AT_OPENING));
    assert_eq!((quick("gone run-1/00000005.seg"), full("gone run-1/00000005.seg")), (HARMLESS, HARMLESS));
}

#[test]
fn a_lost_manifest_is_replaced_by_genesis_and_reported() {
    assert_eq!((quick("gone run-1/MANIFEST"), full("gone run-1/MANIFEST")), (AT_OPENING, AT_OPENING));
}

#[test]
fn without_manifest_and_genesis_a_run_is_refused() {
    assert_eq!(quick("gone run-1/MANIFEST & flip run-1/00000001.seg 4300 1"), REFUSED);
}

#[test]
fn lost_indexes_and_a_lost_lock_are_made_again() {
    for file in ["00000001.idx", "00000001.key", "LOCK"] {
        let gone = format!("gone run-1/{file}");
        assert_eq!((quick(&gone), full(&gone)), (HARMLESS, HARMLESS), "{gone}");
    }
}

#[test]
fn lost_slots_of_watermark_leave_the_commits_as_witnesses() {
    for slots in ["zero run-1/WATERMARK 0 1", "zero run-1/WATERMARK 8 1", "zero run-1/WATERMARK 0 16", "gone run-1/WATERMARK"] {
        assert_eq!((quick(slots), full(slots)), (HARMLESS, HARMLESS), "{slots}");
    }
}

#[test]
fn a_slot_counts_whatever_the_length_of_watermark_is() {
    let table = judged("synced:at-once/967670/anchor#1,large#2,small#3,drop#4", "cut run-1/WATERMARK 4096");
    assert_eq!(row(&table, Way::Reader), HARMLESS);
}

#[test]
fn exchanged_segments_are_reported() {
    assert_eq!(full("exchanged run-1/00000001.seg run-1/00000002.seg"), AT_OPENING);
    assert_eq!(full("copied run-1/00000002.seg run-1/00000001.seg"), AT_OPENING);
}

#[test]
fn exchanged_indexes_are_not_believed() {
    for kind in ["idx", "key"] {
        assert_eq!(quick(&format!("exchanged run-1/00000001.{kind} run-1/00000002.{kind}")), HARMLESS);
    }
}

#[test]
fn a_segment_that_ends_too_early_is_reported() {
    assert_eq!(full("cut run-1/00000001.seg 4800"), AT_OPENING);
}

#[test]
fn garbage_behind_the_end_is_discarded_and_no_damage() {
    let image = image(RUNNING);
    let (ordinal, batch) = image.readings[0].last_batch().unwrap();
    let garbage = format!("garbage run-1/{ordinal:08}.seg {} 900 7", batch.end);
    assert_eq!((quick(&garbage), full(&garbage)), (HARMLESS, HARMLESS));
    assert_eq!(quick("garbage run-1/00000001.seg 16384 900 7"), HARMLESS);
}

#[test]
fn a_stale_segment_is_reported() {
    assert_eq!(full("earlier run-1/00000001.seg 1"), AT_OPENING);
}

#[test]
fn forgeries_are_caught_by_a_full_walk() {
    for forgery in ["key", "payload", "count", "commit-number", "claim", "dropped", "exchanged", "renumbered", "enlarged", "base-root"] {
        assert_eq!(full(&format!("forged run-1/00000001.seg {forgery} 2 1")), AT_OPENING, "{forgery}");
    }
}

#[test]
fn a_sealed_run_shows_damage_to_an_entry_and_only_that_entry() {
    let image = image(SEALED);
    let (ordinal, batch) = image.readings[0].batch(2).unwrap();
    let flip = format!("flip run-1/{ordinal:08}.seg {} 0", batch.records[1].body.start + 80);
    assert_eq!(row(&judged(SEALED, &flip), Way::SealedRun), ON_READING);
}

#[test]
fn a_sealed_run_whose_seal_is_damaged_is_judged_again_as_damaged() {
    let len = image(SEALED).files["run-1/MANIFEST"].len();
    let table = judged(SEALED, &format!("flip run-1/MANIFEST {} 0", len - 1));
    assert_eq!((row(&table, Way::QuickOpening), row(&table, Way::FullWalk)), (AT_OPENING, AT_OPENING));
}

#[test]
fn a_claim_behind_the_end_of_the_chain_is_believed_for_what_a_reader_is_shown() {
    let case = "synced:never/144975/small#1,large#2 % killed % flip run-1/00000001.seg 8186 5";
    assert_eq!(replay(&case.parse().unwrap(), &mut DamageTable::default()), Ok(true));
}

#[test]
fn a_stated_length_hides_no_claim() {
    let case = "synced:never/342582/large#1,small#2 % killed % forged run-1/00000001.seg enlarged 1 38";
    assert_eq!(replay(&case.parse().unwrap(), &mut DamageTable::default()), Ok(true));
}

#[test]
fn a_slot_that_contradicts_the_log_is_noted() {
    use tapelog::EventStore;
    let image = image(RUNNING);
    let mut injured = Injured::of(&image);
    for slot in 0..2 {
        let forged = Damage::Forged { file: "run-1/WATERMARK".to_owned(), forgery: Forgery::SlotRoot, commit_no: 0, nth: slot };
        assert_eq!(forged.apply(&image, &mut injured), Some(()));
    }
    let mut store = crate::engine::store_over(&injured.disk(&image), crate::setting::Mode::Synced).unwrap();
    let opened = store.open_run(image.runs[0].manifest.clone());
    assert_eq!(opened, Err(tapelog::EventStoreError::CrashedPredecessor));
    let report = store.recovery().unwrap();
    assert!(report.notes.iter().any(|note| note.contains("of WATERMARK contradicts the log at commit")), "{report}");
}

/// A run that is damaged was looked through entry by entry, and those whose keys an edit had made unreadable were passed over.
#[test]
fn no_key_is_found_or_missed_past_an_entry_whose_keys_cannot_be_read() {
    for case in [
        "synced:at-once/831026/small#1 % killed % forged run-1/00000001.seg key 1 23",
        "synced:at-once/967670/large#2 % killed % forged run-1/00000001.seg key 1 38",
    ] {
        assert_eq!(replay(&case.parse().unwrap(), &mut DamageTable::default()), Ok(true), "{case}");
    }
}

/// The only entry with a key had another one after an edit, and a look-up of the key said that there was none.
#[test]
fn a_key_of_a_batch_that_its_commit_contradicts_is_refused() {
    let case = "synced:seeded/60559/large#1 % killed % forged run-1/00000001.seg key 1 55";
    assert_eq!(replay(&case.parse().unwrap(), &mut DamageTable::default()), Ok(true));
}

/// Two entries with one key stood in each other's place, each with its own number, and the index led to the later one.
#[test]
fn an_exchange_of_entries_with_one_key_does_not_make_the_later_one_the_first() {
    for case in [
        "buffered:at-once/92998/jumbo#1,seal#2 % killed % forged run-1/00000001.seg exchanged 1 62",
        "buffered:at-once/822129/large#2,roll#5 % killed % forged run-1/00000001.seg exchanged 1 42",
    ] {
        assert_eq!(replay(&case.parse().unwrap(), &mut DamageTable::default()), Ok(true), "{case}");
    }
}

#[test]
fn an_answer_by_an_edited_key_is_right_where_the_entry_is_the_first_that_has_it() {
    let image = image("synced:never/1/small#1,small#2,small#3");
    let edited_keys = |byte: usize| {
        let mut injured = Injured::of(&image);
        let forged = Damage::Forged { file: "run-1/00000001.seg".to_owned(), forgery: Forgery::Key, commit_no: 1, nth: byte };
        assert_eq!(forged.apply(&image, &mut injured), Some(()));
        edited::EditedKeys::read(&image.readings[0], "run-1", &injured.files)
    };
    // The entries have the keys O-0, O-0 and V-0, and O-1; the last byte of the first one's key is edited to 1.
    let keys = edited_keys(6);
    let first = |key| keys.first(IndexKind::ClientOrderId, key, 3);
    assert_eq!(["O-0", "O-1", "O-2"].map(first), [Some(2), Some(1), None]);
    assert_eq!(keys.first(IndexKind::ClientOrderId, "O-0", 1), None, "it is not shown yet");
    assert_eq!(keys.firsts(IndexKind::ClientOrderId, 3).unwrap().into_iter().collect::<Vec<_>>(), [("O-0", 2), ("O-1", 1)]);
    // Where the length of a key is edited, nobody can tell what the entry has, and so not what any other is the first with.
    let keys = edited_keys(2);
    assert_eq!((keys.first(IndexKind::ClientOrderId, "O-1", 3), keys.firsts(IndexKind::ClientOrderId, 3)), (None, None));
}

#[test]
fn a_case_is_read_back_from_its_text() {
    let text = format!(
        "{RUNNING} % power-lost 7 % {}",
        "flip run-1/00000001.seg 5000 3 & zero run-1/WATERMARK 0 16 & unreadable run-1/00000001.key 0 1 & \
         stale run-1/00000001.seg 9 2 & misplaced run-1/00000001.seg 9 run-1/00000002.seg 10 & gone run-1/LOCK & \
         exchanged run-1/00000001.idx run-1/00000002.idx & copied run-1/MANIFEST run-2/MANIFEST & cut run-1/00000001.seg 5 & \
         garbage run-1/00000001.seg 5 6 7 & earlier run-1/WATERMARK 3 & forged run-1/00000001.seg low-claim 2 1"
    );
    let case: DamageCase = text.parse().unwrap();
    assert_eq!((case.to_string(), case.damages.len()), (text, 12));
    for wrong in ["", "a % b", "synced:never/1/ % killed", "synced:never/1/ % burnt % ", "synced:never/1/ % killed % flip run-1/LOCK"] {
        assert!(wrong.parse::<DamageCase>().is_err(), "{wrong}");
    }
}

#[test]
fn a_share_of_all_damages_breaks_no_promise() {
    let mut table = DamageTable::default();
    for seed in 0..40 {
        assert_eq!(explore(seed, 12, &mut table), Ok(()));
    }
    assert!(table.disks > 400, "{table}");
}
