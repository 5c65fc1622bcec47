//! The body of ENTRY: 104 bytes of fixed layout, then topic, payload type and keys, zeros up to a
//! multiple of eight, and last the payload.
//!
//! The payload lies on a multiple of eight in the file and so in a map of it, where a zero-copy decoder
//! can read it in place. The entry's hash is first, so that a writer can stamp it into a composed body.

use bytes::Bytes;

use super::FormatError;
use super::bytes::{Reader, align8, len_u32, put_u16, put_zeros};
use super::field::{Field, covers};
use super::frame::HEADER_LEN;
use crate::limits::{FRAME_BODY_LEN_MAX, KEY_LEN_MAX, KEYS_PER_ENTRY_MAX, PAYLOAD_LEN_MAX, PAYLOAD_TYPE_LEN_MAX, TOPIC_LEN_MAX};
use crate::model::{
    AppendEntry, Draft, DraftRef, EntryHash, EntryHasher, EventStoreEntry, Headers, IndexKind, PayloadType, Topic, UnixNanos,
    compute_entry_hash,
};

pub(crate) const ENTRY_HASH: Field = Field::first("entry_hash", 32);
pub(crate) const TS_INIT: Field = ENTRY_HASH.then("ts_init", 8);
pub(crate) const TS_PUBLISH: Field = TS_INIT.then("ts_publish", 8);
pub(crate) const PAYLOAD_LEN: Field = TS_PUBLISH.then("payload_len", 4);
pub(crate) const KEYS_LEN: Field = PAYLOAD_LEN.then("keys_len", 4);
pub(crate) const TOPIC_LEN: Field = KEYS_LEN.then("topic_len", 4);
pub(crate) const PAYLOAD_TYPE_LEN: Field = TOPIC_LEN.then("payload_type_len", 4);
const HEADER_FLAGS: Field = PAYLOAD_TYPE_LEN.then("header_flags", 1);
const KEY_COUNT: Field = HEADER_FLAGS.then("key_count", 1);
const RESERVED: Field = KEY_COUNT.then("reserved", 6);
const CORRELATION_ID: Field = RESERVED.then("correlation_id", 16);
const CAUSATION_ID: Field = CORRELATION_ID.then("causation_id", 16);
const TOPIC: Field = CAUSATION_ID.then("topic", 0);
const PAYLOAD_TYPE: Field = TOPIC.then("payload_type", 0);
const KEYS: Field = PAYLOAD_TYPE.then("keys", 0);
const PADDING: Field = KEYS.then("padding", 0);
const PAYLOAD: Field = PADDING.then("payload", 0);

/// The fields of the body.
pub(crate) const FIELDS: &[Field] = &[
    ENTRY_HASH,
    TS_INIT,
    TS_PUBLISH,
    PAYLOAD_LEN,
    KEYS_LEN,
    TOPIC_LEN,
    PAYLOAD_TYPE_LEN,
    HEADER_FLAGS,
    KEY_COUNT,
    RESERVED,
    CORRELATION_ID,
    CAUSATION_ID,
    TOPIC,
    PAYLOAD_TYPE,
    KEYS,
    PADDING,
    PAYLOAD,
];

const KEY_KIND: Field = Field::first("kind", 1);
const KEY_RESERVED: Field = KEY_KIND.then("reserved", 1);
const KEY_LEN: Field = KEY_RESERVED.then("len", 2);
const KEY_TEXT: Field = KEY_LEN.then("key", 0);

/// The fields of one key of the key section.
pub(crate) const KEY_FIELDS: &[Field] = &[KEY_KIND, KEY_RESERVED, KEY_LEN, KEY_TEXT];

/// The length of the fixed part.
pub(crate) const FIXED_LEN: usize = 104;

/// What a key takes before its text.
pub(crate) const KEY_HEADER_LEN: usize = 4;
const KEYS_LEN_MAX: usize = KEYS_PER_ENTRY_MAX * (KEY_HEADER_LEN + KEY_LEN_MAX);

