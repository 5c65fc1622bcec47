//! How a payload is shown: decoded where it can be, and never dropped where it cannot.

mod msgpack;

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;
use serde_json::value::RawValue;

use super::numbers::Numbers;
use super::object::Object;
use super::text::{escaped, escaped_json, is_printable};
use crate::input::compact;

/// How many arrays and objects may stand within each other in a payload that is shown as JSON. The line's own object is one
/// more, and many readers, `serde_json` among them, refuse more than 127.
const LEVELS_MAX: usize = 126;

/// The form that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PayloadForm {
    /// JSON, else a `MessagePack` map or array as JSON, else printable text, else base64
    Auto,
    /// JSON; what is none is shown in base64, with the reason
    Json,
    /// `MessagePack` as JSON; what is none is shown in base64, with the reason
    Msgpack,
    /// Text, whatever characters it holds; what is not UTF-8 is shown in base64, with the reason
    Text,
    /// Two hexadecimal digits a byte
    Hex,
    /// Not at all
    None,
}

/// A payload in the form in which it is shown.
#[derive(Debug, PartialEq, Eq)]
pub enum Shown<'a> {
    /// It is JSON; without the space between its tokens, so that it stands on one line.
    Json(String),
    /// It was `MessagePack`, and this is the same value in JSON.
    Msgpack(String),
    /// It is text; a terminal takes all of it as text only once it is escaped.
    Text(&'a str),
    /// It is shown in base64, because nothing else fits.
    Base64(String),
    /// It is shown in base64, because it is not what was asked for.
    Undecoded {
        /// The bytes in base64.
        base64: String,
        /// Why they are not what was asked for.
        reason: String,
    },
    /// It is shown in hexadecimal.
    Hex(String),
    /// It is not shown.
    Nothing,
}

impl<'a> Shown<'a> {
    /// What `form` makes of `payload`.
    pub fn of(payload: &'a [u8], form: PayloadForm, numbers: Numbers) -> Self {
        let undecoded = |reason| Self::Undecoded { base64: STANDARD.encode(payload), reason };
        match form {
            PayloadForm::Auto => Self::first_that_fits(payload, numbers),
            PayloadForm::Json => decode_json(payload).map_or_else(undecoded, Self::Json),
            PayloadForm::Msgpack => msgpack::to_json(payload, numbers).map_or_else(undecoded, Self::Msgpack),
            PayloadForm::Text => decode_text(payload).map_or_else(undecoded, Self::Text),
            PayloadForm::Hex => Self::Hex(hex(payload)),
            PayloadForm::None => Self::Nothing,
        }
    }

    fn first_that_fits(payload: &'a [u8], numbers: Numbers) -> Self {
        if let Ok(json) = decode_json(payload) {
            return Self::Json(json);
        }
        // Many a short payload is a scalar of MessagePack by chance; a map or an array to the last byte is one by intent.
        if msgpack::is_container(payload)
            && let Ok(json) = msgpack::to_json(payload, numbers)
        {
            return Self::Msgpack(json);
        }
        match std::str::from_utf8(payload) {
            Ok(text) if is_printable(text) => Self::Text(text),
            _ => Self::Base64(STANDARD.encode(payload)),
        }
    }

    /// Adds the payload to an object; the field's name says the form.
    ///
    /// # Errors
    ///
    /// Those of the output.
    pub fn write_json(&self, object: &mut Object<'_, impl Write>) -> io::Result<()> {
        match self {
            Self::Json(json) => object.json("payload", json),
            Self::Msgpack(json) => {
                object.json("payload", json)?;
                object.text("payload_encoding", "msgpack")
            }
            Self::Text(text) => object.text("payload_text", text),
            Self::Base64(base64) => object.text("payload_base64", base64),
            Self::Undecoded { base64, reason } => {
                object.text("payload_base64", base64)?;
                object.text("payload_error", reason)
            }
            Self::Hex(hex) => object.text("payload_hex", hex),
            Self::Nothing => Ok(()),
        }
    }

