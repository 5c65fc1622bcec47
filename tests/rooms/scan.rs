//! Reading Rust source well enough to tell its paths, its code lines and its keywords.
//!
//! Comments, texts and everything under `#[cfg(test)]` are told apart from the code first, so that a
//! path in a comment or in a test is none.

use std::ops::Range;

/// What a character of a source file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Code,
    Comment,
    Text,
    Test,
}

/// A source file, taken apart.
#[derive(Debug)]
pub struct Source {
    chars: Vec<char>,
    classes: Vec<Class>,
    /// The modules in files of their own that are declared for tests only.
    pub test_modules: Vec<String>,
}

/// A path as the code names it, a `use` tree taken apart into its leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodePath {
    /// The line, from 1.
    pub line: usize,
    /// The segments, the first of which may be `crate`, `super` or `self`.
    pub segments: Vec<String>,
}

impl CodePath {
    /// Whether the path begins with these segments.
    pub fn starts_with(&self, segments: &[&str]) -> bool {
        self.segments.len() >= segments.len() && self.segments.iter().zip(segments).all(|(found, wanted)| found == wanted)
    }
}

impl Source {
    /// Takes a file apart.
    pub fn parse(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let mut classes = classify(&chars);
        let test_modules = mark_tests(&chars, &mut classes);
        Self { chars, classes, test_modules }
    }

    /// How many lines hold code outside of tests.
    pub fn code_lines(&self) -> usize {
        let mut lines = 0;
        let mut has_code = false;
        for (character, class) in self.chars.iter().zip(&self.classes) {
            if *character == '\n' {
                lines += usize::from(has_code);
                has_code = false;
            } else {
                has_code |= matches!(class, Class::Code | Class::Text) && !character.is_whitespace();
            }
        }
        lines + usize::from(has_code)
    }

    /// The lines in which a keyword stands, in tests as well.
    pub fn lines_with_keyword(&self, keyword: &str) -> Vec<usize> {
        let tokens = tokens(&self.chars, |index| matches!(self.classes[index], Class::Code | Class::Test));
        tokens.iter().filter(|token| token.text == keyword).map(|token| token.line).collect()
    }

    /// Every path outside of tests.
    pub fn paths(&self) -> Vec<CodePath> {
        let tokens = tokens(&self.chars, |index| self.classes[index] == Class::Code);
        let mut paths = Vec::new();
        let mut index = 0;
        while index < tokens.len() {
            let begins = is_name(&tokens[index].text) && tokens.get(index + 1).is_some_and(|next| next.text == "::");
            let is_continued = index > 0 && tokens[index - 1].text == "::";
            if begins && !is_continued {
                index = read_tree(&tokens, index, &[], &mut paths);
            } else {
                index += 1;
            }
        }
        paths
    }

    /// The names that `pub use` gives to what lies elsewhere, with the path that each stands for.
    pub fn exports(&self) -> Vec<(String, Vec<String>)> {
        let tokens = tokens(&self.chars, |index| self.classes[index] == Class::Code);
        let mut exports = Vec::new();
        for (index, token) in tokens.iter().enumerate() {
            if token.text == "use" && index > 0 && (tokens[index - 1].text == "pub" || tokens[index - 1].text == ")") {
                let mut paths = Vec::new();
                read_tree(&tokens, index + 1, &[], &mut paths);
                exports.extend(paths.into_iter().filter_map(|path| Some((path.segments.last()?.clone(), path.segments))));
            }
        }
        exports
    }
}

/// Reads the path or `use` tree that begins at `index`; answers the index behind it.
fn read_tree(tokens: &[Token], mut index: usize, prefix: &[String], paths: &mut Vec<CodePath>) -> usize {
    let mut segments = prefix.to_vec();
    let line = tokens.get(index).map_or(0, |token| token.line);
    loop {
        match tokens.get(index).map(|token| token.text.as_str()) {
            Some("{") => {
                index += 1;
                while tokens.get(index).is_some_and(|token| token.text != "}") {
                    index = if tokens[index].text == "," { index + 1 } else { read_tree(tokens, index, &segments, paths) };
                }
                return index + 1;
            }
            Some(name) if is_name(name) || name == "*" => {
                segments.push(name.to_owned());
                index += 1;
            }
            // A tree that is none, as in `a::<T>()`: what was read of it is the path.
            _ => index += 1,
        }
        if tokens.get(index).is_some_and(|token| token.text == "::") {
            index += 1;
            continue;
        }
        paths.push(CodePath { line, segments });
        // A new name behind `as` is no path.
        while tokens.get(index).is_some_and(|token| token.text == "as") {
            index += 2;
        }
        return index;
    }
}

fn is_name(text: &str) -> bool {
    text.chars().next().is_some_and(|first| first.is_alphabetic() || first == '_')
}

#[derive(Debug)]
struct Token {
    line: usize,
    text: String,
}

