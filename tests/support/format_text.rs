//! Reading FORMAT.md: its tables, each under a caption of its own, and its fenced blocks.
//!
//! A caption is a paragraph in bold right above its table. A block has a name behind the word `text`
//! in its fence.

/// A table and what stands above it.
#[derive(Debug)]
pub struct Table {
    /// The caption without its stars; empty for a table without one.
    pub caption: String,
    /// The line of the head, from 1.
    pub line: usize,
    /// The cells of the head.
    pub head: Vec<String>,
    /// The cells below it.
    pub rows: Vec<Row>,
}

/// A row of a table.
#[derive(Debug)]
pub struct Row {
    /// Its line, from 1.
    pub line: usize,
    /// Its cells, without the blanks around them.
    pub cells: Vec<String>,
}

/// A fenced block.
#[derive(Debug)]
pub struct Block {
    /// What stands behind `text` in its fence.
    pub name: String,
    /// The line of its first line of text, from 1.
    pub line: usize,
    /// Its text, with a line feed at the end.
    pub text: String,
}

const FENCE: &str = "```";

/// The lines outside of fences, with their numbers.
fn prose(document: &str) -> Vec<(usize, &str)> {
    let mut is_fenced = false;
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(document.lines()) {
        if line.starts_with(FENCE) {
            is_fenced = !is_fenced;
        } else if !is_fenced {
            lines.push((number, line));
        }
    }
    lines
}

fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(|cell| cell.trim().to_owned()).collect())
}

/// Every table of the document.
pub fn tables(document: &str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let mut caption = String::new();
    let mut is_open = false;
    for (line, text) in prose(document) {
        let Some(cells) = cells(text) else {
            is_open = false;
            if !text.trim().is_empty() {
                let bold = text.strip_prefix("**").and_then(|text| text.strip_suffix("**"));
                bold.unwrap_or_default().clone_into(&mut caption);
            }
            continue;
        };
        if !is_open {
            is_open = true;
            tables.push(Table { caption: std::mem::take(&mut caption), line, head: cells, rows: Vec::new() });
        } else if !cells.iter().all(|cell| cell.chars().all(|sign| "-:".contains(sign))) {
            tables.last_mut().unwrap().rows.push(Row { line, cells });
        }
    }
    tables
}

/// Every block with a name.
pub fn blocks(document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in (1..).zip(document.lines()) {
        match (line.strip_prefix(FENCE), &mut open) {
            (Some(info), None) => {
                let name = info.strip_prefix("text").unwrap_or_default().trim().to_owned();
                open = Some(Block { name, line: number + 1, text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take().filter(|block| !block.name.is_empty())),
            (None, Some(block)) => block.text.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    blocks
}

/// The bytes that a block in the form of `hexdump -C` stands for.
///
/// # Panics
/// Where the block has another form.
pub fn undump(text: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    let mut repeats = false;
    for line in text.lines() {
        if line == "*" {
            repeats = true;
            continue;
        }
        let (offset, rest) = line.split_at_checked(8).unwrap();
        let offset = usize::from_str_radix(offset, 16).unwrap();
        if repeats {
            let last: Vec<u8> = bytes.last_chunk::<16>().unwrap().to_vec();
            while bytes.len() < offset {
                bytes.extend_from_slice(&last);
            }
            repeats = false;
        }
        assert_eq!(bytes.len(), offset, "the line does not follow the one before: {line}");
        let digits = rest.split('|').next().unwrap();
        bytes.extend(digits.split_whitespace().map(|pair| u8::from_str_radix(pair, 16).unwrap()));
    }
    bytes
}

/// The bytes in the form of `hexdump -C`.
pub fn dump(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    let mut before: Option<&[u8]> = None;
    let mut repeats = false;
    for (line, chunk) in bytes.chunks(16).enumerate() {
        if before == Some(chunk) {
            if !repeats {
                text.push_str("*\n");
            }
            repeats = true;
            continue;
        }
        repeats = false;
        before = Some(chunk);
        let mut digits = String::new();
        let mut signs = String::new();
        for (column, byte) in chunk.iter().enumerate() {
            write!(digits, "{}{byte:02x}", if column % 8 == 0 { "  " } else { " " }).unwrap();
            signs.push(if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '.' });
        }
        writeln!(text, "{:08x}{digits:50}  |{signs}|", line * 16).unwrap();
    }
    writeln!(text, "{:08x}", bytes.len()).unwrap();
    text
}