pub(crate) const HAS_CORRELATION_ID: u8 = 1;
pub(crate) const HAS_CAUSATION_ID: u8 = 2;

const _: () = {
    assert!(covers(FIELDS, FIXED_LEN));
    assert!(covers(KEY_FIELDS, KEY_HEADER_LEN));
    assert!(KEYS_PER_ENTRY_MAX <= u8::MAX as usize && KEY_LEN_MAX <= u16::MAX as usize);
    assert!(align8(FIXED_LEN + TOPIC_LEN_MAX + PAYLOAD_TYPE_LEN_MAX + KEYS_LEN_MAX) + PAYLOAD_LEN_MAX <= FRAME_BODY_LEN_MAX);
    assert!((HEADER_LEN + FIXED_LEN).is_multiple_of(8));
};

/// An entry as it lies in its body, without a copy. Everything in it has passed; that its hash is right is for the caller
/// to find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntryParts<'a> {
    fixed: &'a [u8; FIXED_LEN],
    /// Topic and payload type.
    texts: &'a [u8],
    topic_len: usize,
    /// The key section.
    pub(crate) keys: &'a [u8],
    pub(crate) payload: &'a [u8],
    /// Where the payload begins within the body.
    pub(crate) payload_offset: usize,
}

impl<'a> EntryParts<'a> {
    /// Reads a body.
    #[inline]
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, FormatError> {
        let Some((fixed, tail)) = body.split_first_chunk::<FIXED_LEN>() else {
            return Err(FormatError::wrong_len(FIXED_LEN, body.len()));
        };
        let payload_len = PAYLOAD_LEN.len_within(fixed, PAYLOAD_LEN_MAX)?;
        let keys_len = KEYS_LEN.len_within(fixed, KEYS_LEN_MAX)?;
        let topic_len = TOPIC_LEN.len_within(fixed, TOPIC_LEN_MAX)?;
        let payload_type_len = PAYLOAD_TYPE_LEN.len_within(fixed, PAYLOAD_TYPE_LEN_MAX)?;
        let texts_end = FIXED_LEN + topic_len + payload_type_len + keys_len;
        let payload_offset = align8(texts_end);
        let body_len = payload_offset + payload_len;
        let mut reader = Reader::new(tail);
        let (Some(texts), Some(keys), Some(padding), payload) =
            (reader.take(topic_len + payload_type_len), reader.take(keys_len), reader.take(payload_offset - texts_end), reader.rest())
        else {
            return Err(FormatError::wrong_len(body_len, body.len()));
        };
        if payload.len() != payload_len {
            return Err(FormatError::wrong_len(body_len, body.len()));
        }
        if padding.iter().fold(0, |any, byte| any | byte) != 0 {
            return Err(FormatError::damaged(texts_end, "zeros before the payload", "another value"));
        }
        check_ids(fixed)?;
        check_keys(keys, KEY_COUNT.u8(fixed)?).map_err(|error| error.shifted(texts_end - keys_len))?;
        check_texts(texts, topic_len)?;
        Ok(Self { fixed, texts, topic_len, keys, payload, payload_offset })
    }

    /// The hash as it is stored.
    #[inline]
    pub(crate) fn entry_hash(&self) -> [u8; 32] {
        ENTRY_HASH.array(self.fixed).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn ts_init(&self) -> u64 {
        TS_INIT.u64(self.fixed).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn ts_publish(&self) -> u64 {
        TS_PUBLISH.u64(self.fixed).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn topic(&self) -> &'a str {
        text(self.texts.get(..self.topic_len))
    }

    #[inline]
    pub(crate) fn payload_type(&self) -> &'a str {
        text(self.texts.get(self.topic_len..))
    }

    /// How many keys there are.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn key_count(&self) -> u8 {
        KEY_COUNT.u8(self.fixed).unwrap_or_default()
    }

