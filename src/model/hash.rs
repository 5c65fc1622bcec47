//! The hash that says an entry is what was captured.
//!
//! Numbers go in big-endian and every text or payload behind its length as a `u64`, so that no two
//! different entries give the hash function the same input.

use std::fmt;

use super::{Headers, UnixNanos};
use blake3::Hasher;
use serde::{Deserialize, Serialize};

const ENTRY_DOMAIN: &[u8] = b"nautilus-event-store/entry/v1";

/// The BLAKE3 hash of an entry's fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EntryHash(pub [u8; 32]);

impl EntryHash {
    /// The hash's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash as 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }
}

impl fmt::Display for EntryHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

/// The hash of an entry with these fields.
#[must_use]
pub fn compute_entry_hash(
    seq: u64,
    ts_init: UnixNanos,
    ts_publish: UnixNanos,
    topic: &str,
    payload_type: &str,
    payload: &[u8],
    headers: &Headers,
) -> EntryHash {
    let mut hasher = Hasher::new();
    let put = |bytes: &[u8]| {
        hasher.update(bytes);
    };
    put_entry(put, seq, [ts_init, ts_publish], [topic.as_bytes(), payload_type.as_bytes(), payload], headers);
    EntryHash(hasher.finalize().into())
}

/// Gives `put` everything that the hash of an entry covers, piece by piece.
#[inline]
fn put_entry(mut put: impl FnMut(&[u8]), seq: u64, times: [UnixNanos; 2], parts: [&[u8]; 3], headers: &Headers) {
    put(ENTRY_DOMAIN);
    put(&seq.to_be_bytes());
    for time in times {
        put(&time.as_u64().to_be_bytes());
    }
    for part in parts {
        put(&(part.len() as u64).to_be_bytes());
        put(part);
    }
    for id in [&headers.correlation_id, &headers.causation_id] {
        match id {
            None => put(&[0]),
            Some(id) => {
                put(&[1]);
                put(id.as_bytes());
            }
        }
    }
}

/// Hashes many entries with one buffer.
///
/// The hash function is at its fastest over one piece of memory, so that the input of a small entry is copied together
/// first. A large one is hashed piece by piece instead.
#[derive(Debug, Default)]
pub(crate) struct EntryHasher {
    input: Vec<u8>,
}

/// Largest payload whose input is copied together, in bytes.
const JOINED_PAYLOAD_LEN_MAX: usize = 16 << 10;

impl EntryHasher {
    /// As [`compute_entry_hash`].
    #[expect(clippy::too_many_arguments, reason = "the arguments are those of `compute_entry_hash`")]
    pub(crate) fn hash(
        &mut self,
        seq: u64,
        ts_init: UnixNanos,
        ts_publish: UnixNanos,
        topic: &str,
        payload_type: &str,
        payload: &[u8],
        headers: &Headers,
    ) -> EntryHash {
        if payload.len() > JOINED_PAYLOAD_LEN_MAX {
            return compute_entry_hash(seq, ts_init, ts_publish, topic, payload_type, payload, headers);
        }
        let input = &mut self.input;
        input.clear();
        let put = |bytes: &[u8]| input.extend_from_slice(bytes);
        put_entry(put, seq, [ts_init, ts_publish], [topic.as_bytes(), payload_type.as_bytes(), payload], headers);
        EntryHash(blake3::hash(input).into())
    }
}

pub(super) fn update_with_len(hasher: &mut Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_be_bytes());
    hasher.update(bytes);
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const TS_INIT: UnixNanos = UnixNanos::new(1_700_000_000_000_000_000);
    const TS_PUBLISH: UnixNanos = UnixNanos::new(1_700_000_000_000_000_001);

    fn hash_with(headers: &Headers) -> EntryHash {
        compute_entry_hash(42, TS_INIT, TS_PUBLISH, "exec.command", "SubmitOrder", &[1, 2, 3], headers)
    }

    fn ids() -> Headers {
        // Counting bytes, made a version 4 id.
        let id =
            |first: u8| uuid::Builder::from_random_bytes(std::array::from_fn(|index| first + u8::try_from(index).unwrap())).into_uuid();
        Headers { correlation_id: Some(id(0x01)), causation_id: Some(id(0x11)) }
    }

    #[test]
    fn an_entry_without_ids_has_the_golden_hash() {
        assert_eq!(hash_with(&Headers::empty()).to_hex(), "06b08d9615241ccdee4c21303e8d5a21682ceb085eb4eaf170365c700836e620");
    }

    #[test]
    fn an_entry_with_ids_has_the_golden_hash() {
        assert_eq!(hash_with(&ids()).to_hex(), "69be87a947cbfb61dd445908ae5825ada0b679bb3c9dd7e8cb14dcc0baf74eaa");
    }

    #[test]
    fn every_field_changes_the_hash() {
        let none = Headers::empty();
        let both = ids();
        let swapped = Headers { correlation_id: both.causation_id, causation_id: both.correlation_id };
        let hashes = [
            hash_with(&none),
            compute_entry_hash(43, TS_INIT, TS_PUBLISH, "exec.command", "SubmitOrder", &[1, 2, 3], &none),
            compute_entry_hash(42, TS_PUBLISH, TS_PUBLISH, "exec.command", "SubmitOrder", &[1, 2, 3], &none),
            compute_entry_hash(42, TS_INIT, TS_INIT, "exec.command", "SubmitOrder", &[1, 2, 3], &none),
            compute_entry_hash(42, TS_INIT, TS_PUBLISH, "exec.commands", "SubmitOrder", &[1, 2, 3], &none),
            compute_entry_hash(42, TS_INIT, TS_PUBLISH, "exec.command", "submitOrder", &[1, 2, 3], &none),
            compute_entry_hash(42, TS_INIT, TS_PUBLISH, "exec.command", "SubmitOrder", &[1, 2, 4], &none),
            hash_with(&Headers { causation_id: None, ..both }),
            hash_with(&Headers { correlation_id: None, ..both }),
            hash_with(&both),
            hash_with(&swapped),
        ];
        for (index, hash) in hashes.iter().enumerate() {
            assert!(!hashes[..index].contains(hash), "variant {index} has the hash of an earlier one");
        }
    }

    #[test]
    fn bytes_that_move_between_fields_change_the_hash() {
        let none = Headers::empty();
        let left = compute_entry_hash(1, TS_INIT, TS_PUBLISH, "ab", "c", b"", &none);
        let right = compute_entry_hash(1, TS_INIT, TS_PUBLISH, "a", "bc", b"", &none);
        assert_ne!(left, right);
    }

    #[test]
    fn shared_bytes_and_slices_are_both_accepted() {
        let shared = Bytes::from_static(&[1, 2, 3]);
        let hash = compute_entry_hash(42, TS_INIT, TS_PUBLISH, "exec.command", "SubmitOrder", &shared, &Headers::empty());
        assert_eq!(hash, hash_with(&Headers::empty()));
    }

    #[test]
    fn it_is_shown_as_64_lower_case_digits() {
        let hash = EntryHash([0xAB; 32]);
        assert_eq!(hash.to_hex(), "ab".repeat(32));
        assert_eq!(hash.to_string(), hash.to_hex());
    }
}
