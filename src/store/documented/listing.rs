//! The bytes of a structure field by field, as FORMAT.md shows them: where a field stands in its
//! file, its name, its bytes and, where that says more, its value.

use std::fmt::Write;

use serde::Serialize;

use super::values::record;
use crate::format::layout::structures;

const BYTES_PER_LINE: usize = 16;

/// Names of fields whose bytes are no number, whatever their length.
const NO_NUMBERS: [&str; 8] = ["header_crc", "body_crc", "crc", "tag", "reserved", "hash", "magic", "padding"];
/// Names of fields that are text.
const TEXTS: [&str; 5] = ["magic", "topic", "payload_type", "payload", "key"];

/// A listing that is being written.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) text: String,
    /// How deep what is listed lies in other structures.
    depth: usize,
}

impl Listing {
    /// A field.
    pub(super) fn row(&mut self, offset: usize, name: &str, bytes: &[u8]) {
        let note = note(name, bytes);
        let depth = self.depth;
        let mut lines = bytes.chunks(BYTES_PER_LINE).peekable();
        let mut line_of = |offset: usize, name: &str, digits: &str, note: &str| {
            let name = format!("{:indent$}{name}", "", indent = 2 * depth);
            let line = format!("{offset:6x}  {name:41} {digits:48} {note}");
            writeln!(self.text, "{}", line.trim_end()).unwrap();
        };
        let (mut at, mut name) = (offset, name);
        while let Some(line) = lines.next() {
            let digits: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
            line_of(at, name, &digits.join(" "), if lines.peek().is_none() { &note } else { "" });
            at += line.len();
            name = "";
        }
    }

    /// The fields of a structure of the layout, as far as they have bytes. `varying` tells the lengths of those that vary.
    pub(super) fn structure(&mut self, name: &str, file: &[u8], offset: usize, varying: &[(&str, usize)]) -> usize {
        let structure = structures().iter().find(|structure| structure.name == name).unwrap();
        let mut at = offset;
        for field in structure.fields {
            let told = varying.iter().find(|(name, _)| *name == field.name).map(|(_, len)| *len);
            let len = if field.len == 0 { told.unwrap_or_default() } else { field.len };
            self.row(at, field.name, &file[at..at + len]);
            at += len;
        }
        at
    }

    /// The fields of a value.
    pub(super) fn value<T: Serialize>(&mut self, value: &T, file: &[u8], offset: usize) -> usize {
        let mut at = offset;
        for leaf in record(value).leaves {
            assert_eq!(file[at..at + leaf.bytes.len()], leaf.bytes[..], "{} is written in another way", leaf.path);
            self.row(at, &leaf.path, &leaf.bytes);
            at += leaf.bytes.len();
        }
        at
    }

    /// Lists what lies within the structure that was just begun.
    pub(super) fn within<T>(&mut self, fill: impl FnOnce(&mut Self) -> T) -> T {
        self.depth += 1;
        let filled = fill(self);
        self.depth -= 1;
        filled
    }

    /// A blank line.
    pub(super) fn gap(&mut self) {
        self.text.push('\n');
    }
}

fn note(name: &str, bytes: &[u8]) -> String {
    if TEXTS.contains(&name) {
        return format!("{:?}", String::from_utf8_lossy(bytes));
    }
    if NO_NUMBERS.contains(&name) || !matches!(bytes.len(), 1 | 2 | 4 | 8) {
        return String::new();
    }
    bytes.iter().rev().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte)).to_string()
}