    /// The codes of the keys' kinds, known or not, and the keys.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (u8, &'a str)> + use<'a> {
        // That every key is UTF-8 was checked when the body was read.
        self.key_bytes().map_while(|(kind, key)| Some((kind, str::from_utf8(key).ok()?)))
    }

    /// The codes of the keys' kinds, known or not, and the keys as bytes.
    pub(crate) fn key_bytes(&self) -> KeyBytes<'a> {
        KeyBytes { reader: Reader::new(self.keys) }
    }

    /// The ids that tie the entry to others.
    pub(crate) fn headers(&self) -> Headers {
        let flags = HEADER_FLAGS.u8(self.fixed).unwrap_or_default();
        let id = |field: Field, flag| (flags & flag != 0).then(|| uuid::Uuid::from_bytes(field.array(self.fixed).unwrap_or_default()));
        Headers { correlation_id: id(CORRELATION_ID, HAS_CORRELATION_ID), causation_id: id(CAUSATION_ID, HAS_CAUSATION_ID) }
    }

    /// The hash that an entry with these fields and this number ought to have.
    pub(crate) fn hash(&self, seq: u64) -> [u8; 32] {
        let (ts_init, ts_publish) = (UnixNanos::new(self.ts_init()), UnixNanos::new(self.ts_publish()));
        compute_entry_hash(seq, ts_init, ts_publish, self.topic(), self.payload_type(), self.payload, &self.headers()).0
    }

    /// The entry as a value. `payload` holds the payload, shared or copied as the caller likes.
    ///
    /// Topic and payload type are interned for good, so that the hash should have been found right before.
    pub(crate) fn to_entry(self, seq: u64, payload: Bytes) -> EventStoreEntry {
        debug_assert!(payload == self.payload, "the payload of another entry");
        EventStoreEntry {
            entry_hash: EntryHash(self.entry_hash()),
            seq,
            headers: self.headers(),
            topic: Topic::from(self.topic()),
            payload_type: PayloadType::from(self.payload_type()),
            payload,
            ts_init: UnixNanos::new(self.ts_init()),
            ts_publish: UnixNanos::new(self.ts_publish()),
        }
    }
}

/// The keys of an entry, see [`EntryParts::key_bytes`].
#[derive(Debug, Clone)]
pub(crate) struct KeyBytes<'a> {
    reader: Reader<'a>,
}

impl<'a> Iterator for KeyBytes<'a> {
    type Item = (u8, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let header: [u8; KEY_HEADER_LEN] = self.reader.array()?;
        let len = KEY_LEN.u16(&header).ok()?;
        Some((KEY_KIND.u8(&header).ok()?, self.reader.take(usize::from(len))?))
    }
}

/// What the indexes need of an entry: its `ts_init` and its keys. `None` if the lengths do not fit the body.
///
/// For a body that was just laid out from an entry, of which nothing else has to be checked.
#[inline]
pub(crate) fn time_and_keys(body: &[u8]) -> Option<(u64, KeyBytes<'_>)> {
    let (_, keys) = hash_and_keys(body)?;
    Some((TS_INIT.u64(body).ok()?, KeyBytes { reader: Reader::new(keys) }))
}

/// What the root covers of an entry: its hash and its key section. `None` if the lengths do not fit the body.
#[inline]
pub(crate) fn hash_and_keys(body: &[u8]) -> Option<(&[u8; 32], &[u8])> {
    let (fixed, tail) = body.split_first_chunk::<FIXED_LEN>()?;
    let topic_len = TOPIC_LEN.u32(fixed).ok()? as usize;
    let payload_type_len = PAYLOAD_TYPE_LEN.u32(fixed).ok()? as usize;
    let keys_len = KEYS_LEN.u32(fixed).ok()? as usize;
    let mut reader = Reader::new(tail);
    reader.take(topic_len)?;
    reader.take(payload_type_len)?;
    Some((fixed.first_chunk()?, reader.take(keys_len)?))
}

