//! A value as MANIFEST and anchors hold it: its fields with their types and their bytes, in order.
//!
//! The types come from the value's own serialisation, so that what FORMAT.md says of them is compared
//! with what is written and not with a second description.

use std::fmt;

use serde::ser::{self, Serialize};

/// A field that is written in one piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) path: String,
    pub(super) bytes: Vec<u8>,
}

/// What a value is made of.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) leaves: Vec<Leaf>,
    /// Every structure in it: its name, and its fields with their types.
    pub(super) structs: Vec<(&'static str, Vec<(&'static str, String)>)>,
    /// Every variant in it: the name of its enumeration, its number and its own name.
    pub(super) variants: Vec<(&'static str, u32, &'static str)>,
}

/// Takes a value apart. Its lists and options must not be empty, for their types to be told.
pub(super) fn record<T: Serialize>(value: &T) -> Record {
    let mut record = Record::default();
    value.serialize(Recorder { path: String::new(), record: &mut record }).unwrap();
    record
}

struct Recorder<'a> {
    path: String,
    record: &'a mut Record,
}

/// What cannot be described; no value of tapelog holds it.
#[derive(Debug)]
pub(super) struct Undescribed(String);

impl fmt::Display for Undescribed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Undescribed {}

impl ser::Error for Undescribed {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

impl Recorder<'_> {
    /// Adds a leaf of this type.
    fn leaf(self, bytes: Vec<u8>, kind: &str) -> String {
        self.record.leaves.push(Leaf { path: self.path, bytes });
        kind.to_owned()
    }
}

fn undescribed<T>(what: &str) -> Result<T, Undescribed> {
    Err(Undescribed(format!("{what} has no description")))
}

/// Several values in a row.
struct Several<'a> {
    path: String,
    record: &'a mut Record,
    /// Where its leaves begin.
    start: usize,
    /// What is written before the values.
    prefix: Vec<u8>,
    kinds: Vec<String>,
    count: usize,
    fields: Vec<(&'static str, String)>,
}

impl<'a> Several<'a> {
    fn new(recorder: Recorder<'a>, prefix: Vec<u8>) -> Self {
        let start = recorder.record.leaves.len();
        Self { path: recorder.path, record: recorder.record, start, prefix, kinds: Vec::new(), count: 0, fields: Vec::new() }
    }

    fn next<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Undescribed> {
        let path = format!("{}[{}]", self.path, self.count);
        self.count += 1;
        let kind = value.serialize(Recorder { path, record: self.record })?;
        self.kinds.push(kind);
        Ok(())
    }

    /// Puts the leaves together into one if each value is one; otherwise what stands before them is a leaf of its own.
    fn merge(&mut self) {
        let leaves = self.record.leaves.split_off(self.start);
        let prefix = Leaf { path: self.path.clone(), bytes: std::mem::take(&mut self.prefix) };
        if leaves.len() == self.count {
            let bytes = leaves.into_iter().fold(prefix.bytes, |bytes, leaf| [bytes, leaf.bytes].concat());
            self.record.leaves.push(Leaf { path: prefix.path, bytes });
        } else {
            self.record.leaves.push(prefix);
            self.record.leaves.extend(leaves);
        }
    }

    fn first_kind(&self) -> String {
        self.kinds.first().cloned().unwrap_or_else(|| "?".to_owned())
    }
}

macro_rules! numbers {
    ($($method:ident: $number:ty),*) => {
        $(fn $method(self, value: $number) -> Result<String, Undescribed> {
            Ok(self.leaf(value.to_le_bytes().to_vec(), stringify!($number)))
        })*
    };
}

macro_rules! none_of {
    ($($method:ident: $number:ty),*) => {
        $(fn $method(self, _: $number) -> Result<String, Undescribed> {
            undescribed(stringify!($number))
        })*
    };
}

impl<'a> ser::Serializer for Recorder<'a> {
    type Ok = String;
    type Error = Undescribed;
    type SerializeSeq = Several<'a>;
    type SerializeTuple = Several<'a>;
    type SerializeMap = Several<'a>;
    type SerializeStruct = Several<'a>;
    type SerializeTupleStruct = ser::Impossible<String, Undescribed>;
    type SerializeTupleVariant = ser::Impossible<String, Undescribed>;
    type SerializeStructVariant = ser::Impossible<String, Undescribed>;

    numbers!(serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64);
    none_of!(serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_f32: f32, serialize_f64: f64,
        serialize_char: char, serialize_bytes: &[u8]);

