//! The root: a hash chain over everything that a stream holds, one link per commit.
//!
//! Commit number and count come last in a link, so that a writer can hash records before it knows how
//! many there will be, and a reader in one pass. OPEN and GENESIS are not records: OPEN repeats what the
//! chain already fixes, and the opening manifest is what the chain begins with.

use blake3::Hasher;

use super::bytes::len_u32;
use super::entry;
use super::field::{Field, covers};
use super::frame::Kind;
use super::salt::Uid;

const KIND: Field = Field::first("kind", 1);
const SEQ: Field = KIND.then("seq", 8);
const ENTRY_HASH: Field = SEQ.then("entry_hash", 32);
const KEYS_LEN: Field = ENTRY_HASH.then("keys_len", 4);
const KEYS: Field = KEYS_LEN.then("keys", 0);

/// What goes into the root for an entry. It is hashed and not stored.
pub(crate) const ENTRY_FIELDS: &[Field] = &[KIND, SEQ, ENTRY_HASH, KEYS_LEN, KEYS];

const BODY_LEN: Field = SEQ.then("body_len", 4);
const BODY: Field = BODY_LEN.then("body", 0);

/// What goes into the root for a record of any other kind. It is hashed and not stored.
pub(crate) const RECORD_FIELDS: &[Field] = &[KIND, SEQ, BODY_LEN, BODY];

const ENTRY_HEAD_LEN: usize = 45;
const RECORD_HEAD_LEN: usize = 13;

const _: () = {
    assert!(covers(ENTRY_FIELDS, ENTRY_HEAD_LEN));
    assert!(covers(RECORD_FIELDS, RECORD_HEAD_LEN));
};

/// The domain of the root before the first commit.
pub(crate) const DOMAIN_ZERO: &str = "tapelog/root-0/v1";
/// The domain of the root after a commit.
pub(crate) const DOMAIN: &str = "tapelog/root/v1";

/// The root before the first commit of a stream with this opening section.
pub(crate) fn root_zero(uid: &Uid, opening: &[u8]) -> [u8; 32] {
    let mut hasher = Hasher::new();
    hasher.update(DOMAIN_ZERO.as_bytes());
    hasher.update(&uid.0);
    hasher.update(opening);
    hasher.finalize().into()
}

/// Computes one root after the other.
///
/// What is added is gathered and hashed in large pieces: over many at once the hash function is several times as fast.
#[derive(Debug, Clone)]
pub(crate) struct RootHasher {
    hasher: Hasher,
    gathered: Vec<u8>,
}

/// How much is gathered, in bytes, before it is hashed.
const GATHERED_LEN_MAX: usize = 16 << 10;

impl RootHasher {
    /// A hasher for the link behind `previous`.
    pub(crate) fn new(previous: &[u8; 32]) -> Self {
        let mut this = Self { hasher: Hasher::new(), gathered: Vec::new() };
        this.begin(previous);
        this
    }

    /// Forgets the link so far and begins the one behind `previous`.
    pub(crate) fn restart(&mut self, previous: &[u8; 32]) {
        self.hasher.reset();
        self.gathered.clear();
        self.begin(previous);
    }

    /// Adds a record. `false`, with nothing added, for an entry whose lengths do not fit its body.
    #[inline]
    pub(crate) fn record(&mut self, kind: Kind, seq: u64, body: &[u8]) -> bool {
        if kind == Kind::ENTRY {
            let Some((entry_hash, keys)) = entry::hash_and_keys(body) else { return false };
            self.entry(seq, entry_hash, keys);
        } else {
            let mut head = [0; RECORD_HEAD_LEN];
            KIND.put(&mut head, &[kind.0]);
            SEQ.put(&mut head, &seq.to_le_bytes());
            BODY_LEN.put(&mut head, &len_u32(body.len()).to_le_bytes());
            self.add(&head);
            self.add(body);
        }
        true
    }

    /// Adds an entry by what the root covers of it: its hash and its key section.
    #[inline]
    pub(crate) fn entry(&mut self, seq: u64, entry_hash: &[u8; 32], keys: &[u8]) {
        let mut head = [0; ENTRY_HEAD_LEN];
        KIND.put(&mut head, &[Kind::ENTRY.0]);
        SEQ.put(&mut head, &seq.to_le_bytes());
        ENTRY_HASH.put(&mut head, entry_hash);
        KEYS_LEN.put(&mut head, &len_u32(keys.len()).to_le_bytes());
        self.add(&head);
        self.add(keys);
    }

    /// The root after the records that were added. The hasher goes on with the link behind it.
    pub(crate) fn finish(&mut self, commit_no: u64, count: u32) -> [u8; 32] {
        self.add(&commit_no.to_le_bytes());
        self.add(&count.to_le_bytes());
        self.hasher.update(&self.gathered);
        let root = self.hasher.finalize().into();
        self.restart(&root);
        root
    }

    fn begin(&mut self, previous: &[u8; 32]) {
        self.add(DOMAIN.as_bytes());
        self.add(previous);
    }