/// Appends the body of an entry that is within the limits.
pub(crate) fn encode_entry_body(buf: &mut Vec<u8>, append: &AppendEntry) {
    let entry = &append.entry;
    let fields = DraftRef {
        headers: entry.headers,
        ..DraftRef::new(entry.topic.as_str(), entry.payload_type.as_str(), &entry.payload, entry.ts_init)
    };
    encode_body(buf, &entry.entry_hash.0, &fields, entry.ts_publish, keys_of(append));
}

/// Appends the body of a draft that is within the limits. Its hash is left to [`stamp_hash`].
pub(crate) fn encode_draft_body(buf: &mut Vec<u8>, draft: &impl Draft, ts_publish: UnixNanos) {
    encode_body(buf, &[0; 32], &draft.fields(), ts_publish, draft.keys());
}

/// Puts the hash into a body that [`encode_draft_body`] laid out.
pub(crate) fn stamp_hash(body: &mut [u8], seq: u64, hasher: &mut EntryHasher) {
    let parts = EntryParts::decode(body);
    debug_assert!(parts.is_ok(), "a body that we laid out ourselves can be read");
    if let Ok(parts) = parts {
        let (ts_init, ts_publish) = (UnixNanos::new(parts.ts_init()), UnixNanos::new(parts.ts_publish()));
        let hash = hasher.hash(seq, ts_init, ts_publish, parts.topic(), parts.payload_type(), parts.payload, &parts.headers());
        ENTRY_HASH.put(body, &hash.0);
    }
}

/// The keys of an entry, as they go into its body.
fn keys_of(append: &AppendEntry) -> impl Iterator<Item = (IndexKind, &str)> + Clone {
    append.index_keys.iter().map(|key| (key.kind, key.key.as_str()))
}

fn encode_body<'a>(
    buf: &mut Vec<u8>,
    entry_hash: &[u8; 32],
    fields: &DraftRef<'_>,
    ts_publish: UnixNanos,
    keys: impl Iterator<Item = (IndexKind, &'a str)> + Clone,
) {
    let Headers { correlation_id, causation_id } = &fields.headers;
    let (topic, payload_type, payload) = (fields.topic, fields.payload_type, fields.payload);
    let (key_count, keys_len) = keys.clone().fold((0, 0), |(count, len), (_, key)| (count + 1, len + KEY_HEADER_LEN + key.len()));
    debug_assert!(key_count <= KEYS_PER_ENTRY_MAX, "{key_count} keys have come past the limits");
    let mut flags = 0;
    let mut fixed = [0; FIXED_LEN];
    if let Some(id) = correlation_id {
        flags |= HAS_CORRELATION_ID;
        CORRELATION_ID.put(&mut fixed, id.as_bytes());
    }
    if let Some(id) = causation_id {
        flags |= HAS_CAUSATION_ID;
        CAUSATION_ID.put(&mut fixed, id.as_bytes());
    }
    ENTRY_HASH.put(&mut fixed, entry_hash);
    TS_INIT.put(&mut fixed, &fields.ts_init.as_u64().to_le_bytes());
    TS_PUBLISH.put(&mut fixed, &ts_publish.as_u64().to_le_bytes());
    PAYLOAD_LEN.put(&mut fixed, &len_u32(payload.len()).to_le_bytes());
    KEYS_LEN.put(&mut fixed, &len_u32(keys_len).to_le_bytes());
    TOPIC_LEN.put(&mut fixed, &len_u32(topic.len()).to_le_bytes());
    PAYLOAD_TYPE_LEN.put(&mut fixed, &len_u32(payload_type.len()).to_le_bytes());
    HEADER_FLAGS.put(&mut fixed, &[flags]);
    KEY_COUNT.put(&mut fixed, &[u8::try_from(key_count).unwrap_or(u8::MAX)]);

    buf.reserve(align8(FIXED_LEN + topic.len() + payload_type.len() + keys_len) + payload.len() + 8);
    let start = buf.len();
    buf.extend_from_slice(&fixed);
    buf.extend_from_slice(topic.as_bytes());
    buf.extend_from_slice(payload_type.as_bytes());
    for (kind, key) in keys {
        debug_assert!(key.len() <= KEY_LEN_MAX, "a key of {} bytes has come past the limits", key.len());
        buf.extend_from_slice(&[kind.code(), 0]);
        put_u16(buf, u16::try_from(key.len()).unwrap_or(u16::MAX));
        buf.extend_from_slice(key.as_bytes());
    }
    let texts_len = buf.len() - start;
    put_zeros(buf, align8(texts_len) - texts_len);
    buf.extend_from_slice(payload);
}