    fn serialize_bool(self, value: bool) -> Result<String, Undescribed> {
        Ok(self.leaf(vec![u8::from(value)], "bool"))
    }

    fn serialize_str(self, value: &str) -> Result<String, Undescribed> {
        let bytes = [&(value.len() as u64).to_le_bytes()[..], value.as_bytes()].concat();
        Ok(self.leaf(bytes, "text"))
    }

    fn serialize_none(self) -> Result<String, Undescribed> {
        Ok(self.leaf(vec![0], "optional ?"))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<String, Undescribed> {
        let mut several = Several::new(self, vec![1]);
        // The value has the path of the option itself.
        let kind = value.serialize(Recorder { path: several.path.clone(), record: several.record })?;
        several.count = 1;
        several.merge();
        Ok(format!("optional {kind}"))
    }

    fn serialize_unit_variant(self, name: &'static str, number: u32, variant: &'static str) -> Result<String, Undescribed> {
        self.record.variants.push((name, number, variant));
        Ok(self.leaf(number.to_le_bytes().to_vec(), name))
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Several<'a>, Undescribed> {
        let prefix = (len.unwrap_or_default() as u64).to_le_bytes().to_vec();
        Ok(Several::new(self, prefix))
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Several<'a>, Undescribed> {
        self.serialize_seq(len)
    }

    fn serialize_tuple(self, _len: usize) -> Result<Several<'a>, Undescribed> {
        Ok(Several::new(self, Vec::new()))
    }

    fn serialize_struct(self, name: &'static str, _len: usize) -> Result<Several<'a>, Undescribed> {
        let mut several = Several::new(self, Vec::new());
        several.kinds.push(name.to_owned());
        if !several.path.is_empty() {
            several.path.push('.');
        }
        several.record.structs.push((name, Vec::new()));
        Ok(several)
    }

    fn serialize_unit(self) -> Result<String, Undescribed> {
        undescribed("a unit")
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<String, Undescribed> {
        undescribed(name)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _name: &'static str, value: &T) -> Result<String, Undescribed> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _number: u32,
        _variant: &'static str,
        _value: &T,
    ) -> Result<String, Undescribed> {
        undescribed(name)
    }

    fn serialize_tuple_struct(self, name: &'static str, _len: usize) -> Result<Self::SerializeTupleStruct, Undescribed> {
        undescribed(name)
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _number: u32,
        _variant: &'static str,
        _len: usize,
    ) -> Result<Self::SerializeTupleVariant, Undescribed> {
        undescribed(name)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _number: u32,
        _variant: &'static str,
        _len: usize,
    ) -> Result<Self::SerializeStructVariant, Undescribed> {
        undescribed(name)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

impl ser::SerializeSeq for Several<'_> {
    type Ok = String;
    type Error = Undescribed;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Undescribed> {
        self.next(value)
    }

    fn end(mut self) -> Result<String, Undescribed> {
        self.merge();
        Ok(format!("list of {}", self.first_kind()))
    }
}

impl ser::SerializeTuple for Several<'_> {
    type Ok = String;
    type Error = Undescribed;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Undescribed> {
        self.next(value)
    }

    fn end(mut self) -> Result<String, Undescribed> {
        self.merge();
        if self.kinds.iter().all(|kind| kind == "u8") {
            return Ok(format!("{} bytes", self.count));
        }
        Ok(self.kinds.join(", "))
    }
}

impl ser::SerializeMap for Several<'_> {
    type Ok = String;
    type Error = Undescribed;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Undescribed> {
        self.next(value)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Undescribed> {
        self.next(value)
    }

    fn end(mut self) -> Result<String, Undescribed> {
        self.merge();
        let value = self.kinds.get(1).cloned().unwrap_or_else(|| "?".to_owned());
        Ok(format!("map of {} to {value}", self.first_kind()))
    }
}

impl ser::SerializeStruct for Several<'_> {
    type Ok = String;
    type Error = Undescribed;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Undescribed> {
        let path = format!("{}{name}", self.path);
        let kind = value.serialize(Recorder { path, record: self.record })?;
        self.fields.push((name, kind));
        Ok(())
    }

    fn end(self) -> Result<String, Undescribed> {
        let name = self.first_kind();
        let described = self.record.structs.iter_mut().rev().find(|(known, fields)| *known == name && fields.is_empty());
        if let Some((_, fields)) = described {
            *fields = self.fields;
        }
        Ok(name)
    }
}