    /// Writes the payload as text on one line, without the line's end.
    ///
    /// # Errors
    ///
    /// Those of `output`.
    pub fn write_text(&self, output: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Json(json) | Self::Msgpack(json) => output.write_all(escaped_json(json).as_bytes()),
            Self::Text(text) => output.write_all(escaped(text).as_bytes()),
            Self::Base64(base64) => write!(output, "base64:{base64}"),
            Self::Undecoded { base64, reason } => write!(output, "base64:{base64} ({})", escaped(reason)),
            Self::Hex(hex) => write!(output, "hex:{hex}"),
            Self::Nothing => Ok(()),
        }
    }
}

/// The payload's own text, if it is JSON that its readers take: a number keeps every digit, and a member that occurs twice
/// stays twice.
fn decode_json(payload: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(payload).map_err(|error| format!("not JSON: not UTF-8 from byte {} on", error.valid_up_to() + 1))?;
    let value: &RawValue = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    // Most payloads hold too few brackets to be deep.
    let brackets = text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
    if brackets > LEVELS_MAX && levels(text) > LEVELS_MAX {
        return Err(format!("JSON whose values stand more than {LEVELS_MAX} deep within each other"));
    }
    String::from_utf8(compact(value)).map_err(|error| format!("not JSON: {error}"))
}

/// How many arrays and objects stand within each other in `json`.
fn levels(json: &str) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if in_string => {
                in_string = escaped || byte != b'"';
                escaped = !escaped && byte == b'\\';
            }
            b'"' => in_string = true,
            b'[' | b'{' => {
                open += 1;
                most = most.max(open);
            }
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
    }
    most
}

fn decode_text(payload: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(payload).map_err(|error| format!("not text: not UTF-8 from byte {} on", error.valid_up_to() + 1))
}

fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xF)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(payload: &[u8], form: PayloadForm) -> Shown<'_> {
        Shown::of(payload, form, Numbers::Plain)
    }

    fn auto(payload: &[u8]) -> Shown<'_> {
        shown(payload, PayloadForm::Auto)
    }

    fn in_text(shown: &Shown<'_>) -> String {
        let mut output = Vec::new();
        shown.write_text(&mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    fn in_json(shown: &Shown<'_>) -> String {
        let mut output = Vec::new();
        let mut object = Object::new(&mut output, Numbers::Plain);
        shown.write_json(&mut object).unwrap();
        object.end().unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn a_payload_is_shown_in_the_first_form_that_fits() {
        assert_eq!(auto(b"{ \"a\": [1.10] }"), Shown::Json(r#"{"a":[1.10]}"#.to_owned()));
        assert_eq!(auto(b"7"), Shown::Json("7".to_owned()));
        assert_eq!(auto(b"\x81\xA1a\x07"), Shown::Msgpack(r#"{"a":7}"#.to_owned()));
        assert_eq!(auto(b"8=FIX.4.4"), Shown::Text("8=FIX.4.4"));
        assert_eq!(auto(b""), Shown::Text(""));
        assert_eq!(auto(b"8=FIX.4.4\x01"), Shown::Base64("OD1GSVguNC40AQ==".to_owned()));
        assert_eq!(auto(&[0xFF, 0x00]), Shown::Base64("/wA=".to_owned()));
    }

    #[test]
    fn what_readers_of_the_line_would_refuse_for_its_depth_is_text() {
        let nested = |open: &str, close: &str, levels: usize| format!("{}{}", open.repeat(levels), close.repeat(levels));
        let arrays = nested("[", "]", LEVELS_MAX);
        assert_eq!(auto(arrays.as_bytes()), Shown::Json(arrays.clone()));
        assert!(serde_json::from_str::<serde_json::Value>(&in_json(&auto(arrays.as_bytes()))).is_ok());
        let deeper = format!("[{arrays}]");
        assert_eq!(auto(deeper.as_bytes()), Shown::Text(&deeper));
        let spaced = format!("[\n{arrays}]");
        assert_eq!(auto(spaced.as_bytes()), Shown::Base64(STANDARD.encode(&spaced)));
        assert!(
            in_json(&shown(deeper.as_bytes(), PayloadForm::Json))
                .contains("\"payload_error\":\"JSON whose values stand more than 126 deep")
        );
        let wide = format!("[\"{}\\\"{}\",{}]", "[".repeat(200), "{".repeat(200), vec!["[]"; 200].join(","));
        assert_eq!(auto(wide.as_bytes()), Shown::Json(wide.clone()), "neither brackets in text nor many beside each other are deep");
        let endless = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(auto(endless.as_bytes()), Shown::Text(&endless));
    }

    #[test]
    fn only_a_map_or_an_array_to_the_last_byte_is_taken_for_msgpack() {
        assert_eq!(auto(b"\x93\x01\x02\x03"), Shown::Msgpack("[1,2,3]".to_owned()));
        for payload in [&b"\x93\x01\x02"[..], b"\x93\x01\x02\x03\x04", b"\xC0", b"\xA3abc\x00", b"\xC4\x00"] {
            assert!(matches!(auto(payload), Shown::Base64(_)), "{payload:?}");
        }
    }

    #[test]
    fn what_is_not_as_asked_for_is_shown_with_the_reason() {
        let undecoded = shown(b"\xFF\x00", PayloadForm::Json);
        assert_eq!(in_json(&undecoded), r#"{"payload_base64":"/wA=","payload_error":"not JSON: not UTF-8 from byte 1 on"}"#);
        assert_eq!(in_text(&undecoded), "base64:/wA= (not JSON: not UTF-8 from byte 1 on)");
        let undecoded = shown(b"{\"a\":1}", PayloadForm::Msgpack);
        assert!(in_json(&undecoded).contains(r#""payload_error":"not MessagePack: "#), "{undecoded:?}");
        assert_eq!(shown(b"\xC0", PayloadForm::Msgpack), Shown::Msgpack("null".to_owned()));
    }

    #[test]
    fn the_name_of_the_field_says_the_form() {
        for (payload, form, json) in [
            (&b"[1]"[..], PayloadForm::Auto, r#"{"payload":[1]}"#),
            (b"\x91\x01", PayloadForm::Auto, r#"{"payload":[1],"payload_encoding":"msgpack"}"#),
            (b"8=FIX", PayloadForm::Auto, r#"{"payload_text":"8=FIX"}"#),
            (b"\xFF", PayloadForm::Auto, r#"{"payload_base64":"/w=="}"#),
            (b"\x0A\xFF", PayloadForm::Hex, r#"{"payload_hex":"0aff"}"#),
            (b"x", PayloadForm::None, "{}"),
        ] {
            assert_eq!(in_json(&shown(payload, form)), json);
        }
    }

    #[test]
    fn text_that_is_asked_for_may_hold_control_characters_and_is_escaped() {
        let text = shown(b"8=FIX.4.4\x019=5\x01{}", PayloadForm::Text);
        assert_eq!(in_json(&text), r#"{"payload_text":"8=FIX.4.4\u00019=5\u0001{}"}"#);
        assert_eq!(in_text(&text), "8=FIX.4.4\\u{1}9=5\\u{1}{}");
        assert_eq!(shown(b"[1]", PayloadForm::Text), Shown::Text("[1]"));
        assert_eq!(in_text(&shown(b"a\xFF", PayloadForm::Text)), "base64:Yf8= (not text: not UTF-8 from byte 2 on)");
    }

    #[test]
    fn text_says_the_form_before_the_payload() {
        assert_eq!(in_text(&auto(b"\xFF")), "base64:/w==");
        assert_eq!(in_text(&shown(b"\x0A\xFF", PayloadForm::Hex)), "hex:0aff");
        assert_eq!(in_text(&shown(b"x", PayloadForm::None)), "");
        assert_eq!(in_text(&auto(b"\x91\xA2\xC2\x9B")), r#"["\u009b"]"#);
    }
}
