//! MANIFEST: what a run is, in the bytes that were first written; once it is sealed, zeros up to a
//! multiple of eight, and how it ended.
//!
//! The opening section never changes, because the chain of roots begins with its hash. The seal section
//! vouches for both by the seal root, which a child run's opening section repeats.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::FormatError;
use super::bytes::{align8, check_zeros};
use super::envelope::{self, Envelope};
use super::field::{Field, covers};
use super::file_name;
use super::salt::Uid;
use crate::error::EventStoreError;
use crate::limits::{MANIFEST_LEN_MAX, OPENING_LEN_MAX};
use crate::model::RunStatus;

const OPENING: Field = Field::first("opening", 0);
const PADDING: Field = OPENING.then("padding", 0);
const SEAL: Field = PADDING.then("seal", 0);

/// The sections of the file.
pub(crate) const FIELDS: &[Field] = &[OPENING, PADDING, SEAL];

/// The first bytes of the opening section, and so of the file.
pub(crate) const OPENING_MAGIC: &str = "TLMO";
/// The first bytes of the seal section.
pub(crate) const SEAL_MAGIC: &str = "TLMS";
/// The domain of the seal root.
pub(crate) const SEAL_DOMAIN: &str = "tapelog/seal/v1";

const _: () = assert!(covers(FIELDS, 0));

/// What was written when the run was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opening<T> {
    /// The run's uid.
    pub(crate) uid: Uid,
    /// The seal root of the run that this one goes on from; zeros without one.
    pub(crate) parent_seal_root: [u8; 32],
    /// The manifest of an open run.
    pub(crate) manifest: T,
    /// The section's own bytes, without padding: the chain begins with their hash.
    pub(crate) bytes: Vec<u8>,
}

/// How a stream ended. The order of the fields is that of the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SealSection {
    /// How the run ended.
    pub(crate) status: RunStatus,
    /// The last record's number.
    pub(crate) high_watermark: u64,
    /// The largest `ts_init`, if there is any entry.
    pub(crate) end_ts_init: Option<u64>,
    /// The last commit.
    pub(crate) last_commit_no: u64,
    /// The segment from which on the run was walked before it was sealed; 0 if its own writer sealed it.
    pub(crate) walked_from_ordinal: u32,
    /// The segments; none of a damaged run.
    pub(crate) segments: Vec<SealedSegment>,
    /// The root after the last commit.
    pub(crate) final_root: [u8; 32],
    /// Ordinal and offset of the newest snapshot anchor.
    pub(crate) anchor: Option<(u32, u64)>,
    /// What is wrong with a damaged run.
    pub(crate) damage: Option<SealedDamage>,
}

/// A segment of a sealed run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SealedSegment {
    /// Its number.
    pub(crate) ordinal: u32,
    /// The length of its file in bytes.
    pub(crate) len: u64,
    /// How many records in it took a number.
    pub(crate) entry_count: u64,
    /// The last number up to its end.
    pub(crate) last_seq: u64,
    /// The last commit up to its end.
    pub(crate) last_commit_no: u64,
    /// The root at its end.
    pub(crate) root: [u8; 32],
}

/// What is wrong with a damaged run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SealedDamage {
    /// The last commit of the chain that is whole from the start.
    pub(crate) end_commit_no: u64,
    /// The last record's number there.
    pub(crate) end_seq: u64,
    /// The last commit that a witness proves to have been durable.
    pub(crate) proven_commit_no: u64,
    /// The last record's number there.
    pub(crate) proven_seq: u64,
    /// The segment of the first break.
    pub(crate) break_ordinal: u32,
    /// The byte of the first break.
    pub(crate) break_offset: u64,
    /// What was found there.
    pub(crate) reason: String,
}

/// What the bytes behind the opening section are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SealState {
    /// There are none: the run is not sealed.
    Absent,
    /// A seal.
    Present {
        /// What it says.
        section: SealSection,
        /// The hash by which it vouches for the whole file.
        seal_root: [u8; 32],
    },
    /// Not a seal that can be read. The opening section stands by itself.
    Damaged(FormatError),
}

/// A MANIFEST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ManifestFile<T> {
    /// What was written when the run was opened.
    pub(crate) opening: Opening<T>,
    /// What was added when it was sealed.
    pub(crate) seal: SealState,
}

