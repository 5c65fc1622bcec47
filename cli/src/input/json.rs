//! JSON as text: strings out of it, and the space between its tokens taken away.
//!
//! A payload is never decoded and encoded again. Its numbers keep every digit, its objects keep the order
//! of their members, and a member that occurs twice stays twice.

use std::borrow::Cow;

use serde_json::value::RawValue;

const SHOWN_LEN_MAX: usize = 40;

/// The text of a JSON string.
///
/// # Errors
///
/// When the value is not a string, or an escape in it stands for no character.
pub fn text(value: &RawValue) -> Result<Cow<'_, str>, String> {
    let json = value.get();
    let Some(inner) = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Err(format!("expected a string, found {}", shorten(json)));
    };
    if !inner.contains('\\') {
        return Ok(Cow::Borrowed(inner));
    }
    serde_json::from_str(json).map(Cow::Owned).map_err(|_| format!("{} holds an escape that stands for no character", shorten(json)))
}

/// The value's text without the space between its tokens.
pub fn compact(value: &RawValue) -> Vec<u8> {
    let json = value.get().as_bytes();
    let mut compacted = Vec::with_capacity(json.len());
    let mut in_string = false;
    let mut escaped = false;
    for &byte in json {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            continue;
        } else {
            in_string = byte == b'"';
        }
        compacted.push(byte);
    }
    compacted
}

/// The beginning of `text`, short enough for a message.
pub fn shorten(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(SHOWN_LEN_MAX) {
        Some((end, _)) => Cow::Owned(format!("{}...", text.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn only_the_space_between_tokens_goes() {
        let value = raw("{ \"b\" : [ 1.10 , 123456789012345678901234567890 ,\t1e400 ] , \"a a\" : \" \\\" x \\\\\" , \"a a\" : { } }");
        let compacted = String::from_utf8(compact(&value)).unwrap();
        assert_eq!(compacted, r#"{"b":[1.10,123456789012345678901234567890,1e400],"a a":" \" x \\","a a":{}}"#);
    }

    #[test]
    fn a_value_that_is_compact_stays_as_it_is() {
        for json in ["null", "true", "-0", r#""""#, r#""a b\n""#, "[]", r#"{"a":[{}]}"#, "\"\u{e9}  \u{1f600}\""] {
            assert_eq!(compact(&raw(json)), json.as_bytes());
        }
    }

    #[test]
    fn a_string_is_unescaped() {
        assert_eq!(text(&raw(r#""plain""#)).unwrap(), "plain");
        assert_eq!(text(&raw(r#""a\"b\u00e9""#)).unwrap(), "a\"b\u{e9}");
        assert!(text(&raw(r#""\ud800""#)).is_err());
        assert!(text(&raw("5")).unwrap_err().contains("found 5"));
    }

    #[test]
    fn a_long_text_is_shortened_between_characters() {
        assert_eq!(shorten("short"), "short");
        assert_eq!(shorten(&"\u{e9}".repeat(41)), format!("{}...", "\u{e9}".repeat(40)));
    }
}