/// The length of the entry's frame, with header and padding.
pub(crate) fn entry_frame_len(append: &AppendEntry) -> u64 {
    let entry = &append.entry;
    frame_len(entry.topic.as_str(), entry.payload_type.as_str(), keys_of(append), entry.payload.len())
}

/// The length of the frame of a draft, with header and padding.
pub(crate) fn draft_frame_len(draft: &impl Draft) -> u64 {
    let fields = draft.fields();
    frame_len(fields.topic, fields.payload_type, draft.keys(), fields.payload.len())
}

fn frame_len<'a>(topic: &str, payload_type: &str, keys: impl Iterator<Item = (IndexKind, &'a str)>, payload_len: usize) -> u64 {
    let keys_len: usize = keys.map(|(_, key)| KEY_HEADER_LEN + key.len()).sum();
    let body_len = align8(FIXED_LEN + topic.len() + payload_type.len() + keys_len) + payload_len;
    (HEADER_LEN + align8(body_len)) as u64
}

/// Checks the flags, and that reserved bytes and ids that are not there are zero.
#[inline]
fn check_ids(fixed: &[u8; FIXED_LEN]) -> Result<(), FormatError> {
    const WITHOUT_IDS: usize = FIXED_LEN - RESERVED.offset;
    let flags = HEADER_FLAGS.u8(fixed)?;
    // Most entries have no ids: then everything up to the end is zero.
    if flags == 0 && fixed.last_chunk::<WITHOUT_IDS>().is_some_and(|rest| *rest == [0; WITHOUT_IDS]) {
        return Ok(());
    }
    check_each_id(fixed, flags)
}

fn check_each_id(fixed: &[u8; FIXED_LEN], flags: u8) -> Result<(), FormatError> {
    RESERVED.zeros(fixed)?;
    if flags & !(HAS_CORRELATION_ID | HAS_CAUSATION_ID) != 0 {
        return Err(HEADER_FLAGS.damaged("0 to 3", flags.to_string()));
    }
    for (field, flag) in [(CORRELATION_ID, HAS_CORRELATION_ID), (CAUSATION_ID, HAS_CAUSATION_ID)] {
        if flags & flag == 0 {
            field.zeros(fixed)?;
        }
    }
    Ok(())
}

/// A text that was checked when its body was read.
#[inline]
fn text(bytes: Option<&[u8]>) -> &str {
    bytes.and_then(|bytes| str::from_utf8(bytes).ok()).unwrap_or_default()
}

/// Checks that bytes are UTF-8. Most texts are ASCII, which is found out faster.
#[inline]
fn check_text(bytes: &[u8], offset: usize) -> Result<(), FormatError> {
    if bytes.is_ascii() {
        return Ok(());
    }
    match str::from_utf8(bytes) {
        Ok(_) => Ok(()),
        Err(error) => Err(FormatError::damaged(offset + error.valid_up_to(), "UTF-8", "another byte")),
    }
}

/// Checks topic and payload type. Two texts are UTF-8 if both together are, and the second begins with a character: one
/// check is cheaper than two.
#[inline]
fn check_texts(texts: &[u8], topic_len: usize) -> Result<(), FormatError> {
    check_text(texts, FIXED_LEN)?;
    // The bytes of a character behind its first one begin with the bits 10.
    match texts.get(topic_len) {
        Some(byte) if byte & 0b1100_0000 == 0b1000_0000 => {
            Err(FormatError::damaged(FIXED_LEN + topic_len, "the first byte of a character", "a later one"))
        }
        _ => Ok(()),
    }
}

