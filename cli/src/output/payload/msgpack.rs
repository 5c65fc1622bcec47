//! `MessagePack` as JSON of the same value.
//!
//! The bytes are hostile. They are read once from front to end, and JSON is written on the way: no value is built, so
//! that a short payload cannot ask for much memory, and members stay in their order, even those that occur twice.
//! Every value takes at least one byte, which bounds the loops whatever length is claimed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rmp::Marker;
use rmp::decode::{RmpRead, read_marker};
use serde::Serialize;

use super::super::numbers::Numbers;
use super::LEVELS_MAX;

/// The whole number up to which a double is exact.
const EXACT_MAX: u64 = 1 << 53;

/// Whether `payload` begins as a map or an array does.
pub fn is_container(payload: &[u8]) -> bool {
    payload.first().is_some_and(|byte| is_composite(Marker::from_u8(*byte)))
}

fn is_composite(marker: Marker) -> bool {
    matches!(marker, Marker::FixMap(_) | Marker::Map16 | Marker::Map32 | Marker::FixArray(_) | Marker::Array16 | Marker::Array32)
}

fn is_extension(marker: Marker) -> bool {
    let is_short = matches!(marker, Marker::FixExt1 | Marker::FixExt2 | Marker::FixExt4 | Marker::FixExt8 | Marker::FixExt16);
    is_short || matches!(marker, Marker::Ext8 | Marker::Ext16 | Marker::Ext32)
}

/// How many arrays and objects begin with it in JSON.
fn levels_of(marker: Marker) -> usize {
    match marker {
        Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => 1,
        marker if is_composite(marker) => 1,
        marker => 2 * usize::from(is_extension(marker)),
    }
}

/// The one value that `payload` is, as compact JSON.
///
/// Whole numbers keep every digit, and become strings above 2^53 where strings are asked for. Bytes are
/// `{"$base64":"..."}` and extensions `{"$ext":[type,"base64"]}`; `"NaN"`, `"inf"` and `"-inf"` stand for what JSON has no
/// number for; a key that is not text is the JSON of its value as text.
///
/// # Errors
///
/// Why it is no single value, and where.
pub fn to_json(payload: &[u8], numbers: Numbers) -> Result<String, String> {
    let mut decoder = Decoder { rest: payload, numbers, in_key: false };
    let mut json = Vec::with_capacity(payload.len());
    let end = decoder.value(0, &mut json).and_then(|()| match decoder.rest.len() {
        0 => String::from_utf8(json).map_err(|error| error.to_string()),
        left => Err(format!("{left} bytes stand behind the value")),
    });
    end.map_err(|reason| format!("not MessagePack: {reason} at byte {}", payload.len() - decoder.rest.len()))
}

struct Decoder<'a> {
    rest: &'a [u8],
    numbers: Numbers,
    /// Whether what is read becomes the text of a key, where a number needs no quotes of its own.
    in_key: bool,
}

/// Writing to a vector does not fail, and strings and numbers are always JSON; so an error here tells of neither.
fn put(value: &(impl Serialize + ?Sized), json: &mut Vec<u8>) -> Result<(), String> {
    Numbers::Plain.write(value, json).map_err(|error| error.to_string())
}

impl<'a> Decoder<'a> {
    fn value(&mut self, depth: usize, json: &mut Vec<u8>) -> Result<(), String> {
        let marker = self.marker()?;
        self.value_of(marker, depth, json)
    }

