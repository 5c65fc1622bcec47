//! Every decoder of a whole file, and of what stands beside the segments.

use std::fmt::Debug;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::decode_frames::material;
use super::input::Input;
use super::{samples, stamps};
use crate::format::envelope::{self, Envelope};
use crate::format::file_name::{self, FileName};
use crate::format::header_page::{COPY_LEN, HeaderPage, PAGE_LEN};
use crate::format::index_header::HEADER_LEN;
use crate::format::key_index::{self, KeyIndex, KeyRecord};
use crate::format::manifest::{self, ManifestFile, SealState, decode_manifest, encode_manifest};
use crate::format::sparse_index::{self, SparseIndex, SparsePoint};
use crate::format::watermark::{SLOT_LEN, Watermark};
use crate::limits::{OPENING_LEN_MAX, ORDINAL_MAX};
use crate::model::{MarkerManifest, RunManifest};

const DECODERS: [fn(&mut Input<'_>); 8] = [
    a_header_page,
    manifest_of::<RunManifest>,
    manifest_of::<MarkerManifest>,
    an_envelope,
    watermark_slot,
    a_sparse_index,
    a_key_index,
    a_name,
];

/// Reads the input with the decoder that it chooses.
pub fn decode_files(data: &[u8]) {
    let mut input = Input::new(data);
    let decoder = input.pick(&DECODERS);
    decoder(&mut input);
}

fn a_header_page(input: &mut Input<'_>) {
    let is_padded = input.bit();
    let (mut page, stamped) = material(input, || samples::header_page().encode().to_vec());
    if is_padded {
        page.resize(PAGE_LEN, 0);
    }
    if stamped {
        stamps::header_page(&mut page);
    }
    let errors = HeaderPage::check_whole(&page);
    let Ok(header) = HeaderPage::decode(&page) else {
        assert!(!errors.is_empty(), "a page that cannot be read has nothing wrong with it");
        return;
    };
    assert!((1..=ORDINAL_MAX).contains(&header.ordinal));
    let written = header.encode();
    let copies = [0, PAGE_LEN / 2].map(|start| page.get(start..start + COPY_LEN));
    assert!(copies.contains(&Some(&written[..COPY_LEN])), "a header is written otherwise than it was read");
    assert_eq!(errors.is_empty(), page == written[..], "{errors:?}");
}

fn manifest_of<T: Serialize + DeserializeOwned + PartialEq + Debug>(input: &mut Input<'_>) {
    let sample = input.below(3);
    let (mut file, stamped) = material(input, || {
        let opening = if sample == 0 { samples::marker_opening() } else { samples::opening() };
        let seal = samples::seal_section();
        encode_manifest(&opening, (sample != 2).then_some(&seal)).unwrap()
    });
    if stamped {
        stamps::manifest(&mut file);
    }
    let Ok(found) = decode_manifest::<T>(&file) else { return };
    assert!(file.starts_with(&found.opening.bytes) && found.opening.bytes.len() <= OPENING_LEN_MAX);
    let section = match &found.seal {
        SealState::Absent => None,
        SealState::Present { section, seal_root } => {
            assert_eq!(found.seal_root(), Some(*seal_root));
            Some(section)
        }
        SealState::Damaged(_) => {
            assert_eq!(found.seal_root(), None);
            return;
        }
    };
    assert_eq!(encode_manifest(&found.opening.bytes, section).unwrap(), file, "a manifest is written otherwise than it was read");
    let alone: ManifestFile<T> = decode_manifest(&found.opening.bytes).unwrap();
    assert_eq!((alone.opening, alone.seal), (found.opening, SealState::Absent));
    let mut longer = file;
    longer.push(0);
    let longer = decode_manifest::<T>(&longer).unwrap();
    assert!(matches!(longer.seal, SealState::Damaged(_)), "a byte behind the manifest was passed over");
}

fn an_envelope(input: &mut Input<'_>) {
    let magic = input.pick(&[manifest::OPENING_MAGIC, manifest::SEAL_MAGIC, "TLAN"]);
    let len_max = input.pick(&[envelope::HEADER_LEN, 100, 400, OPENING_LEN_MAX]);
    let (mut bytes, stamped) =
        material(input, || envelope::encode(magic, &samples::UID, &[3; 32], b"a value", "", OPENING_LEN_MAX).unwrap());
    if stamped {
        stamps::envelope_crc(&mut bytes);
    }
    let Ok(found) = Envelope::decode(&bytes, magic, len_max) else { return };
    assert!(found.whole.len() <= len_max && bytes.starts_with(found.whole) && found.whole.ends_with(found.body));
    let written = envelope::encode(magic, &found.uid, &found.digest, found.body, "", len_max).unwrap();
    assert_eq!(written, found.whole, "an envelope is written otherwise than it was read");
    let _ = found.value::<RunManifest>();
    let _ = found.value::<Vec<String>>();
}

fn watermark_slot(input: &mut Input<'_>) {
    let is_padded = input.bit();
    let (mut slot, stamped) = material(input, || samples::watermark().encode_slot().to_vec());
    if is_padded && slot.len() < SLOT_LEN {
        slot.resize(SLOT_LEN, 0);
    }
    if stamped {
        stamps::watermark_slot(&mut slot);
    }
    let Ok(watermark) = Watermark::decode_slot(&slot) else { return };
    assert_eq!(watermark.encode_slot()[..], slot[..SLOT_LEN], "a slot is written otherwise than it was read");
}

/// An index as [`material`] has it. `sample` belongs to the sample segment, and what takes its place may say so too.
fn index(input: &mut Input<'_>, sample: &[u8]) -> Bytes {
    let has_header = input.bit();
    let (mut bytes, stamped) = material(input, || sample.to_vec());
    if has_header {
        let start = HEADER_LEN.min(bytes.len());
        bytes.splice(..start, sample[..HEADER_LEN].iter().copied());
        let record_len = if sample.starts_with(sparse_index::MAGIC.as_bytes()) { sparse_index::RECORD_LEN } else { key_index::RECORD_LEN };
        let count = ((bytes.len() - HEADER_LEN) / record_len) as u64;
        let place = stamps::field(crate::format::index_header::FIELDS, "count");
        bytes[place.offset..place.end()].copy_from_slice(&count.to_le_bytes());
    }
    if stamped {
        stamps::index_check(&mut bytes);
    }
    bytes.into()
}

fn a_sparse_index(input: &mut Input<'_>) {
    let (seq, offset) = (input.number(), input.number());
    let binding = samples::binding();
    let bytes = index(input, &samples::sparse_index());
    let Ok(found) = SparseIndex::decode(bytes.clone(), &binding) else { return };
    let points: Vec<SparsePoint> = (0..found.len()).map(|index| found.point(index).unwrap()).collect();
    assert_eq!(found.point(found.len()), None);
    assert_eq!(sparse_index::encode(&binding, &points), bytes, "an index is written otherwise than it was read");
    assert!(points.is_sorted_by(|left, right| left.seq < right.seq && left.offset < right.offset && left.max_ts_init <= right.max_ts_init));
    assert!(points.iter().all(|point| (PAGE_LEN as u64..binding.segment_end).contains(&point.offset)));
    assert_eq!(found.floor(seq), points.iter().rev().find(|point| point.seq <= seq).copied());
    assert_eq!(found.partition_point(|point| point.offset < offset), points.partition_point(|point| point.offset < offset));
}

fn a_key_index(input: &mut Input<'_>) {
    let hash = input.number();
    let binding = samples::binding();
    let bytes = index(input, &samples::key_index());
    let Ok(found) = KeyIndex::decode(bytes.clone(), &binding) else { return };
    let records: Vec<KeyRecord> = bytes[HEADER_LEN..]
        .chunks(key_index::RECORD_LEN)
        .map(|record| KeyRecord {
            hash: u64::from_le_bytes(record[..8].try_into().unwrap()),
            offset: u64::from(u32::from_le_bytes(record[8..].try_into().unwrap())) * 8,
        })
        .collect();
    assert_eq!(found.len(), records.len());
    assert_eq!(key_index::encode(&binding, &records), bytes, "an index is written otherwise than it was read");
    assert!(records.iter().all(|record| (PAGE_LEN as u64..binding.segment_end).contains(&record.offset)));
    for hash in records.iter().map(|record| record.hash).chain([hash, 0, u64::MAX]) {
        let expected: Vec<_> = records.iter().filter(|record| record.hash == hash).map(|record| record.offset).collect();
        assert_eq!(found.candidates(hash).collect::<Vec<_>>(), expected, "the search for {hash:016x} errs");
    }
}

fn a_name(input: &mut Input<'_>) {
    let samples =
        ["00000001.seg", "99999999.idx", "00000020.key", "MANIFEST", "WATERMARK", "LOCK", "markers", "00000003.seg.tmp", "MANIFEST.tmp"];
    let sample = input.pick(&samples);
    let (bytes, _) = material(input, || sample.as_bytes().to_vec());
    let Ok(name) = str::from_utf8(&bytes) else { return };
    let written = match FileName::parse(name) {
        FileName::Segment(ordinal) => file_name::segment(ordinal),
        FileName::SparseIndex(ordinal) => file_name::sparse_index(ordinal),
        FileName::KeyIndex(ordinal) => file_name::key_index(ordinal),
        FileName::Manifest => file_name::MANIFEST.to_owned(),
        FileName::Watermark => file_name::WATERMARK.to_owned(),
        FileName::Lock => file_name::LOCK.to_owned(),
        FileName::Markers => file_name::MARKERS.to_owned(),
        FileName::Temporary => {
            let whole = name.strip_suffix(".tmp").expect("the ending of what is not whole");
            let is_made_so =
                !matches!(FileName::parse(whole), FileName::Foreign | FileName::Temporary | FileName::Lock | FileName::Markers);
            assert!(is_made_so, "{name} is taken for a file of the run");
            file_name::temporary(whole)
        }
        FileName::Foreign => {
            assert!(!samples.contains(&name), "{name} is taken for a foreign one");
            return;
        }
    };
    assert_eq!(written, name);
}
