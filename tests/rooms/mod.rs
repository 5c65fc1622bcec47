//! The rooms of the crate: who may import from whom, who may touch files, where `unsafe` may stand
//! and how long a file may be.

mod order;
mod scan;

use std::fs;
use std::path::{Path, PathBuf};

use order::{Breach, CODE_LINES_MAX, Facades, breaches, module_of};
use scan::Source;

/// Every source file of the library with its path within `src`.
fn sources() -> Vec<(String, Source)> {
    fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let name = |path: &Path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
    files.iter().map(|path| (name(path), Source::parse(&fs::read_to_string(path).unwrap()))).collect()
}

/// The files that are compiled for tests only, because the `mod` of one of their parents says so.
fn is_for_tests(file: &str, sources: &[(String, Source)]) -> bool {
    let module = module_of(file);
    sources.iter().any(|(parent, source)| {
        let base = module_of(parent);
        module.starts_with(&base) && module.get(base.len()).is_some_and(|name| source.test_modules.contains(name))
    })
}

fn facades(sources: &[(String, Source)]) -> Facades {
    let file = |name: &str| &sources.iter().find(|(file, _)| file == name).unwrap().1;
    Facades::new(file("lib.rs"), file("store/mod.rs"))
}

#[test]
fn every_room_imports_only_from_the_rooms_below_it() {
    let sources = sources();
    assert!(sources.len() > 50, "only {} source files were found", sources.len());
    let facades = facades(&sources);
    let broken: Vec<String> = sources
        .iter()
        .filter(|(file, _)| !is_for_tests(file, &sources))
        .flat_map(|(file, source)| breaches(file, source, &facades))
        .map(|breach| breach.to_string())
        .collect();
    assert!(broken.is_empty(), "{} rules are broken:\n{}", broken.len(), broken.join("\n"));
}

/// The rules that a file with this text breaks, as line and first words.
fn checked(file: &str, text: &str) -> Vec<(usize, String)> {
    let library = Source::parse("pub mod error;\npub use error::EventStoreError;\npub use store::MemoryBackend;\n");
    let store = Source::parse("pub use memory::MemoryBackend;\npub use segment::{SegmentBackend, SegmentStats as Stats};\n");
    let facades = Facades::new(&library, &store);
    let short = |breach: Breach| (breach.line, breach.rule);
    breaches(file, &Source::parse(text), &facades).into_iter().map(short).collect()
}

fn lines(file: &str, text: &str) -> Vec<usize> {
    checked(file, text).into_iter().map(|(line, _)| line).collect()
}

#[test]
fn an_import_from_above_is_found_however_it_is_written() {
    assert_eq!(lines("format/frame.rs", "use crate::limits::A;\nuse crate::io::File;\n"), [2]);
    assert_eq!(lines("format/frame.rs", "use crate::{\n    limits::A,\n    segment::{self, walk::Frame},\n};\n"), [3, 3]);
    assert_eq!(lines("segment/walk.rs", "fn f() {\n    let x = crate::store::rules::check(1);\n}\n"), [2]);
    assert_eq!(lines("segment/walk.rs", "use super::super::store::rules;\n"), [1]);
    assert_eq!(lines("segment/walk.rs", "fn f(x: &crate::MemoryBackend) -> crate::EventStoreError {}\n"), [1]);
    assert_eq!(lines("store/segment/live.rs", "use crate::segment::walk::Frame;\nuse super::latch::Latch;\n"), [0; 0]);
}

#[test]
fn the_parts_of_the_store_have_an_order_of_their_own() {
    assert_eq!(lines("store/reading/handles.rs", "use crate::store::run_files::RunIdentity;\nuse crate::store::segment::live;\n"), [2]);
    assert_eq!(lines("store/reading/handles.rs", "use crate::store::{MemoryBackend, SegmentBackend};\n"), [1]);
    assert_eq!(lines("store/rules.rs", "use super::memory::MemoryBackend;\nuse super::recovery::judge;\n"), [2]);
    assert_eq!(lines("store/recovery/judge.rs", "use crate::store;\n"), [1]);
    assert_eq!(lines("store/novelty.rs", "use crate::store::rules;\n"), [1]);
    assert_eq!(lines("lifecycle/sweep.rs", "use crate::store::{SegmentBackend, EventStore};\n"), [0; 0]);
}

#[test]
fn io_and_format_do_not_know_each_other() {
    assert_eq!(lines("io/os.rs", "use crate::format::frame;\n"), [1]);
    assert_eq!(lines("format/frame.rs", "use crate::io::File;\n"), [1]);
}

#[test]
fn a_room_or_a_name_without_a_place_is_a_breach() {
    assert_eq!(lines("novelty/mod.rs", "fn f() {}\n"), [1]);
    assert_eq!(lines("store/rules.rs", "fn f(x: crate::Novelty) {}\n"), [1]);
}

#[test]
fn only_the_room_of_files_names_them() {
    assert_eq!(lines("segment/spare.rs", "use std::io;\nuse std::{fs, path::Path};\nfn f() { std::fs::read(\"x\"); }\n"), [2, 3]);
    assert_eq!(lines("store/rules.rs", "use rustix::fs::open;\n"), [1]);
    assert_eq!(lines("io/os.rs", "use std::fs;\nuse std::os::unix::fs::FileExt;\n"), [0; 0]);
}

#[test]
fn unsafe_stands_in_one_file_only() {
    assert_eq!(lines("io/mmap.rs", "fn f() { unsafe { g() } }\n"), [0; 0]);
    let text = "#![deny(unsafe_code)]\n// unsafe in a comment\nfn f() { unsafe { g(\"unsafe\") } }\n#[cfg(test)]\nmod tests {\n    unsafe fn g() {}\n}\n";
    assert_eq!(lines("io/os.rs", text), [3, 6]);
}

#[test]
fn a_file_over_the_bound_of_code_lines_is_a_breach_and_tests_and_comments_do_not_count() {
    let code = "fn f() {}\n".repeat(CODE_LINES_MAX);
    let rest = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", "// a comment\n\n".repeat(100), "    fn g() {}\n".repeat(100));
    assert_eq!(lines("limits.rs", &format!("{code}{rest}")), [0; 0]);
    let broken = checked("limits.rs", &format!("{code}fn h() {{}}\n{rest}"));
    assert_eq!(broken.len(), 1);
    assert!(broken[0].1.contains("501 lines"), "{}", broken[0].1);
}

#[test]
fn what_is_no_code_breaks_no_rule() {
    let text = r##"
//! crate::store::rules
/* crate::store /* nested */ crate::store::rules */
const A: &str = "crate::store::rules \" std::fs";
const B: &str = r#"std::fs " crate::store"#;
const C: char = '"'; const D: char = '\''; fn f<'a>(x: &'a str) {}
#[cfg(test)]
mod tests {
    use crate::store::rules;
    fn g() { std::fs::read("x"); }
}
#[cfg(test)]
use crate::store::memory;
#[cfg_attr(not(test), expect(dead_code))]
mod real;
#[cfg(test)]
mod helper;
"##;
    assert_eq!(checked("format/frame.rs", text), []);
    assert_eq!(Source::parse(text).test_modules, ["helper"]);
    assert_eq!(lines("format/frame.rs", &format!("{text}use crate::store::rules;\n")), [18]);
}

#[test]
fn a_breach_names_file_line_and_rule() {
    let breach = breaches("format/frame.rs", &Source::parse("\nuse crate::io::File;\n"), &Facades::default());
    assert_eq!(breach.len(), 1);
    assert_eq!(breach[0].to_string(), "src/format/frame.rs:2: the room format stands before io and may not import crate::io::File");
}
