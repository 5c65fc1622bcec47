//! How a payload is shown: as JSON, as text or as base64, whichever it is first.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use super::text::is_printable;
use crate::input::compact;

/// A payload in the form in which it is shown.
#[derive(Debug)]
pub enum Shown<'a> {
    /// It is JSON; without the space between its tokens, so that it stands on one line.
    Json(Box<RawValue>),
    /// It is text without control characters.
    Text(&'a str),
    /// It is anything else, in base64.
    Base64(String),
}

impl<'a> Shown<'a> {
    /// The form for `payload`.
    pub fn of(payload: &'a [u8]) -> Self {
        let base64 = || Self::Base64(STANDARD.encode(payload));
        let Ok(text) = std::str::from_utf8(payload) else { return base64() };
        let json = serde_json::from_str::<&RawValue>(text).ok().and_then(|value| String::from_utf8(compact(value)).ok());
        match json.map(RawValue::from_string) {
            Some(Ok(value)) => Self::Json(value),
            _ if is_printable(text) => Self::Text(text),
            _ => base64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_shown_in_the_first_form_that_fits() {
        assert!(matches!(Shown::of(b"{ \"a\": [1.10] }"), Shown::Json(value) if value.get() == r#"{"a":[1.10]}"#));
        assert!(matches!(Shown::of(b"7"), Shown::Json(value) if value.get() == "7"));
        assert!(matches!(Shown::of(b"8=FIX.4.4"), Shown::Text("8=FIX.4.4")));
        assert!(matches!(Shown::of(b""), Shown::Text("")));
        assert!(matches!(Shown::of(b"8=FIX.4.4\x01"), Shown::Base64(text) if text == "OD1GSVguNC40AQ=="));
        assert!(matches!(Shown::of(&[0xFF, 0x00]), Shown::Base64(text) if text == "/wA="));
    }
}
