//! Where the parts of an entry stand.

use std::ops::Range;

use super::bytes::{align8, array, is_zero, len_at, u16_at, u64_at};

const FIXED_LEN: usize = 104;
const PAYLOAD_LEN_MAX: usize = 16 << 20;
const TEXT_LEN_MAX: usize = 64 << 10;
const KEYS_MAX: usize = 64;
const KEY_LEN_MAX: usize = 1024;

/// A key in the key section of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPlace {
    /// What the key names, as a code.
    pub kind: u8,
    /// The key with its head of four bytes.
    pub range: Range<usize>,
    /// The text alone.
    pub text: Range<usize>,
}

/// The parts of an entry's body, as ranges in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryPlace {
    /// The hash as it was given.
    pub hash: Range<usize>,
    /// When the message came into being.
    pub ts_init: Range<usize>,
    /// When it was captured.
    pub ts_publish: Range<usize>,
    /// The four lengths.
    pub lengths: Range<usize>,
    /// Flags, count of keys and reserved bytes.
    pub flags: Range<usize>,
    /// Both ids, present or not.
    pub ids: Range<usize>,
    /// The topic.
    pub topic: Range<usize>,
    /// The payload type.
    pub payload_type: Range<usize>,
    /// The key section.
    pub keys: Range<usize>,
    /// Each key in it.
    pub key_places: Vec<KeyPlace>,
    /// The zeros before the payload.
    pub padding: Range<usize>,
    /// The payload, to the end of the body.
    pub payload: Range<usize>,
}

/// The key section of the entry with this body, by its lengths alone.
pub(super) fn keys_range(bytes: &[u8], body: &Range<usize>) -> Option<Range<usize>> {
    let fixed = bytes.get(body.clone())?;
    let start = FIXED_LEN.checked_add(len_at(fixed, 56)?)?.checked_add(len_at(fixed, 60)?)?;
    let end = start.checked_add(len_at(fixed, 52)?)?;
    (end <= fixed.len()).then_some(body.start + start..body.start + end)
}

impl EntryPlace {
    /// The parts of the entry whose body this is; none if it cannot be decoded.
    #[must_use]
    pub fn of_body(bytes: &[u8], body: &Range<usize>) -> Option<Self> {
        let content = bytes.get(body.clone())?;
        let (payload_len, keys_len) = (len_at(content, 48)?, len_at(content, 52)?);
        let (topic_len, type_len) = (len_at(content, 56)?, len_at(content, 60)?);
        if payload_len > PAYLOAD_LEN_MAX || topic_len > TEXT_LEN_MAX || type_len > TEXT_LEN_MAX || keys_len > KEYS_MAX * (4 + KEY_LEN_MAX) {
            return None;
        }
        let at = |from: usize, to: usize| body.start + from..body.start + to;
        let (type_at, keys_at) = (FIXED_LEN + topic_len, FIXED_LEN + topic_len + type_len);
        let (keys_end, payload_at) = (keys_at + keys_len, align8(keys_at + keys_len));
        let (header_flags, key_count) = (*content.get(64)?, usize::from(*content.get(65)?));
        let texts = content.get(FIXED_LEN..type_at).is_some_and(is_text) && content.get(type_at..keys_at).is_some_and(is_text);
        let ids = (header_flags & 1 != 0 || is_zero(content.get(72..88)?)) && (header_flags & 2 != 0 || is_zero(content.get(88..104)?));
        let zeros = header_flags & !3 == 0 && is_zero(content.get(66..72)?) && is_zero(content.get(keys_end..payload_at)?);
        if content.len() != payload_at + payload_len || key_count > KEYS_MAX || !texts || !ids || !zeros {
            return None;
        }
        let keys = at(keys_at, keys_end);
        let key_places = key_places(bytes, &keys, key_count)?;
        Some(Self {
            hash: at(0, 32),
            ts_init: at(32, 40),
            ts_publish: at(40, 48),
            lengths: at(48, 64),
            flags: at(64, 72),
            ids: at(72, FIXED_LEN),
            topic: at(FIXED_LEN, type_at),
            payload_type: at(type_at, keys_at),
            keys,
            key_places,
            padding: at(keys_end, payload_at),
            payload: at(payload_at, payload_at + payload_len),
        })
    }

    /// When the message came into being, in nanoseconds.
    #[must_use]
    pub fn ts_init_nanos(&self, bytes: &[u8]) -> Option<u64> {
        u64_at(bytes, self.ts_init.start)
    }

    /// The hash that the entry ought to have under this number.
    #[must_use]
    pub fn hash_under(&self, bytes: &[u8], seq: u64) -> Option<[u8; 32]> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"nautilus-event-store/entry/v1").update(&seq.to_be_bytes());
        hasher.update(&u64_at(bytes, self.ts_init.start)?.to_be_bytes());
        hasher.update(&u64_at(bytes, self.ts_publish.start)?.to_be_bytes());
        for text in [&self.topic, &self.payload_type, &self.payload] {
            hasher.update(&u64::try_from(text.len()).ok()?.to_be_bytes()).update(bytes.get(text.clone())?);
        }
        let header_flags = *bytes.get(self.flags.start)?;
        for (flag, at) in [(1, self.ids.start), (2, self.ids.start + 16)] {
            if header_flags & flag == 0 {
                hasher.update(&[0]);
            } else {
                hasher.update(&[1]).update(&array::<16>(bytes, at)?);
            }
        }
        Some(*hasher.finalize().as_bytes())
    }

    /// Whether the stored hash is that of the entry under this number.
    #[must_use]
    pub fn hash_fits(&self, bytes: &[u8], seq: u64) -> bool {
        self.hash_under(bytes, seq).is_some_and(|hash| bytes.get(self.hash.clone()) == Some(&hash))
    }
}

fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
}

/// The keys of a section, which they have to fill exactly.
fn key_places(bytes: &[u8], section: &Range<usize>, count: usize) -> Option<Vec<KeyPlace>> {
    let mut places = Vec::with_capacity(count);
    let mut at = section.start;
    for _ in 0..count {
        let len = usize::from(u16_at(bytes, at + 2)?);
        let (kind, text) = (*bytes.get(at)?, at + 4..at + 4 + len);
        if len > KEY_LEN_MAX || text.end > section.end || *bytes.get(at + 1)? != 0 || !is_text(bytes.get(text.clone())?) {
            return None;
        }
        places.push(KeyPlace { kind, range: at..text.end, text: text.clone() });
        at = text.end;
    }
    (at == section.end).then_some(places)
}
