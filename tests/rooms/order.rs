//! The rules about what a room may do.

use std::fmt;

use super::scan::{CodePath, Source};

/// The rooms from the ground up: each may import from those before it.
const ROOMS: [&str; 16] = [
    "seeded_bug",
    "observe",
    "error",
    "limits",
    "model",
    "format",
    "io",
    "segment",
    "store",
    "writer",
    "capture",
    "reader",
    "verify",
    "lifecycle",
    "retention",
    "fuzzing",
];

/// The parts of the store from the ground up; those of one line may import from each other.
const STORE_PARTS: [&[&str]; 5] = [
    &["encoded_batch", "event_store", "marker_backend", "rules", "memory", "memory_marker"],
    &["run_files"],
    &["reading"],
    &["recovery"],
    &["segment"],
];

/// Rooms that do not know each other although one stands before the other: importer and imported.
const STRANGERS: [(&str, &str); 1] = [("io", "format")];

/// The one room that touches files.
const FILE_ROOM: &str = "io";
/// What touches files.
const FILE_PATHS: [&[&str]; 2] = [&["std", "fs"], &["rustix", "fs"]];
/// The files that may hold `unsafe`.
const UNSAFE_FILES: [&str; 1] = ["io/mmap.rs"];
/// Most lines of code that a source file may have.
pub const CODE_LINES_MAX: usize = 500;

/// A rule that is broken, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Breach {
    pub file: String,
    pub line: usize,
    pub rule: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "src/{}:{}: {}", self.file, self.line, self.rule)
    }
}

/// Names that a room's `mod.rs` or `lib.rs` gives to what lies deeper.
#[derive(Debug, Default)]
pub struct Facades {
    library: Vec<(String, Vec<String>)>,
    store: Vec<(String, Vec<String>)>,
}

impl Facades {
    /// The names given in `lib.rs` and in `store/mod.rs`.
    pub fn new(library: &Source, store: &Source) -> Self {
        Self { library: library.exports(), store: store.exports() }
    }

    /// The path from the crate's root of what `path`, which is one from the root, stands for.
    fn resolve(&self, path: &[String]) -> Vec<String> {
        let mut path = path.to_vec();
        if let Some(first) = path.first().cloned()
            && let Some((_, target)) = self.library.iter().find(|(name, _)| *name == first)
            && !ROOMS.contains(&first.as_str())
        {
            path.clone_from(target);
        }
        if let [room, name, ..] = path.as_slice()
            && room == "store"
            && part_rank(name).is_none()
            && let Some((_, target)) = self.store.iter().find(|(given, _)| given == name)
        {
            path = std::iter::once("store".to_owned()).chain(target.iter().cloned()).collect();
        }
        path
    }
}

/// Every rule that the file breaks. `file` is its path within `src`.
pub fn breaches(file: &str, source: &Source, facades: &Facades) -> Vec<Breach> {
    let mut found = Vec::new();
    let mut breach = |line: usize, rule: String| found.push(Breach { file: file.to_owned(), line, rule });
    let module = module_of(file);
    let room = module.first().map(String::as_str);
    if let Some(room) = room
        && !ROOMS.contains(&room)
    {
        breach(1, format!("the room {room} has no place in the order of rooms"));
        return found;
    }
    for path in source.paths() {
        if room != Some(FILE_ROOM) && FILE_PATHS.iter().any(|files| path.starts_with(files)) {
            breach(path.line, format!("only the room {FILE_ROOM} may name {}", path.segments.join("::")));
        }
        if let (Some(_), Some(target)) = (room, from_root(&module, &path))
            && let Some(rule) = broken_order(&module, &facades.resolve(&target))
        {
            breach(path.line, rule);
        }
    }
    if !UNSAFE_FILES.contains(&file) {
        for line in source.lines_with_keyword("unsafe") {
            breach(line, format!("only {} may hold unsafe code", UNSAFE_FILES.join(", ")));
        }
    }
    let lines = source.code_lines();
    if lines > CODE_LINES_MAX {
        breach(lines, format!("{lines} lines of code, and a file has at most {CODE_LINES_MAX}: ask whether it is two things"));
    }
    found
}

/// The module that a file holds: the names from the crate's root.
pub fn module_of(file: &str) -> Vec<String> {
    let path = file.strip_suffix(".rs").unwrap_or(file);
    let path = path.strip_suffix("/mod").unwrap_or(path);
    if path == "lib" { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
}

/// A path of this crate from its root; none for a path of another crate.
fn from_root(module: &[String], path: &CodePath) -> Option<Vec<String>> {
    let (first, mut rest) = path.segments.split_first()?;
    let mut base = match first.as_str() {
        "crate" => return Some(rest.to_vec()),
        "self" => module.to_vec(),
        "super" => module.split_last()?.1.to_vec(),
        _ => return None,
    };
    while let Some((next, behind)) = rest.split_first()
        && next == "super"
    {
        base.pop();
        rest = behind;
    }
    base.extend_from_slice(rest);
    Some(base)
}

fn room_rank(room: &str) -> Option<usize> {
    ROOMS.iter().position(|known| *known == room)
}

fn part_rank(part: &str) -> Option<usize> {
    STORE_PARTS.iter().position(|parts| parts.contains(&part))
}

fn broken_order(module: &[String], target: &[String]) -> Option<String> {
    let (room, wanted) = (module.first()?, target.first()?);
    let Some(target_rank) = room_rank(wanted) else {
        return Some(format!("cannot tell the room of crate::{}", target.join("::")));
    };
    if room == wanted {
        return broken_order_in_store(module, target);
    }
    if STRANGERS.contains(&(room.as_str(), wanted.as_str())) {
        return Some(format!("{room} and {wanted} do not know each other, and this imports crate::{}", target.join("::")));
    }
    (room_rank(room)? < target_rank)
        .then(|| format!("the room {room} stands before {wanted} and may not import crate::{}", target.join("::")))
}

fn broken_order_in_store(module: &[String], target: &[String]) -> Option<String> {
    // The room's own mod.rs puts its parts together.
    let [room, part, ..] = module else { return None };
    if room != "store" {
        return None;
    }
    let [_, wanted, ..] = target else {
        return Some("a part of the store names the part that it imports from, and not the store".to_owned());
    };
    let (Some(rank), Some(target_rank)) = (part_rank(part), part_rank(wanted)) else {
        let unknown = if part_rank(part).is_none() { part } else { wanted };
        return Some(format!("store::{unknown} has no place in the order of the store's parts"));
    };
    (rank < target_rank).then(|| format!("store::{part} stands before store::{wanted} and may not import crate::{}", target.join("::")))
}
