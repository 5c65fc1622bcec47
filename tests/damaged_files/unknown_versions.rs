//! A later build wrote the files: every byte is whole, and this build cannot know what it means.
//!
//! That is no damage, and nothing may be repaired, discarded or sealed.

use std::fs;
use std::path::Path;

use tapelog::{EventStoreError, RunStatus, SegmentBackend};

use super::small_run::{RUN, SmallRun, Witnessed};
use super::trial::Trial;
use crate::support::entries::INSTANCE;
use crate::support::folders::memory_dir;

/// Changes a structure's version to 2 and makes its checksum right again.
struct Forgery {
    /// Where the structure begins.
    at: usize,
    version_at: usize,
    crc_at: usize,
    /// The bytes that the checksum covers are these without the checksum itself.
    covered: Covered,
}

#[derive(Clone, Copy)]
enum Covered {
    Before,
    /// Everything up to this length but the checksum.
    Around(usize),
}

fn forge(path: &Path, forgery: &Forgery) {
    let mut bytes = fs::read(path).unwrap();
    let structure = &mut bytes[forgery.at..];
    assert_eq!(structure[forgery.version_at..forgery.version_at + 4], 1_u32.to_le_bytes(), "the version is where the format has it");
    structure[forgery.version_at..forgery.version_at + 4].copy_from_slice(&2_u32.to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&structure[..forgery.crc_at]);
    if let Covered::Around(len) = forgery.covered {
        hasher.update(&structure[forgery.crc_at + 4..len]);
    }
    let crc = hasher.finalize();
    structure[forgery.crc_at..forgery.crc_at + 4].copy_from_slice(&crc.to_le_bytes());
    fs::write(path, bytes).unwrap();
}

/// The header of the envelope in MANIFEST: magic, version, body length, checksum.
const ENVELOPE_HEADER_LEN: usize = 72;

fn envelope_at(bytes: &[u8], at: usize) -> Forgery {
    let body_len = usize::try_from(u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap())).unwrap();
    Forgery { at, version_at: 4, crc_at: 12, covered: Covered::Around(ENVELOPE_HEADER_LEN + body_len) }
}

fn forge_opening(folder: &Path) {
    let path = folder.join("MANIFEST");
    forge(&path, &envelope_at(&fs::read(&path).unwrap(), 0));
}

fn forge_seal(folder: &Path) {
    let path = folder.join("MANIFEST");
    let bytes = fs::read(&path).unwrap();
    let at = bytes.windows(4).rposition(|window| window == b"TLMS").unwrap();
    forge(&path, &envelope_at(&bytes, at));
}

fn forge_pages(folder: &Path, name: &str) {
    for at in [0, 2_048] {
        forge(&folder.join(name), &Forgery { at, version_at: 8, crc_at: 36, covered: Covered::Before });
    }
}

fn forge_watermark(folder: &Path) {
    for at in [0, 4_096] {
        forge(&folder.join("WATERMARK"), &Forgery { at, version_at: 8, crc_at: 144, covered: Covered::Before });
    }
}

fn assert_names_both<T: std::fmt::Debug>(result: Result<T, EventStoreError>, name: &str, what: &str) {
    match result {
        Err(EventStoreError::UnsupportedVersion { path, found: 2, supported: 1 }) => {
            assert_eq!(path.file_name().unwrap(), name, "{what}");
        }
        other => panic!("{what}: {other:?}"),
    }
}

fn assert_refused(run: &SmallRun, damage: &dyn Fn(&Path), name: &str) {
    let what = format!("{name} has version 2");
    let trial = Trial::of(run);
    assert_names_both(trial.read_only(damage, &what), name, &format!("{what}, read-only"));
    let recovered = trial.recover(damage, &what).map(|(_, state, answers)| (state, answers));
    assert_names_both(recovered, name, &format!("{what}, recovered"));
    assert_names_both(trial.sweep(damage, &what), name, &format!("{what}, swept"));
}

#[test]
fn every_file_of_a_crashed_run_that_has_a_later_version_is_refused_with_both_versions() {
    let run = SmallRun::crashed(Witnessed::All);
    assert_refused(&run, &forge_opening, "MANIFEST");
    assert_refused(&run, &forge_watermark, "WATERMARK");
    for name in ["00000001.seg", "00000002.seg", "00000003.seg", "00000004.seg"] {
        assert_refused(&run, &|folder| forge_pages(folder, name), name);
    }
}

#[test]
fn manifest_of_a_sealed_run_that_has_a_later_version_is_refused_with_both_versions() {
    let run = SmallRun::sealed();
    for (part, damage) in [("opening", forge_opening as fn(&Path)), ("seal", forge_seal)] {
        assert_refused(&run, &damage, "MANIFEST");
        let base = memory_dir();
        let folder = run.put_into(base.path());
        damage(&folder);
        let what = format!("the {part} section has version 2");
        assert_names_both(SegmentBackend::open_sealed(base.path(), INSTANCE, RUN), "MANIFEST", &what);
        assert_names_both(SegmentBackend::open_sealed_file(&folder), "MANIFEST", &what);
        assert_names_both(SegmentBackend::list_runs(base.path(), INSTANCE), "MANIFEST", &what);
    }
}

#[test]
fn a_segment_of_a_sealed_run_that_has_a_later_version_is_not_read_as_if_it_were_ours() {
    use tapelog::{EventStore, IndexKind};
    let run = SmallRun::sealed();
    let base = memory_dir();
    let folder = run.put_into(base.path());
    forge_pages(&folder, "00000002.seg");
    let store = SegmentBackend::open_sealed(base.path(), INSTANCE, RUN).unwrap();
    assert_eq!(store.scan_seq(3).unwrap().as_ref(), Some(&run.log.entries()[2]));
    assert_names_both(store.scan_seq(4).map(|entry| entry.map(|entry| entry.seq)), "00000002.seg", "an entry in it");
    assert_names_both(store.lookup(IndexKind::ClientOrderId, "no such key"), "00000002.seg", "a key that may be in it");
    assert_eq!(store.scan_seq(6).unwrap().as_ref(), Some(&run.log.entries()[5]));
}

/// Indexes are derived: what this build cannot read it does without.
#[test]
fn an_index_that_has_a_later_version_is_made_again_from_its_segment() {
    for run in [SmallRun::crashed(Witnessed::All), SmallRun::sealed()] {
        let damage = |folder: &Path| {
            for name in ["00000001.idx", "00000001.key"] {
                let path = folder.join(name);
                let mut bytes = fs::read(&path).unwrap();
                bytes[8..12].copy_from_slice(&2_u32.to_le_bytes());
                let mut hasher = blake3::Hasher::new();
                hasher.update(b"tapelog/index/v1").update(&bytes[..96]).update(&bytes[128..]);
                let check = *hasher.finalize().as_bytes();
                bytes[96..128].copy_from_slice(&check);
                fs::write(path, bytes).unwrap();
            }
        };
        let outcome = Trial::of(&run).everything(&damage, &"indexes of version 2");
        assert_eq!(outcome.recovered.unwrap().1.unreadable, [0_u64; 0]);
        if !run.is_sealed {
            assert_eq!(outcome.swept, Ok(Some(RunStatus::CrashedRecovered)));
        }
    }
}
