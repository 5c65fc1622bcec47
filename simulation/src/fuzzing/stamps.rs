//! Making the checksums of a changed file right again, by the layout that the library tells.

use tapelog::format::layout::{Field, structures};

const HEADER_PAGE_LEN: usize = 4096;
const FRAME_HEADER_LEN: usize = 24;
const ENVELOPE_LEN: usize = 72;

/// The uid of the base runs stands in every manifest; they all have the same, because their disks begin with one seed.
fn uid() -> [u8; 16] {
    let manifest = super::base_runs::base_runs()[0].disk.contents(&super::base_runs::folder().join("MANIFEST")).unwrap();
    let place = field("envelope", "uid");
    manifest[place.offset..place.end()].try_into().unwrap()
}

fn field(structure: &str, name: &str) -> Field {
    let structure = structures().iter().find(|known| known.name == structure).unwrap();
    *structure.fields.iter().find(|field| field.name == name).unwrap()
}

fn put(bytes: &mut [u8], place: Field, value: &[u8]) {
    if let Some(target) = bytes.get_mut(place.offset..place.end()) {
        target.copy_from_slice(value);
    }
}

fn u32_at(bytes: &[u8], place: Field) -> Option<usize> {
    Some(u32::from_le_bytes(bytes.get(place.offset..place.end())?.try_into().ok()?) as usize)
}

/// Makes the checksums of a file right.
pub(super) fn restamp(name: &str, bytes: &mut [u8]) {
    match name.split_once('.') {
        Some((digits, "seg")) => segment(bytes, digits.parse().unwrap_or_default()),
        None if name == "MANIFEST" => manifest(bytes),
        None if name == "WATERMARK" => watermark(bytes),
        _ => {}
    }
}

fn watermark(bytes: &mut [u8]) {
    let place = field("watermark slot", "crc");
    for slot in bytes.chunks_mut(4096) {
        if let Some(checked) = slot.get(..place.offset) {
            let crc = crc32fast::hash(checked);
            put(slot, place, &crc.to_le_bytes());
        }
    }
}

fn envelope_end(bytes: &[u8]) -> Option<usize> {
    Some(ENVELOPE_LEN + u32_at(bytes, field("envelope", "body_len"))?)
}

fn envelope(bytes: &mut [u8]) {
    let Some(whole) = envelope_end(bytes).and_then(|end| bytes.get_mut(..end)) else { return };
    let place = field("envelope", "crc");
    let crc = crc32fast::hash(&[&whole[..place.offset], &whole[place.end()..]].concat());
    put(whole, place, &crc.to_le_bytes());
}

fn manifest(bytes: &mut [u8]) {
    envelope(bytes);
    let Some(end) = envelope_end(bytes) else { return };
    let Some((opening, seal)) = bytes.split_at_mut_checked(end.next_multiple_of(8)) else { return };
    let (Some(opening), Some(body)) = (opening.get(..end), seal.get(ENVELOPE_LEN..)) else { return };
    let root = blake3::hash(&[b"tapelog/seal/v1", opening, body].concat());
    put(seal, field("envelope", "digest"), root.as_bytes());
    envelope(seal);
}

/// Stamps consecutive frames; what the root covers stays as it is.
fn segment(bytes: &mut [u8], ordinal: u32) {
    let salted = blake3::hash(&[b"tapelog/salt/v1".as_slice(), &uid(), &[1], &ordinal.to_le_bytes()].concat());
    let salt = &salted.as_bytes()[..16];
    let mut start = HEADER_PAGE_LEN;
    while let Some(rest) = bytes.get_mut(start..) {
        let Some(end) = u32_at(rest, field("frame", "body_len")).map(|len| FRAME_HEADER_LEN + len) else { return };
        if end > rest.len() || rest[..FRAME_HEADER_LEN].iter().all(|byte| *byte == 0) {
            return;
        }
        let offset = (start as u64).to_le_bytes();
        let tag = field("COMMIT", "tag");
        if rest[field("frame", "kind").offset] == 4 && end == FRAME_HEADER_LEN + tag.end() {
            let mut key = [0; 32];
            key[..16].copy_from_slice(salt);
            let hash = blake3::keyed_hash(&key, &[&offset, &rest[FRAME_HEADER_LEN..FRAME_HEADER_LEN + tag.offset]].concat());
            put(&mut rest[FRAME_HEADER_LEN..], tag, &hash.as_bytes()[..8]);
        }
        let crc = crc32fast::hash(&rest[FRAME_HEADER_LEN..end]);
        put(rest, field("frame", "body_crc"), &crc.to_le_bytes());
        let crc = crc32fast::hash(&[salt, &offset, &rest[4..FRAME_HEADER_LEN]].concat());
        put(rest, field("frame", "header_crc"), &crc.to_le_bytes());
        start = (start + end).next_multiple_of(8);
    }
}