    /// Recursion goes no deeper than the bound on values within each other.
    fn value_of(&mut self, marker: Marker, depth: usize, json: &mut Vec<u8>) -> Result<(), String> {
        if depth + levels_of(marker) > LEVELS_MAX {
            return Err(format!("values stand more than {LEVELS_MAX} deep within each other"));
        }
        match marker {
            Marker::Null => put(&(), json),
            Marker::True => put(&true, json),
            Marker::False => put(&false, json),
            Marker::F32 => {
                let float = self.read(RmpRead::read_data_f32)?;
                Self::float(f64::from(float), &float, json)
            }
            Marker::F64 => {
                let float = self.read(RmpRead::read_data_f64)?;
                Self::float(float, &float, json)
            }
            Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => put(self.text(marker)?, json),
            Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => {
                let len = self.len(marker)?;
                let bytes = self.take(len)?;
                json.extend_from_slice(br#"{"$base64":"#);
                put(&STANDARD.encode(bytes), json)?;
                json.push(b'}');
                Ok(())
            }
            Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => self.array(marker, depth, json),
            Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => self.map(marker, depth, json),
            Marker::Reserved => Err("a byte that begins no value".to_owned()),
            _ => match self.whole(marker)? {
                Some(number) => self.number(number, json),
                None => self.extension(marker, json),
            },
        }
    }

    fn array(&mut self, marker: Marker, depth: usize, json: &mut Vec<u8>) -> Result<(), String> {
        json.push(b'[');
        for index in 0..self.len(marker)? {
            if index > 0 {
                json.push(b',');
            }
            self.value(depth + 1, json)?;
        }
        json.push(b']');
        Ok(())
    }

    fn map(&mut self, marker: Marker, depth: usize, json: &mut Vec<u8>) -> Result<(), String> {
        json.push(b'{');
        for index in 0..self.len(marker)? {
            if index > 0 {
                json.push(b',');
            }
            self.key(depth + 1, json)?;
            json.push(b':');
            self.value(depth + 1, json)?;
        }
        json.push(b'}');
        Ok(())
    }

    fn key(&mut self, depth: usize, json: &mut Vec<u8>) -> Result<(), String> {
        let marker = self.marker()?;
        if matches!(marker, Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32) {
            return put(self.text(marker)?, json);
        }
        if self.in_key && is_composite(marker) {
            // Each level of keys within keys would double the backslashes of those below it.
            return Err("a map or an array as a key within a key".to_owned());
        }
        let mut key = Vec::new();
        let outer = std::mem::replace(&mut self.in_key, true);
        self.value_of(marker, depth, &mut key)?;
        self.in_key = outer;
        put(&String::from_utf8_lossy(&key), json)
    }

    fn text(&mut self, marker: Marker) -> Result<&'a str, String> {
        let len = self.len(marker)?;
        let bytes = self.take(len)?;
        std::str::from_utf8(bytes).map_err(|_| "a text that is not UTF-8 ends".to_owned())
    }

    fn float(value: f64, exact: &impl Serialize, json: &mut Vec<u8>) -> Result<(), String> {
        if value.is_finite() {
            return put(exact, json);
        }
        put(
            if value.is_nan() {
                "NaN"
            } else if value > 0.0 {
                "inf"
            } else {
                "-inf"
            },
            json,
        )
    }

    fn number(&self, number: i128, json: &mut Vec<u8>) -> Result<(), String> {
        if self.numbers == Numbers::Strings && !self.in_key && number.unsigned_abs() > u128::from(EXACT_MAX) {
            return put(&number.to_string(), json);
        }
        put(&number, json)
    }

    /// The whole number that `marker` begins, if it begins one.
    fn whole(&mut self, marker: Marker) -> Result<Option<i128>, String> {
        Ok(Some(match marker {
            Marker::FixPos(number) => number.into(),
            Marker::FixNeg(number) => number.into(),
            Marker::U8 => self.read(RmpRead::read_data_u8)?.into(),
            Marker::U16 => self.read(RmpRead::read_data_u16)?.into(),
            Marker::U32 => self.read(RmpRead::read_data_u32)?.into(),
            Marker::U64 => self.read(RmpRead::read_data_u64)?.into(),
            Marker::I8 => self.read(RmpRead::read_data_i8)?.into(),
            Marker::I16 => self.read(RmpRead::read_data_i16)?.into(),
            Marker::I32 => self.read(RmpRead::read_data_i32)?.into(),
            Marker::I64 => self.read(RmpRead::read_data_i64)?.into(),
            _ => return Ok(None),
        }))
    }