    #[inline]
    fn add(&mut self, bytes: &[u8]) {
        if self.gathered.len() + bytes.len() > GATHERED_LEN_MAX {
            self.hasher.update(&self.gathered);
            self.gathered.clear();
            if bytes.len() > GATHERED_LEN_MAX {
                self.hasher.update(bytes);
                return;
            }
        }
        self.gathered.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::testing::{UID, for_each_truncation, hex};

    /// A body with this hash, topic and keys, and no payload type and payload.
    fn entry_body(hash: [u8; 32], topic: &[u8], keys: &[u8]) -> Vec<u8> {
        let mut body = hash.to_vec();
        body.resize(entry::FIXED_LEN, 0);
        entry::KEYS_LEN.put(&mut body, &len_u32(keys.len()).to_le_bytes());
        entry::TOPIC_LEN.put(&mut body, &len_u32(topic.len()).to_le_bytes());
        body.extend_from_slice(topic);
        body.extend_from_slice(keys);
        body
    }

    #[test]
    fn the_first_roots_are_the_hashes_of_their_inputs() {
        let zero = root_zero(&UID, b"opening");
        let mut input = b"tapelog/root-0/v1".to_vec();
        input.extend_from_slice(&UID.0);
        input.extend_from_slice(b"opening");
        assert_eq!(&zero, blake3::hash(&input).as_bytes());

        let mut hasher = RootHasher::new(&zero);
        assert!(hasher.record(Kind::ENTRY, 1, &entry_body([7; 32], b"topic", b"keys")));
        assert!(hasher.record(Kind::ANCHOR, 1, b"anchor"));
        let one = hasher.finish(1, 2);
        let mut input = b"tapelog/root/v1".to_vec();
        input.extend_from_slice(&zero);
        input.extend_from_slice(&[3, 1, 0, 0, 0, 0, 0, 0, 0]);
        input.extend_from_slice(&[7; 32]);
        input.extend_from_slice(&[4, 0, 0, 0]);
        input.extend_from_slice(b"keys");
        input.extend_from_slice(&[5, 1, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0]);
        input.extend_from_slice(b"anchor");
        input.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(&one, blake3::hash(&input).as_bytes());

        assert_eq!(hex(&zero), "75ea2b5a2b5fc79225ad3ca95b070e0c80278d78904989a0a54eea19393a88f5");
        assert_eq!(hex(&one), "2fc1d7564dd4e99463a0534d3fbda53b2b680a7922a278a99ec9a34dfdbf5dff");
    }

    #[test]
    fn a_hasher_goes_on_where_a_new_one_would_begin() {
        let mut hasher = RootHasher::new(&[1; 32]);
        hasher.record(Kind::SNAPSHOT, 1, b"a");
        let first = hasher.finish(1, 1);
        hasher.record(Kind::SNAPSHOT, 2, b"b");
        let mut other = RootHasher::new(&first);
        other.record(Kind::SNAPSHOT, 2, b"b");
        assert_eq!(hasher.finish(2, 1), other.finish(2, 1));
    }

    #[test]
    fn a_restarted_hasher_has_forgotten_what_came_before() {
        let mut hasher = RootHasher::new(&[1; 32]);
        hasher.record(Kind::SNAPSHOT, 1, b"a");
        hasher.restart(&[2; 32]);
        assert_eq!(hasher.finish(1, 0), RootHasher::new(&[2; 32]).finish(1, 0));
    }

    #[test]
    fn everything_that_matters_changes_the_root() {
        let root = |previous: u8, kind: Kind, seq: u64, body: &[u8], commit_no: u64, count: u32| {
            let mut hasher = RootHasher::new(&[previous; 32]);
            assert!(hasher.record(kind, seq, body));
            hasher.finish(commit_no, count)
        };
        let entry = entry_body([7; 32], b"topic", b"keys");
        let roots = [
            root(1, Kind::ENTRY, 1, &entry, 1, 1),
            root(2, Kind::ENTRY, 1, &entry, 1, 1),
            root(1, Kind(77), 1, &entry, 1, 1),
            root(1, Kind(78), 1, &entry, 1, 1),
            root(1, Kind::ENTRY, 2, &entry, 1, 1),
            root(1, Kind::ENTRY, 1, &entry, 2, 1),
            root(1, Kind::ENTRY, 1, &entry, 1, 2),
            root(1, Kind::ENTRY, 1, &entry_body([8; 32], b"topic", b"keys"), 1, 1),
            root(1, Kind::ENTRY, 1, &entry_body([7; 32], b"topic", b"keyt"), 1, 1),
        ];
        for (index, root) in roots.iter().enumerate() {
            assert!(!roots[..index].contains(root), "variant {index} has the root of an earlier one");
        }
    }

    #[test]
    fn an_entry_whose_lengths_do_not_fit_adds_nothing() {
        let mut hasher = RootHasher::new(&[1; 32]);
        let mut body = entry_body([7; 32], b"topic", b"keys");
        for_each_truncation(&body, |short| assert!(!hasher.record(Kind::ENTRY, 1, short)));
        entry::TOPIC_LEN.put(&mut body, &u32::MAX.to_le_bytes());
        assert!(!hasher.record(Kind::ENTRY, 1, &body));
        assert_eq!(hasher.finish(1, 0), RootHasher::new(&[1; 32]).finish(1, 0));
    }
}