impl<T> ManifestFile<T> {
    /// The hash by which the seal vouches for the whole file; `None` where there is no seal.
    pub(crate) fn seal_root(&self) -> Option<[u8; 32]> {
        match &self.seal {
            SealState::Present { seal_root, .. } => Some(*seal_root),
            SealState::Absent | SealState::Damaged(_) => None,
        }
    }
}

/// The opening section of a run with this manifest, which is that of an open run.
pub(crate) fn encode_opening<T: Serialize>(uid: &Uid, parent_seal_root: &[u8; 32], manifest: &T) -> Result<Vec<u8>, EventStoreError> {
    let value = envelope::encode_value(manifest)?;
    envelope::encode(OPENING_MAGIC, uid, parent_seal_root, &value, "the manifest of a run in bytes", OPENING_LEN_MAX)
}

/// Reads the opening section at the front of `bytes`.
pub(crate) fn decode_opening<T: DeserializeOwned>(bytes: &[u8]) -> Result<Opening<T>, FormatError> {
    let envelope = Envelope::decode(bytes, OPENING_MAGIC, OPENING_LEN_MAX)?;
    Ok(Opening { uid: envelope.uid, parent_seal_root: envelope.digest, manifest: envelope.value()?, bytes: envelope.whole.to_vec() })
}

/// The bytes of the file whose opening section this is.
pub(crate) fn encode_manifest(opening: &[u8], seal: Option<&SealSection>) -> Result<Vec<u8>, EventStoreError> {
    let mut file = opening.to_vec();
    let Some(seal) = seal else { return Ok(file) };
    let checked =
        Envelope::decode(opening, OPENING_MAGIC, OPENING_LEN_MAX).map_err(|error| error.into_error(Path::new(file_name::MANIFEST), 0))?;
    debug_assert!(checked.whole == opening, "more than the opening section is to be sealed");
    let value = envelope::encode_value(seal)?;
    let seal_root = computed_seal_root(opening, &value);
    file.resize(align8(file.len()), 0);
    let room = MANIFEST_LEN_MAX.saturating_sub(file.len());
    file.extend(envelope::encode(SEAL_MAGIC, &checked.uid, &seal_root, &value, "the seal section of a run in bytes", room)?);
    Ok(file)
}

/// Reads the file. A seal section that is not whole does not take the opening section with it.
pub(crate) fn decode_manifest<T: DeserializeOwned>(bytes: &[u8]) -> Result<ManifestFile<T>, FormatError> {
    let opening: Opening<T> = decode_opening(bytes)?;
    let seal = match decode_seal(bytes, &opening.uid, &opening.bytes) {
        Ok(None) => SealState::Absent,
        Ok(Some((section, seal_root))) => SealState::Present { section, seal_root },
        Err(error) => SealState::Damaged(error),
    };
    Ok(ManifestFile { opening, seal })
}

fn decode_seal(file: &[u8], uid: &Uid, opening: &[u8]) -> Result<Option<(SealSection, [u8; 32])>, FormatError> {
    if file.len() == opening.len() {
        return Ok(None);
    }
    if file.len() > MANIFEST_LEN_MAX {
        return Err(FormatError::damaged(MANIFEST_LEN_MAX, format!("an end after at most {MANIFEST_LEN_MAX} bytes"), "further bytes"));
    }
    let start = align8(opening.len());
    let (Some(padding), Some(section)) = (file.get(opening.len()..start), file.get(start..)) else {
        return Err(FormatError::wrong_len(start, file.len()));
    };
    check_zeros(padding, opening.len())?;
    decode_seal_section(section, uid, opening).map(Some).map_err(|error| error.shifted(start))
}

fn decode_seal_section(section: &[u8], uid: &Uid, opening: &[u8]) -> Result<(SealSection, [u8; 32]), FormatError> {
    let envelope = Envelope::decode(section, SEAL_MAGIC, MANIFEST_LEN_MAX)?;
    if envelope.whole.len() != section.len() {
        return Err(FormatError::damaged(envelope.whole.len(), "the end of the seal section", "further bytes"));
    }
    if envelope.uid != *uid {
        return Err(FormatError::damaged(0, "the seal of this run", "that of another run"));
    }
    if envelope.digest != computed_seal_root(opening, envelope.body) {
        return Err(FormatError::damaged(0, "the seal root of both sections", "another hash"));
    }
    Ok((envelope.value()?, envelope.digest))
}