#[inline]
fn check_keys(section: &[u8], count: u8) -> Result<(), FormatError> {
    if usize::from(count) > KEYS_PER_ENTRY_MAX {
        return Err(FormatError::damaged(0, format!("at most {KEYS_PER_ENTRY_MAX} keys"), count.to_string()));
    }
    let mut reader = Reader::new(section);
    let at = |reader: &Reader<'_>| section.len() - reader.rest().len();
    for _ in 0..count {
        let start = at(&reader);
        let Some(header) = reader.array::<KEY_HEADER_LEN>() else {
            return Err(FormatError::damaged(start, format!("{count} keys"), "the end of the key section"));
        };
        KEY_RESERVED.zeros(&header).map_err(|error| error.shifted(start))?;
        let len = usize::from(KEY_LEN.u16(&header)?);
        let Some(text) = reader.take(len).filter(|_| len <= KEY_LEN_MAX) else {
            return Err(KEY_LEN.damaged(format!("at most {KEY_LEN_MAX} and within the key section"), len.to_string()).shifted(start));
        };
        check_text(text, start + KEY_HEADER_LEN)?;
    }
    if reader.rest().is_empty() {
        Ok(())
    } else {
        Err(FormatError::damaged(at(&reader), format!("the end of {count} keys"), "further bytes"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::testing::{for_each_bit_flip, for_each_truncation, hex_lines, is_damage};
    use crate::model::{IndexKey, IndexKind};

    fn append() -> AppendEntry {
        let id = |byte| Some(uuid::Uuid::from_bytes([byte; 16]));
        append_of(
            Headers { correlation_id: id(0xC0), causation_id: id(0xCA) },
            "exec.command",
            "SubmitOrder",
            vec![IndexKey::new(IndexKind::ClientOrderId, "O-1".to_owned()), IndexKey::new(IndexKind::VenueOrderId, "V".to_owned())],
            b"\x01\x02\x03",
        )
    }

    fn append_of(headers: Headers, topic: &str, payload_type: &str, keys: Vec<IndexKey>, payload: &[u8]) -> AppendEntry {
        let (ts_init, ts_publish) = (UnixNanos::new(1_700_000_000_000_000_000), UnixNanos::new(1_700_000_000_000_000_001));
        let hash = compute_entry_hash(42, ts_init, ts_publish, topic, payload_type, payload, &headers);
        let entry = EventStoreEntry {
            entry_hash: hash,
            seq: 42,
            headers,
            topic: topic.into(),
            payload_type: payload_type.into(),
            payload: Bytes::copy_from_slice(payload),
            ts_init,
            ts_publish,
        };
        AppendEntry::new(entry, keys)
    }

    fn body(append: &AppendEntry) -> Vec<u8> {
        let mut buf = Vec::new();
        encode_entry_body(&mut buf, append);
        buf
    }

    fn forged(field: Field, value: &[u8]) -> Vec<u8> {
        let mut bytes = body(&append());
        field.put(&mut bytes, value);
        bytes
    }

    /// Where the key section of `append()` begins.
    const KEYS_AT: usize = FIXED_LEN + 12 + 11;

    #[test]
    fn a_body_has_its_golden_bytes() {
        assert_eq!(
            hex_lines(&body(&append())),
            [
                "b752a6ea33917e29eb019886df8df24b46d92f0314d8eee03f2b7e1f7d3201a0",
                "00002a36fe9c971701002a36fe9c9717030000000c0000000c0000000b000000",
                "0302000000000000c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0cacacacacacacaca",
                "cacacacacacacaca657865632e636f6d6d616e645375626d69744f7264657201",
                "0003004f2d3102000100560000000000010203",
            ]
        );
    }

    #[test]
    fn every_bit_flip_is_refused_or_seen_by_the_hash_or_changes_the_keys() {
        let bytes = body(&append());
        for_each_bit_flip(&bytes, |flipped, what| {
            let Ok(parts) = EntryParts::decode(flipped) else { return };
            let keys_changed = hash_and_keys(flipped) != hash_and_keys(&bytes);
            assert!(parts.hash(42) != parts.entry_hash() || keys_changed, "{what} went unnoticed");
        });
    }

    #[test]
    fn a_body_of_another_length_is_damage() {
        let mut bytes = body(&append());
        for_each_truncation(&bytes, |bytes| assert!(is_damage(&EntryParts::decode(bytes))));
        bytes.push(0);
        assert!(is_damage(&EntryParts::decode(&bytes)));
    }

    #[test]
    fn reserved_bytes_padding_unknown_flags_and_stray_ids_are_refused() {
        assert!(EntryParts::decode(&body(&append())).is_ok());
        for (field, value) in [
            (RESERVED, &[0, 0, 0, 0, 0, 1][..]),
            (HEADER_FLAGS, &[4]),
            (HEADER_FLAGS, &[7]),
            (HEADER_FLAGS, &[1]),
            (HEADER_FLAGS, &[2]),
            (HEADER_FLAGS, &[0]),
        ] {
            assert!(is_damage(&EntryParts::decode(&forged(field, value))), "{} {value:?}", field.name);
        }
        let mut bytes = body(&append());
        let padding_at = KEYS_AT + 12;
        assert!(!padding_at.is_multiple_of(8));
        bytes[padding_at] = 1;
        assert!(is_damage(&EntryParts::decode(&bytes)));
        let mut bytes = body(&append());
        bytes[KEYS_AT + 1] = 1;
        assert!(is_damage(&EntryParts::decode(&bytes)));
    }

    #[test]
    fn hostile_lengths_and_counts_are_refused() {
        for field in [PAYLOAD_LEN, KEYS_LEN, TOPIC_LEN, PAYLOAD_TYPE_LEN] {
            let own = field.u32(&body(&append())).unwrap();
            for value in [0, own - 1, own + 1, own + 8, 1 << 16, 1 << 24, 1 << 31, u32::MAX] {
                let result = EntryParts::decode(&forged(field, &value.to_le_bytes())).map(|parts| parts.hash(42) == parts.entry_hash());
                assert!(!matches!(result, Ok(true)), "{} {value}", field.name);
            }
            for value in [1 << 31, u32::MAX] {
                assert!(is_damage(&EntryParts::decode(&forged(field, &value.to_le_bytes()))));
            }
        }
        for count in [0, 1, 3, 64, 65, 255] {
            assert!(is_damage(&EntryParts::decode(&forged(KEY_COUNT, &[count]))), "{count} keys");
        }
        for len in [0_u16, 2, 4, 1024, 1025, u16::MAX] {
            let mut bytes = body(&append());
            KEY_LEN.put(&mut bytes[KEYS_AT..], &len.to_le_bytes());
            assert!(is_damage(&EntryParts::decode(&bytes)), "a key of {len} bytes");
        }
    }

    #[test]
    fn texts_that_are_not_utf_8_are_refused() {
        let refused_at = |bytes: &[u8], at: usize| {
            assert!(matches!(EntryParts::decode(bytes), Err(FormatError::Damaged { offset, .. }) if offset == at as u64), "at {at}");
        };
        for at in [FIXED_LEN, FIXED_LEN + 12, KEYS_AT + 4] {
            let mut bytes = body(&append());
            bytes[at] = 0xFF;
            refused_at(&bytes, at);
        }
        // A character that lies across the border of topic and payload type belongs to neither.
        let mut bytes = body(&append());
        bytes[FIXED_LEN + 11..FIXED_LEN + 13].copy_from_slice("é".as_bytes());
        refused_at(&bytes, FIXED_LEN + 12);
    }

    #[test]
    fn a_key_of_an_unknown_kind_is_read() {
        let mut bytes = body(&append());
        bytes[KEYS_AT] = 200;
        let parts = EntryParts::decode(&bytes).unwrap();
        assert_eq!(parts.keys().collect::<Vec<_>>(), [(200, "O-1"), (2, "V")]);
        assert_eq!(IndexKind::from_code(200), None);
    }

    #[test]
    fn an_entry_with_everything_at_its_bound_is_read_back() {
        let keys = vec![IndexKey::new(IndexKind::ClientOrderId, "k".repeat(KEY_LEN_MAX)); KEYS_PER_ENTRY_MAX];
        let text = "t".repeat(TOPIC_LEN_MAX);
        let append = append_of(Headers::empty(), &text, &text, keys, &vec![7; PAYLOAD_LEN_MAX]);
        let bytes = body(&append);
        assert!(bytes.len() <= FRAME_BODY_LEN_MAX);
        let parts = EntryParts::decode(&bytes).unwrap();
        assert_eq!(parts.to_entry(42, Bytes::copy_from_slice(parts.payload)), append.entry);
        assert_eq!(parts.keys().count(), KEYS_PER_ENTRY_MAX);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_body_is_read_back(
            ids: [Option<[u8; 16]>; 2], topic in ".{0,40}", payload_type in ".{0,40}",
            keys in proptest::collection::vec((any::<bool>(), ".{0,30}"), 0..8),
            payload in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let [correlation_id, causation_id] = ids.map(|id| id.map(uuid::Uuid::from_bytes));
            let keys: Vec<_> = keys
                .into_iter()
                .map(|(venue, key)| IndexKey::new(if venue { IndexKind::VenueOrderId } else { IndexKind::ClientOrderId }, key))
                .collect();
            let append = append_of(Headers { correlation_id, causation_id }, &topic, &payload_type, keys, &payload);
            let bytes = body(&append);
            prop_assert_eq!(entry_frame_len(&append), (24 + align8(bytes.len())) as u64);
            let parts = EntryParts::decode(&bytes).unwrap();
            prop_assert!(parts.payload_offset.is_multiple_of(8));
            prop_assert_eq!(&bytes[parts.payload_offset..], &payload);
            prop_assert_eq!(parts.hash(42), parts.entry_hash());
            prop_assert_eq!(usize::from(parts.key_count()), append.index_keys.len());
            let expected: Vec<_> = append.index_keys.iter().map(|key| (key.kind.code(), key.key.as_str())).collect();
            prop_assert_eq!(parts.keys().collect::<Vec<_>>(), expected);
            prop_assert_eq!(hash_and_keys(&bytes), Some((&parts.entry_hash(), parts.keys)));
            let (ts_init, keys) = time_and_keys(&bytes).unwrap();
            prop_assert_eq!((ts_init, keys.collect::<Vec<_>>()), (parts.ts_init(), parts.key_bytes().collect::<Vec<_>>()));
            prop_assert_eq!(&parts.to_entry(42, Bytes::copy_from_slice(parts.payload)), &append.entry);
        }

        #[test]
        fn any_bytes_are_read_or_refused_without_a_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), plausible: bool) {
            if plausible && bytes.len() >= FIXED_LEN {
                // Small lengths and zero reserved bytes let the decoder come further than noise would.
                for field in [PAYLOAD_LEN, KEYS_LEN, TOPIC_LEN, PAYLOAD_TYPE_LEN] {
                    let small = bytes[field.offset] / 4;
                    field.put(&mut bytes, &[small, 0, 0, 0]);
                }
                RESERVED.put(&mut bytes, &[0; 6]);
            }
            let _ = hash_and_keys(&bytes);
            let _ = time_and_keys(&bytes).map(|(_, keys)| keys.count());
            if let Ok(parts) = EntryParts::decode(&bytes) {
                prop_assert_eq!(parts.keys().count(), usize::from(parts.key_count()));
            }
        }
    }
}