    fn extension(&mut self, marker: Marker, json: &mut Vec<u8>) -> Result<(), String> {
        let len = self.len(marker)?;
        let kind = self.read(RmpRead::read_data_i8)?;
        let bytes = self.take(len)?;
        json.extend_from_slice(br#"{"$ext":"#);
        put(&(kind, STANDARD.encode(bytes)), json)?;
        json.push(b'}');
        Ok(())
    }

    /// How many bytes, elements or members follow.
    fn len(&mut self, marker: Marker) -> Result<u32, String> {
        Ok(match marker {
            Marker::FixStr(len) | Marker::FixArray(len) | Marker::FixMap(len) => len.into(),
            Marker::FixExt1 => 1,
            Marker::FixExt2 => 2,
            Marker::FixExt4 => 4,
            Marker::FixExt8 => 8,
            Marker::FixExt16 => 16,
            Marker::Str8 | Marker::Bin8 | Marker::Ext8 => self.read(RmpRead::read_data_u8)?.into(),
            Marker::Str16 | Marker::Bin16 | Marker::Ext16 | Marker::Array16 | Marker::Map16 => self.read(RmpRead::read_data_u16)?.into(),
            _ => self.read(RmpRead::read_data_u32)?,
        })
    }

    fn marker(&mut self) -> Result<Marker, String> {
        read_marker(&mut self.rest).map_err(|_| ends_early())
    }

    fn read<T, E>(&mut self, read: impl FnOnce(&mut &'a [u8]) -> Result<T, E>) -> Result<T, String> {
        read(&mut self.rest).map_err(|_| ends_early())
    }

    fn take(&mut self, len: u32) -> Result<&'a [u8], String> {
        let (taken, rest) = usize::try_from(len).ok().and_then(|len| self.rest.split_at_checked(len)).ok_or_else(ends_early)?;
        self.rest = rest;
        Ok(taken)
    }
}

fn ends_early() -> String {
    "it ends in the middle of a value".to_owned()
}

#[cfg(test)]
mod tests {
    use rmp::encode;

    use super::*;

    fn json(payload: &[u8]) -> String {
        to_json(payload, Numbers::Plain).unwrap()
    }

    fn refused(payload: &[u8]) -> String {
        to_json(payload, Numbers::Plain).unwrap_err()
    }

    fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut payload = Vec::new();
        encode(&mut payload);
        payload
    }

