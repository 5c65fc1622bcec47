//! Every decoder of what stands in a segment.

use bytes::Bytes;

use super::input::{Input, edit_often};
use super::{samples, stamps};
use crate::error::EventStoreError;
use crate::format::bytes::{Reader, align8, check_len, check_zeros, is_zero};
use crate::format::commit::Commit;
use crate::format::entry::{EntryParts, FIXED_LEN, encode_entry_body, entry_frame_len, hash_and_keys, time_and_keys};
use crate::format::envelope::Envelope;
use crate::format::field::Field;
use crate::format::frame::{FrameHeader, HEADER_LEN, Kind, append_frame};
use crate::format::manifest::encode_opening;
use crate::format::marker::{dict, gap, hifi, snapshot};
use crate::format::open::Open;
use crate::format::root::RootHasher;
use crate::format::salt::{Salt, Stream};
use crate::format::{FormatError, anchor, genesis};
use crate::limits::FRAME_BODY_LEN_MAX;
use crate::model::{AppendEntry, IndexKey, IndexKind, MarkerManifest, RunManifest};

const DECODERS: [fn(&mut Input<'_>); 13] = [
    frame,
    entry,
    commit,
    open,
    genesis_of::<RunManifest>,
    genesis_of::<MarkerManifest>,
    an_anchor,
    a_snapshot,
    a_hifi,
    a_dict,
    a_gap,
    root,
    tools,
];

/// Most changes to a valid structure.
const EDITS_MAX: usize = 8;

/// A structure as the input has it, or a valid one with the input's changes; and whether its checksums are to be made right.
pub(super) fn material(input: &mut Input<'_>, sample: impl FnOnce() -> Vec<u8>) -> (Vec<u8>, bool) {
    let mode = input.byte();
    let bytes = if mode & 1 == 0 {
        input.take_rest().to_vec()
    } else {
        let mut bytes = sample();
        edit_often(&mut bytes, input, EDITS_MAX);
        bytes
    };
    (bytes, mode & 2 != 0)
}

/// Reads the input with the decoder that it chooses.
pub fn decode_frames(data: &[u8]) {
    let mut input = Input::new(data);
    let decoder = input.pick(&DECODERS);
    decoder(&mut input);
}

/// Where a frame stands: offsets that a segment can have, and some beyond.
fn place(input: &mut Input<'_>) -> (Salt, u64) {
    let offset = u64::from(u32::from_le_bytes(input.array())) * 8;
    (samples::salt(), offset)
}

/// What holds for a decoder of a structure that fills its slice: other lengths are refused, and what was read is written as it was.
fn exact<T>(bytes: &[u8], decode: impl Fn(&[u8]) -> Result<T, FormatError>, encode: impl FnOnce(&T, &mut Vec<u8>)) {
    let Ok(value) = decode(bytes) else { return };
    let mut written = Vec::new();
    encode(&value, &mut written);
    assert_eq!(written, bytes, "a structure is written otherwise than it was read");
    let mut longer = bytes.to_vec();
    longer.push(0);
    assert!(decode(&longer).is_err(), "a byte behind the structure was passed over");
    assert!(decode(&bytes[..bytes.len() - 1]).is_err(), "the last byte of the structure was never read");
}

fn frame(input: &mut Input<'_>) {
    let (salt, offset) = place(input);
    let (mut bytes, stamped) = material(input, || {
        let mut bytes = Vec::new();
        append_frame(&mut bytes, &salt, offset, Kind::ENTRY, 5, b"a body");
        bytes
    });
    if stamped {
        stamps::frame_header(&mut bytes, &salt, offset);
    }
    let Some(header) = FrameHeader::decode(&bytes, &salt, offset) else { return };
    let body_len = header.body_len as usize;
    assert!(header.kind != Kind(0) && body_len <= FRAME_BODY_LEN_MAX);
    assert!(!header.kind.to_string().is_empty());
    assert!(
        header.frame_len().is_multiple_of(8) && (HEADER_LEN + body_len..HEADER_LEN + body_len + 8).contains(&as_len(header.frame_len()))
    );
    // A difference of 32 neighbouring bits or fewer is always seen by the checksum.
    assert_eq!(FrameHeader::decode(&bytes, &salt, offset + 8), None, "a frame was taken for one at another place");
    let Some(body) = bytes.get(HEADER_LEN..HEADER_LEN + body_len) else { return };
    if header.body_is_valid(body) {
        let mut written = Vec::new();
        append_frame(&mut written, &salt, offset, header.kind, header.seq, body);
        assert_eq!(written.len() as u64, header.frame_len());
        assert_eq!(written[..HEADER_LEN + body_len], bytes[..HEADER_LEN + body_len]);
        assert!(is_zero(&written[HEADER_LEN + body_len..]));
    }
}

fn as_len(len: u64) -> usize {
    usize::try_from(len).unwrap()
}

fn entry(input: &mut Input<'_>) {
    let seq = 1 + input.below(9) as u64;
    let (mut body, stamped) = material(input, || {
        let mut body = Vec::new();
        encode_entry_body(&mut body, &samples::append(seq, 20));
        body
    });
    if stamped {
        let hash = EntryParts::decode(&body).map(|parts| parts.hash(seq));
        if let Ok(hash) = hash {
            body[..hash.len()].copy_from_slice(&hash);
            assert_eq!(EntryParts::decode(&body).map(|parts| parts.hash(seq)), Ok(hash), "the stored hash is part of the hash");
        }
    }
    let covered = hash_and_keys(&body);
    assert_eq!(time_and_keys(&body).is_some(), covered.is_some());
    if let Some((_, keys)) = time_and_keys(&body) {
        assert!(keys.map(|(_, key)| key.len()).sum::<usize>() <= body.len());
    }
    let Ok(parts) = EntryParts::decode(&body) else { return };
    assert_eq!(covered, Some((&parts.entry_hash(), parts.keys)));
    assert_eq!(time_and_keys(&body).map(|(time, keys)| (time, keys.count())), Some((parts.ts_init(), usize::from(parts.key_count()))));
    assert_eq!(parts.keys().count(), usize::from(parts.key_count()));
    assert!(parts.payload_offset.is_multiple_of(8) && parts.payload_offset >= FIXED_LEN);
    assert_eq!(&body[parts.payload_offset..], parts.payload);
    let mut longer = body.clone();
    longer.push(0);
    assert!(EntryParts::decode(&longer).is_err());
    written_again(&body, &parts, seq);
}

fn written_again(body: &[u8], parts: &EntryParts<'_>, seq: u64) {
    let keys: Option<Vec<_>> = parts.keys().map(|(kind, key)| Some(IndexKey::new(IndexKind::from_code(kind)?, key.to_owned()))).collect();
    // Topics and payload types are interned for good: a fuzzer that invents long ones would use up all memory.
    let is_short = parts.topic().len() <= 6 && parts.payload_type().len() <= 6;
    let Some(keys) = keys.filter(|_| is_short) else { return };
    let append = AppendEntry::new(parts.to_entry(seq, Bytes::copy_from_slice(parts.payload)), keys);
    let mut written = Vec::new();
    encode_entry_body(&mut written, &append);
    assert_eq!(written, body, "an entry is written otherwise than it was read");
    assert_eq!(entry_frame_len(&append), (HEADER_LEN + align8(body.len())) as u64);
}

fn commit(input: &mut Input<'_>) {
    let (salt, offset) = place(input);
    let frame_seq = input.number();
    let (mut body, stamped) = material(input, || {
        let commit = Commit { commit_no: 9, first_seq: 5, count: 2, durable_commit_no: 8, durable_seq: frame_seq / 2, root: [4; 32] };
        let mut body = Vec::new();
        commit.encode_body(&mut body, &salt, offset);
        body
    });
    if stamped {
        stamps::commit_tag(&mut body, &salt, offset);
    }
    exact(
        &body,
        |body| Commit::decode_body(body, &salt, offset, frame_seq),
        |commit, written| {
            assert!(commit.durable_commit_no < commit.commit_no && commit.durable_seq <= frame_seq);
            commit.encode_body(written, &salt, offset);
        },
    );
}

fn open(input: &mut Input<'_>) {
    let (body, _) = material(input, || {
        let mut body = Vec::new();
        let previous = samples::watermark().position;
        Open { base: samples::chain_state(), previous }.encode_body(&mut body);
        body
    });
    exact(&body, Open::decode_body, Open::encode_body);
}

fn genesis_of<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(input: &mut Input<'_>) {
    let of_markers = input.bit();
    let (mut body, stamped) = material(input, || if of_markers { samples::marker_opening() } else { samples::opening() });
    if stamped {
        stamps::envelope_crc(&mut body);
    }
    let Ok(opening) = genesis::decode_body::<T>(&body) else { return };
    assert_eq!(opening.bytes, body);
    let written = encode_opening(&opening.uid, &opening.parent_seal_root, &opening.manifest).unwrap();
    // A map that has a key twice is read as one that has it once, and is shorter when it is written.
    assert!(written == body || written.len() < body.len(), "an opening section is written otherwise than it was read");
    let again = genesis::decode_body::<T>(&written).unwrap();
    assert_eq!(again.manifest, opening.manifest);
}

fn an_anchor(input: &mut Input<'_>) {
    let (mut body, stamped) = material(input, || anchor::encode_body(&samples::UID, &samples::anchor()).unwrap());
    if stamped {
        stamps::envelope_crc(&mut body);
    }
    exact(&body, anchor::decode_body, |anchor, written| {
        let uid = Envelope::decode(&body, anchor::MAGIC, anchor::BODY_LEN_MAX).unwrap().uid;
        match anchor::encode_body(&uid, anchor) {
            Ok(bytes) => written.extend(bytes),
            Err(EventStoreError::LimitExceeded { .. }) => written.extend_from_slice(&body),
            Err(error) => panic!("an anchor that was read is not written: {error}"),
        }
    });
}

fn a_snapshot(input: &mut Input<'_>) {
    let (body, _) = material(input, || marker_sample(|body| snapshot::encode_body(body, &samples::snapshot(), &[5; 32])));
    exact(&body, snapshot::decode_body, |stored, written| snapshot::encode_body(written, &stored.record, &stored.hash));
}

fn a_hifi(input: &mut Input<'_>) {
    let (body, _) = material(input, || marker_sample(|body| hifi::encode_body(body, &samples::hifi(), &[5; 32])));
    exact(&body, hifi::decode_body, |stored, written| hifi::encode_body(written, &stored.record, &stored.hash));
}

fn a_dict(input: &mut Input<'_>) {
    let (body, _) = material(input, || marker_sample(|body| dict::encode_body(body, &samples::dict(), &[5; 32])));
    exact(&body, dict::decode_body, |stored, written| dict::encode_body(written, &stored.record, &stored.hash));
}

fn a_gap(input: &mut Input<'_>) {
    let (body, _) = material(input, || marker_sample(|body| gap::encode_body(body, &samples::gap(), &[5; 32])));
    exact(&body, gap::decode_body, |stored, written| gap::encode_body(written, &stored.record, &stored.hash));
}

fn marker_sample(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut body = Vec::new();
    encode(&mut body);
    body
}

/// The root takes any record, and leaves an entry out only if its lengths do not fit.
fn root(input: &mut Input<'_>) {
    let (kind, seq, previous) = (Kind(1 + input.byte() % 12), input.number(), input.array());
    let (body, _) = material(input, || marker_sample(|body| encode_entry_body(body, &samples::append(2, 3))));
    let mut hasher = RootHasher::new(&previous);
    let added = hasher.record(kind, seq, &body);
    let root = hasher.finish(7, 1);
    let mut expected = RootHasher::new(&previous);
    match (kind, hash_and_keys(&body)) {
        (Kind::ENTRY, Some((hash, keys))) => expected.entry(seq, hash, keys),
        (Kind::ENTRY, None) => assert!(!added),
        _ => assert!(added && expected.record(kind, seq, &body)),
    }
    assert_eq!(root, expected.finish(7, 1));
    if added {
        assert_ne!(root, RootHasher::new(&previous).finish(7, 1), "a record does not count");
    }
    let mut behind = RootHasher::new(&root);
    assert_eq!(hasher.finish(8, 0), behind.finish(8, 0), "a hasher goes on otherwise than a new one");
    assert!(!kind.is_record() || kind.takes_seq(Stream::Entries) <= (kind == Kind::ENTRY));
}

/// The tools that everything else is read with.
fn tools(input: &mut Input<'_>) {
    let (offset, len, asked) = (input.below(300), input.below(20), input.below(600));
    let bytes = input.take_rest();
    let first = bytes.iter().position(|byte| *byte != 0);
    assert_eq!(is_zero(bytes), first.is_none());
    match (check_zeros(bytes, offset), first) {
        (Ok(()), None) => {}
        (Err(FormatError::Damaged { offset: found, .. }), Some(first)) => assert_eq!(found, (offset + first) as u64),
        (result, first) => panic!("{result:?} where the first byte that is not zero is {first:?}"),
    }
    assert_eq!(check_len(bytes, asked).is_ok(), bytes.len() == asked);
    let mut reader = Reader::new(bytes);
    let taken = reader.take(asked);
    assert_eq!(taken.is_some(), asked <= bytes.len());
    assert_eq!(taken.map_or(0, <[u8]>::len) + reader.rest().len(), bytes.len());
    let place = Field::first("before", offset).then("place", len);
    let there = bytes.get(offset..offset + len);
    assert_eq!(place.slice(bytes).ok(), there);
    assert_eq!(place.zeros(bytes).is_ok(), there.is_some_and(|there| there.iter().all(|byte| *byte == 0)));
    assert_eq!(place.magic(bytes, b"\0\xFF").is_ok(), there == Some(b"\0\xFF"));
    let word = Field::first("before", offset).then("word", 4);
    let value = bytes.get(offset..offset + 4).map(|word| u32::from_le_bytes(word.try_into().unwrap()));
    assert_eq!(word.u32(bytes).ok(), value);
    assert_eq!(word.crc(bytes, 7).is_ok(), value == Some(7));
    assert_eq!(word.version(bytes).is_ok(), value == Some(1));
    assert_eq!(word.len_within(bytes, asked).ok(), value.map(|value| value as usize).filter(|value| *value <= asked));
}