fn computed_seal_root(opening: &[u8], seal_value: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(SEAL_DOMAIN.as_bytes());
    hasher.update(opening);
    hasher.update(seal_value);
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;
    use proptest::prelude::*;

    use super::*;
    use crate::format::envelope::forging;
    use crate::format::testing::{UID, for_each_bit_flip, for_each_truncation, hex_lines, is_damage};
    use crate::model::{DataClass, MarkerManifest, RegisteredComponents, RunManifest, UnixNanos};

    fn manifest() -> RunManifest {
        let map = |key: &str, value: &str| IndexMap::from([(key.to_owned(), value.to_owned())]);
        RunManifest {
            run_id: "1-00000000".to_owned(),
            parent_run_id: Some("0-ffffffff".to_owned()),
            instance_id: "trader".to_owned(),
            binary_hash: "bin".to_owned(),
            schema_version: 3,
            crate_versions: "crates".to_owned(),
            feature_flags: vec!["live".to_owned()],
            adapter_versions: map("venue", "1"),
            config_hash: "config".to_owned(),
            registered_components: RegisteredComponents {
                actors: map("actor", "2"),
                strategies: map("strategy", "3"),
                algorithms: map("algorithm", "4"),
                subscriptions: vec!["quotes".to_owned()],
                endpoints: vec!["exec".to_owned()],
            },
            seed: Some(9),
            start_ts_init: UnixNanos::new(1),
            end_ts_init: None,
            high_watermark: 0,
            status: RunStatus::Running,
        }
    }

    fn marker_manifest() -> MarkerManifest {
        MarkerManifest {
            run_id: "1-00000000".to_owned(),
            enabled_classes: DataClass::ALL.to_vec(),
            high_fidelity: true,
            snapshot_count: 0,
            hifi_count: 0,
            gap_count: 0,
            dict_count: 0,
            status: RunStatus::Running,
        }
    }

    fn seal() -> SealSection {
        SealSection {
            status: RunStatus::Ended,
            high_watermark: 0x11,
            end_ts_init: Some(0x12),
            last_commit_no: 0x13,
            walked_from_ordinal: 0x14,
            segments: vec![SealedSegment {
                ordinal: 0x21,
                len: 0x22,
                entry_count: 0x23,
                last_seq: 0x24,
                last_commit_no: 0x25,
                root: [0x26; 32],
            }],
            final_root: [0x31; 32],
            anchor: Some((0x32, 0x33)),
            damage: Some(SealedDamage {
                end_commit_no: 0x41,
                end_seq: 0x42,
                proven_commit_no: 0x43,
                proven_seq: 0x44,
                break_ordinal: 0x45,
                break_offset: 0x46,
                reason: "torn".to_owned(),
            }),
        }
    }

    fn opening() -> Vec<u8> {
        encode_opening(&UID, &[0xAA; 32], &manifest()).unwrap()
    }

    fn sealed() -> Vec<u8> {
        encode_manifest(&opening(), Some(&seal())).unwrap()
    }

    fn decode(bytes: &[u8]) -> Result<ManifestFile<RunManifest>, FormatError> {
        decode_manifest(bytes)
    }

    fn seal_is_damaged(bytes: &[u8]) -> bool {
        let file = decode(bytes).unwrap();
        assert_eq!(file.opening.manifest, manifest());
        matches!(file.seal, SealState::Damaged(FormatError::Damaged { .. }))
    }

    #[test]
    fn the_opening_section_of_a_run_has_its_golden_bytes() {
        assert_eq!(
            hex_lines(&opening()),
            [
                "544c4d4f0100000039010000a0828156000102030405060708090a0b0c0d0e0f",
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                "00000000000000000a00000000000000312d3030303030303030010a00000000",
                "000000302d666666666666666606000000000000007472616465720300000000",
                "00000062696e0300000006000000000000006372617465730100000000000000",
                "04000000000000006c6976650100000000000000050000000000000076656e75",
                "650100000000000000310600000000000000636f6e6669670100000000000000",
                "05000000000000006163746f7201000000000000003201000000000000000800",
                "0000000000007374726174656779010000000000000033010000000000000009",
                "00000000000000616c676f726974686d01000000000000003401000000000000",
                "00060000000000000071756f7465730100000000000000040000000000000065",
                "7865630109000000000000000100000000000000000000000000000000000000",
                "00",
            ]
        );
    }

    #[test]
    fn the_opening_section_of_a_sidecar_has_its_golden_bytes() {
        let opening = encode_opening(&UID, &[0; 32], &marker_manifest()).unwrap();
        assert_eq!(
            hex_lines(&opening),
            [
                "544c4d4f01000000530000001330bbf1000102030405060708090a0b0c0d0e0f",
                "0000000000000000000000000000000000000000000000000000000000000000",
                "00000000000000000a00000000000000312d3030303030303030050000000000",
                "0000000000000100000002000000030000000400000001000000000000000000",
                "000000000000000000000000000000000000000000000000000000",
            ]
        );
        assert_eq!(decode_manifest::<MarkerManifest>(&opening).unwrap().opening.manifest, marker_manifest());
    }

    #[test]
    fn the_seal_section_has_its_golden_bytes() {
        assert_eq!(
            hex_lines(&sealed()[align8(opening().len())..]),
            [
                "544c4d5301000000d30000009b7fb030000102030405060708090a0b0c0d0e0f",
                "7570f3df0f55d48033d971a16dfbb9bf3e52b65619d8acc994da97e4a565dcfe",
                "0000000000000000010000001100000000000000011200000000000000130000",
                "0000000000140000000100000000000000210000002200000000000000230000",
                "0000000000240000000000000025000000000000002626262626262626262626",
                "2626262626262626262626262626262626262626263131313131313131313131",
                "3131313131313131313131313131313131313131310132000000330000000000",
                "0000014100000000000000420000000000000043000000000000004400000000",
                "0000004500000046000000000000000400000000000000746f726e",
            ]
        );
    }

    #[test]
    fn an_open_run_is_its_opening_section_and_nothing_else() {
        let bytes = encode_manifest(&opening(), None).unwrap();
        assert_eq!(bytes, opening());
        let file = decode(&bytes).unwrap();
        assert_eq!((file.opening.uid, file.opening.parent_seal_root), (UID, [0xAA; 32]));
        assert_eq!((file.opening.manifest, file.opening.bytes, file.seal), (manifest(), bytes, SealState::Absent));
    }

    #[test]
    fn the_seal_root_is_the_hash_of_the_opening_section_and_the_seal() {
        let file = decode(&sealed()).unwrap();
        let input = [b"tapelog/seal/v1".to_vec(), opening(), envelope::encode_value(&seal()).unwrap()].concat();
        let seal_root = *blake3::hash(&input).as_bytes();
        assert_eq!(file.seal, SealState::Present { section: seal(), seal_root });
        assert_eq!(file.opening.bytes, opening());
    }

    #[test]
    fn every_bit_is_protected_and_only_the_opening_section_takes_the_file_with_it() {
        let opening_len = opening().len();
        let mut at = 0;
        for_each_bit_flip(&sealed(), |flipped, what| {
            if at / 8 < opening_len {
                assert!(is_damage(&decode(flipped)), "{what} went unnoticed");
            } else {
                assert!(seal_is_damaged(flipped), "{what} went unnoticed");
            }
            at += 1;
        });
    }

    #[test]
    fn a_file_cut_short_is_damage_in_one_section_or_the_other() {
        let opening_len = opening().len();
        for_each_truncation(&sealed(), |bytes| match bytes.len() {
            len if len < opening_len => assert!(is_damage(&decode(bytes))),
            len if len == opening_len => assert_eq!(decode(bytes).unwrap().seal, SealState::Absent),
            _ => assert!(seal_is_damaged(bytes)),
        });
        assert!(!opening_len.is_multiple_of(8), "the padding is not empty here");
    }

    #[test]
    fn bytes_behind_the_seal_are_damage() {
        let mut bytes = sealed();
        bytes.push(0);
        assert!(seal_is_damaged(&bytes));
    }

    #[test]
    fn the_seal_of_another_run_is_damage() {
        let own = sealed();
        let opening = encode_opening(&UID, &[0xAB; 32], &manifest()).unwrap();
        let same_uid = [&opening[..], &own[opening.len()..]].concat();
        assert!(seal_is_damaged(&same_uid));
        let opening = encode_opening(&Uid([7; 16]), &[0xAA; 32], &manifest()).unwrap();
        let other_uid = [&opening[..], &own[opening.len()..]].concat();
        assert!(seal_is_damaged(&other_uid));
    }

    #[test]
    fn an_unknown_version_is_reported_of_the_section_that_has_it() {
        let unknown = FormatError::UnknownVersion { found: 2, supported: 1 };
        let mut bytes = sealed();
        forging::set_version(&mut bytes[align8(opening().len())..], 2);
        assert_eq!(decode(&bytes).unwrap().seal, SealState::Damaged(unknown.clone()));
        let mut bytes = opening();
        forging::set_version(&mut bytes, 2);
        assert_eq!(decode(&bytes), Err(unknown));
    }

    #[test]
    fn a_manifest_over_its_bound_is_refused() {
        let mut manifest = manifest();
        manifest.config_hash = "c".repeat(OPENING_LEN_MAX);
        assert!(matches!(encode_opening(&UID, &[0; 32], &manifest), Err(EventStoreError::LimitExceeded { .. })));
        let reason = "r".repeat(MANIFEST_LEN_MAX);
        let seal = SealSection { damage: seal().damage.map(|damage| SealedDamage { reason, ..damage }), ..seal() };
        assert!(matches!(encode_manifest(&opening(), Some(&seal)), Err(EventStoreError::LimitExceeded { .. })));
    }

    #[test]
    fn a_large_manifest_is_read_back() {
        let mut manifest = manifest();
        manifest.feature_flags = vec!["f".repeat(100); 70_000];
        let opening = encode_opening(&UID, &[0; 32], &manifest).unwrap();
        assert_eq!(decode_opening::<RunManifest>(&opening).unwrap().manifest, manifest);
    }

    #[test]
    fn damaged_bytes_are_not_sealed() {
        let mut bytes = opening();
        bytes[100] ^= 1;
        assert!(matches!(encode_manifest(&bytes, Some(&seal())), Err(EventStoreError::Corrupted(_))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_file_is_read_back(
            texts in proptest::collection::vec(".{0,20}", 6), pairs in proptest::collection::vec((".{0,9}", ".{0,9}"), 0..5),
            seed: Option<u64>, numbers: [u64; 6], end_ts_init: Option<u64>, anchor: Option<(u32, u64)>, status in 0_usize..4,
            segments in proptest::collection::vec(any::<(u32, [u64; 4], [u8; 32])>(), 0..6), damaged: bool, roots: [[u8; 32]; 2],
        ) {
            let mut manifest = RunManifest { seed, start_ts_init: UnixNanos::new(numbers[0]), ..manifest() };
            manifest.run_id.clone_from(&texts[0]);
            manifest.parent_run_id = Some(texts[1].clone()).filter(|text| !text.is_empty());
            manifest.feature_flags.clone_from(&texts);
            manifest.adapter_versions = pairs.into_iter().collect();
            let segments = segments
                .into_iter()
                .map(|(ordinal, [len, entry_count, last_seq, last_commit_no], root)| SealedSegment {
                    ordinal, len, entry_count, last_seq, last_commit_no, root,
                })
                .collect();
            let damage = SealedDamage { end_seq: numbers[1], reason: texts[2].clone(), ..seal().damage.unwrap() };
            let section = SealSection {
                status: RunStatus::ALL[status],
                high_watermark: numbers[2],
                end_ts_init,
                last_commit_no: numbers[3],
                walked_from_ordinal: 0,
                segments,
                final_root: roots[0],
                anchor,
                damage: damaged.then_some(damage),
            };
            let opening = encode_opening(&UID, &roots[1], &manifest).unwrap();
            let file = decode(&encode_manifest(&opening, Some(&section)).unwrap()).unwrap();
            prop_assert_eq!(file.opening, Opening { uid: UID, parent_seal_root: roots[1], manifest, bytes: opening });
            let same = matches!(&file.seal, SealState::Present { section: read, .. } if *read == section);
            prop_assert!(same);
        }
    }
}
