//! The blocks of FORMAT.md that show the run: dumps of its files, and listings of what is in them.

use std::fmt::Write;

use super::format_text::dump;
use super::listing::Listing;
use super::run::{Files, UID, entries, run_manifest, snapshot_anchor};
use crate::format::bytes::align8;
use crate::format::frame::Kind;
use crate::format::header_page::PAGE_LEN;
use crate::format::key_index::key_hash;
use crate::format::testing::hex;
use crate::model::{AppendEntry, IndexKind};

/// A block: its name and its text.
pub(super) type Shown = (&'static str, String);

/// The frames of the segment, in their order.
const FRAMES: [&str; 7] = [
    "listing of OPEN",
    "listing of GENESIS",
    "listing of the first entry",
    "listing of the second entry",
    "listing of the first commit",
    "listing of the anchor",
    "listing of the second commit",
];

/// Every generated block, in the order of the document.
pub(super) fn generated(files: &Files) -> Vec<Shown> {
    let mut blocks = vec![
        ("dump of 00000001.seg", dump(&files.segment)),
        ("listing of the header page", listed(|listing| header_page(listing, &files.segment))),
        ("values", vectors(files)),
    ];
    blocks.extend(frames(&files.segment));
    blocks.extend([
        ("dump of WATERMARK", dump(&files.watermark)),
        ("listing of the first slot", listed(|listing| slot(listing, &files.watermark))),
        ("dump of 00000001.idx", dump(&files.sparse_index)),
        ("listing of the sparse index", listed(|listing| index(listing, &files.sparse_index, "sparse index record"))),
        ("dump of 00000001.key", dump(&files.key_index)),
        ("listing of the key index", listed(|listing| index(listing, &files.key_index, "key index record"))),
        ("dump of MANIFEST", dump(&files.sealed_manifest)),
        ("listing of the seal section", listed(|listing| seal(listing, files))),
    ]);
    blocks
}

fn listed(fill: impl FnOnce(&mut Listing)) -> String {
    let mut listing = Listing::default();
    fill(&mut listing);
    listing.text
}

fn header_page(listing: &mut Listing, file: &[u8]) {
    listing.structure("header page copy", file, 0, &[]);
    listing.gap();
    listing.structure("header page copy", file, PAGE_LEN / 2, &[]);
}

/// The listing of each frame.
fn frames(file: &[u8]) -> Vec<Shown> {
    let mut entries = entries().into_iter();
    let mut offset = PAGE_LEN;
    let mut blocks = Vec::new();
    for name in FRAMES {
        let mut listing = Listing::default();
        let body = listing.structure("frame", file, offset, &[]);
        let kind = Kind(file[offset + 12]);
        let end = listing.within(|listing| match kind {
            Kind::GENESIS => envelope(listing, file, body, &run_manifest()),
            Kind::ANCHOR => envelope(listing, file, body, &snapshot_anchor()),
            Kind::ENTRY => entry(listing, file, body, &entries.next().unwrap()),
            _ => listing.structure(&kind.to_string(), file, body, &[]),
        });
        offset = align8(end);
        listing.row(end, "padding", &file[end..offset]);
        blocks.push((name, listing.text));
    }
    assert_eq!(offset, file.len(), "the document shows every frame");
    blocks
}

fn envelope(listing: &mut Listing, file: &[u8], offset: usize, value: &impl serde::Serialize) -> usize {
    let body = listing.structure("envelope", file, offset, &[]);
    listing.within(|listing| listing.value(value, file, body))
}

fn entry(listing: &mut Listing, file: &[u8], offset: usize, append: &AppendEntry) -> usize {
    let (topic, payload_type) = (append.entry.topic.as_str().len(), append.entry.payload_type.as_str().len());
    let mut at = listing.structure("ENTRY", file, offset, &[("topic", topic), ("payload_type", payload_type)]);
    for key in &append.index_keys {
        at = listing.within(|listing| listing.structure("ENTRY key", file, at, &[("key", key.key.len())]));
    }
    let payload = align8(at);
    let end = payload + append.entry.payload.len();
    listing.row(at, "padding", &file[at..payload]);
    listing.row(payload, "payload", &file[payload..end]);
    end
}

fn slot(listing: &mut Listing, file: &[u8]) {
    let mut zeros = Listing::default();
    let end = zeros.structure("watermark slot", file, 0, &[]);
    assert!(file[148..end].iter().all(|byte| *byte == 0));
    listing.text = zeros.text.lines().take_while(|line| !line.contains(" zeros ")).fold(String::new(), |text, line| text + line + "\n");
}

fn index(listing: &mut Listing, file: &[u8], record: &str) {
    let mut at = listing.structure("index header", file, 0, &[]);
    while at < file.len() {
        listing.gap();
        at = listing.structure(record, file, at, &[]);
    }
}

fn seal(listing: &mut Listing, files: &Files) {
    let end = envelope(listing, &files.sealed_manifest, align8(files.opening.len()), &files.seal);
    assert_eq!(end, files.sealed_manifest.len());
}

/// What a reader computes on the way and finds nowhere as it is, or only in part.
fn vectors(files: &Files) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| writeln!(text, "{name:40}{value}").unwrap();
    line("uid", hex(&UID.0));
    line("salt of entry segment 1", hex(&files.salt.0));
    line("root before the first commit", hex(&files.roots[0]));
    line("root behind commit 1", hex(&files.roots[1]));
    line("root behind commit 2", hex(&files.roots[2]));
    for (kind, key) in [(IndexKind::ClientOrderId, "O-1"), (IndexKind::VenueOrderId, "V-77")] {
        line(&format!("hash of the key {key} of kind {}", kind.code()), format!("{:016x}", key_hash(&files.salt, kind.code(), key)));
    }
    text
}
