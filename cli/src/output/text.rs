//! Text that a terminal takes as text.

use std::borrow::Cow;
use std::fmt::Write;

/// `text` with every character escaped that a terminal would act on or that would reorder the line.
pub fn escaped(text: &str) -> Cow<'_, str> {
    escape_with(text, |into, character| write!(into, "\\u{{{:x}}}", u32::from(character)))
}

/// The same for compact JSON, which stays JSON of the same value: such characters stand in strings only.
pub fn escaped_json(json: &str) -> Cow<'_, str> {
    escape_with(json, |into, character| character.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(into, "\\u{unit:04x}")))
}

/// Whether `text` can be shown as it is.
pub fn is_printable(text: &str) -> bool {
    // Most text is ASCII, which is judged many bytes at a time.
    text.bytes().all(|byte| matches!(byte, b' '..=b'~')) || !text.chars().any(is_active)
}

fn escape_with(text: &str, escape: impl Fn(&mut String, char) -> std::fmt::Result) -> Cow<'_, str> {
    if is_printable(text) {
        return Cow::Borrowed(text);
    }
    let mut into = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_active(character) {
            // Writing to a string does not fail.
            let _ = escape(&mut into, character);
        } else {
            into.push(character);
        }
    }
    Cow::Owned(into)
}

/// Control characters, line and paragraph separators, and what changes the direction of writing.
fn is_active(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_stays_as_it_is() {
        for text in ["", "exec.command", "\u{e9} \u{4ea4}\u{6613} \u{1f600}"] {
            assert!(matches!(escaped(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn what_a_terminal_would_act_on_is_escaped() {
        assert_eq!(escaped("\u{1b}[31mred\n"), "\\u{1b}[31mred\\u{a}");
        assert_eq!(escaped("a\u{9b}b\u{202e}c\u{7f}"), "a\\u{9b}b\\u{202e}c\\u{7f}");
    }

    #[test]
    fn escaped_json_is_the_same_value() {
        let json = "{\"a\u{7f}\":\"\u{9b}31m\u{202e}\u{feff}\"}";
        let safe = escaped_json(json);
        assert!(is_printable(&safe));
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&safe), value(json));
    }
}
