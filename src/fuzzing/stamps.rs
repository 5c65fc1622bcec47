//! Making checksums right again, so that a changed structure comes past them.
//!
//! Written after FORMAT.md and not after the encoders: it would not do to find a wrong checksum right
//! because both came from the same line.

use crate::format::field::Field;
use crate::format::salt::Salt;
use crate::format::{commit, envelope, frame, header_page, index_header, manifest, watermark};

/// The field of a structure with this name.
pub(super) fn field(fields: &[Field], name: &str) -> Field {
    *fields.iter().find(|field| field.name == name).expect("a field of the structure")
}

fn put(structure: &mut [u8], field: Field, value: &[u8]) {
    if let Some(target) = structure.get_mut(field.offset..field.end()) {
        target.copy_from_slice(value);
    }
}

/// The CRC-32 of several slices as one.
fn crc(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

/// Stamps the header at the front of a frame, for a body of the length that the header gives.
pub(super) fn frame_header(bytes: &mut [u8], salt: &Salt, offset: u64) {
    let Some(len) = body_len(bytes) else { return };
    if let Some(body) = bytes.get(frame::HEADER_LEN..frame::HEADER_LEN.saturating_add(len)) {
        let body_crc = crc(&[body]);
        put(bytes, field(frame::FIELDS, "body_crc"), &body_crc.to_le_bytes());
    }
    let header_crc = crc(&[&salt.0, &offset.to_le_bytes(), &bytes[4..frame::HEADER_LEN]]);
    put(bytes, field(frame::FIELDS, "header_crc"), &header_crc.to_le_bytes());
}

/// The length of the body that the header at the front of `bytes` gives.
pub(super) fn body_len(bytes: &[u8]) -> Option<usize> {
    let header = bytes.get(..frame::HEADER_LEN)?;
    Some(field(frame::FIELDS, "body_len").u32(header).ok()? as usize)
}

/// Stamps the body of a commit.
pub(super) fn commit_tag(body: &mut [u8], salt: &Salt, offset: u64) {
    let tag = field(commit::FIELDS, "tag");
    let Some(tagged) = body.get(..tag.offset) else { return };
    let mut key = [0; 32];
    key[..16].copy_from_slice(&salt.0);
    let hash = blake3::keyed_hash(&key, &[&offset.to_le_bytes(), tagged].concat());
    put(body, tag, &hash.as_bytes()[..8]);
}

/// Stamps the envelope at the front of `bytes`, as far as it says that it goes.
pub(super) fn envelope_crc(bytes: &mut [u8]) {
    let Ok(len) = field(envelope::FIELDS, "body_len").u32(bytes) else { return };
    let Some(whole) = bytes.get_mut(..envelope::HEADER_LEN.saturating_add(len as usize)) else { return };
    let place = field(envelope::FIELDS, "crc");
    let value = crc(&[&whole[..place.offset], &whole[place.end()..]]);
    put(whole, place, &value.to_le_bytes());
}

/// Stamps both sections of a manifest, the seal root included.
pub(super) fn manifest(file: &mut [u8]) {
    envelope_crc(file);
    let Ok(len) = field(envelope::FIELDS, "body_len").u32(file) else { return };
    let opening_len = envelope::HEADER_LEN.saturating_add(len as usize);
    let start = opening_len.next_multiple_of(8);
    let Some((opening, seal)) = file.split_at_mut_checked(start) else { return };
    let (Some(opening), Some(body)) = (opening.get(..opening_len), seal.get(envelope::HEADER_LEN..)) else { return };
    let root = blake3::hash(&[manifest::SEAL_DOMAIN.as_bytes(), opening, body].concat());
    put(seal, envelope::DIGEST, root.as_bytes());
    envelope_crc(seal);
}

/// Stamps both copies of a header page.
pub(super) fn header_page(page: &mut [u8]) {
    let place = field(header_page::FIELDS, "crc");
    for start in [0, header_page::PAGE_LEN / 2] {
        if let Some(copy) = page.get_mut(start..start + header_page::COPY_LEN) {
            let value = crc(&[&copy[..place.offset]]);
            put(copy, place, &value.to_le_bytes());
        }
    }
}

/// Stamps a slot of a watermark.
pub(super) fn watermark_slot(slot: &mut [u8]) {
    let place = field(watermark::FIELDS, "crc");
    let Some(checked) = slot.get(..place.offset) else { return };
    let value = crc(&[checked]);
    put(slot, place, &value.to_le_bytes());
}

/// Stamps an index.
pub(super) fn index_check(index: &mut [u8]) {
    let place = field(index_header::FIELDS, "check");
    let Some((before, behind)) = index.get(..place.offset).zip(index.get(place.end()..)) else { return };
    let value = blake3::hash(&[index_header::DOMAIN.as_bytes(), before, behind].concat());
    put(index, place, value.as_bytes());
}