/// Names, `::`, and every other sign by itself.
fn tokens(chars: &[char], is_code: impl Fn(usize) -> bool) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut index = 0;
    while index < chars.len() {
        let character = chars[index];
        if character == '\n' {
            line += 1;
        }
        if !is_code(index) || character.is_whitespace() {
            index += 1;
            continue;
        }
        let start = index;
        if character.is_alphanumeric() || character == '_' {
            while index < chars.len() && is_code(index) && (chars[index].is_alphanumeric() || chars[index] == '_') {
                index += 1;
            }
        } else if character == ':' && chars.get(index + 1) == Some(&':') {
            index += 2;
        } else {
            index += 1;
        }
        tokens.push(Token { line, text: chars[start..index].iter().collect() });
    }
    tokens
}

fn classify(chars: &[char]) -> Vec<Class> {
    let mut classes = vec![Class::Code; chars.len()];
    let mut index = 0;
    while index < chars.len() {
        let (class, end) = match (chars[index], chars.get(index + 1)) {
            ('/', Some('/')) => (Class::Comment, line_end(chars, index)),
            ('/', Some('*')) => (Class::Comment, block_comment_end(chars, index)),
            ('"', _) => (Class::Text, quoted_end(chars, index, '"')),
            ('\'', Some(_)) => match char_literal_end(chars, index) {
                Some(end) => (Class::Text, end),
                None => (Class::Code, index + 1),
            },
            ('r', Some('"' | '#')) if !is_inside_name(chars, index) => match raw_text_end(chars, index) {
                Some(end) => (Class::Text, end),
                None => (Class::Code, index + 1),
            },
            _ => (Class::Code, index + 1),
        };
        let end = end.min(chars.len());
        classes[index..end].fill(class);
        index = end;
    }
    classes
}

/// Whether the `r` at `index` ends a name, as in `for"`, and does not begin a raw text; `br` begins one.
fn is_inside_name(chars: &[char], index: usize) -> bool {
    let before = |back: usize| index.checked_sub(back).map(|at| chars[at]);
    let is_part = |character: Option<char>| character.is_some_and(|character| character.is_alphanumeric() || character == '_');
    let is_byte_text = before(1) == Some('b') && !is_part(before(2));
    is_part(before(1)) && !is_byte_text
}

fn line_end(chars: &[char], from: usize) -> usize {
    chars[from..].iter().position(|character| *character == '\n').map_or(chars.len(), |len| from + len)
}

fn block_comment_end(chars: &[char], from: usize) -> usize {
    let mut depth = 0;
    let mut index = from;
    while index < chars.len() {
        match (chars[index], chars.get(index + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                index += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                index += 2;
                if depth == 0 {
                    return index;
                }
            }
            _ => index += 1,
        }
    }
    chars.len()
}

fn quoted_end(chars: &[char], from: usize, quote: char) -> usize {
    let mut index = from + 1;
    while index < chars.len() && chars[index] != quote {
        index += if chars[index] == '\\' { 2 } else { 1 };
    }
    index + 1
}

/// The end of a character in quotes; none for a lifetime.
fn char_literal_end(chars: &[char], from: usize) -> Option<usize> {
    if chars[from + 1] == '\\' {
        return Some(quoted_end(chars, from, '\''));
    }
    (chars.get(from + 2) == Some(&'\'')).then_some(from + 3)
}

fn raw_text_end(chars: &[char], from: usize) -> Option<usize> {
    let hashes = chars[from + 1..].iter().take_while(|character| **character == '#').count();
    let begin = from + 1 + hashes;
    if chars.get(begin) != Some(&'"') {
        return None;
    }
    let ends_at = |at: usize| chars[at] == '"' && chars[at + 1..].iter().take(hashes).filter(|found| **found == '#').count() == hashes;
    Some((begin + 1..chars.len()).find(|at| ends_at(*at)).map_or(chars.len(), |at| at + 1 + hashes))
}

const TEST_ATTRIBUTE: &str = "#[cfg(test)]";

/// Marks every item under `#[cfg(test)]`; answers the modules in files of their own among them.
fn mark_tests(chars: &[char], classes: &mut [Class]) -> Vec<String> {
    let attribute: Vec<char> = TEST_ATTRIBUTE.chars().collect();
    let mut modules = Vec::new();
    let mut index = 0;
    while index + attribute.len() <= chars.len() {
        if classes[index] != Class::Code || chars[index..index + attribute.len()] != attribute[..] {
            index += 1;
            continue;
        }
        let item = item_range(chars, classes, index);
        let tokens = tokens(&chars[item.clone()], |at| classes[item.start + at] == Class::Code);
        let is_file = tokens.last().is_some_and(|last| last.text == ";");
        let module = tokens.windows(2).find(|pair| pair[0].text == "mod").map(|pair| pair[1].text.clone());
        modules.extend(module.filter(|_| is_file));
        for class in &mut classes[item.clone()] {
            if *class != Class::Comment {
                *class = Class::Test;
            }
        }
        index = item.end;
    }
    modules
}

/// The item that begins with the attribute at `start`, up to its closing brace or semicolon.
fn item_range(chars: &[char], classes: &[Class], start: usize) -> Range<usize> {
    let mut depth = 0;
    for index in start..chars.len() {
        if classes[index] != Class::Code {
            continue;
        }
        match chars[index] {
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => {
                depth -= 1;
                if depth == 0 && chars[index] == '}' {
                    return start..index + 1;
                }
            }
            ';' if depth == 0 => return start..index + 1,
            _ => {}
        }
    }
    start..chars.len()
}