    #[test]
    fn a_message_with_names_becomes_an_object() {
        let payload = encoded(|into| {
            encode::write_map_len(into, 4).unwrap();
            encode::write_str(into, "type").unwrap();
            encode::write_str(into, "OrderFilled").unwrap();
            encode::write_str(into, "last_px").unwrap();
            encode::write_str(into, "1.10000").unwrap();
            encode::write_str(into, "ts_event").unwrap();
            encode::write_u64(into, 1_700_000_000_000_000_001).unwrap();
            encode::write_str(into, "tags").unwrap();
            encode::write_array_len(into, 3).unwrap();
            encode::write_nil(into).unwrap();
            encode::write_bool(into, true).unwrap();
            encode::write_sint(into, -3).unwrap();
        });
        assert_eq!(json(&payload), r#"{"type":"OrderFilled","last_px":"1.10000","ts_event":1700000000000000001,"tags":[null,true,-3]}"#);
    }

    #[test]
    fn whole_numbers_of_every_width_keep_every_digit() {
        for (payload, number) in [
            (&b"\x7F"[..], "127"),
            (b"\xE0", "-32"),
            (b"\xCC\xFF", "255"),
            (b"\xCD\xFF\xFF", "65535"),
            (b"\xCE\xFF\xFF\xFF\xFF", "4294967295"),
            (b"\xCF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", "18446744073709551615"),
            (b"\xD0\x80", "-128"),
            (b"\xD1\x80\x00", "-32768"),
            (b"\xD2\x80\x00\x00\x00", "-2147483648"),
            (b"\xD3\x80\x00\x00\x00\x00\x00\x00\x00", "-9223372036854775808"),
        ] {
            assert_eq!(json(payload), number);
        }
    }

    #[test]
    fn only_whole_numbers_that_a_double_would_round_become_strings() {
        let shown = |number: u64| to_json(&encoded(|into| encode::write_u64(into, number).unwrap()), Numbers::Strings).unwrap();
        assert_eq!(shown(1 << 53), "9007199254740992");
        assert_eq!(shown((1 << 53) + 1), "\"9007199254740993\"");
        let negative = encoded(|into| encode::write_i64(into, i64::MIN).unwrap());
        assert_eq!(to_json(&negative, Numbers::Strings).unwrap(), "\"-9223372036854775808\"");
    }

    #[test]
    fn floats_are_as_short_as_their_own_width_allows_and_what_is_no_number_is_named() {
        let f32 = |value| json(&encoded(|into| encode::write_f32(into, value).unwrap()));
        let f64 = |value| json(&encoded(|into| encode::write_f64(into, value).unwrap()));
        assert_eq!(f32(1.1), "1.1");
        assert_eq!(f64(1.1), "1.1");
        assert_eq!(f64(2.0), "2.0");
        assert_eq!(f64(-0.0), "-0.0");
        assert_eq!([f64(f64::NAN), f64(f64::INFINITY), f32(f32::NEG_INFINITY)], ["\"NaN\"", "\"inf\"", "\"-inf\""]);
    }

    #[test]
    fn bytes_and_extensions_say_what_they_are() {
        assert_eq!(json(b"\xC4\x02\xFF\x00"), r#"{"$base64":"/wA="}"#);
        assert_eq!(json(b"\xD4\xFF\x07"), r#"{"$ext":[-1,"Bw=="]}"#);
        assert_eq!(json(b"\xC7\x02\x05\xFF\x00"), r#"{"$ext":[5,"/wA="]}"#);
        assert_eq!(json(b"\xC8\x00\x01\x05\xFF"), r#"{"$ext":[5,"/w=="]}"#);
    }

    #[test]
    fn a_key_that_is_not_text_is_the_json_of_its_value() {
        assert_eq!(
            json(b"\x84\x01\xC0\xC0\xC0\xC4\x01\xFF\xC0\xC3\xC0"),
            r#"{"1":null,"null":null,"{\"$base64\":\"/w==\"}":null,"true":null}"#
        );
        assert_eq!(json(b"\x81\x81\x01\x92\x02\xA1a\xC0"), r#"{"{\"1\":[2,\"a\"]}":null}"#);
        let large = encoded(|into| {
            encode::write_map_len(into, 1).unwrap();
            encode::write_u64(into, u64::MAX).unwrap();
            encode::write_u64(into, u64::MAX).unwrap();
        });
        assert_eq!(to_json(&large, Numbers::Strings).unwrap(), r#"{"18446744073709551615":"18446744073709551615"}"#);
    }

    #[test]
    fn a_member_that_occurs_twice_stays_twice_and_in_its_place() {
        assert_eq!(json(b"\x83\xA1b\x01\xA1a\x02\xA1b\x03"), r#"{"b":1,"a":2,"b":3}"#);
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(json(b"\xA3\x1B\"\x00"), r#""\u001b\"\u0000""#);
    }

    #[test]
    fn what_is_no_single_value_is_refused_with_its_place() {
        assert_eq!(refused(b""), "not MessagePack: it ends in the middle of a value at byte 0");
        assert_eq!(refused(b"\xA3ab"), "not MessagePack: it ends in the middle of a value at byte 1");
        assert_eq!(refused(b"\x01\x02"), "not MessagePack: 1 bytes stand behind the value at byte 1");
        assert_eq!(refused(b"\x91\xC1"), "not MessagePack: a byte that begins no value at byte 2");
        assert_eq!(refused(b"\xA1\xFF"), "not MessagePack: a text that is not UTF-8 ends at byte 2");
        assert_eq!(refused(b"\x81\x81\x90\xC0\xC0"), "not MessagePack: a map or an array as a key within a key at byte 3");
    }

    #[test]
    fn a_length_that_is_claimed_costs_nothing() {
        for marker in [0xC6, 0xC9, 0xDB, 0xDD, 0xDF] {
            assert!(refused(&[marker, 0xFF, 0xFF, 0xFF, 0xFF, 0xC0]).contains("ends in the middle"), "{marker:x}");
        }
    }

    #[test]
    fn deep_nesting_is_no_danger() {
        let nested = |depth: usize, last: &[u8]| [&vec![0x91; depth], last].concat();
        assert_eq!(json(&nested(126, b"\xC0")), format!("{}null{}", "[".repeat(126), "]".repeat(126)));
        // An extension is an array within an object.
        for (depth, last) in [(125, &b"\x90"[..]), (125, b"\xC4\x00"), (124, b"\xD4\x01\x02")] {
            let line = format!("{{\"payload\":{}}}", json(&nested(depth, last)));
            assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{line}");
            assert!(refused(&nested(depth + 1, last)).contains("more than 126 deep"), "{last:?}");
        }
        assert!(refused(&nested(127, b"\xC0")).contains("more than 126 deep"));
        assert!(refused(&nested(16 << 20, b"\xC0")).contains("more than 126 deep"));
    }

    #[test]
    fn whatever_the_bytes_are_the_answer_is_json_or_a_reason() {
        let mut state: u64 = 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u8::try_from(state >> 56).unwrap()
        };
        let mut decoded = 0;
        for _ in 0..100_000 {
            let len = next() % 12;
            let payload: Vec<u8> = (0..len).map(|_| next()).collect();
            if let Ok(json) = to_json(&payload, Numbers::Plain) {
                decoded += 1;
                assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{payload:?}: {json}");
                assert!(json.len() <= 8 * payload.len() + 8, "{payload:?}: {json}");
            }
        }
        assert!(decoded > 1000, "{decoded}");
    }
}
